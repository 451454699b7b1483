"""Reading declared tables: versions, columns, counts, and features that would be read wrong."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets_tests.lake.samples import (
    COMMIT,
    DAILY,
    WHOLE,
    A,
    B,
    C,
    content,
    day,
    log_of,
    on_both_engines,
    put,
    tuples,
    window,
)


@on_both_engines
def test_an_older_version_and_some_columns_can_be_read(three_days):
    put(three_days, DAILY, window(2, 2), [])
    assert content(three_days, "daily", version=1, columns=["id"]) == [(1,), (2,), (3,)]
    assert content(three_days, DAILY, version=0) == []
    assert content(three_days, DAILY) == [A, C]
    for wrong in (3, -1):
        with pytest.raises(LakehouseError, match=f"no version {wrong}; its newest is 2"):
            three_days.read(DAILY, version=wrong)
    with pytest.raises(LakehouseError, match="is not built; run"):
        three_days.read(WHOLE, version=0)
    with pytest.raises(LakehouseError, match="has no column nope; it has day, id, email"):
        three_days.read(DAILY, columns=["id", "nope"])


@on_both_engines
def test_a_lazy_frame_stays_as_it_was_while_versions_are_committed(three_days):
    lazy = three_days.read(DAILY, window(1, 2))
    assert three_days.engine.versions_read(lazy) == {"shop__daily": 1}
    put(three_days, DAILY, window(1, 1), [])
    three_days.write(DAILY, lazy, window(1, 2), COMMIT)  # reads the old version, writes a new one
    put(three_days, DAILY, window(2, 2), [])
    assert tuples(three_days, lazy) == [A, B]
    assert content(three_days, DAILY) == [A, C]


def test_rows_are_counted_by_partition(three_days):
    put(three_days, DAILY, window(2, 2), [(day(2), i, None) for i in range(4)])
    assert three_days.rows_by_partition(DAILY) == {day(1): 1, day(2): 4, day(3): 1}


@on_both_engines
def test_tables_written_without_statistics_are_counted_from_their_rows(three_days):
    log = log_of(three_days, DAILY) / f"{1:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        action.get("add", {}).pop("stats", None)
    log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    assert three_days.rows_by_partition(DAILY) == {day(1): 1, day(2): 1, day(3): 1}
    report = put(three_days, DAILY, window(2, 2), [B, (day(2), 4, None)])
    assert (report.rows, report.partition_rows) == (4, 2)


@pytest.mark.parametrize(
    ("protocol", "configuration", "feature"),
    [
        ({"readerFeatures": ["deletionVectors"]}, {}, "deletionVectors"),
        ({"readerFeatures": ["columnMapping"]}, {}, "columnMapping"),
        (
            {"readerFeatures": ["columnMapping"]},
            {"delta.columnMapping.mode": "none"},
            "columnMapping",
        ),
    ],
)
def test_features_that_would_be_read_wrong_are_refused(lake, protocol, configuration, feature):
    lake.ensure(WHOLE)
    log = log_of(lake, WHOLE) / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3, "minWriterVersion": 7,
                "writerFeatures": protocol["readerFeatures"], **protocol,
            }  # fmt: skip
        if "metaData" in action:
            action["metaData"]["configuration"] = configuration
    log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    for attempt in (lambda: lake.read(WHOLE), lambda: put(lake, WHOLE, Everything(), [])):
        with pytest.raises(LakehouseError, match=f"uses {feature}, which .* read it on Spark"):
            attempt()


def test_features_that_cannot_be_written_are_named(three_days):
    log = log_of(three_days, DAILY) / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            features = ["appendOnly", "checkConstraints", "domainMetadata", "invariants"]
            action["protocol"] |= {"minWriterVersion": 7, "writerFeatures": features}
    log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    assert content(three_days, DAILY) == [A, B, C]
    with pytest.raises(LakehouseError, match=r"cannot write \(DomainMetadata\).*on Spark"):
        put(three_days, DAILY, window(2, 2), [B])


def test_foreign_tables_of_the_declared_shape_are_taken_over(lake):
    rows = pa.table(
        {"id": pa.array([1], pa.int64()), "tags": pa.array([["a"]], pa.list_(pa.string()))}
    )
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), rows.schema.field("tags")])
    write_deltalake(lake.uri(WHOLE), rows.cast(schema))
    assert content(lake, WHOLE) == [(1, ["a"])]
    assert DeltaTable(lake.uri(WHOLE)).version() == 0
