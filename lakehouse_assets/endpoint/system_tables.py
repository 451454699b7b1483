"""The system tables that PostgreSQL clients query: pg_catalog and information_schema.

Their columns are those of PostgreSQL 15 (`system_tables.csv` with types and defaults, `types.csv`).
Their rows describe the registry: a schema for each domain, tables, columns with comments and units,
and keys.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import duckdb
import pyarrow as pa

from lakehouse_assets.catalog.registry import Column

DATABASE: Final = "lake"
SERVER_VERSION: Final = "15.0"
OWNER: Final = 10
_SCHEMAS: Final = {"pg_catalog": 11, "information_schema": 13_000}
_FIRST_OWN, _NUMBERS = 100_000, 1 << 30
_FUNCTIONS: Final = 50_000
_TYPES: Final = {
    "string": 25, "bigint": 20, "int": 23, "double": 701, "boolean": 16, "date": 1082,
    "timestamp": 1184, "timestamp_ntz": 1114, "array<string>": 1009,
}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class Parent:
    """A foreign key: columns of a relation that refer to columns of another."""

    columns: tuple[str, ...]
    schema: str
    relation: str
    to_columns: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Schema and name of the other relation."""
        return f"{self.schema}.{self.relation}"


@dataclass(frozen=True)
class Relation:
    """A table or view as a role sees it.

    Attributes:
        schema: Its domain.
        name: Its name.
        description: Its description.
        columns: Its columns, in the order of `select *`.
        keys: The columns that identify a row.
        parents: Its foreign keys to relations that the role sees.
        is_view: Whether its rows are computed.
    """

    schema: str
    name: str
    description: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...] = ()
    parents: tuple[Parent, ...] = ()
    is_view: bool = False

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"

    def places(self, names: Iterable[str]) -> list[int]:
        """Return the positions of columns, from 1."""
        every = [column.name for column in self.columns]
        return [every.index(name) + 1 for name in names]


def database_of(
    relations: Sequence[Relation], users: Mapping[str, bool], settings: Mapping[str, str]
) -> Any:
    """Return an in-memory DuckDB database with the system tables; it can read nothing else.

    The tables of `information_schema` are in its schema `info`, all others in `main`.

    Args:
        relations: The tables and views to list.
        users: Names of users, and whether each is an owner of the lake.
        settings: Settings of a session and their defaults.
    """
    database = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "256MB"})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("CREATE SCHEMA info")
    for line in _resource("system_tables.csv"):
        columns = (part.partition(":")[::2] for part in line["columns"].split())
        declared = ", ".join(f'"{c}" {kind.replace("=", " DEFAULT ")}' for c, kind in columns)
        database.execute(f"CREATE TABLE {local_name(line['schema'], line['name'])} ({declared})")
    database.execute("CREATE TABLE type_names (oid UINTEGER, name VARCHAR)")
    for name, rows in _rows(relations, users, settings):
        if rows:
            database.register("given", pa.Table.from_pylist(rows))
            database.execute(f"INSERT INTO main.{name} BY NAME SELECT * FROM given")  # noqa: S608
            database.unregister("given")
    database.execute(files(__package__).joinpath("system_tables.sql").read_text("utf-8"))
    database.execute("SET enable_external_access = false")
    database.execute("SET autoinstall_known_extensions = false")
    database.execute("SET lock_configuration = true")
    return database


def numbers_of_tables() -> dict[str, int]:
    """Return the numbers of all tables of `database_of`, by `local_name`."""
    lines = _resource("system_tables.csv")
    return {local_name(line["schema"], line["name"]): int(line["oid"]) for line in lines}


def local_name(schema: str, name: str) -> str:
    """Return where a system table is in the database of `database_of`."""
    return f"{'info' if schema == 'information_schema' else 'main'}.{name}"


def _resource(name: str) -> list[dict[str, str]]:
    with files(__package__).joinpath(name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _numbers(names: Iterable[str]) -> dict[str, int]:
    """Number names; a name keeps its number as long as the names stay the same."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(names):
        number = _FIRST_OWN + zlib.crc32(name.encode()) % _NUMBERS
        while number in taken:
            number += 1
        taken.add(number)
        found[name] = number
    return found


def _rows(
    relations: Sequence[Relation], users: Mapping[str, bool], settings: Mapping[str, str]
) -> list[tuple[str, list[Row]]]:
    """Return tables with rows of the same columns; the others have their defaults."""
    known = {relation.full_name: relation for relation in relations}
    referred = {parent.full_name for r in relations for parent in r.parents}
    keyed = [relation for relation in relations if relation.keys]
    oid = _numbers(
        [
            *known,
            *(f"{r.full_name}_pkey" for r in keyed),
            *(f"{r.full_name}/{at}" for r in relations for at in range(len(r.parents))),
            *{relation.schema for relation in relations},
        ]
    )
    tables, types = _resource("system_tables.csv"), _resource("types.csv")
    of_types = ("typinput", "typoutput", "typreceive", "typsend")
    functions = sorted({line[of] for line in types for of in of_types} - {"-"})
    function = {name: _FUNCTIONS + at for at, name in enumerate(functions)}
    schemas = {**_SCHEMAS, **{r.schema: oid[r.schema] for r in relations}}
    return [
        ("pg_class", [
            {
                "oid": int(line["oid"]), "relname": line["name"], "relkind": "v", "relam": 0,
                "relnamespace": _SCHEMAS[line["schema"]], "relnatts": len(line["columns"].split()),
            }
            for line in tables
        ]),
        ("pg_class", [
            {
                "oid": oid[r.full_name], "relname": r.name, "relnamespace": oid[r.schema],
                "relkind": "v" if r.is_view else "r", "relam": 0 if r.is_view else 2,
                "relnatts": len(r.columns), "relhasindex": bool(r.keys),
                # PostgreSQL's foreign keys are triggers, where clients look for keys.
                "relhastriggers": bool(r.parents) or r.full_name in referred,
            }
            for r in relations
        ]),
        ("pg_class", [
            {
                "oid": oid[f"{r.full_name}_pkey"], "relname": f"{r.name}_pkey", "relkind": "i",
                "relnamespace": oid[r.schema], "relam": 403, "relnatts": len(r.keys),
            }
            for r in keyed
        ]),
        ("pg_attribute", [
            _attribute(oid[r.full_name], at, column)
            for r in relations
            for at, column in enumerate(r.columns, 1)
        ]),
        ("pg_attribute", [
            _attribute(oid[f"{r.full_name}_pkey"], at, r.columns[place - 1])
            for r in keyed
            for at, place in enumerate(r.places(r.keys), 1)
        ]),
        ("pg_constraint", [
            {
                "oid": oid[f"{r.full_name}_pkey"], "conname": f"{r.name}_pkey", "contype": "p",
                "connamespace": oid[r.schema], "conrelid": oid[r.full_name],
                "conindid": oid[f"{r.full_name}_pkey"], "conkey": r.places(r.keys),
            }
            for r in keyed
        ]),
        ("pg_constraint", [
            {
                "oid": oid[f"{r.full_name}/{at}"], "contype": "f",
                "conname": f"{r.name}_{'_'.join(parent.columns)}_fkey",
                "connamespace": oid[r.schema], "conrelid": oid[r.full_name],
                "conindid": oid.get(f"{parent.full_name}_pkey", 0),
                "confrelid": oid[parent.full_name], "conkey": r.places(parent.columns),
                "confkey": known[parent.full_name].places(parent.to_columns),
            }
            for r in relations
            for at, parent in enumerate(r.parents)
        ]),
        ("pg_description", [
            {"objoid": oid[r.full_name], "classoid": 1259, "objsubid": at, "description": said}
            for r in relations
            for at, said in enumerate([r.description, *map(_described, r.columns)])
        ]),
        ("pg_namespace", [{"oid": number, "nspname": name} for name, number in schemas.items()]),
        ("pg_index", [
            {
                "indexrelid": oid[f"{r.full_name}_pkey"], "indrelid": oid[r.full_name],
                "indnatts": len(r.keys), "indnkeyatts": len(r.keys), "indkey": r.places(r.keys),
                **dict.fromkeys(("indoption", "indclass", "indcollation"), [0] * len(r.keys)),
            }
            for r in keyed
        ]),
        ("type_names", [{"oid": line["oid"], "name": line["sql_name"]} for line in types]),
        ("pg_type", [
            {
                **{key: value for key, value in line.items() if key != "sql_name"},
                **{of: function.get(line[of], 0) for of in of_types},
            }
            for line in types
        ]),
        ("pg_proc", [{"oid": number, "proname": name} for name, number in function.items()]),
        ("pg_settings", [
            {"name": name, "setting": value, "boot_val": value, "reset_val": value}
            for name, value in settings.items()
        ]),
        ("pg_roles", [
            {
                "oid": OWNER if at == 0 else 16_000 + at, "rolname": name, "rolsuper": owner,
                "rolcanlogin": bool(at), "rolbypassrls": owner,
            }
            for at, (name, owner) in enumerate([("lakehouse", True), *users.items()])
        ]),
    ]  # fmt: skip


def _described(column: Column) -> str:
    return f"{column.description} Unit: {column.unit}." if column.unit else column.description


def _attribute(relation: int, at: int, column: Column) -> Row:
    kind, decimal = _TYPES.get(column.type, 1700), column.decimal
    return {
        "attrelid": relation, "attname": column.name, "atttypid": kind, "attnum": at,
        "attlen": {16: 1, 23: 4, 1082: 4, 20: 8, 701: 8, 1114: 8, 1184: 8}.get(kind, -1),
        "attndims": int(kind == 1009), "attnotnull": not column.nullable,
        "atttypmod": (decimal[0] << 16 | decimal[1]) + 4 if decimal else -1,
        "attcollation": 100 if kind in {25, 1009} else 0,
    }  # fmt: skip
