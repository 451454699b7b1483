"""The sample that a model is fitted on: the same on every engine, in whatever order rows come."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.sampling import Sample, feature_matrix, fetch_sample

ROWS = 3_000


@pytest.fixture(params=["engine", "spark_engine"])
def either(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, the active one of the test."""
    found: Engine = request.getfixturevalue(request.param)
    return found


def rows(order: slice = slice(None)) -> pa.Table:
    """Rows of every kind of input; each hundredth lacks something."""
    keys = list(range(ROWS))[order]
    spent = [Decimal(n) / 100 if n % 100 else None for n in keys]
    return pa.table(
        {
            "key": pa.array(keys, pa.int64()),
            "flights": pa.array([n % 7 for n in keys], pa.int32()),
            "spent": pa.array(spent, pa.decimal128(18, 2)),
            "word": [f"w{n % 11}" for n in keys],
        }
    )


def sampled(engine: Engine, table: pa.Table, most: int) -> Sample:
    frame = engine.from_arrow(table)
    if engine.name == "spark":
        frame = frame.repartition(5)
    return fetch_sample(engine, frame, "key", ("flights", "spent", "word"), most)


# What every engine finds, so that they agree with each other.
WHOLE = "7e129dfc45dfcb07"
PART = "2a9826f71142d252"


def test_the_sample_depends_on_keys_alone(either: Engine) -> None:
    whole = sampled(either, rows(), ROWS)
    assert whole.total == whole.rows.num_rows == ROWS - ROWS // 100
    assert whole.digest[:16] == WHOLE
    part = sampled(either, rows(), 500)
    again = sampled(either, rows(slice(None, None, -1)), 500)
    assert part.rows.equals(again.rows)
    assert part.digest == again.digest
    assert part.digest[:16] == PART
    assert (part.rows.num_rows, part.total) == (500, whole.total)
    keys = part.rows["key"].to_pylist()
    assert keys == sorted(keys)
    # A fair share of each fifth of the keys.
    assert min(np.histogram(keys, 5)[0]) > 70
    # Most of a month's sample is in the next one's, when some members came and some left.
    later = sampled(either, rows(slice(100, None)), 500)
    common = set(part.rows["key"].to_pylist()) & set(later.rows["key"].to_pylist())
    assert len(common) > 450


def test_numbers_are_doubles_and_text_is_text(either: Engine) -> None:
    found = sampled(either, rows(), ROWS).rows
    assert [str(kind) for kind in found.schema.types[1:]] == ["double", "double", "string"]
    assert found["spent"].to_pylist()[:3] == [0.01, 0.02, 0.03]


def test_every_value_is_part_of_the_digest(engine: Engine) -> None:
    table = rows()
    digests = {sampled(engine, table, ROWS).digest}
    for name, value in (("key", 9_999), ("flights", 9), ("spent", Decimal(1)), ("word", "x")):
        values = table[name].to_pylist()
        values[7] = value
        column = pa.array(values, table.schema.field(name).type)
        changed = table.set_column(table.column_names.index(name), name, column)
        digests.add(sampled(engine, changed, ROWS).digest)
    # Beyond the sample the number of rows counts.
    digests |= {sampled(engine, rows(slice(None, n)), 10).digest for n in (None, -1)}
    assert len(digests) == 7


def test_a_null_or_a_decimal_becomes_the_nearest_double() -> None:
    exact = pa.array([Decimal("0.1234567890123456789"), None], pa.decimal128(38, 19))
    found = feature_matrix(pa.record_batch({"x": exact, "n": pa.array([1, 2], pa.int8())}))
    assert found[0].tolist() == [0.1234567890123456789, 1.0]
    assert np.isnan(found[1, 0])
