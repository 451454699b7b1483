"""Rows of messages and the offsets of their sources are committed together, on both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Times, Windows
from lakehouse_assets.lake.writer import Advance, FencedError
from lakehouse_assets_tests.lake.samples import (
    COMMIT,
    DAILY,
    A,
    B,
    C,
    content,
    frame,
    in_order,
    make_lake,
    on_both_engines,
    table,
    using,
)

SOURCE = "kafka://broker:lakehouse:topic:0"
DAY = date(2024, 1, 1)
MINUTES = table(
    "minutes",
    Column("minute", "timestamp", "Minute.", False),
    Column("id", "bigint", "Number."),
    Column("day", "date", "Day.", False),
    partition=PartitionColumn("day", "day"),
    keys=("minute",),
    properties={"delta.checkpointInterval": "3"},
)


def append(lake: Lake, rows: list[Any], begin: int | None, end: int, source: str = SOURCE) -> int:
    with using(lake):
        rows = frame(lake, DAILY, rows)
        return lake.advance(DAILY, rows, COMMIT, {source: Advance(begin, end)})


@on_both_engines
def test_rows_and_offsets_are_committed_together(tmp_path: Path, engine: Any) -> None:
    lake = make_lake(tmp_path)
    assert lake.progress(DAILY, [SOURCE]) == {}
    append(lake, [A, B], None, 5)
    version = append(lake, [C], 5, 6)
    assert content(lake, DAILY) == in_order([A, B, C])
    assert lake.progress(DAILY, [SOURCE, "another"]) == {SOURCE: 6}
    newest = lake.history(DAILY, 1)[0]
    assert (newest.number, newest.commit) == (version, COMMIT)


@on_both_engines
def test_a_writer_that_is_behind_writes_nothing(tmp_path: Path, engine: Any) -> None:
    lake = make_lake(tmp_path)
    append(lake, [A], None, 5)
    with pytest.raises(FencedError, match="Another process also reads kafka"):
        append(lake, [A], None, 5)
    with pytest.raises(FencedError):
        append(lake, [C], 6, 7)
    with pytest.raises(LakehouseError, match="violate a constraint"):
        append(lake, [(DAY, -1, "x")], 5, 6)
    assert content(lake, DAILY) == [A]
    assert lake.progress(DAILY, [SOURCE]) == {SOURCE: 5}


@on_both_engines
def test_times_of_a_day_are_replaced_with_the_offset(tmp_path: Path, engine: Any) -> None:
    def minute(number: int) -> datetime:
        return datetime(2024, 1, 1, 23, number, tzinfo=UTC)

    def rows(*numbers: int, value: int) -> Any:
        return frame(lake, MINUTES, [(minute(n), value, DAY) for n in numbers])

    lake = make_lake(tmp_path, MINUTES)
    with using(lake):
        lake.advance(MINUTES, rows(0, 1, 2, 3, 4, value=1), COMMIT, {SOURCE: Advance(None, 1)})
        times = Times("minute", ((minute(1), minute(2)), (minute(3), minute(5))))
        selection = Windows(MINUTES.partition, ((DAY, date(2024, 1, 2)),), times)
        progress = {SOURCE: Advance(1, 2)}
        lake.advance(MINUTES, rows(1, 4, value=2), COMMIT, progress, selection)
        with pytest.raises(LakehouseError, match="violate"):
            lake.write(MINUTES, rows(2, value=3), selection, COMMIT)
        found = lake.engine.rows(lake.read(MINUTES, selection))
    stored = {row["minute"].astimezone(UTC).minute: row["id"] for row in found}
    assert stored == {1: 2, 4: 2}
    assert sorted((m.minute, i) for m, i, _ in content(lake, MINUTES)) == [
        (0, 1), (1, 2), (2, 1), (4, 2),
    ]  # fmt: skip
    assert lake.progress(MINUTES, [SOURCE]) == {SOURCE: 2}


def test_the_embedded_engine_advances_in_several_sources_and_fences_at_the_commit(
    tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake(tmp_path)
    sources = {"a": Advance(None, 3), "b": Advance(None, 9)}
    lake.advance(DAILY, frame(lake, DAILY, [A]), COMMIT, sources)
    assert lake.progress(DAILY, ["a", "b"]) == {"a": 3, "b": 9}
    # Another writer commits after this one has opened the table and compared its offsets.
    opened = Lake.ensure

    def overtaken(self: Lake, declared: Any) -> Any:
        found = opened(self, declared)
        monkeypatch.setattr(Lake, "ensure", opened)
        append(make_lake(tmp_path), [B], 3, 4, "a")
        return found

    monkeypatch.setattr(Lake, "ensure", overtaken)
    with pytest.raises(FencedError):
        append(lake, [B], 3, 4, "a")
    assert content(lake, DAILY) == in_order([A, B])


def test_offsets_outlive_checkpoints_and_maintenance(tmp_path: Path, engine: Any) -> None:
    lake = make_lake(tmp_path, MINUTES)
    for number in range(12):
        rows = frame(lake, MINUTES, [(datetime(2024, 1, 1, tzinfo=UTC), number, DAY)])
        begin = None if number == 0 else number
        lake.advance(MINUTES, rows, COMMIT, {SOURCE: Advance(begin, number + 1)})
    found = lake.open(MINUTES)
    assert found is not None
    found.optimize.compact()
    found.create_checkpoint()
    found.cleanup_metadata()
    assert make_lake(tmp_path, MINUTES).progress(MINUTES, [SOURCE]) == {SOURCE: 12}
