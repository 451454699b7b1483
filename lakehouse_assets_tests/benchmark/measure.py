"""Running a process of its own and measuring what it used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_PROCESSES = Path("/proc")
_EVERY = 0.2


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


def measured_family(
    module: str, arguments: Sequence[str], timings: Path, variables: Mapping[str, str]
) -> Usage:
    """Run a module in a fresh interpreter and measure it with every process that it starts.

    A JVM is no child that the interpreter waits for, so that all processes of the session are
    looked at several times a second (Linux only). What they share counts once for each.

    Args:
        module: Name of the module, run as `python -m`.
        arguments: Its arguments.
        timings: File to which the module writes its timings.
        variables: Variables of its environment, beside those of this process.

    Raises:
        RuntimeError: the process failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **variables},
        start_new_session=True,
    )
    seen = _Session(process.pid)
    ended = threading.Event()
    watcher = threading.Thread(target=seen.watch, args=(ended,))
    watcher.start()
    code = process.wait()
    wall = time.perf_counter() - began
    ended.set()
    watcher.join()
    if code != 0:
        raise RuntimeError(f"{module} ended with exit code {code}; see above.")
    return Usage(
        wall=wall,
        cpu=sum(seen.cpu.values()),
        peak=seen.peak,
        timings=Timings(**json.loads(timings.read_text(encoding="utf-8"))),
    )


class _Session:
    """What the processes of one session have used so far."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.cpu: dict[int, float] = {}
        self.peak = 0

    def watch(self, ended: threading.Event) -> None:
        """Look at the processes until the event comes."""
        while not ended.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        resident = 0
        for folder in _PROCESSES.iterdir():
            # A process may end while it is looked at.
            with suppress(OSError, ValueError):
                pid = int(folder.name)
                # The name, in brackets, may hold anything.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.session:
                    self.cpu[pid] = (int(fields[11]) + int(fields[12])) / ticks
                    resident += int(fields[21]) * page
        self.peak = max(self.peak, resident)
