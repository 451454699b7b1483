"""A partner who delivers a file each second: on time, late, corrected, broken, twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from lakehouse_assets.domains import DATASETS
from lakehouse_assets_tests.airline.samples import REPOSITORY

FIRST = date(2026, 9, 1)
# Of a hundred deliveries.
_KINDS = {"on time": 50, "late": 15, "corrected": 12, "duplicate": 8, "deleted": 8, "broken": 7}
_RECORDS = {"flights": (150, 400), "customers": (50, 200)}
_FEW = (5, 60)


class Partner:
    """Delivers slices of the sample into a landing zone, whose days go by meanwhile.

    Attributes:
        landing: The landing zone.
        counts: Deliveries so far, by kind.
    """

    def __init__(self, landing: Path, days: int, seed: int) -> None:
        self.landing = landing
        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)  # noqa: S311
        # Days at the end of September and at the beginning of October.
        self._days = [date(2026, 10, 1) + timedelta(days=n - days // 2) for n in range(days)]
        self._broken: dict[Path, str] = {}
        self._number = 0
        self._slices = {
            dataset.path: _sliced(sorted((REPOSITORY / "data" / dataset.path).glob("*/*")))
            for dataset in DATASETS
        }

    def begin(self) -> None:
        """Deliver each dataset once, on the last day: the month before may lack some."""
        for dataset, (suffix, _) in self._slices.items():
            _write(self._named(dataset, self._days[-1], suffix), self._content(dataset))
            self.counts["on time"] += 1

    def deliver(self, progress: float) -> str:
        """Deliver once; `progress` is how much of the time is over, from 0 to 1. Return what."""
        kind = self._chance.choices([*_KINDS], [*_KINDS.values()])[0]
        dataset = self._chance.choice([*self._slices])
        there = [path for path in self._files(dataset) if path not in self._broken]
        if kind in {"corrected", "duplicate", "deleted"} and len(there) < 2:
            kind = "on time"
        today = min(int(progress * len(self._days)), len(self._days) - 1)
        day = self._days[today if kind != "late" else self._chance.randrange(today + 1)]
        if kind == "deleted":
            self._chance.choice(there).unlink()
        elif kind == "corrected":
            _write(self._chance.choice(there), self._content(dataset))
        elif kind == "duplicate":
            source = self._chance.choice(there)
            _write(self._named(dataset, day, source.suffix), source.read_bytes())
        else:
            suffix, _ = self._slices[dataset]
            path, content = self._named(dataset, day, suffix), self._content(dataset)
            if kind == "broken":
                self._broken[path] = dataset
                content = content[: len(content) // 2] + b"\xff\x00\xfe" + content[-40:]
            _write(path, content)
        self.counts[kind] += 1
        return kind

    def close(self) -> None:
        """Deliver what was broken once more, whole."""
        for path, dataset in self._broken.items():
            _write(path, self._content(dataset))
            self.counts["corrected"] += 1
        self._broken.clear()

    def _files(self, dataset: str) -> list[Path]:
        return sorted(path for path in (self.landing / dataset).glob("*/*") if path.is_file())

    def _named(self, dataset: str, day: date, suffix: str) -> Path:
        self._number += 1
        return self.landing / dataset / f"{day}" / f"part-{self._number:05}{suffix}"

    def _content(self, dataset: str) -> bytes:
        return self._slices[dataset][1](self._chance)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _objects(text: str) -> list[Any]:
    """Read a JSON array, or a JSON object on each line, of which the sample has broken ones."""
    with suppress(ValueError):
        return list(json.loads(text))
    found = []
    for line in text.split("\n"):
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


_Slice = tuple[str, Callable[[random.Random], bytes]]


def _sliced(files: Sequence[Path]) -> _Slice:
    """Return the suffix of a dataset's files, and what makes a file of some of their records."""
    dataset = files[0].parts[-3]
    suffix = files[0].suffix
    files = [path for path in files if path.suffix == suffix]
    if dataset == "documents":
        documents = [path for path in files if path.read_bytes().startswith(b"%PDF")]
        return ".pdf", lambda chance: chance.choice(documents).read_bytes() + chance.randbytes(8)
    least, most = _RECORDS.get(dataset, _FEW)
    if suffix == ".json":
        rows = [row for path in files for row in _objects(path.read_text("utf-8"))]

        def some(chance: random.Random) -> bytes:
            found = chance.sample(rows, min(len(rows), chance.randint(least, most)))
            return json.dumps(found).encode()

        return suffix, some
    lines = [line for path in files for line in path.read_bytes().splitlines(keepends=True)[1:]]
    header = files[0].read_bytes().splitlines(keepends=True)[0]

    def lined(chance: random.Random) -> bytes:
        found = chance.sample(lines, min(len(lines), chance.randint(least, most)))
        return b"".join([header, *found])

    return suffix, lined
