"""`lakehouse status`: the state of every table, from logs only, in under two seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from lakehouse_assets import clock
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.clock import following
from lakehouse_assets.domains import DATASETS, DOMAINS, REGISTRY
from lakehouse_assets.errors import DamagedTableError, LakehouseError, one_line
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.reader import partition_value
from lakehouse_assets.lake import log
from lakehouse_assets.lake.format import check_format
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.orchestration.freshness import windows_of
from lakehouse_assets.quality.tables import QUALITY_RULES
from lakehouse_assets.settings import Settings

if TYPE_CHECKING:
    from deltalake import DeltaTable

Freshness = Literal["fresh", "aging", "late", "no deadline", "never", "damaged"]
# Dataset of each bronze and silver table.
_LOADED = {
    REGISTRY[f"{d.domain}.{name}"]: d
    for d in DATASETS
    for name in (d.loaded_tables[0], d.loaded_tables[2])
}
# Sources of each monthly table: it should have every month in which one of them has rows. Tables
# that may have months without rows (`latest_with`) are left out.
_FED_BY = {
    gold.table: [read.table for read in gold.frames.values() if read.table.partition]
    for domain in DOMAINS
    for gold in domain.gold
    if gold.table.partition and gold.table.partition.grain == "month" and not gold.table.latest_with
} | {model.table: [model.read.table] for domain in DOMAINS for model in domain.models}
_FAILING = (
    "SELECT table_name, count(DISTINCT rule) AS rules, count(DISTINCT partition) AS partitions "
    "FROM rules WHERE passed = false GROUP BY table_name"
)


@dataclass(frozen=True)
class TableStatus:
    """The status of a table.

    Attributes:
        table: Name, as <domain>.<table>.
        layer: Layer.
        rows: Rows; None if the table does not exist, or its log has no row counts.
        partitions: Number of partitions with rows.
        missing: Partitions that were delivered, or whose sources have rows, but that were not
            built; None where nothing is expected.
        version: Delta version.
        updated_at: When a run last wrote the table.
        run_id: That run.
        freshness: `fresh`; `aging`, due for a delivery; `late`; `no deadline`, for tables without
            partitions; `never` written; or `damaged`, see `lakehouse doctor`.
        failing_rules: Number of rules whose latest verdict on a partition is a failure; None
            without a quality log.
        failing_partitions: Number of partitions in which one of them fails.
    """

    table: str
    layer: str
    rows: int | None = None
    partitions: int = 0
    missing: tuple[str, ...] | None = None
    version: int | None = None
    updated_at: datetime | None = None
    run_id: str | None = None
    freshness: Freshness = "never"
    failing_rules: int | None = None
    failing_partitions: int | None = None


def status(settings: Settings, now: datetime | None = None) -> list[TableStatus]:
    """Return the status of every table of the registry.

    Args:
        settings: Settings of the lakehouse.
        now: The time at which ages are measured; the current time by default.

    Raises:
        LakehouseError: the lake or the landing zone cannot be read, or the lake has another format.
    """
    check_format(settings.root, settings.identity, REGISTRY)
    now = now or clock.now()
    root = LakeRoot(settings.root, settings.identity)
    delivered = _delivered(settings)
    failing = _failing_rules(root)
    return log.of_each(lambda table: _of(table, root, delivered, failing, now), REGISTRY)


def unread(settings: Settings) -> list[str]:
    """Say, in sentences, what in the landing zone is not loaded.

    Raises:
        LakehouseError: the landing zone cannot be read.
    """
    zone = LandingZone(settings.landing, settings.zone_identity)
    refused = [file.problem for dataset in DATASETS for file in zone.files(dataset)]
    return [*zone.strays(DATASETS), *filter(None, refused)]


def _of(
    table: Table,
    root: LakeRoot,
    delivered: Mapping[Table, set[date]],
    failing: Mapping[str, tuple[int, int]] | None,
    now: datetime,
) -> TableStatus:
    name = table.full_name
    try:
        found = log.open_table(root.table(table))
    except DamagedTableError:
        return TableStatus(name, table.layer, freshness="damaged")
    expected = delivered.get(table)
    if expected is None and table in _FED_BY:
        sources = [_filled(root, source) for source in _FED_BY[table]]
        expected = {day.replace(day=1) for days in sources for day in days}
    if found is None:
        return TableStatus(name, table.layer, missing=_listed(expected) if expected else None)
    files = log.files_of(found)
    present = {file.partition for file in files if file.rows != 0}
    missing = None if expected is None else expected - present
    if missing and table in _LOADED:
        missing -= _lost(table, root)
    elif missing:
        missing -= _written(found)
    written = log.last_write(found)
    rules, in_partitions = (None, None) if failing is None else failing.get(name, (0, 0))
    return TableStatus(
        table=name,
        layer=table.layer,
        rows=log.sum_rows(files),
        partitions=len(present) if table.partition else 0,
        missing=None if missing is None else _listed(missing),
        version=found.version(),
        updated_at=written.written_at if written else None,
        run_id=written.commit.run_id if written and written.commit else None,
        freshness=_freshness(table, written.written_at if written else None, now),
        failing_rules=rules,
        failing_partitions=in_partitions,
    )


def _listed(days: set[date]) -> tuple[str, ...]:
    return tuple(sorted(day.isoformat() for day in days))


def _lost(table: Table, root: LakeRoot) -> set[date]:
    """Return the partitions of a bronze or silver table whose rows may all be lost.

    That is, rejected or quarantined. Rejected records never reach silver, so they explain a gap in
    silver only where bronze has no rows.
    """
    bronze, rejects, _, quarantine = (
        _filled(root, REGISTRY.meant_by(table, name)) for name in _LOADED[table].loaded_tables
    )
    return rejects if table.layer == "bronze" else quarantine | (rejects - bronze)


def _written(found: DeltaTable) -> set[date]:
    """Return the partitions that were written according to the kept log, even without rows."""
    spans = [version.commit.partition for version in log.history(found) if version.commit]
    written: set[date] = set()
    for first, _, last in (span.partition("...") for span in spans if span):
        month, end = date.fromisoformat(first), date.fromisoformat(last or first)
        while month <= end:
            written.add(month)
            month = following(month, "month")
    return written


def _filled(root: LakeRoot, table: Table) -> set[date]:
    """Return the partitions of a table that have rows."""
    try:
        found = log.open_table(root.table(table))
    except DamagedTableError:
        # The status of that table reports the damage.
        return set()
    return {file.partition for file in log.files_of(found) if file.rows != 0} if found else set()


def _freshness(table: Table, at: datetime | None, now: datetime) -> Freshness:
    windows = windows_of(table)
    if at is None:
        return "never"
    if windows is None:
        return "no deadline"
    warn, fail = windows
    age = now - at
    return "late" if age > fail else "aging" if age > warn else "fresh"


def _delivered(settings: Settings) -> dict[Table, set[date]]:
    """Return the delivered partitions, in which tables should have rows.

    Rejects and quarantine are left out, as they may be empty.
    """
    zone = LandingZone(settings.landing, settings.zone_identity)
    found: dict[Table, set[date]] = {}
    months: dict[str, set[date]] = {}
    for dataset in DATASETS:
        days = {file.delivered_on for file in zone.files(dataset)}
        bronze, _, silver, _ = dataset.loaded_tables
        for name in (bronze, silver):
            found[REGISTRY[f"{dataset.domain}.{name}"]] = {
                partition_value(dataset, day) for day in days
            }
        months.setdefault(dataset.domain, set()).update(day.replace(day=1) for day in days)
    for domain in DOMAINS:
        for gold in domain.gold:
            if gold.rows_each_month:
                found[gold.table] = months.get(domain.name, set())
    return found


def _failing_rules(root: LakeRoot) -> dict[str, tuple[int, int]] | None:
    """Count the failing rules of each table and the partitions in which they fail.

    Returns None if there is no quality log.
    """
    try:
        found = log.open_table(root.table(QUALITY_RULES))
    except DamagedTableError:
        return None
    if found is None:
        return None
    import pyarrow as pa
    from deltalake import QueryBuilder

    try:
        rows = QueryBuilder().register("rules", found).execute(_FAILING)
        table = pa.table(rows)
    except OSError as error:
        raise LakehouseError(
            f"The quality log cannot be read ({one_line(error)}); run the job `quality` again."
        ) from error
    return {row["table_name"]: (row["rules"], row["partitions"]) for row in table.to_pylist()}
