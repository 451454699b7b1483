"""Column lineage derived from a query, in linear time, so that it can run on every write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse_assets.engine.base import SourceColumn

if TYPE_CHECKING:
    from sqlglot import exp

Origins: TypeAlias = dict[str, frozenset[SourceColumn]]


@dataclass
class Relation:
    """A table or view that queries read.

    Attributes:
        origins: Stored columns that its columns come from, or the query that computes them. Most
            are made for checks and counts, whose lineage is never requested, so a query is parsed
            on demand.
        versions: Delta versions that it reads, by table name.
        kind: `TABLE` or `VIEW`.
        types: Types of its columns, if they are known.
    """

    origins: Origins | str
    versions: Mapping[str, int]
    kind: str
    types: Mapping[str, str] | None = None


Relations: TypeAlias = Mapping[str, Relation]


def columns_of_query(query: str, relations: Relations) -> Origins:
    """Return, for each column of a query, the stored columns that it is computed from.

    Args:
        query: SQL as the embedded engine runs it: a chain of common table expressions.
        relations: The relations that the query reads, by name; their origins are cached there.

    Returns:
        Output column to the stored columns that its expression uses, including the partition and
        order keys of windows. Columns that only filter, join or sort rows do not count, nor do
        constants.
    """
    return _relation(_parse(query), {}, relations)


@lru_cache(maxsize=256)
def _parse(query: str) -> exp.Query:
    import sqlglot

    return sqlglot.parse_one(query, read="duckdb")  # type: ignore[return-value]  # plans are queries


def _relation(node: Any, outer: dict[str, Origins], relations: Relations) -> Origins:
    from sqlglot import exp

    parts = dict(outer)
    for cte in node.ctes:
        parts[cte.alias] = _relation(cte.this, parts, relations)
    if isinstance(node, exp.SetOperation):
        left, right = (_relation(side, parts, relations) for side in (node.left, node.right))
        return {
            name: origins | other
            for (name, origins), other in zip(left.items(), right.values(), strict=True)
        }
    if isinstance(node, exp.Subquery):
        return _relation(node.this, parts, relations)
    sources: dict[str, Origins] = {}
    joins = node.args.get("joins") or []
    start = node.args.get("from_") or node.args.get("from")
    for source in ([start.this] if start else []) + [join.this for join in joins]:
        if isinstance(source, exp.Subquery):
            found = _relation(source.this, parts, relations)
        else:
            found = parts.get(source.name) or _known(source.name, relations)
        sources[source.alias_or_name] = found
    return {
        projection.alias_or_name: frozenset[SourceColumn]().union(
            *(_column(column, sources) for column in projection.find_all(exp.Column))
        )
        for projection in node.expressions
    }


def _known(name: str, relations: Relations) -> Origins:
    relation = relations.get(name)
    if relation is None:
        return {}
    if isinstance(relation.origins, str):
        relation.origins = columns_of_query(relation.origins, relations)
    return relation.origins


def _column(column: exp.Column, sources: dict[str, Origins]) -> frozenset[SourceColumn]:
    if column.table:
        return sources.get(column.table, {}).get(column.name, frozenset())
    for origins in sources.values():
        if column.name in origins:
            return origins[column.name]
    return frozenset()
