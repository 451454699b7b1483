"""The process that trains models: one, apart, replaceable, and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from pathlib import Path

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml import worker

PARENT = """
import os, time
from lakehouse_assets.ml import worker
if __name__ == "__main__":
    print(worker.result_of(worker.submit(os.getpid)), flush=True)
    time.sleep(300)
"""


UNASKED = """
from lakehouse_assets.ml import worker
if __name__ == "__main__":
    worker.start()
    raise SystemExit(7)
"""


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Say whether a process ends within 20 seconds."""
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_all_work_is_done_by_one_other_process() -> None:
    first, second = (worker.result_of(worker.submit(os.getpid)) for _ in range(2))
    assert first == second != os.getpid()


def test_what_work_raises_is_raised_where_its_result_is_asked_for() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        worker.result_of(worker.submit(int, "x"))


def test_a_worker_that_dies_is_one_plain_error_and_replaced() -> None:
    with pytest.raises(LakehouseError, match="run the partition again"):
        worker.result_of(worker.submit(os._exit, 9))
    assert worker.result_of(worker.submit(int, "7")) == 7
    lost = worker.submit(os._exit, 9)
    assert isinstance(lost.exception(), BrokenProcessPool)
    assert worker.result_of(worker.submit(int, "8")) == 8


def test_a_worker_that_begins_early_and_gets_no_work_ends() -> None:
    worker.abandon()
    before = {child.pid for child in active_children()}
    with worker.started_early():
        (began,) = {child.pid for child in active_children()} - before
        assert began is not None
        assert alive(began)
    assert ends(began)
    with worker.started_early():
        kept = worker.result_of(worker.submit(os.getpid))
    assert worker.result_of(worker.submit(os.getpid)) == kept != began


def test_a_process_ends_though_it_asked_its_worker_for_nothing(tmp_path: Path) -> None:
    script = tmp_path / "unasked.py"
    script.write_text(UNASKED, encoding="utf-8")
    assert subprocess.run([sys.executable, str(script)], check=False, timeout=60).returncode == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of processes are made with fork")
def test_a_copy_of_a_process_leaves_its_worker_alone() -> None:
    ours = worker.result_of(worker.submit(os.getpid))
    copy = get_context("fork").Process(target=worker.abandon)
    copy.start()
    copy.join()
    assert copy.exitcode == 0
    assert worker.result_of(worker.submit(os.getpid)) == ours


def test_a_killed_parent_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert ends(pid)
