"""The CSV grammar, of both ways to read it."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.ingest.csv_records import CsvReader
from lakehouse_assets.ingest.records import Malformed, Record
from lakehouse_assets_tests.ingest.samples import StrictReader, records_of_csv

TOO_FEW = "1 columns where 2 are expected"
TOO_MANY = "more than 2 columns"
NOT_CLOSED = "a quoted value is not closed"
TEXT_AFTER = "text follows the quote that closes a value"


@pytest.fixture(params=[CsvReader, StrictReader])
def split(request, tmp_path):
    def records(content: bytes, fields: int = 2, name: str = "a.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return records_of_csv(path, fields, kind=request.param)

    return records


def good(*rows: tuple[str | None, ...]) -> list[Record]:
    return [Record(number, row) for number, row in enumerate(rows, start=1)]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"1,2\n3,4", [("1", "2"), ("3", "4")]),
        (b"1,2\r\n3,4\n5,6\r\n", [("1", "2"), ("3", "4"), ("5", "6")]),
        (b"1,x\ry\n", [("1", "x\ry")]),
        (b"\n1,2\n\r\n\n3,4\n\n", [("1", "2"), ("3", "4")]),
        (b",\n1,\n,2\n", [(None, None), ("1", None), (None, "2")]),
        (b'"",""\n', [(None, None)]),
        (b'"a,b","c""d"\n', [("a,b", 'c"d')]),
        (b'"1\n\n2","3\r\n4"\n5,6\n', [("1\n\n2", "3\r\n4"), ("5", "6")]),
        (b'a"b,c"\n', [('a"b', 'c"')]),
        (b' "x" , y\n  "x",y\n', [("x", " y"), ('  "x"', "y")]),
        (b'1,2,\n1,2,,,\n1,2,""\n', [("1", "2")] * 3),
        ("é,\u3000\n".encode(), [("é", "\u3000")]),
        # Nothing is guessed: text stays as it was delivered.
        (b"NULL,\\N\nNaN,007\n", [("NULL", "\\N"), ("NaN", "007")]),
        (b'"""a"" ""b""",2\n', [('"a" "b"', "2")]),
    ],
)
def test_sound_text(split, body, rows):
    assert split(b"a,b\n" + body) == good(*rows)


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b"1\n2,3\n", [Malformed(2, "1", TOO_FEW), Record(2, ("2", "3"))]),
        (b"1,2,3\n", [Malformed(2, "1,2,3", TOO_MANY)]),
        (b'"x\ny"\n2,3\n', [Malformed(2, '"x\ny"', TOO_FEW), Record(2, ("2", "3"))]),
        (b'"5"x,6\n7,8\n', [Malformed(2, '"5"x,6', TEXT_AFTER), Record(2, ("7", "8"))]),
        (
            b'1,2\n"3,4\n5,6\n7,8\n',
            [
                Record(1, ("1", "2")),
                Malformed(3, '"3,4', NOT_CLOSED),
                Record(3, ("5", "6")),
                Record(4, ("7", "8")),
            ],
        ),
        (
            b'"3,4\n5,6\n"7",8\n',
            [Malformed(2, '"3,4', TEXT_AFTER), Record(2, ("5", "6")), Record(3, ("7", "8"))],
        ),
        (b'"a" "b",2\n', [Malformed(2, '"a" "b",2', TEXT_AFTER)]),
        (b"1,2\n\n3", [Record(1, ("1", "2")), Malformed(4, "3", TOO_FEW)]),
        (b" \n1,2\n", [Malformed(2, " ", TOO_FEW), Record(2, ("1", "2"))]),
    ],
)
def test_malformed_lines_cost_nobody_else(split, body, want):
    assert split(b"a,b\n" + body) == sorted(want, key=lambda r: isinstance(r, Malformed))


def test_lines_after_a_quoted_break_keep_their_physical_number(split):
    assert split(b'a,b\n"1\n2\n3",4\nbad\n')[1] == Malformed(5, "bad", TOO_FEW)


def test_marks_and_packing(split):
    content = b"\xef\xbb\xbfa,b\n1,2\n"
    assert split(content) == good(("1", "2"))
    assert split(gzip.compress(content), name="a.csv.gz") == good(("1", "2"))


def test_one_column(split):
    assert split(b"a\n1\n\n2\n", fields=1) == good(("1",), (None,), ("2",))


cells = st.text(
    st.one_of(
        st.sampled_from(' ,;\t"\n\r'),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=6,
).map(lambda cell: cell.rstrip("\r"))  # before a line feed it would end the line


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=10),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    separator=st.sampled_from(",;\t|"),
)
def test_what_python_writes_is_read(tmp_path_factory, rows, end, quoting, separator):
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=end, quoting=quoting, delimiter=separator)
    writer.writerows([("a", "b", "c"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(out.getvalue().encode())
    want = good(*(tuple(cell or None for cell in row) for row in rows))
    for kind in (CsvReader, StrictReader):
        assert records_of_csv(path, 3, kind=kind, separator=separator) == want
