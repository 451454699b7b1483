"""A partition that gets new files equals one that is rebuilt, and costs those files alone."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import (
    Dataset,
    bronze_table,
    quarantine_table,
    silver_table,
)
from lakehouse_assets.clock import following
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.maintenance import maintain
from lakehouse_assets.lake.predicate import Values, between
from lakehouse_assets.quality import silver
from lakehouse_assets.quality.checks import Finding
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets.quality.silver import check_silver, clean
from lakehouse_assets_tests.airline.samples import COMMIT, bronze, member, purchase

Rows = Sequence[Mapping[str, Any]]
DAY, BEFORE, AFTER = date(2014, 3, 5), date(2014, 3, 4), date(2014, 3, 6)


class Shop:
    """Bronze, silver and quarantine of one dataset, without Dagster.

    Attributes:
        zone: The landed files with their days, versions and rows.
        cleaned: Files that the last build cleaned alone; None if it was a rebuild.
    """

    def __init__(self, root: Path, dataset: Dataset, engine: Engine | None = None) -> None:
        self.dataset = dataset
        self.folder = root
        self.lake = Lake(str(root), engine or start_engine(), REGISTRY)
        self.zone: dict[str, tuple[date, int, Rows]] = {}
        self.cleaned: list[str] | None = None
        self._runs = 0

    def partition(self, day: date) -> date:
        return day if self.dataset.grain == "day" else day.replace(day=1)

    def path(self, day: date, name: str) -> str:
        return f"{self.dataset.path}/{day}/{name}"

    def land(self, day: date, name: str, *rows: Mapping[str, Any]) -> None:
        """Put a file into the landing zone and load it; a file without rows is removed."""
        path = self.path(day, name)
        version = self.zone[path][1] + 1 if path in self.zone else 0
        self.zone[path] = (day, version, rows)
        self.load(path)
        if not rows:
            del self.zone[path]

    def load(self, *paths: str) -> None:
        """Load some files at once."""
        parts = [self.partition(self.zone[path][0]) for path in paths]
        window = between(
            self.dataset.partition, min(parts), following(max(parts), self.dataset.grain)
        )
        only = replace(window, only=Values("_source_file", paths))
        with self.lake.engine.scope():
            rows = [row for path in paths for row in self._rows_of(path)]
            frame = bronze(self.lake.engine, self.dataset, rows)
            self.lake.write(bronze_table(self.dataset), frame, only, COMMIT)

    def _rows_of(self, path: str) -> list[dict[str, Any]]:
        day, version, rows = self.zone[path]
        told = {
            "_source_file": path,
            "_file_version": f"v{version}",
            "delivered_on": day,
            "snapshot_month": day.replace(day=1),
        }
        return [
            {**{k: None if v is None else str(v) for k, v in row.items()}, **told,
             "_row_number": number}
            for number, row in enumerate(rows, start=1)
        ]  # fmt: skip

    def build(
        self, first: date, last: date | None = None, *, killed: bool = False
    ) -> tuple[list[date], dict[str, Finding]]:
        """Build silver of some partitions, up to silver itself if it is killed in between.

        Returns:
            The partitions that are out of date now, and the findings by check.
        """
        dataset, lake = self.dataset, self.lake
        table, aside = silver_table(dataset), quarantine_table(dataset)
        column = dataset.partition.column
        span = (first, following(last or first, dataset.grain))
        window = between(dataset.partition, *span)
        self._runs += 1
        named = first.isoformat() if last is None else f"{first}...{last}"
        with lake.engine.scope():
            frame = lake.read(bronze_table(dataset), window)
            earlier = None
            if dataset.counts == "first":
                columns = [dataset.key, "_source_file", "_row_number", column]
                earlier = lake.read(table, columns=columns).filter(F.col(column) < F.lit(first))
            found = clean(dataset, lake, frame, earlier, span)
            commit = Commit(f"run-{self._runs}", table.name, named, state=found.state)
            selection = replace(window, only=found.files)
            lake.write(table, found.accepted, selection, commit)
            self.cleaned = list(found.files.values) if found.files else None
            if killed:
                return [], {}
            lake.write(aside, found.quarantined, selection, commit)
            incoming = lake.rows_read(bronze_table(dataset), frame)
        findings = check_silver(dataset, lake, found, incoming, span)
        return list(found.outdated), {finding.check.name: finding for finding in findings}

    def tables(self) -> list[list[dict[str, Any]]]:
        """Return the rows of silver and of its quarantine."""
        with self.lake.engine.scope():
            return [
                sorted(self.lake.engine.rows(self.lake.read(table)), key=str)
                for table in (silver_table(self.dataset), quarantine_table(self.dataset))
            ]


def rebuilt(shop: Shop, root: Path) -> tuple[Shop, dict[str, Finding]]:
    """Build a lake of the same files, at once."""
    whole = Shop(root, shop.dataset)
    whole.zone = shop.zone
    whole.load(*whole.zone)
    days = [shop.partition(day) for day, *_ in shop.zone.values()]
    # Never one partition alone, which may be built from a part of its files.
    last = following(max(days), shop.dataset.grain)
    _, findings = whole.build(min(days), last)
    return whole, findings


def assert_same(shop: Shop, found: Mapping[str, Finding], day: date, root: Path) -> None:
    """Compare the tables, and the numbers of a partition's checks, with those of a rebuild."""
    whole, expected = rebuilt(shop, root)
    assert shop.tables() == whole.tables()
    assert {*found} <= {*expected}
    for name, finding in found.items():
        other = expected[name]
        assert finding.failing.get(day, 0) == other.failing.get(day, 0), name
        assert (finding.rows or {}).get(day) == (other.rows or {}).get(day), name
        assert (finding.figures or {}).get(day) == (other.figures or {}).get(day), name


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Only to be read: three days, each built alone."""
    shop = Shop(tmp_path_factory.mktemp("days"), TRANSACTIONS)
    shop.land(BEFORE, "a.csv", purchase("0"))
    shop.land(DAY, "a.csv", purchase("1"), purchase("1"), purchase("0"))
    shop.land(DAY, "b.csv", purchase("2"), purchase("bad", amount="oops"))
    shop.land(AFTER, "a.csv", purchase("9"))
    for day in (BEFORE, DAY, AFTER):
        shop.build(day)
    return shop


# --- what is cleaned ------------------------------------------------------------------------


def later(shop: Shop) -> None:
    shop.land(DAY, "c.csv", purchase("3"), purchase("4", amount="oops"), purchase("5", status=""))


def between_others(shop: Shop) -> None:
    shop.land(DAY, "a2.csv", purchase("3"))


def repeats_one_before(shop: Shop) -> None:
    shop.land(DAY, "c.csv", purchase("1"), purchase("1"), purchase("0"), purchase("3"))


def comes_before_what_it_repeats(shop: Shop) -> None:
    shop.land(DAY, "a2.csv", purchase("2", amount=99), purchase("3"))


def corrected(shop: Shop) -> None:
    shop.land(DAY, "a.csv", purchase("1", amount=99))
    later(shop)


def withdrawn(shop: Shop) -> None:
    shop.land(DAY, "a.csv")
    later(shop)


def earlier_day_changed(shop: Shop) -> None:
    shop.land(BEFORE, "b.csv", purchase("1", amount=99))
    assert shop.build(BEFORE)[0] == [DAY]
    later(shop)


def later_day_changed(shop: Shop) -> None:
    shop.land(AFTER, "b.csv", purchase("6"))
    shop.build(AFTER)
    later(shop)


def killed_before_the_quarantine(shop: Shop) -> None:
    shop.land(DAY, "b2.csv", purchase("6", amount="oops"))
    shop.build(DAY, killed=True)
    later(shop)


def killed_between_two_versions_of_a_bad_row(shop: Shop) -> None:
    shop.land(DAY, "b.csv", purchase("2"), purchase("bad", amount="worse"))
    shop.build(DAY, killed=True)
    later(shop)


def killed_with_nothing_to_quarantine(shop: Shop) -> None:
    shop.land(DAY, "b2.csv", purchase("6"))
    shop.build(DAY, killed=True)
    later(shop)


def maintained(shop: Shop) -> None:
    for table in (silver_table(TRANSACTIONS), quarantine_table(TRANSACTIONS)):
        maintain(shop.lake, table)
    later(shop)


def built_over_a_range(shop: Shop) -> None:
    shop.build(DAY, AFTER)
    later(shop)


def restored(shop: Shop) -> None:
    found = shop.lake.ensure(silver_table(TRANSACTIONS))
    found.restore(found.version() - 1)
    shop.build(AFTER)
    later(shop)


def nothing_new(_shop: Shop) -> None:
    pass


def options_changed(shop: Shop) -> None:
    shop.dataset = replace(TRANSACTIONS, options={"new": True})
    later(shop)


C, A2 = ["c.csv"], ["a2.csv"]


@pytest.mark.parametrize(
    ("change", "files"),
    [
        (later, C), (between_others, A2), (repeats_one_before, C), (later_day_changed, C),
        (killed_with_nothing_to_quarantine, C), (maintained, C),
        (comes_before_what_it_repeats, None), (corrected, None), (withdrawn, None),
        (earlier_day_changed, None), (killed_before_the_quarantine, None),
        (killed_between_two_versions_of_a_bad_row, None), (built_over_a_range, None),
        (restored, None), (nothing_new, None), (options_changed, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_new_files_are_cleaned_alone_where_the_rows_of_others_can_stay(
    change: Callable[[Shop], None], files: list[str] | None, three_days: Shop, tmp_path: Path
) -> None:
    shutil.copytree(three_days.folder, tmp_path / "lake")
    shop = Shop(tmp_path / "lake", TRANSACTIONS)
    shop.zone |= three_days.zone
    change(shop)
    _, found = shop.build(DAY)
    assert shop.cleaned == (files and [shop.path(DAY, name) for name in files])
    assert_same(shop, found, DAY, tmp_path / "whole")


@pytest.mark.parametrize("file", [2, 289])
def test_a_file_more_costs_its_own_rows_however_many_there_are(
    file: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path / "lake", TRANSACTIONS)
    for name in range(1, file):
        shop.zone[shop.path(DAY, f"{name:03}.csv")] = (DAY, 0, [purchase(f"{name}")])
    shop.load(*shop.zone)
    shop.build(DAY)
    typed = []

    def counted(dataset: Dataset, engine: Engine, frame: Any) -> Any:
        typed.append(engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])
        return typed_rows(dataset, engine, frame)

    monkeypatch.setattr(silver, "typed_rows", counted)
    table = silver_table(TRANSACTIONS)
    before = shop.lake.ensure(table).file_uris()
    shop.land(DAY, "more.csv", purchase("x"), purchase("y"), purchase("bad", amount="oops"))
    shop.build(DAY)
    assert typed == [3]
    after = shop.lake.ensure(table).file_uris()
    assert (len({*after} - {*before}), {*before} - {*after}) == (1, set())


def test_spark_cleans_new_files_alone_too(spark_engine: Engine, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "lake", TRANSACTIONS, spark_engine)
    shop.land(DAY, "a.csv", purchase("1"))
    shop.build(DAY)
    # Spark commits nothing to a quarantine that gets no rows.
    for name, rows in (("b", [purchase("2")]), ("c", [purchase("1"), purchase("3")])):
        shop.land(DAY, f"{name}.csv", *rows)
        _, found = shop.build(DAY)
        assert shop.cleaned == [shop.path(DAY, f"{name}.csv")]
    assert_same(shop, found, DAY, tmp_path / "whole")


# --- any order of arrival ---------------------------------------------------------------------


def purchases(chance: random.Random) -> list[dict[str, Any]]:
    return [
        purchase(str(chance.randrange(40)), amount=chance.choice([1, 2, "oops"]),
                 status=chance.choice(["completed", "", "strange"]))
        for _ in range(chance.randrange(1, 4))
    ]  # fmt: skip


def members(chance: random.Random) -> list[dict[str, Any]]:
    return [
        member(chance.randrange(1, 40), FLIGHT_COUNT=chance.choice(["1", "2", "-1"]),
               AGE=chance.choice(["40", "200"]))
        for _ in range(chance.randrange(1, 4))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "rows", "steps"),
    [
        (TRANSACTIONS, purchases, 8), (FLIGHTS, members, 5),
    ],
    ids=lambda value: getattr(value, "name", None),
)  # fmt: skip
def test_any_sequence_of_files_gives_the_tables_of_a_rebuild(
    dataset: Dataset, rows: Callable[[random.Random], Rows], steps: int, tmp_path: Path
) -> None:
    chance = random.Random(1)  # noqa: S311 - the same each time
    shop = Shop(tmp_path / "lake", dataset)
    # Days of two months for a table by month, three days for one by day.
    days = [DAY + timedelta(days=n * (1 if dataset.grain == "day" else 20)) for n in range(3)]
    alone = compared = 0
    owed: set[date] = set()
    killed = None
    for step in range(1, steps + 1):
        # While a partition waits to be built again, more files come.
        day = killed or chance.choice(days)
        landed = sorted(path for path, (landed, *_) in shop.zone.items() if landed == day)
        action = chance.random()
        if landed and action < 0.1:
            shop.land(day, Path(chance.choice(landed)).name)
        elif landed and action < 0.2:
            shop.land(day, Path(chance.choice(landed)).name, *rows(chance))
        else:
            shop.land(day, f"{chance.choice('abc')}{step:02}.csv", *rows(chance))
        killed = day if chance.random() < 0.15 and step < steps else None
        first = shop.partition(day)
        outdated, found = shop.build(first, killed=killed is not None)
        alone += shop.cleaned is not None
        owed = {*owed, *outdated} - {first}
        if killed or (chance.random() < 0.7 and step < steps):
            continue
        while owed:
            again = min(owed)
            outdated, findings = shop.build(again)
            found = findings if again == first else found
            owed = {*owed, *outdated} - {again}
        found.pop("later_days_agree", None)
        assert_same(shop, found, first, tmp_path / f"whole-{step}")
        compared += 1
    assert alone >= 2
    assert compared >= 2


def test_rows_that_repeat_an_id_with_other_values_are_reported(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "events", TRANSACTIONS)
    shop.land(BEFORE, "a.csv", purchase("1", amount=10), purchase("2", email=None))
    shop.build(BEFORE)
    again = (purchase("1", amount=11), purchase("2", email=None), purchase("3"), purchase("3"))
    shop.land(DAY, "a.csv", *again, purchase("3", status="failed"))
    assert shop.build(DAY)[1]["repeated_ids_agree"].failing == {DAY: 2}
    # A new file is compared with what is stored, and added to what was found.
    shop.land(DAY, "b.csv", purchase("3", amount=99))
    assert shop.build(DAY)[1]["repeated_ids_agree"].failing == {DAY: 3}
    assert shop.cleaned == [shop.path(DAY, "b.csv")]
    states = Shop(tmp_path / "states", FLIGHTS)
    states.land(BEFORE, "a.csv", member(1, AGE="40"), member(1, AGE="41"), member(2))
    # A later state of a member may be another.
    states.land(AFTER, "a.csv", member(1, AGE="42"), member(2, AGE="43"))
    found = states.build(DAY.replace(day=1))[1]["repeated_ids_agree"]
    assert found.failing == {DAY.replace(day=1): 0}
    states.land(AFTER, "a.csv", member(1, AGE="42"), member(1, AGE="43"))
    assert states.build(DAY.replace(day=1))[1]["repeated_ids_agree"].failing == {
        DAY.replace(day=1): 1
    }
