"""What waits is delivered, once, in order, and whatever happens on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources import extraction
from lakehouse_assets.sources.copy_state import CopyState, OpenCopy, Window, recall, remember
from lakehouse_assets.sources.extraction import CopyRequest, ask
from lakehouse_assets_tests.sources.conftest import KINDS
from lakehouse_assets_tests.sources.samples import (
    FIELDS,
    NOW,
    ORDERS,
    SOURCE,
    TYPES,
    copied,
    order,
    rows_in,
)

LATER = NOW + timedelta(days=1)
STILL_LATER = LATER + timedelta(microseconds=1)
MONTHLY = replace(SOURCE, dataset=replace(ORDERS, grain="month"))


def moment(kind, minute):
    """A value of the cursor as the database stores it."""
    found = datetime(2021, 9, 6, 4, minute, tzinfo=UTC)
    if kind == "sqlite":
        return f"{found:%Y-%m-%dT%H:%M:%SZ}"
    return found.replace(tzinfo=None) if kind == "mysql" else found


def ids(zone, dataset=ORDERS):
    return [int(row[0]) for row in rows_in(zone, dataset)]


@pytest.mark.parametrize("database", KINDS, indirect=True)
def test_later_copies_take_what_changed_since_and_a_little_before(database, zone):
    database.make_table()
    database.insert([order(n, moment(database.kind, n)) for n in (1, 20, 40)])
    database.insert([order(50)])
    source = replace(SOURCE, overlap=timedelta(minutes=15))
    first = copied(zone, database, source)
    assert (first.rows, first.full, first.resumed, first.findings) == (4, True, False, [])
    # Committed late, changed again, and new.
    database.insert([order(30, moment(database.kind, 30), "late")])
    database.run("UPDATE orders SET note = 'changed' WHERE id = 40")
    database.insert([order(45, moment(database.kind, 45))])
    second = copied(zone, database, source, LATER)
    assert (second.full, second.day) == (False, LATER.date())
    news = rows_in(zone)[4:]
    # SQLite's moments are text, for which there is no little before.
    late = [] if database.kind == "sqlite" else [("30", "late")]
    assert [(row[0], row[7]) for row in news] == [*late, ("40", "changed"), ("45", "")]
    assert second.look_up.findings == [
        "1 row has no cursor value; a copy with --full includes all rows."
    ]
    assert copied(zone, database, source, STILL_LATER, full=True).rows == 6
    assert len(zone.files(ORDERS)) == 3


@pytest.mark.parametrize("database", KINDS, indirect=True)
def test_keys_are_compared_as_the_database_types_them(database, zone, monkeypatch):
    """Text and numbers together put rows in order; every copy breaks off after two files."""
    monkeypatch.setattr("lakehouse_assets.sources.streams._ROWS", 3)
    monkeypatch.setattr("lakehouse_assets.sources.streams._BYTES", 40)
    database.make_table()
    keys = [(n, note) for n in (1, 2, 10, 20) for note in ("a", "b'", 'c"\\')]
    database.insert([order(n, None, note) for n, note in keys])
    source = replace(SOURCE, key=("Id", "Note"), cursor=None)
    land, landings = zone.land, []

    def broken(dataset, path, day, **options):
        if len(landings) == 2:
            landings.clear()
            raise ConnectionError("gone")
        landings.append(path)
        return land(dataset, path, day, **options)

    monkeypatch.setattr(zone, "land", broken)
    for _ in range(20):
        try:
            result = copied(zone, database, source, chunk_rows=1)
            break
        except (LakehouseError, ConnectionError):
            continue
    assert (result.resumed, result.rows) == (True, len(keys))
    found = [(int(row[0]), row[7]) for row in rows_in(zone)]
    assert sorted(found) == sorted(keys)
    assert [n for n, _ in found] == sorted(n for n, _ in keys)


def test_files_have_about_as_many_rows_as_asked_for(database, zone, monkeypatch):
    monkeypatch.setattr("lakehouse_assets.sources.streams._ROWS", 10)
    database.make_table()
    database.insert([order(n) for n in range(95)])
    result = copied(zone, database, chunk_rows=30)
    assert (result.files, result.rows) == (4, 95)
    files = zone.files(ORDERS)
    assert [pq.read_metadata(file.local).num_rows for file in files] == [30, 30, 30, 5]
    assert [file.name.rpartition("/")[2] for file in files] == [
        f"orders-20210906T050000000000-000{n}.parquet" for n in (1, 2, 3, 4)
    ]
    assert ids(zone) == list(range(95))


def test_a_file_never_ends_between_equal_keys(database, zone, monkeypatch):
    monkeypatch.setattr("lakehouse_assets.sources.streams._ROWS", 2)
    database.make_table()
    database.insert([order(n, None, str(m)) for n, m in ((1, 0), (2, 0), (2, 1), (2, 2), (3, 0))])
    copied(zone, database, chunk_rows=1)
    files = [[r[0] for r in rows_in_file(file)] for file in zone.files(ORDERS)]
    assert files == [["1", "2", "2", "2"], ["3"]]


def rows_in_file(file):
    return [tuple(row.values()) for row in pq.read_table(file.local).to_pylist()]


def test_without_a_key_there_is_one_file_and_it_is_copied_anew(database, zone, monkeypatch):
    monkeypatch.setattr("lakehouse_assets.sources.streams._ROWS", 2)
    database.make_table()
    database.insert([order(n) for n in (3, 1, 2, 1)])
    source = replace(SOURCE, key=(), cursor=None)
    assert copied(zone, database, source, chunk_rows=1).files == 1
    assert sorted(ids(zone)) == [1, 1, 2, 3]


def test_what_was_killed_between_file_and_memory_is_replaced(database, zone):
    """The file lies there, but nobody remembers it; meanwhile the source went on."""
    database.make_table()
    database.insert([order(n, f"2021-09-06T04:0{n}:00Z") for n in (1, 2)])
    begun = OpenCopy("orders-x", NOW.date(), True, Window(None, "2021-09-06T04:02:00Z"))
    remember(zone, ORDERS, CopyState(open=begun))
    copied(zone, database)
    remember(zone, ORDERS, CopyState(open=begun))
    database.insert([order(3, "2021-09-06T04:03:00Z")])
    result = copied(zone, database, now=LATER)
    assert (result.resumed, result.day, result.rows) == (True, NOW.date(), 3)
    assert [file.name for file in zone.files(ORDERS)] == [
        "shop/orders/2021-09-06/orders-x-0001.parquet"
    ]
    # Row 3 is later than what was looked up before the copy began, so it comes once more.
    assert recall(zone, ORDERS).cursor == "2021-09-06T04:02:00Z"
    copied(zone, database, now=STILL_LATER)
    assert ids(zone) == [1, 2, 3, 2, 3]


def test_the_cursor_moves_once_everything_is_delivered(database, zone, monkeypatch):
    database.make_table()
    database.insert([order(1, "2021-09-06T04:01:00Z")])

    def full_disk(*_arguments, **_options):
        raise LakehouseError("full")

    with monkeypatch.context() as patch:
        patch.setattr(zone, "land", full_disk)
        with pytest.raises(LakehouseError, match="full"):
            copied(zone, database)
    memory = recall(zone, ORDERS)
    assert (memory.cursor, memory.open.chunks) == (None, 0)
    copied(zone, database)
    assert (recall(zone, ORDERS).cursor, recall(zone, ORDERS).open) == (
        "2021-09-06T04:01:00Z", None,
    )  # fmt: skip


def test_an_empty_table_delivers_nothing(database, zone):
    database.make_table()
    result = copied(zone, database)
    assert (result.rows, result.files, zone.files(ORDERS)) == (0, 0, [])


@pytest.mark.parametrize("database", KINDS, indirect=True)
def test_since(database, zone):
    database.make_table()
    database.insert([order(n, moment(database.kind, n)) for n in (1, 20, 40)])
    since = "2021-09-06T04:20:00Z" if database.kind != "mysql" else "2021-09-06T04:20:00"
    assert copied(zone, database, since=since).rows == 2
    with pytest.raises(LakehouseError, match="declares no cursor"):
        copied(zone, database, replace(SOURCE, cursor=None), since=since)


def test_a_month_of_states_begins_with_a_full_copy(database, zone):
    database.make_table()
    database.insert([order(1, "2021-09-06T04:01:00Z"), order(2, "2021-09-06T04:02:00Z")])
    october = datetime(2021, 10, 1, tzinfo=UTC)
    times = (NOW, LATER, october, october + timedelta(hours=1))
    kinds = [copied(zone, database, MONTHLY, now).full for now in times]
    assert kinds == [True, False, True, False]
    assert ids(zone, MONTHLY.dataset) == [1, 2, 1, 2]


NUMBERED = replace(SOURCE, cursor="Id")
STAMPED = replace(SOURCE, overlap=timedelta(minutes=15))
STATE = replace(MONTHLY, cursor=None)


@pytest.mark.parametrize(
    ("database", "source"),
    [*((kind, STAMPED) for kind in KINDS), ("sqlite", NUMBERED), ("sqlite", STATE)],
    indirect=["database"],
    ids=[*KINDS, "number", "state"],
)
def test_a_table_that_did_not_change_delivers_nothing(database, zone, source):
    database.make_table()
    database.insert([order(n, moment(database.kind, n)) for n in (1, 9, 10)])
    days = [NOW + timedelta(days=n) for n in range(5)]
    assert copied(zone, database, source, days[0]).rows == 3
    for day in days[1:3]:
        assert ask(zone, database.source, source, CopyRequest(), day.date()).waiting == 0
        quiet = copied(zone, database, source, day)
        assert (quiet.rows, quiet.files, quiet.findings) == (0, 0, [])
    assert len(zone.files(source.dataset)) == 1
    # A change that the cursor does not tell of is seen where the copy looks back.
    database.run("UPDATE orders SET note = 'mended' WHERE id = 10")
    copied(zone, database, source, days[3])
    assert rows_in(zone, source.dataset)[-1][7] == "mended"
    assert copied(zone, database, source, days[4]).rows == 0
    # Asked for, everything comes.
    assert copied(zone, database, source, STILL_LATER, full=True).rows == 3


def test_a_state_is_copied_once_a_month_where_nothing_changes(database, zone):
    database.make_table()
    database.insert([order(1), order(2)])
    times = [datetime(2021, month, day, tzinfo=UTC) for month in (9, 10) for day in (6, 7, 30)]
    assert [copied(zone, database, STATE, at).rows for at in times] == [2, 0, 0, 2, 0, 0]


def test_since_leaves_nothing_out_for_ever(database, zone):
    database.make_table()
    database.insert([order(n) for n in range(1, 11)])
    copied(zone, database, NUMBERED)
    database.insert([order(n) for n in range(11, 21)])
    ahead = copied(zone, database, NUMBERED, LATER, since="15")
    assert ids(zone)[10:] == list(range(15, 21))
    assert ahead.findings == ["This copy began at 15, so the next one begins at 10 again."]
    copied(zone, database, NUMBERED, STILL_LATER)
    assert ids(zone)[16:] == list(range(10, 21))
    # Without a gap the cursor moves.
    database.insert([order(21)])
    at = STILL_LATER + timedelta(days=1)
    assert copied(zone, database, NUMBERED, at, since="20").findings == []
    assert copied(zone, database, NUMBERED, at + timedelta(days=1)).rows == 0


def test_a_first_copy_may_begin_late_and_says_so(database, zone):
    database.make_table()
    database.insert([order(n) for n in (1, 2, 3)])
    first = copied(zone, database, NUMBERED, since="2")
    assert first.findings == ["Rows before 2 were not copied; copy them with --full."]
    database.insert([order(4)])
    copied(zone, database, NUMBERED, LATER)
    assert ids(zone) == [2, 3, 3, 4]


def test_since_goes_on_with_its_own_copy_and_with_no_other(database, zone, monkeypatch):
    database.make_table()
    database.insert([order(n) for n in (1, 2, 3)])

    def full_disk(*_arguments, **_options):
        raise LakehouseError("full")

    def broken(**wanted):
        with monkeypatch.context() as patch:
            patch.setattr(zone, "land", full_disk)
            with pytest.raises(LakehouseError, match="full"):
                copied(zone, database, NUMBERED, **wanted)

    broken()
    with pytest.raises(LakehouseError, match=r"was interrupted\. Finish it first"):
        copied(zone, database, NUMBERED, since="2")
    copied(zone, database, NUMBERED)
    broken(since="2", now=LATER)
    resumed = copied(zone, database, NUMBERED, STILL_LATER, since="2")
    assert (resumed.resumed, resumed.rows, ids(zone)) == (True, 2, [1, 2, 3, 2, 3])


def test_what_changed_while_a_copy_was_interrupted_comes_with_the_next(database, zone, monkeypatch):
    monkeypatch.setattr("lakehouse_assets.sources.streams._ROWS", 1)
    database.make_table()
    database.insert([order(n) for n in (1, 2)])
    remembered = []

    def killed(zone, dataset, memory):
        remember(zone, dataset, memory)
        remembered.append(memory)
        if len(remembered) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "remember", killed)
        with pytest.raises(KeyboardInterrupt):
            copied(zone, database, NUMBERED, chunk_rows=1)
    # Both files lie there; what they hold is out of date by the time the copy goes on.
    database.run("UPDATE orders SET note = 'mended' WHERE id = 2")
    assert copied(zone, database, NUMBERED, LATER).resumed
    assert copied(zone, database, NUMBERED, STILL_LATER).rows == 1
    assert [(row[0], row[7]) for row in rows_in(zone)] == [("1", ""), ("2", ""), ("2", "mended")]


@pytest.mark.parametrize("database", KINDS, indirect=True)
def test_schema_drift_is_told_before_anything_is_copied(database, zone):
    database.make_table()
    database.insert([order(1)])
    copied(zone, database)
    types = list(TYPES[database.kind])
    types[2] = "decimal(12,2)"
    database.make_table([*types[:7], types[7]])
    database.run("ALTER TABLE orders ADD COLUMN gift integer")
    found = ask(zone, database.source, SOURCE, CopyRequest(), NOW.date())
    assert [name.lower() for name in found.added] == ["gift"]
    (retyped,) = found.retyped
    assert retyped.startswith("Column Ratio is ")
    assert retyped.endswith(" at the last copy.")
    with pytest.raises(LakehouseError, match=r"Column Ratio is .* --accept-types") as error:
        copied(zone, database, now=LATER)
    assert "Nothing of shop/orders was copied" in str(error.value)
    assert len(zone.files(ORDERS)) == 1
    copied(zone, database, now=LATER, accepted=True)
    assert ask(zone, database.source, SOURCE, CopyRequest(), NOW.date()).retyped == ()
    database.run("ALTER TABLE orders DROP COLUMN note")
    with pytest.raises(LakehouseError, match="orders of the source test lacks Note, so nothing"):
        copied(zone, database, accepted=True)


def test_more_columns_are_told_and_not_copied(database, zone):
    database.make_table()
    database.run("ALTER TABLE orders ADD COLUMN gift text")
    database.insert([order(1)])
    assert copied(zone, database).look_up.findings == [
        "The source has undeclared columns: gift. They are not copied; to copy them, declare them "
        "as fields of the dataset."
    ]
    assert pq.read_schema(zone.files(ORDERS)[0].local).names == list(FIELDS)


def test_rows_that_do_not_come_are_told(database, zone, monkeypatch):
    database.make_table()
    database.insert([order(1), order(2)])
    real = extraction.rows_of

    def thief(*arguments):
        yield from (batch.slice(1) for batch in real(*arguments))

    monkeypatch.setattr(extraction, "rows_of", thief)
    assert copied(zone, database).findings == [
        "Expected to copy 2 rows, but copied 1. If nobody wrote to the table in the meantime, "
        "copy it again with --full."
    ]


def test_a_key_that_is_null_is_an_error(database, zone):
    database.make_table()
    database.insert([order(None)])
    with pytest.raises(LakehouseError, match=r"A key \(Id\) is null in the source"):
        copied(zone, database)


def test_a_key_of_floating_point_cannot_be_gone_on_behind(database, zone, monkeypatch):
    monkeypatch.setattr("lakehouse_assets.sources.streams._ROWS", 1)
    database.make_table()
    database.insert([(*order(n)[:2], n / 10, *order(n)[3:]) for n in (1, 2)])
    source = replace(SOURCE, key=("Ratio",), cursor=None)
    begun = OpenCopy("orders-x", NOW.date(), True, Window(), 1, 1, ("0.1",))
    remember(zone, ORDERS, CopyState(open=begun))
    with pytest.raises(LakehouseError, match="Ratio is REAL, which cannot order rows exactly"):
        copied(zone, database, source)


def test_memory_is_read_as_it_was_written(zone):
    for value in (1, "2021", datetime(2021, 9, 6, 1, 2, 3, 4, UTC), NOW.date(), None):
        begun = OpenCopy("a", NOW.date(), False, Window(value, value), 3, 17, ("1", "ü"))
        memory = CopyState(value, NOW.date(), {"type": "text", "text": "int"}, begun)
        remember(zone, ORDERS, memory)
        assert recall(zone, ORDERS) == memory
    zone.keep_note(ORDERS, "_copied.json", b"{}")
    with pytest.raises(LakehouseError, match=r"_copied\.json cannot be read"):
        recall(zone, ORDERS)
