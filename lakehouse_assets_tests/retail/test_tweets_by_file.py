"""Tweets arrive file by file: a new one is read alone, and only what it touches is made again."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table, rejects_table
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets.domains.retail.datasets.tweets import SILVER_TWEETS, TWEETS
from lakehouse_assets.domains.retail.gold import tweets as gold_tweets
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.lake.predicate import between
from lakehouse_assets.orchestration.dataset_assets import (
    CONSERVED,
    READABLE,
    bronze_assets,
    silver_assets,
)
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.resources import LakeResource, LandingResource
from lakehouse_assets_tests.airline.samples import COMMIT, House, check, numbers
from lakehouse_assets_tests.automation.caretaker import Caretaker
from lakehouse_assets_tests.retail.samples import deliver, tweet
from lakehouse_assets_tests.test_incremental import touched, values

BRONZE, REJECTS, ASIDE = bronze_table(TWEETS), rejects_table(TWEETS), quarantine_table(TWEETS)
DAY, NEXT_DAY, NEXT_MONTH = "2021-09-06", "2021-09-07", "2021-10-04"
OF_DAY = between(TWEETS.partition, date(2021, 9, 6), date(2021, 9, 7))
# A record that cannot be split, and another one.
BROKEN = '[{"time": "2021-09-05T06:01:02Z", "unheard": 1}, %s]'


def tweets_of(*users: str) -> str:
    return json.dumps([tweet(username=user) for user in users])


def land(house: House, name: str, content: str, day: str = DAY) -> Path:
    return deliver(house, TWEETS, day, name, content)


@cache
def assets() -> list[dg.AssetsDefinition]:
    """Return the two steps alone: to build every definition takes longer than they do."""
    calendar = Calendar(date(2021, 9, 1))
    return [bronze_assets(TWEETS, calendar), silver_assets(TWEETS, calendar)]


def run(
    house: House, instance: dg.DagsterInstance, *, clean: bool = False
) -> dg.ExecuteInProcessResult:
    """Load a day, and clean it."""
    steps = dg.AssetSelection.assets(dg.AssetKey(BRONZE.key), dg.AssetKey(REJECTS.key))
    lake = LakeResource.of(house.settings)
    landing = LandingResource(root=str(house.settings.landing))
    io_manager = DeltaIOManager(lake=lake)
    return dg.materialize(
        assets(),
        partition_key=DAY,
        selection=dg.AssetSelection.all() if clean else steps,
        instance=instance,
        resources={"lake": lake, "landing": landing, "io_manager": io_manager},
        raise_on_error=False,
    )


def load(house: House, instance: dg.DagsterInstance, *, clean: bool = False) -> tuple[int, int]:
    """Load a day, and clean it; return how many files were read, and how many were not."""
    result = run(house, instance, clean=clean)
    assert result.success
    assert check(result, BRONZE, CONSERVED.name).passed
    told = numbers(check(result, BRONZE, READABLE.name))
    return told["files"], told["files_kept"]


def users(house: House, table: Any = BRONZE) -> list[str]:
    return sorted(row["username"] for row in house.rows(table))


def make_unreadable(path: Path) -> None:
    """Change what a file says so that nobody can tell without reading it."""
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_second_file_of_a_day_is_loaded_without_reading_the_first(
    house: House, instance: dg.DagsterInstance, new_house: Callable[..., House]
) -> None:
    first = BROKEN % json.dumps(tweet(username="user_1"))
    path = land(house, "a.json", first)
    assert load(house, instance, clean=True) == (1, 0)
    before = {table.name: house.rows(table) for table in (BRONZE, REJECTS, SILVER_TWEETS)}
    assert [len(rows) for rows in before.values()] == [1, 1, 1]
    make_unreadable(path)
    land(house, "b.json", tweets_of("user_2", "user_3"))
    assert load(house, instance, clean=True) == (1, 1)
    for table in (BRONZE, REJECTS, SILVER_TWEETS):
        stays = [r for r in house.rows(table) if r["_source_file"].endswith("/a.json")]
        # When they were ingested included: these are the rows of the first load.
        assert stays == before[table.name]
    assert users(house) == users(house, SILVER_TWEETS) == ["user_1", "user_2", "user_3"]
    # File by file or all at once is the same.
    whole = new_house("whole")
    land(whole, "a.json", first)
    land(whole, "b.json", tweets_of("user_2", "user_3"))
    assert load(whole, dg.DagsterInstance.ephemeral(), clean=True) == (2, 0)
    assert values(house) == values(whole)


def test_the_same_file_twice_adds_nothing(house: House, instance: dg.DagsterInstance) -> None:
    """Under its own name it is no news; under another its rows are duplicates, by name."""
    path = land(house, "a.json", tweets_of("user_1", "user_2"))
    assert load(house, instance, clean=True) == (1, 0)
    silver = house.rows(SILVER_TWEETS)
    zone = LandingZone(house.settings.landing)
    _, news = zone.land(TWEETS, path, zone.files(TWEETS)[0].delivered_on)
    assert not news
    land(house, "replayed.json", path.read_text())
    assert load(house, instance, clean=True) == (1, 1)
    assert house.rows(SILVER_TWEETS) == silver
    assert users(house) == ["user_1", "user_1", "user_2", "user_2"]
    assert {row["duplicate_of"] for row in house.rows(ASIDE)} == {
        f"retail/tweets/{DAY}/a.json#{row}" for row in (1, 2)
    }


def test_of_a_changed_and_a_withdrawn_file_only_their_own_rows_are_replaced(
    house: House, instance: dg.DagsterInstance
) -> None:
    first = land(house, "a.json", tweets_of("user_1"))
    second = land(house, "b.json", tweets_of("user_2"))
    # Re-running an unchanged day re-reads its files.
    assert load(house, instance) == load(house, instance) == (2, 0)
    make_unreadable(second)
    first.write_text(tweets_of("user_3", "user_4"))
    land(house, "c.json", tweets_of("user_5"))
    assert load(house, instance) == (2, 1)
    assert users(house) == ["user_2", "user_3", "user_4", "user_5"]
    first.unlink()
    assert load(house, instance) == (0, 2)
    assert users(house) == ["user_2", "user_5"]


def test_bronze_itself_knows_what_it_holds(house: House) -> None:
    """Another instance of Dagster, which has recorded nothing, reads no file again."""
    make_unreadable(land_and_load(house, "a.json", dg.DagsterInstance.ephemeral()))
    land(house, "b.json", tweets_of("user_b"))
    assert load(house, dg.DagsterInstance.ephemeral()) == (1, 1)
    assert users(house) == ["user_a.json", "user_b"]


def land_and_load(house: House, name: str, instance: dg.DagsterInstance) -> Path:
    path = land(house, name, tweets_of(f"user_{name}"))
    load(house, instance)
    return path


def test_one_more_file_of_a_day_reads_one_file_and_rewrites_none(
    house: House, instance: dg.DagsterInstance
) -> None:
    for number in range(8):
        last = land(house, f"{number}.json", tweets_of(f"user_{number}"))
    assert load(house, instance, clean=True) == (8, 0)
    make_unreadable(last)
    history = {table: house.commits(table) for table in (BRONZE, SILVER_TWEETS)}
    # By its name it belongs between the others.
    land(house, "3-late.json", tweets_of("late"))
    assert load(house, instance, clean=True) == (1, 8)
    for table, before in history.items():
        assert actions(before, house.commits(table)) == {"add": 1}
        assert house.count(table) == 9
    # Correcting one of those that came alone rewrites its own rows.
    history = house.commits(BRONZE)
    land(house, "3-late.json", tweets_of("late", "later"))
    assert load(house, instance) == (1, 8)
    assert actions(history, house.commits(BRONZE)) == {"add": 1, "remove": 1}
    assert house.count(BRONZE) == 10


def actions(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Counter[str]:
    """Count the data files that commits since then add and remove."""
    lines = [line for name in after.keys() - before.keys() for line in after[name].splitlines()]
    return Counter(kind for line in lines for kind in ("add", "remove") if kind in json.loads(line))


def test_a_file_that_was_refused_is_tried_again(house: House, instance: dg.DagsterInstance) -> None:
    land(house, "a.json", tweets_of("user_1"))
    land(house, "b.json", "[]")
    result = run(house, instance)
    assert numbers(check(result, BRONZE, READABLE.name))["refused_files"] == 1
    land(house, "c.json", tweets_of("user_2"))
    result = run(house, instance)
    assert numbers(check(result, BRONZE, READABLE.name)) == {
        "files": 2, "files_kept": 1, "refused_files": 1,
    }  # fmt: skip
    assert users(house) == ["user_1", "user_2"]
    assert [row["line_number"] for row in house.rows(REJECTS)] == [0]


@pytest.mark.parametrize("table", [BRONZE, REJECTS], ids=["rows", "rejects"])
def test_a_file_of_which_a_row_is_missing_is_read_again(
    house: House, instance: dg.DagsterInstance, table: Any
) -> None:
    """As after a load that was killed between rows and rejects."""
    land(house, "a.json", BROKEN % json.dumps(tweet(username="user_1")))
    other = land(house, "b.json", tweets_of("user_2"))
    assert load(house, instance) == (2, 0)
    lake = house.lake
    with lake.engine.scope():
        rows = lake.engine.checkpoint(lake.read(table).filter("_source_file not like '%/a.json'"))
        lake.write(table, rows, OF_DAY, COMMIT)
    make_unreadable(other)
    land(house, "c.json", tweets_of("user_3"))
    assert load(house, instance) == (2, 1)
    assert users(house) == ["user_1", "user_2", "user_3"]
    assert house.count(REJECTS) == 1


def test_one_file_of_one_day_makes_only_what_it_touches_again(
    house: House, instance: dg.DagsterInstance
) -> None:
    aggregates = [gold_tweets.TWEETS_BY_CITY_AND_HASHTAG, gold_tweets.TWEETS_BY_HASHTAG]
    followers = (DIM_DATE, SILVER_TWEETS, ASIDE, gold_tweets.TWEET_DAYS, *aggregates)
    watched = dg.AssetSelection.assets(*[dg.AssetKey(table.key) for table in followers])
    caretaker = Caretaker(house, instance, watched=watched)

    def arrives() -> list[tuple[str, str]]:
        before = len(caretaker.runs)
        caretaker.settle()
        caretaker.obey(caretaker.tick("deliveries"))
        caretaker.follow()
        return sorted(
            (name, first) for names, first, _ in caretaker.runs[before:] for name in names
        )

    for day in (DAY, NEXT_DAY, NEXT_MONTH):
        land(house, "a.json", tweets_of(f"user_{day}"), day)
    arrives()
    tables = (BRONZE, REJECTS, SILVER_TWEETS, ASIDE, gold_tweets.TWEET_DAYS, *aggregates)
    history = {table.name: house.commits(table) for table in tables}
    land(house, "b.json", tweets_of("user_b"), NEXT_DAY)
    of_day = [*TWEETS.loaded_tables, gold_tweets.TWEET_DAYS.name]
    # What stands as of the end of October adds September up.
    of_months = [(x.name, month) for x in aggregates for month in ("2021-09-01", "2021-10-01")]
    assert arrives() == sorted([*[(name, NEXT_DAY) for name in of_day], *of_months])
    for table in tables:
        found = touched(history[table.name], house.commits(table))
        months = {"2021-09-01", "2021-10-01"}
        expected = months if table in aggregates else {NEXT_DAY}
        # Nothing was rejected or set aside, so that there is nothing to write.
        assert found == (set() if table in (REJECTS, ASIDE) else expected), table.name
    (row,) = house.rows(gold_tweets.TWEETS_BY_HASHTAG, "month(as_of_month) = 10")
    assert row["tweets"] == 4
    # Nothing new, nothing to do.
    assert arrives() == []
