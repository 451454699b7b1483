"""From listings to runs: exactly what was not loaded as it is runs, once it is whole."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.ingest.landing import LandedFile, LandingZone, content_of
from lakehouse_assets.ingest.reader import by_partition
from lakehouse_assets.orchestration.arrivals import (
    Arrivals,
    Failures,
    Load,
    Span,
    arrivals,
    consecutive,
    spans_of,
    word_of,
)
from lakehouse_assets.orchestration.partitions import LONGEST_SPAN

FIRST, LAST = date(2014, 1, 1), date(2014, 12, 31)
NOW = datetime(2015, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2014, 12, 31, tzinfo=UTC)
Loads = Mapping[date, Load]


def landed(day: str, name: str = "a.csv", size: int = 1, **facts: Any) -> LandedFile:
    """Return a file that has been there for long."""
    facts = {"version": "1", "modified_at": LONG_AGO, **facts}
    where = f"airline/transactions/{day}/{name}"
    return LandedFile(date.fromisoformat(day), where, Path(where), size, **facts)


def compare(
    listing: list[LandedFile], loads: Loads | None = None, seen: str = "", **changed: Any
) -> Arrivals:
    """Compare a listing of purchases with what was loaded."""
    facts = {"dataset": TRANSACTIONS, "now": NOW, "first": FIRST, "last": LAST, **changed}
    return arrivals(listing=listing, loads=loads or {}, seen=seen, **facts)


def loaded(listing: list[LandedFile], dataset: Dataset = TRANSACTIONS) -> dict[date, Load]:
    """Return what is recorded once a listing was loaded."""
    found = by_partition(dataset, listing)
    return {partition: Load(content_of(files), True, 1) for partition, files in found.items()}


def due(found: Arrivals) -> list[str]:
    """Return the partitions that have to run."""
    return [str(partition) for partition in found.due]


def asked(found: Arrivals, loads: Loads | None = None, failures: Any = (), now: Any = NOW) -> Any:
    """Return the runs for what is due."""
    return spans_of(TRANSACTIONS, found.due, loads or {}, dict(failures), now)


def ends(spans: list[Span]) -> list[tuple[str, str]]:
    """Return the first and last partition of each run."""
    return [(str(span.first), str(span.last)) for span in spans]


def test_new_files_run_their_partitions_until_they_are_loaded():
    listing = [landed("2014-03-01"), landed("2014-03-02"), landed("2014-03-05")]
    found = compare(listing)
    spans, _ = asked(found)
    assert ends(spans) == [("2014-03-01", "2014-03-02"), ("2014-03-05", "2014-03-05")]
    # A run that was lost is asked for under the same key, which Dagster starts once.
    assert asked(compare(listing))[0] == spans
    assert due(compare(listing, loaded(listing))) == []


@pytest.mark.parametrize(
    "change",
    [
        [landed("2014-03-01"), landed("2014-03-01", "b.csv"), landed("2014-03-02")],
        [landed("2014-03-01", size=2), landed("2014-03-02")],
        [landed("2014-03-01", version="2"), landed("2014-03-02")],
        [landed("2014-03-01", "b.csv"), landed("2014-03-02")],
    ],
    ids=["a second file", "another size", "the same size written again", "another file instead"],
)
def test_a_change_runs_its_day_and_no_other(change):
    before = loaded([landed("2014-03-01"), landed("2014-03-02")])
    assert due(compare(change, before)) == ["2014-03-01"]


def test_a_file_being_written_waits_with_its_whole_day_until_it_is_seen_twice():
    done = landed("2014-03-01", "a.csv")
    other = landed("2014-03-02")
    writing = [
        landed("2014-03-01", "b.csv", size, modified_at=NOW, version=str(size)) for size in (1, 2)
    ]
    first = compare([done, writing[0], other])
    assert due(first) == ["2014-03-02"]
    assert first.waiting == (writing[0].name,)
    second = compare([done, writing[1], other], seen=first.young)
    assert due(second) == ["2014-03-02"]
    assert second.waiting == (writing[1].name,)
    third = compare([done, writing[1], other], seen=second.young)
    assert due(third) == ["2014-03-01", "2014-03-02"]
    assert third.waiting == ()
    # What was seen is forgotten: the file waits until it is old enough.
    late = NOW + timedelta(seconds=30)
    assert due(compare([done, writing[1]], now=late)) == ["2014-03-01"]


def test_deleted_files_are_told_and_run_nothing():
    listing = [landed("2014-03-01"), landed("2014-03-01", "b.csv"), landed("2014-03-02")]
    before = loaded(listing)
    found = compare(listing[:1], before)
    assert due(found) == []
    assert [*found.deleted.values()] == [
        "1 of 2 files of 2014-03-01", "1 of 1 file of 2014-03-02",
    ]  # fmt: skip
    # One is gone and another one has changed: that is a change.
    changed = [landed("2014-03-01", version="2"), landed("2014-03-02")]
    assert due(compare(changed, before)) == ["2014-03-01"]
    # Delivered again, it is loaded already.
    assert compare(listing, before).deleted == {}


def test_a_day_without_a_partition_is_told_and_stops_no_other():
    listing = [landed("2013-12-31"), landed("2014-03-01"), landed("2015-01-01")]
    found = compare(listing)
    assert due(found) == ["2014-03-01"]
    assert len(found.outside) == 2
    # Its day comes.
    assert due(compare(listing[2:], last=date(2015, 1, 1))) == ["2015-01-01"]


def test_a_file_that_returns_to_an_old_version_is_asked_for_under_a_new_key():
    day = date(2014, 3, 1)
    one, two = [landed("2014-03-01")], [landed("2014-03-01", version="2")]
    loads = {day: Load(content_of(two), True, 7)}
    first, again = asked(compare(one))[0], asked(compare(one, loads), loads)[0]
    assert first[0].run_key != again[0].run_key


def test_what_failed_runs_alone_after_a_pause_and_at_once_when_a_file_changes():
    listing = [landed("2014-03-01"), landed("2014-03-02"), landed("2014-03-03")]
    found = compare(listing)
    day = date(2014, 3, 2)
    word = word_of(found.due[day])
    keys = set()
    for runs, pause in ((1, timedelta(minutes=10)), (3, timedelta(hours=3)), (9, timedelta(1))):
        failures = {(day, word): Failures(runs, NOW)}
        spans, pausing = asked(found, failures=failures)
        assert ends(spans) == [("2014-03-01", "2014-03-01"), ("2014-03-03", "2014-03-03")]
        assert pausing == [(day, NOW + pause)]
        spans, pausing = asked(found, failures=failures, now=NOW + pause)
        assert ends(spans)[-1] == ("2014-03-02", "2014-03-02")
        assert pausing == []
        keys.add(spans[-1].run_key)
        changed = compare([listing[0], landed("2014-03-02", version="2"), listing[2]])
        assert ends(asked(changed, failures=failures)[0]) == [("2014-03-01", "2014-03-03")]
    assert len(keys) == 3


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


@given(
    st.lists(st.tuples(listings, st.booleans(), st.booleans()), min_size=1, max_size=6),
    st.sampled_from([FLIGHTS, TRANSACTIONS]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_lost_the_last_listing_is_loaded_once_it_rests(history, dataset):
    """Runs may fail, and the sensor may forget what it has seen, at any look."""
    loads: dict[date, Load] = {}
    seen = ""

    def look(listing: list[LandedFile], *, runs: bool) -> Arrivals:
        found = compare(listing, loads, seen, dataset=dataset)
        if runs:
            loads.update({day: Load(content, True) for day, content in found.due.items()})
        return found

    for listing, runs, forgets in history:
        seen = "" if forgets else look(listing, runs=runs).young
    last = history[-1][0]
    for _ in range(2):
        seen = look(last, runs=True).young
    rested = look(last, runs=True)
    assert (rested.due, rested.waiting) == ({}, ())
    within = [file for file in last if FIRST <= file.delivered_on <= LAST]
    for partition, members in by_partition(dataset, within).items():
        if partition not in rested.deleted:
            assert loads[partition].content == content_of(members)


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
        again = compare(listing, loaded(listing), **window)
        taken = time.process_time() - start
        assert (len(listing), len(found.due), again.due) == (20 * days, days, {})
        # A file that rests is not remembered.
        assert found.young == ""
        return taken

    small, large = (min(spent(days + more) for more in range(2)) for days in (30, 240))
    # Eight times the files: what compares each with all others would take 64 times as long.
    assert large < 24 * small
