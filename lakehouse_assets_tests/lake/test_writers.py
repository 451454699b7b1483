"""Several writers at once, full disks and kills, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.lake.samples import (
    COMMIT,
    DAILY,
    A,
    B,
    C,
    content,
    day,
    frame,
    in_order,
    make_lake,
    put,
    window,
)
from lakehouse_assets_tests.lake.writer import Rows, arrow_lake, batch

ROOT = Path(__file__).parents[2]


def writer(root: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a real process that writes; it waits for a line on its input."""
    return subprocess.Popen(
        [sys.executable, "-m", "lakehouse_assets_tests.lake.writer", *map(str, (root, *arguments))],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_eight_first_writers_at_once_lose_no_row(tmp_path):
    """Four processes of two threads each, all of which find the table missing."""
    processes = [writer(tmp_path, "first", number) for number in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    lake = make_lake(tmp_path)
    expected = [(day(n + 1), n, f"{i}") for n in range(8) for i in range(10)]
    assert content(lake, DAILY) == in_order(expected)
    operations = [version.operation for version in lake.history(DAILY)]
    assert operations == ["WRITE"] * 8 + ["CREATE TABLE"], "one of them created it"


def test_a_second_first_writer_does_not_replace_the_first(tmp_path, monkeypatch):
    """Both find the table missing; one creates and writes it before the other goes on."""
    first, second = make_lake(tmp_path), make_lake(tmp_path)
    stale = []

    def open_once(declared, **_options):
        # What the second writer saw before the first one had written.
        if not stale:
            stale.append(declared)
            put(first, DAILY, window(1, 1), [(day(1), 1, "first")])
            return None
        return make_lake(tmp_path).open(declared)

    monkeypatch.setattr(second, "open", open_once)
    second.write(DAILY, frame(second, DAILY, [(day(2), 2, "second")]), window(2, 2), COMMIT)
    assert stale == [DAILY]
    assert content(first, DAILY) == [(day(1), 1, "first"), (day(2), 2, "second")]


def test_different_partitions_are_replaced_at_once(three_days):
    def replace(number: int) -> None:
        rows = Rows([batch([(day(number), number, text) for text in "xyz"])])
        arrow_lake(three_days.root).write(DAILY, rows, window(number, number), COMMIT)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(replace, range(1, 7)))
    expected = [(day(n), n, s) for n in range(1, 7) for s in "xyz"]
    assert content(three_days, DAILY) == in_order(expected)


def test_a_writer_that_was_overtaken_says_so(three_days, monkeypatch):
    stale = three_days.open(DAILY)
    put(three_days, DAILY, window(2, 2), [])
    monkeypatch.setattr(three_days, "ensure", lambda _: stale)
    with pytest.raises(LakehouseError, match="Another writer changed table daily"):
        put(three_days, DAILY, window(2, 2), [B])
    assert content(three_days, DAILY) == [A, C]


def test_a_lake_under_a_file_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    lake = make_lake(tmp_path / "file")
    for attempt in (lambda: put(lake, DAILY, window(1, 1), [A]), lambda: lake.read(DAILY)):
        with pytest.raises(LakehouseError, match="LAKEHOUSE_ROOT") as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert "\x1b" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "x"


def test_a_disk_that_takes_no_more_is_reported_and_keeps_the_old_version(tmp_path):
    lake = make_lake(tmp_path)
    put(lake, DAILY, window(1, 1), [A])
    process = writer(tmp_path, "full", 0)
    output, errors = process.communicate("go\n")
    assert process.returncode == 3, errors
    assert "cannot be written at" in output
    assert "check free space and write permissions" in output
    assert content(lake, DAILY) == [A]


def test_a_killed_writer_leaves_the_old_version_and_a_rerun_repairs_it(tmp_path):
    """Kills before the table exists, between batches, and around the commit."""
    points = [0, 5, 12, "written", "created"]
    processes = [(point, writer(tmp_path / str(point), "slow", point)) for point in points]
    outcomes = set()
    for point, process in processes:
        root = tmp_path / str(point)
        lake = make_lake(root)
        assert process.stdout.readline() == "ready\n"
        if point != "created":
            put(lake, DAILY, window(1, 2), [A, B])
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"at {point}\n"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        old = [] if point == "created" else [A, B]
        new = [*old[:1], *[(day(2), i, "n") for i in range(12_000)]]
        found = content(lake, DAILY)
        # After the commit the new version stands; before it nothing of it is seen.
        assert found == (in_order(new) if point == "written" else old)
        outcomes.add(len(found))
        put(lake, DAILY, window(2, 2), [(day(2), i, "n") for i in range(12_000)])
        assert content(lake, DAILY) == in_order(new)
    assert outcomes == {0, 2, 12_001}
