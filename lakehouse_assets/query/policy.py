"""Row filters and masks of a role, as SQL."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection
from functools import cache
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.access import Access, Mask, RowFilter, TableAccess
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine.duckdb_sql import identifier, literal
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb

    from lakehouse_assets.lake.views import View

_SHORTEST_KEY = 16
# A macro, so that no statement, message or log contains the key. The guard keeps users from
# calling it.
HASH_MACRO = "masked_digest"


def hash_key(given: str | None) -> str:
    """Return the key for hashes: the given one, or a random one for this process.

    Raises:
        LakehouseError: the given key is too short to be safe.
    """
    if given is not None and len(given) < _SHORTEST_KEY:
        raise LakehouseError(
            f"LAKEHOUSE_MASK_KEY needs at least {_SHORTEST_KEY} characters; make a key with "
            "`openssl rand -hex 32`."
        )
    return given or _random_key()


@cache
def _random_key() -> str:
    return secrets.token_hex(32)


def prepare(connection: duckdb.DuckDBPyConnection, key: str, layer: str = "data") -> None:
    """Create what masks need in an instance of DuckDB.

    Args:
        connection: A connection to the instance.
        key: The secret key for hashes: with it, the hash of a known value can be looked up.
        layer: Name of the masking layer; each layer has its own key, derived from `key`.
    """
    derived = hashlib.sha256(f"{layer}:{key}".encode()).hexdigest()
    connection.execute(
        f"CREATE OR REPLACE MACRO {HASH_MACRO}(value) AS "
        f"substr(sha256({literal(derived)} || CAST(value AS VARCHAR)), 1, 15)"
    )


def masked(access: Access, view: View, source: str, columns: Collection[str] | None = None) -> str:
    """Return a SELECT of the rows and columns that a role may read of a view.

    Args:
        access: The role.
        view: The view; the role must have a grant on its table.
        source: Name of the view in the statement, as SQL.
        columns: Names of the columns that are needed, in lower case; None for all of them.
    """
    policy = access.tables[view.table]
    filtered = policy.rows and policy.rows.column
    wanted = [
        name for name in view.columns if columns is None or name in columns or name == filtered
    ]
    # A statement such as count(*) needs the rows but no column.
    wanted = wanted or [next(iter(view.columns))]
    selected = []
    for name in wanted:
        column = view.table.column(view.columns[name])
        mask = policy.masks.get(column.name)
        value = identifier(name)
        selected.append(f"{_masked(mask, column, value)} AS {value}" if mask else value)
    where = f"WHERE {row_filter(policy.rows)}" if policy.rows else ""
    return " ".join(["SELECT", ", ".join(selected), "FROM", source, where])


def words_of(policy: TableAccess) -> str:
    """Describe a role's rights on a table: its rows, then the mask of each masked column."""
    rows = row_filter(policy.rows) if policy.rows else "every row"
    return "; ".join(
        [rows, *(f"{name}: {mask.kind}" for name, mask in sorted(policy.masks.items()))]
    )


def row_filter(rows: RowFilter, quote: Callable[[str], str] = identifier) -> str:
    """Return the condition of a row filter as standard SQL, with the column's name quoted."""
    values = (literal(v) if isinstance(v, str) else str(v) for v in rows.values)
    return f"{quote(rows.column)} IN ({', '.join(values)})"


def _masked(mask: Mask, column: Column, value: str) -> str:
    """Return the SQL of a masked value, in the column's type."""
    kind = _TYPES.get(column.type, column.type)
    if mask.kind == "null":
        return f"CAST(NULL AS {kind})"
    if mask.kind == "hash":
        digest = f"{HASH_MACRO}({value})"
        return digest if kind == "varchar" else f"CAST('0x' || {digest} AS {kind})"
    if mask.kind == "partial":
        first, last = f"left({value}, {mask.first})", f"right({value}, {mask.last})"
        short = f"length({value}) <= {mask.first + mask.last}"
        return f"CASE WHEN {short} THEN '***' ELSE {first} || '***' || {last} END"
    if kind in ("date", "timestamptz", "timestamp"):
        return f"CAST(date_trunc('year', {value}) AS {kind})"
    if mask.size < 1:
        # Multiplied, because a fraction such as 0.1 has no exact double.
        parts = round(1 / mask.size)
        return f"floor({value} * {parts} + 1e-9) / {parts}"
    # TRY, because an overflow error would show the value.
    size = round(mask.size)
    return f"TRY(CAST({value} - (({value} % {size} + {size}) % {size}) AS {kind}))"


# DuckDB's names of types.
_TYPES = {
    "string": "varchar", "timestamp": "timestamptz", "timestamp_ntz": "timestamp",
    "array<string>": "varchar[]",
}  # fmt: skip
