"""A lock on a table on a local disk, so that concurrent writers lose no commit.

On a local disk delta-rs creates a commit's file only if the name is free, in one step, so its
writers need no lock. Spark checks whether the name is free and then renames: another process can
commit between the two steps, and its commit would be lost. So Spark's writers take an exclusive
lock, and those of delta-rs a shared one.
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
    """Hold a lock on a table's folder, waiting for it if necessary; a no-op in an object store.

    The operating system releases the lock of a killed process.

    Args:
        uri: Address of the table, which must exist.
        alone: Whether the lock is exclusive; otherwise it is shared.
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
