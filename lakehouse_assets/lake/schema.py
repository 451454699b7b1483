"""Arrow and Delta schemas of declared columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_type(column: Column) -> Any:
    """Return the Arrow type of a column."""
    import pyarrow as pa

    if column.decimal:
        return pa.decimal128(*column.decimal)
    return {
        "string": pa.string(),
        "bigint": pa.int64(),
        "int": pa.int32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
        "timestamp_ntz": pa.timestamp("us"),
        "array<string>": pa.list_(pa.string()),
    }[column.type]


def arrow_schema(table: Table) -> pa.Schema:
    """Return the declared schema; descriptions become Delta column comments."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(
                column.name,
                arrow_type(column),
                nullable=column.nullable,
                metadata={"comment": comment(column)},
            )
            for column in table.columns
        ]
    )


def comment(column: Column) -> str:
    """Return a column's description, with its unit if it has one."""
    return column.description + (f" Unit: {column.unit}." if column.unit else "")


def differences(declared: Iterable[Column], found: pa.Schema) -> list[str]:
    """Describe how a frame's schema differs from the declared columns; empty if it does not."""
    import pyarrow as pa

    have = {field.name: field.type for field in found}
    wanted = {column.name: column for column in declared}
    texts = []
    for name, column in wanted.items():
        if name not in have:
            texts.append(f"column {name} is missing")
            continue
        kind = have[name]
        if kind == pa.large_string():
            kind = pa.string()
        if pa.types.is_timestamp(kind) and kind.tz == "Etc/UTC":
            # Some engines call UTC by this name.
            kind = pa.timestamp(kind.unit, "UTC")
        if kind != arrow_type(column):
            texts.append(f"column {name} is {kind} instead of {column.type}")
    texts += [f"column {name} is not declared" for name in have if name not in wanted]
    return texts


def stored_differences(declared: Iterable[Column], found: pa.Schema) -> list[str]:
    """Describe how a stored table differs from the declared columns.

    A stored column may be not nullable where a nullable one is declared.
    """
    columns = list(declared)
    nullable = {field.name for field in found if field.nullable}
    return differences(columns, found) + [
        f"column {column.name} is nullable but declared not nullable"
        for column in columns
        if column.name in nullable and not column.nullable
    ]
