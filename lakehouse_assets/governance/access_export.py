"""Exports the roles as SQL for Unity Catalog and as data access roles for OneLake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lakehouse_assets.catalog.access import OWNER, Access, Mask
from lakehouse_assets.catalog.registry import Column, Table
from lakehouse_assets.engine.duckdb_sql import literal
from lakehouse_assets.query.policy import row_filter

# Scope and name of the Databricks secret with the key of hashes.
_KEY = "secret('lakehouse', 'mask_key')"
_FUNCTIONS = "access"


def unity_catalog(roles: Iterable[Access], tables: Iterable[Table], catalog: str) -> str:
    """Return SQL that creates the roles in Unity Catalog, as account groups of the same names.

    There, a table has at most one row filter and a column at most one mask, so each function
    decides by the groups of the reader. Members of the group `owner` read everything. A person
    should be in one other group only, because the widest filter and mask of several apply. Views
    are left out, because they are not stored.

    Args:
        roles: The roles.
        tables: The stored tables.
        catalog: Name of the catalog; each domain is a schema in it.
    """
    every, stored = list(roles), list(tables)
    schemas = sorted({table.domain for table in stored})
    lines = [
        f"-- Roles of the lake for Unity Catalog. The groups {OWNER}, "
        f"{', '.join(role.name for role in every)} must exist in the account;",
        f"-- jobs that write tables belong to {OWNER}, and people to one other group.",
        f"-- Hashes need a key, which people must not be able to read: {_KEY}.",
        f"CREATE SCHEMA IF NOT EXISTS {_name(catalog, _FUNCTIONS)};",
    ]
    for role in every:
        group = _name(role.name)
        lines.append(f"GRANT USE CATALOG ON CATALOG {_name(catalog)} TO {group};")
        lines.append(f"GRANT USE SCHEMA ON SCHEMA {_name(catalog, _FUNCTIONS)} TO {group};")
        lines.append(f"GRANT EXECUTE ON SCHEMA {_name(catalog, _FUNCTIONS)} TO {group};")
        lines += [
            f"GRANT USE SCHEMA ON SCHEMA {_name(catalog, schema)} TO {group};"
            for schema in schemas
            if any(table.domain == schema for table in role.tables)
        ]
        lines += [
            f"GRANT SELECT ON TABLE {_name(catalog, table.domain, table.name)} TO {group};"
            for table in stored
            if table in role.tables
        ]
    for table in stored:
        lines += _policies(table, [role for role in every if table in role.tables], catalog)
    return "\n".join([*lines, ""])


def _policies(table: Table, roles: list[Access], catalog: str) -> Iterator[str]:
    """Yield the row filter and the masks of a table, if a role has any."""
    at = _name(catalog, table.domain, table.name)
    owner = _member(OWNER)
    filters = [(role, role.tables[table].rows) for role in roles]
    columns = {rows.column: None for _, rows in filters if rows}
    if columns:
        function = _name(catalog, _FUNCTIONS, f"rows_of_{table.identifier}")
        given = ", ".join(f"{_name(c)} {_type(table.column(c))}" for c in columns)
        allowed = [
            f"({_member(role.name)} AND {row_filter(rows, _name)})" if rows else _member(role.name)
            for role, rows in filters
        ]
        yield f"CREATE OR REPLACE FUNCTION {function}({given}) RETURNS BOOLEAN"
        yield f"  RETURN {' OR '.join([owner, *allowed])};"
        yield f"ALTER TABLE {at} SET ROW FILTER {function} ON ({', '.join(map(_name, columns))});"
    for column in table.columns:
        masks = [(role, role.tables[table].masks.get(column.name)) for role in roles]
        if not any(mask for _, mask in masks):
            continue
        function = _name(catalog, _FUNCTIONS, f"mask_{table.identifier}__{column.name}")
        shown = [owner, *(_member(role.name) for role, mask in masks if mask is None)]
        masked = "".join(
            f" WHEN {_member(role.name)} THEN {_masked(mask, column)}"
            for role, mask in masks
            if mask
        )
        kind = _type(column)
        yield f"CREATE OR REPLACE FUNCTION {function}(value {kind}) RETURNS {kind}"
        yield f"  RETURN CASE WHEN {' OR '.join(shown)} THEN value{masked} ELSE NULL END;"
        yield f"ALTER TABLE {at} ALTER COLUMN {_name(column.name)} SET MASK {function};"


def _masked(mask: Mask, column: Column) -> str:
    """Return Databricks' SQL of a masked value."""
    kind = _type(column)
    if mask.kind == "null":
        return f"CAST(NULL AS {kind})"
    if mask.kind == "hash":
        digest = f"left(sha2(concat({_KEY}, CAST(value AS STRING)), 256), 15)"
        return digest if kind == "STRING" else f"CAST(conv({digest}, 16, 10) AS {kind})"
    if mask.kind == "partial":
        ends = f"concat(left(value, {mask.first}), '***', right(value, {mask.last}))"
        return f"if(length(value) <= {mask.first + mask.last}, '***', {ends})"
    if column.type in ("date", "timestamp", "timestamp_ntz"):
        return f"CAST(date_trunc('YEAR', value) AS {kind})"
    if mask.size < 1:
        parts = round(1 / mask.size)
        return f"floor(value * {parts} + 1e-9) / {parts}"
    return f"CAST(value - pmod(value, {round(mask.size)}) AS {kind})"


def _member(group: str) -> str:
    return f"is_account_group_member({literal(group)})"


def _name(*parts: str) -> str:
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)


def _type(column: Column) -> str:
    return column.type.upper()


def onelake_roles(roles: Iterable[Access], tables: Iterable[Table]) -> dict[str, Any]:
    """Return the body of `PUT .../dataAccessRoles` for a lakehouse whose schemas are the domains.

    OneLake has no masks, so masked columns are closed to a role. The lists of members are empty,
    because members are ids of the tenant. A person should be in one role only, because OneLake does
    not combine row and column rules of several.

    Args:
        roles: The roles.
        tables: The stored tables.
    """
    stored = list(tables)
    return {"value": [_onelake_role(role, stored) for role in roles]}


def _onelake_role(role: Access, tables: Iterable[Table]) -> Mapping[str, Any]:
    paths, rows, columns = [], [], []
    for table in tables:
        if table not in role.tables:
            continue
        policy, path = role.tables[table], f"/Tables/{table.domain}/{table.name}"
        paths.append(path)
        if policy.rows:
            condition = row_filter(policy.rows, lambda name: name)
            value = f"SELECT * FROM {table.full_name} WHERE {condition}"  # noqa: S608
            rows.append({"tablePath": path, "value": value})
        if policy.masks:
            shown = [name for name in table.column_names if name not in policy.masks]
            columns.append(
                {
                    "tablePath": path,
                    "columnNames": shown,
                    "columnEffect": "Permit",
                    "columnAction": ["Read"],
                }
            )
    return {
        "name": role.name,
        "decisionRules": [
            {
                "effect": "Permit",
                "permission": [
                    {"attributeName": "Path", "attributeValueIncludedIn": paths},
                    {"attributeName": "Action", "attributeValueIncludedIn": ["Read"]},
                ],
                "constraints": {"columns": columns, "rows": rows},
            }
        ],
        "members": {"microsoftEntraMembers": [], "fabricItemMembers": []},
    }
