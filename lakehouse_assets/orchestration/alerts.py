"""Sends alerts about rows of tables that declare an alert, and about failed runs.

An alert holds counts, and a partition or the run's id and job. It holds no values of rows and no
error messages, which may quote data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakehouse_assets.catalog.gold import RowsAlert
from lakehouse_assets.domains import DOMAINS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.io_manager import ALERT_ROWS, PARTITION_ROWS
from lakehouse_assets.orchestration.recorded import materialisations_after
from lakehouse_assets.orchestration.sensors import read_cursor
from lakehouse_assets.posting import post_json

if TYPE_CHECKING:
    from pydantic import SecretStr

_LOOK_SECONDS = 60


def send_alert(text: str, webhook: SecretStr | None, log: Callable[[str], Any]) -> None:
    """Log one line, and send it to the Slack or Teams webhook if there is one.

    Raises:
        LakehouseError: the webhook did not accept it; the message does not show its address.
    """
    log(text)
    if webhook is None:
        return
    reason = post_json(webhook.get_secret_value(), {"text": text})
    if reason is None:
        return
    raise LakehouseError(
        f"The alert webhook did not accept a message ({reason}); check LAKEHOUSE_ALERT_WEBHOOK."
    )


def _rows_by_partition(records: Iterable[dg.EventLogRecord]) -> dict[str, int]:
    """Return the latest number of rows by partition."""
    counts = {}
    for record in records:
        made = record.asset_materialization
        if made is None or not made.partition:
            continue
        found = made.metadata.get(ALERT_ROWS, made.metadata.get(PARTITION_ROWS))
        if found is not None:
            counts[made.partition] = int(str(found.value))
    return counts


def alert_sensors(status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    """Make the sensors of tables' alerts and of failed runs."""

    @dg.run_failure_sensor(
        name="alert_failed_runs",
        description="Sends an alert when a run fails, with the number of failed steps.",
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        steps = len(context.get_step_failure_events())
        text = f"Run {run.run_id} of {run.job_name} failed (failed steps: {steps:,})"
        send_alert(text, _webhook(), context.log.warning)

    return [
        *(
            _rows_sensor(dg.AssetKey(gold.table.key), gold.alert, status)
            for domain in DOMAINS
            for gold in domain.gold
            if gold.alert is not None
        ),
        failed_runs,
    ]


def _rows_sensor(
    key: dg.AssetKey, declared: RowsAlert, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"alert_{declared.name}",
        description=(
            f"{declared.title}: sends their number for each partition that is built, and again if "
            "it changes."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def rows_alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        before = read_cursor(context.cursor)
        after: int | None = before.get("after")
        rows: dict[str, int] = before.get("rows", {})
        records = [*materialisations_after(context.instance, key, after)]
        counts = _rows_by_partition(records)
        if not before:
            # Of the partitions built before the sensor was switched on, report only the last run's.
            of_last_run = _rows_by_partition(r for r in records if r.run_id == records[-1].run_id)
            rows = {p: n for p, n in counts.items() if p not in of_last_run}
        sent: list[str] = []
        for partition, number in sorted(counts.items()):
            if number == rows.get(partition, 0):
                continue
            text = f"{declared.title} in {partition} ({declared.rows}: {number:,})"
            try:
                send_alert(text, _webhook(), context.log.warning)
            except LakehouseError as error:
                if not sent:
                    raise
                # A failed tick loses its cursor, so keep what was sent; the next one sends the
                # rest, or fails.
                context.log.error(str(error))
                break
            sent.append(text)
            rows[partition] = number
        else:
            after = records[-1].storage_id if records else after
        context.update_cursor(json.dumps({"after": after, "rows": rows}))
        return dg.SkipReason("; ".join(sent) or "The numbers have not changed.")

    return rows_alert


def _webhook() -> SecretStr | None:
    """Read the address only when it is needed, so that no configuration or metadata holds it."""
    from lakehouse_assets.settings import load_settings

    return load_settings().alert_webhook
