"""Derives a domain's semantic model from the registry: tables, columns, relations and measures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import TypeAlias

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.pages import Page, Source, has_dimension, resolve, table_of, words
from lakehouse_assets.catalog.registry import Column, Measure, Reference, Registry, Table
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.powerbi.dax import (
    UntranslatableError,
    column_name,
    filter_to_dax,
    measure_to_dax,
)

LAYERS = ("gold", "segments")
Synonyms: TypeAlias = Mapping[tuple[Table, str], tuple[str, ...]]
_INTEGERS = ("int", "bigint")
# Units of numbers that are names, which have no meaningful sum.
_NAMES = frozenset({"id", "code", "year", "month", "day", "quarter", "weekday", "week", "rank",
                    "hour"})  # fmt: skip
_AVERAGED = frozenset({"share", "percent", "score", "years", "days", "hours", "minutes", "months",
                       "degrees Fahrenheit", "degrees", "ratio or index"})  # fmt: skip
_CURRENCIES = {"US dollars": r"\$"}
_PLACES = {
    "city": "City", "country": "Country", "country_code": "Country", "country_name": "Country",
    "province": "StateOrProvince", "latitude": "Latitude", "longitude": "Longitude",
    "place_name": "Place",
}  # fmt: skip
_FOLDERS = {
    "identifier": "Identity", "contact": "Identity", "demographic": "Demographics",
    "location": "Location",
}  # fmt: skip


@dataclass(frozen=True)
class ModelColumn:
    """A column of a model's table.

    Attributes:
        column: Its declaration.
        hidden: Whether it is hidden from report authors: keys of relations and technical columns.
        data_type: Type in the model: `string`, `int64`, `double`, `decimal` (four decimals),
            `dateTime` or `boolean`.
        format: Format of its values, or None.
        summarize: Default aggregation in visuals: `none`, `sum` or `average`.
        folder: Display folder, or None.
        category: Data category, such as `City`, or None.
        synonyms: Other words for it, from the glossary.
    """

    column: Column
    hidden: bool
    data_type: str
    format: str | None
    summarize: str
    folder: str | None
    category: str | None
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class ModelMeasure:
    """A measure of a model's table.

    Attributes:
        name: Its name in the model.
        measure: Its declaration.
        where: SQL condition on the rows that count; None for all of them.
        dax: Its expression.
        format: Format of its values.
        folder: Display folder.
        synonyms: Other words for it, from the glossary.
    """

    name: str
    measure: Measure
    where: str | None
    dax: str
    format: str
    folder: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class ModelTable:
    """A table of a model.

    Attributes:
        name: Its name in the model.
        table: Its declaration.
        history: Whether it has every partition of a table whose plain name means the latest one.
        columns: Its columns, in order.
        measures: Its measures.
    """

    name: str
    table: Table
    history: bool
    columns: tuple[ModelColumn, ...]
    measures: tuple[ModelMeasure, ...]

    @property
    def latest_only(self) -> bool:
        """Whether only the latest partition of the stored table is in the model."""
        return self.table.holds_states and not self.history

    @property
    def dates(self) -> bool:
        """Whether it is the date table."""
        return _is_calendar(self.table)


@dataclass(frozen=True)
class Relation:
    """A many-to-one relation, which filters from the one side to the many side.

    It is inactive if it would be a second path between two tables.
    """

    table: str
    column: str
    to_table: str
    to_column: str
    active: bool


@dataclass(frozen=True)
class SharedTable:
    """The values of a dimension that several tables have in columns of their own.

    The tables are related to it, so that one slicer filters them all.

    Attributes:
        name: Name of the table and of its column.
        dimension: The dimension of pages.
        data_type: Type of the column.
        columns: Tables and columns with the values.
    """

    name: str
    dimension: str
    data_type: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ModelRole:
    """A role of a model.

    Attributes:
        name: Its name.
        description: Its description.
        filters: DAX conditions on the visible rows, by table; other tables have none.
        closed: Hidden columns by table.
    """

    name: str
    description: str
    filters: Mapping[str, str]
    closed: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Model:
    """A semantic model.

    Attributes:
        name: Its name.
        domain: The domain that it is about.
        tables: Its tables.
        relations: Its relations.
        shared: Values of dimensions that several tables have.
        roles: Roles that viewers of its reports may have.
        left_out: Declared tables, relations and measures that the model lacks, with the reasons.
    """

    name: str
    domain: str
    tables: tuple[ModelTable, ...]
    relations: tuple[Relation, ...]
    shared: tuple[SharedTable, ...] = ()
    roles: tuple[ModelRole, ...] = ()
    left_out: tuple[str, ...] = ()

    def find(self, table: Table, *, history: bool = False) -> ModelTable | None:
        """Return the model's table of a declaration, or None."""
        wanted = history and table.holds_states
        return next((t for t in self.tables if t.table == table and t.history == wanted), None)

    def follows(self, table: ModelTable, columns: Collection[str], to: ModelTable) -> bool:
        """Whether one of the columns has an active relation to another table."""
        return any(
            r.active and r.table == table.name and r.column in columns and r.to_table == to.name
            for r in self.relations
        )

    def reached(self, table: str) -> set[str]:
        """Return the tables to which active relations lead, directly or not."""
        return _reached(self.relations, table)

    def shared_column(self, dimension: str, table: str, column: str) -> SharedTable | None:
        """Return the shared values of a dimension to which a column has an active relation."""
        for shared in self.shared:
            if shared.dimension == dimension and any(
                r.active and (r.table, r.column, r.to_table) == (table, column, shared.name)
                for r in self.relations
            ):
                return shared
        return None


def _reached(relations: Iterable[Relation], table: str) -> set[str]:
    found = {r.to_table for r in relations if r.active and r.table == table}
    return found.union(*(_reached(relations, name) for name in found))


def table_on(registry: Registry, page: Page, source: Source) -> Table | None:
    """Return the table of a page's source; None if the registry does not have it."""
    try:
        return table_of(registry, page, source)
    except LakehouseError:
        return None


def model_of(
    registry: Registry,
    domain: str,
    *,
    computed: bool = False,
    pages: Iterable[Page] = (),
    roles: Iterable[Access] = (),
    synonyms: Synonyms = MappingProxyType({}),
) -> Model:
    """Return the model of a domain: its gold tables, and all tables that they refer to.

    Args:
        registry: All tables.
        domain: The domain.
        computed: Whether the source has tables that SQL computes when they are read.
        pages: Pages that the model serves: it has their histories, measures with the conditions of
            their sources, and their relations are active if possible.
        roles: Roles of the lake; the model has those that may read a table of the domain.
        synonyms: Synonyms of columns and measures, by table and name.
    """
    own = [t for t in registry if t.domain == domain and t.layer in LAYERS]
    left_out: list[str] = []
    for view in registry.views:
        if view.table.domain == domain and computed:
            own.append(view.table)
        elif view.table.domain == domain:
            left_out.append(f"table {view.table.full_name}: it is a view; --source sql includes it")
    wanted = [
        (page, source, table)
        for page in pages for source in page.sources
        if (table := table_on(registry, page, source)) is not None
    ]  # fmt: skip
    histories = {table for _, source, table in wanted if source.history and table.holds_states}
    found = list(_with_referenced(registry, own))
    counts = Counter(table.name.lower() for table in found)
    named = {
        (table, history): (table.name if counts[table.name.lower()] == 1 else table.full_name)
        + "_history" * history
        for table in found for history in (False, True)[: 1 + (table in histories)]
    }  # fmt: skip
    relations = _activated(_relations(registry, named, _steps(registry, wanted), left_out))
    shared = _shared(registry, named, wanted, relations)
    relations = _activated(
        [
            *relations,
            *(Relation(t, c, one.name, one.name, True) for one in shared for t, c in one.columns),
        ]
    )
    relations.sort(key=lambda r: (r.table, r.column, r.to_table))
    measures = _measures(named, wanted, synonyms, left_out)
    names = {one.name for one in shared}
    hidden = {(r.table, r.column) for r in relations if r.to_table not in names}
    hidden |= {(r.to_table, r.to_column) for r in relations if r.to_column.endswith("_key")}
    tables = []
    for (table, history), name in named.items():
        columns = tuple(
            _column(table, c, (name, c.name) in hidden, synonyms.get((table, c.name), ()))
            for c in table.columns
        )
        tables.append(ModelTable(name, table, history, columns, measures[name]))
    permitted = tuple(
        _role(access, tables, {r.to_table for r in relations})
        for access in roles
        if any(table.domain == domain for table in access.tables)
    )
    return Model(
        words(domain), domain, tuple(tables), tuple(relations), shared, permitted, tuple(left_out)
    )


def _role(access: Access, tables: Iterable[ModelTable], referred: Collection[str]) -> ModelRole:
    """Return a role of a model.

    A table that the role may not read is filtered to no rows. If other tables refer to it, that
    would hide their rows as well, so its columns are hidden instead. Power BI cannot mask, so
    masked columns are hidden too.
    """
    filters: dict[str, str] = {}
    closed: dict[str, tuple[str, ...]] = {}
    for table in tables:
        granted = access.tables.get(table.table)
        if granted is None and table.name in referred:
            closed[table.name] = table.table.column_names
        elif granted is None:
            filters[table.name] = "FALSE()"
        else:
            if granted.masks:
                closed[table.name] = tuple(granted.masks)
            if granted.rows:
                values = ", ".join(
                    "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
                    for value in granted.rows.values
                )
                condition = f'"{granted.rows.column}" in ({values})'
                filters[table.name] = filter_to_dax(table.table, condition, named=table.name)
    return ModelRole(access.name, access.description, filters, closed)


_Wanted = Sequence[tuple[Page, Source, Table]]


def _steps(registry: Registry, wanted: _Wanted) -> set[tuple[Table, str]]:
    """Return the columns from which dimensions of pages lead to other tables."""
    found = set()
    for page, source, table in wanted:
        for name in source.dimensions:
            here = table
            for join in resolve(registry, page, source, name).joins:
                found |= {(here, column) for column in join.reference.columns}
                here = join.table
    return found


def _with_referenced(registry: Registry, tables: Iterable[Table]) -> Iterator[Table]:
    """Yield the tables and those they refer to, directly or not, each once."""
    seen: set[Table] = set()
    waiting = list(tables)
    while waiting:
        table = waiting.pop(0)
        if table not in seen:
            seen.add(table)
            yield table
            waiting += [registry.meant_by(table, r.to_table) for r in table.references]


def _relations(
    registry: Registry,
    named: Mapping[tuple[Table, bool], str],
    first: Collection[tuple[Table, str]],
    left_out: list[str],
) -> list[Relation]:
    """Return the relations from references, the most useful first."""
    referred = {registry.meant_by(t, r.to_table) for t, _ in named for r in t.references}
    wanted: list[tuple[tuple[bool, bool], Relation]] = []
    for (table, _), name in named.items():
        for reference in table.references:
            to = registry.meant_by(table, reference.to_table)
            pair = _single(reference, to)
            if pair is None:
                left_out.append(
                    f"relation of {name} to {to.full_name}: its key has several columns"
                )
                continue
            order = ((table, pair[0]) not in first, table in referred)
            wanted.append((order, Relation(name, pair[0], named[to, False], pair[1], True)))
    return [relation for _, relation in sorted(wanted, key=lambda item: item[0])]


def _activated(relations: Iterable[Relation]) -> list[Relation]:
    """Make each relation active, unless it would be a second path between two tables."""
    below: dict[str, set[str]] = {}
    found = []
    for relation in relations:
        above = {t for t in below if relation.table in below[t]} | {relation.table}
        new = below.get(relation.to_table, set()) | {relation.to_table}
        active = relation.table not in new and not any(below.get(t, set()) & new for t in above)
        if active:
            for t in above:
                below[t] = below.get(t, set()) | new
        found.append(replace(relation, active=active))
    return found


def _shared(
    registry: Registry,
    named: Mapping[tuple[Table, bool], str],
    wanted: _Wanted,
    relations: Iterable[Relation],
) -> tuple[SharedTable, ...]:
    """Return the dimensions of slicers that no single table's column filters in all sources.

    Identifiers of people are never shared: a role could not be kept from reading them.
    """
    needed: dict[str, dict[tuple[str, str], str]] = {}
    for page in dict.fromkeys(page for page, _, _ in wanted):
        for dimension in (slicer.dimension for slicer in page.slicers):
            found: dict[tuple[str, str], str] = {}
            for of, source, table in wanted:
                own = named.get((table, source.history and table.holds_states))
                if of != page or own is None or not has_dimension(
                    registry, page, source, dimension
                ):  # fmt: skip
                    continue
                path = resolve(registry, page, source, dimension)
                if path.column.pii in ("identifier", "contact"):
                    continue
                at = named.get((path.table, False)) if path.joins else own
                if at is not None:
                    found[at, path.column.name] = data_type(path.column)
            reach = [{table, *_reached(relations, table)} for table, _ in found]
            if len({*found.values()}) == 1 and not any(
                all(table in tables for tables in reach) for table, _ in found
            ):
                needed.setdefault(dimension, {}).update(found)
    return tuple(
        SharedTable(words(dimension), dimension, min(columns.values()), tuple(sorted(columns)))
        for dimension, columns in sorted(needed.items())
        if len({*columns.values()}) == 1
    )


def _single(reference: Reference, to: Table) -> tuple[str, str] | None:
    """Return the one column of a reference, without the month if both sides have one."""
    pairs = list(zip(reference.columns, reference.to_columns, strict=True))
    if to.holds_states and to.partition:
        pairs = [pair for pair in pairs if pair[1] != to.partition.column]
    return pairs[0] if len(pairs) == 1 else None


def _measures(
    named: Mapping[tuple[Table, bool], str],
    wanted: _Wanted,
    synonyms: Synonyms,
    left_out: list[str],
) -> dict[str, tuple[ModelMeasure, ...]]:
    """Return the measures of each table, by the table's name in the model."""
    counts = Counter(
        words(measure.name).lower() for table, history in named if not history
        for measure in table.measures
    )  # fmt: skip
    found: dict[str, tuple[ModelMeasure, ...]] = {}
    for (table, history), name in named.items():
        columns = {column.name.lower() for column in table.columns}
        conditions: dict[str | None, str] = {None: name}
        for page, source, of in wanted:
            if of == table and source.where and (source.history and table.holds_states) == history:
                conditions.setdefault(source.where, f"{source.name} of {page.name}")
        measures = []
        for measure, where in product(table.measures, conditions):
            shown = words(measure.name)
            if where or history or counts[shown.lower()] > 1 or shown.lower() in columns:
                shown = f"{shown} ({conditions[where]})"
            try:
                dax = measure_to_dax(table, measure.expression, named=name, where=where)
            except UntranslatableError as error:
                reason = f"measure {table.full_name}.{measure.name}: {error}"
                left_out += [reason] if reason not in left_out else []
                continue
            if history and table.partition:
                month = column_name(name, table.partition.column)
                dax = f"VAR Latest = MAX({month}) RETURN CALCULATE({dax}, {month} = Latest)"
            whole = not re.search(r"/|\bavg\b|\bmedian\b", measure.expression, re.IGNORECASE)
            number = _format(measure.unit, whole=whole)
            others = synonyms.get((table, measure.name), ())
            measures.append(
                ModelMeasure(shown, measure, where, dax, number, _kind(measure.unit), others)
            )
        found[name] = tuple(measures)
    return found


def _kind(unit: str) -> str:
    if unit in _CURRENCIES or "currency" in unit:
        return "Money"
    return "Rates" if unit in {"share", "percent"} else "Figures"


def _format(unit: str | None, *, whole: bool) -> str:
    """Return the format of numbers of a unit."""
    if unit in _NAMES:
        return "0"
    if unit == "share":
        return "0.0%"
    if unit == "percent":
        return '0.0"%"'
    if unit in _CURRENCIES or (unit and "currency" in unit):
        sign = _CURRENCIES.get(unit or "", "")
        return f"{sign}#,0.00;-{sign}#,0.00"
    number = "#,0" if whole else "#,0.00"
    shown = unit if unit and unit not in {"count", "score", "metric"} and len(unit) < 12 else None
    return f'{number} "{shown}"' if shown else number


def _is_calendar(table: Table) -> bool:
    """Whether a table is a calendar: reference data whose only key is a date."""
    return (
        table.kind == "reference" and len(table.keys) == 1
        and table.column(table.keys[0]).type == "date"
    )  # fmt: skip


def data_type(column: Column) -> str:
    """Return the type of a column in the model."""
    if column.type in _INTEGERS or (column.decimal and column.decimal[1] == 0):
        return "int64"
    if column.decimal:
        return "decimal"
    if column.type in {"double", "boolean"}:
        return column.type
    return "dateTime" if column.type.startswith(("date", "timestamp")) else "string"


def _column(table: Table, column: Column, related: bool, synonyms: tuple[str, ...]) -> ModelColumn:
    technical = column.name in {"load_timestamp", "inputs_digest"}
    number = column.decimal is not None or column.type in {*_INTEGERS, "double"}
    kind = data_type(column)
    summarize = "none"
    if number and not related and column.name not in table.keys and column.unit not in _NAMES:
        averaged = column.unit is None or column.unit in _AVERAGED
        summarize = "average" if averaged else "sum"
    shown = None
    if number:
        shown = _format(column.unit, whole=kind == "int64")
    elif kind == "dateTime":
        shown = "yyyy-mm-dd" if column.type == "date" else "yyyy-mm-dd hh:nn:ss"
    folder = _FOLDERS.get(column.pii or "")
    if folder is None and kind == "dateTime" and not _is_calendar(table):
        folder = "Dates"
    return ModelColumn(
        column, related or technical, kind, shown, summarize, folder,
        _PLACES.get(column.name), synonyms,
    )  # fmt: skip
