"""Runs of killed processes are ended, in Dagster and in MLflow; living ones are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets import clock
from lakehouse_assets.automation.recovery import active_runs, end_dead_runs
from lakehouse_assets.ml.abandoned import DAGSTER_RUN_TAG, end_abandoned_runs
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.process import PROCESS_TAG, Process


@dg.job
def nothing() -> None:
    """Do nothing."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def started(instance: dg.DagsterInstance, process: Process | None) -> str:
    """Record a run as being executed by a process."""
    tags = {PROCESS_TAG: str(process)} if process else {}
    run = instance.create_run_for_job(nothing, tags=tags, status=dg.DagsterRunStatus.STARTED)
    return run.run_id


def gone() -> Process:
    """Return a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        here = Process.current()
        text = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8")
        process = Process(here.host, child.pid, text.rpartition(")")[2].split()[19])
        assert not process.is_dead
        child.kill()
    return process


def test_processes_are_told_apart() -> None:
    here = Process.current()
    assert Process.parse(str(here)) == here
    assert not here.is_dead
    assert gone().is_dead
    # Another process that got the same number later, and a machine that cannot be asked.
    assert Process(here.host, os.getpid(), "1").is_dead
    assert not Process("elsewhere", 1, "1").is_dead
    assert Process.parse("") is None


def test_only_runs_of_dead_processes_are_ended(instance: dg.DagsterInstance) -> None:
    alive, dead, unknown = (
        started(instance, process) for process in (Process.current(), gone(), None)
    )
    assert end_dead_runs(instance) == [dead]
    found = instance.get_run_by_id(dead)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE
    assert set(active_runs(instance)) == {alive, unknown}
    assert end_dead_runs(instance) == []


def test_abandoned_mlflow_runs_end_and_others_go_on(tmp_path: Path, empty_store: Path) -> None:
    store = tmp_path / "mlflow.db"
    store.write_bytes(empty_store.read_bytes())
    tracking = MlflowTracking(tracking_uri=f"sqlite:///{store}")
    client, experiment = tracking.client(), tracking.experiment_id()

    def begin(owner: str | None, parent: str | None = None) -> str:
        tags = {DAGSTER_RUN_TAG: owner} if owner else {}
        if parent:
            tags["mlflow.parentRunId"] = parent
        return str(client.create_run(experiment, tags=tags).info.run_id)

    abandoned, living, foreign = begin("dead"), begin("alive"), begin(None)
    child, living_child = begin(None, abandoned), begin(None, living)
    later = clock.now() + timedelta(seconds=5)
    assert end_abandoned_runs(tracking, ["alive"], datetime(2020, 1, 1, tzinfo=UTC)) == []
    assert set(end_abandoned_runs(tracking, ["alive"], later)) == {abandoned, child}
    status = {run: client.get_run(run).info.status for run in (abandoned, child)}
    assert set(status.values()) == {"KILLED"}
    for run in (living, living_child, foreign):
        assert client.get_run(run).info.status == "RUNNING"
