"""Checks a statement before it runs, and restricts it to the rows and columns of a role."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.engine.duckdb_sql import identifier
from lakehouse_assets.errors import QueryError, did_you_mean
from lakehouse_assets.lake.views import View
from lakehouse_assets.query.functions import FUNCTIONS, INSTEAD, TABLE_FUNCTIONS
from lakehouse_assets.query.policy import HASH_MACRO, masked

if TYPE_CHECKING:
    import duckdb

_ONE_SELECT = "Only one SELECT (also WITH, VALUES, UNION and so on) is allowed here"
_TOO_DEEP = "The statement is nested too deeply; split it into steps."
# Parts of a SELECT in DuckDB's parser. All others, including future ones, are refused.
_EXPRESSIONS = frozenset(
    {
        "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT",
        "DEFAULT", "FUNCTION", "LAMBDA", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR",
        "SUBQUERY", "WINDOW",
    }
)  # fmt: skip
_NODES = frozenset(
    {
        "BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SHOW_REF", "SUBQUERY",
        "TABLE_FUNCTION", "SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE",
        "DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER",
        "ASCENDING", "DESCENDING", "ORDER_DEFAULT",
    }
)  # fmt: skip
# A filter of the statement must not run before that of the role: its errors show values.
_BARRIER = f" LIMIT {2**63 - 1}"


class Guarded(NamedTuple):
    """A statement that may run.

    Attributes:
        sql: Its text, with each table replaced by the rows and columns that the role may read.
        names: The known names of tables that it reads.
        columns: Names of the columns that it may need, in lower case; None for all of them.
    """

    sql: str
    names: tuple[str, ...]
    columns: frozenset[str] | None


def guard(text: str, access: Access | None, known: Mapping[str, View | str | None]) -> Guarded:
    """Check that a statement reads only tables that the role may read, and rewrite it.

    DuckDB's own parser reads the statement, so that the check and the engine agree on its meaning.
    It must be one SELECT over known tables and its own WITH queries, with listed functions. In the
    result, each table is a subquery with the role's rows and masked columns.

    Args:
        text: The statement, in DuckDB's dialect.
        access: The role; None is the owner, who reads tables as they are stored.
        known: Tables by lower-case SQL name: a view of the lake; the text of a user's view, which
            is read with the rights of the role; None for what only the owner may read.

    Raises:
        QueryError: the statement is refused.
    """
    try:
        statement = _parse(text)
        checked = _Check(access, known)
        checked.visit(statement, frozenset())
        columns = checked.columns()
        if checked.replace(columns):
            text = _text(statement)
            _compare(statement, _parse(text))
    except RecursionError:
        raise QueryError(_TOO_DEEP) from None
    return Guarded(text, tuple(sorted(checked.names)), columns)


@dataclass
class _Check:
    """Walks through the tree of a statement, checks it and replaces its tables."""

    _access: Access | None
    _known: Mapping[str, View | str | None]
    _found: list[tuple[dict[str, Any], View]] = field(default_factory=list)
    _expanding: list[str] = field(default_factory=list)
    _expanded: bool = False
    _mentioned: set[str] = field(default_factory=set)
    _bare: set[str] = field(default_factory=set)
    _aliases: set[str] = field(default_factory=set)
    _every_column: bool = False
    names: set[str] = field(default_factory=set)

    def columns(self) -> frozenset[str] | None:
        """Return the names of the columns that the statement mentions; None for all columns."""
        # The alias of a table, where a column could be, means a whole row.
        if self._every_column or self._bare & self._aliases:
            return None
        return frozenset(self._mentioned)

    def replace(self, columns: frozenset[str] | None) -> bool:
        """Replace tables by the role's rows and columns; return whether the tree has changed."""
        if self._access is not None:
            for node, view in self._found:
                parts = (node["catalog_name"], node["schema_name"], node["table_name"])
                source = ".".join(identifier(part) for part in parts if part)
                rows = masked(self._access, view, source, columns)
                filtered = self._access.tables[view.table].rows is not None
                _to_subquery(node, _parse(rows + _BARRIER if filtered else rows))
        return self._expanded or self._access is not None

    def visit(self, part: Any, common: frozenset[str]) -> None:
        """Check a part of the tree.

        Args:
            part: The part.
            common: Names of the WITH queries that it can read.
        """
        if isinstance(part, list):
            for item in part:
                self.visit(item, common)
        elif isinstance(part, dict) and "class" in part:
            self._expression(part)
            if part["class"] != "CONSTANT":
                self._inside(part, common)
        elif isinstance(part, dict):
            kind = part.get("type")
            if isinstance(kind, str) and kind not in _NODES:
                raise _refused(f"{_ONE_SELECT}, without a {kind.lower()}.")
            if kind == "BASE_TABLE":
                self._table(part, common)
                return
            if kind == "SHOW_REF" and not part.get("query"):
                raise _refused(f"{_ONE_SELECT}, or DESCRIBE and SUMMARIZE of one.")
            if kind == "TABLE_FUNCTION":
                _allow(part["function"], TABLE_FUNCTIONS)
                self.visit(part["function"]["children"], common)
                return
            if kind in ("PIVOT", "SHOW_REF") or part.get("ref_type") == "NATURAL":
                self._every_column = True
            self._mentioned |= {_fold(name) for name in part.get("using_columns", ())}
            self._inside(part, common)

    def _inside(self, node: dict[str, Any], common: frozenset[str]) -> None:
        # A WITH query reads those before it, and itself in the second half of a recursive one.
        for entry in node.get("cte_map", {}).get("map", ()):
            self.visit(entry["value"], common)
            common |= {_fold(entry["key"])}
        for key, part in node.items():
            recursive = key == "right" and node.get("type") == "RECURSIVE_CTE_NODE"
            if key not in ("cast_type", "cte_map"):
                self.visit(part, common | {_fold(node["cte_name"])} if recursive else common)

    def _expression(self, node: dict[str, Any]) -> None:
        kind = node["class"]
        if kind not in _EXPRESSIONS:
            raise _refused(f"{_ONE_SELECT}, without a {kind.lower()}.")
        if kind in ("FUNCTION", "WINDOW"):
            _allow(node, FUNCTIONS)
        elif kind == "STAR":
            self._every_column = True
        elif kind == "COLUMN_REF":
            parts = node["column_names"]
            if len(parts) > 1 and _fold(".".join(parts[:2])) in self._known:
                # The subquery that replaces the table has its name only.
                del parts[: self._access is not None]
            self._mentioned |= {_fold(part) for part in parts}
            self._bare |= {_fold(part) for part in parts if len(parts) == 1}

    def _table(self, node: dict[str, Any], common: frozenset[str]) -> None:
        parts = [node[key] for key in ("catalog_name", "schema_name", "table_name") if node[key]]
        written = ".".join(parts)
        name = _fold(written)
        self._aliases.add(_fold(node["alias"] or parts[-1]))
        self._every_column |= bool(node["column_name_alias"])
        if len(parts) == 1 and name in common:
            return
        if name not in self._known or any("." in part for part in parts) or node["at_clause"]:
            allowed = (name for name, of in self._known.items() if self._reads(of))
            close = did_you_mean(written, allowed) or "."
            raise QueryError(
                f'No table is called {written}{close} "show tables" lists all tables.',
                table=written,
                sqlstate="42P01",
            )
        found = self._known[name]
        if isinstance(found, str):
            self._expand(node, name, found)
            return
        if not self._reads(found):
            role = self._access.name if self._access else ""
            raise _refused(f"The role {role} may not read {written}.")
        self.names.add(name)
        if found is not None:
            self._found.append((node, found))

    def _reads(self, found: View | str | None) -> bool:
        if self._access is None or isinstance(found, str):
            return True
        return found is not None and found.table in self._access.tables

    def _expand(self, node: dict[str, Any], name: str, text: str) -> None:
        """Replace a user's view by its text."""
        if name in self._expanding:
            raise QueryError(f"The view {name} reads itself; replace or drop it.")
        self._expanded = True
        statement = _parse(text)
        self._expanding.append(name)
        self.visit(statement, frozenset())
        self._expanding.pop()
        _to_subquery(node, statement)


def _refused(message: str) -> QueryError:
    """Return the error of a statement that is not allowed."""
    return QueryError(message, sqlstate="42501")


def _to_subquery(node: dict[str, Any], statement: dict[str, Any]) -> None:
    """Turn a table of a tree into a subquery of the same name."""
    node |= {
        "type": "SUBQUERY",
        "alias": node["alias"] or node["table_name"],
        "subquery": {**statement, "named_param_map": []},
    }
    for key in ("catalog_name", "schema_name", "table_name", "at_clause"):
        del node[key]


def _allow(function: dict[str, Any], allowed: frozenset[str]) -> None:
    name = _fold(function["function_name"])
    if name not in allowed or function.get("schema") not in ("", "main") or function.get("catalog"):
        instead = f"; use {INSTEAD[name]}" if name in INSTEAD else ""
        raise _refused(f"The function {function['function_name']} is not allowed here{instead}.")


def _fold(name: str) -> str:
    """Return a name in lower case as DuckDB compares names: only ASCII letters have cases."""
    return name.encode().lower().decode()


def _compare(meant: Any, read: Any) -> None:
    """Check that a tree's text reads the same tables as the checked tree.

    Raises:
        QueryError: it reads others, which were not checked.
    """
    tables, functions = _reads_of(meant)
    tables_read, functions_read = _reads_of(read)
    if tables != tables_read or not functions_read <= functions | FUNCTIONS | {HASH_MACRO}:
        raise QueryError("The statement is too complex to check; simplify it.")


def _reads_of(tree: Any) -> tuple[Counter[tuple[str, ...]], set[str]]:
    """Return the tables of a tree, and the functions that it calls."""
    tables: Counter[tuple[str, ...]] = Counter()
    functions = set()
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.get("type") == "BASE_TABLE":
                tables[part["catalog_name"], part["schema_name"], part["table_name"]] += 1
            if "function_name" in part:
                functions.add(_fold(part["function_name"]))
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return tables, functions


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """Return the connection whose cursors parse statements."""
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})


def _parse(text: str) -> dict[str, Any]:
    """Return the tree of a SELECT.

    Raises:
        QueryError: the text is not exactly one SELECT.
    """
    parsed = json.loads(_of_parser("SELECT json_serialize_sql(CAST(? AS VARCHAR))", text))
    if parsed["error"] and parsed["error_type"] == "parser":
        said = str(parsed["error_message"]).partition("\n")[0].rstrip(".")
        deep = said.startswith("Max expression depth")
        said = _TOO_DEEP if deep else f"The query does not run: {said}."
        raise QueryError(said, sqlstate="42601")
    if not parsed["error"] and not parsed["statements"]:
        raise QueryError('The statement is empty; write one, such as "show tables".')
    if parsed["error"] or len(parsed["statements"]) != 1:
        raise _refused(f"{_ONE_SELECT}.")
    statement: dict[str, Any] = parsed["statements"][0]
    return statement


def _text(statement: dict[str, Any]) -> str:
    """Return the text of a tree."""
    tree = json.dumps({"error": False, "statements": [statement]})
    return _of_parser("SELECT json_deserialize_sql(CAST(? AS JSON))", tree)


def _of_parser(query: str, text: str) -> str:
    import duckdb

    try:
        found = _parser().cursor().execute(query, [text]).fetchone()
    except duckdb.Error:
        raise QueryError(_TOO_DEEP) from None
    return str(found[0]) if found else ""
