"""A cache of open tables, so that opening one again reads only the commits since.

Opening a table reads its last checkpoint and every commit since; a run opens each of its tables
half a dozen times. An open table has one holder at a time, who may write with it or load another
version until returning it. It is reused only if the file of its newest known commit is unchanged;
if the table was replaced, it is opened from scratch.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from lakehouse_assets.lake.log import open_table
from lakehouse_assets.lake.table_path import TablePath

if TYPE_CHECKING:
    from deltalake import DeltaTable

# About 100 kB each for tables with few files; a run uses at most as many as are declared.
_MOST = 500

# By address: the table, its version and the fingerprint of that version's commit.
_cached: dict[str, tuple[DeltaTable, int, Hashable]] = {}
# The newest version of each table that this process has noted.
_noted: dict[str, int] = {}
_lock = Lock()


def take_table(path: TablePath) -> DeltaTable | None:
    """Bring a cached table up to date, or open it; None if and only if it does not exist.

    Raises:
        LakehouseError: the store denies access, or the table is damaged; the message has the
            remedy.
    """
    with _lock:
        cached = _cached.pop(path.address, None)
    if cached is not None and path.fingerprint(cached[1]) == cached[2]:
        from deltalake.exceptions import DeltaError

        # `open_table` reports whatever is wrong.
        with suppress(DeltaError, OSError):
            cached[0].update_incremental()
            return cached[0]
    return open_table(path)


def return_table(path: TablePath, found: DeltaTable) -> None:
    """Return an open table to the cache; the holder must not use it any more."""
    version = found.version()
    fingerprint = path.fingerprint(version)
    if fingerprint is None:
        return
    with _lock:
        before = _noted.get(path.address, -1)
        _noted[path.address] = max(before, version)
        _cached[path.address] = (found, version, fingerprint)
        if len(_cached) > _MOST:
            _cached.pop(next(iter(_cached)))
    if version > before:
        path.note_version(version)
