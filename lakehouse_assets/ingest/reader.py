"""Delivered files as bronze rows and rejects.

Belongs here: reading a list of landed files of one dataset into the frames that the bronze tables
take, and counting what was delivered. Not here: listing the zone (`landing.py`) or writing tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import CsvFile, CsvRead, Engine
from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.csv_records import csv_records
from lakehouse_assets.ingest.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.ingest.documents import describe
from lakehouse_assets.ingest.files import (
    FileFacts,
    check_header,
    examine,
    file_format,
    line_numbers,
)
from lakehouse_assets.ingest.json_records import json_records
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.parquet_records import (
    ParquetFacts,
    examine_parquet,
    parquet_batches,
)
from lakehouse_assets.ingest.records import Malformed, Record
from lakehouse_assets.lake.schema import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 50_000


@dataclass(frozen=True)
class Delivery:
    """What a set of files delivered.

    Attributes:
        rows: Frame of the bronze table.
        rejects: Frame of the rejects table.
        delivered: Records counted in the files themselves, by partition value.
        refused: One sentence per file that could not be read at all.
        files: Number of files looked at.
    """

    rows: DataFrame
    rejects: DataFrame
    delivered: Counter[date]
    refused: list[str]
    files: int


def partition_value(dataset: Dataset, delivered_on: date) -> date:
    """Return the partition a delivery belongs to: its day, or the first day of its month."""
    return delivered_on if dataset.grain == "day" else delivered_on.replace(day=1)


def by_partition(dataset: Dataset, files: Iterable[LandedFile]) -> dict[date, list[LandedFile]]:
    """Group files by the partition that they belong to, in their order."""
    found: dict[date, list[LandedFile]] = {}
    for file in files:
        found.setdefault(partition_value(dataset, file.delivered_on), []).append(file)
    return found


def read_delivery(
    dataset: Dataset, files: Sequence[LandedFile], engine: Engine, ingested_at: datetime
) -> Delivery:
    """Read landed files; a file that must be refused does not stop the others."""
    import pyarrow as pa

    csv_files: list[tuple[LandedFile, FileFacts]] = []
    # JSON, and CSV that the engine's reader is unsure of, is split record by record.
    slow_files: list[tuple[LandedFile, FileFacts]] = []
    described: list[tuple[LandedFile, Record]] = []
    parquet_files: list[tuple[LandedFile, ParquetFacts]] = []
    rejects: list[dict[str, Any]] = []
    refused: list[str] = []

    def reject(
        file: LandedFile, sha256: str | None, line: int, text: str | None, reason: str
    ) -> None:
        rejects.append(
            {
                "line_number": line, "raw_text": text, "reason": reason,
                "_source_file": file.name, "_file_sha256": sha256, "_ingested_at": ingested_at,
                "delivered_on": file.delivered_on,
                dataset.partition.column: partition_value(dataset, file.delivered_on),
            }
        )  # fmt: skip

    delivered: Counter[date] = Counter()
    for file in files:
        try:
            if dataset.documents:
                described.append((file, Record(1, describe(file.local, file.name))))
                delivered[partition_value(dataset, file.delivered_on)] += 1
                continue
            kind = file_format(file.local)
            if kind == "parquet":
                found = examine_parquet(file.local, dataset.source_names)
                parquet_files.append((file, found))
                delivered[partition_value(dataset, file.delivered_on)] += found.rows
                continue
            facts = examine(file.local)
            if kind == "csv" and dataset.header:
                check_header(file.local, facts, dataset.source_names)
            # What counts as empty lines begins after the first one, which is a header or data.
            begun = dataset.header or facts.first_line != ""
            sound = kind == "csv" and begun and facts.newline is not None and not facts.odd_quotes
            (csv_files if sound else slow_files).append((file, facts))
        except FileRefusedError as error:
            refused.append(f"{file.name}: {error}")
            reject(file, None, 0, None, str(error))

    frames: list[DataFrame] = []
    if csv_files:
        read, records = _read_csv(dataset, csv_files, engine)
        for file, facts in csv_files:
            if file.local not in records:
                # The engine does not vouch for it, or its rows and rejects are not all there is.
                slow_files.append((file, facts))
                continue
            lost = [bad for bad in read.malformed if bad.path == file.local]
            lines = line_numbers(file.local, [bad.position for bad in lost]) if lost else []
            for line, bad in zip(lines, lost, strict=True):
                reject(file, facts.sha256, line, bad.text, bad.reason)
            delivered[partition_value(dataset, file.delivered_on)] += records[file.local]
        doubted = [file.name for file, _ in csv_files if file.local not in records]
        frame = read.rows
        frames.append(frame.filter(~F.col("_source_file").isin(doubted)) if doubted else frame)
    bronze = bronze_table(dataset)
    schema = pa.schema([f for f in arrow_schema(bronze) if f.name != "_ingested_at"])
    if slow_files or parquet_files or described or not frames:
        batches = chain(
            _batches(dataset, slow_files, schema, delivered, reject, refused),
            _parquet_batches(dataset, parquet_files, schema),
            _document_batches(dataset, described, schema),
        )
        frames.append(engine.from_arrow(pa.RecordBatchReader.from_batches(schema, batches)))
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionByName(frame)
    rows = rows.withColumn("_ingested_at", F.lit(ingested_at).cast("timestamp"))
    reject_schema = arrow_schema(rejects_table(dataset))
    return Delivery(
        rows=rows.select(*bronze.column_names),
        rejects=engine.from_arrow(pa.Table.from_pylist(rejects, schema=reject_schema)),
        delivered=delivered,
        refused=refused,
        files=len(files),
    )


def _read_csv(
    dataset: Dataset, files: Sequence[tuple[LandedFile, FileFacts]], engine: Engine
) -> tuple[CsvRead, dict[Path, int]]:
    """Let the engine read CSV files; return what it read and the record count of the sound ones."""
    read = engine.read_csv(
        [
            CsvFile(
                path=file.local,
                constants=_constants(dataset, file, facts.sha256),
                newline=facts.newline or "",
                first_blank=facts.first_blank,
                header=dataset.header,
            )
            for file, facts in files
        ],
        [column.name for column in dataset.fields],
    )
    counted = _csv_records(dataset, files, read, engine)
    bad = Counter(line.path for line in read.malformed)
    return read, {
        path: count for path, count in counted.items() if count == read.counts[path] + bad[path]
    }


def _csv_records(
    dataset: Dataset,
    files: Sequence[tuple[LandedFile, FileFacts]],
    read: CsvRead,
    engine: Engine,
) -> dict[Path, int]:
    """Count the records of CSV files by their lines, independently of the reader's own count.

    Every line is the header, blank, the start of a record, or the continuation of one whose quoted
    value holds line breaks. Only the last kind has to be looked up in what was read.
    """
    names = [column.name for column in dataset.fields]
    sure = [(file, facts) for file, facts in files if file.local not in read.unsure]
    inside: Counter[str] = Counter()
    quoted = [file.name for file, facts in sure if facts.has_quotes]
    if quoted:
        broken = F.lit(False)
        for name in names:
            broken = broken | F.coalesce(F.col(name).contains("\n"), F.lit(False))
        found = read.rows.filter(F.col("_source_file").isin(quoted) & broken)
        for batch in engine.arrow_stream(found.select("_source_file", *names)):
            for row in batch.to_pylist():
                file_name = row.pop("_source_file")
                for value in row.values():
                    inside[file_name] += _lines_within(value or "", len(names))
    for line in read.malformed:
        inside[str(line.path)] += _lines_within(line.text, len(names))
    counts = {}
    for file, facts in sure:
        blank = facts.blank_lines if len(names) > 1 else 0
        within = inside[file.name] + inside[str(file.local)]
        counts[file.local] = facts.lines - dataset.header - blank - within
    return counts


def _lines_within(text: str, fields: int) -> int:
    """Count the line breaks in a value that start no record and were not counted as blank."""
    lines = text.split("\n")
    blank = sum(not line.strip("\r") for line in lines[1:-1]) if fields > 1 else 0
    return len(lines) - 1 - blank


def _constants(dataset: Dataset, file: LandedFile, sha256: str) -> dict[str, str | date]:
    return {
        "_source_file": file.name,
        "_file_sha256": sha256,
        "delivered_on": file.delivered_on,
        dataset.partition.column: partition_value(dataset, file.delivered_on),
    }


def _batches(
    dataset: Dataset,
    files: Sequence[tuple[LandedFile, FileFacts]],
    schema: pa.Schema,
    delivered: Counter[date],
    reject: Callable[[LandedFile, str | None, int, str | None, str], None],
    refused: list[str],
) -> Iterator[pa.RecordBatch]:
    """Stream files record by record as Arrow batches, counting and rejecting on the way."""
    for file, facts in files:
        constants = _constants(dataset, file, facts.sha256)
        if file_format(file.local) == "csv":
            records = csv_records(file.local, len(dataset.fields), dataset.header)
        else:
            records = json_records(file.local, dataset.source_names)
        count = 0
        rows: list[Record] = []
        for record in records:
            count += 1
            if isinstance(record, Malformed):
                reject(file, facts.sha256, record.line, record.text, record.reason)
                continue
            rows.append(record)
            if len(rows) >= _BATCH:
                yield _batch(rows, dataset, constants, schema)
                rows = []
        if count == 0:
            sentence = f"{file.local.name} holds no records; deliver it again with its rows."
            refused.append(f"{file.name}: {sentence}")
            reject(file, facts.sha256, 0, None, sentence)
        delivered[partition_value(dataset, file.delivered_on)] += count
        if rows:
            yield _batch(rows, dataset, constants, schema)


def _parquet_batches(
    dataset: Dataset, files: Sequence[tuple[LandedFile, ParquetFacts]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Stream Parquet files as text; a row's number is its place in the file."""
    import numpy as np
    import pyarrow as pa

    names = dict(zip(dataset.source_names, (c.name for c in dataset.fields), strict=True))
    for file, facts in files:
        constants = _constants(dataset, file, facts.sha256)
        first = 1
        for batch in parquet_batches(file.local, dataset.source_names):
            past = first + batch.num_rows
            columns = {names[name]: batch.column(name) for name in names}
            columns["_row_number"] = pa.array(np.arange(first, past, dtype=np.int64))
            yield _with_constants(columns, constants, batch.num_rows, schema)
            first = past


def _document_batches(
    dataset: Dataset, files: Sequence[tuple[LandedFile, Record]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for file, record in files:
        constants = _constants(dataset, file, str(record.values[-1]))
        yield _batch([record], dataset, constants, schema)


def _batch(
    rows: Sequence[Record], dataset: Dataset, constants: Mapping[str, str | date], schema: pa.Schema
) -> pa.RecordBatch:
    columns: dict[str, Sequence[Any]] = dict(
        zip(
            (column.name for column in dataset.fields),
            zip(*(row.values for row in rows), strict=True),
            strict=True,
        )
    )
    columns["_row_number"] = [row.number for row in rows]
    return _with_constants(columns, constants, len(rows), schema)


def _with_constants(
    columns: Mapping[str, Any], constants: Mapping[str, str | date], rows: int, schema: pa.Schema
) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [
        pa.repeat(pa.scalar(constants[field.name], field.type), rows)
        if field.name in constants
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
