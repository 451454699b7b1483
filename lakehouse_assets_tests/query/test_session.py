"""Sessions in SQL: versions that statements see, many at once, and how statements end."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse_assets.catalog.access import Access, Mask, RowFilter, TableAccess
from lakehouse_assets.catalog.datasets import Dataset, Field, dataset_tables
from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError, QueryError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything, between
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.query.functions import INSTEAD
from lakehouse_assets.query.session import Sessions, ask
from lakehouse_assets.query.user_views import create_view, drop_view, read_views
from lakehouse_assets_tests.lake.samples import COMMIT, day, make_lake, table

COUNTS = table("counts", Column("n", "bigint", "A number.", unit="pieces"))
STATES = table(
    "states",
    Column("day", "date", "Day.", nullable=False),
    Column("n", "bigint", "A number.", unit="pieces"),
    partition=PartitionColumn("day", "day"),
    kind="snapshot",
    aliases=("state",),
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = make_lake(
        tmp_path_factory.mktemp("session"), COUNTS, STATES, engine=start_engine("duckdb")
    )
    for version in (1, 2, 3):
        put(lake, version)
        states(lake, version)
    return lake


@pytest.fixture
def sessions(lake: Lake) -> Iterator[Sessions]:
    opened = Sessions(lake)
    yield opened
    opened.close()


def put(lake: Lake, number: int) -> None:
    """Replace the rows of `counts` with as many as their number."""
    frame = lake.engine.from_arrow(pa.table({"n": [number] * number}, arrow_schema(COUNTS)))
    lake.write(COUNTS, frame, Everything(), COMMIT)


def states(lake: Lake, number: int) -> None:
    """Write the n-th day of `states`."""
    assert STATES.partition is not None
    schema = arrow_schema(STATES)
    frame = lake.engine.from_arrow(pa.table({"day": [day(number)], "n": [number]}, schema))
    lake.write(STATES, frame, between(STATES.partition, day(number), day(number + 1)), COMMIT)


def rows(sessions: Sessions, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return the rows of one statement in a session of its own."""
    table = sessions.open().run(text, parameters).rows.read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select count(*) from counts as of version 2", [(2,)]),
        ("select count(*) from shop.counts version as of 1 where n = 1", [(1,)]),
        ("select count(*) from counts@v3 c", [(3,)]),
        ("select count(*) from counts for version as of 2 as c where c.n = 2", [(2,)]),
        ('select counts.n from "counts" at (version => 1)', [(1,)]),
        ("select count(*) from counts timestamp as of '2100-01-01'", [(3,)]),
        ("select count(*) from counts as of timestamp timestamp '2100-01-01 12:00'", [(3,)]),
        ("select count(*) from counts for system_time as of '2100-01-01T00:00:00+02:00'", [(3,)]),
        ("select (select count(*) from counts@v1), (select count(*) from counts)", [(1, 3)]),
        ("select a.n, b.n from counts@v1 a join shop.counts@v2 b on a.n < b.n", [(1, 2)] * 2),
        ("select n from state", [(3,)]),
        ("select n from states as of version 2", [(2,)]),
        ("select sum(n)::int from shop.states_history as of version 2", [(3,)]),
        ("select 'counts as of version 1'", [("counts as of version 1",)]),
        ("summarize select n from counts@v1", None),
    ],
)
def test_a_table_has_its_earlier_states(
    sessions: Sessions, query: str, found: list[tuple[Any, ...]] | None
) -> None:
    answer = rows(sessions, query)
    assert answer == found if found is not None else answer[0][:4] == ("n", "BIGINT", "1", "1")


def test_a_moment_means_the_version_that_history_tells(lake: Lake, sessions: Sessions) -> None:
    for version in lake.history(COUNTS):
        moment = version.committed_at.isoformat()
        query = f"select count(*) from counts as of timestamp '{moment}'"  # noqa: S608
        expected = max(
            v.number for v in lake.history(COUNTS) if v.committed_at <= version.committed_at
        )
        assert rows(sessions, query) == [(expected,)]


@pytest.mark.parametrize(
    ("query", "said", "state"),
    [
        ("select * from counts as of version 99", "no version 99; its newest is", None),
        ("select * from counts as of version x", "'x' is not a version", None),
        ("select * from counts as of timestamp 'noon'", "'noon' is not a timestamp", None),
        ("select * from counts as of timestamp '1999-01-01'", "the oldest known version", None),
        ("with c as (select 1) select * from c as of version 1", "c is not one", None),
        ("select * from nowhere", "No table is called nowhere", "42P01"),
        ("select m from counts", "No column is called m in counts", "42703"),
        ("select n frm counts", "syntax error", "42601"),
        ("select ('x' || n)::int from counts", "Could not convert", "22000"),
        ("select $1", "parameter", "22000"),
    ],
)
def test_what_a_statement_cannot_have_is_one_sentence(
    sessions: Sessions, query: str, said: str, state: str | None
) -> None:
    with pytest.raises(LakehouseError) as caught:
        rows(sessions, query)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    if state is not None:
        assert isinstance(caught.value, QueryError)
        assert caught.value.sqlstate == state


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("to_char(current_date, 'YYYY')", "use strftime(moment, "),
        ("to_date('2024-01-01', 'YYYY-MM-DD')", "use strptime(text, "),
        ("initcap('ann')", "use upper(left(text, 1)) || lower("),
    ],
)
def test_a_function_of_postgresql_is_refused_with_what_to_write(
    sessions: Sessions, call: str, instead: str
) -> None:
    with pytest.raises(QueryError) as caught:
        sessions.open(guarded=True).run(f"select {call} from counts")  # noqa: S608
    name = call.partition("(")[0]
    assert f"The function {name} is not allowed here; {instead}" in str(caught.value)
    assert caught.value.sqlstate == "42501"


def test_what_is_to_be_written_instead_runs(sessions: Sessions) -> None:
    values = (
        "'ann' as text, 'n' as characters, 'n' as part, 'n' as pattern, interval '1 day' as "
        "width, now() as moment, 2.5 as number, 1 as value, 2 as other, 'a' as name"
    )
    special = {"to_date": "'2024-01-31'", "to_number": "'2.50'"}
    for function, instead in INSTEAD.items():
        given = values.replace("'ann'", special.get(function, "'ann'"))
        for call in instead.split(" or "):
            query = f"select {call} from (select {given})"  # noqa: S608
            assert sessions.open(guarded=True).run(query).rows.read_all().num_rows == 1


def test_quarantined_rows_are_asked_for_by_their_delivered_names(tmp_path: Path) -> None:
    feed = Dataset(
        domain="shop", name="rides", grain="day", description="Rides.", owner="team:test",
        rows="Rides.", key="ride",
        columns=(Field("ride", "string", "Its number.", "Fahrt", need="required"),),
    )  # fmt: skip
    tables = dataset_tables(feed)
    lake = make_lake(tmp_path, *tables, engine=start_engine("duckdb"))
    quarantine = tables[-1]
    nothing = lake.engine.from_arrow(arrow_schema(quarantine).empty_table())
    assert quarantine.partition is not None
    lake.write(quarantine, nothing, between(quarantine.partition, day(1), day(2)), COMMIT)
    sessions = Sessions(lake)
    assert rows(sessions, "select fahrt from silver_rides_quarantine") == []
    for asked, said in (
        ("ride", "; quarantined rows have the delivered names, so write fahrt. "),
        ("farht", "; did you mean fahrt? "),
    ):
        with pytest.raises(QueryError) as caught:
            rows(sessions, f"select {asked} from silver_rides_quarantine")  # noqa: S608
        assert str(caught.value) == (
            f"No column is called {asked} in silver_rides_quarantine{said}"
            '"describe silver_rides_quarantine" lists its columns.'
        )
    sessions.close()


def test_columns_are_known_before_a_statement_runs(sessions: Sessions) -> None:
    session = sessions.open()
    huge = "select n, $1::date as d, n || ? as t from counts, range(1000000000000) where n > $2"
    assert (
        session.describe(huge.replace("?", "$3")).to_string()
        == "n: int64\nd: date32[day]\nt: string"
    )
    assert session.describe("show tables").names == ["table", "kind", "rows_of"]
    assert session.describe("select 1 as a -- end").names == ["a"]
    with pytest.raises(QueryError, match="No column is called m"):
        session.describe("select m from counts")
    assert rows(sessions, "select n from counts@v2 where n = ? limit ?", 2, 1) == [(2,)]


def test_a_statement_sees_one_version_while_others_commit(tmp_path: Path) -> None:
    """Each answer is of one version, the newest when it was asked or a later one."""
    lake = make_lake(tmp_path, COUNTS, engine=start_engine("duckdb"))
    put(lake, 1)
    sessions = Sessions(lake)
    # The rows of an early answer are read at the end.
    early = sessions.open().run("select n from counts, range(200000)", batch_rows=1_000).rows
    first = early.read_next_batch()
    committed, asked, wrong = [1], [0], []

    def ask(_: int) -> None:
        session = sessions.open()
        while committed[0] < 40:
            least = committed[0]
            (found,) = (
                session.run(
                    "select min(n), max(n), count(*), (select count(*) from shop.counts) "
                    "from counts"
                )
                .rows.read_all()
                .to_pylist()
            )
            asked[0] += 1
            if len({*found.values()}) != 1 or next(iter(found.values())) < least:
                wrong.append((least, found))

    def commit() -> None:
        # By another writer, as in another process.
        for number in range(2, 41):
            rows = pa.table({"n": [number] * number}, arrow_schema(COUNTS))
            write_deltalake(lake.uri(COUNTS), rows, mode="overwrite")
            committed[0] = number

    with ThreadPoolExecutor(21) as pool:
        done = [pool.submit(ask, number) for number in range(20)]
        commit()
        for each in done:
            each.result()
    assert not wrong
    assert asked[0] > 20
    assert {*pa.Table.from_batches([first, *early])["n"].to_pylist()} == {1}


ENDLESS = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b"


@pytest.mark.parametrize("endless", [ENDLESS, "select a.range from range(1000000000000) a"])
def test_a_statement_ends_when_told_and_leaves_the_others(sessions: Sessions, endless: str) -> None:
    session, other = sessions.open(), sessions.open()
    mine, theirs = (s.run("select range from range(1000000)").rows for s in (session, other))
    threading.Timer(0.2, session.cancel).start()
    with pytest.raises(QueryError, match="was cancelled") as caught:
        for _ in session.run(endless).rows:
            pass
    assert caught.value.sqlstate == "57014"
    with pytest.raises(QueryError, match="was cancelled"):
        mine.read_all()
    assert theirs.read_all().num_rows == 1_000_000
    assert session.run("select 1 as a").rows.read_all().to_pylist() == [{"a": 1}]
    session.close()
    with pytest.raises(QueryError, match="session was closed"):
        session.run("select 1")


def test_a_statement_has_a_time_limit(lake: Lake) -> None:
    session = Sessions(lake, timeout=0.5).open()
    with pytest.raises(QueryError, match=r"stopped after 0\.5 seconds") as caught:
        session.run(ENDLESS).rows.read_all()
    assert caught.value.sqlstate == "57014"
    unread = session.run("select range from range(100000000)").rows
    unread.read_next_batch()
    assert threading.Event().wait(1.0) is False
    with pytest.raises(QueryError, match="stopped after"):
        unread.read_all()
    assert session.run("select 1 as a").rows.read_all().num_rows == 1


ROLE = Access(
    "some",
    "Who may see a part.",
    {STATES: TableAccess(RowFilter("n", (2, 3)), {"n": Mask("range", size=2)})},
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select n from state", [(2,)]),
        ("select min(n), count(*) from shop.states_history", [(2, 2)]),
        ("select n from states as of version 2", [(2,)]),
        ("select count(*) from states_history a join states_history b using (day)", [(2,)]),
        ("select states.n from shop.states where shop.states.n = $1", [(2,)]),
        ("describe states", None),
    ],
)
def test_a_role_reads_its_rows_masked(
    sessions: Sessions, query: str, found: list[tuple[Any, ...]] | None
) -> None:
    session = sessions.open(ROLE)
    answer = session.run(query, [2] if "$1" in query else []).rows.read_all()
    assert found is None or list(zip(*answer.to_pydict().values(), strict=True)) == found
    assert session.describe(query) == answer.schema


@pytest.mark.parametrize(
    "query",
    ["select * from counts", "describe counts", "describe history shop.counts", "from count"],
)
def test_a_role_learns_nothing_of_other_tables(sessions: Sessions, query: str) -> None:
    session = sessions.open(ROLE)
    with pytest.raises(QueryError) as caught:
        session.run(query)
    assert "counts" not in str(caught.value).replace(query.split()[-1], "")
    listed = session.run("show tables").rows.read_all()["table"].to_pylist()
    assert listed == ["shop.states", "shop.states_history"]


@pytest.mark.parametrize(
    "query",
    ["create table x as select 1", "select * from read_csv('/etc/passwd')", "set threads = 1",
     "select getenv('HOME')", "explain select 1"],
)  # fmt: skip
def test_who_is_guarded_may_only_select_from_the_lake(sessions: Sessions, query: str) -> None:
    for session in (sessions.open(guarded=True), sessions.open(ROLE)):
        with pytest.raises(QueryError, match="allowed here"):
            session.run(query)


def test_a_role_reads_one_version_of_a_table_in_all_scans(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, COUNTS, engine=start_engine("duckdb"))
    put(lake, 2)
    session = Sessions(lake).open(Access("all", "Everyone.", {COUNTS: TableAccess(None, {})}))
    answer = session.run(
        "select (select sum(n) from counts), a.n from counts a, range(100000)", batch_rows=1000
    ).rows
    put(lake, 3)
    assert {*map(tuple, zip(*answer.read_all().to_pydict().values(), strict=True))} == {(4, 2)}


def test_a_users_view_is_read_with_the_rights_of_who_asks(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, COUNTS, STATES, engine=start_engine("duckdb"))
    put(lake, 2)
    states(lake, 1)
    states(lake, 3)
    create_view(lake, "latest", "select n, n * 10 as ten from shop.states;")
    create_view(lake, "doubled", "select l.ten * 2 as twenty from latest l")
    create_view(lake, "first", "select n from states@v1")
    create_view(lake, "counted", "with c as (select count(*) as k from counts) select k from c")
    sessions = Sessions(lake)
    owner, guarded, role = sessions.open(), sessions.open(guarded=True), sessions.open(ROLE)
    for session, expected in ((owner, [60, 3, 1, 2]), (guarded, [60, 3, 1, 2]), (role, [40, 2])):
        queries = (
            "select twenty from views.doubled", "select l.n from latest l",
            "select n from first", "select k from views.counted",
        )  # fmt: skip
        found = [
            session.run(query).rows.read_all()[0].to_pylist()[0]
            for query in queries[: len(expected)]
        ]
        assert found == expected
        assert session.describe("select * from doubled").names == ["twenty"]
    assert role.run("from first").rows.read_all().num_rows == 0
    with pytest.raises(QueryError, match="may not read"):
        role.run("select * from counted")
    listed = {
        session: set(session.run("show tables").rows.read_all()["table"].to_pylist())
        for session in (owner, role)
    }
    every = {"views.latest", "views.doubled", "views.first", "views.counted"}
    assert [found & every for found in listed.values()] == [every, every - {"views.counted"}]
    assert owner.run("describe views.doubled").rows.read_all().num_rows == 1
    states(lake, 4)
    assert ask(lake, "select ten from latest").rows.read_all().to_pylist() == [{"ten": 40}]
    assert drop_view(lake, "latest") == ["doubled"]
    for session in (owner, guarded):
        with pytest.raises(QueryError, match="No table is called latest"):
            session.run("select * from doubled")
    with pytest.raises(LakehouseError, match="The view first has no versions"):
        owner.run("describe history first")


def test_views_made_at_the_same_time_are_all_kept(lake: Lake) -> None:
    names = [f"view_{n}" for n in range(12)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda name: create_view(lake, name, f"select '{name}' as a"), names))
    assert {*read_views(lake)} == {*names}
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda name: drop_view(lake, name), names))
    assert read_views(lake) == {}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Sales!", "select 1 as a", "cannot be the name"),
        ("counts", "select 1 as a", "There is a table called counts"),
        ("there", "select 2 as a", "--replace"),
        ("new", "select m from counts", "No column is called m"),
        ("new", "select 1 as a; select 2", "several statements"),
        ("new", "create table x as select 1", "Only one SELECT"),
        ("new", "select * from read_csv('x.csv')", "not allowed"),
        ("new", "select * from new", "reads itself"),
        ("new", "select * from nowhere", "No table is called nowhere"),
    ],
)
def test_what_cannot_be_a_view_is_one_sentence(lake: Lake, name: str, text: str, said: str) -> None:
    create_view(lake, "there", "select 1 as a", replace=True)
    with pytest.raises(LakehouseError, match=re.escape(said)):
        create_view(lake, name, text)
    assert read_views(lake) == {"there": "select 1 as a"}
    with pytest.raises(LakehouseError, match="did you mean there"):
        drop_view(lake, "their")
