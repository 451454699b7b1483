"""From listings to runs: exactly what a delivery touches runs, once, when it is whole."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets import clock
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandedFile, LandingZone, content_of
from lakehouse_assets.orchestration.deliveries import (
    LONGEST_SPAN,
    Changes,
    Cursor,
    Memory,
    changes,
    consecutive,
)

FIRST, LAST = date(2014, 1, 1), date(2014, 12, 31)
NOW = datetime(2015, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2014, 12, 31, tzinfo=UTC)
EMPTY = Cursor()


def landed(day: str, name: str = "a.csv", size: int = 1, **facts: Any) -> LandedFile:
    """Return a file that has been lying there for long."""
    facts = {"version": "1", "modified_at": LONG_AGO, **facts}
    where = f"airline/transactions/{day}/{name}"
    return LandedFile(date.fromisoformat(day), where, Path(where), size, **facts)


def nothing(partitions: Collection[date]) -> dict[date, str]:
    """Say that nothing was loaded so far."""
    assert partitions
    return {}


def compare(listing: list[LandedFile], cursor: Cursor = EMPTY, **changed: Any) -> Changes:
    """Compare a listing of purchases."""
    facts = {
        "dataset": TRANSACTIONS,
        "now": NOW,
        "first": FIRST,
        "last": LAST,
        "loaded": nothing,
        **changed,
    }
    return changes(listing=listing, cursor=cursor, **facts)


def asked(found: Changes) -> list[tuple[str, str]]:
    """Return the first and last partition of each run."""
    return [(str(span.first), str(span.last)) for span in found.spans]


def test_new_files_run_their_partitions_and_the_same_listing_asks_for_nothing():
    listing = [landed("2014-03-01"), landed("2014-03-02"), landed("2014-03-05")]
    found = compare(listing)
    assert asked(found) == [("2014-03-01", "2014-03-02"), ("2014-03-05", "2014-03-05")]
    again = compare(listing, found.cursor)
    assert asked(again) == []
    assert again.cursor == found.cursor


@pytest.mark.parametrize(
    "change",
    [
        [landed("2014-03-01"), landed("2014-03-01", "b.csv"), landed("2014-03-02")],
        [landed("2014-03-01", size=2), landed("2014-03-02")],
        [landed("2014-03-01", version="2"), landed("2014-03-02")],
    ],
    ids=["a second file", "another size", "the same size written again"],
)
def test_a_change_runs_its_day_and_no_other(change):
    before = compare([landed("2014-03-01"), landed("2014-03-02")]).cursor
    assert asked(compare(change, before)) == [("2014-03-01", "2014-03-01")]


def test_a_late_day_runs_alone():
    before = compare([landed("2014-03-05")]).cursor
    found = compare([landed("2014-02-03"), landed("2014-03-05")], before)
    assert asked(found) == [("2014-02-03", "2014-02-03")]


def test_snapshots_of_a_month_run_the_month():
    found = compare([landed("2014-03-15"), landed("2014-03-31")], dataset=FLIGHTS)
    assert asked(found) == [("2014-03-01", "2014-03-01")]


def test_a_file_being_written_waits_with_its_whole_day_until_it_is_seen_twice():
    done = landed("2014-03-01", "a.csv")
    other = landed("2014-03-02")
    writing = [
        landed("2014-03-01", "b.csv", size, modified_at=NOW, version=str(size)) for size in (1, 2)
    ]
    first = compare([done, writing[0], other])
    assert asked(first) == [("2014-03-02", "2014-03-02")]
    assert first.waiting == (writing[0].name,)
    second = compare([done, writing[1], other], first.cursor)
    assert asked(second) == []
    assert second.waiting == (writing[1].name,)
    third = compare([done, writing[1], other], second.cursor)
    assert asked(third) == [("2014-03-01", "2014-03-01")]
    assert third.waiting == ()


def test_what_was_loaded_from_just_these_files_is_not_loaded_again():
    one, two = landed("2014-03-01"), [landed("2014-03-02"), landed("2014-03-02", "b.csv")]
    before = {date(2014, 3, 1): content_of([one]), date(2014, 3, 2): content_of(two[:1])}
    found = compare([one, *two], loaded=lambda _: before)
    assert asked(found) == [("2014-03-02", "2014-03-02")]
    assert found.there == (date(2014, 3, 1),)
    assert asked(compare([one, *two], found.cursor)) == []


def test_a_deleted_file_is_reported_once_and_runs_nothing():
    before = compare([landed("2014-03-01"), landed("2014-03-01", "b.csv")]).cursor
    found = compare([landed("2014-03-01")], before)
    assert found.deleted == (landed("2014-03-01", "b.csv").name,)
    assert asked(found) == []
    assert compare([landed("2014-03-01")], found.cursor).deleted == ()
    # Delivered again, it is a delivery again.
    again = compare([landed("2014-03-01"), landed("2014-03-01", "b.csv")], found.cursor)
    assert asked(again) == [("2014-03-01", "2014-03-01")]


def test_a_day_without_a_partition_is_told_and_stops_no_other():
    found = compare([landed("2013-12-31"), landed("2014-03-01"), landed("2015-01-01")])
    assert asked(found) == [("2014-03-01", "2014-03-01")]
    assert len(found.outside) == 2
    # Its day comes: it runs, and nothing was forgotten.
    later = compare([landed("2015-01-01")], found.cursor, last=date(2015, 1, 1))
    assert asked(later) == [("2015-01-01", "2015-01-01")]


def test_a_file_that_returns_to_an_old_version_is_asked_for_under_a_new_key():
    one, two = [landed("2014-03-01")], [landed("2014-03-01", version="2")]
    first = compare(one)
    second = compare(two, first.cursor)
    third = compare(one, second.cursor)
    keys = {found.spans[0].run_key for found in (first, second, third)}
    assert len(keys) == 3
    # A tick that is played again because its cursor was lost asks under the same key.
    assert compare(two, first.cursor).spans == second.spans


def test_old_partitions_are_remembered_as_a_whole_and_change_like_others():
    """A year of files every five minutes; what is remembered does not grow with them."""
    days = [FIRST + timedelta(days=number) for number in range(300)]
    listing = [
        landed(
            str(day),
            f"{number}.csv",
            modified_at=datetime(day.year, day.month, day.day, tzinfo=UTC),
        )
        for day in days
        for number in range(100)
    ]
    first = compare(listing)
    assert sum(len(group) for group in consecutive(days, "day")) == 300
    cursor = Cursor.decode(first.cursor.encode())
    assert cursor == first.cursor
    # By names, the last ten days.
    assert len(cursor.files) == 1_000
    assert len(cursor.settled) == 290
    assert len(first.cursor.encode()) < 40_000
    quiet = compare(listing, cursor)
    assert (quiet.spans, quiet.deleted, quiet.cursor) == ((), (), cursor)
    old = str(days[0])
    cases = {
        "added": ([*listing, landed(old, "new.csv")], [(old, old)], ()),
        "corrected": ([landed(old, "0.csv", version="2"), *listing[1:]], [(old, old)], ()),
        "deleted": (listing[1:], [], (f"1 of 100 files of {old}",)),
        "gone": (listing[100:], [], (f"100 of 100 files of {old}",)),
        "replaced": ([landed(old, "new.csv", modified_at=NOW - timedelta(days=1)), *listing[100:]],
                     [(old, old)], (f"99 of 100 files of {old}",)),
    }  # fmt: skip
    for change, (changed, runs, deleted) in cases.items():
        found = compare(changed, cursor)
        assert (asked(found), found.deleted) == (runs, deleted), change
        again = compare(changed, found.cursor)
        assert (again.spans, again.deleted) == ((), ()), change


def test_a_cursor_of_something_else_is_refused_with_the_remedy():
    for text in ("{}", "abc", Cursor().encode()[:-3], "é"):
        with pytest.raises(LakehouseError, match="reset it in the Dagster UI"):
            Cursor.decode(text)


def test_runs_are_bounded():
    days = [FIRST + timedelta(days=n) for n in range(90)]
    groups = consecutive(days, "day")
    assert [day for group in groups for day in group] == days
    assert max(len(group) for group in groups) == LONGEST_SPAN["day"]
    months = [date(2014, n, 1) for n in (1, 2, 3, 4, 11, 12)]
    assert [len(group) for group in consecutive(months, "month")] == [3, 1, 2]


names = st.sampled_from(["a.csv", "b.json", "c d.csv.gz", "é.csv"])
days = st.dates(date(2013, 12, 30), date(2014, 2, 3)).map(date.isoformat)
files = st.builds(
    landed,
    days,
    names,
    st.integers(0, 2),
    version=st.sampled_from(["1", "2"]),
    modified_at=st.sampled_from([LONG_AGO, NOW, NOW + timedelta(hours=1), None]),
)
listings = st.lists(files, max_size=12, unique_by=lambda file: file.name)


@given(st.lists(listings, min_size=1, max_size=6), st.sampled_from([FLIGHTS, TRANSACTIONS]))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_every_last_version_is_asked_for_once_it_rests(history, dataset):
    cursor = Cursor()
    keys: list[str] = []
    for listing in history:
        before = cursor
        found = compare(listing, cursor, dataset=dataset)
        cursor = Cursor.decode(found.cursor.encode())
        assert cursor == found.cursor
        keys += [span.run_key for span in found.spans]
        news = {
            file.delivered_on.replace(day=1) if dataset is FLIGHTS else file.delivered_on
            for file in listing
            if before.files.get(file.name, Memory("")).taken != file.fingerprint
        }
        covered = {span.first for span in found.spans} | {span.last for span in found.spans}
        assert covered <= news
    # The last listing comes again, as often as it takes.
    rested = [compare(history[-1], cursor, dataset=dataset)]
    rested.append(compare(history[-1], rested[0].cursor, dataset=dataset))
    assert rested[1].spans == rested[1].waiting == rested[1].deleted == ()
    taken = {name: memory.taken for name, memory in rested[1].cursor.files.items()}
    assert taken == {f.name: f.fingerprint for f in history[-1] if FIRST <= f.delivered_on <= LAST}
    keys += [span.run_key for span in rested[0].spans]
    assert len(set(keys)) == len(keys)


def test_listing_and_comparing_grows_with_the_number_of_files_and_no_faster(tmp_path: Path):
    def spent(days: int) -> float:
        """Return the processor time that the files of so many days take; check what is found."""
        zone = LandingZone(tmp_path / str(days))
        for number in range(days):
            day = date(2010, 1, 1) + timedelta(days=number)
            folder = tmp_path / str(days) / "airline" / "transactions" / day.isoformat()
            folder.mkdir(parents=True)
            for part in range(20):
                (folder / f"part-{part:05}.json").touch()
        start = time.process_time()
        listing = zone.files(TRANSACTIONS)
        window = {"first": date(2010, 1, 1), "now": clock.now() + timedelta(minutes=1)}
        found = compare(listing, **window)
        text = found.cursor.encode()
        again = compare(listing, Cursor.decode(text), **window)
        taken = time.process_time() - start
        assert (len(listing), len(again.spans)) == (20 * days, 0)
        assert len(text) < 25 * len(listing)
        return taken

    small, large = (min(spent(days + more) for more in range(2)) for days in (60, 480))
    # Eight times the files: what compares each with all others would take 64 times as long.
    assert large < 24 * small
