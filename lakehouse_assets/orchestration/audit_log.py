"""The asset of the audit log, which records queries, changes of data and changes of grants."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains import ROLES
from lakehouse_assets.engine import F
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Values
from lakehouse_assets.orchestration.io_manager import NewRows
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets.orchestration.table_assets import Results, frame_of, table_asset
from lakehouse_assets.quality.tables import AUDIT_LOG
from lakehouse_assets.query.audit import day_of, records
from lakehouse_assets.query.policy import words_of

Row = dict[str, Any]
# A process that started before midnight may still add records to that day's file.
_SETTLED = timedelta(days=2)


def audit_asset() -> dg.AssetsDefinition:
    """Make the asset of the audit log.

    The lake's resource names the folder of the query records and the number of days that events are
    kept.
    """
    return table_asset(AUDIT_LOG, _audit_log)


def _audit_log(context: dg.AssetExecutionContext, lake: Lake) -> Results:
    resource: LakeResource = context.resources.lake
    folder = Path(resource.audit)
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    new = [*_queries(files), *_changes(lake), *grant_events(lake, ROLES)]
    frame = frame_of(lake, AUDIT_LOG, new)
    batches = tuple(sorted({row["batch"] for row in new} or {context.run.run_id}))
    added = NewRows(frame, Values("batch", batches))
    since = clock.now() - timedelta(days=resource.audit_days)
    stored = lake.read(AUDIT_LOG)
    old = stored.filter(F.col("at") < F.lit(since))
    if lake.engine.rows(old.limit(1)):
        kept = stored.filter(~F.col("batch").isin([*batches]))
        whole = lake.engine.union([kept, frame]).filter(F.col("at") >= F.lit(since))
        added = NewRows(lake.engine.checkpoint(whole))
    yield dg.Output(added, metadata={"new_events": len(new)})
    # The table holds their records now, and no process adds to them any more.
    for path in files:
        if day_of(path) < clock.now() - _SETTLED:
            path.unlink(missing_ok=True)


def _event(kind: str, batch: str, number: int, **values: Any) -> Row:
    return {"event_id": f"{batch}#{number}", "batch": batch, "kind": kind, **values}


def _queries(files: Iterable[Path]) -> Iterator[Row]:
    """Read the records of each file; they replace those read from it before."""
    for path in files:
        for number, asked in enumerate(records(path), start=1):
            yield _event(
                "query", path.stem, number,
                at=datetime.fromisoformat(asked.at), user_name=asked.user, role=asked.role,
                source=asked.source, statement=asked.statement, tables=[*asked.tables],
                columns=[*asked.columns], policy=asked.policy, rows=asked.rows,
                milliseconds=asked.milliseconds, verdict=asked.verdict, code=asked.code or None,
            )  # fmt: skip


def _changes(lake: Lake) -> Iterator[Row]:
    """Read the versions of every table that the log does not have."""
    stored = lake.read(AUDIT_LOG, columns=["kind", "batch", "version"])
    newest = stored.filter(F.col("kind") == F.lit("change")).groupBy("batch").agg(
        F.max("version").alias("version")
    )  # fmt: skip
    known: dict[str, int] = {}
    for row in lake.engine.rows(newest):
        name = row["batch"].partition("@")[0]
        known[name] = max(known.get(name, -1), row["version"])
    tables = [table for table in lake.registry if table is not AUDIT_LOG]

    def versions(table: Table) -> tuple[Table, list[Any]]:
        at = lake.version(table)
        new = 0 if at is None else at - known.get(table.full_name, -1)
        return table, lake.history(table, new) if new else []

    for table, found in log.of_each(versions, tables):
        for version in reversed(found):
            commit = version.commit
            yield _event(
                "change", f"{table.full_name}@{version.number}", 1,
                at=version.committed_at, source=commit and commit.asset,
                statement=version.operation, tables=[table.full_name],
                run_id=commit and commit.run_id, version=version.number, verdict="committed",
            )  # fmt: skip


def grant_events(lake: Lake, roles: Mapping[str, Access]) -> Iterator[Row]:
    """Compare what roles may read now with what the log recorded."""
    stored = lake.read(AUDIT_LOG).filter(F.col("kind") == F.lit("grant"))
    rows = lake.engine.rows(stored.select("batch", "role", "statement", "tables", "verdict"))
    numbers = {row["batch"]: int(row["batch"].partition("@")[2]) for row in rows}
    before: dict[tuple[str, str, str], bool] = {}
    for row in sorted(rows, key=lambda row: numbers[row["batch"]]):
        key = (row["role"], row["tables"][0], row["statement"])
        before[key] = row["verdict"] == "granted"
    had = {key for key, granted in before.items() if granted}
    has = {
        (role.name, table.full_name, words_of(policy))
        for role in roles.values()
        for table, policy in role.tables.items()
    }
    batch, now = f"grants@{max(numbers.values(), default=0) + 1}", clock.now()
    changed = [*((key, "revoked") for key in sorted(had - has)),
               *((key, "granted") for key in sorted(has - had))]  # fmt: skip
    for number, ((role, table, text), verdict) in enumerate(changed, start=1):
        yield _event(
            "grant", batch, number,
            at=now, role=role, statement=text, tables=[table], verdict=verdict,
        )  # fmt: skip
