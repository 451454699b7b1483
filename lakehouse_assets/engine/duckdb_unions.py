"""A workaround for unions, which DuckDB may never finish when their rows are streamed.

A stream starts when its buffer is full, but DuckDB notices that only after all other pipelines of
the query have ended. Two pipelines that fill one buffer, as in a `UNION ALL` with joins, wait for
each other forever (https://github.com/duckdb/duckdb/issues/22215).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PROJECTED = re.compile(r'(SELECT (?:"[^"]+"(?:, )?)+) FROM "(\w+)"')


class Unions:
    """The views of a session that contain a union, by name."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[str, ...]] = {}

    def note(self, name: str, query: str) -> None:
        """Record a view if its query contains a union."""
        if self._held_by(query):
            self._parts[name] = ()

    def note_parts(self, name: str, parts: Mapping[str, Mapping[str, str]]) -> None:
        """Record a view that is the union of others.

        Args:
            name: The view.
            parts: The others by name, each with its columns' types.
        """
        kinds = list(parts.values())
        alike = all(list(kind.items()) == list(kinds[0].items()) for kind in kinds)
        self._parts[name] = tuple(parts) if alike else ()

    def forget(self, name: str) -> None:
        """Remove a dropped view."""
        self._parts.pop(name, None)

    def apart(self, query: str) -> Sequence[str]:
        """Return queries that together, in order, yield the rows of a query.

        A plain projection of a union is run part by part, so that nothing has to be buffered.
        """
        projected = _PROJECTED.fullmatch(query)
        parts = self._parts.get(projected[2], ()) if projected else ()
        if not projected or not parts:
            return [self.computed(query)]
        return [self.computed(f'{projected[1]} FROM "{part}"') for part in parts]

    def computed(self, query: str) -> str:
        """Return a query for the same rows that computes any union before the first row."""
        if not self._held_by(query):
            return query
        return f"WITH computed AS MATERIALIZED ({query}) SELECT * FROM computed"  # noqa: S608

    def _held_by(self, query: str) -> bool:
        return " UNION " in query or any(f'"{name}"' in query for name in self._parts)
