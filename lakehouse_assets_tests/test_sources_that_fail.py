"""Nothing is built on a source that failed: by `lakehouse run`, and with the sensors on."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.gold import latest
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.lake.spans import rows_of
from lakehouse_assets_tests.airline.samples import House, member, midnight, purchase
from lakehouse_assets_tests.automation.caretaker import Caretaker

JANUARY, FEBRUARY, MARCH = (date(2014, month, 1) for month in (1, 2, 3))
BAD = member("nobody")
# Of the tables of members and purchases, those without a model.
GOLD = [made.table for made in (*gold_customers.GOLD, *gold_value.GOLD)]


def months(house: House, table: str) -> dict[date, date | None]:
    """Return the months of a table and the delivery that each stands on."""
    return {row["as_of_month"]: row.get("snapshot_month") for row in house.rows(table)}


def test_a_snapshot_without_a_good_row_is_not_replaced_by_an_earlier_one(house: House) -> None:
    for month, row in (("01-31", member(1)), ("02-28", BAD), ("03-31", member(1))):
        house.deliver_members(f"2014-{month}", [row])
        house.deliver_purchases(f"2014-{month}", [purchase(f"T{month}", customer_id=1, amount=1)])
    outcome = house.run(FLIGHTS, TRANSACTIONS, gold=GOLD)
    assert months(house, "dim_customers") == {JANUARY: JANUARY, MARCH: MARCH}
    assert months(house, "fact_flights") == {JANUARY: JANUARY, MARCH: MARCH}
    # March adds up what February sold, which is not there.
    assert months(house, "kpi_customer_value").keys() == {JANUARY}
    named = [line for line in outcome.errors if "is not ready" not in line]
    assert [line.split(":")[0] for line in named] == ["silver_flights (airline_monthly 2014-02-01)"]
    refused = [line for line in outcome.errors if line not in named]
    assert refused[0].startswith("airline__kpi_customer_value (airline_monthly 2014-03-01): ")
    assert "customer_spend of 2014-02-01 is not ready" in refused[0]

    house.deliver_members("2014-02-28", [member(1), member(2)])
    assert house.run(FLIGHTS, TRANSACTIONS, gold=GOLD).errors == []
    for table in ("dim_customers", "fact_flights"):
        assert months(house, table) == {m: m for m in (JANUARY, FEBRUARY, MARCH)}
    spent = house.rows(gold_value.KPI_CUSTOMER_VALUE, "customer_key = 1", order="as_of_month")
    assert [(row["as_of_month"], float(row["total_spent"])) for row in spent] == [
        (JANUARY, 1), (FEBRUARY, 2), (MARCH, 3),
    ]  # fmt: skip


def test_a_day_that_fails_stops_its_month_and_no_other_day_or_month(house: House) -> None:
    house.deliver_members("2014-02-28", [member(1)])
    for number, day in enumerate(("02-27", "03-03", "03-04", "03-05")):
        amount = "much" if day == "03-04" else 1
        house.deliver_purchases(f"2014-{day}", [purchase(f"T{number}", amount=amount)])
    outcome = house.run(FLIGHTS, TRANSACTIONS, gold=GOLD)
    delivered = {f"{row['delivered_on']:%m-%d}" for row in house.rows(SILVER_TRANSACTIONS)}
    assert delivered == {"02-27", "03-03", "03-05"}
    assert months(house, "fact_transactions").keys() == {FEBRUARY}
    assert months(house, "kpi_customer_value").keys() == {FEBRUARY}
    # What has nothing to do with purchases is there for March too.
    assert months(house, "dim_customers") == {FEBRUARY: FEBRUARY, MARCH: FEBRUARY}
    assert [line.split(":")[0] for line in outcome.errors] == [
        "silver_transactions (airline_daily 2014-03-04)",
        "airline__fact_transactions (airline_monthly 2014-03-01)",
    ]


def test_gold_alone_takes_no_earlier_snapshot_either(house: House) -> None:
    loaded = [REGISTRY[name] for name in FLIGHTS.loaded_tables]
    for month, row in (("01-31", member(1)), ("02-28", BAD)):
        house.deliver_members(f"2014-{month}", [row])
        house.materialise("airline_monthly", f"2014-{month[:2]}-01", *loaded)
    # This instance of Dagster knows nothing of the runs before; the tables do.
    result = house.materialise("airline_monthly", "2014-02-01", gold_customers.DIM_GEOGRAPHY)
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert "Every row of the snapshot of 2014-02 was rejected or quarantined" in str(
        failure.step_failure_data.error
    )


def test_a_month_without_a_snapshot_stands_on_the_one_before_and_says_so(
    three_months: House,
) -> None:
    for table in ("dim_customers", "fact_flights", "dim_geography"):
        assert months(three_months, table) == {
            JANUARY: JANUARY, FEBRUARY: JANUARY, MARCH: MARCH,
        }  # fmt: skip


def test_a_delivery_that_comes_while_a_table_is_built_does_not_reach_into_it(
    house: House,
) -> None:
    loaded = [REGISTRY[name] for name in FLIGHTS.loaded_tables]
    house.deliver_members("2014-01-31", [member(1)])
    house.deliver_members("2014-02-28", [member(2)])
    assert house.materialise("airline_monthly", "2014-01-01", *loaded).success
    lake = house.lake
    frame = lake.read(SILVER_FLIGHTS)
    assert house.materialise("airline_monthly", "2014-02-01", *loaded).success
    rows = lake.engine.rows(rows_of(latest(SILVER_FLIGHTS), frame, FEBRUARY, lake))
    assert [row["member_no"] for row in rows] == [1]


def test_with_sensors_on_nothing_is_built_on_a_table_that_was_skipped(
    house: House, instance: dg.DagsterInstance
) -> None:
    today = clock.today()
    month = today.replace(day=1)
    watched = dg.AssetSelection.assets(*(dg.AssetKey(table.key) for table in GOLD))
    watched |= dg.AssetSelection.key_prefixes("conformed")
    caretaker = Caretaker(house, instance, watched=watched, may_fail=True)
    obstacle = house.path(gold_value.FACT_TRANSACTIONS)
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("a file in its place", encoding="utf-8")
    house.deliver_purchases(f"{today}", [purchase("A", customer_id=1, amount=5)])
    house.deliver_members(f"{today}", [member(1)])
    caretaker.wake()
    # News that would build the value of the month without its spend.
    house.deliver_members(f"{today}", [member(1), member(2)])
    caretaker.wake()
    assert house.count(gold_customers.DIM_CUSTOMERS) == 2
    assert caretaker.runs_of("customer_spend") == caretaker.runs_of("kpi_customer_value") == []
    caretaker.run([dg.AssetKey(gold_value.KPI_CUSTOMER_VALUE.key)], f"{month}", f"{month}")
    assert caretaker.runs_of("kpi_customer_value") == []
    obstacle.unlink()
    # Nothing is news any more; what failed is asked for again in the morning.
    assert caretaker.follow() == 0
    assert caretaker.follow(midnight(today) + timedelta(days=1, hours=6, minutes=1)) > 0
    found = house.rows(gold_value.KPI_CUSTOMER_VALUE, order="customer_key")
    assert [(row["as_of_month"], float(row["total_spent"])) for row in found] == [
        (month, 5.0), (month, 0.0),
    ]  # fmt: skip
