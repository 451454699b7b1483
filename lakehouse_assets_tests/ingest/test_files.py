"""What one look at a file's bytes tells, and which files are refused for it."""

from __future__ import annotations

import gzip
import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest import files
from lakehouse_assets.ingest.files import examine, file_format, line_numbers

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def facts(tmp_path):
    def look(content: bytes, name: str = "a.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return examine(path)

    return look


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "csv"), ("A.CSV", "csv"), ("a.csv.gz", "csv"), ("a.b.csv", "csv"),
        ("a.json", "json"), ("a.jsonl", "json"), ("a.ndjson.gz", "json"), ("a.JSON.GZ", "json"),
        ("a.parquet", "parquet"),
    ],
)  # fmt: skip
def test_formats_by_name(tmp_path, name, kind):
    assert file_format(tmp_path / name) == kind


@pytest.mark.parametrize("name", ["a", "a.xml", "a.gz", "a.csv.zip", "csv", "a.parquet.gz"])
def test_other_names_are_refused(tmp_path, name):
    sentence = f"{name} is neither CSV, JSON nor Parquet by its name"
    with pytest.raises(FileRefusedError, match=f"^{re.escape(sentence)}"):
        file_format(tmp_path / name)


def test_plain_text(facts):
    found = facts(b"a,b\n1,2\n")
    assert (found.lines, found.blank_lines, found.first_blank) == (2, 0, None)
    assert (found.has_quotes, found.newline, found.first_line) == (False, "\n", "a,b")
    assert found.size == 8
    assert found.sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


def test_the_hash_of_a_packed_file_is_that_of_its_packed_bytes(facts):
    packed = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n")
    found = facts(packed, "a.csv.gz")
    assert found.sha256 == hashlib.sha256(packed).hexdigest()
    assert (found.size, found.lines) == (len(packed), 3)


@pytest.mark.parametrize(
    ("content", "lines", "blank", "first_blank", "newline"),
    [
        (b"a\nb", 2, 0, None, "\n"),
        (b"a\r\nb\r\n", 2, 0, None, "\r\n"),
        (b"a\r\nb", 2, 0, None, "\r\n"),
        (b"a\r\nb\n", 2, 0, None, None),
        (b"a\nb\r\n", 2, 0, None, None),
        (b"a\nb\rc\n", 2, 0, None, None),
        (b'a\n"b\r\nc"\n', 3, 0, None, None),
        (b"a\n\nb\n", 3, 1, 2, "\n"),
        (b"a\n\n\nb\n\n", 5, 3, 2, "\n"),
        (b"a\r\n\r\nb\r\n", 3, 1, 3, "\r\n"),
        (b"a\nb\n\r\n", 3, 1, 4, None),
        (BOM + b"a\n\nb\n", 3, 1, 5, "\n"),
        (b"a\n \nb\n", 3, 0, None, "\n"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 1 << 22])
def test_lines(facts, monkeypatch, content, lines, blank, first_blank, newline, chunk):
    if chunk <= len(BOM) and content.startswith(BOM):
        pytest.skip("a byte order mark arrives whole")
    monkeypatch.setattr(files, "_CHUNK", chunk)
    found = facts(content)
    assert (found.lines, found.blank_lines, found.first_blank) == (lines, blank, first_blank)
    assert found.newline == newline


@settings(max_examples=300, deadline=None)
@given(content=st.text('a\n\r"é,', min_size=1).filter(str.strip), chunk=st.integers(1, 7))
def test_counts_do_not_depend_on_where_chunks_end(tmp_path_factory, content, chunk):
    path = tmp_path_factory.mktemp("chunks") / "a.csv"
    path.write_text("x" + content, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        whole = examine(path)
        patch.setattr(files, "_CHUNK", chunk)
        pieces = examine(path)
    assert pieces.lines == whole.lines
    assert pieces.blank_lines == whole.blank_lines
    assert (pieces.first_blank, pieces.newline) == (whole.first_blank, whole.newline)
    assert pieces.has_quotes == whole.has_quotes == ('"' in content)


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
            "a.csv holds zero bytes, so it is no text; deliver it as UTF-8 CSV or JSON.",
        ),
        (
            b"a,b\n1,\xc3", "a.csv",
            "a.csv ends in the middle of a character; it was cut off, deliver it again.",
        ),
        (
            gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "a.csv.gz",
            "a.csv.gz is named .gz but cannot be unpacked; it was cut off, is no gzip file or "
            "something else follows its end: deliver it again.",
        ),
        (
            b"a,b\n1,2\n", "a.csv.gz",
            "a.csv.gz is named .gz but cannot be unpacked; it was cut off, is no gzip file or "
            "something else follows its end: deliver it again.",
        ),
        (
            gzip.compress(b"a,b\n1,2\n") + b"tail", "a.csv.gz",
            "a.csv.gz is named .gz but cannot be unpacked; it was cut off, is no gzip file or "
            "something else follows its end: deliver it again.",
        ),
        (
            b"PK\x03\x04\0\0", "a.csv",
            "a.csv is a ZIP archive or an Excel workbook, not text; export it as CSV, and deliver "
            "it again.",
        ),
        (
            gzip.compress(b"a,b\n1,2\n"), "a.csv",
            "a.csv is packed by gzip but not named so; add .gz to its name, and deliver it again.",
        ),
    ],
    ids=[
        "nothing", "blank", "mark", "packed", "latin", "utf16", "zero", "half", "cut", "no-gzip",
        "tail", "zip", "unnamed",
    ],
)  # fmt: skip
def test_unreadable_files_are_named_in_one_sentence(facts, content, name, sentence):
    with pytest.raises(FileRefusedError) as refused:
        facts(content, name)
    assert str(refused.value) == sentence


def test_zero_bytes_and_bad_text_are_found_anywhere(facts, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 16)
    with pytest.raises(FileRefusedError, match="zero bytes"):
        facts(b"a,b\n" + b"1,2\n" * 20 + b"\0,2\n")
    with pytest.raises(FileRefusedError, match="0xff in line 22"):
        facts(b"a,b\n" + b"1,2\n" * 20 + b"1,\xff\n")
    # The first half of a character in one chunk, what cannot follow it in the next.
    with pytest.raises(FileRefusedError, match="0xc3 in line 4"):
        facts(b"a,b\n1,2\n1,2\n123\xc3\nx,y\n")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileRefusedError, match=r"^a.csv cannot be read \(No such file"):
        examine(tmp_path / "a.csv")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(FileRefusedError, match=r"^b.csv cannot be read \(Is a directory"):
        examine(tmp_path / "b.csv")


def test_line_numbers_of_positions(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"ab\ncd\n\nef"))
    for chunk in (1, 2, 4, 100):
        monkeypatch.setattr(files, "_CHUNK", chunk)
        assert line_numbers(path, [7, 0, 3, 2, 6, 99]) == [4, 1, 2, 1, 3, 4]
    assert line_numbers(path, []) == []
