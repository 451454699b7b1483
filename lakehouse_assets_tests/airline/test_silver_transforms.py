"""How delivered text becomes typed silver rows: hand-made rows, answers worked out by hand."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse_assets.domains.airline import reference
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets_tests.airline.samples import (
    MEMBER,
    PURCHASE,
    member,
    purchase,
    typed,
)

WINDOW_END = date(2014, 3, 31)


def us(day: date) -> str:
    """Write a date as the source does: M/d/yyyy."""
    return f"{day.month}/{day.day}/{day.year}"


def flights(engine: Engine, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Type members; rows come back in the order they were given."""
    return typed(engine, FLIGHTS, *rows)


def transactions(engine: Engine, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Type purchases; rows come back in the order they were given."""
    return typed(engine, TRANSACTIONS, *rows)


Cases = dict[str, tuple[tuple[str, ...], dict[Any, tuple[Any, ...]]]]


def typed_cases(cases: Cases, type_all: Callable[..., list[dict[str, Any]]]) -> Cases:
    """Return what silver makes of each value of a field, all typed at once."""
    given = [{field: value} for field, (_, values) in cases.items() for value in values]
    rows = iter(type_all(given))
    return {
        field: (columns, {value: tuple(map(next(rows).get, columns)) for value in values})
        for field, (columns, values) in cases.items()
    }


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


NO_PLACE = dict.fromkeys(
    ["。", "\uff0e", "\uff0d", "——", "/", "`", "-", "?", "#NAME?", "unknown", "\u3000", None, "",
     " ", ".", "..", "--", "*", "0", "\u3000 \u00a0", " . "],
    ("Unknown", []),
)  # fmt: skip
CODES = ["75003", "510000", "\uff11\uff12", "SW1A 1AA", "CA91030", "CN 91006", "K1A 0B1",
         "C1425DKG", "〒"]  # fmt: skip
PLACES = ["50668 koeln", "usa1 city", "100 mile house", "la", "深圳", "laren (nh)", "morssang s/o"]
# What silver makes of a field's values: the column and the flags.
MEMBERS: Cases = {
    "WORK_CITY": (("work_city", "quality_flags"), {
        **NO_PLACE, **dict.fromkeys(CODES, ("Unknown", ["city_not_a_place"])),
        "shenyangshi": ("shenyang", []), "Shenyang": ("shenyang", []),
        "\u3000DALIANSHI ": ("dalian", []),
        # Names that only end like a suffix (shashi, shishi) must not lose it.
        "shashi": ("shashi", []), "shishi": ("shishi", []), "shishishi": ("shishi", []),
        "yokohama-shi": ("yokohama", []), "xianggang": ("hong kong", []),
        "los angeles": ("los angeles", []),
    }),
    "WORK_PROVINCE": (("work_province", "quality_flags"), {
        **NO_PLACE, **dict.fromkeys(CODES, ("Unknown", ["province_not_a_place"])),
        **{place: (place, []) for place in PLACES},
        "guangdongsheng": ("guangdong", []), "LIAONINGSHENG": ("liaoning", []),
        " jilinsheng\u3000": ("jilin", []), "Guangdong": ("guangdong", []),
        "xinjiangweiwuerzizhiqu": ("xinjiang", []), "nowhere": ("nowhere", []),
        "shanxi": ("shanxi", []), "shaanxisheng": ("shaanxi", []),
    }),
    "WORK_COUNTRY": (("work_country", "quality_flags"), {
        **dict.fromkeys(["CN", "cn", "中", "中国", "china"], ("CN", [])), " us ": ("US", []),
        "uk": ("GB", []), "ko": ("KR", []), ".": ("Unknown", []),
        "-": ("Unknown", []), "": ("Unknown", []),
        **dict.fromkeys(["12", "C", "法国", "CN1", "C\nN", "\uff23\uff2e", "ZZ", "VT", "AA"],
                        ("Unknown", ["country_unknown"])),
    }),
    "AGE": (("age", "quality_flags"), {
        "12": (12, []), "100": (100, []), "0": (None, []), "42.0": (42, []), ".": (None, []),
        "": (None, []), "\u3000": (None, []), "42.5": (None, ["age_unreadable"]),
        "forty": (None, ["age_unreadable"]),
        **dict.fromkeys(["6", "11", "101", "110", "-40", "99999999999"],
                        (None, ["age_implausible"])),
    }),
    # Before aviation, after the window, and no day at all.
    "FIRST_FLIGHT_DATE": (("first_flight_date", "quality_flags"), {
        **dict.fromkeys(["12/31/1905", "12/31/1913", "4/1/2014", "3/9/2015"],
                        (None, ["first_flight_implausible"])),
        "1/1/1914": (date(1914, 1, 1), []), "3/31/2014": (WINDOW_END, []),
        "2/30/2010": (None, ["first_flight_date_unreadable"]), "": (None, []), ".": (None, []),
    }),
    "GENDER": (("gender", "quality_flags"), {
        "Male": ("Male", []), "female": ("Female", []), " MALE ": ("Male", []),
        "": ("Unknown", []), ".": ("Unknown", []), "x": ("Unknown", ["gender_unknown"]),
    }),
    "FFP_TIER": (("ffp_tier",), {
        "2147483647": (2147483647,), "2147483648": (None,), "999999999999999999": (None,),
    }),
}  # fmt: skip


def test_each_field_of_a_member_is_typed_and_flagged(engine: Engine) -> None:
    def type_all(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return flights(engine, *[member(n, **fields) for n, fields in enumerate(given, start=1)])

    assert typed_cases(MEMBERS, type_all) == MEMBERS


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


# Written down from the specification's identity, not computed: + 1 from 1 March on, + 2 before.
DISTANCES = {
    date(2014, 3, 31): 1, date(2014, 3, 30): 2, date(2014, 3, 21): 11, date(2014, 3, 2): 30,
    date(2014, 3, 1): 31, date(2014, 2, 28): 33, date(2014, 2, 27): 34, date(2014, 1, 1): 91,
    date(2013, 12, 26): 97, date(2013, 3, 31): 367, date(2012, 4, 1): 731,
}  # fmt: skip


def test_last_to_end_counts_one_more_across_the_phantom_day(engine: Engine) -> None:
    dated = [member(1, LAST_FLIGHT_DATE=us(day)) for day in DISTANCES]
    lost = [member(1, LAST_FLIGHT_DATE="?", LAST_TO_END=str(n)) for n in DISTANCES.values()]
    # One row whose day is outside every calendar must not keep all others from being built.
    distant = ("2147483647", "999999999999999999", "-2147483648")
    rows = flights(
        engine, *dated, *lost, *(member(1, LAST_FLIGHT_DATE="", LAST_TO_END=n) for n in distant)
    )
    number = len(DISTANCES)
    found = [(row["expected_last_to_end"], row["quality_flags"]) for row in rows[:number]]
    assert found == [(distance, []) for distance in DISTANCES.values()]
    repaired = ["last_flight_date_repaired"]
    found = [(row["last_flight_date"], row["quality_flags"]) for row in rows[number : 2 * number]]
    assert found == [(day, repaired) for day in DISTANCES]
    assert [row["last_flight_date"] for row in rows[2 * number :]] == [None] * 3


def test_a_last_flight_is_as_delivered_repaired_or_lost(engine: Engine) -> None:
    literal, january = "2014/2/29  0:00:00", {"LOAD_TIME": "1/31/2014"}
    phantom, nothing, plain, lost, leap = flights(
        engine,
        member(1, LAST_FLIGHT_DATE=literal, LAST_TO_END="32"),
        member(2, LAST_FLIGHT_DATE="2/29/2014", LAST_TO_END=""),
        # A window before the phantom day has no extra day.
        member(3, **january, LAST_FLIGHT_DATE="1/1/2014", LAST_TO_END="31"),
        member(4, **january, LAST_FLIGHT_DATE="", LAST_TO_END="31"),
        # 2012 had its 29 February: it is a date like any other.
        member(5, **january, LAST_FLIGHT_DATE="2/29/2012", LAST_TO_END="703"),
    )
    assert phantom["last_flight_date"] == date(2014, 2, 28)
    assert phantom["quality_flags"] == ["last_flight_date_repaired"]
    assert phantom["raw_last_flight_date"] == literal
    # There is no delivered date to check LAST_TO_END against.
    assert phantom["expected_last_to_end"] is None
    assert (nothing["last_flight_date"], nothing["quality_flags"]) == (None, [])
    assert plain["expected_last_to_end"] == 31
    assert lost["last_flight_date"] == date(2014, 1, 1)
    assert leap["last_flight_date"] == date(2012, 2, 29)
    assert leap["expected_last_to_end"] == 703


def test_repair_and_check_are_inverse_on_every_day_of_three_years(engine: Engine) -> None:
    days = [WINDOW_END - timedelta(days=n) for n in range(1100)]
    seen = flights(engine, *[member(1, LAST_FLIGHT_DATE=us(day)) for day in days])
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


DAY = date(2024, 1, 17)
PURCHASES: Cases = {
    # Exact, and never guessed.
    "amount": (("amount",), {
        "2100": (Decimal("2100.00"),), 1250.5: (Decimal("1250.50"),), 0: (Decimal("0.00"),),
        "1e3": (Decimal("1000.00"),), "-5.25": (Decimal("-5.25"),), "1.005": (Decimal("1.01"),),
        "1.004": (Decimal("1.00"),), "2.675": (Decimal("2.68"),), " 7 ": (Decimal("7.00"),),
        **dict.fromkeys(["invalid", None, "", "1,000", "12 EUR", "NaN"], (None,)),
    }),
    "purchase_date": (("purchase_date",), {
        **dict.fromkeys(["2024-01-17", "01/17/2024", "2024/01/17", "1/17/2024", "2024-1-17",
                         "2024-01-17T00:00:00"], (DAY,)),
        "02/29/2024": (date(2024, 2, 29),),
        **dict.fromkeys(["2023-02-29", "13/01/2024", "2024-13-01", "2024/00/10", "", ".",
                         "17.01.2024", "20240117"], (None,)),
    }),
    "customer_id": (("customer_id",), {
        1001: (1001,), "1006": (1006,), "1006.0": (1006,), " 1006 ": (1006,),
        **dict.fromkeys(["invalid", None, "", "1006.5", "1e3", "10 06"], (None,)),
    }),
    "payment_method": (("payment_method", "quality_flags"), {
        **dict.fromkeys(["credit_card", "Credit Card", "CREDIT-CARD", "Credit  Card", "creditcard"],
                        ("credit_card", [])),
        "Debit Card": ("debit_card", []), "PayPal": ("paypal", []), " PAYPAL ": ("paypal", []),
        "wire transfer": ("wire_transfer", []), "WIRE_TRANSFER": ("wire_transfer", []),
        "Gift Voucher": ("gift_voucher", []), "cash": ("cash", []),
        **dict.fromkeys([".", None, "", "\u3000"], ("unknown", ["payment_method_unknown"])),
    }),
    "region": (("region", "quality_flags"), {
        "north": ("NORTH", []), " West ": ("WEST", []),
        **dict.fromkeys(["", ".", "UNKNOWN", None], ("Unknown", ["region_unknown"])),
    }),
    "status": (("status",), {
        "COMPLETED": ("completed",), " Pending": ("pending",), "": ("unknown",), None: ("unknown",),
    }),
    "email": (("email", "quality_flags"), {
        "JANE.SMITH@EXAMPLE.COM": ("jane.smith@example.com", []), " a@b.co ": ("a@b.co", []),
        "": (None, []), None: (None, []),
        **dict.fromkeys(["invalid-email", "a@b", "a b@c.org", "a@@b.org", "."],
                        (None, ["email_removed"])),
    }),
    "customer_name": (("customer_name",), {
        "Robert  Johnson": ("Robert Johnson",), "David   Martinez": ("David Martinez",),
        " Ann\tLee\u3000": ("Ann Lee",), "O'Neill": ("O'Neill",),
        **dict.fromkeys(["", ".", None], ("Unknown",)),
    }),
}  # fmt: skip


def test_each_field_of_a_purchase_is_typed_and_flagged(engine: Engine) -> None:
    def type_all(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [purchase(f"T{n}", **fields) for n, fields in enumerate(given)]
        return transactions(engine, *rows)

    assert typed_cases(PURCHASES, type_all) == PURCHASES


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
        found = flights(engine, *rows)
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
        found = transactions(engine, *rows)
    assert [row["_row_number"] for row in found] == list(range(1, len(rows) + 1))
    assert [row["raw_amount"] for row in found] == [row["amount"] for row in rows]
    for row in found:
        for name in ("customer_name", "status", "payment_method", "region"):
            assert row[name]
