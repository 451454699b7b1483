"""Telling people: newly At-Risk members, and runs that failed.

Belongs here: what is said, to whom, and the sensors that notice. Only counts leave the lakehouse:
no names, no keys, no error texts, which may quote data. Not here: the tables that are counted.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import SecretStr

from lakehouse_assets.airline.tables import GOLD_NEWLY_AT_RISK
from lakehouse_assets.errors import LakehouseError

_TIMEOUT_SECONDS = 10
_LOOK_SECONDS = 60
_EVENTS_AT_ONCE = 1_000
_COUNTS = ("dagster/partition_row_count", "range_row_count")


@dataclass(frozen=True)
class Alert:
    """One message.

    Attributes:
        title: What happened.
        counts: How many of what.
    """

    title: str
    counts: dict[str, int]

    @property
    def text(self) -> str:
        """The message as one line, which Slack and Teams both show."""
        told = ", ".join(f"{name}: {number:,}" for name, number in self.counts.items())
        return f"{self.title} ({told})" if told else self.title


def tell(alert: Alert, webhook: SecretStr | None, log: Callable[[str], Any]) -> None:
    """Write an alert to the log, and send it to a Slack or Teams webhook if there is one.

    Raises:
        LakehouseError: the webhook did not take it; the message does not show its address.
    """
    log(alert.text)
    if webhook is None:
        return
    request = urllib.request.Request(  # noqa: S310 - the setting allows https, or this machine
        webhook.get_secret_value(),
        data=json.dumps({"text": alert.text}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        reason = f"HTTP {error.code}"
        error.close()
    except (OSError, ValueError) as error:
        reason = type(error).__name__
    raise LakehouseError(
        f"The alert webhook did not take a message ({reason}); check LAKEHOUSE_ALERT_WEBHOOK."
    )


def at_risk_alerts(records: Sequence[dg.EventLogRecord]) -> Iterator[Alert]:
    """Make one alert of each run that found members newly at risk."""
    told: set[str] = set()
    for record in records:
        made = record.asset_materialization
        if made is None or record.run_id in told:
            continue
        told.add(record.run_id)
        number = next((made.metadata[name].value for name in _COUNTS if name in made.metadata), 0)
        if number:
            title = f"Members are newly At-Risk in {made.partition}"
            yield Alert(title, {"members": int(str(number))})


def alert_sensors(*, running: bool) -> list[dg.SensorDefinition]:
    """Make the sensors that tell people.

    Args:
        running: Whether they run from the start; otherwise people switch them on in the UI.
    """
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="alert_newly_at_risk",
        description="Tells how many members became At-Risk, when a month was built: counts only.",
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def newly_at_risk(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        records = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=GOLD_NEWLY_AT_RISK.asset_key,
                after_storage_id=int(context.cursor) if context.cursor else None,
            ),
            limit=_EVENTS_AT_ONCE,
            ascending=True,
        ).records
        # What was built before the sensor was switched on is no news, but for the last of it.
        alerts = list(at_risk_alerts(records if context.cursor else records[-1:]))
        for alert in alerts:
            tell(alert, _webhook(), context.log.warning)
        if records:
            context.update_cursor(str(records[-1].storage_id))
        return dg.SkipReason(
            "; ".join(alert.text for alert in alerts) or "No member is newly at risk."
        )

    @dg.run_failure_sensor(
        name="alert_failed_runs",
        description="Tells that a run failed, and how many of its steps: counts only.",
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        steps = len(context.get_step_failure_events())
        alert = Alert(f"Run {run.run_id} of {run.job_name} failed", {"failed steps": steps})
        tell(alert, _webhook(), context.log.warning)

    return [newly_at_risk, failed_runs]


def _webhook() -> SecretStr | None:
    """Read the address when it is needed, so that no configuration or metadata holds it."""
    from lakehouse_assets.settings import load_settings

    return load_settings().alert_webhook
