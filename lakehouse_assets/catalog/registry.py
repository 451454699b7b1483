"""The declaration of a table, and the registry of all declarations.

One declaration drives table creation, enforcement in the IO manager, asset checks, Dagster metadata
and the documentation; nothing repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lakehouse_assets.engine import DataFrame
from lakehouse_assets.errors import LakehouseError, did_you_mean

Layer = Literal["bronze", "silver", "gold", "segments"]
Grain = Literal["day", "month"]
Pii = Literal["identifier", "contact", "demographic", "location"]
Additivity = Literal["additive", "semi_additive", "non_additive"]
Kind = Literal["event", "snapshot", "cumulative", "aggregate", "dimension", "reference", "view"]

_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_PLAIN_TYPES = frozenset(
    {
        "string", "bigint", "int", "double", "boolean", "date", "timestamp", "timestamp_ntz",
        "array<string>",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column: its name, type and meaning.

    Attributes:
        name: Lower-case name in the table.
        type: `string`, `bigint`, `int`, `double`, `boolean`, `date`, `timestamp` (UTC),
            `timestamp_ntz`, `array<string>` or `decimal(p,s)`.
        description: What the value means and, for derived values, the source of the rule.
        nullable: Whether the column may hold null.
        unit: Unit of the value, e.g. `km`, `years`, `source currency`; `count` for a number of
            things; `code`, `share` or `score` for numbers without a physical unit.
        pii: What the value reveals about a natural person, if anything: `identifier` says who they
            are, `contact` how to reach them, `demographic` and `location` describe them. A value
            derived from an identifier or a contact keeps that class; one derived from the others
            has a class, too, if the table identifies the person.
        source: For a bronze column, the field's name in the delivered file; for a silver column,
            the bronze column that it is read from, if the name differs.
        aliases: Other names of the column in SQL, where the reference uses them; `source` is always
            one.
        sort_by: Column of the table in whose order the values are shown, if not in their own.
    """

    name: str
    type: str
    description: str
    nullable: bool = True
    unit: str | None = None
    pii: Pii | None = None
    source: str | None = None
    aliases: tuple[str, ...] = ()
    sort_by: str | None = None

    def __post_init__(self) -> None:
        if self.type not in _PLAIN_TYPES and not _DECIMAL.fullmatch(self.type):
            raise LakehouseError(
                f"Column {self.name} has the unknown type {self.type!r}; use one of "
                f"{', '.join(sorted(_PLAIN_TYPES))} or decimal(p,s)."
            )

    @property
    def decimal(self) -> tuple[int, int] | None:
        """Precision and scale of a decimal column, None for every other type."""
        match = _DECIMAL.fullmatch(self.type)
        return (int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True)
class PartitionColumn:
    """The date column by which a table is partitioned.

    Attributes:
        column: Name of the column; a month is stored as its first day.
        grain: Length of a partition.
    """

    column: str
    grain: Grain


@dataclass(frozen=True)
class Reference:
    """A foreign key.

    Attributes:
        columns: Columns of this table.
        to_table: The table that they refer to: `<domain>.<table>`, or a bare name for a table of
            the same domain or the only such table in the others.
        to_columns: Columns of that table.
        required: Whether a missing parent blocks downstream tables; if not, it is a warning.
    """

    columns: tuple[str, ...]
    to_table: str
    to_columns: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True)
class Measure:
    """A figure computed from a table's rows, declared so that everyone computes it the same way.

    Attributes:
        name: Its name, unique within the table.
        expression: SQL aggregate over the table's columns, valid on every engine.
        unit: Unit of the result, as for columns.
        additivity: Across which dimensions results may be added up. `additive`: all of them.
            `semi_additive`: all except time, because the states of several months count the same
            things. `non_additive`: none.
        description: What it means.
    """

    name: str
    expression: str
    unit: str
    additivity: Additivity
    description: str


@dataclass(frozen=True)
class Table:
    """One table of the lake, declared once.

    Attributes:
        domain: Folder of the table and first part of its asset key.
        name: Name of the table and last part of its asset key.
        layer: bronze, silver, gold or segments.
        kind: How the rows of different partitions relate. `event`: things that happened, each in
            one partition. `aggregate`: sums of a partition's events, which may be added up across
            partitions. `snapshot`: each partition is a complete state. `cumulative`: each partition
            sums up everything so far. `dimension`: what facts refer to; a snapshot if partitioned.
            `reference`: data that comes with the code. `view`: computed when it is read.
        description: What one row is and what the table is for.
        columns: All columns, in order.
        keys: Columns that identify a row.
        owner: Owner as Dagster shows it, `team:<name>` or an e-mail address.
        partition: How the table is partitioned; None if it is not.
        constraints: Delta CHECK constraints by name.
        references: Foreign keys.
        aliases: Other names by which analysts know the table.
        watched: Columns whose distribution is compared over time.
        clustered: Columns by which rows are looked up; maintenance Z-orders the files by them.
        latest_with: Another table that determines this one's latest month, for a table that may
            have no rows in that month.
        topic: Subject of the table, such as sales, in a layer with tables about several subjects.
        measures: Figures computed from its rows.
        hierarchies: Columns by which people drill down, from coarse to fine, by name.
        properties: Delta properties that the table gets when it is created.
        writer: Name of the step that writes the table; None for the step that its name says.
    """

    domain: str
    name: str
    layer: Layer
    description: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    owner: str
    kind: Kind
    partition: PartitionColumn | None = None
    constraints: Mapping[str, str] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    aliases: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    clustered: tuple[str, ...] = ()
    latest_with: str | None = None
    topic: str | None = None
    measures: tuple[Measure, ...] = ()
    hierarchies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    writer: str | None = None

    def __post_init__(self) -> None:
        names = [n for column in self.columns for n in (column.name, *column.aliases)]
        if len(set(names)) != len(names):
            raise LakehouseError(f"Table {self.name} declares a column twice; remove one of them.")
        if len({measure.name for measure in self.measures}) != len(self.measures):
            raise LakehouseError(f"Table {self.name} declares a measure twice; remove one of them.")
        if self.holds_states and any(m.additivity == "additive" for m in self.measures):
            raise LakehouseError(
                f"Table {self.name} holds a complete state in each partition, so its measures "
                "cannot be additive; declare them semi_additive or non_additive."
            )
        wanted = [
            *self.keys,
            *self.watched,
            *self.clustered,
            *(c for r in self.references for c in r.columns),
            *(c for levels in self.hierarchies.values() for c in levels),
            *(column.sort_by for column in self.columns if column.sort_by),
        ]
        if self.partition:
            wanted.append(self.partition.column)
        for name in wanted:
            if name not in self.column_names:
                raise LakehouseError(
                    f"Table {self.name} names the column {name} in its keys, partition, "
                    "references, hierarchies, or watched, clustered or sorting columns but does "
                    "not declare it; add the column."
                )

        if self.partition and self.column(self.partition.column).type != "date":
            raise LakehouseError(
                f"Table {self.name} is partitioned by {self.partition.column}, which is not a "
                "date; partition it by a date column."
            )

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of that name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def pick(self, *names: str) -> tuple[Column, ...]:
        """Return the columns of those names, to reuse them in another table."""
        return tuple(map(self.column, names))

    @property
    def holds_states(self) -> bool:
        """Whether each partition is a complete state, so that a query must count only one."""
        states = ("snapshot", "cumulative", "dimension")
        return self.partition is not None and self.kind in states

    @property
    def full_description(self) -> str:
        """The description, and which partitions a query by the table's name reads."""
        if self.partition is None:
            return self.description
        grain = self.partition.grain
        if not self.holds_states:
            return f"{self.description} In SQL: every {grain}."
        return (
            f"{self.description} In SQL: the latest {grain}; {self.name}_history has every {grain}."
        )

    @property
    def key(self) -> tuple[str, str]:
        """Parts of the asset key."""
        return (self.domain, self.name)

    @property
    def full_name(self) -> str:
        """Its name with the domain, as in SQL: `<domain>.<table>`."""
        return f"{self.domain}.{self.name}"

    @property
    def identifier(self) -> str:
        """Its name with the domain as one word, unique among all tables."""
        return f"{self.domain}__{self.name}"

    @property
    def group(self) -> str:
        """The Dagster group of the asset: its domain, layer and topic."""
        return "_".join([self.domain, self.layer, *([self.topic] if self.topic else [])])

    @property
    def step(self) -> str:
        """Name of the step that writes the table, which is also the name of its pool.

        Bronze and silver steps write two tables each: the rows, and the rejects or the quarantine.
        """
        if self.writer is not None:
            return self.writer
        if self.layer == "bronze":
            dataset = self.name.removeprefix("bronze_").removesuffix("_rejects")
            return f"{self.domain}__load_{dataset}"
        if self.layer == "silver":
            dataset = self.name.removeprefix("silver_").removesuffix("_quarantine")
            return f"{self.domain}__clean_{dataset}"
        return self.identifier


MONTH = PartitionColumn("as_of_month", "month")
_MONTHS = {
    "event": "Month of delivery, as its first day.",
    "aggregate": "Month of the deliveries that are added up, as its first day.",
}
_AS_OF = "Month that the row describes as of its end, as the month's first day."
LOADED = Column("load_timestamp", "timestamp", "When the run that wrote the row started.", False)
MODEL_VERSION = Column(
    "model_version", "int", "Version of the model that scored the row; null if not scored.",
    unit="code",
)  # fmt: skip
INPUTS_DIGEST = Column(
    "inputs_digest", "bigint", "Hash of the model's inputs; when it changes, the row is scored "
    "again.", unit="code",
)  # fmt: skip


def monthly_table(
    domain: str,
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    owner: str,
    *,
    kind: Kind,
    **declared: Any,
) -> Table:
    """Declare a monthly table, with `as_of_month` as its first column and first key.

    `as_of_month` is the month of delivery for events and aggregates; for other kinds, the rows
    describe the end of that month. The layer is gold, and `clustered` is the first of the other
    keys, unless `declared` says otherwise; it may hold any other attribute of a `Table`.
    """
    month = Column("as_of_month", "date", _MONTHS.get(kind, _AS_OF), nullable=False)
    return Table(
        domain=domain,
        name=name,
        description=description,
        columns=(month, *columns),
        keys=("as_of_month", *keys),
        owner=owner,
        kind=kind,
        partition=MONTH,
        **{"layer": "gold", "clustered": keys[:1]} | declared,
    )


def reference_table(
    domain: str,
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    owner: str,
    **declared: Any,
) -> Table:
    """Declare a gold table of data that comes with the code, with `load_timestamp` at its end."""
    return Table(
        domain, name, "gold", description, (*columns, LOADED), keys, owner, "reference", **declared
    )


def same_month(columns: tuple[str, ...], table: str, *, required: bool = True) -> Reference:
    """Refer to the row of another monthly table in the same month."""
    return Reference(("as_of_month", *columns), table, ("as_of_month", *columns), required)


@dataclass(frozen=True)
class TableView:
    """A table that is not stored: SQL computes its rows when it is read.

    Attributes:
        table: Its declaration, of kind `view`.
        rule: Computes the rows from the frames that its parameters name.
        reads: The tables that it reads, as SQL shows them, by parameter name.
    """

    table: Table
    rule: Callable[..., DataFrame]
    reads: Mapping[str, Table]

    def __hash__(self) -> int:
        return hash(self.table)


class Registry:
    """All declared tables, found by asset key, name or alias.

    Names are unique within a domain: `retail.fact_sales` and `grocery.fact_sales` are two tables. A
    bare name finds a table if only one has it.

    Args:
        tables: The stored tables, over which the registry iterates.
        views: The views, which are found by name like tables.
    """

    def __init__(self, tables: Iterable[Table], views: Iterable[TableView] = ()) -> None:
        self.views = tuple(views)
        stored = tuple(tables)
        self._tables: dict[tuple[str, str], Table] = {}
        self._full: dict[str, Table] = {}
        self._bare: dict[str, list[Table]] = {}
        for table in (*stored, *(view.table for view in self.views)):
            for name in (table.name, *table.aliases):
                full = f"{table.domain}.{name}"
                if full in self._full:
                    raise LakehouseError(
                        f"The name {full} is declared by two tables; rename one of them."
                    )
                self._full[full] = table
                self._bare.setdefault(name, []).append(table)
        self._tables.update((table.key, table) for table in stored)
        self._check_references()

    def _check_references(self) -> None:
        for table in self:
            for reference in table.references:
                try:
                    known = self.meant_by(table, reference.to_table).column_names
                except LakehouseError as error:
                    raise LakehouseError(f"A reference of {table.full_name}: {error}") from None
                if not {*reference.to_columns} <= {*known}:
                    raise LakehouseError(
                        f"Table {table.full_name} references {reference.to_table}"
                        f"({', '.join(reference.to_columns)}), which is not declared; declare it."
                    )

    def __iter__(self) -> Iterator[Table]:
        return iter(self._tables.values())

    def __len__(self) -> int:
        return len(self._tables)

    def __getitem__(self, name: str) -> Table:
        """Return a table by `<domain>.<table>`, or by its name or alias alone.

        Raises:
            LakehouseError: no table has that name, or several domains have one.
        """
        if name in self._full:
            return self._full[name]
        found = self._bare.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            raise LakehouseError(ambiguous(name, found))
        close = did_you_mean(name, self._full if "." in name else self._bare) or "."
        raise LakehouseError(
            f"No table is called {name!r}{close} `lakehouse tables` lists them all."
        )

    def meant_by(self, table: Table, name: str) -> Table:
        """Return the table that a declaration refers to by name, looking in its own domain first.

        Raises:
            LakehouseError: no table has that name, or several other domains have one.
        """
        own = self._full.get(f"{table.domain}.{name}")
        return self[name] if own is None else own

    def by_key(self, key: tuple[str, ...]) -> Table:
        """Return the table of an asset key.

        Raises:
            LakehouseError: the asset is not declared in the registry.
        """
        try:
            return self._tables[key]  # type: ignore[index]  # a key of another length is missing
        except KeyError:
            raise LakehouseError(
                f"Asset {'/'.join(key)} has no table in the registry; declare it in its domain, "
                "which is where the IO manager finds its schema and partition column."
            ) from None


def ambiguous(name: str, tables: Iterable[Table]) -> str:
    """Return the message for a bare name that tables of several domains have."""
    choices = " or ".join(sorted(table.full_name for table in tables))
    return f"Several domains have a table {name}; write {choices}."
