"""Columns that Python computes beside a frame's own, on both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError

ADDED = pa.schema([("twice", pa.int64()), ("name", pa.string())])
ROWS = 20_000
OTHERS = {
    "text": ["\u3000", None, "x"], "exact": [Decimal("-0.01"), None, Decimal("9.99")],
    "day": [date(2014, 2, 28), None, date(1900, 1, 1)], "sure": [True, None, False],
    "at": [datetime(2014, 3, 1, 12, tzinfo=UTC), None, datetime(1, 1, 1, tzinfo=UTC)],
    "words": [["a", "b"], [], None],
}  # fmt: skip


@pytest.fixture(params=["engine", "spark_engine"])
def either(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, the active one of the test."""
    found: Engine = request.getfixturevalue(request.param)
    return found


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    assert batch.schema.names == ["x"]
    twice = pc.add(batch["x"], batch["x"])
    names = pc.binary_join_element_wise("n", twice.cast(pa.string()), "")
    return pa.RecordBatch.from_arrays([twice, names], schema=ADDED)


def test_columns_are_added_to_every_row_and_the_others_stay(either: Engine) -> None:
    times = ROWS // 3
    data = {"x": [n if n % 7 else None for n in range(3 * times)]}
    kinds = {"exact": pa.decimal128(18, 2), "at": pa.timestamp("us", "UTC")}
    others = {name: pa.array(values * times, kinds.get(name)) for name, values in OTHERS.items()}
    table = pa.table({**data, **others})
    frame = either.from_arrow(table)
    wider = either.add_columns(frame, ["x"], ADDED, doubled)
    found = either.arrow_stream(wider).read_all()
    assert found.column_names == [*table.column_names, *ADDED.names]
    before = either.arrow_stream(frame).schema
    assert [str(found.schema.field(name).type) for name in before.names] == list(
        map(str, before.types)
    )
    key = [("x", "ascending")]
    given = table.filter(pc.is_valid(table["x"])).sort_by(key).to_pylist()
    got = found.filter(pc.is_valid(found["x"])).sort_by(key).to_pylist()
    assert got == [{**row, "twice": 2 * row["x"], "name": f"n{2 * row['x']}"} for row in given]
    nulls = found.filter(pc.is_null(found["x"]))
    assert nulls.num_rows == table.num_rows - len(given)
    assert nulls["twice"].null_count == nulls["name"].null_count == nulls.num_rows


def test_a_frame_without_rows_gets_the_columns_too(either: Engine) -> None:
    frame = either.from_arrow(pa.table({"x": pa.array([], pa.int64())}))
    wider = either.add_columns(frame, ["x"], ADDED, doubled)
    assert either.rows(wider) == []
    assert list(wider.columns) == ["x", "twice", "name"]


def test_new_columns_come_from_what_the_function_was_given(either: Engine, tmp_path: Any) -> None:
    from deltalake import write_deltalake

    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"x": [1, 2], "y": [3, 4]}))
    declared = [Column("x", "bigint", "A number."), Column("y", "bigint", "A number.")]
    scan = either.scan_delta(uri, 0, "t", declared)
    frame = scan.select((F.col("x") + F.lit(1)).alias("x"), "y")
    wider = either.add_columns(frame, ["x"], ADDED, doubled)
    origins = {name: {s.column for s in found} for name, found in either.lineage(wider).items()}
    if either.name == "duckdb":
        assert origins == {"x": {"x"}, "y": {"y"}, "twice": {"x"}, "name": {"x"}}
    assert either.versions_read(wider) == {"t": 0}


def short(batch: pa.RecordBatch) -> pa.RecordBatch:
    return doubled(batch).slice(1)


def other(batch: pa.RecordBatch) -> pa.RecordBatch:
    return doubled(batch).select(["name"])


def broken(_batch: pa.RecordBatch) -> pa.RecordBatch:
    raise KeyError("nothing here")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [(short, "for 3 rows, got"), (other, "for 3 rows, got"), (broken, "nothing here")],
)
def test_a_function_that_does_not_keep_its_word_is_one_sentence(
    either: Engine, wrong: Any, reason: str
) -> None:
    frame = either.from_arrow(pa.table({"x": [1, 2, 3]}))
    if either.name == "spark":
        frame = frame.coalesce(1)
    with pytest.raises(LakehouseError, match=reason) as caught:
        either.add_columns(frame, ["x"], ADDED, wrong)
    assert str(caught.value).startswith("The columns twice, name could not be computed (")
    assert "\n" not in str(caught.value).strip()
