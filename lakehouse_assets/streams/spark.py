"""Reads a stream with Spark Structured Streaming, for topics that one machine cannot keep up with.

Spark reads the topic and parses its messages on all workers; bronze, silver and minutes are then
made by the same functions as on the embedded engine. The offsets that each table has reached are in
the tables, in transactions of the same names, so either engine continues where the other one
stopped. Spark's own checkpoint is discarded when reading ends.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.streams import Stream, bronze_events, rejected_events
from lakehouse_assets.clock import now
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.spark import SparkEngine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.sources.kafka import KafkaSource
from lakehouse_assets.sources.messages import Message
from lakehouse_assets.streams.ingest import MOST, Cycle, Ingest, minutes_of, sent_time
from lakehouse_assets.streams.messages import MessageReader, Minute

if TYPE_CHECKING:
    import pyarrow as pa

# Before every minute.
_NONE = Minute(datetime.min.replace(tzinfo=UTC), date.min)


class SparkIngest(Ingest):
    """A stream that Spark reads.

    Args:
        stream: The stream.
        source: The broker, which is asked for offsets; Spark reads the messages by itself.
        lake: Where the tables are stored, on the Spark engine.
        run_id: The run that its commits name.

    Raises:
        FencedError: another process writes the same messages.
        LakehouseError: the source or the lake does not answer, or messages are gone, or Spark's
            session is that of a server.
    """

    def __init__(self, stream: Stream, source: KafkaSource, lake: Lake, run_id: str) -> None:
        if not isinstance(lake.engine, SparkEngine) or lake.engine.remote:
            raise LakehouseError(
                "Spark can only read a stream in a local session; unset LAKEHOUSE_SPARK_REMOTE and "
                "LAKEHOUSE_SPARK_DATABRICKS, or use LAKEHOUSE_ENGINE=duckdb."
            )
        self._session = lake.engine.session
        self._kafka = source
        super().__init__(stream, source, lake, run_id)

    def cycle(self, seconds: float, most: int = MOST) -> Cycle:
        """Read the messages that there are, in one batch or several.

        Args:
            seconds: Not used: Spark does not wait.
            most: Maximum number of messages of a batch.

        Raises:
            FencedError: another process writes the same messages.
            LakehouseError: the source or the lake does not answer, or messages are gone.
        """
        from pyspark.errors import StreamingQueryException

        kafka, topic, engine = self._kafka, self.stream.topic, self._lake.engine
        # From where the tables are, also after the cycle before.
        self._assign({kafka.app_id(topic, p): p for p in kafka.partitions(topic)})
        positions = kafka.positions()
        begin = {str(partition): offset for (_, partition), offset in positions.items()}
        messages = (
            self._session.readStream.format("kafka")
            .options(**kafka.spark_options())
            .option("assign", json.dumps({topic: [int(number) for number in begin]}))
            .option("startingOffsets", json.dumps({topic: begin}))
            .option("maxOffsetsPerTrigger", str(most))
            .option("failOnDataLoss", "true")
            .load()
        )
        written: list[Cycle] = []
        failed: list[BaseException] = []

        def write(frame: DataFrame, _number: int) -> None:
            try:
                with engine.scope():
                    written.append(self._batch(frame))
            except BaseException as error:
                # Spark passes on its text only.
                failed.append(error)
                raise

        with tempfile.TemporaryDirectory(prefix="lakehouse-stream-") as folder:
            writer = messages.writeStream.foreachBatch(write).trigger(availableNow=True)
            query = writer.option("checkpointLocation", folder).start()
            try:
                query.awaitTermination()
            except StreamingQueryException as error:
                if failed:
                    raise failed[0] from None
                raise LakehouseError(
                    f"Spark cannot read topic {topic}: "
                    f"{str(error).strip().splitlines()[0].rstrip('.')}."
                ) from error
            finally:
                query.stop()
            last = query.lastProgress
        if last is not None:
            # Behind the control records of transactions, too, which are in no batch.
            reached = json.loads(last["sources"][0]["endOffset"])[topic]
            positions |= {(topic, int(number)): offset for number, offset in reached.items()}
        return self._with_offsets(sum(written, Cycle()), positions)

    def _batch(self, frame: DataFrame) -> Cycle:
        """Write the messages of a batch, partition by partition.

        A commit of Spark records one transaction, and each partition has its own.
        """
        engine = self._lake.engine
        names = {partition: name for name, partition in self._assigned.items()}
        messages = engine.checkpoint(
            frame.select("topic", "partition", "offset", "value", "timestamp")
        )
        numbers = F.count(F.lit(1)).alias("messages")
        read = engine.rows(
            messages.groupBy("partition").agg(F.max("offset").alias("last"), numbers)
        )
        parse = _Parser(self.stream, names, now())
        parsed = engine.checkpoint(messages.mapInArrow(parse, _spark_schema(parse.schema())))
        undeclared = Counter[str]()
        for row in engine.rows(parsed.filter(F.col("drift").isNotNull()).select("drift")):
            undeclared.update(json.loads(row["drift"]))
        total = Cycle(messages=sum(row["messages"] for row in read), undeclared=undeclared)
        ends = {names[row["partition"]]: row["last"] + 1 for row in read}
        parts = [self._part(parsed, name, end) for name, end in ends.items()]
        # Each commit of minutes says up to when minutes are closed: the latest comes last.
        parts.sort(key=lambda part: max(part[1], default=_NONE))
        closed = self._closed
        for part in parts:
            # The other partitions of this batch do not make these events late.
            self._closed = closed
            total += self._store(*part)
        return total

    def _part(
        self, parsed: DataFrame, name: str, end: int
    ) -> tuple[DataFrame, dict[Minute, int], DataFrame, int, dict[str, int]]:
        """Return what was read of a partition up to an offset, as `_store` takes it."""
        engine = self._lake.engine
        mine = parsed.filter(F.col("_source") == F.lit(name))
        events = mine.filter(F.col("reason").isNull()).select(*self._bronze.column_names)
        rejects = mine.filter(F.col("reason").isNotNull()).select(*self._rejects.column_names)
        rejected = engine.rows(rejects.agg(F.count(F.lit(1)).alias("n")))[0]["n"]
        minutes = minutes_of(engine, events, sent_time(self.stream))
        return events, minutes, rejects, rejected, {name: end}


@dataclass(frozen=True)
class _Parser:
    """Parses messages on a worker of Spark, on which this package has to be installed.

    Attributes:
        stream: The stream.
        names: Name of the source of each partition.
        ingested_at: When the rows are written to bronze.
    """

    stream: Stream
    names: Mapping[int, str]
    ingested_at: datetime

    def schema(self) -> pa.Schema:
        """Return the columns of the rows: those of bronze and its rejects, and `drift`.

        An event has no `reason`. A row with `drift` holds no event: it counts undeclared
        attributes, as JSON.
        """
        import pyarrow as pa

        bronze = arrow_schema(bronze_events(self.stream))
        rejects = arrow_schema(rejected_events(self.stream))
        fields = [*bronze, *(field for field in rejects if field.name not in bronze.names)]
        fields.append(pa.field("drift", pa.string()))
        return pa.schema([field.with_nullable(True).remove_metadata() for field in fields])

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Parse batches of `topic`, `partition`, `offset`, `value` and `timestamp`."""
        import pyarrow as pa

        schema = self.schema()
        reader = MessageReader(self.stream, lambda _, partition: self.names[partition])
        for batch in batches:
            columns = [column.to_pylist() for column in batch.columns]
            messages = [
                Message(topic, partition, offset, value or b"", moment)
                for topic, partition, offset, value, moment in zip(*columns, strict=True)
            ]
            parsed = reader.read(messages, self.ingested_at)
            parts = [parsed.events, parsed.rejects]
            if parsed.undeclared:
                parts.append(pa.table({"drift": [json.dumps(parsed.undeclared)]}))
            rows = pa.concat_tables(parts, promote_options="default")
            empty = schema.empty_table()
            yield from (
                pa.concat_tables([empty, rows], promote_options="default").cast(schema).to_batches()
            )


def _spark_schema(schema: pa.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema, prefer_timestamp_ntz=True)
