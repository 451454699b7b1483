"""Reports a stream to Dagster: the days of its tables that changed, and how far behind it is.

Changes are read from the tables' histories since the last reported version, so no day is left out
if a process is killed between a commit and its report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import Stream, bronze_events, stream_tables
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.checks import check_results
from lakehouse_assets.orchestration.io_manager import PARTITION_ROWS
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.text import visible

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakehouse_assets.streams.ingest import Cycle

MOST_LAG = 1_000
CONSERVED = Check(
    "events_are_conserved",
    "Events that were read = new bronze rows; bronze rows = silver rows + quarantine.",
    blocking=True,
)
LAG = Check("lag_is_small", "Few messages are left to read.")
LOSSES = Check(
    "losses_are_within_limits",
    "No more events are rejected or quarantined than the stream's limits allow.",
    error=True,
)
DECLARED = Check("attributes_are_declared", "Events have the declared attributes, and no others.")
STREAM_CHECKS = (CONSERVED, LAG, LOSSES, DECLARED)
# Operations that change no rows.
_KEEPS_ROWS = ("OPTIMIZE", "VACUUM", "CREATE", "ADD", "SET", "DROP", "CHANGE")
_VERSION = "delta_version"


def stream_key(stream: Stream) -> dg.AssetKey:
    """Return the key of the asset that reads a stream."""
    return dg.AssetKey([stream.domain, f"stream_{stream.name}"])


def stored_events(stream: Stream, lake: Lake) -> int:
    """Count the rows of bronze from its log."""
    return sum(lake.rows_by_partition(bronze_events(stream)).values())


def findings_of(
    stream: Stream, lake: Lake, read: Cycle, stored: int, most_lag: int = MOST_LAG
) -> Iterator[Finding]:
    """Check what was read since the last report; conservation comes first.

    Args:
        stream: The stream.
        lake: Where its tables are stored.
        read: What was read.
        stored: Rows of bronze before that.
        most_lag: Number of messages that may be left.
    """
    yield _conserved(stream, lake, read.events, stored)
    waiting = {f"{topic}/{part}": n for (topic, part), n in read.lag.items() if n}
    listed = ", ".join(f"{name}: {number:,}" for name, number in waiting.items())
    yield Finding(
        LAG,
        f"{read.left:,} messages are left to read"
        f"{f' ({listed})' if listed else ''}; the limit is {most_lag:,}.",
        {"": read.left} if read.left > most_lag else {},
        numbers={"lag": read.left},
    )
    lost = {"rejected": read.rejected, "quarantined": read.quarantined}
    limits = {"rejected": stream.rejected, "quarantined": stream.quarantined}
    number = read.events + read.rejected
    over = {verb: n for verb, n in lost.items() if limits[verb].exceeded(n, number)}
    text = ", ".join(f"{number:,} {verb}" for verb, number in lost.items())
    remedy = "; see the reasons in the rejects and quarantine tables" if over else ""
    yield Finding(LOSSES, f"Of {number:,} events: {text}{remedy}.", {"": sum(over.values())})
    names = visible(", ".join(sorted(read.undeclared)))
    yield Finding(
        DECLARED,
        f"Undeclared attributes: {names}. Ask the source, or declare the fields to store their "
        "values from then on."
        if names
        else "Every event has the declared attributes.",
        {"": len(read.undeclared)},
    )


def table_events(
    instance: dg.DagsterInstance, stream: Stream, lake: Lake, read: Cycle
) -> Iterator[dg.AssetMaterialization]:
    """Return the materialisations of everything that changed since the last report."""
    for table in stream_tables(stream):
        key = dg.AssetKey(table.key)
        reported = instance.get_latest_materialization_event(key)
        known = reported.asset_materialization if reported else None
        since = known.metadata.get(_VERSION) if known else None
        found = lake.open(table)
        if found is None:
            continue
        days = _changed(found, table, None if since is None else int(str(since.value)))
        rows = lake.rows_by_partition(table, found)
        metadata: dict[str, Any] = {
            _VERSION: found.version(),
            "dagster/row_count": sum(rows.values()),
            "dagster/uri": lake.uri(table),
        }
        if table.layer == "bronze":
            metadata |= {"lag": read.left, "offsets": _offsets(read)}
        if table.partition is None:
            if days is None or days:
                yield dg.AssetMaterialization(key, metadata=metadata)
            continue
        for day in sorted(rows.keys() if days is None else days):
            own = {PARTITION_ROWS: rows.get(day, 0)}
            yield dg.AssetMaterialization(key, partition=str(day), metadata=metadata | own)


def report_outside_runs(
    instance: dg.DagsterInstance,
    stream: Stream,
    lake: Lake,
    read: Cycle,
    findings: Sequence[Finding],
) -> None:
    """Report a stream outside a run; its tables only if no event was lost or doubled."""
    reader = stream_key(stream)
    for result in check_results(reader, findings):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=reader,
                check_name=str(result.check_name),
                passed=result.passed,
                metadata=result.metadata,
                severity=result.severity,
                description=result.description,
            )
        )
    if all(finding.passed for finding in findings if finding.check.blocking):
        for event in table_events(instance, stream, lake, read):
            instance.report_runless_asset_event(event)
        instance.report_runless_asset_event(
            dg.AssetMaterialization(reader, metadata=summary_of(read))
        )


def summary_of(read: Cycle) -> dict[str, Any]:
    """Return the metadata of the stream's own materialisation."""
    found: dict[str, Any] = {
        "messages": read.messages,
        "events": read.events,
        "rejected": read.rejected,
        "quarantined": read.quarantined,
        "late": read.late,
        "lag": read.left,
        "offsets": _offsets(read),
    }
    if read.last_event is not None:
        found["last_event"] = dg.MetadataValue.timestamp(read.last_event)
    return found


def _changed(found: DeltaTable, table: Table, since: int | None) -> set[date] | None:
    """Return the days that were written after a version; None if they are unknown.

    A table without partitions has one entry, `date.min`, if it was written.
    """
    if since is None or since > found.version():
        return None
    number = found.version() - since
    versions = log.history(found, number) if number else []
    written = [v for v in versions if not v.operation.startswith(_KEEPS_ROWS)]
    if len(versions) < number or any(v.commit is None for v in written):
        return None
    if table.partition is None:
        return {date.min} if written else set()
    texts = {day for v in written if v.commit for day in v.commit.partition.split(",")}
    return {date.fromisoformat(day) for day in texts if day}


def _conserved(stream: Stream, lake: Lake, events: int, before: int) -> Finding:
    from lakehouse_assets.streams.ingest import balance

    grown = stored_events(stream, lake) - before
    stored = balance(stream, lake, lake.rows_by_partition(bronze_events(stream)))
    gaps = {str(day): gap for day, gap in stored.gaps().items()}
    if events != grown:
        gaps["read"] = events - grown
    totals = stored.totals()
    text = (
        f"{events:,} events were read, bronze has {grown:,} new rows; {totals['bronze']:,} "
        f"rows of bronze = {totals['silver']:,} of silver + {totals['quarantine']:,} quarantined."
    )
    if gaps:
        text += (
            f" They do not add up ({', '.join(f'{day}: {gap:+,}' for day, gap in gaps.items())}). "
            "Nothing is built from the stream until they do; move its tables away and read it "
            "again."
        )
    return Finding(
        CONSERVED,
        text,
        {part: abs(gap) for part, gap in gaps.items()},
        numbers={"events": events, "new_rows": grown},
    )


def _offsets(read: Cycle) -> str:
    return json.dumps({f"{topic}/{part}": n for (topic, part), n in read.progress.items()})
