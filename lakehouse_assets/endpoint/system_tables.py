"""The system tables that PostgreSQL clients query: pg_catalog and information_schema.

Their columns are those of PostgreSQL 15 (`system_tables.csv`, `types.csv`). Their rows describe the
registry: a schema for each domain, tables, columns with comments and units, and keys.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import duckdb
import pyarrow as pa

from lakehouse_assets.catalog.registry import Column

DATABASE: Final = "lake"
SERVER_VERSION: Final = "15.0"
OWNER: Final = 10
_DATABASE_OID, _CATALOG, _INFORMATION = 5, 11, 13_000
_SCHEMAS: Final = {"pg_catalog": _CATALOG, "information_schema": _INFORMATION}
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
    shapes = {(line["schema"], line["name"]): line for line in _resource("system_tables.csv")}
    for (schema, name), line in shapes.items():
        columns = (part.split(":") for part in line["columns"].split())
        declared = ", ".join(f'"{column}" {kind}' for column, kind in columns)
        database.execute(f"CREATE TABLE {local_name(schema, name)} ({declared})")
    database.execute("CREATE TABLE type_names (oid UINTEGER, name VARCHAR)")
    for name, rows in _rows(relations, users, settings).items():
        _insert(database, name, list(rows))
    for statement in (
        files(__package__).joinpath("system_tables.sql").read_text("utf-8").split(";\n")
    ):
        if statement.strip():
            database.execute(statement)
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


def _insert(database: Any, name: str, rows: list[Row]) -> None:
    if rows:
        database.register("given", pa.Table.from_pylist(rows))
        database.execute(f"INSERT INTO main.{name} BY NAME SELECT * FROM given")  # noqa: S608
        database.unregister("given")


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
) -> dict[str, Iterator[Row]]:
    known = {(relation.schema, relation.name): relation for relation in relations}
    referred = {(parent.schema, parent.relation) for r in relations for parent in r.parents}
    keyed = [relation for relation in relations if relation.keys]
    names = [f"{r.schema}.{r.name}" for r in relations]
    names += [f"{r.schema}.{r.name}_pkey" for r in keyed]
    names += [f"{r.schema}.{r.name}/{at}" for r in relations for at in range(len(r.parents))]
    names += {relation.schema for relation in relations}
    oid = _numbers(names)
    described = _resource("types.csv")
    functions = sorted(
        {
            line[of]
            for line in described
            for of in ("typinput", "typoutput", "typreceive", "typsend")
        }
        - {"-"}
    )
    function = {name: _FUNCTIONS + at for at, name in enumerate(functions)}

    def classes() -> Iterator[Row]:
        for line in _resource("system_tables.csv"):
            yield _class(
                int(line["oid"]), line["name"], _SCHEMAS[line["schema"]], "v",
                len(line["columns"].split()),
            )  # fmt: skip
        for r in relations:
            yield _class(
                oid[f"{r.schema}.{r.name}"], r.name, oid[r.schema], "v" if r.is_view else "r",
                len(r.columns), bool(r.keys), bool(r.parents) or (r.schema, r.name) in referred,
            )  # fmt: skip
        for r in keyed:
            number = oid[f"{r.schema}.{r.name}_pkey"]
            yield _class(number, f"{r.name}_pkey", oid[r.schema], "i", len(r.keys))

    def attributes() -> Iterator[Row]:
        for r in relations:
            for at, column in enumerate(r.columns, 1):
                yield _attribute(oid[f"{r.schema}.{r.name}"], at, column)
        for r in keyed:
            for at, key in enumerate(r.keys, 1):
                column = r.columns[_place(r, key) - 1]
                yield _attribute(oid[f"{r.schema}.{r.name}_pkey"], at, column)

    def constraints() -> Iterator[Row]:
        for r in relations:
            of, schema = oid[f"{r.schema}.{r.name}"], oid[r.schema]
            if r.keys:
                index = oid[f"{r.schema}.{r.name}_pkey"]
                yield _constraint(index, f"{r.name}_pkey", "p", schema, of, index) | {
                    "conkey": [_place(r, key) for key in r.keys],
                }
            for at, parent in enumerate(r.parents):
                other = known[parent.schema, parent.relation]
                name = f"{r.name}_{'_'.join(parent.columns)}_fkey"
                number = oid[f"{r.schema}.{r.name}/{at}"]
                target = oid[f"{parent.schema}.{parent.relation}"]
                index = oid.get(f"{parent.schema}.{parent.relation}_pkey", 0)
                yield _constraint(number, name, "f", schema, of, index) | {
                    "confrelid": target,
                    "conkey": [_place(r, column) for column in parent.columns],
                    "confkey": [_place(other, column) for column in parent.to_columns],
                }

    def descriptions() -> Iterator[Row]:
        for r in relations:
            number = oid[f"{r.schema}.{r.name}"]
            texts = {0: r.description}
            for at, column in enumerate(r.columns, 1):
                unit = f" Unit: {column.unit}." if column.unit else ""
                texts[at] = f"{column.description}{unit}"
            for at, said in texts.items():
                yield {"objoid": number, "classoid": 1259, "objsubid": at, "description": said}
        yield {
            "objoid": 23,
            "classoid": 1247,
            "objsubid": 0,
            "description": "whole number, 4 bytes",
        }

    schemas = {**_SCHEMAS, **{r.schema: oid[r.schema] for r in relations}}
    return {
        "pg_class": classes(),
        "pg_attribute": attributes(),
        "pg_constraint": constraints(),
        "pg_description": descriptions(),
        "pg_namespace": (
            {"oid": number, "nspname": name, "nspowner": OWNER, "nspacl": None}
            for name, number in schemas.items()
        ),
        "pg_index": (
            {
                "indexrelid": oid[f"{r.schema}.{r.name}_pkey"],
                "indrelid": oid[f"{r.schema}.{r.name}"], "indnatts": len(r.keys),
                "indnkeyatts": len(r.keys), "indisunique": True, "indnullsnotdistinct": False,
                "indisprimary": True, "indisexclusion": False, "indimmediate": True,
                "indisclustered": False, "indisvalid": True, "indcheckxmin": False,
                "indisready": True, "indislive": True, "indisreplident": False,
                "indkey": [_place(r, key) for key in r.keys], "indoption": [0] * len(r.keys),
                "indclass": [0] * len(r.keys), "indcollation": [0] * len(r.keys),
            }
            for r in keyed
        ),
        "type_names": ({"oid": line["oid"], "name": line["sql_name"]} for line in described),
        "pg_type": (
            {
                **{key: value for key, value in line.items() if key != "sql_name"},
                **{
                    of: function.get(line[of], 0)
                    for of in ("typinput", "typoutput", "typreceive", "typsend")
                },
                "typnamespace": _CATALOG, "typowner": OWNER, "typisdefined": True,
                "typnotnull": False, "typtypmod": -1, "typndims": 0, "typmodin": 0,
                "typmodout": 0, "typanalyze": 0, "typsubscript": 0,
            }
            for line in described
        ),
        "pg_proc": (
            {
                "oid": number, "proname": name, "pronamespace": _CATALOG, "proowner": OWNER,
                "prokind": "f", "prorettype": 2281, "pronargs": 0, "proretset": False,
                "proisstrict": True, "provolatile": "i", "prolang": 12,
            }
            for name, number in function.items()
        ),
        "pg_settings": (
            {
                "name": name, "setting": value, "vartype": "string", "context": "user",
                "source": "default", "boot_val": value, "reset_val": value,
                "pending_restart": False,
            }
            for name, value in settings.items()
        ),
        "pg_roles": (
            {
                "oid": OWNER if at == 0 else 16_000 + at, "rolname": name, "rolsuper": owner,
                "rolinherit": True, "rolcreaterole": False, "rolcreatedb": False,
                "rolcanlogin": bool(at), "rolreplication": False, "rolconnlimit": -1,
                "rolpassword": "********", "rolbypassrls": owner,
            }
            for at, (name, owner) in enumerate([("lakehouse", True), *users.items()])
        ),
    }  # fmt: skip


def _place(relation: Relation, column: str) -> int:
    return next(at for at, c in enumerate(relation.columns, 1) if c.name == column)


def _class(
    number: int,
    name: str,
    schema: int,
    kind: str,
    columns: int,
    indexed: bool = False,
    referring: bool = False,
) -> Row:
    return {
        "oid": number, "relname": name, "relnamespace": schema, "reltype": 0, "reloftype": 0,
        "relowner": OWNER, "relam": {"r": 2, "i": 403}.get(kind, 0), "relfilenode": 0,
        "reltablespace": 0, "relpages": 0, "reltuples": -1.0, "relallvisible": 0,
        "reltoastrelid": 0, "relhasindex": indexed, "relisshared": False, "relpersistence": "p",
        "relkind": kind, "relnatts": columns, "relchecks": 0, "relhasrules": False,
        # PostgreSQL's foreign keys are triggers; clients ask for keys where there are triggers.
        "relhastriggers": referring, "relhassubclass": False, "relrowsecurity": False,
        "relforcerowsecurity": False, "relispopulated": True, "relreplident": "d",
        "relispartition": False, "relrewrite": 0,
    }  # fmt: skip


def _attribute(relation: int, at: int, column: Column) -> Row:
    kind, decimal = _TYPES.get(column.type, 1700), column.decimal
    return {
        "attrelid": relation, "attname": column.name, "atttypid": kind, "attstattarget": -1,
        "attlen": {16: 1, 23: 4, 1082: 4, 20: 8, 701: 8, 1114: 8, 1184: 8}.get(kind, -1),
        "attnum": at, "attndims": int(kind == 1009), "attcacheoff": -1,
        "atttypmod": (decimal[0] << 16 | decimal[1]) + 4 if decimal else -1, "attbyval": False,
        "attalign": "i", "attstorage": "p", "attcompression": "", "attnotnull": not column.nullable,
        "atthasdef": False, "atthasmissing": False, "attidentity": "", "attgenerated": "",
        "attisdropped": False, "attislocal": True, "attinhcount": 0,
        "attcollation": 100 if kind in {25, 1009} else 0,
    }  # fmt: skip


def _constraint(number: int, name: str, kind: str, schema: int, relation: int, index: int) -> Row:
    return {
        "oid": number, "conname": name, "connamespace": schema, "contype": kind,
        "condeferrable": False, "condeferred": False, "convalidated": True, "conrelid": relation,
        "contypid": 0, "conindid": index, "conparentid": 0, "confrelid": 0, "confupdtype": "a",
        "confdeltype": "a", "confmatchtype": "s", "conislocal": True, "coninhcount": 0,
        "connoinherit": True, "conkey": None, "confkey": None,
    }  # fmt: skip
