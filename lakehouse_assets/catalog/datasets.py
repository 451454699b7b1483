"""The declaration of a delivered dataset, and the bronze and silver tables that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar

from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Column, PartitionColumn, Pii, Table
from lakehouse_assets.engine import Col, DataFrame
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse_assets.catalog.streams import Stream

QUALITY_FLAGS = Column(
    "quality_flags", "array<string>", "What was repaired or set to null in this row.", False
)


@dataclass(frozen=True)
class LossLimit:
    """How many of a partition's records may be lost before downstream tables are blocked.

    The limit is exceeded if more than `share` of the records and more than `rows` records are lost,
    so that a few bad records in a small delivery block nothing. With `whole`, losing every record
    exceeds it too, however few there were.

    Attributes:
        share: Share of the partition's records, 0 to 1.
        rows: Number of records.
        whole: Whether losing every record exceeds the limit.
    """

    share: float = 0.05
    rows: int = 50
    whole: bool = True

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 <= self.share <= 1 or self.rows < 0:
            raise ValueError("share must be from 0 to 1, and rows 0 or more")

    def exceeded(self, lost: int, records: int) -> bool:
        """Say whether losing `lost` of a partition's `records` records exceeds the limit."""
        if self.whole and lost and lost >= records:
            return True
        return lost > self.rows and lost > self.share * records


_Feed = TypeVar("_Feed", bound="Feed")
# Limits from the settings: dataset path or `*`, field of `Dataset` to replace, and the limit.
Limits: TypeAlias = tuple[tuple[str, str, LossLimit], ...]


_PROVENANCE = (
    Column("_source_file", "string", "Delivered file, as a path in the landing zone.", False),
    Column("_row_number", "bigint", "Position of the record in its file, from 1; rejects count.",
           False, "position"),
)  # fmt: skip
_FILE = (
    Column("_ingested_at", "timestamp", "When the run that read the file started.", False),
    Column("_file_version", "string", "Hash of the file's size and its ETag or modification time "
           "when it was listed."),
    Column("_file_records", "bigint", "Number of records in the file, rejects included; null if "
           "the file was refused.", unit="records"),
)  # fmt: skip

# The delivered fields of a dataset of documents, in this order.
DOCUMENT_FIELDS = ("Name", "Extension", "MediaType", "Size", "SHA256")
# Completes typed rows; the second argument holds the reference data and options by name.
Rule: TypeAlias = Callable[[DataFrame, Mapping[str, Any]], DataFrame]
Need: TypeAlias = Literal["required", "fact", "optional", "checked"]
# Converts the trimmed text of a field to its value.
Parser: TypeAlias = Callable[[Col], Col]


@dataclass(frozen=True)
class Flag:
    """Something that typing repaired or removed, named in `quality_flags`.

    Attributes:
        name: Name of the flag; the check that counts it is `no_<name>`.
        description: What a row without the flag fulfils.
    """

    name: str
    description: str


@dataclass(frozen=True)
class Field:
    """A column of a dataset, declared once for the delivered field and the typed silver column.

    Attributes:
        name: Name of the silver column.
        type: Type of the silver column, see `Column`.
        description: What the value means.
        source: Name of the delivered field, if it differs from `name`.
        delivered: Description of the delivered text, if it differs from `description` up to its
            first semicolon; what follows says how silver treats the value.
        need: What happens to a row whose value is missing or cannot be read. `required`: the row is
            quarantined. `fact`: the row is quarantined if a value is given but cannot be read,
            because sums would be wrong without it. `optional`: the value becomes null, and a flag
            says so unless the column is text. `checked`: the column is not nullable, and an
            expectation of the dataset decides which rows are quarantined.
        parse: Converts the trimmed text to the value; in text columns, texts that mean "not given"
            arrive as null. Without a parser, the type decides how the text is read.
        missing: Value of a text column if no value is given or the given one was removed; silver's
            description says so.
        nothing: Texts that mean "not given", if they differ from the dataset's.
        between: Lowest and highest plausible value; others become null and are flagged.
        labels: The documented values; rows with others are kept and reported.
        not_negative: Whether a negative value quarantines the row.
        in_calendar: Whether a date outside `dim_date` quarantines the row.
        lost: Flag for a value that is given but cannot be read or is not possible. An optional
            column that is not text has the flag `<name>_unreadable` by default.
        implausible: Flag for a value that can be read but is not possible; `<name>_implausible` by
            default if `between` is set.
        unknown: Description of the flag `<name>_unknown`, which marks a missing value; None for no
            such flag.
        unit: Unit of the value.
        pii: What the value reveals about a natural person, see `Column`.
        aliases: Other names of the column in SQL.
        derived: Whether the dataset's rule computes the column, so that no field is read.
        stored: Whether silver has the column; if not, only bronze has the field.
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
        """Name of the bronze column: the delivered field's name in lower case."""
        return (self.source or self.name).lower()

    @property
    def bronze(self) -> Column:
        """The bronze column, which holds the delivered text."""
        description = self.delivered or self.description.partition(";")[0].removesuffix(".") + "."
        return Column(
            self.field, "string", description,
            unit=self.unit, pii=self.pii, source=self.source or self.name,
        )  # fmt: skip

    @property
    def silver(self) -> Column:
        """The typed silver column."""
        nullable = self.need in {"fact", "optional"} and self.missing is None
        source = None if self.derived or self.field == self.name else self.field
        description = self.description
        if self.missing is not None:
            description = f"{description.removesuffix('.')}; {self.missing} if not given."
        return Column(
            self.name, self.type, description, nullable,
            unit=self.unit, pii=self.pii, source=source, aliases=self.aliases,
        )  # fmt: skip


def text_field(
    source: str, description: str, *, unit: str | None = None, pii: Pii | None = None
) -> Field:
    """Declare a delivered field that only bronze has."""
    return Field(
        source.lower(), "string", description, source=source, unit=unit, pii=pii, stored=False
    )


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What a dataset and a stream have in common: fields delivered as text, and typed columns.

    Attributes:
        domain: The domain of its tables.
        name: Name of the feed, e.g. `flights`; tables are `bronze_<name>` and so on.
        columns: Fields and typed columns, in the order of the silver table.
        description: What one delivered row is.
        owner: Owner of the tables.
        rows: What one silver row is, and which of several deliveries of it counts.
        nothing: Texts that mean "not given", in lower case.
        dates: Formats in which dates are delivered, in addition to `yyyy-MM-dd`.
        decimal_comma: Whether numbers are delivered as `1.234,56`. In columns without a parser,
            numbers are then read that way only, so that `5.00` is unreadable.
        rule: Completes the typed rows with everything that needs more than one field: a pure
            function of the rows that `quality.fields.typed_rows` describes and the reference data.
            It must not compare rows of several files or messages, because new ones are cleaned
            alone, unless the feed is a dataset that `counts` as `corrected`.
        reference: Functions that return the rule's reference data as Arrow tables, by name.
        options: Defaults of the settings that the rule reads, by name.
        flags: Flags that the rule sets, each as a boolean column `flag_<name>`.
        expectations: Expectations in addition to those that follow from the columns.
        watched: Silver columns whose distribution is compared over time.
        clustered: Silver columns by which rows are looked up.
        constraints: Delta CHECK constraints of silver by name.
        aliases: Other names of the bronze table, where the reference uses them.
        silver_aliases: Other names of the silver table.
        rejected: Limit on unreadable records of a partition.
        quarantined: Limit on rows of a partition that silver quarantines.
        also_read: Bronze columns that the rule receives and silver does not keep.
    """

    domain: str
    name: str
    columns: tuple[Field, ...]
    description: str
    owner: str
    rows: str = ""
    nothing: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    decimal_comma: bool = False
    rule: Rule | None = None
    reference: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    watched: tuple[str, ...] = ()
    clustered: tuple[str, ...] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    silver_aliases: tuple[str, ...] = ()
    rejected: LossLimit = LossLimit()
    quarantined: LossLimit = LossLimit()
    also_read: ClassVar[tuple[str, ...]] = ()

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def path(self) -> str:
        """The feed's full name: `<domain>/<name>`."""
        return f"{self.domain}/{self.name}"

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        """The bronze columns of the delivered fields, in the order of the deliveries."""
        return tuple(column.bronze for column in self.columns if not column.derived)

    def field_of(self, name: str) -> str:
        """Return the bronze column from which a column is read."""
        return next(column.field for column in self.columns if column.name == name)

    @property
    def lineage(self) -> tuple[Column, ...]:
        """The columns that trace a row to its delivery; the last one is the partition column."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Dataset(Feed):
    """Files of one kind, delivered into dated folders of the landing zone, and their typed rows.

    The domain and the name are the first two folders of the landing zone.

    Attributes:
        grain: Whether a partition is a day or a month of deliveries.
        key: Column that identifies a row, in a snapshot within a month. Without a key there is no
            silver table.
        counts: Which of several rows with the same key counts. `first`: the first delivery of all
            days, for events, which happen once. `latest`: the latest delivery within a partition,
            for states. `corrected`: the last delivered value, in the delivery that introduced it;
            every run compares the deliveries of all days, so use it for datasets of moderate size.
        delivered_order: Names of the delivered fields in the order of the files, if it differs from
            that of `columns`.
        header: Whether the first line of a CSV file names the columns. If not, it is data, and a
            line with more or fewer values than there are fields is rejected.
        separator: What separates the values in the lines of a CSV file.
        documents: Whether each file, of any format, is one record. The record has the fields of
            `ingest/documents.py`; the file's content stays in the landing zone.
        additive: Whether records may have undeclared attributes, and files undeclared columns.
            Their names are reported and their values are not stored in bronze: they stay in the
            delivered files until the dataset declares the field and the partition is reloaded. If
            not, such a record is rejected and a file with such a column is refused.
    """

    grain: Literal["day", "month"]
    key: str = ""
    counts: Literal["first", "latest", "corrected"] = "first"
    delivered_order: tuple[str, ...] = ()
    header: bool = True
    separator: Literal[",", ";", "\t", "|"] = ","
    documents: bool = False
    additive: bool = False

    row: ClassVar[str] = "row"
    place: ClassVar[str] = "`<file>#<row>`"
    address: ClassVar[tuple[str, ...]] = ("_source_file", "_row_number")

    __hash__ = Feed.__hash__

    @property
    def partition(self) -> PartitionColumn:
        """Partition column of every table that holds deliveries of the dataset."""
        column = "delivered_on" if self.grain == "day" else "snapshot_month"
        return PartitionColumn(column, self.grain)

    @property
    def loaded_tables(self) -> tuple[str, ...]:
        """Names of the dataset's bronze and silver tables."""
        return (
            f"bronze_{self.name}",
            f"bronze_{self.name}_rejects",
            f"silver_{self.name}",
            f"silver_{self.name}_quarantine",
        )

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        """The bronze columns of the delivered fields, in the order of the files."""
        found = super().fields
        order = self.delivered_order or tuple(str(column.source) for column in found)
        return tuple(sorted(found, key=lambda column: order.index(str(column.source))))

    @property
    def lineage(self) -> tuple[Column, ...]:
        """The columns that trace a row to its file; the last one is the partition column."""
        return (*_PROVENANCE, *delivery_columns(self))

    @property
    def shared(self) -> dict[str, Any]:
        """What its tables have in common."""
        return {"domain": self.domain, "owner": self.owner, "kind": "event",
                "partition": self.partition}  # fmt: skip

    @property
    def identity(self) -> dict[str, Any]:
        """The keys of its silver table, and the table's kind if it has no events."""
        if self.grain == "month":
            return {"keys": (self.partition.column, self.key), "kind": "snapshot"}
        return {"keys": (self.key,)}

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the delivered fields, in the order of the files."""
        return tuple(column.source or column.name for column in self.fields)


def with_limits(feed: _Feed, limits: Limits) -> _Feed:
    """Return a feed with limits from settings; those for its path override those for `*`."""
    given = {
        field: limit for name in ("*", feed.path) for path, field, limit in limits if path == name
    }
    return replace(
        feed,
        rejected=given.get("rejected", feed.rejected),
        quarantined=given.get("quarantined", feed.quarantined),
    )


def with_options(feed: _Feed, options: Mapping[str, Any]) -> _Feed:
    """Return a feed with the given values of its options; other names are ignored."""
    given = {name: options.get(name, value) for name, value in feed.options.items()}
    return replace(feed, options=given)


def delivery_columns(dataset: Dataset) -> tuple[Column, ...]:
    """Return the columns that date the delivery; the last one is the partition column."""
    delivered = Column(
        "delivered_on",
        "date",
        "Day of delivery, from the dated folder in the landing zone.",
        nullable=False,
    )
    if dataset.grain == "day":
        return (delivered,)
    month = Column("snapshot_month", "date", "Month of delivery, as its first day.", nullable=False)
    return (delivered, month)


def bronze_table(dataset: Dataset) -> Table:
    """Declare the bronze table: every delivered row as text, with its provenance."""
    sha256 = Column("_file_sha256", "string", "SHA-256 of the file as delivered.", False)
    return Table(
        **dataset.shared,
        name=f"bronze_{dataset.name}",
        layer="bronze",
        description=f"{dataset.description} Every field holds the delivered text.",
        columns=(*dataset.fields, *_PROVENANCE, sha256, *_FILE, *delivery_columns(dataset)),
        keys=dataset.address,
        aliases=dataset.aliases,
    )


def rejects_table(dataset: Dataset) -> Table:
    """Declare the table of malformed records and of files that were refused as a whole."""
    return Table(
        **dataset.shared,
        name=f"bronze_{dataset.name}_rejects",
        layer="bronze",
        description=(
            f"Rejects of {dataset.path}: records that could not be parsed, with their raw text, "
            "and files that were refused as a whole (line 0, no text)."
        ),
        columns=(
            Column(
                "line_number",
                "bigint",
                "Line in the file, from 1; 0 for a refused file; -n for record n if a request to "
                "forget a person removed it.",
                False,
                "position",
            ),
            Column("raw_text", "string", "The record as delivered.", pii="identifier"),
            Column("reason", "string", "Why the record or file could not be read.", False),
            _PROVENANCE[0],
            Column(
                "_file_sha256", "string", "SHA-256 of the file; null if the file could not be read."
            ),
            *_FILE,
            *delivery_columns(dataset),
        ),
        keys=("_source_file", "line_number", "raw_text"),
    )


def silver_table(feed: Dataset | Stream) -> Table:
    """Declare the silver table: typed columns, `quality_flags`, and where a row was delivered."""
    columns = [column.silver for column in feed.columns if column.stored]
    return Table(
        **feed.shared | feed.identity,
        name=f"silver_{feed.name}",
        layer="silver",
        description=feed.rows,
        columns=(*columns, QUALITY_FLAGS, *feed.lineage),
        constraints=feed.constraints,
        watched=feed.watched,
        clustered=feed.clustered,
        aliases=feed.silver_aliases,
    )


def dataset_tables(dataset: Dataset) -> tuple[Table, ...]:
    """Declare the four tables of a dataset: bronze, its rejects, silver and its quarantine.

    Raises:
        LakehouseError: a declared column or key is not valid.
    """
    made = (bronze_table, rejects_table, silver_table, quarantine_table)
    return tuple(make(dataset) for make in made)


def quarantine_table(feed: Dataset | Stream) -> Table:
    """Declare the table of bronze rows that are not in silver, with all reasons."""
    row = feed.row
    return Table(
        **feed.shared,
        name=f"silver_{feed.name}_quarantine",
        layer="silver",
        description=(
            f"{row.capitalize()}s of bronze_{feed.name} that are not in silver_{feed.name}: "
            f"quarantined {row}s with all reasons that apply, and duplicates with the {row} that "
            "was kept."
        ),
        columns=(
            Column("disposition", "string", "`quarantined` or `duplicate`.", False),
            Column("reasons", "array<string>", f"Names of the expectations that the {row} fails."),
            Column("duplicate_of", "string", f"For a duplicate, the {row} that was kept: "
                   f"{feed.place}."),
            *feed.fields,
            *feed.lineage,
        ),
        keys=feed.address,
        constraints={"known_disposition": "disposition IN ('quarantined', 'duplicate')"},
    )  # fmt: skip


def dataset_named(datasets: Sequence[Dataset], path: str) -> Dataset:
    """Find a dataset by `<domain>/<name>`.

    Raises:
        LakehouseError: there is none; the message lists the known ones.
    """
    for dataset in datasets:
        if dataset.path == path:
            return dataset
    raise LakehouseError(
        f"There is no dataset {path!r}; choose one of {', '.join(d.path for d in datasets)}."
    )
