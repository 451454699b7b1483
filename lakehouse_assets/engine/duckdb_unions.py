"""Unions, which DuckDB does not always get to the end of where their rows are streamed.

A stream begins when its buffer is full, but DuckDB sees that only once all other pipelines of the
query have ended. Two pipelines that fill one buffer, as those of `UNION ALL` do where joins are in
it, wait for each other for ever (https://github.com/duckdb/duckdb/issues/22215).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PROJECTED = re.compile(r'(SELECT (?:"[^"]+"(?:, )?)+) FROM "(\w+)"')


class Unions:
    """The views of a session that hold a union, by name."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[str, ...]] = {}

    def note(self, name: str, query: str) -> None:
        """Remember a view if its query holds a union."""
        if self._held_by(query):
            self._parts[name] = ()

    def note_parts(self, name: str, parts: Mapping[str, Mapping[str, str]]) -> None:
        """Remember a view that is the union of others.

        Args:
            name: The view.
            parts: The others by name, each with its columns' types.
        """
        kinds = list(parts.values())
        alike = all(list(kind.items()) == list(kinds[0].items()) for kind in kinds)
        self._parts[name] = tuple(parts) if alike else ()

    def forget(self, name: str) -> None:
        """Forget a view that is dropped."""
        self._parts.pop(name, None)

    def apart(self, query: str) -> Sequence[str]:
        """Return queries whose rows, one after the other, are those of a query.

        A union that is only projected is asked for part by part, so that nothing has to be kept.
        """
        projected = _PROJECTED.fullmatch(query)
        parts = self._parts.get(projected[2], ()) if projected else ()
        if not projected or not parts:
            return [self.computed(query)]
        return [self.computed(f'{projected[1]} FROM "{part}"') for part in parts]

    def computed(self, query: str) -> str:
        """Return the query of the same rows that computes a union before it gives the first row."""
        if not self._held_by(query):
            return query
        return f"WITH computed AS MATERIALIZED ({query}) SELECT * FROM computed"  # noqa: S608

    def _held_by(self, query: str) -> bool:
        return " UNION " in query or any(f'"{name}"' in query for name in self._parts)
