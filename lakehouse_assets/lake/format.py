"""The format number in a lake's root, so that a version refuses lakes that it cannot read."""

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


def _format_of(files: Files, root: object) -> int | None:
    """Return the format recorded in a lake's root; 0 if it is unreadable, None if there is none.

    Raises:
        LakehouseError: the root cannot be read, or a newer version built the lake.
    """
    content = files.read(FILE)
    try:
        found = None if content is None else int(json.loads(content)["format"])
    except (ValueError, KeyError, TypeError):
        return 0
    if found is not None and found > FORMAT:
        raise LakehouseError(
            f"The lake {root} has format {found}, but this version reads formats up to {FORMAT}; "
            "install the newer version of lakehouse_assets that wrote it."
        )
    return found


def check_format(root: Location, identity: Identity, registry: Registry) -> None:
    """Check that this version knows the lake's format; a lake without tables or format passes.

    Raises:
        LakehouseError: a newer version built the lake, or the lake must be migrated first.
    """
    files = files_at(root, identity)
    found = _format_of(files, root)
    if found == FORMAT or (found is None and not _has_tables(files, registry)):
        return
    raise LakehouseError(
        f"The lake {root} was built by an earlier version; run `lakehouse migrate`, which "
        "compares its tables with their declarations and keeps every row."
    )


def _has_tables(files: Files, registry: Registry) -> bool:
    """Return whether the folder of any declared table exists."""
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
    """Record this version's format in a lake's root, unless it has one.

    Raises:
        LakehouseError: the root cannot be written.
    """
    if files.read(FILE) is None:
        files.put(FILE, json.dumps({"format": FORMAT}).encode())


def migrate(lake: Lake) -> list[str]:
    """Migrate a lake of an earlier version to this version's format; every row is kept.

    Tables have not changed since the format file was introduced, so a lake whose tables match
    their declarations only lacks that file.

    Returns:
        Names of the tables that were compared with their declarations; none if the lake already
        has the format.

    Raises:
        LakehouseError: a newer version built the lake, it has no tables, or some stored tables
            differ from their declarations; the message names their columns. Nothing changes.
    """
    from lakehouse_assets.lake.delta import check_declaration

    files = lake.files
    if files is None or _format_of(files, lake.root) == FORMAT:
        return []
    compared, problems = [], []
    for table in lake.registry:
        try:
            stored = lake.open(table)
            if stored is not None:
                check_declaration(table, stored)
                compared.append(f"{table.domain}.{table.name}")
        except DamagedTableError as error:
            problems.append(str(error))
    if problems:
        raise LakehouseError(" ".join([*problems, "The lake was not migrated."]))
    if not compared:
        raise LakehouseError(f"There is no lake at {lake.root} to migrate; check LAKEHOUSE_ROOT.")
    files.put(FILE, json.dumps({"format": FORMAT}).encode())
    return compared
