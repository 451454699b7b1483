"""Strands beside each other: the same tables as one after the other, whatever goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.registry import REGISTRY
from lakehouse_assets.domains.retail.tables import campaigns as c
from lakehouse_assets.orchestration import lanes
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.lanes import beside_each_other, shared_out
from lakehouse_assets.orchestration.outcome import Outcome
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets.orchestration.process import Owner, active_runs
from lakehouse_assets.orchestration.run import Watcher, execute
from lakehouse_assets.orchestration.strands import Strand, Work
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, member, purchase, variables_of
from lakehouse_assets_tests.retail import samples as retail

# When a run began, and which it was, differs from run to run.
VOLATILE = {"load_timestamp", "_ingested_at", "run_id", "recorded_at"}


@pytest.fixture(autouse=True)
def _restore_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Undo what opening the persistent instance does to the environment."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


def delivered(house: House) -> House:
    """Deliver a day of each domain; too few members to train on."""
    house.deliver_members("2014-03-31", [member(1), member(2)])
    house.deliver_purchases("2014-03-03", [purchase("A"), purchase("B", amount="oops")])
    rows = [retail.result(), retail.result(Country="Japan")]
    content = retail.quoted_csv(c.CAMPAIGNS, rows)
    retail.deliver(house, c.CAMPAIGNS, "2021-09-06", "campaigns.csv", content)
    return house


def planned(house: House) -> list[PlannedRun]:
    """Plan what has to do with what was delivered, and the quality log."""
    return [*house.planned(t.TRANSACTIONS, c.CAMPAIGNS), PlannedRun("quality")]


def run_beside(house: House, on_start: Callable[[PlannedRun], None] = print) -> Outcome:
    """Run everything of a house, in two lanes."""
    with beside_each_other(house.settings, planned(house), most=2) as run:
        return run(Watcher(on_start))


def still_running(house: House) -> list[str]:
    with dagster_instance(house.settings) as instance:
        return active_runs(instance)


@pytest.mark.parametrize(
    ("given", "want"), [("4GB", "2GB"), ("1.5 GiB", "0.75GiB"), ("80%", "40%"), ("lots", "lots")]
)
def test_lanes_share_the_memory_and_threads_of_the_settings(given: str, want: str) -> None:
    settings = Settings(memory_limit=given, threads=5)
    shared = shared_out(settings, 2)
    assert (shared.memory_limit, shared.threads) == (want, 2)
    assert shared_out(Settings(threads=1), 2).threads == 1


def test_strands_beside_each_other_give_the_tables_of_one_after_the_other(
    new_house: Callable[..., House],
) -> None:
    one, other = (delivered(new_house()) for _ in range(2))
    assert execute(one.settings, planned(one)).errors == []
    started: list[str] = []
    outcome = run_beside(other, lambda run: started.append(run.job))
    assert (outcome.errors, outcome.stopped) == ([], False)
    assert (started[0], started[-1]) == ("calendar", "quality")
    assert sorted(started[1:-1]) == [
        "airline_daily", "airline_monthly", "retail_daily", "retail_monthly",
    ]  # fmt: skip
    told = {warning.table for warning in outcome.warnings}
    assert {t.SILVER_TRANSACTIONS.name, c.SILVER_CAMPAIGNS.name} <= told
    assert {"airline__kpi_customer_value", "retail__campaign_days"} <= outcome.seconds.keys()
    for table in REGISTRY:
        names = ", ".join(f'"{n}"' for n in table.column_names if n not in VOLATILE)
        query = f"SELECT {names} FROM {{t}} ORDER BY ALL"  # noqa: S608
        assert one.path(table).exists() == other.path(table).exists(), table.name
        if one.path(table).exists():
            assert one.sql(query, t=table) == other.sql(query, t=table), table.name
    with dagster_instance(other.settings) as instance:
        runs = instance.get_runs()
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        owners = [Owner.of(run) for run in runs]
        assert len({owner.processes for owner in owners if owner}) == 2
        assert None not in owners


def test_a_strand_that_breaks_says_so_and_the_other_completes(house: House) -> None:
    delivered(house)
    write_deltalake(house.path(c.SILVER_CAMPAIGNS), pa.table({"another": ["table in its place"]}))
    started: list[str] = []
    outcome = run_beside(house, lambda run: started.append(run.job))
    assert outcome.stopped
    (sentence,) = outcome.errors
    assert sentence.startswith("retail__clean_campaigns (retail_daily 2021-09-06): ")
    assert house.count(t.KPI_CUSTOMER_VALUE) == 2
    # What needs every domain does not run, nor what comes after the step that broke.
    assert {"retail_monthly", "quality"}.isdisjoint(started)
    assert still_running(house) == []


def test_a_lane_that_is_killed_leaves_a_sentence_and_no_run(house: House) -> None:
    delivered(house)

    def kill(run: PlannedRun) -> None:
        if run.domain == "retail":
            with dagster_instance(house.settings) as instance:
                owners = [owner for run in instance.get_runs() if (owner := Owner.of(run))]
            (child,) = {number for owner in owners for number, _ in owner.processes} - {os.getpid()}
            os.kill(child, signal.SIGKILL)

    def retry(run: PlannedRun) -> None:
        """Wait until the lane's run is recorded."""
        while True:
            try:
                return kill(run)
            except ValueError:
                time.sleep(0.05)

    outcome = run_beside(house, retry)
    assert [error.split(",")[0] for error in outcome.errors] == [
        "The process that ran retail (bronze_campaigns and others) was ended from outside"
    ]
    assert still_running(house) == []
    assert house.count(t.KPI_CUSTOMER_VALUE) == 2


def test_another_error_in_a_lane_is_told_like_its_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane's home that cannot be opened, for one."""
    delivered(house)
    monkeypatch.setattr(lanes, "_SECONDS_TO_END", 1)
    broken = house.settings.model_copy(update={"dagster_home": house.settings.landing / "no" / "x"})
    (house.settings.landing / "no").write_text("a file in its place", encoding="utf-8")
    lane = lanes._Lane(broken)
    lane.tell("home")
    run = PlannedRun("retail_daily", "2021-09-06", "2021-09-06", ("bronze_campaigns",))
    strand = Strand({"retail_daily": frozenset(run.tables)})
    waiting = lanes._Waiting([Work(strand, (run,)), Work(strand, (run,))])
    lane.begin(waiting, Watcher())
    outcome = lane.outcome()
    lane.end()
    assert outcome.stopped
    (sentence,) = outcome.errors
    assert sentence.startswith("Dagster's home ")
    # What has not begun does not begin.
    assert waiting.next(trains=True) is None


def children_of(parent: int) -> set[int]:
    """Find the living children of a process, and theirs."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            child = int(path.parent.name)
            found |= {child, *children_of(child)}
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of processes")
def test_an_interrupted_run_leaves_no_process_and_no_run_behind(house: House) -> None:
    delivered(house)
    # As a terminal does, to all of the group in front.
    code, family = ended_run(house, lambda run: os.killpg(run, signal.SIGINT))
    assert code == 130
    assert left_of(family) == []
    assert list(scratch_of(house).glob("lakehouse-*")) == []
    assert still_running(house) == []
    # The same command goes on.
    assert run_beside(house).errors == []
    assert house.count(t.KPI_CUSTOMER_VALUE) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of processes")
def test_a_run_that_is_killed_takes_its_processes_with_it(house: House) -> None:
    delivered(house)
    code, family = ended_run(house, lambda run: os.kill(run, signal.SIGKILL))
    assert code == -signal.SIGKILL
    assert left_of(family) == []


def left_of(family: set[int]) -> list[int]:
    """Wait for processes to end, as long as a test may take."""
    while left := [child for child in family if Path(f"/proc/{child}").exists()]:
        time.sleep(0.1)
    return left


def scratch_of(house: House) -> Path:
    """Return where a run of the house has its temporary files."""
    return house.settings.landing.parent / "scratch"


def ended_run(house: House, end: Callable[[int], None]) -> tuple[int, set[int]]:
    """End `lakehouse run` while two lanes are at work; return its code and its processes."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    variables = {**clean, **variables_of(house), "PYTHONPATH": str(REPOSITORY)}
    variables["TMPDIR"] = str(scratch_of(house))
    scratch_of(house).mkdir()
    code = (
        # Tests that run in the background of a shell inherit that interrupts are ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import lakehouse_assets.orchestration.lanes as l; l.cores = lambda: 2; "
        "from lakehouse_assets.cli.main import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "run"],
        env=variables,
        cwd=house.settings.landing.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        told = ""
        while "retail_" not in told or "airline_" not in told:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            told += line
        family = children_of(process.pid)
        assert family
        end(process.pid)
        process.communicate()
    return process.returncode, family
