"""Declares roles: which tables, rows and columns each may read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from lakehouse_assets.catalog.registry import Column, Layer, Pii, Registry, Table
from lakehouse_assets.errors import LakehouseError, did_you_mean

# The lake's owner, who reads everything as it is stored.
OWNER = "owner"

_WHOLE = ("bigint", "int")
_NUMBERS = (*_WHOLE, "double")


@dataclass(frozen=True)
class Mask:
    """What a role reads instead of a column's values. Null stays null; the type stays the same.

    Attributes:
        kind: `null`: nothing. `hash`: a keyed hash, equal for equal values in all tables; for
            `string` and `bigint`. `partial`: the first and last letters, with `***` for the others;
            for `string`. `range`: the lower end of the range that holds the value; for numbers, and
            for dates and times, whose range is the year.
        first: Letters at the start that `partial` shows.
        last: Letters at the end that it shows. A value that has no further letters is only `***`.
        size: Length of a range of numbers: a whole number, or a fraction 1/n for `double`.
    """

    kind: Literal["null", "hash", "partial", "range"]
    first: int = 1
    last: int = 0
    size: float = 10

    def __post_init__(self) -> None:
        per_one = 1 / self.size if 0 < self.size < 1 else self.size
        if self.first < 0 or self.last < 0 or per_one < 1 or abs(per_one - round(per_one)) > 1e-9:
            raise LakehouseError(
                f"The mask {self.kind} has an invalid length or size; letters must be 0 or more, "
                "and the size a whole number or a fraction 1/n."
            )

    def fits(self, column: Column) -> bool:
        """Say whether it can mask values of the column's type."""
        if self.kind == "null":
            return True
        if self.kind == "partial":
            return column.type == "string"
        if self.kind == "hash":
            return column.type in ("string", "bigint")
        if column.type in ("date", "timestamp", "timestamp_ntz"):
            return True
        numbers = column.type in _NUMBERS or column.decimal is not None
        return numbers and (self.size >= 1 or column.type == "double")


NULL, HASH, PARTIAL, RANGE = Mask("null"), Mask("hash"), Mask("partial"), Mask("range")


def default_mask(column: Column) -> Mask | None:
    """Return the default mask of a column's PII class; None if its values are shown.

    Identifiers are hashed and contacts shown in part. Demographic numbers and dates become ranges,
    and codes become null. Demographic texts, which are categories, and locations are shown. If the
    mask does not fit the type, the value becomes null.
    """
    if column.pii is None or column.pii == "location":
        return None
    if column.pii != "demographic":
        wanted = HASH if column.pii == "identifier" else PARTIAL
    elif column.type in ("string", "boolean"):
        return None
    elif column.unit == "code":
        wanted = NULL
    else:
        wanted = Mask("range", size=0.1) if column.unit in ("share", "score") else RANGE
    return wanted if wanted.fits(column) else NULL


@dataclass(frozen=True)
class RowFilter:
    """The rows that a role may read: those whose column has one of the values.

    Attributes:
        column: The column, which must not be masked for the role.
        values: The values, texts or whole numbers as the column's type is.
    """

    column: str
    values: tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True)
class Grant:
    """Tables that a role may read.

    Attributes:
        tables: Names or patterns such as `dim_*`, of tables and views of the role's domain;
            `<domain>.<name>` for those of others.
        layers: The layers that patterns match; all of them if empty.
        rows: The rows that it may read; None for all of them.
        shows: PII classes that it reads as stored; other classes have their default mask.
        masks: Other masks by column; None shows the column as it is stored.
    """

    tables: tuple[str, ...]
    layers: tuple[Layer, ...] = ()
    rows: RowFilter | None = None
    shows: tuple[Pii, ...] = ()
    masks: Mapping[str, Mask | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Role:
    """What a group of people may read in a domain.

    Roles with the same name in several domains are one role with the grants of all.

    Attributes:
        name: Its name: lower-case letters, digits and `_`.
        description: Who they are, and what they need.
        grants: The tables that they may read; every other table is closed to them.
    """

    name: str
    description: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class TableAccess:
    """What a role reads of a table.

    Attributes:
        rows: The rows; None for all of them.
        masks: Masks by column; other columns are read as stored.
    """

    rows: RowFilter | None
    masks: Mapping[str, Mask]


@dataclass(frozen=True)
class Access:
    """What a role may read in the whole lake.

    Attributes:
        name: The role's name.
        description: Who has it.
        tables: What it reads of each table; it cannot read others.
    """

    name: str
    description: str
    tables: Mapping[Table, TableAccess]


def access_of_roles(registry: Registry, declared: Iterable[tuple[str, Role]]) -> dict[str, Access]:
    """Return what each role may read, by name.

    Args:
        registry: All tables.
        declared: The roles, each with its domain.

    Raises:
        LakehouseError: a role's name cannot be used, or it names a table or column that does not
            exist, grants a table twice, or has a mask or filter that the column does not permit.
    """
    every = [*registry, *(view.table for view in registry.views)]
    found: dict[str, Access] = {}
    for domain, role in declared:
        if not role.name.isidentifier() or not role.name.islower() or role.name == OWNER:
            raise LakehouseError(
                f"The role {role.name!r} of {domain} needs another name: lower-case letters, "
                f"digits and _, and not {OWNER}."
            )
        place = f"The role {role.name} of {domain}"
        before = found.get(role.name)
        tables = dict(before.tables) if before else {}
        for grant in role.grants:
            granted = _granted(every, domain, grant, place)
            if twice := [table.full_name for table in granted if table in tables]:
                raise LakehouseError(f"{place} is granted {twice[0]} twice; remove one grant.")
            _check_columns(granted, grant, place)
            tables |= {table: _access(table, grant, place) for table in granted}
        texts = [before.description] if before else []
        found[role.name] = Access(role.name, " ".join([*texts, role.description]), tables)
    return found


def access_of(role: str, roles: Mapping[str, Access], place: str) -> Access | None:
    """Return what a role may read; None for the owner, who may read everything.

    Args:
        role: Name of the role.
        roles: The declared roles.
        place: Where the name is written, for the message.

    Raises:
        LakehouseError: no role has that name.
    """
    if role != OWNER and role not in roles:
        close = did_you_mean(role, {*roles, OWNER}) or "."
        raise LakehouseError(
            f"{place} has the role {role!r}, which is not declared{close} `lakehouse access` lists "
            "the roles."
        )
    return roles.get(role)


def _granted(every: Iterable[Table], domain: str, grant: Grant, place: str) -> list[Table]:
    """Return the tables that a grant names, in the order of the registry."""
    known = {t.full_name: t for t in every if not grant.layers or t.layer in grant.layers}
    names: set[str] = set()
    for pattern in grant.tables:
        full = pattern if "." in pattern else f"{domain}.{pattern}"
        matching = {name for name in known if fnmatchcase(name, full)}
        if not matching:
            close = did_you_mean(full, known) or "."
            raise LakehouseError(f"{place} is granted {full}, which is not a table{close}")
        names |= matching
    return [table for name, table in known.items() if name in names]


def _check_columns(tables: Iterable[Table], grant: Grant, place: str) -> None:
    known = {name for table in tables for name in table.column_names}
    for name in grant.masks:
        if name not in known:
            close = did_you_mean(name, known) or "."
            raise LakehouseError(
                f"{place} has a mask for the column {name}, which none of the granted tables "
                f"has{close}"
            )


def _access(table: Table, grant: Grant, place: str) -> TableAccess:
    masks: dict[str, Mask] = {}
    for column in table.columns:
        shown = column.pii in grant.shows
        mask = grant.masks.get(column.name, None if shown else default_mask(column))
        if mask is None:
            continue
        if not mask.fits(column):
            raise LakehouseError(
                f"{place} has the mask {mask.kind} for {table.full_name}.{column.name}, which is "
                f"{column.type}; use another mask."
            )
        masks[column.name] = mask
    if grant.rows is not None:
        name = grant.rows.column
        if name not in table.column_names:
            close = did_you_mean(name, table.column_names) or "."
            raise LakehouseError(
                f"{place} filters {table.full_name} by {name}, which it does not have{close}"
            )
        if name in masks:
            raise LakehouseError(
                f"{place} filters {table.full_name} by {name}, which is masked for it; show the "
                "column, or filter by another."
            )
        wanted = str if table.column(name).type == "string" else int
        whole = wanted is str or table.column(name).type in _WHOLE
        if not whole or not all(isinstance(value, wanted) for value in grant.rows.values):
            raise LakehouseError(
                f"{place} filters {table.full_name} by {name}, which is {table.column(name).type}; "
                "filter by texts or whole numbers, with values of the column's type."
            )
        if not grant.rows.values:
            raise LakehouseError(
                f"{place} filters {table.full_name} by {name} without values; name some."
            )
    return TableAccess(grant.rows, masks)
