"""Reads the rows of a page's source, one for each combination of its dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse_assets.catalog.pages import (
    Page,
    Path,
    Source,
    dimensions_of,
    measure_of,
    table_of,
    words,
)
from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.pages import columns
from lakehouse_assets.pages.measures import Components

if TYPE_CHECKING:
    import pyarrow as pa

# Runs a statement over the SQL names of the lake's tables.
Ask: TypeAlias = Callable[[str], "pa.Table"]
# Identifiers and contacts of people stay out of files that anybody may copy.
_PRIVATE = ("identifier", "contact")
_HIDDEN = "A running number that replaces a personal value and does not follow its order."
ROWS = 200_000
"""Most rows of a source; a browser filters more too slowly."""


class TooManyRowsError(LakehouseError):
    """A source with more rows than a browser can filter quickly."""


def load(
    registry: Registry, page: Page, source: Source, ask: Ask, *, identifiers: bool = False
) -> dict[str, Any]:
    """Read a source and return it as the browser's `source`, see docs/how-to/pages.md.

    Unless `identifiers`, running numbers replace values that identify people, see
    `columns.anonymous`.

    Raises:
        TooManyRowsError: there are more than `ROWS` combinations.
        QueryError: the reader may not read it.
    """
    table = table_of(registry, page, source)
    paths = dimensions_of(registry, page, source)
    components = Components(table)
    shown = dict.fromkeys(name for v in page.visuals_of(source) for name in v.measures)
    measures = {name: measure_of(registry, page, source, name) for name in shown}
    trees = {name: components.tree(measure) for name, measure in measures.items()}
    hidden = {
        name for name, path in paths.items() if path.column.pii in _PRIVATE and not identifiers
    }
    rows = ask(_statement(source, table, paths, components))
    if rows.num_rows > ROWS:
        raise TooManyRowsError(
            f"Source {source.name} of page {page.name} has {rows.num_rows:,} combinations of "
            f"{', '.join(paths)}; a browser filters at most {ROWS:,}. Show fewer dimensions, or "
            "restrict the source with `where` or `latest`."
        )
    if not identifiers:
        counted = [
            f"component_{position}"
            for position, component in enumerate(components.found)
            if component.operation == "distinct"
        ]
        ordering = [_order(name) for name in hidden if paths[name].column.sort_by]
        rows = columns.anonymous(rows.drop_columns(ordering), {*hidden, *counted})
    found: dict[str, Any] = {
        "name": source.name,
        "table": table.full_name,
        "description": table.description,
        "rows": rows.num_rows,
        "state": table.partition.column if table.partition and source.history else None,
        "dimensions": {},
        "components": [],
        "measures": {},
    }
    for name, path in paths.items():
        label = page.label(name)
        order = rows[_order(name)] if path.column.sort_by and name not in hidden else None
        values, codes = columns.dictionary(rows[name], order)
        found["dimensions"][name] = {
            "label": f"Row ({label[:1].lower()}{label[1:]} hidden)" if name in hidden else label,
            "description": _HIDDEN if name in hidden else path.column.description,
            "unit": path.column.unit,
            "type": "number" if name in hidden else columns.type_of(rows[name].type),
            "private": name in hidden,
            "values": values,
            "codes": columns.array(codes),
        }
    for position, component in enumerate(components.found):
        column = rows[f"component_{position}"]
        if component.operation == "distinct":
            values, codes = columns.dictionary(column)
            encoded = {
                "values": columns.array(codes), "size": len(values),
                "missing": bool(values) and values[0] is None,
            }  # fmt: skip
        else:
            numbers, scale = columns.figures(column)
            encoded = {
                "values": columns.array(numbers), "scale": scale, "count": component.count,
            }  # fmt: skip
        found["components"].append({"operation": component.operation, **encoded})
    for name, measure in measures.items():
        found["measures"][name] = {
            "label": words(name), "unit": measure.unit, "description": measure.description,
            "additivity": measure.additivity, "expression": trees[name],
        }  # fmt: skip
    return found


def _statement(source: Source, table: Table, paths: dict[str, Path], components: Components) -> str:
    """Write the statement that groups a source's rows by its dimensions."""
    aliases: dict[tuple[Any, ...], str] = {}
    joins: list[str] = []
    selected = []
    for name, path in paths.items():
        alias, steps = "source", ()
        for join in path.joins:
            steps = (*steps, (join.table, join.reference))  # type: ignore[assignment]
            if steps not in aliases:
                aliases[steps] = f"joined_{len(aliases)}"
                on = " and ".join(
                    f"{alias}.{own} = {aliases[steps]}.{other}"
                    for own, other in zip(
                        join.reference.columns, join.reference.to_columns, strict=True
                    )
                )
                joins.append(
                    f"left join {_name(join.table, join.reference.to_columns)} "
                    f"as {aliases[steps]} on {on}"
                )
            alias = aliases[steps]
        selected.append(f'{alias}."{path.column.name}" as "{name}"')
        if path.column.sort_by:
            selected.append(f'{alias}."{path.column.sort_by}" as "{_order(name)}"')
    grouped = len(selected)
    values = []
    for position, component in enumerate(components.found):
        if component.operation == "distinct":
            selected.append(f"{component.sql} as component_{position}")
            grouped += 1
        else:
            values.append(f"{component.sql} as component_{position}")
    plain = (
        f"{table.full_name}_history" if source.history and table.holds_states else table.full_name
    )
    lines = [f"select {', '.join([*selected, *values])}", f"from {plain} as source"]
    lines += joins
    conditions = [f"({source.where})"] if source.where else []
    if source.latest:
        day, days = source.latest
        newest = f'(select max("{day}") from {plain} as newest)'  # noqa: S608 - declared names
        conditions.append(f'source."{day}" > {newest} - {days}')
    if conditions:
        lines.append(f"where {' and '.join(conditions)}")
    if grouped:
        lines.append(f"group by {', '.join(str(n + 1) for n in range(grouped))}")
        lines.append(f"order by {', '.join(f'{n + 1} nulls first' for n in range(grouped))}")
    return "\n".join(lines)


def _order(dimension: str) -> str:
    """Return the name of the column by which a dimension's values are sorted."""
    return f"{dimension} order"


def _name(table: Table, keys: tuple[str, ...]) -> str:
    """Return the SQL name of a referenced table: its history if the key includes the partition."""
    states = table.partition and table.holds_states and table.partition.column in keys
    return f"{table.full_name}_history" if states else table.full_name
