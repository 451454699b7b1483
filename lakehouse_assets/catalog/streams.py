"""The declaration of a stream of events, and the tables that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lakehouse_assets.catalog.datasets import Feed, quarantine_table, silver_table
from lakehouse_assets.catalog.registry import Column, Measure, PartitionColumn, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.engine import DataFrame

EVENT_DATE = PartitionColumn("event_date", "day")
# A stream commits every few seconds: a checkpoint for every tenth commit would take more time than
# it saves, and old versions are soon too many. The offsets that a table has reached are
# transactions in its log; they must outlive any pause of the stream, or its events would be read
# again.
_PROPERTIES = {
    "delta.checkpointInterval": "100",
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
    "delta.setTransactionRetentionDuration": "interval 3650 days",
}
_DATE = Column(
    "event_date", "date", "Day of the event in UTC, by the event's own time.", nullable=False
)
_INGESTED = Column("_ingested_at", "timestamp", "When the event was written to bronze.", False)
_LINEAGE = (
    Column("_source", "string", "Where the message was read: scheme, broker or folder, consumer "
           "group, topic and partition.", False),
    Column("_topic", "string", "Topic of the message.", False),
    Column("_partition", "int", "Partition of the topic.", False, "code"),
    Column("_offset", "bigint", "Offset of the message in the partition.", False, "position"),
    Column("_index", "int", "Position of the event in its message, from 0.", False, "position"),
    Column("_enqueued_at", "timestamp", "When the broker received the message; null if unknown."),
)  # fmt: skip
ADDRESS = ("_source", "_offset", "_index")
"""Columns that identify an event by where it was read."""


@dataclass(frozen=True)
class Aggregate:
    """A column of the minutes.

    Attributes:
        name: Its name.
        of: Silver column.
        how: `mean` is exact and rounded to four decimals, as a double; `total` adds whole numbers
            up; `lowest` and `highest` keep the type.
        description: What it means.
    """

    name: str
    of: str
    how: Literal["mean", "total", "lowest", "highest"]
    description: str


@dataclass(frozen=True, kw_only=True)
class Stream(Feed):
    """Events that arrive as messages of a topic: one JSON object, or an array of them.

    Undeclared attributes are reported and not stored: they stay in the topic until the stream
    declares them.

    Attributes:
        topic: The topic.
        source: Name of the stream source that has the topic, see `LAKEHOUSE_STREAM_<SOURCE>`.
        event_time: Silver column, a timestamp, of the event's own time. An event without a readable
            time is rejected.
        device: Silver column of what sends the events. Device and time identify an event; of
            several, the one that the broker received first counts.
        minute: Columns of the minutes.
        measures: Figures computed from the minutes.
        subject: Subject of the tables, by which they are grouped.
    """

    topic: str
    source: str = "devices"
    event_time: str = "event_time"
    device: str = "device_id"
    minute: tuple[Aggregate, ...]
    measures: tuple[Measure, ...] = ()
    subject: str = "devices"
    row: ClassVar[str] = "event"
    place: ClassVar[str] = "`<source>:<offset>#<index>`"
    address: ClassVar[tuple[str, ...]] = ADDRESS
    also_read: ClassVar[tuple[str, ...]] = (_INGESTED.name,)

    __hash__ = Feed.__hash__

    @property
    def key(self) -> tuple[str, str]:
        """Silver columns that identify an event."""
        return (self.device, self.event_time)

    @property
    def reader(self) -> str:
        """Name of the step that reads the stream into its tables."""
        return f"{self.domain}__read_{self.name}"

    @property
    def time_field(self) -> str:
        """Name of the bronze column with the event's time."""
        return self.field_of(self.event_time)

    @property
    def lineage(self) -> tuple[Column, ...]:
        """The columns that trace an event to its message; the last one is the partition column."""
        return (*_LINEAGE, _DATE)

    @property
    def shared(self) -> dict[str, Any]:
        """What its tables have in common."""
        return {
            "domain": self.domain, "owner": self.owner, "kind": "event", "partition": EVENT_DATE,
            "topic": self.subject, "properties": _PROPERTIES, "writer": self.reader,
        }  # fmt: skip

    @property
    def identity(self) -> dict[str, Any]:
        """The keys of its silver table."""
        return {"keys": self.key}


@dataclass(frozen=True)
class LiveAlarm:
    """What `lakehouse stream` reports about the last closed minute.

    Attributes:
        title: What is wrong with the rows that the rule finds, such as "Out of limits".
        nothing: What is true if it finds none.
        minutes: A table of minutes.
        rule: Finds the rows, which have a column `began_at`, given `minutes` (those of its day and
            the day before, up to the closed minute), `day`, `loaded_at` (the closed minute) and
            what `reads` names.
        reads: Functions that return reference data as Arrow tables, by parameter name.
        text: Describes a row.
    """

    title: str
    nothing: str
    minutes: Table
    rule: Callable[..., DataFrame]
    reads: Mapping[str, Callable[[], pa.Table]]
    text: Callable[[Mapping[str, Any]], str]


def bronze_events(stream: Stream) -> Table:
    """Declare the bronze table: every event as text, with its place in the topic."""
    return Table(
        **stream.shared,
        name=f"bronze_{stream.name}",
        layer="bronze",
        description=f"{stream.description} Every attribute holds the text that was sent.",
        columns=(*stream.fields, *_LINEAGE, _INGESTED, _DATE),
        keys=ADDRESS,
        aliases=stream.aliases,
    )


def rejected_events(stream: Stream) -> Table:
    """Declare the table of messages and events that could not be read."""
    return Table(
        **stream.shared | {"partition": None},
        name=f"bronze_{stream.name}_rejects",
        layer="bronze",
        description=(
            f"Rejects of the topic {stream.topic}: messages, and events in them, that could not be "
            "parsed, with their raw text."
        ),
        columns=(
            *_LINEAGE,
            Column(
                "raw_text", "string", "The text as sent; bytes that are not UTF-8 appear as "
                "\\xNN.", False,
            ),
            Column("reason", "string", "Why the message or event could not be parsed.", False),
            _INGESTED,
        ),
        keys=ADDRESS,
    )  # fmt: skip


def minutes(stream: Stream) -> Table:
    """Declare the table of minutes: one row per device and minute with events in silver."""
    silver = silver_table(stream)
    return Table(
        **stream.shared | {"kind": "aggregate"},
        name=f"agg_{stream.name}_minute",
        layer="gold",
        description=(
            f"Events of silver_{stream.name} by minute: one row per device and minute with "
            "events. A late event changes its minute; `revision` counts these changes."
        ),
        columns=(
            silver.column(stream.device),
            Column("minute", "timestamp", "Start of the minute in UTC.", False),
            Column("readings", "bigint", "Number of events in the minute.", False, "count"),
            *(_minute_column(silver, aggregate) for aggregate in stream.minute),
            Column(
                "revision", "int", "How often late events changed the row after the watermark "
                "closed its minute.", False, "count",
            ),
            _DATE,
        ),
        keys=(stream.device, "minute"),
        clustered=("minute",),
        measures=stream.measures,
    )  # fmt: skip


def stream_tables(stream: Stream) -> tuple[Table, ...]:
    """Declare a stream's tables: bronze, its rejects, silver, its quarantine and the minutes.

    Raises:
        LakehouseError: a declared column or key is not valid.
    """
    made = (bronze_events, rejected_events, silver_table, quarantine_table, minutes)
    return tuple(make(stream) for make in made)


def _minute_column(silver: Table, aggregate: Aggregate) -> Column:
    of = silver.column(aggregate.of)
    kinds = {"mean": "double", "total": "bigint"}
    return Column(
        aggregate.name,
        kinds.get(aggregate.how, of.type),
        aggregate.description,
        unit=of.unit,
        pii=of.pii,
    )
