"""Seeded mutations of valid files of every format, and a count of what becomes of them.

By hand: `python -m lakehouse_assets_tests.ingest.fuzz 100000`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets_tests.ingest.samples import (
    BARE,
    DAY,
    DOCUMENT_COLUMNS,
    FIELDS,
    THINGS,
    deliver,
    landed,
)

SUFFIXES = (".csv", ".txt", ".csv.gz", ".json", ".jsonl", ".jsonl.gz", ".parquet", ".pdf")
DOCUMENTS = replace(THINGS, documents=True, columns=DOCUMENT_COLUMNS)
# Small limits, so that small files go beyond them.
LIMITS = FileLimits(
    unpacked_bytes=1 << 18, line_bytes=1 << 14, record_bytes=1 << 14, field_bytes=1 << 13,
    columns=50, nesting=20,
)  # fmt: skip
# CPU seconds after which a batch of files is said to hang, and memory that it may add.
_SECONDS, _BYTES = 60, 300 << 20
_WORDS = [
    "", "1", "-0", "1e999999999", "9" * 400, "0001-01-01", "9999-12-31T23:59:59Z", "null", "NaN",
    "\u00fc", "\ufeff", "\u2028", "\U0001f600", 'a"b', '"', '""', "a,b", "x\ny", "x\r\ny", "\r",
    "\x1b[31m", "[red]", "\\ud800", "\x00", "=1+1", " padded ", "x" * 3000, "'",
]  # fmt: skip
_SPLICES = [
    b'"', b'""', b'","', b"\n", b"\r", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800", b"\\u", b"{", b"}", b"[", b"]", b"[[[", b"}}}", b'{"a":', b'{"ID":x},', b",", b":",
    b",,,,,,", b"\xc3", b"1e9999999", b"-", b"9" * 5000, b"tru", b"\\", b'\\"', b"PAR1",
    b"\x1f\x8b",
    b"[" * 200, b'"' * 501, b"\n" * 300, b"," * 200, b'","b\n' * 100, b'x","\n' * 100,
]  # fmt: skip


class _HangsError(BaseException):
    """A batch of files takes too long."""


def valid_file(draw: random.Random, suffix: str) -> bytes:
    """Write a valid file of a few rows."""
    rows = [[draw.choice(_WORDS) for _ in FIELDS] for _ in range(draw.randint(1, 8))]
    if suffix == ".pdf":
        return draw.choice([b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b""]) + draw.randbytes(40)
    out = io.BytesIO()
    if suffix == ".parquet":
        kinds = [
            pa.string(),
            pa.binary(),
            pa.large_string(),
            pa.dictionary(pa.int32(), pa.string()),
        ]
        columns = {
            name: pa.array([row[i] for row in rows]).cast(draw.choice(kinds))
            for i, name in enumerate(FIELDS)
        }
        pq.write_table(
            pa.table(columns), out, compression=draw.choice(["snappy", "zstd", "none"]),
            use_dictionary=draw.random() < 0.5, row_group_size=draw.choice([1, 3, 100]),
        )  # fmt: skip
        return out.getvalue()
    if suffix.startswith(".json"):
        records = [dict(zip(FIELDS, row, strict=True)) for row in rows]
        style = draw.randrange(3)
        if style == 0:
            text = json.dumps(records, indent=draw.choice([None, 1]))
        else:
            text = "\n".join(json.dumps(r, indent=style - 1 or None) for r in records)
    else:
        buffer = io.StringIO(newline="")
        writer = csv.writer(
            buffer, lineterminator=draw.choice(["\n", "\r\n"]),
            quoting=draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        )  # fmt: skip
        writer.writerows([FIELDS, *rows])
        text = buffer.getvalue()
    content = text.replace("\0", "").encode()
    return gzip.compress(content, mtime=0) if suffix.endswith(".gz") else content


def mutated(draw: random.Random, content: bytes) -> bytes:
    """Change a few places of a file."""
    text = bytearray(content)
    for _ in range(draw.choice([0, 1, 1, 2, 5])):
        at, length = draw.randint(0, len(text)), draw.choice([1, 1, 4, 50])
        how = draw.randrange(6)
        if how == 0:
            text[at : at + length] = b""
        elif how == 1:
            text[at:at] = draw.choice(_SPLICES)
        elif how == 2:
            text[at : at + 1] = draw.randbytes(1)
        elif how == 3:
            text[at:at] = bytes(text[at : at + length]) * draw.choice([1, 2, 300])
        elif how == 4:
            del text[at:]
        else:
            start = draw.randint(0, len(text))
            text[at:at] = text[start : start + length]
    return bytes(text)


def files(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield suffixes and contents; the text in a packed file is changed, or its packing."""
    draw = random.Random(seed)  # noqa: S311
    for number in range(count):
        suffix = SUFFIXES[number % len(SUFFIXES)]
        content = valid_file(draw, suffix)
        if suffix.endswith(".gz") and draw.random() < 0.7:
            content = gzip.compress(mutated(draw, gzip.decompress(content)), mtime=0)
        else:
            content = mutated(draw, content)
        yield suffix, content


def run(engine: Engine, folder: Path, count: int, seed: int, batch: int = 400) -> Counter[str]:
    """Deliver so many files; return how many rows, rejects and refused files there were.

    Raises:
        AssertionError: a record was lost, or memory was not bounded.
    """
    found: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    waiting: dict[str, list[Path]] = {"named": [], "bare": [], "documents": []}
    datasets = {"named": THINGS, "bare": BARE, "documents": DOCUMENTS}

    def flush(kind: str) -> None:
        members = [landed(path, DAY) for path in waiting[kind]]
        signal.setitimer(signal.ITIMER_PROF, _SECONDS)
        outcome = deliver(engine, *members, dataset=datasets[kind], limits=LIMITS)
        signal.setitimer(signal.ITIMER_PROF, 0)
        assert outcome.complete, waiting[kind]
        whole = [row["_source_file"] for row in outcome.rejects if row["line_number"] == 0]
        assert len(whole) == len(outcome.refused) == len(set(whole))
        seen = {row["_source_file"] for row in (*outcome.rows, *outcome.rejects)}
        assert seen == {member.name for member in members}
        for reason in outcome.refused:
            assert reason.count("\n") == 0, reason
            if "cannot be read (" in reason:
                found[reason.partition(" cannot be read ")[2]] += 1
        found["files"] += len(members)
        found["rows"] += len(outcome.rows)
        found["rejects"] += len(outcome.rejects) - len(whole)
        found["refused"] += len(whole)
        for path in waiting[kind]:
            path.unlink()
        waiting[kind] = []

    def hangs(_signal: int, _frame: FrameType | None) -> None:
        raise _HangsError(f"one of {waiting}")

    former = signal.signal(signal.SIGPROF, hangs)
    try:
        for number, (suffix, content) in enumerate(files(count, seed)):
            path = folder / f"{number:06}{suffix}"
            path.write_bytes(content)
            kind = {".pdf": "documents", ".txt": "bare"}.get(suffix, "named")
            waiting[kind].append(path)
            if len(waiting[kind]) == batch:
                flush(kind)
        for kind in datasets:
            flush(kind)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < _BYTES, grown
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        seed = int(sys.argv[2]) if len(sys.argv) > 2 else 21
        print(dict(run(start_engine(), Path(scratch), int(sys.argv[1]), seed)))  # noqa: T201
