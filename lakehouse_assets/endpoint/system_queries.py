"""Recognises statements on system tables, and translates them from PostgreSQL to DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse_assets.endpoint.sqlstate import SqlError
from lakehouse_assets.endpoint.system_tables import local_name

_SCHEMAS: Final = ("pg_catalog", "information_schema")
# Functions for a cast of a text, and of a number, to a type of names.
_NAMED_TYPES: Final = {
    "regclass": ("relation_number", "relation_name"),
    "regtype": ("type_number", "type_name"),
    "regproc": ("function_number", "function_name"),
    "regnamespace": ("namespace_number", "namespace_name"),
    "regrole": ("role_number", "role_name"),
}
_PLAIN_TYPES: Final = {
    "oid": "UINTEGER", "xid": "UINTEGER", "name": "TEXT", "char": "TEXT", "text": "TEXT",
    "varchar": "TEXT", "int2": "SMALLINT", "int4": "INT", "int8": "BIGINT", "bool": "BOOLEAN",
    "regclass": "UINTEGER", "sql_identifier": "TEXT", "character_data": "TEXT", "yes_or_no": "TEXT",
    "cardinal_number": "INT", "float4": "FLOAT", "float8": "DOUBLE", "any": "TEXT",
}  # fmt: skip
# Returns no rows, because no table is a partition of another.
_ANCESTORS: Final = "pg_partition_ancestors"
# Functions that return rows without reading a table.
_ROWS: Final = frozenset(
    {
        "generate_series",
        "exploding_generate_series",
        "unnest",
        "pg_get_keywords",
        "generate_subscripts",
        "_pg_expandarray",
        _ANCESTORS,
    }
)
# Columns of type int2vector or oidvector, which PostgreSQL writes as `1 2` instead of `{1,2}` and
# indexes from 0.
VECTORS: Final = frozenset(
    {"indkey", "indclass", "indcollation", "indoption", "partattrs", "proargtypes", "tgattr"}
)
_RENAMED: Final = {"json_build_object": "json_object"}
# Functions about the session that sqlglot parses to nodes of their own.
_FACTS: Final[dict[type[exp.Expr], str]] = {
    exp.CurrentUser: "current_user",
    exp.CurrentSchema: "current_schema",
    exp.CurrentDatabase: "current_database",
    exp.CurrentCatalog: "current_database",
    exp.SessionUser: "session_user",
    exp.CurrentRole: "current_user",
    exp.CurrentVersion: "version",
}
_TITLES: Final[dict[type[exp.Expr], str]] = {exp.CurrentTimestamp: "now"}


Facts = Mapping[str, Callable[..., str | int | list[str] | None]]


def system_query(text: str, names: Mapping[str, int], facts: Facts) -> str | None:
    """Translate a statement on system tables to DuckDB's SQL; None for any other statement.

    A SELECT without tables counts as one: clients ask for versions, settings and constants so.

    Args:
        text: The statement, in PostgreSQL's SQL.
        names: Numbers of all system tables, by `main.<table>` and `info.<table>`.
        facts: Functions about the session by name, such as `current_user` and `current_setting`;
            they are called with constant arguments.

    Raises:
        SqlError: the statement reads system tables and tables of the lake.
    """
    try:
        trees = sqlglot.parse(text, dialect="postgres")
    except (SqlglotError, RecursionError):
        return None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        return None
    tree = trees[0]
    tables = [table for table in tree.find_all(exp.Table) if not _of_statement(table, tree)]
    local = {id(table): _local(table, names) for table in tables}
    if not all(local.values()):
        if any(local.values()) and any(table.db.lower() in _SCHEMAS for table in tables):
            raise SqlError(
                "0A000",
                "A statement cannot read both system tables and tables of the lake; write two.",
            )
        return None
    numbers: dict[str, int] = {}
    for table in tables:
        where = local[id(table)]
        if isinstance(table.this, exp.Func):
            _name_column(table)
        elif where and isinstance(table.this, exp.Identifier):
            schema, name = where.split(".")
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name))
            table.set("catalog", None)
            table.set("db", exp.to_identifier(schema))
            table.set("this", exp.to_identifier(name, quoted=True))
            table.set("alias", alias)
            numbers[alias.name.lower()] = names[where]
    if isinstance(tree, exp.Select):
        _name_columns(tree)
    # From the leaves up, so that a new node contains the new parts.
    for node in reversed(list(tree.walk())):
        if isinstance(node, exp.Column) and node.args.get("db"):
            # `pg_catalog.pg_class.oid`: each table has its name as its alias.
            node.set("db", None)
            node.set("catalog", None)
        if isinstance(node, exp.Column) and node.name.lower() == "tableoid":
            new: exp.Expr = exp.convert(numbers.get(node.table.lower(), 0))
        else:
            new = _rewritten(node, facts)
        if new is not node:
            node.replace(new)
    return tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE)


def _of_statement(table: exp.Table, tree: exp.Expr) -> bool:
    """Whether a name is that of a WITH query."""
    return not table.db and any(
        cte.alias.lower() == table.name.lower() for cte in tree.find_all(exp.CTE)
    )


def _local(table: exp.Table, names: Mapping[str, int]) -> str | None:
    """Return the local name of a system table; None for any other table."""
    inner = table.this
    if isinstance(inner, exp.Dot):
        inner = inner.expression
    if isinstance(inner, exp.Explode):
        return "unnest"
    if isinstance(inner, exp.Func):
        return inner.sql_name().lower() if _function_name(inner) in _ROWS else None
    schema = table.db.lower() or "pg_catalog"
    place = local_name(schema, table.name.lower())
    return place if schema in _SCHEMAS and place in names else None


def _name_column(table: exp.Table) -> None:
    """Name the column of a function in FROM as PostgreSQL does: after the function."""
    alias = table.args.get("alias")
    if alias and not alias.columns:
        alias.set("columns", [exp.to_identifier(alias.name)])
    table.set("db", None)
    if _function_name(table.this) == _ANCESTORS:
        none = sqlglot.parse_one("SELECT NULL, NULL WHERE FALSE", into=exp.Select)
        table.replace(exp.Subquery(this=none, alias=alias))
    elif isinstance(table.this, exp.Explode):
        table.replace(exp.Unnest(expressions=[table.this.this], alias=alias))


def _function_name(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""


def _name_columns(tree: exp.Select) -> None:
    """Name columns of functions and casts as PostgreSQL does."""
    for projection in tree.expressions:
        inner = projection.unalias()
        if isinstance(inner, exp.Column) and inner.name.lower() in VECTORS:
            text = exp.func("array_to_string", inner.copy(), exp.Literal.string(" "))
            projection.replace(exp.alias_(text, projection.alias_or_name, quoted=True))
            continue
        inner = projection
        while isinstance(inner, exp.Cast):
            inner = inner.this
        if isinstance(inner, exp.Dot):
            inner = inner.expression
        name = _FACTS.get(type(inner)) or (
            _function_name(inner)
            if isinstance(inner, (exp.Anonymous, exp.AggFunc))
            else _TITLES.get(type(inner), "")
        )
        if not name and inner is not projection and isinstance(inner, exp.Column):
            name = inner.name
        if name or isinstance(inner, exp.Literal):
            projection.replace(exp.alias_(projection.copy(), name or "?column?", quoted=True))


def _rewritten(node: exp.Expr, facts: Facts) -> exp.Expr:
    """Translate a node; one that DuckDB reads alike is returned itself."""
    kept: exp.Expr
    if isinstance(node, exp.Dot) and node.this.name.lower() in _SCHEMAS:
        kept = node.expression
        return kept
    if isinstance(node, exp.Operator):
        return _operator(node)
    if isinstance(node, exp.Collate):
        kept = node.this
        return kept
    if isinstance(node, exp.Cast):
        return _cast(node)
    if isinstance(node, exp.Bracket) and node.this.name.lower() in VECTORS:
        places = [exp.paren(place.copy()) + 1 for place in node.expressions]
        return exp.Bracket(this=node.this.copy(), expressions=places, offset=1)
    name = _FACTS.get(type(node)) or _function_name(node)
    if name in _RENAMED:
        return exp.Anonymous(this=_RENAMED[name], expressions=node.expressions)
    if name in facts:
        arguments = (
            [node.this] if node.args.get("this") and not isinstance(node, exp.Anonymous) else []
        )
        arguments += node.expressions
        values = [a.this if isinstance(a, exp.Literal) else a.name for a in arguments]
        value = facts[name](*values)
        return exp.convert(value)
    return node


def _operator(node: exp.Operator) -> exp.Expr:
    sign = str(node.args["operator"]).rpartition(".")[2].strip(") ")
    found: dict[str, type[exp.Binary]] = {
        "~": exp.RegexpLike, "=": exp.EQ, "<>": exp.NEQ, "~~": exp.Like,
    }  # fmt: skip
    if sign.lstrip("!") not in found:
        raise SqlError("0A000", f"The operator {sign} is not supported on system tables.")
    kind = found[sign.lstrip("!")]
    new = kind(this=node.this, expression=node.expression)
    return exp.Not(this=exp.paren(new)) if sign.startswith("!") else new


def _cast(node: exp.Cast) -> exp.Expr:
    kind = node.to
    name = kind.sql(dialect="postgres").lower().rpartition(".")[2].strip('"')
    array = name.endswith("[]")
    name = name.removesuffix("[]")
    if name in _NAMED_TYPES and not array:
        of_text, of_number = _NAMED_TYPES[name]
        literal = isinstance(node.this, exp.Literal) and node.this.is_string
        return exp.func(of_text if literal else of_number, node.this)
    if name in _PLAIN_TYPES:
        target = f"{_PLAIN_TYPES[name]}[]" if array else _PLAIN_TYPES[name]
        return exp.cast(node.this, target, dialect="duckdb")
    return node
