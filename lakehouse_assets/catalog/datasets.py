"""The declaration of a delivered dataset, and the bronze and silver tables that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Column, PartitionColumn, Pii, Table
from lakehouse_assets.engine import Col, DataFrame

_FLAGS = Column(
    "quality_flags", "array<string>", "What was repaired or set to null in this row.", False
)


@dataclass(frozen=True)
class LossLimit:
    """How much of a partition may be lost before nothing is built from it.

    It is too much when more than `share` of the records and more than `rows` of them are lost, so
    that a few bad records in a small delivery stop nothing; and when every record is lost, however
    few there were.

    Attributes:
        share: Share of the partition's records, 0 to 1.
        rows: Number of records.
        whole: Whether the loss of every record is too much, however few there were.
    """

    share: float = 0.05
    rows: int = 50
    whole: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no share and no number of rows."""
        if not 0 <= self.share <= 1 or self.rows < 0:
            raise ValueError("share lies between 0 and 1, and rows are 0 or more")

    def exceeded(self, lost: int, records: int) -> bool:
        """Say whether it is too much that so many of a partition's records are lost."""
        if self.whole and lost and lost >= records:
            return True
        return lost > self.rows and lost > self.share * records


# Limits from the settings: dataset or `*`, the field of `Dataset` that is meant, and the limit.
Limits: TypeAlias = tuple[tuple[str, str, LossLimit], ...]


# What is recorded of a document; the fields of a dataset of documents, in this order.
DOCUMENT_FIELDS = ("Name", "Extension", "MediaType", "Size", "SHA256")
# Completes typed rows, given the reference data and options by name.
Rule: TypeAlias = Callable[[DataFrame, Mapping[str, Any]], DataFrame]
Need: TypeAlias = Literal["required", "fact", "optional", "judged"]
# Turns the delivered text of a field, trimmed, into its value.
Parser: TypeAlias = Callable[[Col], Col]


@dataclass(frozen=True)
class Flag:
    """Something that typing repaired or removed, named in `quality_flags`.

    Attributes:
        name: Name of the flag; the check that counts it is `no_<name>`.
        description: What is expected of a row.
    """

    name: str
    description: str


@dataclass(frozen=True)
class Field:
    """A column of a dataset, written once: as it is delivered, and as silver types it.

    Attributes:
        name: Column of the silver table.
        type: Its type, as of `Column`.
        description: What the value means.
        source: Name of the delivered field, if it is another.
        delivered: What the delivered text is, where that is more than the description says.
        need: What becomes of a row whose value is missing or cannot be read. `required`: it is
            quarantined. `fact`: it is quarantined if a value is given that cannot be read, since
            sums would be wrong without it. `optional`: the value becomes null, and a flag says so
            unless the column is text. `judged`: the column is not null, and an expectation of the
            dataset says which rows have no place.
        parse: Reads the trimmed text, which for text columns is null if it stands for nothing;
            otherwise the type says how text is read.
        missing: Value of a text column where nothing is given or what is given was removed.
        nothing: Texts that stand for "not given", if they are others than the dataset's.
        between: Lowest and highest plausible value; others become null and are flagged.
        labels: The documented values; others stay and are reported.
        not_negative: Whether a negative value sends the row to quarantine.
        in_calendar: Whether a date outside of `dim_date` sends the row to quarantine.
        lost: Flag of a value that is given but cannot be read or is not possible; a number, date or
            truth value has one anyway.
        implausible: Flag of a value that can be read but is not possible.
        unknown: What is expected, if a missing value is flagged as `<name>_unknown`.
        unit: Unit of the value.
        pii: What it says of a natural person, see `Column`.
        aliases: Other names of the column in SQL.
        derived: Whether the dataset's rule makes the column instead of reading a field.
        stored: Whether silver has the column; otherwise bronze alone has the field.
    """

    name: str
    type: str
    description: str
    source: str | None = None
    delivered: str | None = None
    need: Need = "optional"
    parse: Parser | None = None
    missing: str | None = None
    nothing: tuple[str, ...] | None = None
    between: tuple[int, int] | None = None
    labels: tuple[str, ...] = ()
    not_negative: bool = False
    in_calendar: bool = False
    lost: Flag | None = None
    implausible: Flag | None = None
    unknown: str | None = None
    unit: str | None = None
    pii: Pii | None = None
    aliases: tuple[str, ...] = ()
    derived: bool = False
    stored: bool = True

    @property
    def field(self) -> str:
        """Name of the bronze column: that of the delivered field in lower case."""
        return (self.source or self.name).lower()

    @property
    def bronze(self) -> Column:
        """The column of the delivered text."""
        return Column(
            self.field, "string", self.delivered or self.description,
            unit=self.unit, pii=self.pii, source=self.source or self.name,
        )  # fmt: skip

    @property
    def silver(self) -> Column:
        """The typed column."""
        nullable = self.need in {"fact", "optional"} and self.missing is None
        source = None if self.derived or self.field == self.name else self.field
        return Column(
            self.name, self.type, self.description, nullable,
            unit=self.unit, pii=self.pii, source=source, aliases=self.aliases,
        )  # fmt: skip


def text_field(
    source: str, description: str, *, unit: str | None = None, pii: Pii | None = None
) -> Field:
    """Declare a delivered field that bronze alone has."""
    return Field(
        source.lower(), "string", description, source=source, unit=unit, pii=pii, stored=False
    )


@dataclass(frozen=True)
class Dataset:
    """Files of one kind, delivered into dated folders of the landing zone, and their typed rows.

    Attributes:
        domain: First folder of the landing zone, and the domain of its tables.
        name: Second folder, e.g. `flights`; tables are `bronze_<name>` and so on.
        grain: Whether a partition is a day or a month of deliveries.
        columns: Fields and typed columns, in the order of the silver table.
        description: What one delivered row is.
        owner: Owner of the tables.
        rows: What one row of silver is, and which of several deliveries counts.
        key: Column that identifies a row; a snapshot has one for each month. Without a key there is
            no silver table.
        counts: Which of the rows with one key counts. `first`: the first delivery of all days, for
            events, which happened once. `latest`: the latest delivery within a partition, for
            states. `corrected`: the value that was delivered last, in the delivery that brought it;
            every run compares the deliveries of all days, so this is for datasets of moderate size.
        nothing: Texts that stand for "not given", in lower case.
        dates: Formats in which days are delivered beside `yyyy-MM-dd`.
        rule: What no field alone can say: completes the typed rows, of which `quality/fields.py`
            says what they hold. A pure function of them and the reference data.
        reference: Reference data of the rule, by name, as functions that give Arrow tables.
        options: Settings that the rule reads, by name, and their defaults.
        flags: Flags that the rule sets, each as a boolean column `flag_<name>`.
        expectations: What rows must fulfil beside what follows from the columns.
        watched: Columns of silver whose distribution is compared over time.
        clustered: Columns of silver by which rows are looked up.
        constraints: Delta CHECK constraints of silver by name.
        delivered_order: Delivered names in the order of the files, where it is another than that of
            `columns`.
        announced: Whether the source says that a day is complete by a `_SUCCESS` file; a day
            without one is not read.
        header: Whether the first line of a CSV file names the columns; otherwise it is data, and
            a line that has not as many values as there are fields is rejected.
        aliases: Other names of the bronze table, where the reference uses them.
        silver_aliases: Other names of the silver table.
        documents: Whether each file is one record, of any format: it is described by the fields of
            `ingest/documents.py`, and its bytes stay where they were delivered.
        additive: Whether records may have attributes, and files columns, that are not declared.
            They are reported by name, and bronze keeps no value of them: those stay in the
            delivered files until the dataset declares the field and the partition is loaded again.
            Without it such a record is rejected, and a file with such a column refused.
        rejected: How many records of a partition may be unreadable.
        quarantined: How many rows of a partition may be quarantined in silver.
    """

    domain: str
    name: str
    grain: Literal["day", "month"]
    columns: tuple[Field, ...]
    description: str
    owner: str
    rows: str = ""
    key: str = ""
    counts: Literal["first", "latest", "corrected"] = "first"
    nothing: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    rule: Rule | None = None
    reference: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    watched: tuple[str, ...] = ()
    clustered: tuple[str, ...] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)
    delivered_order: tuple[str, ...] = ()
    announced: bool = False
    header: bool = True
    documents: bool = False
    aliases: tuple[str, ...] = ()
    silver_aliases: tuple[str, ...] = ()
    additive: bool = False
    rejected: LossLimit = LossLimit()
    quarantined: LossLimit = LossLimit()

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def path(self) -> str:
        """Name by which people call the dataset: `<domain>/<name>`."""
        return f"{self.domain}/{self.name}"

    @property
    def partition(self) -> PartitionColumn:
        """Partition column of every table that holds deliveries of the dataset."""
        column = "delivered_on" if self.grain == "day" else "snapshot_month"
        return PartitionColumn(column, self.grain)

    @property
    def loaded_tables(self) -> tuple[str, ...]:
        """Names of the tables that hold the dataset's rows before anything is joined to them."""
        return (
            f"bronze_{self.name}",
            f"bronze_{self.name}_rejects",
            f"silver_{self.name}",
            f"silver_{self.name}_quarantine",
        )

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        """Delivered fields as columns of text, in the order of the files."""
        found = [column.bronze for column in self.columns if not column.derived]
        order = self.delivered_order or tuple(str(column.source) for column in found)
        return tuple(sorted(found, key=lambda column: order.index(str(column.source))))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Field names as the file has them, in order."""
        return tuple(column.source or column.name for column in self.fields)


def with_limits(dataset: Dataset, limits: Limits) -> Dataset:
    """Return a dataset with the limits that settings give it; those of its name go before `*`."""
    given = {
        field: limit
        for name in ("*", dataset.path)
        for path, field, limit in limits
        if path == name
    }
    return replace(
        dataset,
        rejected=given.get("rejected", dataset.rejected),
        quarantined=given.get("quarantined", dataset.quarantined),
    )


def with_options(dataset: Dataset, options: Mapping[str, Any]) -> Dataset:
    """Return a dataset with those of some settings that its rule reads."""
    given = {name: options.get(name, value) for name, value in dataset.options.items()}
    return replace(dataset, options=given)


def delivery_columns(dataset: Dataset) -> tuple[Column, ...]:
    """Columns that say when rows were delivered; the last one is the partition column."""
    delivered = Column(
        "delivered_on", "date", "Day of delivery: the dated landing folder.", nullable=False
    )
    if dataset.grain == "day":
        return (delivered,)
    month = Column("snapshot_month", "date", "Month of delivery, as its first day.", nullable=False)
    return (delivered, month)


def provenance_columns() -> tuple[Column, ...]:
    """Columns that lead from a row back to the delivered file and line."""
    return (
        Column("_source_file", "string", "Delivered file, relative to the landing zone.", False),
        Column(
            "_row_number", "bigint",
            "Position of the record in its file from 1, malformed records counted.", False,
            "position",
        ),
    )  # fmt: skip


def _file_columns() -> tuple[Column, ...]:
    return (
        Column("_file_sha256", "string", "SHA-256 of the file as delivered.", False),
        Column("_ingested_at", "timestamp", "When the run that read the file began.", False),
        Column(
            "_file_version", "string",
            "Hash of the file's size and its ETag or time of writing: what a listing showed of it.",
        ),
        Column(
            "_file_records", "bigint",
            "Records of the file, malformed ones counted; null if it was refused.",
            unit="records",
        ),
    )  # fmt: skip


def bronze_table(dataset: Dataset) -> Table:
    """Every delivered row as text, with its provenance."""
    return Table(
        domain=dataset.domain,
        name=f"bronze_{dataset.name}",
        layer="bronze",
        description=f"{dataset.description} Every field as the text that was delivered.",
        columns=(
            *dataset.fields, *provenance_columns(), *_file_columns(), *delivery_columns(dataset),
        ),
        keys=("_source_file", "_row_number"),
        owner=dataset.owner,
        kind="event",
        partition=dataset.partition,
        aliases=dataset.aliases,
    )  # fmt: skip


def rejects_table(dataset: Dataset) -> Table:
    """Records that could not be split into fields, and files that were refused as a whole."""
    return Table(
        domain=dataset.domain,
        name=f"bronze_{dataset.name}_rejects",
        layer="bronze",
        description=(
            f"Deliveries of {dataset.path} that could not be read: malformed records with their "
            "raw text, and refused files (line 0, no text)."
        ),
        columns=(
            Column(
                "line_number",
                "bigint",
                "Physical line from 1; 0 for a whole file.",
                False,
                "position",
            ),
            Column("raw_text", "string", "The record as delivered.", pii="identifier"),
            Column("reason", "string", "Why it could not be read.", False),
            provenance_columns()[0],
            Column("_file_sha256", "string", "SHA-256 of the file; null if it is unreadable."),
            *_file_columns()[1:],
            *delivery_columns(dataset),
        ),
        keys=("_source_file", "line_number", "raw_text"),
        owner=dataset.owner,
        kind="event",
        partition=dataset.partition,
    )


def silver_table(dataset: Dataset) -> Table:
    """Typed rows of a dataset: its own columns, what was repaired, and where each row came from."""
    snapshot = dataset.grain == "month"
    columns = [column.silver for column in dataset.columns if column.stored]
    return Table(
        domain=dataset.domain,
        name=f"silver_{dataset.name}",
        layer="silver",
        description=dataset.rows,
        columns=(*columns, _FLAGS, *provenance_columns(), *delivery_columns(dataset)),
        keys=(dataset.partition.column, dataset.key) if snapshot else (dataset.key,),
        owner=dataset.owner,
        kind="snapshot" if snapshot else "event",
        partition=dataset.partition,
        constraints=dataset.constraints,
        watched=dataset.watched,
        clustered=dataset.clustered,
        aliases=dataset.silver_aliases,
    )


def dataset_tables(dataset: Dataset) -> tuple[Table, ...]:
    """Declare the tables that follow from a dataset: rows as delivered and typed, and the others.

    Raises:
        LakehouseError: a column or key is declared that no table can have.
    """
    made = (bronze_table, rejects_table, silver_table, quarantine_table)
    return tuple(make(dataset) for make in made)


def quarantine_table(dataset: Dataset) -> Table:
    """Bronze rows that silver does not take, with every reason."""
    return Table(
        domain=dataset.domain,
        name=f"silver_{dataset.name}_quarantine",
        layer="silver",
        description=(
            f"Rows of bronze_{dataset.name} that are not in silver_{dataset.name}: quarantined "
            "with all reasons that apply, or a named duplicate of a kept row."
        ),
        columns=(
            Column("disposition", "string", "`quarantined` or `duplicate`.", False),
            Column("reasons", "array<string>", "Names of the expectations the row fails."),
            Column("duplicate_of", "string", "`<file>#<row>` of the kept row, for a duplicate."),
            *dataset.fields,
            *provenance_columns(),
            *delivery_columns(dataset),
        ),
        keys=("_source_file", "_row_number"),
        owner=dataset.owner,
        kind="event",
        partition=dataset.partition,
        constraints={"known_disposition": "disposition IN ('quarantined', 'duplicate')"},
    )


def dataset_named(datasets: Sequence[Dataset], path: str) -> Dataset:
    """Find a dataset by `<domain>/<name>`.

    Raises:
        LakehouseError: there is none; the message lists what there is.
    """
    from lakehouse_assets.errors import LakehouseError

    for dataset in datasets:
        if dataset.path == path:
            return dataset
    raise LakehouseError(
        f"No dataset is called {path!r}; known are {', '.join(d.path for d in datasets)}."
    )
