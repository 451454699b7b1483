"""When Spark runs out of memory: one sentence with the remedy instead of Java's page.

Belongs here: recognising it. Not here: how much memory Spark gets (`spark_session.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse_assets.errors import LakehouseError

_LACKING = re.compile(r"java\.lang\.OutOfMemoryError(?:: ([\w ]+))?")


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
