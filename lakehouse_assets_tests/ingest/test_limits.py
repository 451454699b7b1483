"""Files beyond a limit are refused by name in a sentence, in little memory; the others load."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.ingest.samples import (
    DAY,
    DOCUMENT_COLUMNS,
    FIELDS,
    HEADER,
    THINGS,
    deliver,
    deliver_bytes,
    landed,
)

SMALL = FileLimits(
    unpacked_bytes=40_000, line_bytes=9_000, record_bytes=12_000, field_bytes=8_000, columns=20,
    nesting=10, files_per_day=2,
)  # fmt: skip
LONG = "x" * 8_500
TWO = {"ID": LONG, "Name": LONG}


def table(compression: str = "snappy", use_dictionary: bool = True, **columns: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({**{name: ["1"] for name in FIELDS}, **columns}), sink,
        compression=compression, use_dictionary=use_dictionary, write_statistics=False,
    )  # fmt: skip
    return sink.getvalue().to_pybytes()


def csv(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


@pytest.mark.parametrize(
    ("name", "content", "setting", "says"),
    [
        ("a.csv", csv(*["1,2,3"] * 9000), "unpacked_bytes", "unpacks to more than"),
        ("a.csv.gz", gzip.compress(csv(*["1,2,3"] * 9000)), "unpacked_bytes", "unpacks to more"),
        ("a.csv", csv("1,2,3", f"1,{LONG},{LONG}"), "line_bytes", "in line 3"),
        ("a.csv", csv("1,2,3", f'1,"{LONG}",{LONG}'), "line_bytes", "has a line of "),
        ("a.csv", b"x" * 20_000, "line_bytes", "has a line of more than"),
        ("a.csv", csv(f'1,"{LONG}\n{LONG}",3'), "record_bytes", "has a record of "),
        ("a.csv", csv('1,"2', *["1,2,3"] * 5000), "record_bytes", "a quote that is not closed?"),
        ("a.csv", csv(f"1,{LONG},3"), "field_bytes", "has a value of 8,500 bytes"),
        ("a.csv", csv("1,2,3", "," * 20), "columns", "has 21 columns or more in line 3"),
        ("a.csv", csv("1,2,3", '"1"' + "," * 20), "columns", "has 21 columns or more in line 3"),
        ("a.csv", f"{HEADER}{',' * 18}\n".encode(), "columns", "has 21 columns"),
        ("a.json", json.dumps([{"ID": LONG}]).encode(), "field_bytes", "a value of 8,500 bytes"),
        ("a.json", json.dumps([TWO]).encode(), "record_bytes", "has a record of"),
        ("a.jsonl", json.dumps(TWO).encode(), "record_bytes", "has a record of"),
        ("a.json", b'[{"ID":"' + b"x" * 39_000, "record_bytes", "that is not closed?"),
        ("a.json", b'[{"ID":' + b"[" * 11 + b"]" * 11 + b"}]", "nesting", "in line 1 that is"),
        ("a.json", b"[" * 39_000 + b"}" * 900, "nesting", "nested 11 deep or more"),
        ("a.jsonl", b'{"ID":\n' * 5_000, "nesting", "nested 11 deep or more"),
        (
            "a.jsonl", b"".join(b'{"n%d":1}\n' % n for n in range(30)), "columns",
            "has 21 different attributes up to line 18",
        ),
        ("a.parquet", table(**{f"c{n}": ["1"] for n in range(18)}), "columns", "has 21 columns"),
        ("a.parquet", table(ID=["x" * 8_500]), "field_bytes", "value of 8,500 bytes in the column"),
        (
            "a.parquet", table(ID=pa.array(["x" * 8_500], pa.string_view())), "field_bytes",
            "value of 8,500 bytes in the column",
        ),
        (
            "a.parquet", table(ID=pa.array(["x" * 8_500], pa.json_())), "field_bytes",
            "value of 8,500 bytes in the column",
        ),
        ("a.pdf", b"%PDF-" + b"x" * 40_000, "unpacked_bytes", "has 40,005 bytes"),
    ],
)  # fmt: skip
def test_a_file_beyond_a_limit_is_refused_and_the_others_load(
    engine, tmp_path, name, content, setting, says
):
    dataset = THINGS
    if name.endswith("pdf"):
        dataset = replace(THINGS, documents=True, columns=DOCUMENT_COLUMNS)
    (tmp_path / name).write_bytes(content)
    (tmp_path / "good.csv").write_bytes(csv("1,2,3"))
    outcome = deliver(
        engine, landed(tmp_path / name), landed(tmp_path / "good.csv"), dataset=dataset,
        limits=SMALL,
    )  # fmt: skip
    ((line, text, reason),) = outcome.bad
    assert (line, text, outcome.refused) == (0, None, [f"shop/things/{DAY}/{name}: {reason}"])
    assert reason.startswith(f"{name} ")
    assert says in reason
    limit = f"{getattr(SMALL, setting):,}"
    assert reason.endswith(
        f', and the limit is {limit}; check the file, or raise "{setting}" in '
        "LAKEHOUSE_FILE_LIMITS."
    )
    assert [row["_source_file"].rpartition("/")[2] for row in outcome.rows] == ["good.csv"]
    assert outcome.complete
    # With another limit nothing is said of this one; the parser itself nests so deep at most.
    more = replace(SMALL, **{setting: 1 << 30})
    again = deliver_bytes(engine, tmp_path, content, name, dataset, more)
    assert setting == "nesting" or f'"{setting}"' not in str(again.bad)


def test_up_to_the_limits_files_are_read(engine, tmp_path):
    whole = csv(f"{'x' * 8_000},,", f'"{"é" * 4_000}","\n{"y" * 900}",') + b"," * 19 + b"\n"
    outcome = deliver_bytes(engine, tmp_path, whole, limits=replace(SMALL, line_bytes=8_010))
    assert [row["_row_number"] for row in outcome.rows] == [1, 2, 3]
    assert len(outcome.rows[1]["id"]) == 4_000
    nested = b'{"ID":1,"x":' + b"[" * 9 + b"]" * 9 + b"}\n"
    other = deliver_bytes(
        engine, tmp_path, nested, "a.jsonl", replace(THINGS, additive=True), SMALL
    )
    assert len(other.rows) == 1


def test_files_of_a_day(engine, tmp_path):
    folder = tmp_path / "shop/things" / DAY.isoformat()
    folder.mkdir(parents=True)
    for name in ("a.csv", "b.csv", "c.csv", "d.csv"):
        (folder / name).write_bytes(csv("1,2,3"))
    zone = LandingZone(tmp_path, limits=SMALL)
    with zone.fetched(zone.files(THINGS)) as files:
        outcome = deliver(engine, *files)
    assert len(outcome.rows) == 2
    assert [reason for *_, reason in outcome.bad] == [
        f"{name} is one of 4 files of {DAY}, and the limit is 2; check the file, or raise "
        '"files_per_day" in LAKEHOUSE_FILE_LIMITS.'
        for name in ("c.csv", "d.csv")
    ]


def packed(text: bytes, times: int, start: bytes = b"") -> bytes:
    return gzip.compress(start) + gzip.compress(text) * times


BOMBS = {
    "line.csv.gz": packed(b"x" * (1 << 20), 600, HEADER.encode() + b"\n"),
    "quoted.csv.gz": packed(b"x,y\n" * (1 << 18), 600, HEADER.encode() + b'\n1,"'),
    "rows.csv.gz": packed((b"1,2," + b"x" * 100 + b"\n") * 10_000, 600, HEADER.encode() + b"\n"),
    "empty.csv.gz": packed(b"\n" * (1 << 20), 600, HEADER.encode() + b"\n1,2,3"),
    "string.json.gz": packed(b"x" * (1 << 20), 600, b'[{"ID":"'),
    "array.json.gz": packed(b"1,0," * (1 << 18), 600, b'[{"ID":['),
    "blank.jsonl.gz": packed(b" " * (1 << 20), 600, b'{"ID":1}'),
    "columns.csv.gz": packed(b"," * (1 << 20), 600),
}
_READ = """
import resource, sys
from pathlib import Path
import pyarrow.csv, pyarrow.parquet
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets_tests.ingest.samples import deliver, deliver_bytes, landed, HEADER
engine, folder = start_engine(), Path(sys.argv[1])
assert deliver_bytes(engine, folder, HEADER.encode() + b"\\n1,2,3\\n", "first.csv").rows
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[2:]:
    outcome = deliver(engine, landed(folder / name))
    assert not outcome.rows and len(outcome.refused) == 1, outcome
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{name}: {grown >> 10} MiB: {outcome.refused[0]}", flush=True)
    assert grown < 400 << 10
"""


def read_apart(folder: Path, names: list[str]) -> str:
    """Read files in a process of its own, whose peak of memory nothing else has raised."""
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(folder), *names],
        capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_bombs_are_stopped_while_they_are_unpacked(tmp_path):
    """Each holds 600 MiB in about as many kilobytes."""
    for name, content in BOMBS.items():
        assert len(content) < 4 << 20
        (tmp_path / name).write_bytes(content)
    said = read_apart(tmp_path, [*BOMBS])
    assert said.count("LAKEHOUSE_FILE_LIMITS") == len(BOMBS)


def test_parquet_files_that_unfold(tmp_path):
    """A long text for each of many rows, and a page that unpacks to 200 MiB."""
    rows = 2_000_000
    long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 4_000_000])
    one = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["1"])
    pq.write_table(pa.table({"ID": long, "Name": one, "Note": one}), tmp_path / "repeated.parquet")
    page = table(ID=pa.array(["x" * (200 << 20)]), compression="zstd", use_dictionary=False)
    (tmp_path / "page.parquet").write_bytes(page)
    said = read_apart(tmp_path, ["repeated.parquet", "page.parquet"])
    assert '"unpacked_bytes" in LAKEHOUSE_FILE_LIMITS' in said
    assert '"ratio" in LAKEHOUSE_FILE_LIMITS' in said


def test_a_parquet_footer_that_says_too_little(engine, tmp_path):
    """Its page is unpacked, and refused by what it really holds."""
    page = table(ID=["x" * 50_000], compression="zstd", use_dictionary=False)
    size = pq.read_metadata(pa.BufferReader(page)).row_group(0).column(0).total_uncompressed_size
    footer = int.from_bytes(page[-8:-4], "little") + 8
    lie = page[-footer:].replace(varint(size), varint(-1, len(varint(size))))
    for content, setting in ((page, "unpacked_bytes"), (page[:-footer] + lie, "field_bytes")):
        outcome = deliver_bytes(engine, tmp_path, content, "a.parquet", limits=SMALL)
        assert (outcome.rows, len(outcome.refused)) == ([], 1)
        assert f'"{setting}" in LAKEHOUSE_FILE_LIMITS' in outcome.refused[0]


def varint(number: int, length: int = 0) -> bytes:
    """Encode a number as Parquet's footer does, with bytes that change nothing up to a length."""
    left, found = number << 1 ^ number >> 63, []
    while left > 127 or len(found) + 1 < length:
        found.append(left & 127 | 128)
        left >>= 7
    return bytes([*found, left])


def test_limits_are_settings(monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_FILE_LIMITS", '{"nesting": 7}')
    assert Settings().file_limits == FileLimits(nesting=7)
    for wrong, says in (
        ('{"depth": 7}', "depth is not a limit; the limits are unpacked_bytes, ratio"),
        ('{"ratio": 0}', "every limit is a whole number from 1"),
    ):
        monkeypatch.setenv("LAKEHOUSE_FILE_LIMITS", wrong)
        with pytest.raises(ValueError, match=says):
            Settings()
