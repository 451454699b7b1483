"""What `make test` hands out, and in which order."""

from __future__ import annotations

from lakehouse_assets_tests.scheduling import SECONDS, SPARK, TESTS, _Queue, scope_of


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


def test_what_takes_longest_is_handed_out_first() -> None:
    queue = _Queue({name: {} for name in ("test_doctor.py", "test_backfill.py", SPARK)})
    order = [queue.popitem()[0] for _ in range(3)]
    assert order == [SPARK, "test_backfill.py", "test_doctor.py"]
