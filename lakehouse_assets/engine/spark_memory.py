"""Spark's memory: how much it takes of a machine, and what is said when that was not enough."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lakehouse_assets.errors import LakehouseError

_LACKING = re.compile(r"java\.lang\.OutOfMemoryError(?:: ([\w ]+))?")

# Beside Spark there are the process that runs it, the one that trains, and the files in the cache
# of the operating system: Spark takes a third.
_SHARE = 3
_LEAST_MB = 2048
# What a container may use: the second and the first version of Linux' control groups.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def default_memory() -> str:
    """Return the memory that Spark's driver gets if nothing is said, as Java writes it.

    A third of what this machine or container has, and 2 GiB at least.
    """
    return f"{max(_LEAST_MB, _memory_here() // _SHARE // 2**20)}m"


def _memory_here() -> int:
    """Return the bytes that this machine has, or this container may use."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in _LIMITS:
        # Where there is no such file, or it says "max", nothing is limited.
        with suppress(OSError, ValueError):
            found = min(found, int(limit.read_text()))
    return found


@contextmanager
def lack_of_memory_told() -> Iterator[None]:
    """Say what to do when Java has no memory left, on this machine or in an executor.

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
