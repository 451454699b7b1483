"""The state between two copies of a source table, stored with its deliveries.

It is in the folder of the deliveries, so that it always matches them: a landing zone that is
restored or moved includes it. If it is lost, the next copy is a full one, which repeats known rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.sources.lookup import CursorValue, Window

NAME = "_copied.json"
_FORMAT = 1
_READ: dict[str, Callable[[str], Any]] = {
    "int": int, "str": str, "Decimal": Decimal,
    "date": date.fromisoformat, "datetime": datetime.fromisoformat,
}  # fmt: skip


@dataclass(frozen=True)
class OpenCopy:
    """An unfinished copy.

    Attributes:
        name: Prefix of its file names; empty before it has started.
        day: Day of delivery.
        full: Whether it takes everything.
        window: The rows that it takes.
        chunks: Number of its files that have landed.
        rows: Number of rows in them.
        after: Key of the last of these rows, as text; empty before the first file.
        state: Fingerprint, from before this copy, of the rows with which the next copy starts.
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
class CopyState:
    """The stored state of a source table.

    Attributes:
        cursor: Highest cursor value of the last finished copy that left no gap after earlier ones.
        full_on: Day of the last full copy.
        types: Types of its columns at the last copy.
        open: The unfinished copy, if there is one.
        state: Fingerprint of the rows with which the next copy starts, as the last copy found them.
    """

    cursor: CursorValue | None = None
    full_on: date | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    open: OpenCopy | None = None
    state: str = ""

    def encode(self) -> bytes:
        """Return it as JSON."""
        content = asdict(self) | {"format": _FORMAT}
        return json.dumps(content, default=_tagged, indent=1).encode()

    @classmethod
    def decode(cls, content: bytes | None) -> CopyState:
        """Parse the result of `encode`; None means a table that was never copied.

        Raises:
            LakehouseError: the content was changed, or written by another version.
        """
        if content is None:
            return cls()
        try:
            found = json.loads(content, object_hook=_untagged)
            if found.pop("format") != _FORMAT:
                raise ValueError("another format")
            copy = found.pop("open")
            if copy is not None:
                copy["window"] = Window(**copy["window"])
                copy["after"] = tuple(copy["after"])
                copy = OpenCopy(**copy)
            return cls(**found, open=copy)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LakehouseError(
                f"{NAME} cannot be read, because it was changed or written by another version. "
                "Remove it; the next copy is then a full one."
            ) from None


def recall(zone: LandingZone, dataset: Dataset) -> CopyState:
    """Read the state of a dataset's source table."""
    return CopyState.decode(zone.note(dataset, NAME))


def remember(zone: LandingZone, dataset: Dataset, state: CopyState) -> None:
    """Write the state of a dataset's source table, atomically."""
    zone.keep_note(dataset, NAME, state.encode())


# With its type, because JSON alone would not distinguish a timestamp from a cursor that is text.
def _tagged(value: Any) -> dict[str, str]:
    return {"type": type(value).__name__, "text": str(value)}


def _untagged(found: dict[str, Any]) -> Any:
    if found.keys() == {"type", "text"} and found["type"] in _READ:
        return _READ[found["type"]](found["text"])
    return found
