"""Keeping the writers of one table apart where the disk does not.

On a local disk delta-rs creates a commit's file under a name that must be free, so that its writers
need no lock. Spark looks whether the name is free and then renames: between the two, another
process can commit, and its commit would be lost. So Spark's writers hold a table alone, and those
of delta-rs hold it together.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = ".lock"


@contextmanager
def local_lock(uri: str, *, alone: bool) -> Iterator[None]:
    """Hold a table's folder, waiting for whoever holds it; nothing happens for an object store.

    The system lets go of the lock of a process that is killed.

    Args:
        uri: Where the table lies; it exists.
        alone: Whether no other writer may hold it at the same time.
    """
    path = uri.removeprefix("file://")
    if "://" in path:
        yield
        return
    handle = os.open(Path(path) / "_delta_log" / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
