"""The Dagster IO manager, which maps asset partitions to Delta predicates.

dagster-deltalake's own IO manager is not used because it replaces the whole table whenever it
cannot build a predicate; here that is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from lakehouse_assets.catalog.registry import Grain, Registry, Table
from lakehouse_assets.clock import following
from lakehouse_assets.code_version import code_version
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import SourceColumn
from lakehouse_assets.errors import LakehouseError, SourceNotReadyError
from lakehouse_assets.lake.commits import Commit, WriteReport
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything, Selection, Values, Windows
from lakehouse_assets.lake.schema import comment
from lakehouse_assets.orchestration.process import Heartbeat
from lakehouse_assets.orchestration.recorded import (
    READ_AS_OF,
    Failed,
    failed_partitions,
    last_agreed,
    outdated_days,
)
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets.orchestration.retries import retry_transient
from lakehouse_assets.text import markdown

PARTITION_ROWS = "dagster/partition_row_count"
# The rows of a partition that the table's alert counts, if it does not count all of them.
ALERT_ROWS = "alert_rows"
# Tag of the runs of the sensor `build_downstream`.
_AUTOMATIC = "dagster/from_automation_condition"
# Most characters of a value in a preview.
_SHOWN = 60


@dataclass(frozen=True)
class NewRows:
    """An asset output that replaces only some rows of its table or of the run's partitions.

    Attributes:
        frame: The new rows, all of which match `replaced`.
        replaced: The rows to replace; in a partitioned table, only those in the run's partitions.
            None for all of them, as for an output that is a frame.
        state: Kept with the commit, see `Commit`.
    """

    frame: DataFrame
    replaced: Values | None = None
    state: str = ""


class DeltaIOManager(dg.ConfigurableIOManager):
    """Stores asset outputs as Delta tables and loads inputs as lazy frames.

    The input metadata `columns: [...]` limits a read to those columns.

    Attributes:
        lake: Where the tables are.
        run_time_limit: Time limit of a run in seconds; None for no limit.
    """

    lake: LakeResource
    run_time_limit: float | None = None
    _heartbeat: Heartbeat | None = PrivateAttr(None)
    _failed: Failed = PrivateAttr(default_factory=dict)
    _read_as_of: dict[str, int] = PrivateAttr(default_factory=dict)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Start the run's heartbeat, and find the failed partitions that it must not build on."""
        if context.instance is not None and context.run is not None:
            limit = timedelta(seconds=self.run_time_limit) if self.run_time_limit else None
            self._heartbeat = Heartbeat(context.instance, context.run.run_id, limit)
            self._heartbeat.begin()
            self._failed = failed_partitions(context.instance)

    def teardown_after_execution(self, _context: dg.InitResourceContext) -> None:
        """Stop the run's heartbeat."""
        if self._heartbeat is not None:
            self._heartbeat.end()

    def handle_output(self, context: dg.OutputContext, obj: DataFrame | NewRows) -> None:
        """Replace the run's partitions of the asset's table with the frame.

        Raises:
            LakehouseError: the asset is not declared, the partitions form no predicate, or the rows
                do not fit the table.
            RetryRequested: the store failed with a transient error.
        """
        with retry_transient(context.step_context.previous_attempt_count):
            self._store(context, obj)

    def _store(self, context: dg.OutputContext, obj: DataFrame | NewRows) -> None:
        if obj is None:
            raise LakehouseError(
                f"Asset {context.asset_key.to_user_string()} returned nothing; return a frame (an "
                "empty one empties the partition)."
            )
        lake = self.lake.open()
        table = lake.registry.by_key(tuple(context.asset_key.path))
        selection = selection_of(context, table)
        new = obj if isinstance(obj, NewRows) else NewRows(obj)
        if isinstance(selection, Windows):
            selection = replace(selection, only=new.replaced)
        else:
            selection = new.replaced or selection
        commit = Commit(
            run_id=context.run_id,
            asset=context.asset_key.to_user_string(),
            partition=_partition_text(context),
            code_version=context.asset_spec.code_version or code_version(),
            state=new.state,
        )
        report = lake.write(table, new.frame, selection, commit)
        metadata = output_metadata(lake, table, report)
        read = self._read_as_of.get(context.step_key)
        as_of = {} if read is None else {READ_AS_OF: read}
        if context.has_asset_partitions and len(context.asset_partition_keys) > 1:
            metadata["range_row_count"] = metadata.pop(PARTITION_ROWS)
            _show_once(context, metadata)
            for key in context.asset_partition_keys:
                context.step_context.add_asset_metadata(
                    {PARTITION_ROWS: report.rows_by_partition.get(key, 0), **as_of},
                    asset_key=context.asset_key,
                    partition_key=key,
                )
            metadata = {"delta_version": report.version}
        else:
            metadata |= as_of
        context.add_output_metadata(metadata)

    def load_input(self, context: dg.InputContext) -> DataFrame:
        """Read the upstream partitions that the run's partitions map to, lazily.

        Raises:
            SourceNotReadyError: the last run of one of these partitions failed.
            RetryRequested: the store failed with a transient error.
        """
        step = context.step_context
        if step.step.key not in self._read_as_of:
            # Events recorded from now on may describe later table versions than this step reads.
            newest = step.instance.event_log_storage.get_maximum_record_id()
            self._read_as_of[step.step.key] = newest or 0
        with retry_transient(step.previous_attempt_count):
            return self._read(context)

    def _read(self, context: dg.InputContext) -> DataFrame:
        lake = self.lake.open()
        table = lake.registry.by_key(tuple(context.asset_key.path))
        columns = (context.definition_metadata or {}).get("columns")
        if context.has_asset_partitions and not context.asset_partition_keys:
            # The run's partitions map to no upstream partition, such as the first partition of an
            # asset that depends on its own history.
            return lake.read(table, columns=columns).filter(F.lit(False))
        self._refuse_failed(context, lake, table)
        selection = selection_of(context, table)
        frame = lake.read(table, selection, columns)
        # Looked up after the version is fixed, because what puts days out of date is recorded
        # before it is written.
        agreed = self._last_agreed(context, table)
        return frame if agreed is None else lake.read(table, selection, columns, agreed)

    def _last_agreed(self, context: dg.InputContext, table: Table) -> int | None:
        """Return the version before days that are read were put out of date; None to read as usual.

        A day may be put out of date while a run of the sensor waits or begins. The sensor requests
        that run again once the day has been run again. Other runs read what there is.
        """
        step = context.step_context
        own = table.step == step.step.key
        if table.layer != "silver" or own or _AUTOMATIC not in step.run_tags:
            return None
        if not context.has_asset_partitions:
            return None
        outdated = outdated_days(step.instance, context.asset_key)
        days = outdated.keys() & {*context.asset_partition_keys}
        agreed = last_agreed(step.instance, context.asset_key, [outdated[day] for day in days])
        if agreed is None:
            return None
        version, event = agreed
        self._read_as_of[step.step.key] = min(event, self._read_as_of[step.step.key])
        return version

    def _refuse_failed(self, context: dg.InputContext, lake: Lake, table: Table) -> None:
        """Refuse to build on partitions whose last run failed, except those that this run made."""
        failed = self._failed.get(context.asset_key, {})
        step = context.step_context
        if not failed or table.step == step.step.key:
            return
        parts = context.asset_partition_keys if context.has_asset_partitions else [None]
        needed = failed.keys() & {*parts}
        if needed and step.has_partitions:
            first, last = step.partition_key_range
            if context.asset_key in step.job_def.asset_layer.executable_asset_keys:
                needed = {part for part in needed if part and not first <= part <= last}
            if table.layer == "silver" and table.partition and table.partition.grain == "month":
                # A later snapshot has replaced the one that failed.
                later = [
                    f"{month}" for month, rows in lake.rows_by_partition(table).items() if rows
                ]
                needed = {
                    part for part in needed if part and not any(part < m <= first for m in later)
                }
        if needed:
            oldest = min(needed, key=str)
            raise SourceNotReadyError(
                f"{table.name}{f' of {oldest}' if oldest else ''} is not ready, because the run "
                f"{failed[oldest][:8]} that should have built it failed; fix the cause and run it "
                "again. Until then nothing is built on it."
            )


def _show_once(context: dg.OutputContext, metadata: Mapping[str, Any]) -> None:
    """Add the metadata of a whole range to the last partition's event only.

    That event is the asset's newest, which the UI shows. On the other events the rows and bytes of
    the range would look like those of one partition, and copies for every day of a month would be
    most of what a run stores. Each event has the number of rows of its own partition.
    """
    context.step_context.add_asset_metadata(
        metadata, asset_key=context.asset_key, partition_key=context.asset_partition_keys[-1]
    )


def selection_of(context: dg.OutputContext | dg.InputContext, table: Table) -> Selection:
    """Convert a context's partitions to a selection of rows.

    Raises:
        LakehouseError: the table and the asset are partitioned differently; there is no fallback to
            the whole table.
    """
    if context.has_asset_partitions:
        return windows_of(context.asset_partitions_def, context.asset_partition_keys, table)
    if isinstance(context, dg.OutputContext) and table.partition is not None:
        raise LakehouseError(
            f"Table {table.name} is partitioned by {table.partition.column}, but this run has no "
            "partition; choose a partition or a range."
        )
    return Everything()


def windows_of(
    definition: dg.PartitionsDefinition[Any], keys: Sequence[str], table: Table
) -> Windows:
    """Select the partitions of some keys; consecutive ones form one window.

    Raises:
        LakehouseError: no key is given, or the asset's partitions are not those of the table.
    """
    partition = table.partition
    if partition is None:
        raise LakehouseError(
            f"The asset of table {table.name} is partitioned, but the table declares no partition "
            "column; declare it."
        )
    # Only one key is checked: Dagster computes windows from a cron schedule, which is slow.
    if keys and not _is_partition(definition, keys[0], partition.grain):
        raise LakehouseError(
            f"Table {table.name} is partitioned by the {partition.grain} in UTC, but its asset is "
            f"not; give the asset partitions of a {partition.grain} each."
        )
    spans: list[tuple[date, date]] = []
    for day in sorted({date.fromisoformat(key) for key in keys}):
        end = following(day, partition.grain)
        touching = bool(spans) and spans[-1][1] == day
        spans[-1:] = [(spans[-1][0], end)] if touching else [*spans[-1:], (day, end)]
    return Windows(partition, tuple(spans))


def _is_partition(definition: dg.PartitionsDefinition[Any], key: str, grain: Grain) -> bool:
    """Say whether a key's partition is a whole day or month in UTC, named by its first day."""
    if not isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return False
    window = definition.time_window_for_partition_key(key)
    first = window.start.date()
    midnights = [datetime.combine(day, time(), UTC) for day in (first, following(first, grain))]
    return key == first.isoformat() and [window.start, window.end] == midnights


def output_metadata(lake: Lake, table: Table, report: WriteReport) -> dict[str, Any]:
    """Return a materialisation's metadata: size, version, lineage and a preview of the rows."""
    metadata: dict[str, Any] = {
        "dagster/row_count": report.rows,
        PARTITION_ROWS: report.partition_rows,
        "dagster/column_schema": dagster_schema(table),
        "dagster/table_name": f"{table.domain}.{table.name}",
        "dagster/uri": lake.uri(table),
        "delta_version": report.version,
        "files": report.files,
        "bytes": report.bytes,
    }
    if report.sample is not None:
        metadata["preview"] = dg.MetadataValue.md(preview(table, report.sample))
    lineage = column_lineage(lake.registry, report.lineage, table)
    if lineage:
        metadata["dagster/column_lineage"] = lineage
    return metadata


def dagster_schema(table: Table) -> dg.TableSchema:
    """Return the column schema that the Dagster UI shows."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=comment(column),
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=table.keys == (column.name,)
                ),
                tags={"pii": column.pii} if column.pii else {},
            )
            for column in table.columns
        ],
        constraints=dg.TableConstraints(other=list(table.constraints.values())),
    )


def column_lineage(
    registry: Registry, lineage: Mapping[str, frozenset[SourceColumn]], table: Table
) -> dg.TableColumnLineage | None:
    """Convert a plan's lineage to Dagster's form; None if no column comes from another table.

    A table is not listed as its own source: rows reused from its previous version keep the sources
    that they had then.
    """
    known = {declared.identifier: declared for declared in registry if declared != table}
    dependencies = {
        column: [
            dg.TableColumnDep(
                asset_key=dg.AssetKey(known[source.table].key), column_name=source.column
            )
            for source in sorted(others, key=lambda s: (s.table, s.column))
        ]
        for column, sources in lineage.items()
        if (others := [source for source in sources if source.table in known])
    }
    return dg.TableColumnLineage(dependencies) if dependencies else None


def preview(table: Table, rows: Sequence[Mapping[str, Any]]) -> str:
    """Show rows as a Markdown table; columns with personal data are masked."""
    if not rows:
        return "*no rows*"
    names = list(table.column_names)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = ["•••" if table.column(n).pii else _cell(row.get(n)) for n in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return markdown(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


def _partition_text(context: dg.OutputContext) -> str:
    if not context.has_asset_partitions:
        return ""
    keys = context.asset_partition_keys
    return keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}"
