"""Reading landed files of a dataset into bronze rows and rejects, and counting what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import CsvFile, CsvRead, Engine, MalformedLine
from lakehouse_assets.errors import FileRefusedError, LakehouseError
from lakehouse_assets.ingest.attributes import Attributes, check_first_line, columns_of_header
from lakehouse_assets.ingest.csv_records import csv_records
from lakehouse_assets.ingest.documents import describe
from lakehouse_assets.ingest.files import FileFacts, examine, file_format, line_numbers
from lakehouse_assets.ingest.json_records import json_records
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.parquet_records import ParquetFacts, examine_parquet, parquet_batches
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
        undeclared: Sentences about attributes that are new or gone.
        differing: How many those are, by partition value.
    """

    rows: DataFrame
    rejects: DataFrame
    delivered: Counter[date]
    refused: list[str]
    files: int
    undeclared: list[str]
    differing: Counter[date]


def partition_value(dataset: Dataset, delivered_on: date) -> date:
    """Return the partition a delivery belongs to: its day, or the first day of its month."""
    return delivered_on if dataset.grain == "day" else delivered_on.replace(day=1)


def by_partition(dataset: Dataset, files: Iterable[LandedFile]) -> dict[date, list[LandedFile]]:
    """Group files by the partition that they belong to, in their order."""
    found: dict[date, list[LandedFile]] = {}
    for file in files:
        found.setdefault(partition_value(dataset, file.delivered_on), []).append(file)
    return found


@dataclass(frozen=True)
class _TextFile:
    """A file of text, and the columns by which it is read.

    Attributes:
        file: The file.
        facts: What one look at its bytes told.
        columns: Names of the columns of a CSV file whose columns are not the declared ones.
    """

    file: LandedFile
    facts: FileFacts
    columns: tuple[str, ...] = ()


@dataclass
class _Tally:
    """What was counted in a file: records, and attributes that are new to them or missing."""

    records: int = 0
    undeclared: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)


class _Loading:
    """What comes to light while the files of a delivery are read, one after the other."""

    def __init__(self, dataset: Dataset, ingested_at: datetime) -> None:
        self.dataset = dataset
        self.delivered: Counter[date] = Counter()
        self.attributes = Attributes()
        self.refused: dict[str, str] = {}
        self._ingested_at = ingested_at
        self._rejects: list[dict[str, Any]] = []

    def reject(
        self, file: LandedFile, sha256: str | None, line: int, text: str | None, reason: str
    ) -> None:
        """Take note of a record that cannot be read; line 0 is the whole file."""
        self._rejects.append(
            {
                "line_number": line, "raw_text": text, "reason": reason,
                "_source_file": file.name, "_file_sha256": sha256,
                "_ingested_at": self._ingested_at, "delivered_on": file.delivered_on,
                self.dataset.partition.column: partition_value(self.dataset, file.delivered_on),
            }
        )  # fmt: skip

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """What cannot be read: records, and files without any of their records."""
        return [
            row
            for row in self._rejects
            if row["line_number"] == 0 or row["_source_file"] not in self.refused
        ]

    @contextmanager
    def reading(self, file: LandedFile) -> Iterator[_Tally]:
        """Count what is read of a file; refuse it when anything goes wrong, so that others go on.

        Raises:
            Exception: a fault that may pass, of a store or disk; the step is then tried again.
        """
        tally = _Tally()
        try:
            yield tally
        except Exception as error:
            # Dagster, which it imports, takes half a second that only a fault is worth.
            from lakehouse_assets.storage.transient import is_transient

            if is_transient(error):
                raise
            reason = (
                str(error)
                if isinstance(error, LakehouseError)
                else f"{file.local.name} cannot be read ({type(error).__name__}: {error}); check "
                "the file and deliver it again."
            )
            self.refused[file.name] = f"{file.name}: {reason}"
            self.reject(file, None, 0, None, reason)
            return
        day = partition_value(self.dataset, file.delivered_on)
        if tally.records:
            self.delivered[day] += tally.records
        self.attributes.undeclared.update({(day, n): k for n, k in tally.undeclared.items()})
        self.attributes.missing.update({(day, n): k for n, k in tally.missing.items()})


def read_delivery(
    dataset: Dataset, files: Sequence[LandedFile], engine: Engine, ingested_at: datetime
) -> Delivery:
    """Read landed files; a file that must be refused does not stop the others."""
    import pyarrow as pa

    csv_files: list[_TextFile] = []
    # JSON, and CSV that the engine's reader is unsure of, is split record by record.
    slow_files: list[_TextFile] = []
    described: list[tuple[LandedFile, Record]] = []
    parquet_files: list[tuple[LandedFile, ParquetFacts]] = []
    loading = _Loading(dataset, ingested_at)
    for file in files:
        with loading.reading(file):
            if file.problem:
                raise FileRefusedError(file.problem)
            if dataset.documents:
                described.append((file, Record(1, describe(file.local, file.name))))
                continue
            kind = file_format(file.local)
            if kind == "parquet":
                found = examine_parquet(file.local, dataset.source_names, dataset.additive)
                parquet_files.append((file, found))
                continue
            facts = examine(file.local)
            if kind == "json":
                slow_files.append(_TextFile(file, facts))
                continue
            columns = _columns(dataset, file, facts)
            # What counts as empty lines begins after the first one, which is a header or data.
            begun = dataset.header or facts.first_line != ""
            sound = begun and not columns and facts.newline is not None and not facts.odd_quotes
            (csv_files if sound else slow_files).append(_TextFile(file, facts, columns))

    frames: list[DataFrame] = []
    if csv_files:
        read, records = _read_csv(dataset, [(t.file, t.facts) for t in csv_files], engine)
        lost: dict[Path, list[MalformedLine]] = {}
        for bad in read.malformed:
            lost.setdefault(bad.path, []).append(bad)
        doubted = []
        for text in csv_files:
            file = text.file
            if file.local not in records:
                # The engine does not vouch for it, or its rows and rejects are not all there is.
                doubted.append(text)
                continue
            with loading.reading(file) as tally:
                mine = lost.get(file.local, [])
                lines = line_numbers(file.local, [bad.position for bad in mine]) if mine else []
                for line, bad in zip(lines, mine, strict=True):
                    loading.reject(file, text.facts.sha256, line, bad.text, bad.reason)
                tally.records = records[file.local]
        slow_files += doubted
        frames.append(_without(read.rows, [text.file.name for text in doubted]))
    bronze = bronze_table(dataset)
    schema = pa.schema([f for f in arrow_schema(bronze) if f.name != "_ingested_at"])
    if slow_files or parquet_files or described or not frames:
        batches = chain(
            _batches(loading, slow_files, schema),
            _parquet_batches(loading, parquet_files, schema),
            _document_batches(loading, described, schema),
        )
        frames.append(engine.from_arrow(pa.RecordBatchReader.from_batches(schema, batches)))
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionByName(frame)
    # A file may have broken in the middle, after some of its rows.
    rows = _without(rows, [*loading.refused])
    rows = rows.withColumn("_ingested_at", F.lit(ingested_at).cast("timestamp"))
    reject_schema = arrow_schema(rejects_table(dataset))
    return Delivery(
        rows=rows.select(*bronze.column_names),
        rejects=engine.from_arrow(pa.Table.from_pylist(loading.rejects, schema=reject_schema)),
        delivered=loading.delivered,
        refused=[*loading.refused.values()],
        files=len(files),
        undeclared=loading.attributes.sentences(loading.delivered, dataset.additive),
        differing=loading.attributes.differing(loading.delivered),
    )


def _columns(dataset: Dataset, file: LandedFile, facts: FileFacts) -> tuple[str, ...]:
    """Return the columns of a CSV file if they are not the declared ones, but may be read."""
    if not dataset.header:
        check_first_line(file.local, facts, len(dataset.fields))
        return ()
    found = columns_of_header(file.local, facts, dataset.source_names, dataset.additive)
    return tuple(found) if found != [*dataset.source_names] else ()


def _without(rows: DataFrame, files: Sequence[str]) -> DataFrame:
    return rows.filter(~F.col("_source_file").isin([*files])) if files else rows


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
    loading: _Loading, files: Sequence[_TextFile], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Stream files record by record as Arrow batches, counting and rejecting on the way."""
    for text in files:
        with loading.reading(text.file) as tally:
            yield from _batches_of(loading, text, tally, schema)


def _batches_of(
    loading: _Loading, text: _TextFile, tally: _Tally, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    dataset, file, sha256 = loading.dataset, text.file, text.facts.sha256
    constants = _constants(dataset, file, sha256)
    names = dataset.source_names
    if file_format(file.local) == "json":
        records = json_records(file.local, names, dataset.additive)
    elif text.columns:
        places = [text.columns.index(name) for name in names]
        records = csv_records(file.local, len(text.columns), dataset.header, places)
    else:
        records = csv_records(file.local, len(names), dataset.header)
    rows: list[Record] = []
    for record in records:
        tally.records += 1
        if record.undeclared:
            tally.undeclared.update(record.undeclared)
        if record.missing:
            tally.missing.update(record.missing)
        if isinstance(record, Malformed):
            loading.reject(file, sha256, record.line, record.text, record.reason)
            continue
        rows.append(record)
        if len(rows) >= _BATCH:
            yield _batch(rows, dataset, constants, schema)
            rows = []
    if not tally.records:
        raise FileRefusedError(
            f"{file.local.name} holds no records; deliver it again with its rows."
        )
    tally.undeclared.update({n: tally.records for n in text.columns if n not in names})
    if rows:
        yield _batch(rows, dataset, constants, schema)


def _parquet_batches(
    loading: _Loading, files: Sequence[tuple[LandedFile, ParquetFacts]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Stream Parquet files as text; a row's number is its place in the file."""
    import numpy as np
    import pyarrow as pa

    dataset = loading.dataset
    names = dict(zip(dataset.source_names, (c.name for c in dataset.fields), strict=True))
    for file, facts in files:
        constants = _constants(dataset, file, facts.sha256)
        first = 1
        with loading.reading(file) as tally:
            tally.records = facts.rows
            tally.undeclared.update(dict.fromkeys(facts.undeclared, facts.rows))
            for batch in parquet_batches(file.local, dataset.source_names):
                past = first + batch.num_rows
                columns = {names[name]: batch.column(name) for name in names}
                columns["_row_number"] = pa.array(np.arange(first, past, dtype=np.int64))
                yield _with_constants(columns, constants, batch.num_rows, schema)
                first = past


def _document_batches(
    loading: _Loading, files: Sequence[tuple[LandedFile, Record]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for file, record in files:
        with loading.reading(file) as tally:
            tally.records = 1
            constants = _constants(loading.dataset, file, str(record.values[-1]))
            yield _batch([record], loading.dataset, constants, schema)


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
