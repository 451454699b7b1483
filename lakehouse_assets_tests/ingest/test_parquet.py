"""Parquet deliveries become the bronze rows that their values say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse_assets.storage.files import digest_of
from lakehouse_assets_tests.ingest.samples import DAY, INGESTED, deliver, landed
from lakehouse_assets_tests.ingest.test_attributes import REMEDY


def parquet(folder, columns, name="a.parquet", **options):
    path = folder / name
    pq.write_table(pa.table(columns), path, **options)
    return path


def things(ids, names, notes):
    return {"ID": ids, "Name": names, "Note": notes}


TYPED = things(
    pa.array([1, None, 3], pa.int64()),
    pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(38, 2)),
    pa.array([datetime(2021, 9, 6, 1, 2, 3, 40_000, UTC), None, datetime(1, 1, 1, tzinfo=UTC)]),
)


def test_typed_rows_are_text_with_their_provenance(engine, tmp_path):
    path = parquet(tmp_path, TYPED)
    outcome = deliver(engine, landed(path))
    provenance = {
        "_source_file": "shop/things/2014-03-31/a.parquet",
        "_file_sha256": digest_of(path),
        "_ingested_at": INGESTED,
        "_file_version": landed(path).fingerprint,
        "_file_records": 3,
        "delivered_on": DAY,
    }
    assert outcome.rows == [
        {"id": "1", "name": "1.50", "note": "2021-09-06T01:02:03.04Z", "_row_number": 1}
        | provenance,
        {"id": None, "name": "-0.01", "note": None, "_row_number": 2} | provenance,
        {"id": "3", "name": None, "note": "0001-01-01T00:00:00Z", "_row_number": 3} | provenance,
    ]
    assert (outcome.rejects, outcome.refused, outcome.delivered) == ([], [], {DAY: 3})


@pytest.mark.parametrize("chosen", ["engine", "spark_engine"])
def test_all_formats_of_a_day_are_read_together(chosen, request, tmp_path):
    engine = request.getfixturevalue(chosen)
    csv, lines = tmp_path / "b.csv", tmp_path / "c.jsonl"
    csv.write_text("ID,Name,Note\n4,x,\n")
    lines.write_text('{"ID": 5, "Name": "y", "Note": ""}\n')
    # Null and empty text stay two things; columns are known by their names, not by their place.
    columns = {"Note": pa.array(["", None]), "ID": pa.array([1, 2]), "Name": pa.array(["'", '"'])}
    files = [landed(parquet(tmp_path, columns)), landed(csv), landed(lines)]
    outcome = deliver(engine, *files)
    assert outcome.values[:3] == [(1, "1", "'", ""), (2, "2", '"', None), (1, "4", "x", None)]
    assert (len(outcome.rows), outcome.delivered, outcome.complete) == (4, {DAY: 4}, True)


_CELLS = st.lists(
    st.tuples(st.integers(0, 10**18), *[st.none() | st.text(max_size=12)] * 2),
    min_size=1,
    max_size=40,
)


@given(_CELLS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_text_survives(engine, tmp_path, cells):
    ids, names, notes = zip(*cells, strict=True)
    columns = things(pa.array(ids), pa.array(names, pa.string()), pa.array(notes, pa.string()))
    outcome = deliver(engine, landed(parquet(tmp_path, columns, row_group_size=7)))
    expected = [(n, str(i), x, y) for n, (i, x, y) in enumerate(cells, start=1)]
    assert outcome.values == expected


def test_row_numbers_go_on_over_batches(engine, tmp_path):
    rows = 70_000
    numbers = pa.array(range(1, rows + 1))
    path = parquet(tmp_path, things(numbers, numbers, numbers))
    outcome = deliver(engine, landed(path))
    assert outcome.values == [(n, str(n), str(n), str(n)) for n in range(1, rows + 1)]


def test_what_cannot_be_read_is_refused_and_the_others_go_on(engine, tmp_path):
    one = pa.array(["1"])
    good = parquet(tmp_path, things(one, one, one), "good.parquet")
    files = {
        "missing.parquet": parquet(tmp_path, {"ID": one, "Name": one}, "missing.parquet"),
        "more.parquet": parquet(tmp_path, things(one, one, one) | {"X": one}, "more.parquet"),
        "nested.parquet": parquet(
            tmp_path, things(one, one, pa.array([[1]])), "nested.parquet"
        ),
        "none.parquet": parquet(tmp_path, things(one[:0], one[:0], one[:0]), "none.parquet"),
        "torn.parquet": tmp_path / "torn.parquet",
        "text.parquet": tmp_path / "text.parquet",
        "page.parquet": parquet(
            tmp_path, things(pa.array(["1" * 50_000]), one, one), "page.parquet",
            compression="zstd", use_dictionary=False,
        ),
    }  # fmt: skip
    files["torn.parquet"].write_bytes(good.read_bytes()[:-20])
    files["text.parquet"].write_text("ID,Name,Note\n1,2,3\n")
    page = bytearray(files["page.parquet"].read_bytes())
    page[30:60] = b"\0" * 30
    files["page.parquet"].write_bytes(page)
    outcome = deliver(engine, landed(good), *[landed(path) for path in files.values()])
    assert outcome.values == [(1, "1", "1", "1")]
    assert outcome.delivered == {DAY: 1}
    reasons = dict(text.removeprefix(f"shop/things/{DAY}/").split(": ", 1)
                   for text in outcome.refused)  # fmt: skip
    damaged = "{} is damaged or not a Parquet file; deliver it again.".format
    assert reasons == {
        "missing.parquet": f"missing.parquet lacks the column Note{REMEDY}",
        "more.parquet": f"more.parquet has a new column X{REMEDY}",
        "nested.parquet": "nested.parquet has a column Note of type list<element: int64>, which "
        "cannot be stored as text; deliver it flat, or as text.",
        "none.parquet": "none.parquet has no rows; deliver it again with its rows.",
        "torn.parquet": damaged("torn.parquet"),
        "text.parquet": damaged("text.parquet"),
        "page.parquet": damaged("page.parquet"),
    }
    assert [row["reason"] for row in outcome.rejects] == [reasons[name] for name in sorted(reasons)]


def test_text_that_is_no_unicode_is_refused(engine, tmp_path):
    broken = pa.array([b"\xff\xfe"]).view(pa.string())
    one = pa.array(["1"])
    outcome = deliver(engine, landed(parquet(tmp_path, things(one, one, broken))))
    assert outcome.rows == []
    assert "a.parquet is damaged" in outcome.refused[0]


def test_bytes_are_text_if_they_are_utf8(engine, tmp_path):
    texts = ["100", "ü", None]
    columns = things(
        pa.array([t and t.encode() for t in texts], pa.binary()),
        pa.array([t and t.encode() for t in texts], pa.large_binary()).dictionary_encode(),
        pa.array([b"100", b"abc", None], pa.binary(3)),
    )
    outcome = deliver(engine, landed(parquet(tmp_path, columns)))
    assert outcome.values == [(1, "100", "100", "100"), (2, "ü", "ü", "abc"), (3, None, None, None)]
    views = {name: pa.array(c.to_pylist(), pa.binary_view()) for name, c in columns.items()}
    again = deliver(engine, landed(parquet(tmp_path, views)))
    assert again.values == outcome.values
    # The bytes of a picture are none, wherever in the file they lie; nor are those of a number.
    for other in (b"\x89PNG\xff", b"\0\0\0A"):
        columns["Note"] = pa.array([b"1", b"2", other])
        outcome = deliver(engine, landed(parquet(tmp_path, columns, row_group_size=1)))
        assert outcome.refused == [
            f"shop/things/{DAY}/a.parquet: a.parquet has a column Note of bytes that are not UTF-8 "
            "text; deliver it as text."
        ]


def test_moments_of_any_year_in_the_old_format_are_read_as_they_are(engine, tmp_path):
    days = [datetime(year, 6, 1) for year in (1, 1500, 2600, 9999)]
    moments = pa.array(days, pa.timestamp("us"))
    path = parquet(
        tmp_path, things(moments, moments, moments), use_deprecated_int96_timestamps=True
    )
    assert [row["id"] for row in deliver(engine, landed(path)).rows] == [
        f"{day.year:04}-06-01T00:00:00" for day in days
    ]
