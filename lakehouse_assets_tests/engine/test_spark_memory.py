"""What users read when Spark has no memory left."""

from __future__ import annotations

import pytest

from lakehouse_assets.engine.spark_memory import lack_of_memory_told
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.transient import is_transient

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
    with pytest.raises(LakehouseError) as caught, lack_of_memory_told():
        raise RuntimeError(_PAGE.format(cause))
    assert str(caught.value) == (
        f"Spark ran out of memory{what}; raise LAKEHOUSE_SPARK_MEMORY, or spark.executor.memory on "
        "a cluster, or run fewer months at once (lakehouse backfill --chunk 1)."
    )
    # The same step would fail the same way: it is not tried again.
    assert not is_transient(caught.value)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="heap of trouble"), lack_of_memory_told():
        raise ValueError("heap of trouble")
