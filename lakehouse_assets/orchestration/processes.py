"""How the processes of a run begin: those of lanes.

A new interpreter imports Dagster and the definitions again, which takes a second of a core. A copy
has them, but of other threads only the locks that they held: it is made before there are any.
"""

from __future__ import annotations

import sys
import threading
from multiprocessing import get_context
from multiprocessing.context import ForkContext, SpawnContext

# Libraries that start threads when they are imported or opened. OpenBLAS, which comes with NumPy,
# has some too and sees to its copies itself.
_THREADED = ("deltalake", "duckdb", "obstore", "pyarrow", "pyspark")


def beginning() -> ForkContext | SpawnContext:
    """Return what starts processes: copies of this one if it has no other threads, on Linux."""
    alone = threading.active_count() == 1 and not any(name in sys.modules for name in _THREADED)
    # On macOS the system's own libraries may have threads.
    return get_context("fork") if alone and sys.platform == "linux" else get_context("spawn")
