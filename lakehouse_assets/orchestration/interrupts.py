"""Noticing that somebody asks this process to stop, whoever has caught the signal.

Dagster catches interrupts while it executes a run, raises them within steps, and forgets those that
came after the last step; Python forgets those that it raises while it collects garbage.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Give what says whether an interrupt has come."""
    if threading.current_thread() is not threading.main_thread():
        # Signals reach the main thread only.
        yield lambda: False
        return
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    # Python writes every signal's number there before any handler is called.
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    come = set[int]()

    def noticed() -> bool:
        with suppress(BlockingIOError):
            come.update(os.read(reader, 4096))
        return not {signal.SIGINT, signal.SIGTERM}.isdisjoint(come)

    try:
        yield noticed
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
