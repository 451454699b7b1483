"""What `make test` hands out, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from lakehouse_assets_tests.scheduling import (
    FIRST,
    SECONDS,
    SPARK,
    TESTS,
    LongestFirst,
    _Queue,
    scope_of,
)


def test_every_file_that_is_said_to_take_long_exists_and_is_handed_out_by_itself() -> None:
    scopes = {f"{TESTS.name}/{name}": scope_of(f"{TESTS.name}/{name}") for name in SECONDS}
    assert {file.partition("/")[2]: scope for file, scope in scopes.items()} == {
        name: name for name in SECONDS
    }


def test_files_with_tests_on_spark_go_to_one_worker() -> None:
    spark = {
        file.relative_to(TESTS).as_posix()
        for file in TESTS.rglob("test_*.py")
        if scope_of(file.relative_to(TESTS.parent).as_posix()) == SPARK
    }
    assert {"lake/test_delta.py", "engine/test_spark.py", "parity/test_tables.py"} <= spark
    assert "recovery/test_kills.py" not in spark


@dataclass(eq=False)
class Worker:
    """A worker as far as it is handed work."""

    name: str
    given: list[int] = field(default_factory=list)
    shutting_down: bool = False

    @property
    def gateway(self) -> SimpleNamespace:
        return SimpleNamespace(id=self.name)

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.given += numbers


def test_the_worker_that_does_not_step_back_is_given_spark() -> None:
    config: Any = SimpleNamespace(
        getvalue=lambda _name: ["3*popen"], option=SimpleNamespace(loadscopereorder=False)
    )
    scheduler = LongestFirst(config, SimpleNamespace(loadscopesched=lambda *_words: None))
    files = ("test_cli.py", "test_clocks.py", "engine/test_spark.py", "test_backfill.py")
    tests = [f"{TESTS.name}/{file}::test_{n}" for file in files for n in range(3)]
    workers = [Worker(name) for name in ("gw2", FIRST, "gw1")]
    for worker in workers:
        scheduler.add_node(worker)  # type: ignore[arg-type]
    for worker in workers:
        scheduler.add_node_collection(worker, tests)  # type: ignore[arg-type]
    scheduler.schedule()
    given = {worker.name: [tests[number] for number in worker.given] for worker in workers}
    assert given[FIRST] == [test for test in tests if "test_spark" in test]
    assert all("test_clocks" in test for test in given["gw1"])


def test_what_takes_longest_is_handed_out_first() -> None:
    queue = _Queue({name: {} for name in ("test_doctor.py", "test_backfill.py", SPARK)})
    order = [queue.popitem()[0] for _ in range(3)]
    assert order == [SPARK, "test_backfill.py", "test_doctor.py"]
