"""What one look at a file's bytes tells, and which files are refused for it."""

from __future__ import annotations

import gzip
import hashlib
import re

import pytest

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.files import Content, file_format, opened
from lakehouse_assets.ingest.limits import FileLimits

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def read(tmp_path):
    def content(content: bytes, name: str = "a.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        with opened(path, name) as file:
            found = Content(file, name, FileLimits(field_bytes=1))
            return b"".join(found), found.sha256

    return content


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "csv"), ("A.CSV", "csv"), ("a.csv.gz", "csv"), ("a.b.csv", "csv"),
        ("a.json", "json"), ("a.jsonl", "json"), ("a.ndjson.gz", "json"), ("a.JSON.GZ", "json"),
        ("a.parquet", "parquet"),
    ],
)  # fmt: skip
def test_formats_by_name(name, kind):
    assert file_format(name) == kind


@pytest.mark.parametrize("name", ["a", "a.xml", "a.gz", "a.csv.zip", "csv", "a.parquet.gz"])
def test_other_names_are_refused(name):
    sentence = f"{name} has no known file extension"
    with pytest.raises(FileRefusedError, match=f"^{re.escape(sentence)}"):
        file_format(name)


def test_text_and_its_hash(read):
    assert read(b"a,b\n1,2\n") == (b"a,b\n1,2\n", hashlib.sha256(b"a,b\n1,2\n").hexdigest())
    assert read(BOM + BOM + b"a")[0] == BOM + b"a"


def test_the_hash_of_a_packed_file_is_that_of_its_packed_bytes(read):
    packed = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n") + b"\0" * 3000
    text, sha256 = read(packed, "a.csv.gz")
    assert (text, sha256) == (b"a,b\n1,2\n3,4\n", hashlib.sha256(packed).hexdigest())


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "a.csv", "a.csv is empty; deliver it again with its rows."),
        (b"\n \r\n", "a.csv", "a.csv is empty; deliver it again with its rows."),
        (BOM, "a.csv", "a.csv is empty; deliver it again with its rows."),
        (gzip.compress(b""), "a.csv.gz", "a.csv.gz is empty; deliver it again with its rows."),
        (
            "a,b\n1,ü\n".encode("latin-1"), "a.csv",
            "a.csv is not UTF-8 text: byte 0xfc in line 2 is not valid; export the file as UTF-8 "
            "and deliver it again.",
        ),
        (
            "a,b\n".encode("utf-16"), "a.csv",
            "a.csv is UTF-16, not UTF-8; export the file as UTF-8 and deliver it again.",
        ),
        (
            "a,b\n".encode("utf-16-be"), "a.csv",
            "a.csv contains null bytes, so it is not text; deliver it as UTF-8 CSV or JSON.",
        ),
        (
            b"a,b\n1,\xc3", "a.csv",
            "a.csv ends in the middle of a character, so it is truncated; deliver it again.",
        ),
        (
            gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "a.csv.gz",
            "a.csv.gz is named .gz but cannot be unpacked: it is truncated, not a gzip file, "
            "or followed by other data; deliver it again.",
        ),
        (
            b"a,b\n1,2\n", "a.csv.gz",
            "a.csv.gz is named .gz but cannot be unpacked: it is truncated, not a gzip file, "
            "or followed by other data; deliver it again.",
        ),
        (
            gzip.compress(b"a,b\n1,2\n") + b"tail", "a.csv.gz",
            "a.csv.gz is named .gz but cannot be unpacked: it is truncated, not a gzip file, "
            "or followed by other data; deliver it again.",
        ),
        (
            b"PK\x03\x04\0\0", "a.csv",
            "a.csv is a ZIP archive or an Excel workbook, not text; export it as CSV, and deliver "
            "it again.",
        ),
        (
            gzip.compress(b"a,b\n1,2\n"), "a.csv",
            "a.csv is a gzip file, but its name does not end in .gz; rename it, and deliver it "
            "again.",
        ),
        (
            gzip.compress(gzip.compress(b"a,b\n1,2\n")), "a.csv.gz",
            "a.csv.gz is packed twice; pack it once, and deliver it again.",
        ),
    ],
    ids=[
        "nothing", "blank", "mark", "packed", "latin", "utf16", "zero", "half", "cut", "no-gzip",
        "tail", "zip", "unnamed", "twice",
    ],
)  # fmt: skip
def test_unreadable_files_are_named_in_one_sentence(read, content, name, sentence):
    with pytest.raises(FileRefusedError) as refused:
        read(content, name)
    assert str(refused.value) == sentence


def test_zero_bytes_and_bad_text_are_found_anywhere(read):
    with pytest.raises(FileRefusedError, match="null bytes"):
        read(b"a,b\n" + b"1,2\n" * 2000 + b"\0,2\n")
    with pytest.raises(FileRefusedError, match="0xff in line 2002"):
        read(b"a,b\n" + b"1,2\n" * 2000 + b"1,\xff\n")
    # The first half of a character in one chunk, what cannot follow it in the next.
    with pytest.raises(FileRefusedError, match="0xc3 in line 4"):
        read(b"a,b\n1,2\n1,2\n" + b"1" * 4083 + b"\xc3\nx,y\n")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileRefusedError, match=r"^a.csv cannot be read \(No such file"):
        opened(tmp_path / "a.csv", "a.csv").__enter__()
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(FileRefusedError, match=r"^b.csv cannot be read \(Is a directory"):
        opened(tmp_path / "b.csv", "b.csv").__enter__()
