"""The declaration of a delivered dataset, and the bronze and silver tables that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from lakehouse_assets.catalog.registry import Column, PartitionColumn, Table

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


@dataclass(frozen=True)
class Dataset:
    """Files of one kind, delivered into dated folders of the landing zone.

    Attributes:
        domain: First folder of the landing zone, and the domain of its tables.
        name: Second folder, e.g. `flights`; tables are `bronze_<name>` and so on.
        grain: Whether a partition is a day or a month of deliveries.
        fields: Delivered fields in order; `source` is the name in the file.
        description: What one delivered row is.
        owner: Owner of the tables.
        announced: Whether the source says that a day is complete by a `_SUCCESS` file; a day
            without one is not read.
        header: Whether the first line of a CSV file names the columns; otherwise it is data, and
            a line that has not as many values as there are fields is rejected.
        aliases: Other names of the bronze table, where the reference uses them.
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
    fields: tuple[Column, ...]
    description: str
    owner: str
    announced: bool = False
    header: bool = True
    documents: bool = False
    aliases: tuple[str, ...] = ()
    additive: bool = False
    rejected: LossLimit = LossLimit()
    quarantined: LossLimit = LossLimit()

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


def text_field(
    source: str, description: str, *, unit: str | None = None, pii: bool = False
) -> Column:
    """Declare a delivered field: its text, under the file's name for it in small letters."""
    return Column(source.lower(), "string", description, unit=unit, pii=pii, source=source)


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
            Column("raw_text", "string", "The record as delivered.", pii=True),
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


def silver_table(
    dataset: Dataset,
    description: str,
    key: str,
    columns: tuple[Column, ...],
    *,
    watched: tuple[str, ...] = (),
    clustered: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    constraints: Mapping[str, str] | None = None,
) -> Table:
    """Typed rows of a dataset: its own columns, what was repaired, and where each row came from.

    Args:
        dataset: The dataset.
        description: What one row is.
        key: Column that identifies a row; a snapshot has one for each month.
        columns: The typed columns.
        watched: Columns whose distribution is compared over time.
        clustered: Columns by which rows are looked up.
        aliases: Other names of the table.
        constraints: Delta CHECK constraints by name.
    """
    snapshot = dataset.grain == "month"
    return Table(
        domain=dataset.domain,
        name=f"silver_{dataset.name}",
        layer="silver",
        description=description,
        columns=(*columns, _FLAGS, *provenance_columns(), *delivery_columns(dataset)),
        keys=(dataset.partition.column, key) if snapshot else (key,),
        owner=dataset.owner,
        kind="snapshot" if snapshot else "event",
        partition=dataset.partition,
        constraints=constraints or {},
        watched=watched,
        clustered=clustered,
        aliases=aliases,
    )


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
