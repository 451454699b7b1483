"""Open tables, kept between two uses so that the second reads only the commits since.

Opening a table reads its last checkpoint and every commit since; a run opens each of its tables
half a dozen times. An open table has one holder at a time, who may write
with it or go to another version, until it is returned. It is used again only while the newest
commit that it knows is the same file, so that another table in its place is opened anew.
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

# About a hundred kilobytes each where files are few; a run has as many as tables are declared.
_MOST = 500

# By address: the table, its version and the fingerprint of that version's commit.
_cached: dict[str, tuple[DeltaTable, int, Hashable]] = {}
# The newest version that this process has noted of each table.
_noted: dict[str, int] = {}
_lock = Lock()


def take_table(path: TablePath) -> DeltaTable | None:
    """Bring a cached table up to date, or open it; None if and only if it does not exist.

    Args:
        path: Where the table is.

    Raises:
        LakehouseError: a store refuses, or the table is damaged; the message has the remedy.
    """
    with _lock:
        cached = _cached.pop(path.address, None)
    if cached is not None and path.fingerprint(cached[1]) == cached[2]:
        from deltalake.exceptions import DeltaError

        # Whatever is wrong is reported when the table is opened.
        with suppress(DeltaError, OSError):
            cached[0].update_incremental()
            return cached[0]
    return open_table(path)


def return_table(path: TablePath, found: DeltaTable) -> None:
    """Return an open table that the holder is done with."""
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
