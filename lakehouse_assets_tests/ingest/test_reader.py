"""Delivered files become bronze rows and rejects, and nothing is lost between them."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import json
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakehouse_assets.catalog.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.engine import F
from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest import csv_records, reader
from lakehouse_assets.ingest.reader import partition_value, read_delivery
from lakehouse_assets.ingest.records import Malformed, Record
from lakehouse_assets.lake.schema import arrow_schema, differences
from lakehouse_assets_tests.ingest.samples import (
    BARE,
    DAY,
    FIELDS,
    HEADER,
    INGESTED,
    THINGS,
    StrictReader,
    deliver,
    deliver_bytes,
    deliver_each,
    landed,
    records_of_csv,
)

MARK = b"\xef\xbb\xbf"

TOO_FEW = "{} columns where 3 are expected".format
ONE = (1, "1", "2", "3")
_MANY = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def body(*lines: str, end: str = "\n") -> bytes:
    return end.join([HEADER, *lines, ""]).encode()


def test_rows_and_rejects_carry_their_provenance(engine, tmp_path):
    content = body("1,ü,x", "oops", "2,,  y ", "4,5,6,7")
    outcome = deliver_bytes(engine, tmp_path, content)
    provenance = {
        "_source_file": "shop/things/2014-03-31/a.csv",
        "_file_sha256": hashlib.sha256(content).hexdigest(),
        "_ingested_at": INGESTED,
        "_file_version": landed(tmp_path / "a.csv").fingerprint,
        "_file_records": 4,
        "delivered_on": DAY,
    }
    assert outcome.rows == [
        {"id": "1", "name": "ü", "note": "x", "_row_number": 1, **provenance},
        {"id": "2", "name": None, "note": "  y ", "_row_number": 3, **provenance},
    ]
    assert outcome.rejects == [
        {"line_number": 3, "raw_text": "oops", "reason": TOO_FEW(1), **provenance},
        {"line_number": 5, "raw_text": "4,5,6,7", "reason": "more than 3 columns", **provenance},
    ]
    assert (outcome.refused, outcome.delivered) == ([], {DAY: 4})


def test_frames_fit_their_tables(engine, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(body("1,2,3", "oops"))
    lines = tmp_path / "b.jsonl"
    lines.write_bytes(b'{"ID":"1"}\n')
    for files in ([landed(path)], [landed(lines)], [landed(path), landed(lines)], []):
        with engine.scope():
            found = read_delivery(THINGS, files, engine, INGESTED)
            for table, frame in ((bronze_table, found.rows), (rejects_table, found.rejects)):
                schema = engine.arrow_stream(frame).schema
                assert schema.names == arrow_schema(table(THINGS)).names
                assert differences(table(THINGS).columns, schema) == []


def test_months(engine, tmp_path):
    monthly = Dataset(
        domain="shop", name="things", grain="month", columns=THINGS.columns, description="A thing.",
        owner="team:shop",
    )  # fmt: skip
    path = tmp_path / "a.csv"
    path.write_bytes(body("1,2,3", "x"))
    outcome = deliver(engine, landed(path), landed(path, date(2014, 2, 28)), dataset=monthly)
    assert partition_value(monthly, DAY) == date(2014, 3, 1)
    assert [(r["delivered_on"], r["snapshot_month"]) for r in outcome.rows + outcome.rejects] == [
        (date(2014, 2, 28), date(2014, 2, 1)), (DAY, date(2014, 3, 1)),
    ] * 2  # fmt: skip
    assert outcome.delivered == {date(2014, 2, 1): 2, date(2014, 3, 1): 2}


def test_marks_line_ends_and_packing(engine, tmp_path):
    contents = [
        mark + body("1,é,3", "bad", "4,5,6", end=end)
        for mark in (b"", MARK)
        for end in ("\n", "\r\n")
    ]
    plain = deliver_each(engine, tmp_path, contents, ".csv")
    packed = deliver_each(engine, tmp_path, [*map(gzip.compress, contents)], ".csv.gz")
    for outcome in (*plain, *packed):
        assert outcome.values == [(1, "1", "é", "3"), (3, "4", "5", "6")]
        assert outcome.bad == [(3, "bad", TOO_FEW(1))]
        assert [*outcome.delivered.values()] == [3]


@pytest.mark.parametrize("chosen", ["engine", "spark_engine"])
def test_both_engines_take_rows_and_rejects(chosen, request, tmp_path):
    engine = request.getfixturevalue(chosen)
    packed = gzip.compress(body("1,2,3")) + gzip.compress(b"4,5,6\n")
    (tmp_path / "a.csv.gz").write_bytes(packed + b"\0" * 3000)
    (tmp_path / "b.csv").write_bytes(body('7,"8\n",9', "bad"))
    (tmp_path / "c.csv").write_bytes(b"")
    outcome = deliver(engine, *(landed(tmp_path / name) for name in ("a.csv.gz", "b.csv", "c.csv")))
    assert outcome.values == [(1, "1", "2", "3"), (2, "4", "5", "6"), (1, "7", "8\n", "9")]
    empty = (0, None, "c.csv is empty; deliver it again with its rows.")
    assert (outcome.bad, outcome.complete) == ([(4, "bad", TOO_FEW(1)), empty], True)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("a.json", "json_records.json_records"),
        ("a.csv", "reader.columns_of_header"),
        ("a.parquet", "parquet_records.ParquetReader"),
    ],
)
def test_a_reader_that_breaks_refuses_its_file_and_the_others_go_on(
    engine, tmp_path, monkeypatch, name, broken
):
    def breaks_late(*_):
        yield from [Record(n, ("9", None, None)) for n in range(1, 4)]
        yield Malformed(4, "x", "bad")
        raise RuntimeError("too odd")

    def breaks(*_):
        raise RuntimeError("too odd")

    monkeypatch.setattr(reader, "_ROWS", 2)
    instead = breaks_late if name == "a.json" else breaks
    monkeypatch.setattr(f"lakehouse_assets.ingest.{broken}", instead)
    files = {"a.csv": body("1,2,3"), "a.json": b'{"ID":1}'}
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    pq.write_table(pa.table({field: ["1"] for field in FIELDS}), tmp_path / "a.parquet")
    outcome = deliver(engine, *[landed(tmp_path / file) for file in (*files, "a.parquet")])
    sentence = f"{name} cannot be read (RuntimeError: too odd); check the file and deliver it again"
    assert outcome.bad == [(0, None, f"{sentence}.")]
    assert outcome.refused == [f"shop/things/{DAY}/{name}: {sentence}."]
    assert [row["id"] for row in outcome.rows] == ["1", "1"]
    assert outcome.delivered == {DAY: 2}


def test_a_fault_that_passes_is_no_reject(engine, tmp_path, monkeypatch):
    def busy(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(reader, "Content", busy)
    with pytest.raises(FileRefusedError, match="Input/output"):
        deliver_bytes(engine, tmp_path, body("1,2,3"))


def test_refused_files_are_named_and_the_others_go_on(engine, tmp_path):
    contents = {
        "a.csv": body("1,2,3"),
        "b.csv": b"ID,Note,Name\n1,2,3\n",
        "c.csv": "ID,Name,Note\n1,ü,3\n".encode("latin-1"),
        "d.csv": body(),
        "e.csv": b"",
        "f.xml": body("1,2,3"),
        "g.csv.gz": gzip.compress(body("1,2,3"))[:-6],
        "h.json": b'[{"ID":4}]',
        "i.csv": body("7,8,9"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    outcome = deliver(engine, *(landed(tmp_path / name) for name in contents))
    assert [(r["_source_file"][-5:], r["id"]) for r in outcome.rows] == [
        ("a.csv", "1"), (".json"[-5:], "4"), ("i.csv", "7"),
    ]  # fmt: skip
    starts = {
        "b.csv": "b.csv has its columns in a different order: column 2 is Note instead of Name;",
        "c.csv": "c.csv is not UTF-8 text: byte 0xfc in line 2 is not valid;",
        "d.csv": "d.csv has a header but no rows;",
        "e.csv": "e.csv is empty;",
        "f.xml": "f.xml has no known file extension;",
        "g.csv.gz": "g.csv.gz is named .gz but cannot be unpacked:",
    }
    assert len(outcome.refused) == len(outcome.rejects) == len(starts)
    for sentence, row, (name, start) in zip(
        outcome.refused, outcome.rejects, starts.items(), strict=True
    ):
        assert sentence == f"shop/things/2014-03-31/{name}: {row['reason']}"
        assert row["reason"].startswith(start)
        assert row["reason"].count(". ") == 0
        assert (row["line_number"], row["raw_text"], row["_file_sha256"]) == (0, None, None)
        assert row["delivered_on"] == DAY
    assert outcome.delivered == {DAY: 3}
    assert outcome.complete


def test_names_that_look_like_patterns(engine, tmp_path):
    names = ("a*.csv", "a1.csv", "a[1].csv", "it's ü.csv", "k=v.csv")
    for name in names:
        (tmp_path / name).write_bytes(body(f'"{name}",2,3'))
    outcome = deliver(engine, *(landed(tmp_path / name) for name in names))
    assert outcome.values == [(1, name, "2", "3") for name in names]


def test_long_values_and_lines_are_kept(engine, tmp_path):
    long = "x" * 3_000_000
    outcome = deliver_bytes(engine, tmp_path, body(f"1,{long},3", "4,5,6", "y" * 20_000))
    assert outcome.values == [(1, "1", long, "3"), (2, "4", "5", "6")]
    assert outcome.bad == [(4, "y" * 20_000, TOO_FEW(1))]


def test_many_files_at_once_keep_their_numbers(engine, tmp_path):
    files, want, bad = [], [], []
    for index in range(12):
        lines = []
        for number in range(1, 60):
            if (number * 7 + index) % 11 == 0 and index % 3:
                lines.append(f"bad {index}")
                bad.append((f"{index:02}.csv", number + 1))
            else:
                lines.append(f"{index},{number},x")
                want.append((f"{index:02}.csv", number, str(index), str(number)))
        path = tmp_path / f"{index:02}.csv"
        path.write_bytes(body(*lines, end="\r\n" if index % 2 else "\n"))
        files.append(landed(path))
    outcome = deliver(engine, *reversed(files))
    found = [(r["_source_file"][-6:], r["_row_number"], r["id"], r["name"]) for r in outcome.rows]
    assert found == want
    assert [(r["_source_file"][-6:], r["line_number"]) for r in outcome.rejects] == bad
    assert outcome.delivered == {DAY: 12 * 59}


def test_rows_that_arrows_parser_loses_are_noticed(engine, tmp_path, monkeypatch):
    parsed = csv_records._parsed
    monkeypatch.setattr(csv_records, "_parsed", lambda *a: (parsed(*a)[0].slice(1), []))
    outcome = deliver_bytes(engine, tmp_path, body("1,2,3", "4,5,6", "7,8,9"))
    assert [row["_row_number"] for row in outcome.rows] == [1, 2, 3]


def test_regular_text_is_not_read_record_by_record(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(csv_records.CsvReader, "_strict", None)
    outcome = deliver_bytes(
        engine,
        tmp_path,
        body('1,"a\n\n,b","""q"""', "", "bad", "4,5,6,7", "x,23,4"),
    )
    assert outcome.values == [(1, "1", "a\n\n,b", '"q"'), (4, "x", "23", "4")]
    assert [line for line, *_ in outcome.bad] == [6, 7]


def test_a_file_of_several_blocks(engine, tmp_path):
    """Numbers and lines stay right where blocks end, also within quoted values."""
    path = tmp_path / "a.csv"
    count, line, bad = 70_000, 1, []
    pad = "p" * 90
    with path.open("w", newline="", encoding="utf-8") as out:
        out.write(HEADER + "\n")
        for number in range(1, count + 1):
            line += 1
            if number % 9_999 == 0:
                bad.append((line, f"bad {number}", TOO_FEW(1)))
                out.write(f"bad {number}\n")
            elif number % 109 == 0:
                out.write(f'{number},"{pad}\n, ""q"" \n",é\n')
                line += 2
            else:
                out.write(f"{number},{pad},é\n")
    assert path.stat().st_size > 6 << 20
    with engine.scope():
        found = read_delivery(THINGS, [landed(path)], engine, INGESTED)
        wrong = found.rows.filter(
            (F.col("id").cast("bigint") != F.col("_row_number")) | (F.col("note") != F.lit("é"))
        )
        assert engine.rows(wrong.limit(3)) == []
        total = found.rows.agg(F.count(F.lit(1)).alias("n"), F.sum("_row_number").alias("s"))
        (sums,) = engine.rows(total)
        rejects = engine.rows(found.rejects)
    lost = [number for number in range(1, count + 1) if number % 9_999 == 0]
    assert sums["n"] == count - len(lost)
    assert int(sums["s"]) == count * (count + 1) // 2 - sum(lost)
    assert sorted((r["line_number"], r["raw_text"], r["reason"]) for r in rejects) == bad
    assert found.delivered == {DAY: count}


hostile = st.one_of(
    st.sampled_from(["", " ", '"', '""', ",", "\n", "\n\n", "\r\n", "a,b", 'a"b', "'", "\\", "NULL",
                     "\u3000", "\ufeff", "\u2028", "#", "-", " x ", ' "x"']),
    # Python 3.11 writes a carriage return without quotes, and before a line feed it ends a line.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6).map(
        lambda cell: cell.rstrip("\r")
    ),
)  # fmt: skip
tables = st.lists(st.tuples(hostile, hostile, hostile), min_size=1, max_size=15)
broken = st.sampled_from(["x", "1,2", "1,2,3,4", "1,2,3,4,5", " ", "é", "'"])


@st.composite
def written_files(draw):
    """Draw a CSV file as Python writes it, with its rows and malformed lines."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=end, quoting=quoting)
    out.write(HEADER + end)
    want, bad = [], []
    for number, row in enumerate(draw(tables), start=1):
        if draw(st.integers(0, 3)) == 0:
            text = draw(broken)
            bad.append((out.getvalue().count("\n") + 1, text))
            out.write(text + end)
        else:
            writer.writerow(row)
            want.append((number, *(cell or None for cell in row)))
    content = out.getvalue()
    if draw(st.booleans()):
        content = content.removesuffix(end)
    return content.encode(), want, bad


def without_header(content: bytes) -> bytes:
    rows = content.partition(b"\n")[2]
    # A value that begins with the sign of a mark needs a mark before it, or it is taken for one.
    mark = MARK if content.startswith(MARK) or rows.startswith(MARK) else b""
    return mark + rows


def test_the_first_line_of_a_file_without_header_is_data(engine, tmp_path):
    lines = ["1,2,3", "bad", '"é","a,b",6', "7,8", "9,9,9", "", "ID,Name,Note"]
    contents = [
        mark + end.join([*lines, ""]).encode() for mark in (b"", MARK) for end in ("\n", "\r\n")
    ]
    for outcome in deliver_each(engine, tmp_path, contents, ".txt", BARE):
        assert outcome.values == [
            (1, "1", "2", "3"), (3, "é", "a,b", "6"), (5, "9", "9", "9"), (6, "ID", "Name", "Note"),
        ]  # fmt: skip
        assert outcome.bad == [(2, "bad", TOO_FEW(1)), (4, "7,8", TOO_FEW(2))]
        assert ([*outcome.delivered.values()], outcome.refused) == ([6], [])


def test_only_malformed_or_empty_lines_without_header(engine, tmp_path):
    contents = [b"bad\n", b"bad", b"\n1,2,3\nbad\n", b"\r\n\r\n1,2,3\r\n", b" \n", b"\n\n"]
    outcomes = deliver_each(engine, tmp_path, contents, ".csv", BARE)
    assert [outcome.values for outcome in outcomes] == [[], [], [ONE], [ONE], [], []]
    assert [outcome.bad[:1] for outcome in outcomes[:3]] == [
        [(1, "bad", TOO_FEW(1))], [(1, "bad", TOO_FEW(1))], [(3, "bad", TOO_FEW(1))],
    ]  # fmt: skip
    assert [bool(outcome.refused) for outcome in outcomes] == [False] * 4 + [True] * 2
    assert all(outcome.complete for outcome in outcomes)


def test_a_mark_is_taken_off_once_with_a_header_or_without(engine, tmp_path):
    row = "\ufeff1,2,3\n".encode()
    named = deliver_each(engine, tmp_path, [f"{HEADER}\n".encode() + row], ".csv")
    bare = deliver_each(engine, tmp_path, [MARK + row], ".csv", BARE)
    assert [o.values for o in (*named, *bare)] == [[(1, "\ufeff1", "2", "3")]] * 2


@_MANY
@given(st.lists(st.tuples(written_files(), st.booleans()), min_size=8, max_size=8))
def test_what_python_writes_is_read_with_a_header_and_without(engine, tmp_path, files):
    contents = [MARK * marked + content for (content, _, _), marked in files]
    named = deliver_each(engine, tmp_path, contents, ".csv")
    bare = deliver_each(engine, tmp_path, [*map(without_header, contents)], ".csv", BARE)
    for one, other, ((_, want, bad), _) in zip(named, bare, files, strict=True):
        assert one.values == want
        assert [(line, text) for line, text, _ in one.bad] == bad
        assert ([*one.delivered.values()], one.refused) == ([len(want) + len(bad)], [])
        if other.refused:
            # Nothing but blanks is an empty file.
            assert want in ([], [(1, None, None, None)])
            continue
        assert other.values == one.values
        assert other.bad == [(line - 1, text, reason) for line, text, reason in one.bad]
        assert (other.complete, other.delivered) == (True, one.delivered)


@_MANY
@given(
    st.lists(
        st.tuples(
            st.lists(
                st.sampled_from(["a", "é", " ", ",", ",", ",", '"', '"', "END", "END"]), max_size=40
            ),
            st.sampled_from(["\n", "\r\n"]),
        ),
        min_size=16,
        max_size=16,
    )
)
def test_both_ways_to_read_agree_on_any_text(engine, tmp_path, files):
    contents = [
        f"{HEADER}END1,2,3END{''.join(signs)}".replace("END", end).encode() for signs, end in files
    ]
    for index, outcome in enumerate(deliver_each(engine, tmp_path, contents, ".csv")):
        records = records_of_csv(tmp_path / f"{index:03}.csv", 3, kind=StrictReader)
        assert outcome.values == [(r.number, *r.values) for r in records if isinstance(r, Record)]
        assert outcome.bad == [
            (r.line, r.text, r.reason) for r in records if isinstance(r, Malformed)
        ]
        assert outcome.complete


def test_json_and_csv_of_one_table_are_the_same(engine, tmp_path):
    rows = [("1", "ü", "a,b"), ("2", None, "c\nd")]
    names = [field.source for field in THINGS.fields]
    as_json = [dict(zip(names, row, strict=True)) for row in rows]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([names, *rows])
    want = [(number, *row) for number, row in enumerate(rows, start=1)]
    lines = "\n".join(map(json.dumps, as_json)).encode()
    assert deliver_bytes(engine, tmp_path, out.getvalue().encode()).values == want
    assert deliver_bytes(engine, tmp_path, json.dumps(as_json).encode(), "a.json").values == want
    assert deliver_bytes(engine, tmp_path, gzip.compress(lines), "a.jsonl.gz").values == want
