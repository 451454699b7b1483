"""Column lineage read off a query plan.

Not
here: how Dagster shows lineage. The walk is linear in the size of the query, so it can run on every
write.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse_assets.engine.base import SourceColumn

if TYPE_CHECKING:
    from sqlglot import exp

Origins: TypeAlias = dict[str, frozenset[SourceColumn]]


class Relations(Mapping[str, Origins]):
    """What is known of the columns of relations, by name.

    Most relations that a query makes are for checks and counts, and nobody asks where their columns
    come from: it is found out when somebody does.
    """

    def __init__(self) -> None:
        self._found: dict[str, Origins] = {}
        self._made_by: dict[str, str] = {}

    def know(self, name: str, origins: Origins) -> None:
        """Note where a relation's columns come from."""
        self._found[name] = origins

    def made_by(self, name: str, query: str) -> None:
        """Note that a query over relations noted before makes a relation."""
        self._made_by[name] = query

    def forget(self, name: str) -> None:
        """Forget a relation that is no more."""
        self._found.pop(name, None)
        self._made_by.pop(name, None)

    def __getitem__(self, name: str) -> Origins:
        """Return where a relation's columns come from."""
        if name not in self._found:
            self._found[name] = columns_of_query(self._made_by[name], self)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        """Say whether a relation is known, without finding out more."""
        return name in self._found or name in self._made_by

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter({**self._found, **self._made_by})

    def __len__(self) -> int:
        """Count the relations."""
        return len({**self._found, **self._made_by})


def columns_of_query(query: str, tables: Mapping[str, Origins]) -> Origins:
    """Say, for each column of a query, which stored columns it is computed from.

    Args:
        query: SQL as the embedded engine runs it: a chain of common table expressions.
        tables: What is known of the relations the query starts from, by name.

    Returns:
        Output column to the stored columns its expression uses; the keys of a window, by which it
        divides and orders rows, are part of it. Columns that only filter, join or sort rows do not
        count, nor do constants.
    """
    scope: ChainMap[str, Origins] = ChainMap({}, tables)  # type: ignore[arg-type]  # only read
    tree = _parse(query)
    for cte in tree.ctes:
        scope[cte.alias] = _relation(cte.this, scope)
    return _relation(tree, scope)


@lru_cache(maxsize=256)
def _parse(query: str) -> exp.Query:
    import sqlglot

    return sqlglot.parse_one(query, read="duckdb")  # type: ignore[return-value]  # plans are queries


def _relation(node: Any, scope: Mapping[str, Origins]) -> Origins:
    from sqlglot import exp

    if isinstance(node, exp.SetOperation):
        left, right = _relation(node.left, scope), _relation(node.right, scope)
        return {
            name: origins | other
            for (name, origins), other in zip(left.items(), right.values(), strict=True)
        }
    if isinstance(node, exp.Subquery):
        return _relation(node.this, scope)
    sources: dict[str, Origins] = {}
    joins = node.args.get("joins") or []
    start = node.args.get("from_") or node.args.get("from")
    for source in ([start.this] if start else []) + [join.this for join in joins]:
        if isinstance(source, exp.Subquery):
            sources[source.alias_or_name] = _relation(source.this, scope)
        else:
            sources[source.alias_or_name] = scope.get(source.name, {})
    result: Origins = {}
    for projection in node.expressions:
        found: frozenset[SourceColumn] = frozenset()
        for column in projection.find_all(exp.Column):
            found |= _column(column, sources)
        result[projection.alias_or_name] = found
    return result


def _column(column: exp.Column, sources: Mapping[str, Origins]) -> frozenset[SourceColumn]:
    if column.table:
        return sources.get(column.table, {}).get(column.name, frozenset())
    for origins in sources.values():
        if column.name in origins:
            return origins[column.name]
    return frozenset()
