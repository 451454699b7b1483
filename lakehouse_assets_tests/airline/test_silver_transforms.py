"""How delivered text becomes typed silver rows: hand-made rows, answers worked out by hand."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse_assets.domains.airline import reference
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets_tests.airline.samples import (
    MEMBER,
    PURCHASE,
    bronze,
    differing_types,
    member,
    purchase,
)

WINDOW_END = date(2014, 3, 31)


def us(day: date) -> str:
    """Write a date as the source does: M/d/yyyy."""
    return f"{day.month}/{day.day}/{day.year}"


def flights(engine: Engine, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Type members; rows come back in the order they were given."""
    typed = typed_rows(FLIGHTS, engine, bronze(engine, FLIGHTS, rows))
    return sorted(engine.rows(typed), key=lambda row: row["_row_number"])


def transactions(engine: Engine, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Type purchases given as text; rows come back in the order they were given."""
    text = [{k: v if v is None else str(v) for k, v in row.items()} for row in rows]
    typed = typed_rows(TRANSACTIONS, engine, bronze(engine, TRANSACTIONS, text))
    return sorted(engine.rows(typed), key=lambda row: row["_row_number"])


def each(engine: Engine, field: str, *values: str | None) -> list[dict[str, Any]]:
    """Type one member per value of a field."""
    return flights(engine, *[member(n, **{field: v}) for n, v in enumerate(values, start=1)])


def bought(engine: Engine, field: str, *values: Any) -> list[dict[str, Any]]:
    """Type one purchase per value of a field."""
    rows = [purchase(f"T{n}", **{field: v}) for n, v in enumerate(values, start=1)]
    return transactions(engine, *rows)


# --- members --------------------------------------------------------------------------------


def test_a_plain_member_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = flights(engine, MEMBER)
    assert {name: row[name] for name in SILVER_FLIGHTS.column_names} == {
        "member_no": 7, "ffp_date": date(2007, 2, 1), "first_flight_date": date(2007, 8, 30),
        "gender": "Male", "ffp_tier": 6, "work_city": "beijing", "work_province": "beijing",
        "work_country": "CN", "age": 40, "window_end": WINDOW_END, "flight_count": 135,
        "bp_sum": 351159, "sum_yr_1": Decimal("163618.00"), "sum_yr_2": Decimal("164982.50"),
        "seg_km_sum": 283712, "last_flight_date": date(2014, 3, 21), "last_to_end": 11,
        "avg_interval": 5.298507463, "max_interval": 18, "exchange_count": 20,
        "avg_discount": 1.254675516, "points_sum": 406361, "point_notflight": 39,
        "quality_flags": [], "_source_file": "file.csv", "_row_number": 1,
        "delivered_on": WINDOW_END, "snapshot_month": date(2014, 3, 1),
    }  # fmt: skip
    assert row["expected_last_to_end"] == 11
    assert row["raw_sum_yr_2"] == "164982.5"


@pytest.mark.parametrize("field", ["WORK_CITY", "WORK_PROVINCE"])
def test_what_stands_for_nothing_is_an_unknown_place(engine: Engine, field: str) -> None:
    nothing = [None, "", " ", ".", "..", "-", "--", "*", "?", "0", "\u3000", "\u3000 \u00a0", " . "]
    rows = each(engine, field, *nothing)
    assert [row[field.lower()] for row in rows] == ["Unknown"] * len(nothing)


def test_place_variants_become_the_canonical_name(engine: Engine) -> None:
    provinces = {
        "guangdongsheng": "guangdong", "LIAONINGSHENG": "liaoning", " jilinsheng\u3000": "jilin",
        "Guangdong": "guangdong", "xinjiangweiwuerzizhiqu": "xinjiang", "nowhere": "nowhere",
        "shanxi": "shanxi", "shaanxisheng": "shaanxi",
    }  # fmt: skip
    rows = each(engine, "WORK_PROVINCE", *provinces)
    assert [row["work_province"] for row in rows] == list(provinces.values())
    # Names that only end like a suffix (shashi, shishi) must not lose it.
    cities = {
        "shenyangshi": "shenyang", "Shenyang": "shenyang", "\u3000DALIANSHI ": "dalian",
        "shashi": "shashi", "shishi": "shishi", "shishishi": "shishi", "yokohama-shi": "yokohama",
        "xianggang": "hong kong", "los angeles": "los angeles",
    }  # fmt: skip
    rows = each(engine, "WORK_CITY", *cities)
    assert [row["work_city"] for row in rows] == list(cities.values())


def test_the_mapping_of_places_is_consistent() -> None:
    path = Path(reference.__file__).with_name("places.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    keys = Counter((row["kind"], row["variant"]) for row in rows)
    assert [key for key, n in keys.items() if n > 1] == []
    # A canonical name that is itself a variant would need two passes.
    assert [r for r in rows if (r["kind"], r["canonical"]) in keys] == []
    for row in rows:
        cased = str.upper if row["kind"] == "country" else str.lower
        assert row["variant"] == cased(row["variant"]).strip()
    assert rows == sorted(rows, key=lambda row: (row["kind"], row["variant"]))


def test_a_country_is_an_iso_code_or_unknown_and_garbage_is_flagged(engine: Engine) -> None:
    given_codes = {
        "CN": ("CN", False), "cn": ("CN", False), " us ": ("US", False), "中": ("CN", False),
        "中国": ("CN", False), "china": ("CN", False), "uk": ("GB", False), "ko": ("KR", False),
        "12": ("Unknown", True), "C": ("Unknown", True), "法国": ("Unknown", True),
        "CN1": ("Unknown", True), "C\nN": ("Unknown", True), "\uff23\uff2e": ("Unknown", True),
        "ZZ": ("Unknown", True), "VT": ("Unknown", True), "AA": ("Unknown", True),
        ".": ("Unknown", False), "-": ("Unknown", False), "": ("Unknown", False),
    }  # fmt: skip
    rows = each(engine, "WORK_COUNTRY", *given_codes)
    found = [(r["work_country"], "country_unknown" in r["quality_flags"]) for r in rows]
    assert found == list(given_codes.values())


def test_what_names_no_place_is_unknown_and_codes_are_flagged(engine: Engine) -> None:
    nothing = ("。", "\uff0e", "\uff0d", "——", "/", "`", "-", "?", "#NAME?", "unknown", "\u3000")
    codes = (
        "75003",
        "510000",
        "\uff11\uff12",
        "SW1A 1AA",
        "CA91030",
        "CN 91006",
        "K1A 0B1",
        "C1425DKG",
        "〒",
    )
    places = (
        "50668 koeln",
        "usa1 city",
        "100 mile house",
        "la",
        "深圳",
        "laren (nh)",
        "morssang s/o",
    )
    rows = each(engine, "WORK_PROVINCE", *nothing, *codes, *places)
    found = [(r["work_province"], "province_not_a_place" in r["quality_flags"]) for r in rows]
    assert found == [
        *[("Unknown", False)] * len(nothing),
        *[("Unknown", True)] * len(codes),
        *[(place, False) for place in places],
    ]
    cities = each(engine, "WORK_CITY", *nothing, *codes)
    assert {row["work_city"] for row in cities} == {"Unknown"}


def test_ages_outside_12_to_100_are_null_and_flagged(engine: Engine) -> None:
    ages = {
        "6": (None, ["age_implausible"]), "11": (None, ["age_implausible"]), "12": (12, []),
        "100": (100, []), "101": (None, ["age_implausible"]), "110": (None, ["age_implausible"]),
        "-40": (None, ["age_implausible"]), "0": (None, []), "42.0": (42, []),
        "42.5": (None, ["age_unreadable"]), "forty": (None, ["age_unreadable"]),
        "99999999999": (None, ["age_implausible"]), ".": (None, []), "": (None, []),
        "\u3000": (None, []),
    }  # fmt: skip
    rows = each(engine, "AGE", *ages)
    assert [(row["age"], row["quality_flags"]) for row in rows] == list(ages.values())


def test_first_flights_before_aviation_or_after_the_window_are_null_and_flagged(
    engine: Engine,
) -> None:
    flag = ["first_flight_implausible"]
    days = {
        "12/31/1905": (None, flag), "12/31/1913": (None, flag), "1/1/1914": (date(1914, 1, 1), []),
        "3/31/2014": (WINDOW_END, []), "4/1/2014": (None, flag), "3/9/2015": (None, flag),
        "2/30/2010": (None, ["first_flight_date_unreadable"]), "": (None, []), ".": (None, []),
    }  # fmt: skip
    rows = each(engine, "FIRST_FLIGHT_DATE", *days)
    assert [(row["first_flight_date"], row["quality_flags"]) for row in rows] == list(days.values())


def test_an_unknown_gender_is_flagged_only_if_something_was_given(engine: Engine) -> None:
    genders = {
        "Male": ("Male", []), "female": ("Female", []), " MALE ": ("Male", []),
        "": ("Unknown", []), ".": ("Unknown", []), "x": ("Unknown", ["gender_unknown"]),
    }  # fmt: skip
    rows = each(engine, "GENDER", *genders)
    assert [(row["gender"], row["quality_flags"]) for row in rows] == list(genders.values())


def test_the_phantom_day_becomes_28_february_and_is_flagged(engine: Engine) -> None:
    literal = "2014/2/29  0:00:00"
    (row,) = flights(engine, member(1, LAST_FLIGHT_DATE=literal, LAST_TO_END="32"))
    assert row["last_flight_date"] == date(2014, 2, 28)
    assert row["quality_flags"] == ["last_flight_date_repaired"]
    assert row["raw_last_flight_date"] == literal
    # There is no delivered date to check LAST_TO_END against.
    assert row["expected_last_to_end"] is None


# Written down from the specification's identity, not computed: + 1 from 1 March on, + 2 before.
DISTANCES = {
    date(2014, 3, 31): 1, date(2014, 3, 30): 2, date(2014, 3, 21): 11, date(2014, 3, 2): 30,
    date(2014, 3, 1): 31, date(2014, 2, 28): 33, date(2014, 2, 27): 34, date(2014, 1, 1): 91,
    date(2013, 12, 26): 97, date(2013, 3, 31): 367, date(2012, 4, 1): 731,
}  # fmt: skip


def test_last_to_end_counts_one_more_across_the_phantom_day(engine: Engine) -> None:
    rows = each(engine, "LAST_FLIGHT_DATE", *map(us, DISTANCES))
    assert [row["expected_last_to_end"] for row in rows] == list(DISTANCES.values())
    assert all(row["quality_flags"] == [] for row in rows)


def test_an_unreadable_last_flight_is_repaired_from_last_to_end(engine: Engine) -> None:
    rows = flights(
        engine,
        *[
            member(n, LAST_FLIGHT_DATE="?", LAST_TO_END=str(distance))
            for n, distance in enumerate(DISTANCES.values(), start=1)
        ],
    )
    assert [row["last_flight_date"] for row in rows] == list(DISTANCES)
    assert all(row["quality_flags"] == ["last_flight_date_repaired"] for row in rows)


def test_numbers_too_large_for_a_tier_or_a_calendar_are_not_readable(engine: Engine) -> None:
    """One such row must not keep all others from being built."""
    tiers = each(engine, "FFP_TIER", "2147483647", "2147483648", "999999999999999999")
    assert [row["ffp_tier"] for row in tiers] == [2147483647, None, None]
    distant = [
        member(n, LAST_FLIGHT_DATE="", LAST_TO_END=days)
        for n, days in enumerate(("32", "2147483647", "999999999999999999", "-2147483648"))
    ]
    dates = [row["last_flight_date"] for row in flights(engine, *distant)]
    assert dates == [date(2014, 2, 28), None, None, None]


def test_a_window_before_the_phantom_day_has_no_extra_day(engine: Engine) -> None:
    january = {"LOAD_TIME": "1/31/2014"}
    plain, lost, leap = flights(
        engine,
        member(1, **january, LAST_FLIGHT_DATE="1/1/2014", LAST_TO_END="31"),
        member(2, **january, LAST_FLIGHT_DATE="", LAST_TO_END="31"),
        # 2012 had its 29 February: it is a date like any other.
        member(3, **january, LAST_FLIGHT_DATE="2/29/2012", LAST_TO_END="703"),
    )
    assert plain["expected_last_to_end"] == 31
    assert lost["last_flight_date"] == date(2014, 1, 1)
    assert leap["last_flight_date"] == date(2012, 2, 29)
    assert leap["expected_last_to_end"] == 703


def test_a_last_flight_without_any_source_stays_null(engine: Engine) -> None:
    (row,) = flights(engine, member(1, LAST_FLIGHT_DATE="2/29/2014", LAST_TO_END=""))
    assert row["last_flight_date"] is None
    assert row["quality_flags"] == []


def test_repair_and_check_are_inverse_on_every_day_of_three_years(engine: Engine) -> None:
    days = [WINDOW_END - timedelta(days=n) for n in range(1100)]
    seen = each(engine, "LAST_FLIGHT_DATE", *map(us, days))
    distances = [str(row["expected_last_to_end"]) for row in seen]
    repaired = flights(
        engine,
        *[member(n, LAST_FLIGHT_DATE="?", LAST_TO_END=d) for n, d in enumerate(distances, start=1)],
    )
    assert [row["last_flight_date"] for row in repaired] == days
    assert len(set(distances)) == len(days)


def test_numbers_that_cannot_be_read_are_null_and_their_text_is_kept(engine: Engine) -> None:
    text = "12abc"
    (row,) = flights(
        engine,
        member(
            text,
            FLIGHT_COUNT="1.5",
            SUM_YR_1="1,000",
            SUM_YR_2="",
            AVG_INTERVAL="NaN",
            BP_SUM="1e3",
        ),
    )
    names = ("member_no", "flight_count", "sum_yr_1", "sum_yr_2", "avg_interval", "bp_sum")
    assert [row[name] for name in names] == [None] * 6
    assert row["raw_member_no"] == text
    assert row["raw_avg_interval"] == "NaN"


# --- purchases ------------------------------------------------------------------------------


def test_a_plain_purchase_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = transactions(engine, PURCHASE)
    assert {name: row[name] for name in SILVER_TRANSACTIONS.column_names} == {
        "transaction_id": "T1", "customer_id": 7, "customer_name": "Ann Lee",
        "email": "ann.lee@example.org", "purchase_date": date(2014, 3, 5),
        "amount": Decimal("12.50"), "status": "completed", "payment_method": "credit_card",
        "region": "NORTH", "quality_flags": [], "_source_file": "file.csv", "_row_number": 1,
        "delivered_on": WINDOW_END,
    }  # fmt: skip


def test_amounts_are_exact_and_never_guessed(engine: Engine) -> None:
    amounts = {
        "2100": Decimal("2100.00"), 1250.5: Decimal("1250.50"), 0: Decimal("0.00"),
        "1e3": Decimal("1000.00"), "-5.25": Decimal("-5.25"), "1.005": Decimal("1.01"),
        "1.004": Decimal("1.00"), "2.675": Decimal("2.68"), " 7 ": Decimal("7.00"),
        "invalid": None, None: None, "": None, "1,000": None, "12 EUR": None, "NaN": None,
    }  # fmt: skip
    rows = bought(engine, "amount", *amounts)
    assert [row["amount"] for row in rows] == list(amounts.values())


def test_three_date_formats_are_read_and_impossible_dates_are_not(engine: Engine) -> None:
    day = date(2024, 1, 17)
    dates = {
        "2024-01-17": day, "01/17/2024": day, "2024/01/17": day, "1/17/2024": day,
        "2024-1-17": day, "02/29/2024": date(2024, 2, 29), "2023-02-29": None, "13/01/2024": None,
        "2024-13-01": None, "2024/00/10": None, "": None, ".": None, "17.01.2024": None,
        "2024-01-17T00:00:00": day, "20240117": None,
    }  # fmt: skip
    rows = bought(engine, "purchase_date", *dates)
    assert [row["purchase_date"] for row in rows] == list(dates.values())


def test_customers_are_whole_numbers_in_any_clothes(engine: Engine) -> None:
    customers = {
        1001: 1001, "1006": 1006, "1006.0": 1006, " 1006 ": 1006, "invalid": None, None: None,
        "": None, "1006.5": None, "1e3": None, "10 06": None,
    }  # fmt: skip
    rows = bought(engine, "customer_id", *customers)
    assert [row["customer_id"] for row in rows] == list(customers.values())


def test_payment_methods_have_one_spelling(engine: Engine) -> None:
    methods = {
        "credit_card": "credit_card", "Credit Card": "credit_card", "CREDIT-CARD": "credit_card",
        "Credit  Card": "credit_card", "creditcard": "credit_card", "Debit Card": "debit_card",
        "PayPal": "paypal", " PAYPAL ": "paypal", "wire transfer": "wire_transfer",
        "WIRE_TRANSFER": "wire_transfer", "Gift Voucher": "gift_voucher", "cash": "cash",
        ".": "unknown", None: "unknown", "": "unknown", "\u3000": "unknown",
    }  # fmt: skip
    rows = bought(engine, "payment_method", *methods)
    assert [row["payment_method"] for row in rows] == list(methods.values())
    flagged = ["payment_method_unknown" in row["quality_flags"] for row in rows]
    assert flagged == [method == "unknown" for method in methods.values()]


def test_regions_are_upper_case_and_statuses_lower_case(engine: Engine) -> None:
    regions = {
        "north": "NORTH", " West ": "WEST", "": "Unknown", ".": "Unknown", "UNKNOWN": "Unknown",
        None: "Unknown",
    }  # fmt: skip
    rows = bought(engine, "region", *regions)
    assert [row["region"] for row in rows] == list(regions.values())
    flagged = ["region_unknown" in row["quality_flags"] for row in rows]
    assert flagged == [region == "Unknown" for region in regions.values()]
    statuses = {"COMPLETED": "completed", " Pending": "pending", "": "unknown", None: "unknown"}
    rows = bought(engine, "status", *statuses)
    assert [row["status"] for row in rows] == list(statuses.values())


def test_what_is_no_address_is_removed_and_flagged(engine: Engine) -> None:
    flag = ["email_removed"]
    addresses = {
        "JANE.SMITH@EXAMPLE.COM": ("jane.smith@example.com", []), " a@b.co ": ("a@b.co", []),
        "": (None, []), None: (None, []), "invalid-email": (None, flag), "a@b": (None, flag),
        "a b@c.org": (None, flag), "a@@b.org": (None, flag), ".": (None, flag),
    }  # fmt: skip
    rows = bought(engine, "email", *addresses)
    assert [(row["email"], row["quality_flags"]) for row in rows] == list(addresses.values())


def test_blanks_in_names_collapse_and_nothing_is_unknown(engine: Engine) -> None:
    names = {
        "Robert  Johnson": "Robert Johnson", "David   Martinez": "David Martinez",
        " Ann\tLee\u3000": "Ann Lee", "": "Unknown", ".": "Unknown", None: "Unknown",
        "O'Neill": "O'Neill",
    }  # fmt: skip
    rows = bought(engine, "customer_name", *names)
    assert [row["customer_name"] for row in rows] == list(names.values())


# --- whatever comes -------------------------------------------------------------------------

hostile = st.one_of(
    st.none(),
    st.sampled_from(
        ["", ".", "-", "\u3000", "0", "-1", "1e3", "1.5", "NaN", "99999999999999999999", "中国",
         "2/29/2014", "2014/2/29  0:00:00", "12/31/0001", "31/12/9999", "a'b\"c", "\x00", "null",
         "x" * 300]
    ),
    st.text(max_size=12),
)  # fmt: skip


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(MEMBER, hostile)), min_size=30, max_size=60))
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_delivered_no_member_row_is_lost_and_types_hold(rows: list[Any]) -> None:
    engine = start_engine()
    with engine.scope():
        frame = bronze(engine, FLIGHTS, rows)
        typed = typed_rows(FLIGHTS, engine, frame)
        assert differing_types(engine, typed, SILVER_FLIGHTS) == {}
        found = sorted(engine.rows(typed), key=lambda row: row["_row_number"])
    assert [row["_row_number"] for row in found] == list(range(1, len(rows) + 1))
    assert [row["raw_work_city"] for row in found] == [row["WORK_CITY"] for row in rows]
    for row in found:
        assert row["age"] is None or 12 <= row["age"] <= 100
        assert row["gender"] in {"Male", "Female", "Unknown"}
        assert row["work_country"] == "Unknown" or len(row["work_country"]) == 2


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(PURCHASE, hostile)), min_size=30, max_size=60))
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_delivered_no_purchase_is_lost_and_types_hold(rows: list[Any]) -> None:
    engine = start_engine()
    with engine.scope():
        typed = typed_rows(TRANSACTIONS, engine, bronze(engine, TRANSACTIONS, rows))
        assert differing_types(engine, typed, SILVER_TRANSACTIONS) == {}
        found = sorted(engine.rows(typed), key=lambda row: row["_row_number"])
    assert [row["_row_number"] for row in found] == list(range(1, len(rows) + 1))
    assert [row["raw_amount"] for row in found] == [row["amount"] for row in rows]
    for row in found:
        for name in ("customer_name", "status", "payment_method", "region"):
            assert row[name]
