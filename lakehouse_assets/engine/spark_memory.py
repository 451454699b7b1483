"""Spark's memory: its default size, and the error message when it runs out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lakehouse_assets.errors import LakehouseError

_LACKING = re.compile(r"java\.lang\.OutOfMemoryError(?:: ([\w ]+))?")

# Spark gets a third: the process that runs it, the one that trains, and the operating system's file
# cache need memory, too.
_SHARE = 3
_LEAST_MB = 2048
# Memory limits of containers, in versions 2 and 1 of Linux control groups.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def default_memory() -> str:
    """Return the default memory of Spark's driver in Java's notation, such as `2048m`.

    It is a third of the memory of this machine or container, and at least 2 GiB.
    """
    return f"{max(_LEAST_MB, _memory_here() // _SHARE // 2**20)}m"


def _memory_here() -> int:
    """Return the bytes of memory that this machine has or this container may use."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in _LIMITS:
        # There is no limit if the file does not exist or says "max".
        with suppress(OSError, ValueError):
            found = min(found, int(limit.read_text()))
    return found


@contextmanager
def explain_lack_of_memory() -> Iterator[None]:
    """Raise an error with the remedy when Java runs out of memory, here or in an executor.

    Raises:
        LakehouseError: Java's memory was used up.
    """
    try:
        yield
    except Exception as error:
        lacking = _LACKING.search(str(error))
        if lacking is None:
            raise
        what = f" ({lacking[1].strip()})" if lacking[1] else ""
        raise LakehouseError(
            f"Spark ran out of memory{what}; raise LAKEHOUSE_SPARK_MEMORY, or "
            "spark.executor.memory on a cluster, or run fewer months at once "
            "(lakehouse backfill --chunk 1)."
        ) from error
