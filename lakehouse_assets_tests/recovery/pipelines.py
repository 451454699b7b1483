"""Pipelines in processes of their own, which can be killed at any moment.

Run as a module: it reads its task as JSON and prints its findings as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lakehouse_assets import clock

if TYPE_CHECKING:
    from lakehouse_assets_tests.airline.samples import House

_MOST_TRIES = 3
_KILLS_PER_LAKE = 10
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What is loaded, and killed on the way: two days of deliveries.

    Attributes:
        domain: Domain of the datasets.
        datasets: Their names.
        days: First and last day.
    """

    domain: str
    datasets: tuple[str, ...]
    days: tuple[str, str]

    @property
    def tables(self) -> list[str]:
        """The tables that are written."""
        return [
            table
            for name in self.datasets
            for table in (
                f"bronze_{name}", f"bronze_{name}_rejects",
                f"silver_{name}", f"silver_{name}_quarantine",
            )
        ]  # fmt: skip


LOADS = {
    "purchases": Load("airline", ("transactions",), ("2014-03-03", "2014-03-04")),
    # CSV, and Parquet that was copied from a database; purchases are JSON.
    "retail": Load("retail", ("campaigns", "online_sales"), ("2021-09-06", "2021-09-07")),
}


def start(work: Callable[[], None]) -> int:
    """Start work in a forked process; return its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the process ends here, and says why
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def work_for(child: int, seconds: float) -> None:
    """Wait until a process has had so many seconds of processor time, or has ended."""
    path = Path(f"/proc/{child}/stat")
    if not path.exists():
        # macOS does not tell: there the clock has to do.
        sleep_for(child, seconds)
        return
    while True:
        state, *fields = path.read_text("utf-8").rpartition(")")[2].split()
        # Its time in its own code and in the system's.
        if state == "Z" or (int(fields[10]) + int(fields[11])) / _TICKS >= seconds:
            return
        time.sleep(0.002)


def sleep_for(_child: int, seconds: float) -> None:
    """Wait so long; what a process waits for itself counts, as answers of a store do."""
    time.sleep(seconds)


def fork(
    work: Callable[[], None],
    kill_after: float | None = None,
    wait: Callable[[int, float], None] = work_for,
) -> bool:
    """Run work in a forked process, killed with -9 after some seconds; say whether it was hit.

    Args:
        work: What the process does.
        kill_after: When it is killed; never if nothing is said.
        wait: Waits until a process has lived so long. By the clock, no moment is in the midst of
            every run on a busy machine, so that it is its processor time if nothing is said.

    Raises:
        RuntimeError: the process ended otherwise than well or killed.
    """
    child = start(work)
    if kill_after is not None:
        wait(child, kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"a pipeline ended with {os.WEXITSTATUS(status)}")
    return False


def fork_and_import(work: Callable[[], None], folder: Path) -> None:
    """Run work in a forked process, then import in this one what it took."""
    listed = folder / "modules.json"

    def run() -> None:
        work()
        listed.write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")

    fork(run)
    for name in json.loads(listed.read_text("utf-8")):
        # Scripts that were run leave modules that cannot be imported by their names.
        with suppress(ImportError):
            import_module(name)


class Pipelines:
    """Runs of two days of deliveries in one house.

    Args:
        folder: Folder of the house, with its landing zone.
        load: What is loaded, of `LOADS`.
        store: Folder of a store in which the lakes lie; empty for a lake in the house.
    """

    def __init__(self, folder: Path, load: str, store: str = "") -> None:
        self.folder = folder
        self.load = LOADS[load]
        self.home = folder / "home"
        self._store = store
        self._lakes = 0

    def house(self) -> House:
        """Open the house."""
        from lakehouse_assets.storage.location import parse_location
        from lakehouse_assets_tests.airline.samples import House

        house = House.at(self.folder)
        if not self._store:
            return house
        root = parse_location(f"{self._store}/{self._lakes}")
        return House(house.settings.model_copy(update={"root": root}))

    def daily(self, *, shared: bool = True) -> None:
        """Load and clean both days, as `lakehouse run` does."""
        import dagster as dg

        from lakehouse_assets.domains import REGISTRY
        from lakehouse_assets.orchestration.instance import open_home
        from lakehouse_assets.orchestration.jobs import DAILY, job_name
        from lakehouse_assets.orchestration.process import OWNER_TAG, Owner, end_dead_runs

        first, last = self.load.days
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        job = self.house().definitions().resolve_job_def(job_name(self.load.domain, DAILY))
        keys = [dg.AssetKey(REGISTRY[name].key) for name in self.load.tables]

        def execute(instance: dg.DagsterInstance) -> None:
            run_id = str(uuid4())
            owned = {**tags, OWNER_TAG: str(Owner.here(run_id))}
            assert job.execute_in_process(
                instance=instance, run_id=run_id, tags=owned, asset_selection=keys
            ).success

        if not shared:
            with dg.DagsterInstance.ephemeral() as instance:
                execute(instance)
            return
        os.environ["DAGSTER_HOME"] = str(self.home)
        with open_home(self.home) as instance:
            end_dead_runs(instance)
            execute(instance)

    def look(self) -> None:
        """Write down what the tables hold, without clocks, and what Dagster remembers."""
        import dagster as dg

        house = self.house()
        read = house.lake_rows if self._store else house.rows
        rows = {
            name: [{k: str(v) for k, v in row.items() if k != "_ingested_at"} for row in read(name)]
            for name in self.load.tables
        }
        os.environ["DAGSTER_HOME"] = str(self.home)
        with dg.DagsterInstance.get() as instance:
            statuses = [run.status.value for run in instance.get_runs()]
            slots = sum(
                instance.event_log_storage.get_concurrency_info(key).active_slot_count
                for key in instance.event_log_storage.get_concurrency_keys()
            )
        found = {"rows": rows, "runs": statuses, "slots": slots}
        (self.folder / "found.json").write_text(json.dumps(found), encoding="utf-8")

    def looked(self) -> dict[str, Any]:
        """Return what `look` wrote, from another process."""
        fork(self.look)
        found: dict[str, Any] = json.loads((self.folder / "found.json").read_text("utf-8"))
        return found

    def import_what_runs_import(self) -> None:
        """Run once and import here what that took: what is killed later works from its start on."""

        def run() -> None:
            self.daily()
            self.look()

        fork_and_import(run, self.folder)

    def versions(self) -> list[int]:
        """Return how many commits each table has."""
        tables = self.folder / "lake" / self.load.domain
        return [
            len(list((tables / name / "_delta_log").glob("*.json"))) for name in self.load.tables
        ]

    def renew(self, home: Path) -> None:
        """Empty the lake, in a store by taking another folder, and Dagster's memory."""
        self._lakes += 1
        shutil.rmtree(self.folder / "lake", ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(home, self.home)


def kills(folder: Path, load: str, points: int, seed: int) -> dict[str, Any]:
    """Kill pipelines at seeded moments spread over their whole length; after each few, heal."""
    chance = random.Random(seed)  # noqa: S311
    pipelines, empty = Pipelines(folder, load), folder / "empty-home"
    _new_home(empty)
    pipelines.renew(empty)
    # Three runs without a kill: the first is slower, by imports and disk, than what is measured.
    pipelines.import_what_runs_import()
    for _ in range(2):
        before = os.times()
        fork(pipelines.daily)
        after = os.times()
    length = after.children_user + after.children_system
    length -= before.children_user + before.children_system
    expected = pipelines.looked()
    moments = [length * (n + chance.random()) / points for n in range(points)]
    chance.shuffle(moments)
    hit, states, findings = 0, set(), []
    for number in range(points * _MOST_TRIES):
        if hit >= points:
            break
        if number % _KILLS_PER_LAKE == 0:
            pipelines.renew(empty)
        had = pipelines.versions()
        hit += fork(pipelines.daily, kill_after=moments[number % points])
        states.add(tuple(map(int.__sub__, pipelines.versions(), had)))
        if number % _KILLS_PER_LAKE == _KILLS_PER_LAKE - 1 or hit >= points:
            fork(pipelines.daily)
            findings.append(pipelines.looked())
    return {
        "hit": hit,
        "states": sorted(states),
        "expected": expected["rows"],
        "healed": [found["rows"] == expected["rows"] for found in findings],
        "runs": sorted({status for found in findings for status in found["runs"]}),
        "slots": max(found["slots"] for found in findings),
    }


def kills_in_a_store(folder: Path, load: str, store: str, points: int, seed: int) -> dict[str, Any]:
    """Kill one pipeline on each of some lakes in a store, at seeded moments, and run it again.

    A pipeline that was done before its moment came is run again, too, and another one is killed.
    """
    chance = random.Random(seed)  # noqa: S311
    pipelines, empty = Pipelines(folder, load, store), folder / "empty-home"
    _new_home(empty)
    pipelines.renew(empty)
    pipelines.import_what_runs_import()
    pipelines.renew(empty)
    started = time.monotonic()
    fork(pipelines.daily)
    length = time.monotonic() - started
    expected = pipelines.looked()["rows"]
    hit, healed, statuses = 0, [], []
    moments = [length * (n + chance.random()) / points for n in range(points)]
    for number in range(points * _MOST_TRIES):
        if hit >= points:
            break
        pipelines.renew(empty)
        hit += fork(pipelines.daily, kill_after=moments[number % points], wait=sleep_for)
        fork(pipelines.daily)
        found = pipelines.looked()
        healed.append(found["rows"] == expected)
        statuses.append(found["runs"])
    return {"hit": hit, "expected": expected, "healed": healed, "runs": statuses}


def together(folder: Path, pairs: int) -> dict[str, Any]:
    """Run the same partitions in two processes at once, with and without a shared instance."""
    pipelines, empty = Pipelines(folder, "purchases"), folder / "empty-home"
    _new_home(empty)
    pipelines.renew(empty)
    pipelines.import_what_runs_import()
    expected = pipelines.looked()["rows"]
    same, endings = [], []
    for number in range(pairs):
        pipelines.renew(empty)
        shared = number % 2 == 0
        children = []
        for _ in range(2):
            children.append(start(lambda shared=shared: pipelines.daily(shared=shared)))  # type: ignore[misc]
        endings += [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]
        same.append(pipelines.looked()["rows"] == expected)
    return {"same": same, "endings": endings}


_WRITES = (
    "create_run", "log_batch", "log_inputs", "log_artifacts", "create_logged_model",
    "log_model_artifacts", "finalize_logged_model", "log_outputs", "create_registered_model",
    "create_model_version", "set_terminated", "set_registered_model_alias",
    "delete_registered_model_alias", "set_model_version_tag", "update_model_version",
)  # fmt: skip
_MONTHS = ("2014-02-01", "2014-03-01")


def before_write(number: int | None, act: Callable[[], None]) -> dict[str, int]:
    """Do something before a write of MLflow's client, by its number from 0; count the writes."""
    from mlflow import MlflowClient

    state = {"calls": 0}

    def counted(name: str) -> None:
        real = getattr(MlflowClient, name)

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            state["calls"] += 1
            if number == state["calls"] - 1:
                act()
            return real(self, *args, **kwargs)

        setattr(MlflowClient, name, call)

    for name in _WRITES:
        counted(name)
    return state


class Models:
    """A model that was fitted and promoted in one month, and is fitted in the next.

    Args:
        folder: Folder with a store that has tables only, `mlflow.db`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.template = folder / "template"
        self.uri = f"sqlite:///{self.store / 'mlflow.db'}"

    def prepare(self) -> int:
        """Fit the first month; return how many writes the second takes."""
        shutil.copytree(self.folder / "empty", self.store)
        fork_and_import(lambda: self.fit(_MONTHS[0]), self.folder)
        self.store.rename(self.template)
        self.renew()
        found = self.folder / "calls.json"

        def count() -> None:
            state = before_write(None, lambda: None)
            self.fit(_MONTHS[1])
            found.write_text(str(state["calls"]), encoding="utf-8")

        fork(count)
        return int(found.read_text("utf-8"))

    def renew(self) -> None:
        """Go back to before the second month; paths in the store are those of the first fit."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.template, self.store)

    def fit(self, month: str, uri: str = "") -> None:
        """End what a killed process orphaned, then fit, track and decide, as the asset does."""
        import pyarrow as pa

        from lakehouse_assets.engine.start import start_engine
        from lakehouse_assets.ml.lifecycle import run_model
        from lakehouse_assets.ml.tracking import MlflowTracking
        from lakehouse_assets_tests.ml.toy import POINTS

        tracking = MlflowTracking(uri or self.uri)
        tracking.end_orphaned_runs([], clock.now())
        numbers = range(1, 61 if month == _MONTHS[0] else 71)
        rows = pa.table(
            {
                "member": numbers,
                "flights": numbers,
                "km": [900 * n + n % 7 for n in numbers],
                "points": [float(500 * n + n % 5) for n in numbers],
            }
        )
        engine = start_engine()
        with engine.scope():
            run_model(
                POINTS, engine, engine.from_arrow(rows), tracking,
                partition=month, run_id="run", most_rows=1_000,
            )  # fmt: skip

    def attempt(self, number: int, act: Callable[[], None], uri: str = "") -> str:
        """Fit the second month with something happening at a write; return the error's text."""
        from lakehouse_assets.errors import LakehouseError

        target = self.folder / "attempt.txt"

        def work() -> None:
            before_write(number, act)
            try:
                self.fit(_MONTHS[1], uri)
            except LakehouseError as error:
                target.write_text(str(error), encoding="utf-8")

        target.write_text("no error", encoding="utf-8")
        fork(work)
        return target.read_text("utf-8")

    def look(self) -> dict[str, Any]:
        """Return what the registry holds, from another process."""
        target = self.folder / "found.json"

        def work() -> None:
            from lakehouse_assets.ml.decisions import aliases_of, decisions_of, versions_of
            from lakehouse_assets.ml.tracking import MlflowTracking

            tracking = MlflowTracking(self.uri).in_experiment("Points")
            versions = versions_of(tracking, "points")
            made = decisions_of(versions)
            statuses = [
                run.info.status for run in tracking.client().search_runs([tracking.experiment_id()])
            ]
            found = {
                "running": statuses.count("RUNNING"),
                "versions": len(versions),
                "cards": sum(bool(version.description) for version in versions),
                "aliases": aliases_of(tracking, "points"),
                "decided": [(d.candidate, d.promoted, d.carried_out) for d in made],
            }
            target.write_text(json.dumps(found), encoding="utf-8")

        fork(work)
        found: dict[str, Any] = json.loads(target.read_text("utf-8"))
        return found


def models(folder: Path, points: int, seed: int, port: int, artifacts: str) -> dict[str, Any]:
    """Disturb the second month's fit in every way; each time fit it again and look.

    Args:
        folder: The folder.
        points: How many writes of MLflow's client are those at which it is killed.
        seed: Seed of which.
        port: A free port for a tracking server.
        artifacts: A folder on a small disk of its own; empty where none can be had.
    """
    chance, model, kills = random.Random(seed), Models(folder), []  # noqa: S311
    calls = model.prepare()
    for number in sorted(chance.sample(range(calls), min(points, calls))):
        model.renew()

        def killed(number: int = number) -> None:
            before_write(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            model.fit(_MONTHS[1])

        hit = fork(killed)
        fork(lambda: model.fit(_MONTHS[1]))
        kills.append({"number": number, "hit": hit, **model.look()})
    found = {"calls": calls, "kills": kills, "locked": locked(model, calls // 2)}
    if artifacts:
        found["full"] = full(model, artifacts)
    return found | {"server": lost_server(model, calls // 2, port)}


_LOCKER = """
import sqlite3, sys, time
store = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
store.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def locked(model: Models, number: int) -> dict[str, Any]:
    """Lock the store from a second process before a write, then let go and fit again."""
    model.renew()
    pid = model.folder / "locker.pid"

    def lock() -> None:
        locker = subprocess.Popen(
            [sys.executable, "-c", _LOCKER, str(model.store / "mlflow.db")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert locker.stdout is not None
        assert locker.stdout.readline() == b"locked\n"
        pid.write_text(str(locker.pid), encoding="utf-8")

    # The lock ends with the process of the attempt, whose end of the pipe is the locker's input.
    error = model.attempt(number, lock)
    with suppress(ProcessLookupError):
        os.kill(int(pid.read_text("utf-8")), signal.SIGKILL)
    fork(lambda: model.fit(_MONTHS[1]))
    return {"error": error, **model.look()}


def full(model: Models, artifacts: str) -> dict[str, Any]:
    """Fill the disk of the artefacts before the fit, then make room and fit again."""
    model.renew()
    shutil.copytree(model.store / "artifacts", artifacts, dirs_exist_ok=True)
    shutil.rmtree(model.store / "artifacts")
    (model.store / "artifacts").symlink_to(artifacts)
    filler = Path(artifacts) / "filler"

    def fill() -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))

    error = model.attempt(0, fill)
    filler.unlink()
    fork(lambda: model.fit(_MONTHS[1]))
    return {"error": error, **model.look()}


def lost_server(model: Models, number: int, port: int) -> dict[str, Any]:
    """Kill the tracking server before a write, then start it and fit again."""
    address = f"http://127.0.0.1:{port}"
    model.renew()

    def serve() -> subprocess.Popen[bytes]:
        server = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--backend-store-uri", model.uri,
                "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                "--default-artifact-root", str(model.store / "artifacts"),
            ],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )  # fmt: skip
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310
                return server
            time.sleep(0.2)
        raise RuntimeError("the tracking server did not start")

    server = serve()
    try:
        error = model.attempt(number, lambda: os.killpg(server.pid, signal.SIGKILL), address)
        server.wait()
        server = serve()
        fork(lambda: model.fit(_MONTHS[1], address))
        return {"error": error, **model.look()}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _new_home(home: Path) -> None:
    """Make an empty Dagster home; its databases take longer to make than a run takes."""
    from lakehouse_assets.orchestration.instance import dagster_instance
    from lakehouse_assets.settings import Settings

    def make() -> None:
        with dagster_instance(Settings(dagster_home=home)) as instance:
            instance.get_runs(limit=1)
            instance.event_log_storage.get_concurrency_keys()

    fork(make)


def main() -> None:
    """Import what pipelines need, without starting any thread, and do the task."""
    task = json.loads(sys.argv[1])
    folder = Path(task.pop("folder"))
    tasks = (kills, kills_in_a_store, together, models)
    what = {task.__name__: task for task in tasks}[task.pop("task")]
    import dagster  # noqa: F401
    import deltalake  # noqa: F401
    import duckdb  # noqa: F401
    import sqlframe.duckdb  # noqa: F401

    import lakehouse_assets.definitions  # noqa: F401

    if what is models:
        import matplotlib.figure  # noqa: F401
        import mlflow.sklearn  # noqa: F401
        import skops.io  # noqa: F401
    found = what(folder, **task)
    (folder / "findings.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
