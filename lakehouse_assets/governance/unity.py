"""A read-only REST API that describes the lake's tables as Unity Catalog does.

A client learns where the files of a table are and reads them itself, with its own storage rights.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5

from lakehouse_assets.catalog.registry import Column, Table
from lakehouse_assets.errors import DamagedTableError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.schema import comment
from lakehouse_assets.serving.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

CATALOG: Final = "lake"
"""Name of the only catalog; its schemas are the domains."""

_ROOT: Final = "/api/2.1/unity-catalog/"
Answer: TypeAlias = tuple[int, dict[str, Any]]
# Unity Catalog's name of a type, and Spark's name in JSON where it is not that of the declaration.
_TYPES: Final = {
    "string": ("STRING", "string"), "bigint": ("LONG", "long"), "int": ("INT", "integer"),
    "double": ("DOUBLE", "double"), "boolean": ("BOOLEAN", "boolean"), "date": ("DATE", "date"),
    "timestamp": ("TIMESTAMP", "timestamp"),
    "timestamp_ntz": ("TIMESTAMP_NTZ", "timestamp_ntz"),
    "array<string>": (
        "ARRAY", {"type": "array", "elementType": "string", "containsNull": True},
    ),
}  # fmt: skip


def build_app(lake: Lake, tokens: Tokens) -> ASGIApp:
    """Make the application, an ASGI callable.

    Args:
        lake: The lake; tables that were not built, and views, are left out.
        tokens: The tokens that clients must send.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path, headers = scope["path"], dict(scope["headers"])
        kind, _, name = path.removeprefix(_ROOT).partition("/")
        if not tokens.accept(headers.get(b"authorization")):
            status, body = _refusal(401, "UNAUTHENTICATED", "Send Authorization: Bearer <token>.")
        elif not path.startswith(_ROOT) or kind not in {"catalogs", "schemas", "tables"}:
            status, body = _refusal(404, "NOT_FOUND", "Nothing is served at this path.")
        elif scope["method"] != "GET":
            status, body = _refusal(405, "PERMISSION_DENIED", "The catalog can only be read.")
        else:
            query = parse_qs(scope["query_string"].decode())
            status, body = await asyncio.to_thread(_answer, lake, kind, name, query)
        text = json.dumps(body).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": text})

    return app


def _answer(lake: Lake, kind: str, name: str, query: dict[str, list[str]]) -> Answer:
    """Describe one thing by its full name, or list those of the catalog or schema in the query."""
    every: dict[str, Callable[[], dict[str, Any] | None]]
    if kind == "catalogs":
        every = {CATALOG: _catalog}
    elif kind == "schemas":
        domains = sorted({table.domain for table in lake.registry})
        every = {f"{CATALOG}.{domain}": partial(_schema, domain) for domain in domains}
    else:
        every = {f"{CATALOG}.{t.full_name}": partial(_table, lake, t) for t in lake.registry}
    of_catalog, of_schema = (query.get(n, [""])[-1] for n in ("catalog_name", "schema_name"))
    within = {"catalogs": "", "schemas": f"{of_catalog}.", "tables": f"{of_catalog}.{of_schema}."}
    found = [
        one
        for full, describe in every.items()
        if (full == name if name else full.startswith(within[kind])) and (one := describe())
    ]
    if not name:
        return 200, {kind: found, "next_page_token": None}
    if found:
        return 200, found[0]
    known = "" if kind == "tables" else f"; known names: {', '.join(every)}"
    what = "table " if kind == "tables" else ""
    return _refusal(404, "NOT_FOUND", f"There is no {what}{name}{known}.")


def _refusal(status: int, code: str, sentence: str) -> Answer:
    return status, {"error_code": code, "message": sentence}


def _catalog() -> dict[str, Any]:
    return {"name": CATALOG, "id": _id(CATALOG), "comment": "The tables of the lakehouse."}


def _schema(domain: str) -> dict[str, Any]:
    full = f"{CATALOG}.{domain}"
    return {"name": domain, "catalog_name": CATALOG, "full_name": full, "schema_id": _id(full)}


def _table(lake: Lake, table: Table) -> dict[str, Any] | None:
    """Describe a table; None if it is not built or damaged, which `lakehouse doctor` reports."""
    try:
        if lake.version(table) is None:
            return None
    except DamagedTableError:
        return None
    location = lake.uri(table)
    return {
        "name": table.name,
        "catalog_name": CATALOG,
        "schema_name": table.domain,
        "full_name": f"{CATALOG}.{table.full_name}",
        "table_id": _id(f"{CATALOG}.{table.full_name}"),
        "table_type": "EXTERNAL",
        "data_source_format": "DELTA",
        "storage_location": Path(location).as_uri() if location.startswith("/") else location,
        "comment": table.full_description,
        "owner": table.owner,
        "properties": {"kind": table.kind, "layer": table.layer},
        "columns": [_column(at, column, table) for at, column in enumerate(table.columns)],
    }


def _column(position: int, column: Column, table: Table) -> dict[str, Any]:
    name, spark = _TYPES.get(column.type, ("DECIMAL", column.type))
    precision, scale = column.decimal or (None, None)
    partition = table.partition is not None and table.partition.column == column.name
    return {
        "name": column.name,
        "position": position,
        "type_text": column.type,
        "type_name": name,
        "type_json": json.dumps(
            {"name": column.name, "type": spark, "nullable": column.nullable, "metadata": {}}
        ),
        "type_precision": precision,
        "type_scale": scale,
        "nullable": column.nullable,
        "comment": comment(column) + (f" Personal data: {column.pii}." if column.pii else ""),
        "partition_index": 0 if partition else None,
    }


def _id(name: str) -> str:
    """Return an identifier that stays the same."""
    return str(uuid5(NAMESPACE_URL, name))
