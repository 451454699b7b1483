"""The tables and views that a role sees, with their columns and keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse_assets.catalog.registry import Column, Reference, Registry
from lakehouse_assets.endpoint.system_tables import Parent, Relation
from lakehouse_assets.lake.views import View, views

if TYPE_CHECKING:
    from lakehouse_assets.query.session import Session


def relations_of(session: Session, registry: Registry) -> list[Relation]:
    """Return the tables and views that a session lists, as the registry declares them.

    Names that are not declared are views made by users.
    """
    listed = session.run("show tables").rows.read_all()
    known = views(registry)
    seen = {name: known.get(name) for name in listed.column("table").to_pylist()}
    return [
        _declared(view, seen, registry) if view else _described(name, session)
        for name, view in seen.items()
    ]


def _declared(view: View, seen: Mapping[str, View | None], registry: Registry) -> Relation:
    table = view.table
    parents = [_parent(view, reference, registry) for reference in table.references]
    return Relation(
        table.domain,
        view.name,
        table.full_description,
        tuple(view.named_columns),
        table.keys,
        tuple(parent for parent in parents if parent.full_name in seen),
        is_view=view.computed is not None,
    )


def _parent(view: View, reference: Reference, registry: Registry) -> Parent:
    """Return the relation that a foreign key leads to: of all months, if it is of all months."""
    table = registry.meant_by(view.table, reference.to_table)
    name = View(table, history=view.history and table.holds_states).name
    return Parent(reference.columns, table.domain, name, reference.to_columns)


def _described(name: str, session: Session) -> Relation:
    schema, _, bare = name.partition(".")
    columns = tuple(
        Column(field.name, _type_of(field.type), "") for field in session.describe(f"FROM {name}")
    )
    return Relation(schema, bare, "A view made by a user.", columns, is_view=True)


def _type_of(kind: Any) -> str:
    """Return the registry's name of a type; `string` for types without a name there."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    known = {
        "int64": "bigint", "int32": "int", "double": "double", "bool": "boolean",
        "date32[day]": "date",
    }  # fmt: skip
    return known.get(str(kind), "string")
