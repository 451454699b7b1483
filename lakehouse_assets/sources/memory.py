"""What is remembered between two copies of a source table, beside its deliveries.

It lies where the deliveries lie, so that the two cannot get apart: a landing zone that is restored
or moved brings it along, and where it is lost the next copy is a full one, whose rows are known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.sources.lookup import Moment, Window

NAME = "_copied.json"
_FORMAT = 1
_READ: dict[str, Callable[[str], Any]] = {
    "int": int, "str": str, "Decimal": Decimal,
    "date": date.fromisoformat, "datetime": datetime.fromisoformat,
}  # fmt: skip


@dataclass(frozen=True)
class Open:
    """A copy that has begun and is not finished.

    Attributes:
        name: What its files' names begin with.
        day: The day it is delivered on.
        full: Whether it takes everything.
        window: What it takes otherwise.
        chunks: Files that lie in the landing zone.
        rows: Rows in them.
        after: Key of the last of these rows, as text; empty before the first.
        state: The rows that the next copy begins with, as they were before this one began.
    """

    name: str
    day: date
    full: bool
    window: Window
    chunks: int = 0
    rows: int = 0
    after: tuple[str, ...] = ()
    state: str = ""


@dataclass(frozen=True)
class Memory:
    """What is remembered of a source table.

    Attributes:
        cursor: Highest value of the cursor of the last finished copy.
        full_on: Day of the last full copy.
        types: Types of its columns then.
        open: The copy that is not finished, if there is one.
        state: The rows that the next copy begins with, as the last one found them.
    """

    cursor: Moment | None = None
    full_on: date | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    open: Open | None = None
    state: str = ""

    def encode(self) -> bytes:
        """Write it as JSON."""
        content = asdict(self) | {"format": _FORMAT}
        return json.dumps(content, default=_tagged, indent=1).encode()

    @classmethod
    def decode(cls, content: bytes | None) -> Memory:
        """Read what `encode` wrote; nothing is a table that was never copied.

        Raises:
            LakehouseError: it is something else.
        """
        if content is None:
            return cls()
        try:
            found = json.loads(content, object_hook=_untagged)
            if found.pop("format") != _FORMAT:
                raise ValueError("another format")
            begun = found.pop("open")
            if begun is not None:
                begun["window"] = Window(**begun["window"])
                begun["after"] = tuple(begun["after"])
                begun = Open(**begun)
            return cls(**found, open=begun)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LakehouseError(
                f"{NAME} cannot be read, it was changed or written by another version; remove it "
                "and the next copy is a full one."
            ) from None


def recall(zone: LandingZone, dataset: Dataset) -> Memory:
    """Read what is remembered of a dataset's source."""
    return Memory.decode(zone.note(dataset, NAME))


def remember(zone: LandingZone, dataset: Dataset, memory: Memory) -> None:
    """Write what is to be remembered, whole or not at all."""
    zone.keep_note(dataset, NAME, memory.encode())


def delivered(begun: Open, rows: int, after: tuple[str, ...]) -> Open:
    """Return a copy with one more file."""
    return replace(begun, chunks=begun.chunks + 1, rows=begun.rows + rows, after=after)


# JSON alone would write text as a moment is written, too: a cursor of text stays text.
def _tagged(value: Any) -> dict[str, str]:
    return {"type": type(value).__name__, "text": str(value)}


def _untagged(found: dict[str, Any]) -> Any:
    if found.keys() == {"type", "text"} and found["type"] in _READ:
        return _READ[found["type"]](found["text"])
    return found
