"""A landing zone in which everything is delivered that engines may take differently.

It spans three months only, because what costs on Spark is the number of its runs. A file that is
refused as a whole fails its partition, and a run of several is then repeated in halves: such files
are in retail's customers, whose run has one partition.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakehouse_assets_tests.airline.samples import (
    MEMBER,
    PURCHASE,
    REPOSITORY,
    House,
    csv_text,
    member,
    members_of,
    purchase,
)
from lakehouse_assets_tests.engine import hostile

SAMPLE = REPOSITORY / "data" / "airline"
MEMBERS = 400
PURCHASES = 900

_TEXTS = ("GENDER", "WORK_CITY", "WORK_PROVINCE", "WORK_COUNTRY")
_CODES = ("AGE", "FFP_TIER", "LOAD_TIME")
_DATES = ("FFP_DATE", "FIRST_FLIGHT_DATE", "LAST_FLIGHT_DATE", "LOAD_TIME")
_BLANK = "\u3000"
# Numbers stay below 10^12 where a member is kept, so that sums over members fit their columns.
_LARGE = ("999999999999", "100000000000.00", "+00000000000042", "42.000")
_PLACES = (
    ".", "-", "--", "*", "?", "0", "", _BLANK, f"{_BLANK}beijing{_BLANK}", " guangzhou\t",
    "\ufeffshanghai", "SHENZHEN", "shenyangshi", "guangdongsheng", "\u0130stanbul", "stra\u00dfe",
    "\u039f\u0394\u039f\u03a3", "cn", "CN ", "C1", "\uff23\uff2e", "\u4e2d\u56fd", "US", "null",
    "\u200b", "O'Neill", "a\u00a0b", "\U00010400", "e\u0301", "\u00e9",
)  # fmt: skip


def deliver_everything(house: House, real: Path | None = None) -> None:
    """Fill a landing zone.

    Args:
        house: Whose landing zone.
        real: Folder of the real files, if there is one.
    """
    rng = random.Random(11)  # noqa: S311 - nothing is kept secret with it
    _deliver_sample(house)
    _deliver_members(house, rng)
    _deliver_purchases(house, rng)
    if real is not None:
        name = "customer_transactions.json"
        house.deliver("transactions", "2014-03-31", f"real-{name}", (real / name).read_bytes())
        rows = _telling(members_of(real / "flight.csv"))
        house.deliver_members("2014-03-31", rows, "real-flight.csv")


def _telling(members: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return every member that says or writes something as none before, and every eighth other.

    Those are a fifth of them. What all of them give, on one engine, is in `test_real_data.py`.
    """
    seen: set[tuple[str, str | int]] = set()
    found = []
    for number, row in enumerate(members):
        said: set[tuple[str, str | int]] = {(name, row[name]) for name in (*_TEXTS, *_CODES)}
        # Of dates and figures, how they are written: the rest is arithmetic.
        said |= {(name, re.sub(r"\d+", "0", text)) for name, text in row.items()}
        said |= {(name, len(text)) for name, text in row.items()}
        if said - seen or number % 8 == 0:
            found.append(row)
        seen |= said
    return found


def _deliver_sample(house: House) -> None:
    """Deliver the sample's January as it is."""
    for file in sorted(SAMPLE.glob("*/2014-01-*/*")):
        house.deliver(file.parts[-3], file.parts[-2], f"sample-{file.name}", file.read_bytes())


def _deliver_members(house: House, rng: random.Random) -> None:
    plain = _usual_members()
    # January, beside the sample: lines that are whole records, which every engine reads natively.
    january = [_bent(row, rng, lines=False) for row in plain] + _odd_members(1_000)
    house.deliver_members("2014-01-31", january)
    # February: purchases alone. A month whose members are all lost is refused before it differs.
    # March: two snapshots of one month, ties within a file, and files of every make.
    house.deliver_members("2014-03-15", plain[:50] + [_bent(r, rng) for r in plain[50:120]])
    march = [_bent(row, rng) for row in plain] + _odd_members(2_000)
    march += [dict(row, AGE=str(20 + n)) for n, row in enumerate(plain[:40])]
    rng.shuffle(march)
    house.deliver_members("2014-03-31", march)
    packed = csv_text(list(MEMBER), [member(5_000 + n, GENDER="female") for n in range(5)])
    data = gzip.compress(packed.replace("\n", "\r\n").encode("utf-8-sig"), mtime=0)
    house.deliver("flights", "2014-03-31", "packed.csv.gz", data)
    house.deliver("flights", "2014-03-31", "torn.csv", _torn_csv())


def _usual_members() -> list[dict[str, Any]]:
    """Return members of the sample, once each, whose clusters are well apart."""
    found = {
        row["MEMBER_NO"]: row
        for row in members_of(SAMPLE / "flights" / "2014-03-31" / "flight.csv")
        if row["MEMBER_NO"].isdigit() and row["Point_NotFlight"]
    }
    return [dict(row) for row in found.values()][:MEMBERS]


def _bent(row: dict[str, Any], rng: random.Random, *, lines: bool = True) -> dict[str, Any]:
    """Replace some fields by hostile values; half of the rows stay as they are."""
    row = dict(row)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        name = rng.choice(list(MEMBER))
        row[name] = _hostile_field(name, rng, lines)
    return row


def _hostile_field(name: str, rng: random.Random, lines: bool) -> str | None:
    if name in _TEXTS:
        value = rng.choice([rng.choice(_PLACES), rng.choice(_STRINGS)])
    elif name in _DATES:
        value = rng.choice(_DAYS)
    elif name == "MEMBER_NO":
        # Numbers of nobody else, or none: what becomes a member twice is delivered on purpose.
        value = rng.choice(["", _BLANK, "1e3", "12abc", "1.5", "9223372036854775808", "NaN"])
    else:
        value = rng.choice([rng.choice(_LARGE), rng.choice(_NUMBERS)])
    if not lines and value is not None:
        value = value.replace("\n", " ").replace("\r", " ")
    return value


def _small_enough(value: str | None) -> bool:
    """Say whether a number as text, if it is one, may stand in many rows that are summed."""
    digits = (value or "").strip().partition(".")[0].lstrip("+-").lower()
    return "e" not in (value or "").lower() and len(digits) <= 12


_STRINGS = hostile.texts()
_DAYS = hostile.dates_as_text()
_ALL_NUMBERS = hostile.numbers_as_text()
_NUMBERS = [value for value in _ALL_NUMBERS if _small_enough(value)]


def _odd_members(first: int) -> list[dict[str, Any]]:
    """Return members each of whom is odd in a way of its own."""
    changes: list[dict[str, Any]] = [
        {"LAST_FLIGHT_DATE": "2014/2/29  0:00:00", "LAST_TO_END": "32"},
        {"LAST_FLIGHT_DATE": "2/29/2014", "LAST_TO_END": "32"},
        {"LAST_FLIGHT_DATE": "2/28/2014", "LAST_TO_END": "33"},
        {"LAST_FLIGHT_DATE": "3/1/2014", "LAST_TO_END": "31"},
        {"LAST_FLIGHT_DATE": "", "LAST_TO_END": "1"},
        {"LAST_FLIGHT_DATE": "", "LAST_TO_END": "40000"},
        {"LAST_FLIGHT_DATE": "", "LAST_TO_END": "999999999999999999"},
        {"LAST_FLIGHT_DATE": "", "LAST_TO_END": "2147483648"},
        {"LAST_FLIGHT_DATE": "2/29/1900", "LAST_TO_END": "2147483647"},
        {"LAST_FLIGHT_DATE": "12/31/2099", "LAST_TO_END": "-5"},
        {"FFP_DATE": "2/29/2012"}, {"FFP_DATE": "1/1/1900"}, {"FFP_DATE": "12/31/1899"},
        {"FIRST_FLIGHT_DATE": "12/31/1913"}, {"FIRST_FLIGHT_DATE": "3/9/2015"},
        {"AGE": "11"}, {"AGE": "12"}, {"AGE": "100"}, {"AGE": "101"}, {"AGE": "."},
        {"AGE": _BLANK}, {"AGE": "17"}, {"AGE": "18"}, {"AGE": "29"}, {"AGE": "60.0"},
        {"AGE": "999999999999999999"},
        {"FFP_TIER": "2147483647"}, {"FFP_TIER": "2147483648"}, {"FFP_TIER": "-2147483648"},
        {"FFP_TIER": "999999999999999999"}, {"FFP_TIER": "0"}, {"FFP_TIER": "7"},
        {"SUM_YR_1": "9999999999999999.99", "SUM_YR_2": "-9999999999999999.99"},
        {"SUM_YR_1": "9999999999999999.995"}, {"SUM_YR_1": "1e15"}, {"SUM_YR_1": "5e-3"},
        {"SUM_YR_1": ".005", "SUM_YR_2": "-.005"}, {"SUM_YR_1": "", "SUM_YR_2": ""},
        {"avg_discount": "1e-320"}, {"avg_discount": "-0"}, {"avg_discount": "1e99"},
        {"avg_discount": "0.1234567890123456789"}, {"AVG_INTERVAL": "18.000000000000001"},
        {"AVG_INTERVAL": "9007199254740993"}, {"AVG_INTERVAL": "123456789012345678.9"},
        {"BP_SUM": "999999999999999999"}, {"BP_SUM": ""}, {"BP_SUM": "-1"},
        {"FLIGHT_COUNT": "0", "Points_Sum": "0", "SEG_KM_SUM": "0"},
        {"FLIGHT_COUNT": "5"}, {"FLIGHT_COUNT": "10"}, {"Points_Sum": "4999"},
        {"GENDER": "MALE "}, {"GENDER": "female"}, {"GENDER": "\ufeffMale"}, {"GENDER": "?"},
        {"GENDER": "MALE\u0130"}, {"WORK_COUNTRY": "c\u0131"}, {"WORK_COUNTRY": "\u017fg"},
        *({"WORK_CITY": place, "WORK_PROVINCE": place, "WORK_COUNTRY": place}
          for place in _PLACES),
    ]  # fmt: skip
    return [member(first + n, **change) for n, change in enumerate(changes)]


def _torn_csv() -> str:
    """Write quoted line breaks, lines of other widths and quotes out of order."""
    head = ",".join(MEMBER)
    usual = list(member(6_000).values())

    def line(number: int, **changes: str) -> str:
        values = dict(zip(MEMBER, usual, strict=True)) | {"MEMBER_NO": str(number)} | changes
        return ",".join(values.values())

    return "\n".join(
        [
            head,
            line(6_001),
            line(6_002, WORK_CITY='"two\nlines"'),
            "6003,too,short",
            line(6_004) + ",too,long",
            line(6_005, WORK_CITY='"a ""quoted"" city, with a comma"'),
            "",
            line(6_006, WORK_CITY='"never closed'),
            line(6_007, WORK_CITY='in"side'),
            line(6_008) + ",,",
            line(6_009, WORK_CITY='"three\n\n\nlines"'),
            line(6_010, WORK_CITY=' "a blank before"'),
            line(6_011, WORK_CITY="return\rwithin"),
            line(6_012) + "\r",
        ]
    )


def _deliver_purchases(house: House, rng: random.Random) -> None:
    usual = [row["MEMBER_NO"] for row in _usual_members()]
    made = [_bent_purchase(f"H{n}", rng, usual) for n in range(PURCHASES)]
    days = ("2014-01-02", "2014-01-31", "2014-02-03", "2014-02-28", "2014-03-01", "2014-03-31")
    share = PURCHASES // len(days)
    parts = [made[n * share : (n + 1) * share] for n in range(len(days))]
    # What comes twice: within a file, in another file of the day, on a later day, and otherwise.
    for n in range(1, len(parts)):
        parts[n] += [dict(row, amount="1.00") for row in rng.sample(parts[n - 1], 20)]
        parts[n] += [dict(row) for row in rng.sample(parts[n], 10)]
    house.deliver_purchases(days[0], parts[0])
    house.deliver_purchases(days[1], parts[1], "lines.jsonl")
    house.deliver_purchases(days[1], parts[1][:15], "again.json")
    house.deliver_purchases(days[2], parts[2], "packed.jsonl.gz")
    house.deliver_purchases(days[3], _as_text(parts[3]), "text.csv")
    house.deliver_purchases(days[4], _odd_purchases(usual))
    house.deliver_purchases(days[5], parts[4] + parts[5], "packed.json.gz")
    house.deliver("transactions", days[5], "torn.jsonl", _torn_lines())
    house.deliver("transactions", days[5], "torn.json", _torn_array())
    # A day without a row that is kept, and one all of whose ids were delivered before.
    house.deliver("transactions", "2014-03-20", "rejected.jsonl", "[]\n7\n")
    house.deliver_purchases("2014-03-21", [dict(row) for row in rng.sample(parts[0], 30)])


_AMOUNTS = (
    "invalid", None, "", "12.345", "-0.005", "0.005", "1,250.50", "$5", "1e3", "NaN", "+7.125",
    " 42 ", _BLANK + "42", "42" + _BLANK, "999999999999.99", "-999999999999.99", "0", "-0.00",
)  # fmt: skip


def _bent_purchase(name: str, rng: random.Random, members: Sequence[str]) -> dict[str, Any]:
    row = purchase(
        name,
        customer_id=rng.choice(members),
        amount=rng.randrange(10**6) / 100,
        purchase_date=f"{rng.randrange(2012, 2015)}-{rng.randrange(1, 13)}-{rng.randrange(1, 29)}",
        status=rng.choice(["completed", "Completed", " PENDING ", "refunded", "odd", "", None]),
        region=rng.choice(["North", "sOUTH", "", None, _BLANK, "stra\u00dfe", "\u0131\u0130"]),
    )
    for _ in range(rng.choice([0, 0, 1, 2])):
        field = rng.choice(list(PURCHASE)[1:])
        if field == "amount":
            row[field] = rng.choice([rng.choice(_AMOUNTS), rng.choice(_NUMBERS)])
        elif field == "purchase_date":
            row[field] = rng.choice(_DAYS)
        elif field == "customer_id":
            row[field] = rng.choice(["invalid", None, "", "7.0", "1e3", rng.choice(_NUMBERS)])
        else:
            row[field] = rng.choice(_STRINGS)
    return row


def _as_text(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as CSV can hold them: a line break in a file of lines is another test."""
    return [
        {k: v.replace("\n", " ").replace("\r", " ") if isinstance(v, str) else v
         for k, v in row.items()}
        for row in rows
    ]  # fmt: skip


def _odd_purchases(members: Sequence[str]) -> list[dict[str, Any]]:
    """Return purchases each of which is odd in a way of its own."""
    changes: list[dict[str, Any]] = [
        {"customer_id": 9223372036854775807}, {"customer_id": 9223372036854775808},
        {"customer_id": 10**30}, {"customer_id": "99999999999999999999"},
        {"customer_id": 999999999999999999}, {"customer_id": -7}, {"customer_id": 7.0},
        {"customer_id": 7.5}, {"customer_id": True}, {"customer_id": None},
        {"customer_id": members[0], "amount": "9999999999999999.99", "status": "pending"},
        {"customer_id": members[0], "amount": "9999999999999999.995", "status": "pending"},
        {"customer_id": members[1], "amount": "4503599627370497.55"},
        {"customer_id": members[2], "amount": "90071992547409.93"},
        {"customer_id": members[3], "amount": "-4503599627370497.55"},
        {"customer_id": members[4], "amount": 1e-7}, {"customer_id": members[5], "amount": 1e15},
        {"customer_id": members[6], "amount": True}, {"customer_id": members[7], "amount": False},
        {"customer_id": 424242, "amount": "2.675"}, {"customer_id": 424242, "amount": "1.005"},
        {"purchase_date": "02/29/2012"}, {"purchase_date": "02/29/2014"},
        {"purchase_date": "2014/2/28"}, {"purchase_date": "2100-01-01"},
        {"purchase_date": "1899-12-31"}, {"purchase_date": "31/12/2013"},
        {"email": "A.B@EXAMPLE.ORG"}, {"email": "a b@example.org"}, {"email": "a@b"},
        {"email": "a@b.c\n"}, {"email": "\u0130@b.org"}, {"email": "a@b.org\u2028"},
        {"email": "a\u00a0b@c.org"}, {"email": "x@y.z\u3000"},
        {"payment_method": "Credit Card"}, {"payment_method": "credit\ncard"},
        {"payment_method": "CREDIT--CARD"}, {"payment_method": "creditcard"},
        {"payment_method": "my PayPal account"}, {"payment_method": "wire\u2028transfer"},
        {"payment_method": "debit\u0085card"}, {"payment_method": "debit\rcard"},
        {"payment_method": _BLANK}, {"payment_method": "\u212areditkarte"},
        {"customer_name": "two  blanks"}, {"customer_name": "tab\tand\nline"},
        {"customer_name": "\u3000wide\u3000blank\u3000"}, {"customer_name": "\x0bvt\x0b"},
        {"status": "\u0130"}, {"status": "COMPLETED\u3000"}, {"region": "\ufb01sh"},
        {"region": "\u01c4"}, {"transaction_id": " T-blank "}, {"transaction_id": "T-blank"},
        {"transaction_id": ""}, {"transaction_id": _BLANK}, {"transaction_id": None},
        {"transaction_id": "t-CASE"}, {"transaction_id": "T-case"}, {"transaction_id": "e\u0301"},
        {"transaction_id": "\u00e9"}, {"transaction_id": "\U00010400"},
        {"transaction_id": "\ufb01"}, {"transaction_id": 42}, {"transaction_id": "42.0"},
    ]  # fmt: skip
    return [{**purchase(f"O{n}"), **change} for n, change in enumerate(changes)]


def _torn_lines() -> str:
    """Write JSON lines that are no objects, are cut off, or say a thing twice."""
    good = json.dumps(purchase("J1", customer_name="line\nbreak"))
    return "\n".join(
        [
            good, "", "[1, 2]", '"text"', "null", '{"transaction_id": "J2"', good[:-20],
            '{"transaction_id": "J3", "transaction_id": "J4"}', '{"other": 1}',
            '{"transaction_id": "J5", "amount": NaN}', '{"transaction_id": "J6", "amount": [1]}',
            '{"transaction_id": "\\ud800"}', json.dumps(purchase("J7")) + "\r", " ",
            '{"transaction_id": "J8"}', "{}",
        ]
    )  # fmt: skip


def _torn_array() -> str:
    """Write an array with broken elements that ends too early."""
    rows = [json.dumps(purchase(f"A{n}"), indent=1) for n in range(4)]
    return f"[{rows[0]},\n{rows[1][:-30]},\n{rows[2]}, 7, {rows[3]}"
