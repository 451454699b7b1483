"""Running a process of its own and measuring what it used.

Belongs here: wall time, processor time and peak memory of a child process, and how a contestant
hands over its own timings. Not here: what is run, and the verdict (`report.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass
class Timings:
    """What a contestant measures itself.

    Attributes:
        start: Seconds before the first month: imports, definitions, calendar.
        months: Seconds of each month, oldest first, by its name.
        steps: Seconds by step over all months.
        cold: How many of the first months came in the first run, which pays for what is done once:
            imports, creating tables and stores.
    """

    start: float = 0.0
    months: dict[str, float] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    cold: int = 0

    def save(self, path: Path) -> None:
        """Write the timings for the measuring process to read."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


@dataclass(frozen=True)
class Usage:
    """What one process used.

    Attributes:
        wall: Seconds from start to exit, interpreter and imports included.
        cpu: Seconds of processor time, user and system.
        peak: Largest resident memory in bytes.
        timings: What the process measured itself.
    """

    wall: float
    cpu: float
    peak: int
    timings: Timings


def measured(module: str, arguments: Sequence[str], timings: Path) -> Usage:
    """Run a module in a fresh interpreter and wait for it.

    Args:
        module: Name of the module, run as `python -m`.
        arguments: Its arguments.
        timings: File to which the module writes its timings.

    Raises:
        RuntimeError: the process failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])
    # The children's sum that Python offers would hold the largest of all runs so far.
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{module} ended with exit code {process.returncode}; see above.")
    return Usage(
        wall=wall,
        cpu=used.ru_utime + used.ru_stime,
        peak=used.ru_maxrss * _RSS_UNIT,
        timings=Timings(**json.loads(timings.read_text(encoding="utf-8"))),
    )
