"""Columns and attributes that are new, gone, renamed or in another order are reported by name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse_assets_tests.ingest.samples import DAY, THINGS, deliver, landed

ADDITIVE = replace(THINGS, additive=True)
REMEDY = (
    "; deliver it with the declared columns, ID, Name, Note, or change the dataset's declaration."
)
NO_HEADER = (
    "a.csv has no header: its first line has none of the declared columns; begin the file "
    "with the header ID,Name,Note and deliver it again."
)
RETURNS = (
    "a.csv ends its lines with carriage returns alone; export it with line feeds (LF or CRLF), and "
    "deliver it again."
)
SEMICOLONS = (
    "a.csv seems to be separated by ';' instead of commas; declare separator=';' in its dataset "
    "(and decimal_comma=True for numbers like 1.234,56), or export it as declared, and deliver it "
    "again."
)


@pytest.fixture
def file(tmp_path):
    def written(content: str | bytes, name: str = "a.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return landed(path)

    return written


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("ID,Name\n1,2\n", "a.csv lacks the column Note" + REMEDY),
        ("ID,Name,Note,X\n1,2,3,4\n", "a.csv has a new column X" + REMEDY),
        ("ID,Name,Note,\n1,2,3,\n", "a.csv has a new column (without a name)" + REMEDY),
        (
            "ID,Name,Text\n1,2,3\n",
            "a.csv lacks the column Note and has a new column Text (renamed?)" + REMEDY,
        ),
        (
            "ID,name,Note\n1,2,3\n",
            "a.csv lacks the column Name and has a new column name (renamed?)" + REMEDY,
        ),
        ("ID,ID,Name,Note\n1,1,2,3\n", "a.csv has the column ID twice" + REMEDY),
        (
            "Name,ID,Note\n1,2,3\n",
            "a.csv has its columns in a different order: column 1 is Name instead of ID; "
            "deliver them in the declared order.",
        ),
        ("ID;Name;Note\n1;2,5;3\n", SEMICOLONS),
        ("ID;Name;Note;New\n1;2,5;3;4\n", SEMICOLONS),
        (
            "ID\tName\tNote\n1\t2\t3\n",
            SEMICOLONS.replace("by ';'", "by tabs").replace("=';'", "='\\t'"),
        ),
        ("\nID,Name,Note\n1,2,3\n", NO_HEADER),
        ("ID,Name,Note\r1,2,3\r", RETURNS),
        ("sep=,\nID,Name,Note\n1,2,3\n", NO_HEADER),
        ("1,2,3\n4,5,6\n", NO_HEADER),
        ('"ID\n",Name,Note\n1,2,3\n', "a.csv lacks the column Name, Note" + REMEDY),
        ("ID,Name,Note\n", "a.csv has a header but no rows; deliver it again with its rows."),
        ("ID,Name,Note", "a.csv has a header but no rows; deliver it again with its rows."),
        ("ID,Name,Note\r\n\r\n", "a.csv has a header but no rows; deliver it again with its rows."),
    ],
)
def test_wrong_headers_are_refused_by_name(engine, file, content, sentence):
    outcome = deliver(engine, file(content))
    assert (outcome.rows, outcome.delivered) == ([], {})
    (line, text, reason) = outcome.bad[0]
    assert (line, text) == (0, None)
    assert reason.startswith(sentence)


def test_a_long_first_line_does_not_make_a_long_sentence(engine, file):
    assert len(deliver(engine, file("x" * 200_000 + "\n1\n")).refused[0]) < 400


@pytest.mark.parametrize(
    "content", ["ID,Name,Note\n1,2,", "\ufeffID,Name,Note\r\n1,2,", '"ID", Name ,Note\n1,2,\n']
)
def test_right_headers(engine, file, content):
    assert deliver(engine, file(content)).values == [(1, "1", "2", None)]


def test_a_file_without_header_that_is_not_separated_by_commas(engine, file):
    bare = replace(THINGS, header=False)
    semicolons = "".join(f"{n};2,5;x\n" for n in range(200))
    assert deliver(engine, file(semicolons), dataset=bare).bad == [(0, None, SEMICOLONS)]
    assert deliver(engine, file("1,2,3\r4,5,6\r"), dataset=bare).bad == [(0, None, RETURNS)]
    # A semicolon in a value is text, and so is a carriage return.
    assert deliver(engine, file('1,2,"a\rb,c"\n'), dataset=bare).values == [(1, "1", "2", "a\rb,c")]
    assert deliver(engine, file("1;2;3,b,c\n"), dataset=bare).values == [(1, "1;2;3", "b", "c")]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_declared(engine, file, separator):
    other = replace(THINGS, separator=separator)
    excel = f'\ufeffID,Name,Note\r\n1,"2,5{separator} x","y ""z"""\r\n2,,\r\n'
    text = excel.replace(",", separator).replace(f"2{separator}5", "2,5")
    rows = [(1, "1", f"2,5{separator} x", 'y "z"'), (2, "2", None, None)]
    assert deliver(engine, file(text), dataset=other).values == rows
    bare = replace(other, header=False)
    assert deliver(engine, file(text.split("\r\n", 1)[1]), dataset=bare).values == rows
    commas = file("ID,Name,Note\n1,2,3\n")
    called = "tabs" if separator == "\t" else f"'{separator}'"
    reason = deliver(engine, commas, dataset=other).bad[0][2]
    assert reason.startswith(f"a.csv seems to be separated by commas instead of {called}; declare ")


def test_decimal_commas_are_for_csv_only(engine, file):
    german = replace(THINGS, separator=";", decimal_comma=True)
    (refused,) = deliver(engine, file('{"ID": 1}', "a.json"), dataset=german).refused
    assert "a.json is not a CSV file, but shop/things declares decimal commas" in refused


def additive_files(file):
    yield file("New,Note,ID,Name\n9,c,1,b\n8,,2,\n", "a.csv")
    lines = [{"ID": 1, "Name": "b", "Note": "c", "New": 9}, {"ID": 2, "Name": None, "New": [1]}]
    yield file("\n".join(map(json.dumps, lines)), "a.jsonl")
    table = {"New": [9, 8], "ID": [1, 2], "Name": ["b", None], "Note": ["c", None]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table), sink)
    yield file(sink.getvalue().to_pybytes(), "a.parquet")


def test_an_additive_dataset_takes_new_attributes_and_says_so(engine, file):
    for landed_file in additive_files(file):
        outcome = deliver(engine, landed_file, dataset=ADDITIVE)
        assert outcome.values == [(1, "1", "b", "c"), (2, "2", None, None)], landed_file.name
        assert outcome.undeclared == [
            f"new attribute New in 2 of 2 records of {DAY}, whose values bronze does not store"
        ]
        assert outcome.complete
        # What is declared is still needed, and of one type.
        strict = deliver(engine, landed_file)
        assert strict.rows == []
        assert "New" in strict.rejects[0]["reason"]
    assert "lacks the column Note" in deliver(
        engine, file("ID,Name,New\n1,2,3\n"), dataset=ADDITIVE
    ).refused[0]  # fmt: skip


def test_attributes_of_json_are_counted_by_name(engine, file, tmp_path):
    records = [{"ID": n, "Name": "x", "Note": "y", "loyalty_card": n} for n in range(4)]
    outcome = deliver(engine, file(json.dumps(records), "a.json"))
    new = f"new attribute loyalty_card in 4 of 4 records of {DAY}, which are rejected"
    assert (outcome.undeclared, len(outcome.bad)) == ([new], 4)
    # Renamed: one is new and the other gone. An attribute that some records leave out is not gone.
    text = "\n".join(['{"ID":1,"Label":"x"}', '{"ID":2,"Label":"y","Note":""}'])
    outcome = deliver(engine, file(text, "b.json"), dataset=ADDITIVE)
    assert outcome.undeclared == [
        f"new attribute Label in 2 of 2 records of {DAY}, whose values bronze does not store",
        f"missing attribute Name in 2 of 2 records of {DAY}",
    ]
    other = file(text, "b.json").local
    files = [landed(other), landed(other, DAY + timedelta(days=1))]
    assert deliver(engine, *files, dataset=ADDITIVE).undeclared == [
        f"new attribute Label in 4 of 4 records (since {DAY}), whose values bronze does not store",
        f"missing attribute Name in 4 of 4 records (since {DAY})",
    ]
