"""How much memory Spark takes, and what users read when it has none left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakehouse_assets.engine import spark_memory
from lakehouse_assets.engine.spark_memory import default_memory, explain_lack_of_memory
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.transient import is_transient

_PAGE = (
    "An error occurred while calling o1792.localCheckpoint.\n: org.apache.spark.SparkException: "
    "Job aborted due to stage failure: Task 7 in stage 101.0 failed 1 times, most recent failure: "
    "{}\n\tat org.apache.spark.unsafe.types.UTF8String.fromBytes(UTF8String.java:167)"
)


@pytest.mark.parametrize(
    ("cause", "what"),
    [
        ("java.lang.OutOfMemoryError: Java heap space", " (Java heap space)"),
        ("java.lang.OutOfMemoryError: GC overhead limit exceeded", " (GC overhead limit exceeded)"),
        ("java.lang.OutOfMemoryError", ""),
    ],
)
def test_a_lack_of_memory_is_one_sentence_with_the_remedy(cause: str, what: str) -> None:
    with pytest.raises(LakehouseError) as caught, explain_lack_of_memory():
        raise RuntimeError(_PAGE.format(cause))
    assert str(caught.value) == (
        f"Spark ran out of memory{what}; raise LAKEHOUSE_SPARK_MEMORY, or spark.executor.memory on "
        "a cluster, or run fewer months at once (lakehouse backfill --chunk 1)."
    )
    # The same step would fail the same way: it is not tried again.
    assert not is_transient(caught.value)


GB = 2**30


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of some size, and the file in which its container's limit stands."""

    def of(size: int) -> Path:
        numbers = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": size // 4096}
        monkeypatch.setattr(os, "sysconf", numbers.__getitem__)
        limit = tmp_path / "memory.max"
        monkeypatch.setattr(spark_memory, "_LIMITS", (tmp_path / "nowhere", limit))
        return limit

    return of


@pytest.mark.parametrize(
    ("size", "memory"),
    [(24 * GB, "8192m"), (96 * GB, "32768m"), (6 * GB, "2048m"), (3 * GB, "2048m")],
)
def test_spark_takes_a_third_of_the_machine_and_two_gigabytes_at_least(machine, size, memory):
    machine(size)
    assert default_memory() == memory


@pytest.mark.parametrize(
    ("limit", "memory"),
    [("12884901888\n", "4096m"), ("max\n", "8192m"), (str(2**63 - 4096), "8192m")],
)
def test_spark_in_a_container_takes_a_third_of_what_it_may_use(machine, limit, memory):
    machine(24 * GB).write_text(limit)
    assert default_memory() == memory


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="heap of trouble"), explain_lack_of_memory():
        raise ValueError("heap of trouble")
