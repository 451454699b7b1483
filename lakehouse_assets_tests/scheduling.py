"""Which worker of `make test` runs which files, and in which order.

Not
here: what tests need (`conftest.py`).
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
# Files that take long, in seconds: begun last, one of them would keep all other workers waiting.
# What is not named takes less than half a minute.
SECONDS = {
    "soak/test_soak.py": 600,
    "test_clocks.py": 220,
    "recovery/test_kills.py": 115,
    "azure/test_pipeline.py": 110,
    "automation/test_conditions.py": 95,
    "recovery/test_retail.py": 80,
    "retail/test_corrections.py": 90,
    "test_sources_that_fail.py": 80,
    "test_incremental.py": 70,
    "test_docs.py": 65,
    "test_backfill.py": 65,
    "airline/test_gold_transforms.py": 50,
    "automation/test_sensors.py": 50,
    "test_cli.py": 50,
    "retail/test_tweets.py": 45,
    "azure/test_recovery.py": 45,
    "retail/test_tweets_by_file.py": 40,
    "azure/test_writers.py": 40,
    "lake/test_writers.py": 35,
    "retail/test_sales.py": 30,
    "retail/test_campaigns.py": 30,
    "test_real_data.py": 30,
    "test_run.py": 30,
}
# Stands for all files with tests on Spark.
SPARK = "spark"
# The worker that is handed work first.
FIRST = "gw0"
_SPARK_SECONDS = 800
_OTHER_SECONDS = 20


class LongestFirst(LoadScopeScheduling):
    """Gives each worker files as a whole, the longest first, and one worker all tests on Spark.

    Another JVM would take as long to warm up as the first, on the same cores. That worker is the
    first one: nothing takes as long, and `step_back` leaves it the time of the cores that it needs.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.workqueue = _Queue()

    def schedule(self) -> None:
        """Hand out work, to the first worker first: they come as they are ready."""
        by_name = sorted(self.assigned_work.items(), key=lambda item: item[0].gateway.id)
        self.assigned_work = OrderedDict(by_name)
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid.partition("::")[0])


class _Queue(OrderedDict[str, dict[str, bool]]):
    """Work that nobody has yet; what takes longest is taken first."""

    def popitem(self, last: bool = True) -> tuple[str, dict[str, bool]]:
        scope = max(self, key=seconds)
        return scope, self.pop(scope)


def step_back(worker: str) -> None:
    """Leave the cores to the worker with Spark first: all others together end later than it.

    Args:
        worker: Name of the worker that this process is; empty where there are none.
    """
    if worker not in {"", FIRST}:
        os.nice(5)


@cache
def scope_of(file: str) -> str:
    """Return what the tests of a file are handed out with: the file itself, or Spark."""
    name = Path(file).relative_to(TESTS.name).as_posix()
    text = (TESTS / name).read_text(encoding="utf-8")
    return SPARK if re.search("spark_engine|spark_session_engine|on_both_engines", text) else name


def seconds(scope: str) -> int:
    """Say how long a scope takes, roughly."""
    return _SPARK_SECONDS if scope == SPARK else SECONDS.get(scope, _OTHER_SECONDS)
