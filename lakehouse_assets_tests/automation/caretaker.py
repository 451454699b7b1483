"""A daemon for tests: it evaluates sensors and runs what they ask for, in this process."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets_tests.airline.samples import House

# The tag that Dagster gives to runs which conditions request.
AUTOMATIC = {"dagster/from_automation_condition": "true"}


@dataclass
class Caretaker:
    """Looks after one house.

    Attributes:
        house: The house.
        instance: Where runs are recorded.
        runs: What ran, in order: the job's assets and the first and last partition.
        watched: The assets whose conditions are looked at; all of them if it is not said.
        may_fail: Whether runs may fail; what failed is not among `runs`.
    """

    house: House
    instance: dg.DagsterInstance
    runs: list[tuple[frozenset[str], str, str]] = field(default_factory=list)
    watched: dg.AssetSelection | None = None
    may_fail: bool = False

    def __post_init__(self) -> None:
        self.definitions = self.house.definitions()
        self._cursors: dict[str, str | None] = {}
        self._keys: set[str] = set()
        self._conditions: Any = None

    def settle(self) -> None:
        """Let every delivered file be so old that nobody can be writing it."""
        past = (clock.now() - timedelta(minutes=5)).timestamp()
        for path in Path(self.house.settings.landing).rglob("*"):
            if path.is_file() and path.stat().st_mtime > past:
                os.utime(path, (past, past))

    def tick(self, sensor: str) -> dg.SensorResult:
        """Evaluate a sensor and remember its cursor."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self._cursors.get(sensor),
            definitions=self.definitions,
            resources={"landing": self.definitions.resources["landing"]},
        ) as context:
            (found,) = [s for s in self.definitions.sensors or [] if s.name == sensor]
            result = found(context)
        assert isinstance(result, dg.SensorResult)
        self._cursors[sensor] = result.cursor
        return result

    def forget(self, cursor: str | None) -> None:
        """Give all sensors another cursor, as when somebody resets them."""
        self._cursors = dict.fromkeys(self._cursors, cursor)

    def obey(self, result: dg.SensorResult) -> list[tuple[str, str]]:
        """Run what a sensor asks for; return the partitions, first and last of each run."""
        done = []
        for request in result.run_requests or []:
            assert request.run_key not in self._keys
            self._keys.add(str(request.run_key))
            tags = dict(request.tags)
            first = request.partition_key or tags["dagster/asset_partition_range_start"]
            last = request.partition_key or tags["dagster/asset_partition_range_end"]
            self.run(list(request.asset_selection or []), first, last, tags)
            done.append((first, last))
        return done

    def run(
        self,
        keys: list[dg.AssetKey],
        first: str | None,
        last: str | None,
        asked: Mapping[str, str] | None = None,
    ) -> None:
        """Run assets for a range of partitions, in the job that has them.

        Args:
            keys: The assets.
            first: First partition.
            last: Last partition.
            asked: Tags with which the run was asked for.
        """
        tags = dict(asked or {})
        if first is not None and last is not None:
            tags |= {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            }
        for found in self.definitions.jobs or ():
            job = self.definitions.resolve_job_def(found.name)
            mine = [key for key in keys if key in job.asset_layer.executable_asset_keys]
            if mine:
                result = job.execute_in_process(
                    instance=self.instance,
                    asset_selection=mine,
                    tags=tags,
                    raise_on_error=not self.may_fail,
                )
                done = {e.step_key for e in result.filter_events(lambda e: e.is_step_success)}
                # The pages are no table.
                tables = (table for table in REGISTRY if dg.AssetKey(table.key) in mine)
                names = frozenset(table.name for table in tables if table.step in done)
                self.runs.append((names, str(first), str(last)))

    def deliveries(self, dataset: str, domain: str = "airline") -> list[tuple[str, str]]:
        """Tick the sensor of deliveries and run what it asks for of a dataset."""
        result = self.tick("deliveries")
        path = f"{domain}/{dataset}"
        mine = [r for r in result.run_requests or [] if r.tags["lakehouse/dataset"] == path]
        return self.obey(result._replace(run_requests=mine))

    def follow(self, moment: datetime | None = None) -> int:
        """Look at the conditions until they are content; return how many partitions were made.

        Args:
            moment: When it looks, if not now.
        """
        made = 0
        while True:
            with warnings.catch_warnings():
                # Dagster's own tester selects by a parameter that is in beta.
                warnings.simplefilter("ignore")
                found = dg.evaluate_automation_conditions(
                    self.definitions,
                    self.instance,
                    asset_selection=self.watched or dg.AssetSelection.all(),
                    cursor=self._conditions,
                    evaluation_time=moment,
                )
            self._conditions = found.cursor
            wanted: dict[str | None, list[dg.AssetKey]] = {}
            for result in found.results:
                subset = result.true_subset
                keys: list[str | None] = [None] if not subset.is_empty else []
                if subset.is_partitioned:
                    keys = [*subset.expensively_compute_partition_keys()]
                for key in keys:
                    wanted.setdefault(key, []).append(result.key)
            if not wanted:
                return made
            for partition, assets in sorted(wanted.items(), key=lambda item: item[0] or ""):
                self.run(assets, partition, partition, AUTOMATIC)
                made += len(assets)

    def wake(self) -> None:
        """Do everything that a daemon does until all is quiet."""
        self.settle()
        self.obey(self.tick("deliveries"))
        self.late()
        self.follow()

    def runs_of(self, table: str) -> list[str]:
        """Return the first partitions of the runs that made a table."""
        return [first for names, first, _ in self.runs if table in names]

    def late(self) -> list[tuple[str, str]]:
        """Tick the sensor of late days until it is content."""
        done = []
        while found := self.obey(self.tick("late_deliveries")):
            done += found
        return done
