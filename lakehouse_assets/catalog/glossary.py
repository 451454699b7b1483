"""Declares a term of the glossary: its meaning, and the columns and measures it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lakehouse_assets.catalog.registry import Column, Measure, Table


@dataclass(frozen=True)
class Term:
    """A term of the glossary.

    Columns and measures are named `<table>.<name>`, or by the bare name for all of the domain's
    tables and views above silver that have one.

    Attributes:
        name: The term, as people say it.
        definition: What it means, how it is counted, and what it is not, in sentences.
        steward: Who decides what it means, as `team:<name>` or an e-mail address; by default the
            domain's owner.
        synonyms: Other words for it, which search finds too.
        columns: Columns whose values it names.
        measures: Measures whose results it names.
        related: Other terms that explain it.
    """

    name: str
    definition: str
    steward: str | None = None
    synonyms: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    related: tuple[str, ...] = ()

    def columns_of(self, tables: Iterable[Table]) -> Iterator[tuple[Table, Column]]:
        """Yield the columns that it is bound to, among the tables of its domain."""
        for table in tables:
            for column in table.columns:
                if self._names(self.columns, table, column.name):
                    yield table, column

    def measures_of(self, tables: Iterable[Table]) -> Iterator[tuple[Table, Measure]]:
        """Yield the measures that it is bound to, among the tables of its domain."""
        for table in tables:
            for measure in table.measures:
                if self._names(self.measures, table, measure.name):
                    yield table, measure

    def _names(self, bound: tuple[str, ...], table: Table, name: str) -> bool:
        everywhere = name in bound and table.layer in {"gold", "segments"}
        return everywhere or f"{table.name}.{name}" in bound
