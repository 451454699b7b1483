"""Removes a person's records from every table, on their request.

Their rows are deleted from bronze and the rejects, and every table computed from those is rebuilt.
A receipt in the lake keeps the rows out of later loads. All steps can be repeated, so the same
command completes an interrupted request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import (
    Dataset,
    bronze_table,
    dataset_tables,
    quarantine_table,
    rejects_table,
    silver_table,
)
from lakehouse_assets.catalog.domain import Domain, built_from
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.subjects import Subject
from lakehouse_assets.clock import following
from lakehouse_assets.code_version import code_version
from lakehouse_assets.domains import DOMAINS
from lakehouse_assets.engine import Col, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.ingest.removal import (
    REMOVED,
    Kind,
    Receipt,
    Removal,
    digests_for,
    receipts,
)
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.maintenance import purge
from lakehouse_assets.lake.predicate import Windows
from lakehouse_assets.ml.decisions import versions_of
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.jobs import DAILY, MONTHLY, QUALITY, job_name, job_that_loads
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets.text import counted

if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings

_RECORD = ("_source_file", "line_number", "raw_text")


@dataclass(frozen=True)
class Held:
    """What bronze holds of a person in one dataset.

    Attributes:
        dataset: The dataset.
        rows: Their rows in bronze, by partition.
        rejects: Malformed records that name them, as `_source_file` and `line_number`, by
            partition.
        files: Names of the delivered files.
    """

    dataset: Dataset
    rows: Mapping[date, int] = field(default_factory=dict)
    rejects: Mapping[date, frozenset[tuple[str, int]]] = field(default_factory=dict)
    files: frozenset[str] = frozenset()

    @property
    def partitions(self) -> list[date]:
        """The partitions with something to remove, oldest first."""
        return sorted({*self.rows, *self.rejects})


@dataclass(frozen=True)
class Request:
    """A person's request.

    Attributes:
        domain: The domain that holds their records.
        subject: The kind of person.
        identifier: Their identifier, which is stored nowhere.
        receipt: What is kept of the request.
        held: What bronze holds of them.
        keys: By column, the identifiers that silver gave their rows and no others.
    """

    domain: Domain
    subject: Subject
    identifier: str = field(repr=False)
    receipt: Receipt
    held: tuple[Held, ...]
    keys: Mapping[str, frozenset[str]] = field(repr=False)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table that may hold their records, from bronze on."""
        return (*(t for held in self.held for t in dataset_tables(held.dataset)), *self.built)

    @property
    def built(self) -> tuple[Table, ...]:
        """The tables that are built from their rows in silver."""
        silver = [silver_table(held.dataset) for held in self.held]
        return tuple(sorted(built_from(silver, [self.domain]), key=lambda table: table.key))


def subject_named(domain: str, name: str) -> tuple[Domain, Subject]:
    """Return a domain and its kind of person.

    Raises:
        LakehouseError: there is no such domain, or it declares no such kind of person.
    """
    named = {(found.name, of.name): (found, of) for found in DOMAINS for of in found.subjects}
    if (domain, name) not in named:
        known = [f"{one} {other}" for one, other in named]
        close = did_you_mean(f"{domain} {name}", known) or f"; choose from {', '.join(known)}."
        raise LakehouseError(f"No kind of person is declared as {domain} {name}{close}")
    return named[domain, name]


def request_of(
    settings: Settings, lake: Lake, domain: str, name: str, identifier: str, reason: str
) -> Request:
    """Find what the lake holds about a person; nothing is changed.

    Raises:
        LakehouseError: the kind of person is not declared, the identifier is empty, only Databricks
            can access the lake, or the key is missing or has changed.
    """
    found, subject = subject_named(domain, name)
    if not subject.normal(identifier):
        raise LakehouseError("The identifier is empty; give the one that the source uses.")
    try:
        identifier.encode()
    except UnicodeEncodeError:
        raise LakehouseError(
            "The identifier is not UTF-8 text; give the one that the source uses."
        ) from None
    if lake.files is None:
        raise LakehouseError(
            "Receipts cannot be written to a lake that only Databricks can access; set "
            "LAKEHOUSE_ENGINE=duckdb and a LAKEHOUSE_IDENTITY that can access the lake."
        )
    known = receipts(lake.files)
    secret = settings.forget_key
    digests = digests_for(secret.get_secret_value() if secret else None, known)
    kind = Kind(domain, subject)
    digest = digests.of(kind, identifier)
    former = [receipt for receipt in known if receipt.digest == digest]
    receipt = (
        former[0]
        if former
        else Receipt(kind.name, digest, digests.check, reason, clock.now().isoformat())
    )
    keys: dict[str, set[str]] = {}
    held = []
    with lake.engine.scope():
        for dataset in found.datasets:
            if dataset.name not in subject.identified_by:
                continue
            fields = {kind: dataset.field_of(subject.identified_by[dataset.name])}
            removal = Removal(fields, digests, frozenset({digest}))
            held.append(_held(lake, dataset, subject, identifier, removal))
            for name, values in _keys(lake, dataset, subject, identifier).items():
                keys.setdefault(name, set()).update(values)
    return Request(
        found, subject, identifier, receipt, tuple(held),
        {name: frozenset(values) for name, values in keys.items()},
    )  # fmt: skip


def remove_records(settings: Settings, lake: Lake, request: Request) -> list[PlannedRun]:
    """Write the receipt, remove the person's records from bronze, and plan the runs that follow.

    Returns:
        The runs that rebuild every other table with their records; call `conclude` after them.
    """
    assert lake.files is not None  # noqa: S101 - `request_of` has refused such a lake
    removed = dict(request.receipt.removed)
    for held in request.held:
        for table, counts in (
            (bronze_table(held.dataset), held.rows.values()),
            (rejects_table(held.dataset), map(len, held.rejects.values())),
        ):
            if number := sum(counts):
                removed[table.full_name] = removed.get(table.full_name, 0) + number
    receipt = replace(
        request.receipt,
        completed_at="",
        purged_at="",
        removed=removed,
        files=tuple(sorted({*request.receipt.files}.union(*(h.files for h in request.held)))),
        models=tuple(sorted({*request.receipt.models, *_models(settings, request)})),
    )
    # The receipt comes first, so that a load in between does not bring the records back.
    receipt.write(lake.files)
    for held in request.held:
        if held.partitions:
            _remove(lake, request, held)
    return _runs(lake, request)


def conclude(lake: Lake, request: Request, *, now: bool) -> Receipt:
    """Check that no table holds the person's identifiers, and complete the receipt.

    Args:
        lake: The lake.
        request: The request.
        now: Whether to delete old versions of the tables now instead of in maintenance.

    Raises:
        LakehouseError: a table still has them; the message names it.
    """
    assert lake.files is not None  # noqa: S101 - `request_of` has refused such a lake
    left = remaining(lake, request)
    if left:
        tables = ", ".join(f"{name} ({counted(rows, 'row')})" for name, rows in left.items())
        raise LakehouseError(
            f"Some tables still hold the person's records: {tables}. Correct what failed above, "
            "and run the same command again."
        )
    if now:
        for table in request.tables:
            purge(lake, table)
    stored = Receipt.read(request.receipt.path, lake.files.read(request.receipt.path) or b"")
    moment = clock.now().isoformat()
    receipt = replace(stored, completed_at=moment, purged_at=moment if now else "")
    receipt.write(lake.files)
    return receipt


def remaining(lake: Lake, request: Request) -> dict[str, int]:
    """Count the rows with one of the person's identifiers in the newest version of each table."""
    identified_by = request.subject.identified_by
    columns = {
        name
        for held in request.held
        for column in [identified_by[held.dataset.name]]
        for name in (column, held.dataset.field_of(column))
    }
    found: dict[str, int] = {}
    for table in request.tables:
        names = {
            column.name: request.keys.get(column.name, frozenset())
            | ({request.identifier} if column.name in columns else frozenset())
            for column in table.columns
            if column.pii == "identifier"
        }
        conditions = [
            _compared(F.col(name), request.subject).isin(
                sorted({request.subject.normal(value) for value in values})
            )
            for name, values in names.items()
            if values
        ]
        if not conditions:
            continue
        with lake.engine.scope():
            frame = lake.read(table, columns=[name for name, values in names.items() if values])
            counted = frame.filter(reduce(or_, conditions)).agg(F.count(F.lit(1)).alias("rows"))
            (row,) = lake.engine.rows(counted)
        if row["rows"]:
            found[table.full_name] = int(row["rows"])
    return found


def _compared(column: Col, subject: Subject) -> Col:
    """Return an identifier as `Subject.normal` does, on the engine."""
    text = v.text(column.cast("string"))
    if subject.by_number:
        return v.rewrite(text, r"^\+?0*([0-9]+)(\.0*)?$", r"\1")
    return v.text_id(text)


def identifies(column: str, subject: Subject, identifier: str) -> Col:
    """Return whether a column identifies a person; false where it is null."""
    same = _compared(F.col(column), subject) == F.lit(subject.normal(identifier))
    return F.coalesce(same, F.lit(False))


def _held(
    lake: Lake, dataset: Dataset, subject: Subject, identifier: str, removal: Removal
) -> Held:
    """Find the rows and malformed records of a person in bronze."""
    day, column = dataset.partition.column, dataset.field_of(subject.identified_by[dataset.name])
    mine = lake.read(bronze_table(dataset), columns=[day, column, "_source_file"]).filter(
        identifies(column, subject, identifier)
    )
    rows: dict[date, int] = {}
    files: set[str] = set()
    grouped = mine.groupBy(day, "_source_file").agg(F.count(F.lit(1)).alias("rows"))
    for row in lake.engine.rows(grouped):
        rows[row[day]] = rows.get(row[day], 0) + row["rows"]
        files.add(row["_source_file"])
    rejects: dict[date, set[tuple[str, int]]] = {}
    texts = lake.read(rejects_table(dataset), columns=[day, *_RECORD]).filter(
        F.col("raw_text").contains(F.lit(subject.normal(identifier)))
    )
    for row in lake.engine.rows(texts):
        if removal.is_named_in(row["raw_text"]):
            rejects.setdefault(row[day], set()).add((row["_source_file"], row["line_number"]))
            files.add(row["_source_file"])
    return Held(
        dataset, rows, {day: frozenset(found) for day, found in rejects.items()}, frozenset(files)
    )


def _keys(
    lake: Lake, dataset: Dataset, subject: Subject, identifier: str
) -> Mapping[str, set[str]]:
    """Return the identifiers in the silver rows of a person, by column.

    What others have too, such as an equal name, says nothing about the person and is left out.
    """
    table, column = silver_table(dataset), subject.identified_by[dataset.name]
    names = [c.name for c in table.columns if c.pii == "identifier"]
    if column not in names:
        return {}
    rows = lake.engine.checkpoint(lake.read(table, columns=names))
    is_mine = identifies(column, subject, identifier)
    mine = list(lake.engine.rows(rows.filter(is_mine).distinct()))
    found = {name: {str(row[name]) for row in mine if row[name] is not None} for name in names}
    for name, values in found.items():
        if values and name != column:
            same = F.col(name).cast("string").isin(sorted(values)) & ~is_mine
            others = lake.engine.rows(rows.filter(same).select(name).distinct())
            values.difference_update(str(row[name]) for row in others)
    return found


def _remove(lake: Lake, request: Request, held: Held) -> None:
    """Turn a person's records into rejects without text: first the rejects, then bronze.

    If the process is killed in between, rows count twice until the command is repeated; it
    recognises the rejects by file and number.
    """
    dataset = held.dataset
    rows, rejects = bronze_table(dataset), rejects_table(dataset)
    column = dataset.field_of(request.subject.identified_by[dataset.name])
    spans = tuple((start, following(start, dataset.grain)) for start in held.partitions)
    window = Windows(dataset.partition, spans)
    version = code_version()

    def commit(table: Table) -> Commit:
        days = ",".join(start.isoformat() for start in held.partitions)
        return Commit("forget", "/".join(table.key), days, version)

    with lake.engine.scope():
        stored = lake.read(rows, window)
        is_mine = identifies(column, request.subject, request.identifier)
        mine = stored.filter(is_mine)
        texts = lake.read(rejects, window)
        named = {record for found in held.rejects.values() for record in found}
        is_named = reduce(
            or_,
            (
                (F.col("_source_file") == F.lit(file)) & (F.col("line_number") == F.lit(line))
                for file, line in sorted(named)
            ),
            F.lit(False),
        )
        given = {
            "line_number": -F.col("_row_number"),
            "raw_text": F.lit(None).cast("string"),
            "reason": F.lit(REMOVED),
        }
        removed = mine.withColumns(given).select(*rejects.column_names)
        known = texts.filter(F.col("reason") == F.lit(REMOVED)).select(
            F.col("_source_file").alias("known_file"), F.col("line_number").alias("known_line")
        )
        same = (F.col("_source_file") == F.col("known_file")) & (
            F.col("line_number") == F.col("known_line")
        )
        cleared = texts.withColumns({
            "raw_text": F.when(~is_named, F.col("raw_text")),
            "reason": F.when(is_named, F.lit(REMOVED)).otherwise(F.col("reason")),
        })  # fmt: skip
        kept = lake.engine.checkpoint(stored.filter(~is_mine))
        both = lake.engine.union(
            [
                cleared.select(*rejects.column_names),
                removed.join(known, same, "left_anti").select(*rejects.column_names),
            ]
        )
        lake.write(rejects, lake.engine.checkpoint(both), window, commit(rejects))
        lake.write(rows, kept, window, commit(rows))


def _runs(lake: Lake, request: Request) -> list[PlannedRun]:
    """Plan the runs that rebuild the tables after bronze, oldest first."""
    daily, monthly = (
        [t.full_name for t in request.built if t.partition and t.partition.grain == grain]
        for grain in ("day", "month")
    )
    touched = [(day, held.dataset) for held in request.held for day in held.partitions]
    domain, runs = request.domain.name, []
    for day, dataset in sorted(touched, key=lambda item: (item[0], item[1].name)):
        silver = [table.full_name for table in (silver_table(dataset), quarantine_table(dataset))]
        runs.append(PlannedRun.over(job_that_loads(dataset), [day], silver))
    if daily:
        days = sorted({day for day, dataset in touched if dataset.grain == "day"})
        runs += (PlannedRun.over(job_name(domain, DAILY), [day], daily) for day in days)
    if touched and monthly:
        first = min(day for day, _ in touched).replace(day=1)
        months = {
            day.replace(day=1)
            for dataset in request.domain.datasets
            for day in lake.rows_by_partition(bronze_table(dataset))
        }
        later = sorted(month for month in months if month >= first)
        runs += (PlannedRun.over(job_name(domain, MONTHLY), [month], monthly) for month in later)
    return [*runs, PlannedRun(QUALITY)] if runs else []


def _models(settings: Settings, request: Request) -> list[str]:
    """Name the model versions that may have been fitted on the person's records."""
    tables = {*request.tables}
    tracking = MlflowTracking.of(settings)
    return [
        f"{model.spec.name} {version.version}"
        for model in request.domain.models
        if model.read.table in tables
        for version in versions_of(tracking, model.spec.name)
    ]
