"""Lakes that are built once and read by many tests.

Nothing here touches the repository's own `.lakehouse` folder: every setting points into pytest's
temporary folder.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import dagster as dg
import hypothesis
import pytest
from filelock import FileLock
from xdist.scheduler import LoadScopeScheduling

from lakehouse_assets.cli import main as cli
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.spark_session import SparkConfig
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import (
    REPOSITORY,
    House,
    Lakehouse,
    SampleRun,
    command,
    member,
    purchase,
    variables_of,
)
from lakehouse_assets_tests.engine.small import INTERPRETED, JAVA, SMALL

# The same examples each time: what is random is seeded, and a failure can be played again.
hypothesis.settings.register_profile("seeded", derandomize=True, database=None)
hypothesis.settings.load_profile("seeded")
_TEMPORARY = tempfile.gettempdir()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-spark",
        action="store_true",
        help="fail instead of skipping where Spark cannot be had",
    )
    parser.addoption(
        "--cluster",
        action="store_true",
        help="run the tests that start a Spark cluster on this machine, too",
    )
    parser.addoption(
        "--kafka",
        action="store_true",
        help="kill twenty readers of half a million events as well",
    )
    parser.addoption("--soak", action="store_true", help="run three minutes of `make soak` as well")
    parser.addoption(
        "--demo",
        type=Path,
        help="what `make demo` has printed: its lake is looked at, and no other one made of data/",
    )
    parser.addoption("--kill-points", default=16, type=int, help="how many pipelines are killed")
    parser.addoption("--kill-seed", default=1, type=int, help="seed of the moments of the kills")


def pytest_configure(config: pytest.Config) -> None:
    """Undo that interrupts are ignored, as they are in the background of a shell.

    Dagster then ignores SIGTERM with them, and so would every process that a test starts.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        lists = tempfile.TemporaryDirectory(prefix="pytest-spark-")
        config.add_cleanup(lists.cleanup)
        # Workers inherit it.
        os.environ[_LIST] = lists.name
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def usual_temporary_folder() -> Iterator[None]:
    """A run in a test's process moves its temporary files; servers of other users need theirs."""
    # A fixture of a module or the session may have moved them already.
    tempfile.tempdir = _TEMPORARY
    yield
    tempfile.tempdir = _TEMPORARY


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest; what takes minutes runs only where it is asked for."""
    items.sort(key=_place)
    for marker, reason in (
        ("cluster", "starts a cluster: make test-cluster"),
        ("kafka", "twenty readers are killed, for minutes: pytest --kafka"),
        ("soak", "a daemon of its own for a quarter of an hour: make soak"),
    ):
        if not config.getoption(f"--{marker}"):
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the scheduler which tests need Spark: workers send it nothing but their names."""
    # What has been imported stays: it need not be searched for garbage.
    gc.freeze()
    if "PYTEST_XDIST_WORKER" in os.environ:
        names = "".join(f"{item.nodeid!r}\n" for item in session.items if _needs_spark(item))
        Path(os.environ[_LIST], os.environ["PYTEST_XDIST_WORKER"]).write_text(names, "utf-8")


_LIST = "PYTEST_TESTS_ON_SPARK"


def _needs_spark(item: pytest.Item) -> bool:
    """Say whether a test has a fixture of Spark or Kafka, or is the case of one that names Spark's.

    Each of them starts once, on one worker.
    """
    given = getattr(item, "callspec", None)
    by_name = given is not None and {"spark", "spark_engine"} & {*map(str, given.params.values())}
    return bool(by_name) or not {"spark_session_engine", "broker"}.isdisjoint(
        getattr(item, "fixturenames", ())
    )


def _place(item: pytest.Item) -> int:
    """Return a test's place: first those with Spark, then the longest files, then the others.

    A long file that begins last is what everybody waits for.
    """
    if _needs_spark(item):
        return -1
    name = item.path.relative_to(Path(__file__).parent).as_posix()
    last = len(_LONGEST)
    return _LONGEST.index(name) if name in _LONGEST else last if _is_long(item.path) else last + 1


# Files that take longer than a minute, the longest first.
_LONGEST = (
    "test_clocks.py", "operations/test_at_length.py", "azure/test_pipeline.py",
    "test_tutorials.py", "test_sources_that_fail.py", "quality/test_batches.py",
    "automation/test_conditions.py", "test_docs.py", "test_incremental.py",
    "airline/test_segments.py", "pages/test_browser.py", "recovery/test_models.py",
    "airline/test_gold_transforms.py", "test_forget.py", "test_doctor.py",
    "retail/test_churn_scores.py", "streams/test_live.py", "test_cli.py",
)  # fmt: skip
# Of these, each test goes to whichever worker is free: nothing is made for the file as a whole.
_APART = ("test_tutorials.py", "test_sources_that_fail.py", "automation/test_conditions.py")


@cache
def _is_long(path: Path) -> bool:
    """Say whether a file's tests start processes, run pipelines or count work."""
    return bool(re.search(_LONG, path.read_text(encoding="utf-8")))


_LONG = r"subprocess|command\(|\bhouse\b|Caretaker|running_|azurite|setprofile|_engine"


class _FilesAndSpark(LoadScopeScheduling):
    """Gives each worker files as a whole, and one of them the tests on Spark and Kafka.

    Other tests of a file with some on Spark go elsewhere, or the others would wait for that worker.
    """

    @cached_property
    def _on_spark(self) -> set[str]:
        lists = Path(os.environ[_LIST]).iterdir()
        return {name for path in lists for name in path.read_text("utf-8").splitlines()}

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        apart = file.partition("/")[2] in _APART
        return "spark" if repr(nodeid) in self._on_spark else nodeid if apart else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return _FilesAndSpark(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave the cores to the worker with Spark first: all others together end later than it."""
    if "PYTEST_XDIST_WORKER" in os.environ and not _begun and not _needs_spark(item):
        os.nice(5)
    _begun[:] = [item]


_begun: list[pytest.Item] = []


@pytest.fixture(scope="session")
def spark_session_engine(request: pytest.FixtureRequest) -> Engine:
    """Spark on this machine, one session for all tests."""
    assert "PYTEST_XDIST_WORKER" not in os.environ or any(map(_needs_spark, _begun)), (
        f"{_begun} is not known to need Spark, which would start twice: see _needs_spark"
    )
    before = current._active[:]
    jars = os.environ.get("LAKEHOUSE_SPARK_JARS") or REPOSITORY / ".lakehouse" / "spark-jars"
    config = SparkConfig(
        master="local[2]",
        jars=Path(jars),
        memory="2g",
        # Plans die young: with room for them, few are copied.
        options={**SMALL, **INTERPRETED, "spark.driver.extraJavaOptions": f"{JAVA} -Xms2g -Xmn1g"},
    )
    try:
        started = start_engine("spark", spark=config)
    except LakehouseError as error:
        if request.config.getoption("--require-spark"):
            pytest.fail(f"--require-spark: {error}")
        pytest.skip(f"Spark cannot be had: {error}")
    finally:
        current._active[:] = before
    return started


@pytest.fixture
def spark_engine(spark_session_engine: Engine) -> Iterator[Engine]:
    """Spark as the active engine; what a test checkpoints is freed after it."""
    before = current._active[:]
    current.activate(spark_session_engine)
    try:
        with spark_session_engine.scope():
            yield spark_session_engine
    finally:
        current._active[:] = before


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The embedded engine; what a test checkpoints is freed after it."""
    started = start_engine()
    with started.scope():
        yield started


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's memory for one test."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@contextmanager
def _shared(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Hold a folder that the workers of one run share.

    The first worker that needs what is in it makes it, another waits.
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"shared-{name}"
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        yield folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store with tables only: making them takes seconds, copying them does not."""
    with _shared(tmp_path_factory, "mlflow") as folder:
        path = folder / "mlflow.db"
        if not (folder / "built").exists():
            MlflowTracking(tracking_uri=f"sqlite:///{path}").client()
            (folder / "built").touch()
        return path


@pytest.fixture(scope="session")
def new_house(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Callable[..., House]:
    """Make houses, each in a folder of its own."""

    def make(name: str = "house") -> House:
        folder = tmp_path_factory.mktemp(name)
        (folder / "mlflow").mkdir()
        shutil.copy(empty_store, folder / "mlflow" / "mlflow.db")
        return House.at(folder)

    return make


@pytest.fixture
def house(new_house: Callable[..., House]) -> House:
    """An empty house."""
    return new_house()


@pytest.fixture
def lakehouse(house: House, lakehouse_on: Callable[[House], Lakehouse]) -> Lakehouse:
    """Run the command line on an empty house; exit code, output and errors."""
    return lakehouse_on(house)


@pytest.fixture
def lakehouse_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[House], Lakehouse]:
    """Run the command line on a given house, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    def on(house: House) -> Lakehouse:
        # Set and removed again with the test: a run leaves its own value behind.
        monkeypatch.setenv("DAGSTER_HOME", str(house.settings.dagster_home))
        for name, value in variables_of(house).items():
            monkeypatch.setenv(name, value)
        return run

    return on


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> SampleRun:
    """`lakehouse run` on the repository's sample, in a process of its own; only to be read.

    With `--demo` it is the run of `make demo`, which somebody has just seen succeed.
    """
    said: Path | None = request.config.getoption("--demo")
    if said is not None:
        house = sample_house(REPOSITORY / ".lakehouse")
        return SampleRun(house, CompletedProcess("make demo", 0, said.read_text("utf-8"), ""))
    with _shared(tmp_path_factory, "sample") as folder:
        house = sample_house(folder)
        built = folder / "built.json"
        if not built.exists():
            done = command("run", variables=variables_of(house), cwd=folder)
            built.write_text(json.dumps([done.returncode, done.stdout, done.stderr]), "utf-8")
        told = json.loads(built.read_text(encoding="utf-8"))
        return SampleRun(house, CompletedProcess("lakehouse run", *told))


def sample_house(folder: Path) -> House:
    """Return the house of the repository's sample, whose lake lies in a folder."""
    return House(
        Settings(
            landing=REPOSITORY / "data",
            root=folder / "lake",
            mlflow_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
            dagster_home=folder / "dagster",
        )
    )


@pytest.fixture(scope="session")
def three_months(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> House:
    """Only to be read: snapshots in January and March (two), purchases in all three months."""
    with _shared(tmp_path_factory, "months") as folder:
        house = House.at(folder)
        if not (folder / "built").exists():
            (folder / "mlflow").mkdir()
            shutil.copy(empty_store, folder / "mlflow" / "mlflow.db")
            _deliver_three_months(house)
            assert house.run().errors == []
            (folder / "built").touch()
        return house


def _deliver_three_months(house: House) -> None:
    house.deliver_members("2014-01-31", [member(1, FLIGHT_COUNT="10"), member(2), member(3)])
    house.deliver_members("2014-03-15", [member(1, FLIGHT_COUNT="12"), member(2), member(4)])
    house.deliver_members("2014-03-31", [member(1, FLIGHT_COUNT="14"), member(2)], "late.csv")
    house.deliver_purchases("2014-01-10", [purchase("A", customer_id=1, amount=1)])
    house.deliver_purchases("2014-02-10", [purchase("B", customer_id=1, amount=2)])
    house.deliver_purchases(
        "2014-03-10",
        [
            purchase("C", customer_id=1, amount=4),
            purchase("D", customer_id=1, amount=8, status="pending"),
            purchase("E", customer_id=77, amount=16),
        ],
    )
