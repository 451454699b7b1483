"""Visits of the website from delivered text to gold: answers worked out by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

from lakehouse_assets.catalog.datasets import quarantine_table, rejects_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.domains.retail.datasets.visits import SILVER_VISITS, VISITS
from lakehouse_assets.domains.retail.gold.visits import WEBSITE_VISIT_DAYS, WEBSITE_VISITS
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.query.session import ask
from lakehouse_assets_tests.airline.samples import House, typed
from lakehouse_assets_tests.retail.samples import SEEN, deliver, quoted_csv, seen


def test_a_plain_visit_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = typed(engine, VISITS, SEEN)
    assert {name: row[name] for name in SILVER_VISITS.column_names} == {
        "visit_number": "V-1", "visited_at": datetime(2021, 9, 5, 23, 59, 59, tzinfo=UTC),
        "visit_date": date(2021, 9, 5), "visitor_id": "W-1", "country": "USA",
        "age_group": "31-40", "customer_segment": "Gen Y (80\u20132000s)",
        "customer_type": "Returning", "device": "Mobile Phone", "mobile_experience": "Poor",
        "referrer": "Third-party redirect", "search_match": "No", "discount_offered": "No",
        "product_category": "Beach Products", "happiness": "Not Happy", "bounced": True,
        "pages": 1, "duration_seconds": 12, "quality_flags": [], "_source_file": "file.csv",
        "_row_number": 1, "delivered_on": date(2014, 3, 31),
    }  # fmt: skip


def test_deliveries_become_measures_and_nothing_is_lost(house: House) -> None:
    first = [
        seen(VisitNumber="1"),
        seen(VisitNumber="2", VisitorID="W-2", Country="Germany", Bounced="no", Pages="4",
             Happiness="Happy", CustomerType="Repeat customer"),
        seen(VisitNumber="3", Happiness="", Device="Fridge", Bounced="Yes", Pages="2"),
        seen(VisitNumber="4", Bounced="perhaps"),
        seen(VisitNumber="5", VisitedAt="2021-02-30T00:00:00Z"),
        seen(VisitNumber="6", Pages="-1"),
        seen(VisitNumber="7", VisitorID=""),
        # Times are in UTC; another clock's are not guessed at.
        seen(VisitNumber="9", VisitedAt="2021-09-06T01:30:00+02:00"),
    ]  # fmt: skip
    # The next week repeats a visit, and brings one that is late.
    second = [first[0], seen(VisitNumber="8", VisitedAt="2021-09-02T12:00:00Z", Bounced="No",
                             Pages="3", Country="Atlantis")]  # fmt: skip
    for day, rows in (("2021-09-06", first), ("2021-09-13", second)):
        text = quoted_csv(VISITS, rows) + '"too","short"\n'
        deliver(house, VISITS, day, "visits.csv", text)
    outcome = house.run(VISITS)
    assert outcome.errors == []
    lost = house.rows(quarantine_table(VISITS))
    assert Counter((r["visitnumber"], *(r["reasons"] or [r["disposition"]])) for r in lost) == {
        ("1", "duplicate"): 1, ("4", "bounced_is_readable"): 1, ("6", "pages_is_not_negative"): 1,
        ("5", "visited_at_is_readable"): 1, ("7", "visitor_id_is_readable"): 1,
        ("9", "visited_at_is_readable"): 1,
    }  # fmt: skip
    assert len(house.rows(rejects_table(VISITS))) == 2
    warned = {warning.check for warning in outcome.warnings}
    assert {"device_is_known", "bounced_means_one_page"} <= warned
    visits = {row["visit_number"]: row for row in house.rows(WEBSITE_VISITS)}
    assert {number: (str(r["visit_date"]), r["country_code"]) for number, r in visits.items()} == {
        "1": ("2021-09-05", "US"), "2": ("2021-09-05", "DE"), "3": ("2021-09-05", "US"),
        "8": ("2021-09-02", "Unknown"),
    }  # fmt: skip
    assert house.count(WEBSITE_VISIT_DAYS) == 4
    names = ("visits", "visitors", "bounce_rate", "not_happy", "not_happy_share",
             "repeat_customers", "average_duration")  # fmt: skip
    assert _measured(house, WEBSITE_VISITS, names) == (4, 2, 50, 2, 200 / 3, 1, 12)
    names = ("visits", "bounce_rate", "not_happy_share")
    assert _measured(house, WEBSITE_VISIT_DAYS, names) == (4, 50, 200 / 3)


def _measured(house: House, table: Table, names: tuple[str, ...]) -> tuple[float, ...]:
    expressions = {measure.name: measure.expression for measure in table.measures}
    columns = ", ".join(expressions[name] for name in names)
    query = f"select {columns} from {table.full_name}"  # noqa: S608
    (row,) = rows_of(ask(house.lake, query).rows)
    return tuple(map(float, row))
