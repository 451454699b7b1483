"""Logs of tables that stay open between two looks, so that the second reads only what is new.

Opening a table reads its last checkpoint and every commit since; a run opens each of its tables
half a dozen times. An open log has one holder at a time: who takes it has it alone, to write with
it or to go to another version, until it is given back. It is used again only while the newest
commit that it knows is the same file, so that another table in its place is opened anew.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from lakehouse_assets.lake.log import open_table
from lakehouse_assets.lake.place import Folder

if TYPE_CHECKING:
    from deltalake import DeltaTable

# About a hundred kilobytes each where files are few; a run has as many as tables are declared.
_MOST = 500


class _Kept(NamedTuple):
    """An open log that nobody holds, and by what its newest commit is known again."""

    found: DeltaTable
    version: int
    mark: Hashable


_kept: dict[str, _Kept] = {}
# The newest version that this process has noted of each table.
_noted: dict[str, int] = {}
_turn = Lock()


def take_log(folder: Folder, *, lasting: bool = False) -> DeltaTable | None:
    """Bring a kept log up to date, or open it; None if and only if the table does not exist.

    Args:
        folder: Where the table lies.
        lasting: Whether it is opened to be written, which may take long.

    Raises:
        LakehouseError: a store refuses, or the table is damaged; the message has the remedy.
    """
    with _turn:
        kept = _kept.pop(folder.address, None)
    if kept is not None and folder.mark_of(kept.version) == kept.mark:
        from deltalake.exceptions import DeltaError

        # What is wrong shows, and is said, when it is opened.
        with suppress(DeltaError, OSError):
            kept.found.update_incremental()
            return kept.found
    return open_table(folder, lasting=lasting)


def keep_log(folder: Folder, found: DeltaTable) -> None:
    """Give back an open log that the holder is done with."""
    version = found.version()
    mark = folder.mark_of(version)
    if mark is None:
        return
    with _turn:
        before = _noted.get(folder.address, -1)
        _noted[folder.address] = max(before, version)
        _kept[folder.address] = _Kept(found, version, mark)
        if len(_kept) > _MOST:
            _kept.pop(next(iter(_kept)))
    if version > before:
        folder.note(version)
