"""Delivered files as bronze rows and rejects.

Belongs here: reading a list of landed files of one dataset into the frames that the bronze tables
take, and counting what was delivered. Not here: listing the zone (`landing.py`) or writing tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import CsvFile, Engine, MalformedLine
from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.ingest.files import (
    FileFacts,
    check_header,
    examine,
    file_format,
    line_numbers,
)
from lakehouse_assets.ingest.json_records import Malformed, json_records
from lakehouse_assets.ingest.landing import LandedFile
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


def read_delivery(
    dataset: Dataset, files: Sequence[LandedFile], engine: Engine, ingested_at: datetime
) -> Delivery:
    """Read landed files; a file that must be refused does not stop the others."""
    import pyarrow as pa

    csv_files: list[tuple[LandedFile, FileFacts]] = []
    json_files: list[tuple[LandedFile, FileFacts]] = []
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

    for file in files:
        try:
            kind = file_format(file.path)
            facts = examine(file.path)
            if kind == "csv":
                check_header(file.path, facts, dataset.source_names)
            (csv_files if kind == "csv" else json_files).append((file, facts))
        except FileRefusedError as error:
            refused.append(f"{file.name}: {error}")
            reject(file, None, 0, None, str(error))

    delivered: Counter[date] = Counter()
    frames: list[DataFrame] = []
    if csv_files:
        frame, malformed = _read_csv(dataset, csv_files, engine)
        for file, facts in csv_files:
            lost = [bad for bad in malformed if bad.path == file.path]
            lines = line_numbers(file.path, [bad.position for bad in lost]) if lost else []
            for line, bad in zip(lines, lost, strict=True):
                reject(file, facts.sha256, line, bad.text, bad.reason)
            delivered[partition_value(dataset, file.delivered_on)] += _csv_records(
                engine, frame, dataset, file, facts, lost
            )
        frames.append(frame)
    if json_files:
        batches = _json_batches(dataset, json_files, delivered, reject, refused)
        schema = pa.schema([field for field in _row_schema(dataset) if field.name != "_ingested_at"])
        frames.append(engine.from_arrow(pa.RecordBatchReader.from_batches(schema, batches)))

    bronze = bronze_table(dataset)
    if not frames:
        frames.append(engine.from_arrow(arrow_schema(bronze).empty_table().drop(["_ingested_at"])))
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionByName(frame)
    rows = rows.withColumn("_ingested_at", F.lit(ingested_at).cast("timestamp"))
    schema = arrow_schema(rejects_table(dataset))
    return Delivery(
        rows=rows.select(*bronze.column_names),
        rejects=engine.from_arrow(pa.Table.from_pylist(rejects, schema=schema)),
        delivered=delivered,
        refused=refused,
        files=len(files),
    )


def _row_schema(dataset: Dataset) -> pa.Schema:
    return arrow_schema(bronze_table(dataset))


def _read_csv(
    dataset: Dataset, files: Sequence[tuple[LandedFile, FileFacts]], engine: Engine
) -> tuple[DataFrame, list[MalformedLine]]:
    delivered = [
        CsvFile(
            path=file.path,
            constants={
                "_source_file": file.name,
                "_file_sha256": facts.sha256,
                "delivered_on": file.delivered_on,
                dataset.partition.column: partition_value(dataset, file.delivered_on),
            },
            newline=facts.newline,
            blank_at=facts.blank_at,
        )
        for file, facts in files
    ]
    return engine.read_csv(delivered, [column.name for column in dataset.fields])


def _csv_records(
    engine: Engine,
    rows: DataFrame,
    dataset: Dataset,
    file: LandedFile,
    facts: FileFacts,
    malformed: Sequence[MalformedLine],
) -> int:
    """Count a CSV file's records by its lines, independently of the reader's own count.

    Every line is the header, blank, the start of a record, or the continuation of one whose quoted
    value holds line breaks. Only the last kind has to be looked up in what was read.
    """
    continued = blank_inside = 0
    if facts.has_quotes:
        names = [column.name for column in dataset.fields]
        broken = F.lit(False)
        for name in names:
            broken = broken | F.coalesce(F.col(name).contains("\n"), F.lit(False))
        found = rows.filter((F.col("_source_file") == F.lit(file.name)) & broken).select(*names)
        texts = [bad.text for bad in malformed]
        for batch in engine.arrow_stream(found):
            for row in batch.to_pylist():
                texts += [value for value in row.values() if value]
        for text in texts:
            lines = text.split("\n")
            continued += len(lines) - 1
            blank_inside += sum(not line.strip("\r") for line in lines[1:-1])
    return facts.lines - 1 - (facts.blank_lines - blank_inside) - continued


def _json_batches(
    dataset: Dataset,
    files: Sequence[tuple[LandedFile, FileFacts]],
    delivered: Counter[date],
    reject: Any,
    refused: list[str],
) -> Iterator[pa.RecordBatch]:
    """Stream JSON files as Arrow batches, counting and rejecting on the way."""
    import pyarrow as pa

    names = [column.name for column in dataset.fields]
    for file, facts in files:
        partition = partition_value(dataset, file.delivered_on)
        constants = {
            "_source_file": file.name, "_file_sha256": facts.sha256,
            "delivered_on": file.delivered_on, dataset.partition.column: partition,
        }  # fmt: skip
        schema = pa.schema([f for f in _row_schema(dataset) if f.name != "_ingested_at"])
        numbers: list[int] = []
        values: list[tuple[str | None, ...]] = []
        count = 0

        def batch(
            numbers: list[int] = numbers,
            values: list[tuple[str | None, ...]] = values,
            constants: dict[str, Any] = constants,
            schema: pa.Schema = schema,
        ) -> pa.RecordBatch:
            columns = dict(zip(names, zip(*values, strict=True), strict=True)) if values else {}
            arrays = []
            for field in schema:
                if field.name == "_row_number":
                    arrays.append(pa.array(numbers, field.type))
                elif field.name in constants:
                    arrays.append(pa.array([constants[field.name]] * len(numbers), field.type))
                else:
                    arrays.append(pa.array(columns.get(field.name, ()), field.type))
            out = pa.RecordBatch.from_arrays(arrays, schema=schema)
            numbers.clear()
            values.clear()
            return out

        for record in json_records(file.path, dataset.source_names):
            count += 1
            if isinstance(record, Malformed):
                reject(file, facts.sha256, record.line, record.text, record.reason)
                continue
            numbers.append(record.number)
            values.append(record.values)
            if len(numbers) >= _BATCH:
                yield batch()
        if count == 0:
            sentence = f"{file.path.name} holds no records; deliver it again with its rows."
            refused.append(f"{file.name}: {sentence}")
            reject(file, facts.sha256, 0, None, sentence)
        delivered[partition] += count
        if numbers:
            yield batch()
