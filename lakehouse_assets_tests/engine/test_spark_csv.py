"""CSV files on Spark: row for row what the embedded engine makes of them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import CsvFile, Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ingest import reader
from lakehouse_assets.ingest.csv_records import csv_records
from lakehouse_assets.ingest.records import Malformed, Record
from lakehouse_assets_tests.ingest.samples import (
    BARE,
    HEADER,
    THINGS,
    Outcome,
    deliver,
    deliver_each,
    landed,
)

CONTENTS = [
    "1,2,3\n4,5,6",
    "1,2,3\n4,5",
    "1,2,3\n\n4,5,6\n\n",
    "bad\n\n4,5,6\n",
    "\nbad\n4,5,6\n",
    "1,2,3\n\n  \n4,5,6",
    '"1\n\n2","a,b","""q"""\nbad\n4,5,6',
    '"1\n2","a,b","""q"""\nbad\n4,5,6',
    '1,2"3,4"\n5,6,7',
    '"1"x,2,3\n5,6,7',
    '1,"2,3\n5,6,7\n8,9,10',
    '"a" "b",2,3',
    '"""a"" ""b""",2,3',
    "1,2,3\r\n4,5,6",
    "1,2\r2,3\n4,5,6",
    "1,2,3,\n,,,,,",
    "NULL,\\N,#x\nNaN,1e3,007",
    ',,\n"","",""',
    ' "x" , y,z\n  "x",y,z\n "x"y,z,1',
    '1,2,3,""\n1,2,3, ""\n1,2,3,"x"',
    "'1','2','3'\n1,2 3,\u3000\n\ufeff1,\u2028,\u2029\n\x0b,\x85,\x1c",
    "1,2,3\n" * 50 + "bad\n" + "4,5,6\n" * 50,
    'a,"b\n",c\n1,"2",3',
    '5" disk,"abc\n",1',
    '"a""b","c","""d"""\n"""",",",""',
    "-,-,-",
]


@dataclass
class Fallbacks:
    """Names of the files that were split record by record."""

    names: list[str]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Fallbacks:
    used = Fallbacks([])

    def splitting(path: Path, *shape: Any) -> Any:
        used.names.append(path.name)
        return csv_records(path, *shape)

    monkeypatch.setattr(reader, "csv_records", splitting)
    return used


def outcomes(
    engine: Engine,
    folder: Path,
    contents: Sequence[bytes],
    suffix: str = ".csv",
    dataset: Dataset = THINGS,
) -> list[Outcome]:
    folder.mkdir(exist_ok=True)
    current.activate(engine)
    return deliver_each(engine, folder, contents, suffix, dataset)


def test_both_engines_make_the_same_of_every_file(spark_engine, tmp_path, slow):
    ends = ("\n", "\r\n")
    contents = [
        f"{HEADER}{end}{content.replace(chr(10), end) if end != ends[0] else content}".encode()
        for content in CONTENTS
        for end in ends
    ]
    contents += [b"\xef\xbb\xbf" + content for content in contents[:4]]
    contents += [f'{HEADER}\n1,{"x" * 12_000},3\n1,"{"y" * 12_000}",3\n'.encode()]
    here = outcomes(start_engine(), tmp_path, contents)
    slow.names.clear()
    there = outcomes(spark_engine, tmp_path, contents)
    for content, one, other in zip(contents, here, there, strict=True):
        assert other.complete
        assert (other.rows, other.rejects) == (one.rows, one.rejects), content
        assert (other.delivered, other.refused) == (one.delivered, one.refused), content
    # Records of several lines are what Spark leaves to the splitter, besides odd line ends.
    assert len(set(slow.names)) < len(contents) / 2


def test_both_engines_make_the_same_of_files_without_header(spark_engine, tmp_path, slow):
    contents = [content.encode() for content in CONTENTS]
    contents += [b"\xef\xbb\xbf" + content for content in (*contents[:4], b'"a,b",2,3\nbad')]
    here = outcomes(start_engine(), tmp_path, contents, dataset=BARE)
    slow.names.clear()
    there = outcomes(spark_engine, tmp_path, contents, dataset=BARE)
    for content, one, other in zip(contents, here, there, strict=True):
        assert other.complete
        assert (other.rows, other.rejects) == (one.rows, one.rejects), content
        assert (other.delivered, other.refused) == (one.delivered, one.refused), content
    assert len(set(slow.names)) < len(contents) / 2


def test_packed_files_and_odd_names(spark_engine, tmp_path, slow):
    content = f"{HEADER}\n1,é,3\nbad\n4,5,6\n".encode()
    names = ["a b.csv", "it's ü%20.csv", "k=v#1.csv", "a,b.csv", "a;b.csv.gz", "x.csv.gz", "_h.csv",
             ".h.csv", "a[1].csv", "a*.csv", "{a,b}.csv", "a:b.csv", "back\\slash.csv",
             "L.CSV.GZ"]  # fmt: skip
    for name in names:
        packed = name.lower().endswith(".gz")
        (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    outcome = deliver(spark_engine, *(landed(tmp_path / name) for name in names))
    for name in names:
        rows = [row for row in outcome.rows if row["_source_file"].endswith(f"/{name}")]
        bad = [row for row in outcome.rejects if row["_source_file"].endswith(f"/{name}")]
        assert [(r["_row_number"], r["id"], r["name"]) for r in rows] == [
            (1, "1", "é"), (3, "4", "5"),
        ]  # fmt: skip
        assert [(r["line_number"], r["raw_text"]) for r in bad] == [(3, "bad")]
    assert sorted(slow.names) == sorted(names[6:])


def test_numbers_are_right_over_many_small_blocks(spark_engine, tmp_path, slow):
    session = spark_engine.session
    kept = {name: session.conf.get(name) for name in (
        "spark.sql.files.maxPartitionBytes", "spark.sql.files.openCostInBytes"
    )}  # fmt: skip
    files = []
    for index, end in enumerate(("\n", "\r\n", "\n")):
        lines = [
            f"bad {n}" if n % 97 == 0 else "" if n % 41 == 0 else f'{n},"é{"," * (n % 9)}",ü'
            for n in range(1, 700)
        ]
        path = tmp_path / f"{index}.csv"
        path.write_bytes(end.join([HEADER, *lines, ""]).encode())
        files.append(landed(path))
    try:
        session.conf.set("spark.sql.files.maxPartitionBytes", "401")
        session.conf.set("spark.sql.files.openCostInBytes", "0")
        found = deliver(spark_engine, *files)
    finally:
        for name, value in kept.items():
            session.conf.set(name, value)
    assert slow.names == []
    for file in files:
        records = list(csv_records(file.path, 3))
        rows = [row for row in found.rows if row["_source_file"] == file.name]
        assert [(r["_row_number"], r["id"], r["name"], r["note"]) for r in rows] == [
            (r.number, *r.values) for r in records if isinstance(r, Record)
        ]
        bad = [row for row in found.rejects if row["_source_file"] == file.name]
        assert [(r["line_number"], r["raw_text"], r["reason"]) for r in bad] == [
            (r.line, r.text, r.reason) for r in records if isinstance(r, Malformed)
        ]


def test_one_column(spark_engine, tmp_path):
    single = Dataset(
        domain="shop", name="things", grain="day", owner="team:shop", description="A word.",
        fields=(Column("word", "string", "A word."),),
    )  # fmt: skip
    path = tmp_path / "a.csv"
    path.write_bytes(b"word\na\n\nb,c\nd\n")
    outcome = deliver(spark_engine, landed(path), dataset=single)
    assert [(r["_row_number"], r["word"]) for r in outcome.rows] == [(1, "a"), (2, None), (4, "d")]
    assert [(r["line_number"], r["raw_text"]) for r in outcome.rejects] == [(4, "b,c")]


def test_what_the_engine_returns(spark_engine, tmp_path):
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_bytes(b"a,b\n1,2\n3\n\n4,5\n")
    other.write_bytes(b'a,b\n"1\n",2\n')
    constants = {"f": "it's", "day": date(2014, 3, 31)}
    files = [CsvFile(path, constants, "\n"), CsvFile(other, constants, "\n")]
    read = spark_engine.read_csv(files, ["a", "b"])
    assert read.rows.columns == ["a", "b", "_row_number", "f", "day"]
    assert sorted(spark_engine.rows(read.rows), key=lambda row: row["a"]) == [
        {"a": "1", "b": "2", "_row_number": 1, **constants},
        {"a": "4", "b": "5", "_row_number": 3, **constants},
    ]
    (line,) = read.malformed
    assert (line.path, line.position, line.text) == (path, 8, "3")
    assert line.reason == "1 columns where 2 are expected"
    assert read.counts == {path: 2}
    assert read.unsure == {other}


def test_no_file_that_spark_vouches_for(spark_engine, tmp_path):
    path = tmp_path / "_a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    constants = {"f": "x", "day": date(2014, 3, 31)}
    read = spark_engine.read_csv([CsvFile(path, constants, "\n")], ["a", "b"])
    assert spark_engine.rows(read.rows) == []
    assert read.rows.columns == ["a", "b", "_row_number", "f", "day"]
    assert (read.malformed, read.counts, read.unsure) == ([], {}, {path})
