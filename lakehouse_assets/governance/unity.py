"""A read-only REST API that describes the lake's tables as Unity Catalog does.

A client learns where the files of a table are and reads them itself, with its own storage rights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from fastapi import FastAPI, HTTPException, Request, Response
from starlette.responses import JSONResponse

from lakehouse_assets.catalog.registry import Column, Table
from lakehouse_assets.errors import DamagedTableError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.schema import comment
from lakehouse_assets.serving.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CATALOG: Final = "lake"
"""Name of the only catalog; its schemas are the domains."""

_ROOT: Final = "/api/2.1/unity-catalog"
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


def build_app(lake: Lake, tokens: Tokens) -> FastAPI:
    """Make the application.

    Args:
        lake: The lake; tables that were not built, and views, are left out.
        tokens: The tokens that clients must send.
    """
    app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    schemas = sorted({table.domain for table in lake.registry})

    @app.middleware("http")
    async def with_token(
        request: Request, call: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        header = request.headers.get("authorization")
        if not tokens.accept(header.encode("latin-1") if header else None):
            return _refusal(401, "UNAUTHENTICATED", "Send Authorization: Bearer <token>.")
        return await call(request)

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def refused(_request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            return _refusal(405, "PERMISSION_DENIED", "The catalog can only be read.")
        known = error.detail if error.detail != "Not Found" else "Nothing is served at this path."
        return _refusal(404, "NOT_FOUND", known)

    @app.get(f"{_ROOT}/catalogs")
    def catalogs() -> dict[str, Any]:
        return {"catalogs": [_catalog()], "next_page_token": None}

    @app.get(f"{_ROOT}/catalogs/{{name}}")
    def catalog(name: str) -> dict[str, Any]:
        return _known(name, [CATALOG], lambda _: _catalog())

    @app.get(f"{_ROOT}/schemas")
    def schemas_of(catalog_name: str) -> dict[str, Any]:
        found = schemas if catalog_name == CATALOG else []
        return {"schemas": [_schema(name) for name in found], "next_page_token": None}

    @app.get(f"{_ROOT}/schemas/{{name}}")
    def schema(name: str) -> dict[str, Any]:
        return _known(name, [f"{CATALOG}.{s}" for s in schemas], lambda n: _schema(n.split(".")[1]))

    @app.get(f"{_ROOT}/tables")
    def tables_of(catalog_name: str, schema_name: str) -> dict[str, Any]:
        found = [t for t in lake.registry if t.domain == schema_name and catalog_name == CATALOG]
        return {
            "tables": [_table(lake, table) for table in found if _built(lake, table)],
            "next_page_token": None,
        }

    @app.get(f"{_ROOT}/tables/{{name}}")
    def table(name: str) -> dict[str, Any]:
        known = {f"{CATALOG}.{t.full_name}": t for t in lake.registry}
        found = known.get(name)
        if found is None or not _built(lake, found):
            raise HTTPException(404, f"There is no table {name}.")
        return _table(lake, found)

    return app


def _refusal(status: int, code: str, sentence: str) -> Response:
    return JSONResponse({"error_code": code, "message": sentence}, status)


def _known(
    name: str, names: list[str], describe: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    if name not in names:
        raise HTTPException(404, f"There is no {name}; known names: {', '.join(names)}.")
    return describe(name)


def _built(lake: Lake, table: Table) -> bool:
    try:
        return lake.version(table) is not None
    except DamagedTableError:
        # `lakehouse doctor` reports what is wrong with it.
        return False


def _catalog() -> dict[str, Any]:
    return {"name": CATALOG, "id": _id(CATALOG), "comment": "The tables of the lakehouse."}


def _schema(domain: str) -> dict[str, Any]:
    full = f"{CATALOG}.{domain}"
    return {"name": domain, "catalog_name": CATALOG, "full_name": full, "schema_id": _id(full)}


def _table(lake: Lake, table: Table) -> dict[str, Any]:
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
