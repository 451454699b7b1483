"""A writer in a process of its own: `python -m lakehouse_assets_tests.lake.writer ROOT HOW N`.

It says `ready`, waits for a line, and writes the way HOW says: `first` (two threads, each a
partition of a table that is not there yet), `full` (files may not grow) or `slow` (a
partition batch by batch, halting for its killer at point N).
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets_tests.lake.samples import COMMIT, DAILY, day, window


def say(text: str) -> None:
    """Tell the parent."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Rows:
    """A frame as far as the lake asks: its columns."""

    columns = DAILY.column_names

    def __init__(self, batches: Any) -> None:
        self.batches = batches


class ArrowEngine:
    """An engine whose frames are batches of Arrow rows; it starts fast and takes any thread."""

    name = "arrow"

    def lineage(self, _frame: Rows) -> dict[str, Any]:
        """Know nothing of where columns come from."""
        return {}

    def arrow_stream(self, frame: Rows) -> pa.RecordBatchReader:
        """Stream the batches."""
        return pa.RecordBatchReader.from_batches(plain_schema(), frame.batches)


def plain_schema() -> pa.Schema:
    """Return the schema without comments, as an engine gives it."""
    return pa.schema([(f.name, f.type) for f in arrow_schema(DAILY)])


def batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Make a batch of rows."""
    arrays = [
        pa.array([row[i] for row in rows], field.type) for i, field in enumerate(plain_schema())
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=plain_schema())


def arrow_lake(root: str) -> Lake:
    """Open a lake on the small engine."""
    return Lake(root, ArrowEngine(), Registry((DAILY,)))  # type: ignore[arg-type]


def halt(point: object) -> None:
    """Tell the parent where the writer is and wait to be killed."""
    say(f"at {point}")
    time.sleep(900)


def slow(point: str) -> Iterator[pa.RecordBatch]:
    """Yield twelve batches, halting before the one of that number."""
    for number in range(12):
        if str(number) == point:
            halt(point)
        yield batch([(day(2), number * 1000 + i, "n") for i in range(1000)])
    if point == "12":
        halt(point)


def main(root: str, how: str, argument: str) -> int:
    """Write as told."""
    lake = arrow_lake(root)
    say("ready")
    sys.stdin.readline()
    if how == "first":

        def write(number: int) -> None:
            rows = [(day(number + 1), number, f"{i}") for i in range(10)]
            own = arrow_lake(root)
            own.write(DAILY, Rows([batch(rows)]), window(number + 1, number + 1), COMMIT)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, (2 * int(argument), 2 * int(argument) + 1)))
    elif how == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        rows = Rows([batch([(day(1), i, f"{i * 7919}@x") for i in range(100_000)])])
        try:
            lake.write(DAILY, rows, window(1, 1), COMMIT)
        except LakehouseError as error:
            say(str(error))
            return 3
    elif argument == "created":
        lake.ensure(DAILY)
        halt(argument)
    else:
        lake.write(DAILY, Rows(slow(argument)), window(2, 2), COMMIT)
        halt("written")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
