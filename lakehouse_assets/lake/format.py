"""The format of a lake, written in its root, so that no version reads what it does not know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lakehouse_assets.errors import DamagedTableError, LakehouseError
from lakehouse_assets.storage.store import files_at

if TYPE_CHECKING:
    from lakehouse_assets.catalog.registry import Registry
    from lakehouse_assets.lake.delta import Lake
    from lakehouse_assets.storage.files import Files
    from lakehouse_assets.storage.identity import Identity
    from lakehouse_assets.storage.location import Location

FORMAT = 1
"""Format of the lakes that this version writes: tables as Delta at `<domain>/<table>`."""

FILE = ".lakehouse.json"
_NEWER = (
    "The lake {root} has format {found}, and this version knows formats up to {known}; use the "
    "newer version of lakehouse_assets that wrote it."
)


def format_of(files: Files) -> int | None:
    """Return the format that a lake's root names: 0 if nobody can read it, None if it names none.

    Raises:
        LakehouseError: the root cannot be read.
    """
    content = files.read(FILE)
    try:
        return None if content is None else int(json.loads(content)["format"])
    except (ValueError, KeyError, TypeError):
        return 0


def check_format(root: Location, identity: Identity, registry: Registry) -> None:
    """Make sure that this version knows the format of a lake; one without tables has any.

    Raises:
        LakehouseError: the lake is of a newer version, or is to be migrated.
    """
    files = files_at(root, identity)
    found = format_of(files)
    if found == FORMAT or (found is None and not _has_tables(files, registry)):
        return
    if found is not None and found > FORMAT:
        raise LakehouseError(_NEWER.format(root=root, found=found, known=FORMAT))
    raise LakehouseError(
        f"The lake {root} was built by an earlier version; run `lakehouse migrate`, which "
        "compares its tables with their declarations and keeps every row."
    )


def _has_tables(files: Files, registry: Registry) -> bool:
    """Say whether the folder of any declared table is there."""
    tables: dict[str, set[str]] = {}
    for table in registry:
        tables.setdefault(table.domain, set()).add(table.name)
    return any(
        entry.is_folder and entry.path in tables[domain.path]
        for domain in files.children("")
        if domain.is_folder and domain.path in tables
        for entry in files.children(domain.path)
    )


def stamp(files: Files) -> None:
    """Write the format of this version into a lake's root, unless a format is there.

    Raises:
        LakehouseError: the root cannot be written.
    """
    if format_of(files) is None:
        files.put(FILE, json.dumps({"format": FORMAT}).encode())


def migrate(lake: Lake) -> list[str]:
    """Bring a lake of an earlier version to the format of this one; every row is kept.

    Tables have not changed since lakes have a format, so that a lake whose tables are as declared
    only lacks the mark.

    Returns:
        Names of the tables that were compared with their declarations; none if the lake has the
        format already.

    Raises:
        LakehouseError: the lake is of a newer version, has no tables, or some are stored otherwise
            than declared; the message names their columns, and nothing has changed.
    """
    from lakehouse_assets.lake.delta import check_declaration

    files = lake.files
    if files is None or (found := format_of(files)) == FORMAT:
        return []
    if found is not None and found > FORMAT:
        raise LakehouseError(_NEWER.format(root=lake.root, found=found, known=FORMAT))
    compared, problems = [], []
    for table in lake.registry:
        try:
            stored = lake.open(table)
            if stored is not None:
                check_declaration(table, stored)
                compared.append(f"{table.domain}.{table.name}")
        except DamagedTableError as error:
            problems.append(str(error))
        else:
            lake.give_back(table, stored)
    if problems:
        raise LakehouseError(" ".join([*problems, "The lake is not migrated yet."]))
    if not compared:
        raise LakehouseError(f"There is no lake at {lake.root} to migrate; check LAKEHOUSE_ROOT.")
    files.put(FILE, json.dumps({"format": FORMAT}).encode())
    return compared
