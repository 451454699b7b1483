"""Deliver, kill and fill up for a while, let all settle, and say what is not as it should be."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType

from lakehouse_assets import clock
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.orchestration.jobs import QUALITY
from lakehouse_assets.orchestration.process import WAS_KILLED, Owner
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import REPOSITORY, House
from lakehouse_assets_tests.clocks import at
from lakehouse_assets_tests.parity.lakes import differences
from lakehouse_assets_tests.soak.deliveries import FIRST, Partner
from lakehouse_assets_tests.soak.machine import Disk, Machine

SEGMENTS = dg.AssetKey(["airline", "gold_customer_segments_ml"])
OPEN = [
    status
    for status in dg.DagsterRunStatus
    if status.name not in {"SUCCESS", "FAILURE", "CANCELED"}
]
# Idle processes may hold so much more than when they began: a code server that has ended what dead
# runs left behind has imported MLflow, which takes 150 MB.
MOST_MEMORY = 2.0
# Looks of the sensor that follows tables, without any news of a run, until what waits counts as
# stuck: 20 minutes, twice what another host's run is given.
_MOST_LOOKS = 40
_LOOKS = {"deliveries": 2, "late_deliveries": 1, "build_downstream": 2}
_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
_TARGETS = ("daemon", "code server", "run worker")
_BEFORE_SCHEDULES = time_of_day(5, 59, 40)
_FAULTS = ("the lake fails", "the lake's disk is full", "every disk is full")


class Soak:
    """One soak in a folder.

    Attributes:
        wrong: What is not as it should be, in sentences.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        days: int,
        *,
        mounts: bool,
        say: Callable[[str], None] = print,
    ) -> None:
        self.wrong: list[str] = []
        self._chance = random.Random(seed)  # noqa: S311
        self._mounts = mounts
        self._say = say
        self._began = time.monotonic()
        (folder / "landing").mkdir()
        (folder / "tmp").mkdir()
        self._lake = Disk(folder / "lake", "3g" if mounts else None)
        self._state = Disk(folder / "state", "3g" if mounts else None)
        self.folder = folder
        self.house = House(self._settings(folder / "lake" / "root", folder / "state"))
        self.machine = Machine(folder, self._variables(self.house))
        self.partner = Partner(folder / "landing", days, seed)
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._last_event = 0.0
        self._judged: set[str] = set()

    def _settings(self, root: Path, state: Path) -> Settings:
        return Settings(
            landing=self.folder / "landing",
            root=root,
            mlflow_uri=f"sqlite:///{state / 'mlflow' / 'mlflow.db'}",
            dagster_home=state / "dagster",
            first_partition=FIRST,
        )

    def _variables(self, house: House) -> dict[str, str]:
        settings = house.settings
        return {
            "LAKEHOUSE_LANDING": str(settings.landing),
            "LAKEHOUSE_ROOT": str(settings.root),
            "LAKEHOUSE_MLFLOW_URI": settings.mlflow_uri,
            "LAKEHOUSE_DAGSTER_HOME": str(settings.dagster_home),
            "DAGSTER_HOME": str(settings.dagster_home),
            "LAKEHOUSE_FIRST_PARTITION": f"{FIRST}",
            "LAKEHOUSE_AUTOMATION": "true",
            "LAKEHOUSE_THREADS": os.environ.get("LAKEHOUSE_THREADS", "0"),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def release(self) -> None:
        """Unmount the disks, so that the folder can be removed."""
        self._lake.release()
        self._state.release()

    def say(self, text: str) -> None:
        """Say something, with the time since the beginning."""
        self._say(f"{(time.monotonic() - self._began) / 60:5.1f} min  {text}")

    def run(self, seconds: int, kills: int) -> dict[str, Any]:
        """Soak; return what is worth reporting."""
        done = self.machine.run("home")
        assert done.returncode == 0, done.stderr
        os.environ["DAGSTER_HOME"] = str(self.house.settings.dagster_home)
        with dg.DagsterInstance.get() as instance:
            self.instance = instance
            self.machine.start()
            self.settle("before the first delivery")
            before = self._idle()
            self._deliver(seconds, kills)
            self.settle("after the last delivery")
            after = self._idle()
            self._compare_idle(before, after)
            self._morning()
            self._nothing_waits()
            self._no_process_is_left()
            self._no_file_is_left()
            self._equals_a_rebuild()
            return self._report(before, after)

    # What happens

    def _deliver(self, seconds: int, kills: int) -> None:
        moments = sorted(self._chance.sample(range(10, max(seconds, 11 + kills)), kills))
        targets = [(t, s) for t in _TARGETS for s in _SIGNALS] * (kills // 6 + 1)
        self._chance.shuffle(targets)
        plan = dict(zip(moments, targets, strict=False))
        faults = {int(seconds * (n + 0.7) / 3): fault for n, fault in enumerate(_FAULTS)}
        self.partner.begin()
        owed: list[tuple[str, signal.Signals]] = []
        fault: tuple[float, ExitStack] | None = None
        for second in range(seconds):
            started = time.monotonic()
            self.partner.deliver(second / seconds)
            self._last_event = clock.now().timestamp()
            if second in plan:
                owed.append(plan[second])
            for target, how in list(owed):
                ended = self.machine.end(target, how)
                if ended is not None:
                    owed.remove((target, how))
                    self.kills[f"{target}, {how.name}"] += 1
                    self.say(f"{how.name} to the {target}")
            if second in faults:
                fault = self._begin_fault(faults[second], started + min(seconds / 8, 150))
            if fault and started > fault[0]:
                fault[1].close()
                fault = None
                self.say("the fault is over")
            self.machine.start()
            if second % 30 == 0:
                self.say(self._progress())
            if second % 5 == 0:
                # The disk may be full: what cannot be read now is looked at later.
                with suppress(Exception):
                    self._no_healthy_run_was_ended()
            time.sleep(max(0.0, started + 1 - time.monotonic()))
        if fault:
            fault[1].close()
        self.partner.close()
        self._last_event = clock.now().timestamp()

    def _begin_fault(self, name: str, until: float) -> tuple[float, ExitStack] | None:
        if name != _FAULTS[0] and not self._mounts:
            self.say(f"left out, since nothing can be mounted here: {name}")
            return None
        self.say(name)
        stack = ExitStack()
        if name == _FAULTS[0]:
            stack.enter_context(self._lake.failing())
        else:
            for disk in [self._lake, self._state][: 1 + (name == _FAULTS[2])]:
                stack.enter_context(disk.full())
        self.faults[name] += 1
        return until, stack

    def settle(self, when: str) -> None:
        """Wait until nothing runs, nothing waits, and no look of a sensor finds anything to do."""
        seen: Any = None
        looks_at_news = self._looks("build_downstream", 0.0)
        said = time.monotonic()
        while True:
            self.machine.start()
            self._no_healthy_run_was_ended()
            runs = self.instance.get_run_records(limit=100_000)
            statuses = {r.dagster_run.run_id: r.dagster_run.status for r in runs}
            waiting = [run for run, status in statuses.items() if status in OPEN]
            if statuses != seen:
                seen, looks_at_news = statuses, self._looks("build_downstream", 0.0)
            last = max([self._last_event, *(r.update_timestamp.timestamp() for r in runs)])
            if not waiting and self._looked_since(last):
                self.say(f"all is quiet {when}: {self._progress()}")
                return
            if self._looks("build_downstream", 0.0) - looks_at_news > _MOST_LOOKS:
                self.wrong.append(f"stuck {when}: {len(waiting)} runs wait ({self._progress()})")
                return
            if time.monotonic() - said > 30:
                said = time.monotonic()
                self.say(self._progress())
            time.sleep(2)

    def _looked_since(self, moment: float) -> bool:
        """Say whether every sensor has looked since, often enough to see what there was."""
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        wanted = [
            (state, _LOOKS[kind])
            for state in states
            for kind in _LOOKS
            if state.name.endswith(kind)
            and not (kind == "deliveries" and state.name.endswith("late_deliveries"))
        ]
        return bool(wanted) and all(
            self._looks(state.name, moment) >= count for state, count in wanted
        )

    def _looks(self, sensor: str, since: float) -> int:
        """Count a sensor's finished looks that began after a moment and asked for nothing."""
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        for state in states:
            if state.name == sensor:
                ticks = self.instance.get_ticks(
                    state.instigator_origin_id, state.selector_id, after=since, limit=100_000
                )
                return sum(tick.status.name == "SKIPPED" for tick in ticks)
        return 0

    def _morning(self) -> None:
        """Let the night go by: at 06:00 schedules ask for what is behind its files."""
        self.machine.stop()
        now = clock.now()
        morning = datetime.combine(now.date() + timedelta(days=1), _BEFORE_SCHEDULES, UTC)
        paths = f"{Path(__file__).with_name('morning')}{os.pathsep}{REPOSITORY}"
        self.machine.clock = {**at(morning, "UTC"), "PYTHONPATH": paths}
        self.say(f"the night goes by until {morning:%H:%M:%S}")
        self.machine.start()
        while not self._scheduled_since(morning):
            self.machine.start()
            if self._looks("build_downstream", morning.timestamp()) > _MOST_LOOKS:
                self.wrong.append("the schedules of the morning did not ask for anything")
                return
            time.sleep(2)
        self._last_event = morning.timestamp() + 60
        self.settle("in the morning")

    def _scheduled_since(self, moment: datetime) -> bool:
        """Say whether every schedule that asks for what is behind has done so."""
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        ticks = [
            self.instance.get_ticks(
                state.instigator_origin_id, state.selector_id, after=moment.timestamp(), limit=1
            )
            for state in states
            if state.name.endswith("_refresh")
        ]
        ended = [tick and tick[0].status.name in {"SKIPPED", "SUCCESS"} for tick in ticks]
        return bool(ended) and all(ended)

    # What is looked at

    def _progress(self) -> str:
        try:
            runs = Counter(run.status.name for run in self.instance.get_runs())
        except Exception as error:  # noqa: BLE001 - its disk may be full
            return f"the instance cannot be read: {error}"[:200]
        told = ", ".join(f"{count} {status}" for status, count in sorted(runs.items()))
        return (
            f"{self.partner.counts.total()} deliveries, runs: {told or 'none'}; "
            f"{len(self.machine.processes())} processes, {self.machine.memory():.0f} MB"
        )

    def _idle(self) -> tuple[int, float]:
        return len(self.machine.processes()), self.machine.memory()

    def _compare_idle(self, before: tuple[int, float], after: tuple[int, float]) -> None:
        if after[0] != before[0]:
            self.wrong.append(
                f"{after[0]} processes instead of {before[0]}: {self.machine.processes()}"
            )
        if after[1] > before[1] * MOST_MEMORY:
            self.wrong.append(f"{after[1]:.0f} MB of memory instead of {before[1]:.0f}")

    def _nothing_waits(self) -> None:
        waiting = self.instance.get_runs(dg.RunsFilter(statuses=OPEN))
        if waiting:
            self.wrong.append(f"{len(waiting)} runs have not ended: {waiting[0].run_id}")
        storage = self.instance.event_log_storage
        for key in storage.get_concurrency_keys():
            pool = storage.get_concurrency_info(key)
            if pool.active_slot_count or pool.pending_step_count:
                self.wrong.append(f"pool {key} has taken or awaited slots")
        for backfill in self.instance.get_backfills():
            if backfill.status.name != "COMPLETED_SUCCESS":
                self.wrong.append(f"a backfill is {backfill.status.name}: {backfill.backfill_id}")
        database = self.house.settings.mlflow_uri.removeprefix("sqlite:///")
        with closing(sqlite3.connect(database)) as connection:
            query = "select count(*) from runs where status = 'RUNNING'"
            running = connection.execute(query).fetchone()[0]
        if running:
            self.wrong.append(f"{running} runs of MLflow stand as RUNNING")

    def _no_healthy_run_was_ended(self) -> None:
        """Look for runs that are said to have been killed while their process goes on."""
        workers = self.machine.workers()
        for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])):
            if run.run_id in self._judged:
                continue
            self._judged.add(run.run_id)
            owner = Owner.of(run)
            (record,) = self.instance.get_records_for_run(
                run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE, limit=1
            ).records
            killed = WAS_KILLED in record.event_log_entry.message
            if killed and owner is not None and owner.number in workers:
                self.wrong.append(f"the run {run.run_id} was ended, but its process was not")

    def _no_process_is_left(self) -> None:
        self.machine.stop()
        left = self.machine.processes()
        if left:
            self.wrong.append(f"processes are left: {left}")

    def _no_file_is_left(self) -> None:
        parts = [
            path
            for place in ("landing", "lake")
            for path in (self.folder / place).rglob("*")
            if path.suffix in {".part", ".tmp"} or path.name == ".ballast"
        ]
        left = [*parts, *(self.folder / "tmp").iterdir()]
        if left:
            self.wrong.append(f"{len(left)} files are left, such as {left[:5]}")

    def _equals_a_rebuild(self) -> None:
        fresh = self.folder / "rebuild"
        house = House(self._settings(fresh / "lake", fresh))
        done = self.machine.run("run", **self._variables(house))
        if done.returncode:
            self.wrong.append(f"a rebuild ends with {done.returncode}: {done.stdout[-2000:]}")
        found = [
            difference
            for difference in differences(self.house, house)
            if REGISTRY[difference.table].domain != QUALITY
        ]
        tables = sorted({difference.table for difference in found})
        self.say(f"{len(tables)} tables differ from a rebuild")
        if found:
            self.wrong.append(f"{', '.join(tables)} differ from a rebuild: {found[0]}")
            for difference in found:
                self.say(str(difference)[:600])

    def _report(self, before: tuple[int, float], after: tuple[int, float]) -> dict[str, Any]:
        runs, spent = self.instance.get_runs(), os.times()
        return {
            "minutes": round((time.monotonic() - self._began) / 60, 1),
            "minutes of processor": round(
                (spent.user + spent.system + spent.children_user + spent.children_system) / 60, 1
            ),
            "deliveries": dict(self.partner.counts),
            "kills": dict(self.kills),
            "not ended when asked to": self.machine.impatience,
            "faults": dict(self.faults),
            "left out": "" if self._mounts else "full disks: nothing can be mounted here",
            "runs": dict(Counter(run.status.name for run in runs)),
            "runs of jobs": dict(Counter(run.job_name for run in runs)),
            "runs with segments": sum(
                SEGMENTS in (run.asset_selection or ())
                for run in runs
                if run.status is dg.DagsterRunStatus.SUCCESS
            ),
            "retries": sum("dagster/parent_run_id" in run.tags for run in runs),
            "idle processes": [before[0], after[0]],
            "idle memory in MB": [round(before[1]), round(after[1])],
            "wrong": self.wrong,
        }


def soak(folder: Path, seconds: int, seed: int, kills: int, *, mounts: bool) -> dict[str, Any]:
    """Soak in an empty folder and print the report."""
    # Of a day of which files keep arriving nothing is loaded until they rest.
    days = max(3, min(50, seconds // 120))
    found = Soak(folder, seed, days, mounts=mounts, say=lambda text: print(text, flush=True))  # noqa: T201
    try:
        report = found.run(seconds, kills)
    finally:
        for number in found.machine.processes():
            os.kill(number, signal.SIGKILL)
        found.release()
    for name, value in report.items():
        print(f"{name}: {value}", flush=True)  # noqa: T201
    return report
