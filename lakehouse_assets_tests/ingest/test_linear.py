"""Reading takes work in proportion to bytes, whatever is wrong with them: work is counted."""

from __future__ import annotations

import gc
import gzip
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest import csv_records, json_records
from lakehouse_assets.ingest.files import Content, opened
from lakehouse_assets.ingest.limits import FileLimits

_BAD_EIGHTH = "".join(f'{{"a":{"x" if n % 8 == 0 else n},"b":"y"}},\n' for n in range(16))
JSON = {
    "bad value in every 8th record": ("[", _BAD_EIGHTH, '{"a":1}]'),
    "bad values": ("[", '{"a":x},', "]"),
    "bad values, a line each": ("", '{"a":x},\n', ""),
    "brackets": ("", "[", "}" * 100),
    "brackets that are shut otherwise": ("[", "[}]}", "]"),
    "objects left open": ("[", '{"a":[1,', ""),
    "objects left open, a line each": ("", '{"a":\n', ""),
    "arrays in objects left open": ("", '{"a":[\n', ""),
    "nested, not too deep": ("[", '{"a":' * 19 + "1" + "}" * 18 + ",", "]"),
    "doubled names": ('{"a":1', ',"a":1,"b":2', "}"),
    "many names": ('[{"a":1', ',"n%d":1', "}]"),
    "strings left open": ("[", '{"a":"x,', "]"),
    "strings left open, a line each": ("", '{"a":"x\n', ""),
    "escaped quotes": ('[{"a":"', '\\"', "]"),
    "escaped quotes in lines": ("[\n", '{"a":"' + '\\"' * 20 + "\n", "]"),
    "half characters": ("[", '{"a":"\\ud800"},', "]"),
    "long number": ('[{"a":', "9", "}]"),
    "exponents": ("[", '{"a":1e99999},', "]"),
    "marks": ("", "\ufeff", '{"a":1}'),
    "arrays put together": ("", '[{"a":1}]\n', ""),
    "objects put together": ("", '{"a":1}', ""),
    "commas": ("[", ",", "]"),
    "blanks": ("[", " ", "]"),
    "text after the array": ("[]", "x\n", ""),
    "lone carriage returns": ("", '{"a":1}\r', ""),
    "half words": ("[", "tru,", "]"),
}
CSV = {
    "values with a quote behind": ("a,b\n", '","b\n', ""),
    "quotes that never close": ("a,b\n", 'x","\n', ""),
    "quotes that never close, with text": ("a,b\n", 'x,"""\n', ""),
    "quotes left open": ("a,b\n", '1,"\n', ""),
    "quotes left open once": ('a,b\n1,"2\n', "1,2\n", ""),
    "closed by text": ("a,b\n", '"1"x,2\n', ""),
    "doubled quotes": ('a,b\n1,"', '""', '"\n'),
    "only quotes": ("a,b\n", '"', "\n"),
    "three quotes": ("a,b\n", '"""\n', ""),
    "lone carriage returns": ("a,b\n", "1,2\r", "\n"),
    "mixed line ends": ("a,b\n", "1,2\r\n3,4\n", ""),
    "blanks behind a quote": ("a,b\n", '"1" ', "\n"),
    "marks": ("a,b\n", "\ufeff", "\n"),
    "empty lines": ("a,b\n", "\n", "1,2\n"),
    "wrong number of columns": ("a,b\n", "1\n1,2,3\n", ""),
    "columns": ("a,b\n", ",", "\n"),
    "empty columns at the end": ("a,b\n", "1,2,,,\n", ""),
    "records of two lines": ("a,b\n", '"1\n","2"\n', ""),
}  # fmt: skip


class _Counted:
    """A pattern that adds up the characters it looks at."""

    def __init__(self, pattern: re.Pattern[str], work: list[int]) -> None:
        self._pattern, self._work = pattern, work

    def match(self, text: str, start: int = 0) -> Any:
        found = self._pattern.match(text, start)
        # All of these patterns fail at the first character, if they do.
        self._work[0] += found.end() - start if found else 0
        return found

    def search(self, text: str, start: int, end: int) -> Any:
        found = self._pattern.search(text, start, end)
        self._work[0] += (found.end() if found else end) - start
        return found


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count calls, characters that patterns look at, and those that the JSON parser is given."""
    work = [0]

    def calls(_frame: Any, event: str, _arg: Any) -> None:
        work[0] += event in ("call", "c_call")

    class Decoder:
        def raw_decode(self, text: str) -> Any:
            work[0] += len(text)
            return decoder.raw_decode(text)

    decoder = json_records._DECODER
    with monkeypatch.context() as patch:
        for module in (csv_records, json_records):
            for name, value in list(vars(module).items()):
                if isinstance(value, re.Pattern):
                    patch.setattr(module, name, _Counted(value, work))
        patch.setattr(json_records, "_DECODER", Decoder())
        # What other tests have left behind is not collected while calls are counted.
        gc.disable()
        sys.setprofile(calls)
        try:
            yield work
        finally:
            sys.setprofile(None)
            gc.enable()


def work_on(path: Any, limits: FileLimits, monkeypatch: pytest.MonkeyPatch) -> int:
    with counted(monkeypatch) as work, opened(path, path.name) as file:
        content = Content(file, path.name, limits)
        try:
            if ".csv" in path.name:
                for _ in csv_records.CsvReader(content).read(2):
                    pass
            else:
                for _ in json_records.json_records(content, path.name, limits, ("a", "b")):
                    pass
        except FileRefusedError:
            pass
    return work[0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("a.csv", shape) for shape in CSV] + [("a.json", shape) for shape in JSON],
)
def test_four_times_the_bytes_are_four_times_the_work(tmp_path, monkeypatch, name, shape):
    start, repeated, end = {**CSV, **JSON}[shape] if name == "a.json" else CSV[shape]
    # The second form reads in small blocks, of which none may be read again for each record.
    for limits in (FileLimits(), FileLimits(field_bytes=1 << 13, record_bytes=1 << 15)):
        work = []
        for size in (1, 4, 16):
            times = size * 1024 // len(repeated)
            middle = "".join(
                repeated.replace("%d", str(n)) for n in range(times)
            ) if "%d" in repeated else repeated * times  # fmt: skip
            path = tmp_path / name
            path.write_text(start + middle + end, encoding="utf-8", newline="")
            work.append(work_on(path, limits, monkeypatch))
        # A file that is refused early may take less than a smaller one; each character of one that
        # Arrow does not read may be looked at twice.
        assert work[1] <= 6 * work[0] + 2 * 4 * 1024, work
        assert work[2] <= 6 * max(work[:2]) + 2 * 16 * 1024, work
        assert work[2] <= 200 * (16 * 1024), work


def test_many_packed_members(tmp_path, monkeypatch):
    work = []
    for count in (100, 200, 400, 800):
        path = tmp_path / "a.csv.gz"
        path.write_bytes(gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n") * count)
        work.append(work_on(path, FileLimits(), monkeypatch))
    assert all(more <= 2.2 * less for less, more in pairwise(work)), work
