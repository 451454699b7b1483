"""Read landed files of a dataset into bronze rows and rejects, and count their records.

The definitions import this module, so it imports the format readers only inside functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from io import FileIO
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import FileRefusedError, LakehouseError
from lakehouse_assets.ingest.attributes import Attributes, check_first_line, columns_of_header
from lakehouse_assets.ingest.documents import describe
from lakehouse_assets.ingest.files import Content, file_format, opened
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ingest.records import Malformed, Record
from lakehouse_assets.ingest.removal import Removal
from lakehouse_assets.lake.schema import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

# Line number of the reject for a file that could not be read at all.
WHOLE_FILE = 0
# A batch is complete when it has this many rows, or this many characters of text.
_ROWS = 50_000
_CHARACTERS = 16 << 20


@dataclass(frozen=True)
class Delivery:
    """Result of reading a set of files.

    Attributes:
        rows: Frame of the bronze table.
        rejects: Frame of the rejects table.
        delivered: Number of records in the files, by partition value.
        refused: One sentence for each file that could not be read at all.
        files: Number of files, including refused ones.
        undeclared: Sentences about new or missing attributes.
        differing: Number of those attributes, by partition value.
    """

    rows: DataFrame
    rejects: DataFrame
    delivered: Counter[date]
    refused: list[str]
    files: int
    undeclared: list[str]
    differing: Counter[date]


def partition_value(dataset: Dataset, delivered_on: date) -> date:
    """Return the partition of a delivery: its day, or the first day of its month."""
    return delivered_on if dataset.grain == "day" else delivered_on.replace(day=1)


def by_partition(dataset: Dataset, files: Iterable[LandedFile]) -> dict[date, list[LandedFile]]:
    """Group files by partition, keeping their order."""
    found: dict[date, list[LandedFile]] = {}
    for file in files:
        found.setdefault(partition_value(dataset, file.delivered_on), []).append(file)
    return found


@dataclass
class _Tally:
    """Counts for one file: records, and how many of them have new or missing attributes."""

    records: int = 0
    undeclared: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    sha256: str = ""


class _Loading:
    """Reads the files of a delivery one after the other, with counts, hashes and refusals.

    Attributes:
        schema: Columns of the batches: for a row, the fields as text and `_row_number`; for a
            reject, `_line`, `_text` and `_reason`; for both, `_file`, the index of the file.
        hashes: SHA-256 of each file that was read, by index.
        records: Number of records of each file that was read, by index.
        refused: Why a file was refused, by index.
        delivered: Number of records by partition.
        attributes: New and missing attributes.
        fault: The transient error that ended reading, if any.
    """

    def __init__(
        self,
        dataset: Dataset,
        files: Sequence[LandedFile],
        limits: FileLimits,
        removal: Removal | None,
    ) -> None:
        import pyarrow as pa

        self._dataset, self._files, self._limits = dataset, files, limits
        self._removal = removal
        self.fields = [column.name for column in dataset.fields]
        text = [pa.field(name, pa.string()) for name in (*self.fields, "_text", "_reason")]
        self.schema = pa.schema(
            [*text, ("_row_number", pa.int64()), ("_line", pa.int64()), ("_file", pa.int32())]
        )
        self.hashes: dict[int, str] = {}
        self.records: dict[int, int] = {}
        self.refused: dict[int, str] = {}
        self.delivered: Counter[date] = Counter()
        self.attributes = Attributes()
        self.fault: Exception | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield rows and rejects of all files; the caller must drop those of refused files.

        A file that cannot be read is refused, and the others are read.

        Raises:
            Exception: a transient error of a disk or cloud storage; the step is then retried.
        """
        from lakehouse_assets.storage.transient import is_transient

        for place, file in enumerate(self._files):
            tally = _Tally()
            try:
                if file.problem:
                    raise FileRefusedError(file.problem)
                with opened(file.local, file.short_name) as stream:
                    for table in self._tables_of(file, stream, tally):
                        yield self._batch(table, place)
            except Exception as error:
                if is_transient(error):
                    self.fault = error
                    raise
                self.refused[place] = (
                    str(error)
                    if isinstance(error, LakehouseError)
                    else f"{file.short_name} cannot be read ({type(error).__name__}: {error}); "
                    "check the file and deliver it again."
                )
                continue
            day = partition_value(self._dataset, file.delivered_on)
            self.hashes[place], self.records[place] = tally.sha256, tally.records
            self.delivered[day] += tally.records
            self.attributes.undeclared.update({(day, n): k for n, k in tally.undeclared.items()})
            self.attributes.missing.update({(day, n): k for n, k in tally.missing.items()})

    def _tables_of(self, file: LandedFile, stream: FileIO, tally: _Tally) -> Iterator[pa.Table]:
        """Read a file; yield tables of its rows, and of its rejects."""
        from lakehouse_assets.ingest.json_records import json_records

        dataset, limits, name = self._dataset, self._limits, file.short_name
        if dataset.documents:
            values = describe(stream, file.name, limits)
            tally.sha256 = str(values[-1])
            yield from _gathered([Record(1, values)], self.fields, tally)
            return
        kind = file_format(name)
        if dataset.decimal_comma and kind != "csv":
            raise FileRefusedError(
                f"{name} is not a CSV file, but {dataset.path} declares decimal commas, which only "
                "CSV files have; deliver it as CSV, or to a dataset without decimal_comma."
            )
        if kind == "parquet":
            yield from self._parquet(stream, name, tally)
            return
        content = Content(stream, name, limits)
        found = self._csv(content, tally) if kind == "csv" else json_records(
            content, name, limits, dataset.source_names, dataset.additive
        )  # fmt: skip
        yield from _gathered(found, self.fields, tally)
        tally.sha256 = content.sha256
        if not tally.records:
            header = kind == "csv" and dataset.header
            found_none = "a header but no rows" if header else "no records"
            raise FileRefusedError(f"{name} has {found_none}; deliver it again with its rows.")

    def _csv(self, content: Content, tally: _Tally) -> Iterator[pa.Table | Record | Malformed]:
        from lakehouse_assets.ingest.csv_records import CsvReader

        dataset, names = self._dataset, self._dataset.source_names
        separator = dataset.separator
        reader = CsvReader(content, dataset.header, separator)
        if not dataset.header:
            check_first_line(content.name, reader.first_line, len(names), separator)
            yield from reader.read(len(names))
            return
        if (columns := reader.first_line.count(separator) + 1) > self._limits.columns:
            raise self._limits.exceeded(content.name, "columns", f"has {columns:,} columns")
        found = columns_of_header(
            content.name, reader.first_line, names, dataset.additive, separator
        )
        yield from reader.read(len(found), [found.index(name) for name in names])
        tally.undeclared.update({name: tally.records for name in found if name not in names})

    def _parquet(self, stream: FileIO, name: str, tally: _Tally) -> Iterator[pa.Table]:
        """Read a Parquet file; a row's number is its position in the file, from 1."""
        import hashlib

        import pyarrow as pa

        from lakehouse_assets.ingest.parquet_records import ParquetReader

        tally.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        dataset = self._dataset
        reader = ParquetReader(stream, name, dataset.source_names, dataset.additive, self._limits)
        for batch in reader.batches():
            first = tally.records + 1
            tally.records += batch.num_rows
            numbers = pa.array(range(first, tally.records + 1))
            yield pa.table([*batch.columns, numbers], [*self.fields, "_row_number"])
        tally.undeclared.update(dict.fromkeys(reader.undeclared, tally.records))

    def _batch(self, table: pa.Table, place: int) -> pa.RecordBatch:
        """Add the columns of the schema that a table lacks."""
        import pyarrow as pa

        rows = table.num_rows
        table = table.append_column("_file", pa.repeat(place, rows))
        arrays = [
            table[column.name].combine_chunks().cast(column.type)
            if column.name in table.column_names
            else pa.nulls(rows, column.type)
            for column in self.schema
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        return self._removal.apply(batch) if self._removal else batch


def read_delivery(
    dataset: Dataset,
    files: Sequence[LandedFile],
    engine: Engine,
    ingested_at: datetime,
    limits: FileLimits | None = None,
    removal: Removal | None = None,
) -> Delivery:
    """Read landed files; a refused file does not stop the others.

    Args:
        dataset: Dataset of the files.
        files: The files, with their content on this machine.
        engine: Engine that receives the rows.
        ingested_at: Start of the run that reads the files.
        limits: Limits on the files.
        removal: Recognises the records of forgotten people, which become rejects without text.

    Raises:
        Exception: a transient error of a disk or cloud storage.
    """
    import pyarrow as pa

    loading = _Loading(dataset, files, limits or FileLimits(), removal)
    stream = pa.RecordBatchReader.from_batches(loading.schema, loading.batches())
    try:
        stored = engine.from_arrow(stream)
    except Exception:
        # Engines raise their own error with the text of ours, which hides that it is transient.
        if loading.fault:
            raise loading.fault from None
        raise
    schema = arrow_schema(rejects_table(dataset))

    def about(place: int) -> dict[str, Any]:
        """Return the columns that all rows of a file share."""
        file = files[place]
        return {
            "_source_file": file.name,
            "_file_sha256": loading.hashes.get(place),
            "_file_version": file.fingerprint,
            "_file_records": loading.records.get(place),
            "delivered_on": file.delivered_on,
            dataset.partition.column: partition_value(dataset, file.delivered_on),
        }

    origins = [{"_file": place, **about(place)} for place in loading.hashes]
    constants = [f for f in schema if f.name.startswith(("_source", "_file", "deliv", "snapshot"))]
    origin = pa.Table.from_pylist(origins, pa.schema([("_file", pa.int32()), *constants]))
    # Refused files are not among the origins, so the join drops the rows that were read of them.
    found = stored.join(engine.from_arrow(origin), "_file").withColumn(
        "_ingested_at", F.lit(ingested_at).cast("timestamp")
    )
    names = {"_line": "line_number", "_text": "raw_text", "_reason": "reason"}
    malformed = found.filter(F.col("_reason").isNotNull())
    for name, column in names.items():
        malformed = malformed.withColumn(column, F.col(name))
    refused = [
        {
            "line_number": WHOLE_FILE, "raw_text": None, "reason": why,
            "_ingested_at": ingested_at, **about(place),
        }
        for place, why in loading.refused.items()
    ]  # fmt: skip
    whole = engine.from_arrow(pa.Table.from_pylist(refused, schema))
    return Delivery(
        rows=found.filter(F.col("_reason").isNull()).select(*bronze_table(dataset).column_names),
        rejects=engine.union([malformed.select(*schema.names), whole]),
        delivered=+loading.delivered,
        refused=[f"{files[place].name}: {why}" for place, why in loading.refused.items()],
        files=len(files),
        undeclared=loading.attributes.sentences(loading.delivered, dataset.additive),
        differing=loading.attributes.differing(loading.delivered),
    )


def _gathered(
    found: Iterable[pa.Table | Record | Malformed], fields: Sequence[str], tally: _Tally
) -> Iterator[pa.Table]:
    """Collect records into tables, and count them."""
    rows: list[Record] = []
    bad: list[Malformed] = []
    size = 0
    for record in found:
        if not isinstance(record, (Record, Malformed)):
            tally.records += record.num_rows
            yield record.rename_columns(["_row_number", *fields])
            continue
        tally.records += 1
        if record.undeclared:
            tally.undeclared.update(record.undeclared)
        if record.missing:
            tally.missing.update(record.missing)
        if isinstance(record, Malformed):
            bad.append(record)
            size += len(record.text)
        else:
            rows.append(record)
            size += sum(map(len, filter(None, record.values)))
        if len(rows) + len(bad) >= _ROWS or size >= _CHARACTERS:
            yield from _tables(rows, bad, fields)
            rows, bad, size = [], [], 0
    yield from _tables(rows, bad, fields)


def _tables(
    rows: Sequence[Record], bad: Sequence[Malformed], fields: Sequence[str]
) -> Iterator[pa.Table]:
    import pyarrow as pa

    if rows:
        values = zip(*(row.values for row in rows), strict=True)
        columns = [pa.array(column, pa.string()) for column in values]
        numbers = pa.array([row.number for row in rows])
        yield pa.table([*columns, numbers], [*fields, "_row_number"])
    if bad:
        text = {"_text": [record.text for record in bad], "_reason": [r.reason for r in bad]}
        yield pa.table({"_line": [record.line for record in bad], **text})
