"""The sensors that load deliveries and rebuild days that a late delivery put out of date."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.domains import DATASETS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.orchestration.arrivals import (
    Arrivals,
    Span,
    arrivals,
    consecutive,
    spans_of,
)
from lakehouse_assets.orchestration.jobs import Jobs, job_that_loads
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.recorded import (
    DATASET_TAG,
    failed_loads,
    failed_partitions,
    last_loads,
    loading,
    outdated_days,
    tags_of,
)
from lakehouse_assets.orchestration.resources import LandingResource
from lakehouse_assets.text import visible

_LOOK_SECONDS = 30
_NAMED = 20


def arrivals_sensor(
    calendars: Mapping[str, Calendar], jobs: Jobs, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Make the sensor that loads deliveries into bronze and silver."""

    @dg.sensor(
        name="deliveries",
        jobs=[jobs[name] for name in sorted({*map(job_that_loads, DATASETS)})],
        description=(
            "Loads new, corrected and late files of the landing zone once they are complete. "
            "Deleted files are reported and change nothing."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def deliveries(
        context: dg.SensorEvaluationContext, landing: LandingResource
    ) -> dg.SensorResult:
        look = _Look(context, landing.open())
        for dataset in DATASETS:
            try:
                look.at(dataset, calendars[dataset.domain])
            except LakehouseError as error:
                # Other datasets may still be listed.
                look.errors.append(error)
                context.log.error(visible(f"{dataset.path} is not loaded: {error}"))
        if look.errors and not look.requests:
            raise look.errors[0]
        for line in look.sentences:
            context.log.warning(visible(line))
        _say(context, look.requests)
        return dg.SensorResult(
            run_requests=look.requests,
            skip_reason=None
            if look.requests
            else " ".join([*look.notes, *look.sentences]) or "There are no new deliveries.",
            cursor=look.cursor(),
            asset_events=look.observations,
        )

    return deliveries


def days_of(dataset: Dataset, calendar: Calendar) -> tuple[date, date]:
    """Return the first and the last delivery day that have a partition."""
    window = calendar.of_grain(dataset.grain).get_last_partition_window()
    end = window.end.date() if window else calendar.first
    return calendar.first, end - timedelta(days=1)


class _Look:
    """One tick of the sensor, which looks at the datasets one after the other.

    Attributes:
        requests: Runs to request.
        notes: Reasons for not requesting runs that need no attention.
        sentences: Warnings to report.
        observations: Deletions that were not reported before.
        errors: Reasons why datasets could not be listed.
    """

    def __init__(self, context: dg.SensorEvaluationContext, zone: LandingZone) -> None:
        self._instance, self._zone = context.instance, zone
        # If the cursor is lost, young files wait one more tick and deletions are reported again.
        self._before = read_cursor(context.cursor)
        self._after: dict[str, list[Any]] = {}
        self._loading = loading(context.instance)
        self._failed = failed_partitions(context.instance)
        self.requests: list[dg.RunRequest] = []
        self.notes: list[str] = []
        self.sentences: list[str] = []
        self.observations: list[dg.AssetObservation] = []
        self.errors: list[LakehouseError] = []

    def at(self, dataset: Dataset, calendar: Calendar) -> None:
        """Compare a dataset's files with its loads, and collect what to request and report.

        Raises:
            LakehouseError: its deliveries cannot be listed.
        """
        seen, reported = self._after[dataset.path] = self._before.get(dataset.path, ["", []])
        if dataset.path in self._loading:
            # Its tables have one writer at a time. Files that arrive meanwhile go into one later
            # run, so that a daemon which falls behind never queues a run for each file.
            self.notes.append(f"A run is loading {dataset.path}; newer files are loaded after it.")
            return
        now = clock.now()
        listing = self._zone.files(dataset)
        loads = last_loads(self._instance, dataset, self._failed)
        found = arrivals(dataset, listing, loads, seen, now, *days_of(dataset, calendar))
        spans: list[Span] = []
        pausing: list[tuple[date, datetime]] = []
        if found.due:
            failures = failed_loads(self._instance, dataset)
            spans, pausing = spans_of(dataset, found.due, loads, failures, now)
        keys = keys_of(dataset, dataset.loaded_tables)
        self.requests += [request(dataset, span, keys) for span in spans]
        self.sentences += _sentences(dataset, calendar, found, pausing)
        self.sentences += self._zone.strays_of(dataset)
        deleted = [*found.deleted.values()]
        if deleted and deleted != reported:
            self.observations.append(
                dg.AssetObservation(
                    asset_key=keys[0],
                    description="Delivered files were deleted from the landing zone.",
                    metadata={"deleted_files": deleted},
                )
            )
        self._after[dataset.path] = [found.young, deleted]

    def cursor(self) -> str:
        """Return the cursor: young files and deletions, by dataset."""
        return json.dumps({path: kept for path, kept in self._after.items() if any(kept)})


def read_cursor(text: str | None) -> dict[str, Any]:
    """Parse a sensor's cursor; an invalid one counts as empty."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def late_sensor(jobs: Jobs, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Make the sensor that re-runs days that a late or corrected day put out of date."""
    daily = [dataset for dataset in DATASETS if dataset.grain == "day"]
    cleaned = {dataset: keys_of(dataset, dataset.loaded_tables[2:]) for dataset in daily}

    @dg.sensor(
        name="late_deliveries",
        jobs=[jobs[name] for name in sorted({*map(job_that_loads, daily)})],
        description=(
            "Runs days again that share ids with an earlier day that was loaded after them, so "
            "that the earliest day keeps each id, whatever the order of delivery."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def late_deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        requested = []
        for dataset, keys in cleaned.items():
            outdated = outdated_days(context.instance, keys[0])
            for days in consecutive(map(date.fromisoformat, outdated), dataset.grain):
                # Dagster starts one run per key; with the date in it, a failed run is repeated on
                # the next day.
                newest = max(outdated[day.isoformat()] for day in days)
                key = f"late:{dataset.path}:{days[0]}:{newest}:{clock.today()}"
                requested.append(request(dataset, Span(days[0], days[-1], key), keys))
        _say(context, requested)
        return dg.SensorResult(
            run_requests=requested,
            skip_reason=None if requested else "No later day is out of date.",
        )

    return late_deliveries


def keys_of(dataset: Dataset, names: Sequence[str]) -> list[dg.AssetKey]:
    """Return the asset keys of some of a dataset's tables."""
    return [dg.AssetKey([dataset.domain, name]) for name in names]


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run over a range of partitions: Dagster's, and one for the run list.

    The run list shows custom tags, but not Dagster's own.
    """
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
        "partitions": first if first == last else f"{first}...{last}",
    }


def request(dataset: Dataset, span: Span, keys: Sequence[dg.AssetKey]) -> dg.RunRequest:
    """Make the request of a run over consecutive partitions."""
    first, last = span.first.isoformat(), span.last.isoformat()
    return dg.RunRequest(
        span.run_key,
        job_name=job_that_loads(dataset),
        partition_key=first if first == last else None,
        tags=tags_of(dataset, span) | ({} if first == last else range_tags(first, last)),
        asset_selection=[*keys],
    )


def _say(context: dg.SensorEvaluationContext, requests: Iterable[dg.RunRequest]) -> None:
    """Log the partitions of each run: `dagster sensor preview` shows nothing else of them."""
    for asked in requests:
        partitions = asked.partition_key or asked.tags["partitions"]
        context.log.info(f"Loads {asked.tags[DATASET_TAG]} of {partitions}.")


def _sentences(
    dataset: Dataset,
    calendar: Calendar,
    found: Arrivals,
    pausing: Sequence[tuple[date, datetime]],
) -> Iterator[str]:
    if found.waiting:
        yield f"Waiting for files of {dataset.path} to be complete: {_some(found.waiting)}."
    if pausing:
        named = [f"{partition} at {until:%Y-%m-%d %H:%M} UTC" for partition, until in pausing]
        yield (
            f"Failed runs of {dataset.path} are retried later, or at once if a file changes: "
            f"{_some(named)}."
        )
    if found.deleted:
        gone = _some([*found.deleted.values()])
        yield (
            f"Deleted from the landing zone of {dataset.path}: {gone}. The tables are unchanged; "
            "materialise the partitions to drop the rows too."
        )
    if found.outside:
        yield (
            f"Delivered on days without a partition: {_some(found.outside)}; rename the folders, "
            f"or set LAKEHOUSE_FIRST_PARTITION (now {calendar.first})."
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
