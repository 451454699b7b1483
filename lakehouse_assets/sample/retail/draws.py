"""Drawing values from distributions given by quantiles or shares."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from lakehouse_assets.catalog.datasets import Dataset

T = TypeVar("T")
Floats: TypeAlias = npt.NDArray[np.float64]
Knots: TypeAlias = Sequence[tuple[float, float]]
_GRID = (np.arange(20_000) + 0.5) / 20_000


@dataclass(frozen=True)
class Config:
    """What to generate.

    Attributes:
        seed: Seed of every random draw.
        first_week: Monday of the first reported week.
        weeks: Number of weeks; a week is delivered on the Monday after it.
        scale: Rows per week as a multiple of the sample's.
    """

    seed: int = 20210905
    first_week: date = date(2021, 8, 30)
    weeks: int = 8
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.first_week.weekday():
            raise ValueError(f"first_week must be a Monday, got {self.first_week}")
        if self.weeks < 1 or self.scale <= 0:
            raise ValueError(f"weeks and scale must be positive, got {self.weeks}, {self.scale}")

    @property
    def mondays(self) -> list[date]:
        """The Mondays of the reported weeks."""
        return [self.first_week + timedelta(weeks=n) for n in range(self.weeks)]

    def random(self, source: str) -> np.random.Generator:
        """Return a source's own random stream, so that sources do not affect each other."""
        return np.random.default_rng([self.seed, *source.encode()])

    def rows(self, per_week: int) -> int:
        """Return the number of rows per week."""
        return max(1, round(per_week * self.scale))


def spread(scores: Floats, knots: Knots) -> Floats:
    """Convert scores from 0 to 1 to values with the quantiles of the knots."""
    shares, values = zip(*knots, strict=True)
    return np.asarray(np.interp(scores, shares, values), dtype=np.float64)


def bent_to_mean(knots: Knots, mean: float) -> float:
    """Find the power by which scores must be raised for their values to have a given mean."""
    low, high = 0.05, 20.0
    for _ in range(60):
        power = math.sqrt(low * high)
        if spread(_GRID**power, knots).mean() > mean:
            low = power
        else:
            high = power
    return power


def choose(rng: np.random.Generator, shares: Mapping[Any, float], size: int) -> list[Any]:
    """Draw labels by their shares or counts."""
    names = list(shares)
    weights = np.array([shares[name] for name in names], dtype=float)
    picks = rng.choice(len(names), size=size, p=weights / weights.sum())
    return [names[pick] for pick in picks]


def picked(options: Sequence[T], number: int) -> T:
    """Return the option that a drawn number stands for."""
    return options[number % len(options)]


def utc(day: date, seconds: npt.NDArray[np.int64]) -> list[str]:
    """Return the times so many seconds after the start of a day, as the sources write them."""
    times = np.datetime64(day, "s") + seconds
    written: list[str] = np.datetime_as_string(times, timezone="UTC").tolist()
    return written


def deliver_csv(
    root: Path, dataset: Dataset, day: date, name: str, columns: Mapping[str, Any]
) -> Path:
    """Write columns as a CSV file of a dataset.

    Args:
        root: Landing zone.
        dataset: Decides the order of the columns, and whether there is a header. The pipelines
            that land data with a header quote every field.
        day: Day of delivery.
        name: Name of the file.
        columns: Values by column, as an array or list, or as one value for all rows. Columns that
            are not given are empty.
    """
    if unknown := columns.keys() - set(dataset.source_names):
        raise ValueError(f"{dataset.path} has no column {sorted(unknown)}")
    out = io.StringIO()
    writer = csv.writer(
        out, quoting=csv.QUOTE_ALL if dataset.header else csv.QUOTE_MINIMAL, lineterminator="\n"
    )
    if dataset.header:
        writer.writerow(dataset.source_names)
    values = (columns.get(field, "") for field in dataset.source_names)
    lists = (value.tolist() if isinstance(value, np.ndarray) else value for value in values)
    rows = (value if isinstance(value, list) else repeat(value) for value in lists)
    writer.writerows(zip(*rows, strict=False))
    return deliver(root, dataset.name, day, name, out.getvalue())


def deliver(root: Path, dataset: str, day: date, name: str, content: str | bytes) -> Path:
    """Write a delivered file into its dated folder, compressed if its name ends with .gz."""
    data = content.encode() if isinstance(content, str) else content
    path = root / "retail" / dataset / day.isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)
    return path
