"""Trials in several processes: the same result, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.search import (
    FEWEST_ROWS_OF_PROCESSES,
    Params,
    Trial,
    processes_for,
    search,
)

TRIALS: list[Params] = [{"number": number} for number in range(6)]


def measured(seconds: float, trial: Params) -> tuple[dict[str, float], tuple[int, str]]:
    """Take a while, and say which process it was."""
    time.sleep(seconds)
    number = trial["number"]
    return {"square": float(number**2)}, (os.getpid(), multiprocessing.current_process().name)


def met(folder: Path, trial: Params) -> tuple[dict[str, float], int]:
    """Wait until another process measures too, and say which process it was."""
    (folder / f"{os.getpid()}").touch()
    ends = time.monotonic() + 60
    while len([*folder.iterdir()]) < 2 and time.monotonic() < ends:
        time.sleep(0.02)
    return {"square": float(trial["number"] ** 2)}, os.getpid()


def slow(trial: Params) -> tuple[dict[str, float], None]:
    """Take so many seconds."""
    time.sleep(trial["number"])
    return {}, None


def failing(trial: Params) -> tuple[dict[str, float], None]:
    """Fail at once."""
    raise LakehouseError(f"number {trial['number']} cannot be measured")


def killed(trial: Params) -> tuple[dict[str, float], None]:
    """Die, as by lack of memory."""
    assert multiprocessing.parent_process() is not None
    os.kill(os.getpid(), signal.SIGKILL)
    return {}, None


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not asked for its result does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_several_processes_find_what_one_finds_and_report_each_trial_once(tmp_path: Path) -> None:
    done: list[Trial] = []
    known = {'{"number": 2}': {"square": 4.0}}
    found = search(TRIALS, partial(met, tmp_path), known, done.append, processes=3)
    assert [trial.params for trial in found] == TRIALS
    assert [trial.metrics["square"] for trial in found] == [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]
    assert sorted(trial.params["number"] for trial in done) == [0, 1, 3, 4, 5]
    used = {trial.result for trial in done}
    assert len(used) > 1
    assert not any(alive(pid) for pid in used)
    alone = search(TRIALS, partial(measured, 0.0), known)
    assert [trial.metrics for trial in alone] == [trial.metrics for trial in found]
    assert alone[2].result is None


@pytest.mark.parametrize(
    ("measure", "said"),
    [(failing, r"number \d cannot be measured"), (killed, "was killed, perhaps because memory")],
)
def test_a_failure_in_another_process_is_one_of_the_search(measure: Any, said: str) -> None:
    before = {child.pid for child in multiprocessing.active_children()}
    with pytest.raises(LakehouseError, match=said):
        search(TRIALS * 5, measure, processes=2)
    assert {child.pid for child in multiprocessing.active_children()} <= before


def test_an_interrupt_waits_for_no_trial() -> None:
    def interrupted(_: Trial) -> None:
        raise KeyboardInterrupt

    before = {child.pid for child in multiprocessing.active_children()}
    trials: list[Params] = [{"number": 0}, {"number": 600}]
    with pytest.raises(KeyboardInterrupt):
        search(trials, slow, done=interrupted, processes=2)
    assert {child.pid for child in multiprocessing.active_children()} <= before


def test_few_rows_are_not_worth_a_process() -> None:
    cores = len(os.sched_getaffinity(0))
    assert processes_for(FEWEST_ROWS_OF_PROCESSES - 1) == 1
    assert processes_for(FEWEST_ROWS_OF_PROCESSES) == cores


def test_a_killed_search_leaves_no_process() -> None:
    """The one that is measuring ends with its parent, in the middle of a long trial."""
    code = (
        "from functools import partial\n"
        "from lakehouse_assets.ml.search import search\n"
        "from lakehouse_assets_tests.ml.test_search import TRIALS, measured\n"
        "say = lambda trial: print(trial.result[0], flush=True)\n"
        "search(TRIALS * 100, partial(measured, 0.2), done=say, processes=2)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as begun:
        assert begun.stdout is not None
        pids = {begun.pid}
        while len(pids) == 1:
            line = begun.stdout.readline()
            assert line, "the search ended"
            pids.add(int(line))
        begun.kill()
        begun.wait()
        (helper,) = pids - {begun.pid}
    deadline = time.monotonic() + 60
    while alive(helper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(helper)
