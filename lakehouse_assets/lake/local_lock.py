"""Locks on a table on a local disk, so that concurrent writers lose no commit.

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


@contextmanager
def claim(uri: str, who: str) -> Iterator[str | None]:
    """Claim a table for as long as the context lasts; a no-op in an object store.

    The operating system ends the claim of a killed process.

    Args:
        uri: Address of the table, which must exist.
        who: Name of the claiming process, which others are shown.

    Yields:
        None, or who has claimed it already.
    """
    with _opened(uri, ".claim") as handle:
        if handle is None:
            yield None
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield os.read(handle, 1_000).decode(errors="replace") or "another process"
            return
        os.ftruncate(handle, 0)
        os.write(handle, who.encode())
        yield None


@contextmanager
def local_lock(uri: str, *, alone: bool) -> Iterator[None]:
    """Hold a lock on a table's folder, waiting for it if necessary; a no-op in an object store.

    The operating system releases the lock of a killed process.

    Args:
        uri: Address of the table, which must exist.
        alone: Whether the lock is exclusive; otherwise it is shared.
    """
    with _opened(uri, ".lock") as handle:
        if handle is not None:
            fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@contextmanager
def _opened(uri: str, name: str) -> Iterator[int | None]:
    """Open a lock file in the folder of a table's log; None in an object store."""
    if "://" in uri:
        yield None
        return
    handle = os.open(Path(uri, "_delta_log", name), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)
