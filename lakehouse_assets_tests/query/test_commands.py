"""Commands about versions, views and files of the lake, on a small lake of the project's tables."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from lakehouse_assets.cli.opening import deliveries_of
from lakehouse_assets.domains import ROLES
from lakehouse_assets.domains.airline.gold.value import CUSTOMER_SPEND, FACT_FLIGHTS
from lakehouse_assets.engine.duckdb_readers import UNCHECKED, load_delta
from lakehouse_assets.errors import QueryError
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.query.session import Sessions
from lakehouse_assets_tests.airline.samples import House

Lakehouse = Callable[..., tuple[int, str, str]]
FEBRUARY, MARCH = date(2014, 2, 1), date(2014, 3, 1)


def spend(house: House, month: date, *amounts: int) -> None:
    """Store one customer's spend for each amount."""
    rows = [
        {"as_of_month": month, "customer_key": key, "currency": "KZT", "transaction_count": 1,
         **{c.name: Decimal(amount) for c in CUSTOMER_SPEND.columns if c.decimal},
         **{c.name: 1 for c in CUSTOMER_SPEND.columns if c.type in ("bigint", "int")}}
        | {"customer_key": key}
        for key, amount in enumerate(amounts, 1)
    ]  # fmt: skip
    any_value: dict[str, Any] = {"string": "x", "date": month, "timestamp": None}
    needed = [c for c in CUSTOMER_SPEND.columns if not c.nullable and c.type in any_value]
    filled = [{c.name: any_value[c.type] for c in needed} | row for row in rows]
    house.put(CUSTOMER_SPEND, filled, month)


@pytest.fixture
def spent(house: House) -> House:
    """Two versions of February, then one of March: versions 1, 2 and 3."""
    spend(house, FEBRUARY, 1, 2, 3)
    spend(house, FEBRUARY, 4)
    spend(house, MARCH, 5, 6)
    return house


def test_a_restored_version_is_the_newest_and_dagster_hears_of_it(
    spent: House, lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda question: False)
    before = spent.commits(CUSTOMER_SPEND)
    code, said, _ = lakehouse("restore", "customer_spend", "--version", "1")
    assert (code, spent.commits(CUSTOMER_SPEND)) == (1, before)
    assert [line.split() for line in said.splitlines() if line.strip("│ ").startswith("20")]
    assert "2014-02-01" in said
    assert "2014-03-01" in said
    code, said, _ = lakehouse("restore", "customer_spend", "--version", "1", "--yes")
    assert (code, "as version 4" in said) == (0, True)
    assert spent.count(CUSTOMER_SPEND) == 3
    newest, *others = spent.lake.history(CUSTOMER_SPEND)
    assert newest.operation == "RESTORE"
    assert newest.commit == others[-2].commit
    with dagster_instance(spent.settings) as instance:
        found = instance.fetch_materializations(dg.AssetKey(CUSTOMER_SPEND.key), limit=9).records
    assert sorted(str(record.partition_key) for record in found) == ["2014-02-01", "2014-03-01"]
    assert (
        lakehouse("restore", "customer_spend", "--version", "4")[1].count("already has the rows")
        == 1
    )
    assert lakehouse("sql", "select count(*) n from customer_spend@v3", "--format", "csv")[1] == (
        "n\n3\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("customer_spend", "--version", "9"), "has no version 9"),
        (("silver_transactions", "--version", "0"), "cannot be restored: an older"),
        (("agg_thermostat_minute", "--version", "0"), "cannot be restored: an older"),
        (("customer_spent", "--version", "0"), "did you mean customer_spend"),
        (("kpi_customer_value", "--version", "0"), "is not built; run"),
    ],
)
def test_what_cannot_be_restored_is_one_sentence(
    spent: House, lakehouse: Lakehouse, arguments: tuple[str, ...], said: str
) -> None:
    code, _, errors = lakehouse("restore", *arguments, "--yes")
    assert code == 1
    assert said in " ".join(errors.split())


def file_of(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a file as a tool does: DuckDB with its extension delta."""
    connection = duckdb.connect(path, read_only=True, config=UNCHECKED)
    load_delta(connection)
    return connection


def test_a_file_of_views_shows_the_tables_as_they_are(
    spent: House, lakehouse: Lakehouse, tmp_path: Path
) -> None:
    house, path = spent, tmp_path / "lake.duckdb"
    states: dict[date, int] = {FEBRUARY: 1, MARCH: 2}
    for month, flights in states.items():
        house.put(FACT_FLIGHTS, [flight(month, flights)], month)
    code, said, _ = lakehouse("views", "--to", str(path), "--copy", "customer_spend")
    assert (code, "airline.dim_customers" in said) == (0, True)
    with file_of(path) as file:
        counts = "select total_flights, year_1_flights from airline.fact_flights"
        assert file.execute(counts).fetchall() == [(2, Decimal("1.50"))]
        april = date(2014, 4, 1)
        house.put(FACT_FLIGHTS, [flight(april, 4)], april)
        spend(house, april, 9)
        assert file.execute(counts).fetchall() == [(4, Decimal("1.50"))]
        history = "select count(*), (select count(*) from airline.customer_spend) from "
        assert file.execute(f"{history} airline.fact_flights_history").fetchall() == [(3, 3)]
        said = dict(
            file.execute(
                "select column_name, comment from duckdb_columns() "
                "where table_name = 'fact_flights'"
            ).fetchall()
        )
        assert said["total_flights"] == "Flights in the two-year window. Unit: count."
        assert said["year_1_flights"] == "Other name of year_1_revenue."
        (about,) = file.execute(
            "select comment from duckdb_tables() where table_name = 'customer_spend'"
        ).fetchall()
        assert str(about[0]).endswith("A copy of version 3.")
    moved = tmp_path / "elsewhere"
    Path(house.settings.root).rename(moved)
    with file_of(path) as file:
        with pytest.raises(duckdb.Error, match="does not exist"):
            file.execute(counts)
        file.execute(f"set variable lakehouse_root = '{moved}'")
        assert file.execute(counts).fetchall() == [(4, Decimal("1.50"))]


def flight(month: date, flights: int) -> dict[str, Any]:
    """Return a member's flights, with something in every other column."""
    any_value = {
        "string": "x", "bigint": 1, "int": 1, "date": month, "timestamp": datetime(2014, 4, 1),
    }  # fmt: skip
    row = {
        c.name: Decimal(1) if c.decimal else any_value.get(c.type, 1.0)
        for c in FACT_FLIGHTS.columns
    }
    given = {"as_of_month": month, "total_flights": flights, "year_1_revenue": Decimal("1.50")}
    return row | given


def test_sql_asks_with_a_role(
    spent: House, lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_MASK_KEY", "a key of this test only")
    query = "select customer_key, completed_amount a from customer_spend order by a"
    code, shown, _ = lakehouse("sql", "--as", "steward", query, "--format", "csv")
    assert (code, shown.splitlines()[1:]) == (0, ["1,4.00", "1,5.00", "2,6.00"])
    code, shown, _ = lakehouse("sql", "--as", "analyst", query, "--format", "csv")
    (first, four), (again, five), (second, six) = (s.split(",") for s in shown.splitlines()[1:])
    assert (four, five, six) == ("4.00", "5.00", "6.00")
    assert first == again != second
    assert {first, second} & {"1", "2"} == set()
    assert lakehouse("sql", "--as", "analyst", query, "--format", "csv")[1] == shown
    for role, statement, message in (
        ("marketing", query, "may not read"),
        ("analyst", "from silver_transactions", "may not read"),
        ("owner", "from read_csv('x')", "not allowed"),
        ("analist", query, "did you mean analyst"),
    ):
        code, shown, said = lakehouse("sql", "--as", role, statement)
        assert (code, shown) == (1, "")
        assert message in said


def test_delivered_files_are_read_by_name_by_the_owner_alone(
    spent: House, lakehouse: Lakehouse
) -> None:
    house = spent
    house.deliver("transactions", "2014-03-05", "a.csv", "id,amount\n001,1.50\n")
    house.deliver("transactions", "2014-03-05", "b.csv.gz", gzip.compress(b"id,note\n002,x\n"))
    house.deliver("transactions", "2014-03-05", "c.json", '[{"id": 3, "amount": 2.5}]')
    house.deliver("transactions", "2014-03-06", "a.csv", "id\n9\n")
    name = "landing.airline.transactions('2014-03-05')"
    query = f"select id, amount, note, file from {name} t order by 1"  # noqa: S608
    code, said, _ = lakehouse("sql", query, "--format", "csv")
    assert (code, said.splitlines()) == (
        0,
        [
            "id,amount,note,file",
            "001,1.50,,airline/transactions/2014-03-05/a.csv",
            "002,,x,airline/transactions/2014-03-05/b.csv.gz",
            "3,2.5,,airline/transactions/2014-03-05/c.json",
        ],
    )
    for wrong, reason in (
        (name.replace("05'", "07'"), "was delivered on 2014-03-07"),
        (name.replace("transactions", "transaction"), "did you mean airline.transactions"),
        (name.replace("2014-03-05", "../../x"), "is not a date"),
    ):
        code, _, errors = lakehouse("sql", f"from {wrong}")
        assert (code, reason in " ".join(errors.split())) == (1, True)
    sessions = Sessions(house.lake, deliveries=deliveries_of(house.settings))
    count = f"select count(*) as n from {name}"  # noqa: S608
    assert sessions.open(guarded=True).run(count).rows.read_all().to_pylist() == [{"n": 3}]
    with pytest.raises(QueryError, match="may not read landing"):
        sessions.open(ROLES["analyst"]).run(count)
