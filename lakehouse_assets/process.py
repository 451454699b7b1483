"""The process that executes a run, and whether it is still there.

Belongs here: naming a process so that it can be recognised later. Not here: what is done about a
dead one (`automation/recovery.py`).
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROCESS_TAG = "lakehouse/process"


@dataclass(frozen=True)
class Process:
    """A process of a machine; its start tells it from a later one of the same number.

    Attributes:
        host: Name of the machine, or of the container.
        number: Process id.
        started: When it started, in ticks since the machine did; empty where no one can say.
    """

    host: str
    number: int
    started: str

    @classmethod
    def current(cls) -> Process:
        """Describe this process."""
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Read what `str` wrote; None if it is something else."""
        host, _, rest = text.partition(" ")
        number, _, started = rest.partition(" ")
        return cls(host, int(number), started) if number.isdigit() else None

    def __str__(self) -> str:
        """Write the process as a run's tag."""
        return f"{self.host} {self.number} {self.started}".strip()

    @property
    def is_dead(self) -> bool:
        """Whether it has certainly ended; a process of another machine never has."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _started(self.number) != self.started


def _started(number: int) -> str:
    """Return when a process started; empty where /proc does not tell."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    # The command, in brackets, may hold blanks and brackets; the start is the 20th field after it.
    return text.rpartition(")")[2].split()[19]
