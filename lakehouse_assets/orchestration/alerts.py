"""Alerts about newly At-Risk members and failed runs.

An alert holds counts, a month or the run's id and job: no names or keys of members, and no error
messages, which may quote data.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import SecretStr

from lakehouse_assets import timeouts
from lakehouse_assets.domains.airline.gold.movements import GOLD_NEWLY_AT_RISK
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.io_manager import PARTITION_ROWS

_LOOK_SECONDS = 60
_EVENTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Alert:
    """An alert message.

    Attributes:
        title: What happened.
        counts: Numbers to report, by name.
    """

    title: str
    counts: dict[str, int]

    @property
    def text(self) -> str:
        """The message as one line, which Slack and Teams both show."""
        told = ", ".join(f"{name}: {number:,}" for name, number in self.counts.items())
        return f"{self.title} ({told})" if told else self.title


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which would go to another host and drop the message."""

    def redirect_request(self, *_args: Any) -> None:
        """Return no new request, so that urllib raises an `HTTPError`."""


def tell(alert: Alert, webhook: SecretStr | None, log: Callable[[str], Any]) -> None:
    """Log an alert, and send it to the Slack or Teams webhook if there is one.

    Raises:
        LakehouseError: the webhook did not accept it; the message does not show its address.
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
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if request.type == "http":
        # Plain http is only allowed to this machine, so it must not go through a proxy.
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        opener = urllib.request.build_opener(*handlers)
        with opener.open(request, timeout=timeouts.request_seconds()):
            return
    except urllib.error.HTTPError as error:
        reason = f"HTTP {error.code}"
        error.close()
    except (OSError, ValueError) as error:
        reason = type(error).__name__
    raise LakehouseError(
        f"The alert webhook did not take a message ({reason}); check LAKEHOUSE_ALERT_WEBHOOK."
    )


@dataclass(frozen=True)
class Told:
    """Cursor of the sensor for newly At-Risk members.

    Attributes:
        after: Storage id of the last event handled.
        members: Number of members last reported, by month.
    """

    after: int
    members: dict[str, int]

    @classmethod
    def decode(cls, cursor: str | None) -> "Told | None":
        """Parse a cursor; None if it is missing or has another form."""
        found = json.loads(cursor) if cursor else None
        return cls(found["after"], found["members"]) if isinstance(found, dict) else None

    def encode(self) -> str:
        """Serialise to a cursor."""
        return json.dumps({"after": self.after, "members": self.members})


def at_risk_events(instance: dg.DagsterInstance, after: int | None) -> list[dg.EventLogRecord]:
    """Return the materialisations of the At-Risk table after an event, oldest first."""
    records: list[dg.EventLogRecord] = []
    while True:
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey(GOLD_NEWLY_AT_RISK.key), after_storage_id=after
            ),
            limit=_EVENTS_AT_ONCE,
            ascending=True,
        ).records
        records += found
        if len(found) < _EVENTS_AT_ONCE:
            return records
        after = found[-1].storage_id


def members_by_month(records: Iterable[dg.EventLogRecord]) -> dict[str, int]:
    """Return the latest number of members by month; each event has that of its own partition."""
    counts = {}
    for record in records:
        made = record.asset_materialization
        if made is not None and made.partition and PARTITION_ROWS in made.metadata:
            counts[made.partition] = int(str(made.metadata[PARTITION_ROWS].value))
    return counts


def alert_sensors(*, running: bool) -> list[dg.SensorDefinition]:
    """Make the alert sensors, which start switched on if `running`."""
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="alert_newly_at_risk",
        description=(
            "Tells how many members became At-Risk in each month that was built, once, and again "
            "if the number changes: counts only."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def newly_at_risk(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        told = Told.decode(context.cursor)
        records = at_risk_events(context.instance, told.after if told else None)
        counts = members_by_month(records)
        if told is None:
            # Of the months built before the sensor was switched on, report only the last run's.
            last = [r for r in records if r.run_id == records[-1].run_id]
            news = members_by_month(last)
            told = Told(0, {m: n for m, n in counts.items() if m not in news})
        members = dict(told.members)
        sent: list[str] = []
        for month, number in sorted(counts.items()):
            if number == members.get(month, 0):
                continue
            alert = Alert(f"Members are newly At-Risk in {month}", {"members": number})
            try:
                tell(alert, _webhook(), context.log.warning)
            except LakehouseError as error:
                if not sent:
                    raise
                # A failed tick loses its cursor, so keep what was sent; the next one sends the
                # rest, or fails.
                context.log.error(str(error))
                break
            sent.append(alert.text)
            members[month] = number
        else:
            told = Told(records[-1].storage_id if records else told.after, members)
        context.update_cursor(Told(told.after, members).encode())
        return dg.SkipReason("; ".join(sent) or "No member is newly at risk.")

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
    """Read the address only when it is needed, so that no configuration or metadata holds it."""
    from lakehouse_assets.settings import load_settings

    return load_settings().alert_webhook
