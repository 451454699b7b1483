"""Runs of killed processes are ended, in Dagster and in MLflow; living ones are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from lakehouse_assets import clock
from lakehouse_assets.ml.tracking import DAGSTER_RUN_TAG, MlflowTracking
from lakehouse_assets.orchestration import process as process_module
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.process import (
    ALIVE_TAG,
    LEASE,
    OWNER_TAG,
    Owner,
    _started,
    active_runs,
    end_dead_runs,
)
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets_tests.airline.samples import House


@dg.job
def nothing() -> None:
    """Do nothing."""


@pytest.fixture
def stored_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance in files, like a user's: a thread cannot write to one in memory during a read."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as stored:
        yield stored


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Another process; it ends with the test."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def started(instance: dg.DagsterInstance, owner: Callable[[str], str], **tags: str) -> str:
    """Record a run as being executed by an owner."""
    run = instance.create_run_for_job(nothing, tags=tags, status=dg.DagsterRunStatus.STARTED)
    instance.add_run_tags(run.run_id, {OWNER_TAG: owner(run.run_id)})
    return run.run_id


def test_only_runs_whose_process_has_ended_are_ended(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    def child(run_id: str) -> str:
        return str(Owner(run_id, Owner.here(run_id).host, process.pid, _started(process.pid)))

    def same_number_later(run_id: str) -> str:
        return str(Owner(run_id, Owner.here(run_id).host, os.getpid(), 1))

    alive = [
        started(instance, lambda run_id: str(Owner.here(run_id))),
        # A retry inherits the tags of the run that it repeats.
        started(instance, lambda _run_id: child(str(uuid4()))),
        started(instance, lambda _run_id: "host 1 2"),
    ]
    dead = [started(instance, child), started(instance, same_number_later)]
    assert end_dead_runs(instance) == dead[1:]
    process.kill()
    process.wait()
    assert end_dead_runs(instance) == dead[:1]
    assert {str(instance.get_run_by_id(run).status) for run in dead} == {"DagsterRunStatus.FAILURE"}  # type: ignore[union-attr]
    assert set(active_runs(instance)) == set(alive)


def test_a_run_on_another_host_ends_when_it_has_been_silent_for_the_lease(
    instance: dg.DagsterInstance,
) -> None:
    def elsewhere(run_id: str) -> str:
        return str(Owner(run_id, "replaced-container", 1, 1))

    long_ago = (clock.now() - LEASE * 1.1).isoformat()
    lately = (clock.now() - LEASE * 0.9).isoformat()
    silent = started(instance, elsewhere, **{ALIVE_TAG: long_ago})
    beating = started(instance, elsewhere, **{ALIVE_TAG: lately})
    working = started(instance, elsewhere, **{ALIVE_TAG: long_ago})
    run = instance.get_run_by_id(working)
    instance.report_engine_event("Step blocked by a pool.", run)
    storage = instance.event_log_storage
    storage.set_concurrency_slots("table", 1)
    assert storage.claim_concurrency_slot("table", silent, "step").is_claimed
    assert end_dead_runs(instance) == [silent]
    assert set(active_runs(instance)) == {beating, working}
    assert storage.claim_concurrency_slot("table", beating, "step").is_claimed


HELD = """
import sys, time
from pathlib import Path
import dagster as dg
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets.settings import Settings

home, begun = map(Path, sys.argv[1:])

@dg.asset(pool="table", io_manager_key="io_manager")
def held(context: dg.AssetExecutionContext) -> None:
    begun.write_text(context.run.run_id)
    while begun.exists():
        time.sleep(0.05)

resources = {"io_manager": DeltaIOManager(lake=LakeResource.of(Settings()))}
with dagster_instance(Settings(dagster_home=home)) as instance:
    dg.materialize([held], instance=instance, resources=resources, raise_on_error=False)
"""
# It starts what its arguments say in a process of its own, and says nothing of how that ends.
CODE_SERVER = """
import multiprocessing, sys, time
sys.argv = sys.argv[3:]
context = multiprocessing.get_context("fork")
context.Process(target=exec, args=(sys.argv[0], {"__name__": "held"})).start()
time.sleep(3600)
"""
CONTAINER = ("unshare", "--pid", "--uts", "--fork", "--kill-child", "sh", "-c")
HOSTS = {
    "this host": (),
    "a container with this host's name": (*CONTAINER, 'exec "$@"', "sh"),
    "another host": (*CONTAINER, 'hostname elsewhere && exec "$@"', "sh"),
}


@contextmanager
def holding(house: House, *before: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a run that holds the place of a table; give its process and its id."""
    home = house.settings.dagster_home
    begun = home.parent / "begun"
    command = [*before, sys.executable, "-c", HELD, str(home), str(begun)]
    with subprocess.Popen(command) as child:
        while not begun.exists() or not begun.read_text("utf-8"):
            assert child.poll() is None
        try:
            yield child, begun.read_text("utf-8")
        finally:
            child.kill()


@pytest.mark.parametrize("host", HOSTS)
def test_a_run_goes_on_while_its_process_does_and_gives_its_place_back_when_killed(
    house: House, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Real runs in real processes, of which only those on this host can be looked for."""
    before = HOSTS[host]
    if before and subprocess.call([*before, "true"], stderr=subprocess.DEVNULL):
        pytest.skip("this user may not start processes in a space of their own (unshare)")
    with dagster_instance(house.settings) as instance:
        storage = instance.event_log_storage
        with holding(house, *before) as (_, run_id):
            assert end_dead_runs(instance) == []
            assert active_runs(instance) == [run_id]
        if host != "this host":
            assert end_dead_runs(instance) == []
            monkeypatch.setattr(process_module, "LEASE", timedelta(0))
        assert storage.get_concurrency_info("table").active_slot_count == 1
        assert end_dead_runs(instance) == [run_id]
        assert storage.get_concurrency_info("table").active_slot_count == 0


def test_a_killed_run_ends_although_the_code_server_that_started_it_goes_on(house: House) -> None:
    with (
        dagster_instance(house.settings) as instance,
        holding(house, sys.executable, "-c", CODE_SERVER) as (server, run_id),
    ):
        run = instance.get_run_by_id(run_id)
        owner = Owner.of(run) if run is not None else None
        assert owner is not None
        assert owner.number != server.pid
        os.kill(owner.number, signal.SIGKILL)
        while not owner.has_ended:
            assert server.poll() is None
        assert end_dead_runs(instance) == [run_id]
        assert server.poll() is None


def test_a_run_that_was_interrupted_in_a_step_is_started_again(house: House) -> None:
    """As when a machine stops; what a mistake of a step's ends, or somebody cancels, is not."""
    with dagster_instance(house.settings) as instance:
        with holding(house) as (child, run_id):
            child.terminate()
            child.wait()
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert run.tags["dagster/will_retry"] == "true"


def test_a_run_says_that_it_is_alive_until_it_ends(
    stored_instance: dg.DagsterInstance, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = stored_instance
    monkeypatch.setattr(process_module, "_HEARTBEAT", timedelta(seconds=0.01))
    before = clock.now()
    # What another host left behind ends meanwhile, since this run may be waiting for its places.
    long_ago = (clock.now() - LEASE * 2).isoformat()
    silent = started(
        instance,
        lambda run_id: str(Owner(run_id, "replaced-container", 1, 1)),
        **{ALIVE_TAG: long_ago},
    )

    @dg.asset(io_manager_key="io_manager")
    def watched() -> dg.MaterializeResult[None]:
        context = dg.AssetExecutionContext.get()
        begun = context.instance.get_run_by_id(context.run.run_id)
        assert begun is not None
        assert Owner.of(begun) == Owner.here(begun.run_id)
        while (now := context.instance.get_run_by_id(begun.run_id)) is not None:
            if now.tags[ALIVE_TAG] > begun.tags[ALIVE_TAG] and silent not in active_runs(
                context.instance
            ):
                return dg.MaterializeResult()
        raise AssertionError

    resources = {"io_manager": DeltaIOManager(lake=LakeResource.of(house.settings))}
    threads = threading.active_count()
    result = dg.materialize([watched], instance=instance, resources=resources)
    assert result.success
    assert threading.active_count() == threads
    (run,) = (run for run in instance.get_runs() if run.run_id != silent)
    assert before < datetime.fromisoformat(run.tags[ALIVE_TAG]) <= clock.now()


def test_orphaned_mlflow_runs_end_and_others_go_on(tmp_path: Path, empty_store: Path) -> None:
    store = tmp_path / "mlflow.db"
    store.write_bytes(empty_store.read_bytes())
    tracking = MlflowTracking(tracking_uri=f"sqlite:///{store}")
    other = tracking.in_experiment("Other")
    client = tracking.client()

    def begin(owner: str | None, where: MlflowTracking = tracking) -> str:
        tags = {DAGSTER_RUN_TAG: owner} if owner else {}
        return str(client.create_run(where.experiment_id(), tags=tags).info.run_id)

    orphaned, living, foreign, elsewhere = (
        begin("dead"), begin("alive"), begin(None), begin("dead", other),
    )  # fmt: skip
    later = clock.now() + timedelta(seconds=5)
    assert tracking.end_orphaned_runs(["alive"], datetime(2020, 1, 1, tzinfo=UTC)) == []
    assert set(tracking.end_orphaned_runs(["alive"], later)) == {orphaned, elsewhere}
    status = {run: client.get_run(run).info.status for run in (orphaned, elsewhere)}
    assert set(status.values()) == {"KILLED"}
    for run in (living, foreign):
        assert client.get_run(run).info.status == "RUNNING"
