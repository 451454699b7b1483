"""The generator keeps its promises: equal bytes, the source's identities, counted defects.

Everything is read back with csv,
gzip and json only, independently of the generator and of the pipeline.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lakehouse_assets.sample.airline import generate
from lakehouse_assets.sample.airline.__main__ import main
from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.airline.profile import (
    FLIGHT_COLUMNS,
    IMPOSSIBLE_LAST_FLIGHT,
    NON_NUMERIC_MEMBER_NO,
    TRANSACTION_COLUMNS,
)

Array = NDArray[Any]

SPEC_HEADER = (
    "MEMBER_NO,FFP_DATE,FIRST_FLIGHT_DATE,GENDER,FFP_TIER,WORK_CITY,WORK_PROVINCE,WORK_COUNTRY,"
    "AGE,LOAD_TIME,FLIGHT_COUNT,BP_SUM,SUM_YR_1,SUM_YR_2,SEG_KM_SUM,LAST_FLIGHT_DATE,LAST_TO_END,"
    "AVG_INTERVAL,MAX_INTERVAL,EXCHANGE_COUNT,avg_discount,Points_Sum,Point_NotFlight"
)
DEFECTS = (
    "duplicate_member_rows", "empty_member_numbers", "non_numeric_member_numbers", "short_lines",
    "long_lines", "null_customers", "invalid_customers", "unknown_customers", "null_amounts",
    "invalid_amounts", "empty_dates", "impossible_dates", "duplicate_records", "redelivered",
    "malformed_json_lines", "non_object_elements",
)  # fmt: skip


@dataclass(frozen=True)
class Landing:
    """A generated landing zone and what its generator claims about it."""

    root: Path
    counts: Counter[str]

    def snapshot_lines(self) -> Iterator[tuple[date, list[list[str]]]]:
        """Window end and all lines below the header, as fields, per flight file."""
        for path in sorted(self.root.glob("airline/flights/*/flight.csv")):
            with path.open(encoding="utf-8", newline="") as stream:
                header, *lines = csv.reader(stream)
            assert header == list(FLIGHT_COLUMNS)
            yield date.fromisoformat(path.parent.name), lines

    def snapshots(self) -> Iterator[tuple[date, list[dict[str, str]]]]:
        """Window end and the rows with 23 fields per flight file, defects included."""
        for window_end, lines in self.snapshot_lines():
            whole = [line for line in lines if len(line) == len(FLIGHT_COLUMNS)]
            yield window_end, [dict(zip(FLIGHT_COLUMNS, line, strict=True)) for line in whole]

    @cached_property
    def members(self) -> list[dict[int, dict[str, str]]]:
        """Per snapshot the first row of every numbered member."""
        found = []
        for _, rows in self.snapshots():
            numbered: dict[int, dict[str, str]] = {}
            for row in rows:
                if row["MEMBER_NO"].isdigit():
                    numbered.setdefault(int(row["MEMBER_NO"]), row)
            found.append(numbered)
        return found

    @cached_property
    def deliveries(self) -> list[Path]:
        """Transaction files by delivery day."""
        return sorted(self.root.glob("airline/transactions/*/*"))

    @cached_property
    def records(self) -> tuple[list[tuple[date, dict[str, Any]]], Counter[str]]:
        """Delivery day and record of all readable transactions; counts of everything else."""
        records: list[tuple[date, dict[str, Any]]] = []
        other: Counter[str] = Counter()
        for path in self.deliveries:
            day = date.fromisoformat(path.parent.name)
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            other["bom_files"] += data.startswith(b"\xef\xbb\xbf")
            text = data.decode("utf-8-sig")
            found: list[Any] = []
            if path.suffix == ".csv":
                found = list(csv.DictReader(text.splitlines()))
            elif path.suffix == ".json":
                found = json.loads(text)
            else:
                for line in text.splitlines():
                    try:
                        found.append(json.loads(line))
                    except json.JSONDecodeError:
                        other["malformed_json_lines"] += 1
            records += [(day, record) for record in found if isinstance(record, dict)]
            other["non_object_elements"] += sum(not isinstance(record, dict) for record in found)
        return records, other


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def us_date(text: str) -> date:
    month, day, year = map(int, text.split("/"))
    return date(year, month, day)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    root = tmp_path_factory.mktemp("sample")
    return Landing(root, generate(root, GeneratorConfig()))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    """Enough members for tight tolerances, CSV only."""
    root = tmp_path_factory.mktemp("large")
    config = GeneratorConfig(
        members=8_000, transactions=12_000, transaction_format="csv", delivery_days="all"
    )
    return Landing(root, generate(root, config))


# --- determinism and layout -----------------------------------------------------------------


def test_equal_configurations_give_equal_bytes(sample: Landing, tmp_path: Path) -> None:
    assert generate(tmp_path, GeneratorConfig()) == sample.counts
    assert contents(tmp_path) == contents(sample.root)


def test_another_seed_gives_other_files(sample: Landing, tmp_path: Path) -> None:
    generate(tmp_path, GeneratorConfig(seed=7))
    ours, theirs = contents(tmp_path), contents(sample.root)
    assert ours.keys() == theirs.keys()
    assert all(ours[name] != theirs[name] for name in ours)


def test_flights_do_not_depend_on_the_transactions(sample: Landing, tmp_path: Path) -> None:
    generate(tmp_path, GeneratorConfig(transactions=600, transaction_format="csv"))
    assert contents(tmp_path / "airline" / "flights") == contents(
        sample.root / "airline" / "flights"
    )


def test_the_sample_is_small_and_laid_out_by_delivery_day(sample: Landing) -> None:
    files = contents(sample.root)
    assert sum(map(len, files.values())) < 1_200_000
    snapshots = [window_end for window_end, _ in sample.snapshot_lines()]
    assert snapshots == [date(2014, 1, 31), date(2014, 2, 28), date(2014, 3, 31)]
    days = [date.fromisoformat(path.parent.name) for path in sample.deliveries]
    quarter = [date(2014, 1, 1) + timedelta(days=i) for i in range(90)]
    assert days == [day for day in quarter if day.weekday() < 5]
    suffixes = Counter("".join(path.suffixes) for path in sample.deliveries)
    assert suffixes.keys() == {".json", ".jsonl", ".jsonl.gz", ".csv"}
    assert suffixes[".json"] > sum(suffixes.values()) / 2
    assert ",".join(FLIGHT_COLUMNS) == SPEC_HEADER


def test_a_used_landing_zone_is_refused(sample: Landing) -> None:
    with pytest.raises(FileExistsError, match="not empty"):
        generate(sample.root, GeneratorConfig(months=1))


@pytest.mark.parametrize(
    "wrong",
    [{"first_month": date(2014, 1, 2)}, {"months": 0}, {"members": 99}, {"transactions": 499}],
)
def test_senseless_configurations_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(GeneratorConfig(), **wrong)


# --- identities of the flight snapshots -----------------------------------------------------


@pytest.mark.parametrize("landing", ["sample", "large"])
def test_last_to_end_follows_the_identity_of_the_source(
    landing: str, request: pytest.FixtureRequest
) -> None:
    zone: Landing = request.getfixturevalue(landing)
    for window_end, rows in zone.snapshots():
        for row in rows:
            days = int(row["LAST_TO_END"])
            assert 1 <= days <= 731
            if row["LAST_FLIGHT_DATE"] == IMPOSSIBLE_LAST_FLIGHT:
                assert window_end == date(2014, 3, 31)
                assert days == 32
                continue
            last = us_date(row["LAST_FLIGHT_DATE"])
            phantom_day = last <= date(2014, 2, 28) and window_end >= date(2014, 3, 1)
            assert days == (window_end - last).days + 1 + phantom_day


def test_the_impossible_date_stays_until_the_member_flies_again(tmp_path: Path) -> None:
    config = GeneratorConfig(months=5, transactions=500)
    generated = Landing(tmp_path, generate(tmp_path, config))
    holders = []
    for window_end, rows in generated.snapshots():
        held = [row for row in rows if row["LAST_FLIGHT_DATE"] == IMPOSSIBLE_LAST_FLIGHT]
        days = (window_end - date(2014, 3, 1)).days + 2
        assert {int(row["LAST_TO_END"]) for row in held} <= {days}
        holders.append({row["MEMBER_NO"] for row in held if row["MEMBER_NO"].isdigit()})
    january, february, march, april, may = holders
    assert january == february == set()
    assert len(march) == round(0.006 * 1518)
    assert may <= april < march


def test_members_persist_and_their_totals_never_shrink(large: Landing) -> None:
    months = large.members
    assert [len(month) for month in months] == [8_032, 8_064, 8_096]
    assert set(months[-1]) == set(range(1, 8_097))
    for earlier, later in itertools.pairwise(months):
        for number, old in earlier.items():
            new = later[number]
            for fixed in ("FFP_DATE", "FIRST_FLIGHT_DATE", "GENDER", "WORK_CITY", "AGE"):
                assert new[fixed] == old[fixed]
            for total in ("FLIGHT_COUNT", "SEG_KM_SUM", "BP_SUM", "Points_Sum", "MAX_INTERVAL"):
                assert int(new[total]) >= int(old[total])
    grown = sum(
        int(months[2][number]["FLIGHT_COUNT"]) > int(row["FLIGHT_COUNT"])
        for number, row in months[0].items()
    )
    assert 0.2 < grown / len(months[0]) < 0.6


def test_dates_and_intervals_are_consistent(large: Landing) -> None:
    early = late = 0
    for row in large.members[-1].values():
        assert float(row["AVG_INTERVAL"]) <= int(row["MAX_INTERVAL"]) <= 728
        joined, first = us_date(row["FFP_DATE"]), us_date(row["FIRST_FLIGHT_DATE"])
        early += first.year == 1905
        late += first > date(2014, 3, 31)
        if row["LAST_FLIGHT_DATE"] != IMPOSSIBLE_LAST_FLIGHT:
            last = us_date(row["LAST_FLIGHT_DATE"])
            assert joined <= last <= date(2014, 3, 31)
            assert first.year == 1905 or first > date(2014, 3, 31) or joined <= first <= last
    assert (early, late) == (1, 2)


# --- marginals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "mean", "quartiles"),
    [
        ("FLIGHT_COUNT", 11.84, (3, 7, 15)),
        ("SEG_KM_SUM", 17_124, (4_747, 9_994, 21_271)),
        ("BP_SUM", 10_925, (2_518, 5_700, 12_831)),
        ("Points_Sum", 12_546, (2_775, 6_328, 14_302)),
        ("LAST_TO_END", 176, (29, 108, 268)),
        ("AVG_INTERVAL", 67.7, (23.4, 44.7, 82)),
        ("MAX_INTERVAL", 166, (79, 143, 228)),
        ("AGE", 42.48, (35, 41, 48)),
    ],
)
def test_numbers_have_the_published_distribution(
    large: Landing, column: str, mean: float, quartiles: tuple[float, float, float]
) -> None:
    values = np.array(
        [float(row[column]) for row in large.members[-1].values() if row[column] != ""]
    )
    assert values.mean() == pytest.approx(mean, rel=0.12)
    # Three simulated months lie between the calibrated opening and this snapshot.
    assert np.quantile(values, (0.25, 0.5, 0.75)) == pytest.approx(quartiles, rel=0.15)


def test_categories_have_the_published_shares(large: Landing) -> None:
    rows = list(large.members[-1].values())

    def share(column: str, *values: str) -> float:
        return sum(row[column] in values for row in rows) / len(rows)

    assert share("GENDER", "Male") == pytest.approx(48_134 / 62_988, abs=0.02)
    assert {row["FFP_TIER"] for row in rows} == {"4", "5", "6"}
    assert np.mean([int(row["FFP_TIER"]) for row in rows]) == pytest.approx(4.102, abs=0.01)
    for city, members in (("guangzhou", 9_386), ("beijing", 7_845), ("shanghai", 5_001)):
        assert share("WORK_CITY", city) == pytest.approx(members / 62_988, abs=0.01)
    assert share("WORK_PROVINCE", "guangdong") == pytest.approx(17_509 / 62_988, abs=0.02)
    assert share("WORK_COUNTRY", "CN") == pytest.approx(57_748 / 62_988, abs=0.01)
    assert share("WORK_CITY", "") == pytest.approx(2_269 / 62_988, abs=0.003)
    assert share("WORK_PROVINCE", "") == pytest.approx(3_248 / 62_988, abs=0.003)
    assert share("AGE", "") == pytest.approx(420 / 62_988, abs=0.002)
    with_gap = sum("" in row.values() for row in rows) / len(rows)
    assert with_gap == pytest.approx(0.075, abs=0.01)
    free = sum({row["SUM_YR_1"], row["SUM_YR_2"]} <= {"", "0"} for row in rows) / len(rows)
    assert free == pytest.approx(0.03, abs=0.003)


def test_every_kind_of_dirt_is_in_the_small_sample(sample: Landing) -> None:
    rows = sample.members[-1].values()
    cities, provinces = ({row[c] for row in rows} for c in ("WORK_CITY", "WORK_PROVINCE"))
    assert {"", ".", "-", "0", "*", "?", "--", "\u3000", "guangzhoushi"} <= cities
    assert {"", ".", "-", "0", "*", "?", "\u3000", "guangdongsheng", "beijingshi"} <= provinces
    assert {"", "cn", "中", "CN", "HK"} <= {row["WORK_COUNTRY"] for row in rows}
    assert {"", "6", "110"} <= {row["AGE"] for row in rows}
    assert {"Male", "Female", ""} == {row["GENDER"] for row in rows}
    records = [record for _, record in sample.records[0]]
    assert {"completed", "COMPLETED", "pending", "PENDING"} <= {r["status"] for r in records}
    methods, regions = ({r[c] for r in records} for c in ("payment_method", "region"))
    assert {None, "", ".", "Credit  Card", "CREDIT_CARD"} <= methods
    assert {None, "", "NORTH", "north", "  North"} <= regions
    emails = {r["email"] for r in records}
    assert {"", "invalid-email"} <= emails
    reserved = re.compile(r"[a-z]+\.[a-z]+@example\.(com|org|net)", re.IGNORECASE)
    assert all(reserved.fullmatch(mail) for mail in emails - {"", "invalid-email"})
    assert {type(r["customer_id"]) for r in records} == {int, str, type(None)}
    assert {type(r["amount"]) for r in records} == {float, str, type(None)}


# --- defects --------------------------------------------------------------------------------


def counted_flights(zone: Landing) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, lines in zone.snapshot_lines():
        found["snapshots"] += 1
        lengths = [len(line) for line in lines]
        found["short_lines"] += sum(length < 23 for length in lengths)
        found["long_lines"] += sum(length > 23 for length in lengths)
    for _, rows in zone.snapshots():
        numbers = Counter(row["MEMBER_NO"] for row in rows)
        found["flight_rows"] += len(rows)
        found["empty_member_numbers"] += numbers.pop("", 0)
        found["non_numeric_member_numbers"] += numbers.pop(NON_NUMERIC_MEMBER_NO, 0)
        found["duplicate_member_rows"] += sum(numbers.values()) - len(numbers)
        found["impossible_last_flights"] += sum(
            row["LAST_FLIGHT_DATE"] == IMPOSSIBLE_LAST_FLIGHT for row in rows
        )
    found["members"] = len(zone.members[-1])
    return found


def counted_transactions(zone: Landing) -> Counter[str]:
    records, found = zone.records
    found["deliveries"] = len(zone.deliveries)
    found["transaction_records"] = len(records)
    first: dict[str, tuple[date, dict[str, Any]]] = {}
    for day, record in records:
        assert tuple(record) == TRANSACTION_COLUMNS
        number = record["transaction_id"]
        if number not in first:
            first[number] = (day, record)
        elif first[number][0] == day:
            found["duplicate_records"] += record == first[number][1]
        else:
            found["redelivered"] += 1
    found["transactions"] = len(first)
    members = set(zone.members[-1])
    for _, record in first.values():
        customer, amount = record["customer_id"], record["amount"]
        found["null_customers"] += customer in (None, "")
        found["invalid_customers"] += customer == "invalid"
        found["unknown_customers"] += (
            customer not in (None, "", "invalid") and int(customer) not in members
        )
        found["null_amounts"] += amount in (None, "")
        found["invalid_amounts"] += amount == "invalid"
        found["empty_dates"] += record["purchase_date"] == ""
        found["impossible_dates"] += record["purchase_date"] == "2014-02-30"
    return found


@pytest.mark.parametrize("landing", ["sample", "large"])
def test_counts_equal_what_an_independent_reader_finds(
    landing: str, request: pytest.FixtureRequest
) -> None:
    zone: Landing = request.getfixturevalue(landing)
    found = counted_flights(zone) + counted_transactions(zone)
    assert found == zone.counts


def test_every_defect_is_in_the_small_sample(sample: Landing) -> None:
    assert all(sample.counts[name] > 0 for name in DEFECTS)


def test_without_defects_only_dirt_is_left(tmp_path: Path) -> None:
    counts = generate(tmp_path, GeneratorConfig(defects=False))
    assert {name: counts[name] for name in DEFECTS} == dict.fromkeys(DEFECTS, 0)
    clean = Landing(tmp_path, counts)
    found = counted_flights(clean) + counted_transactions(clean)
    assert {name: found[name] for name in DEFECTS} == dict.fromkeys(DEFECTS, 0)
    assert found["transaction_records"] == counts["transactions"] == 2_100
    assert found["impossible_last_flights"] == counts["impossible_last_flights"] > 0


# --- transactions ---------------------------------------------------------------------------


def test_transactions_run_in_delivery_order_and_arrive_within_days(sample: Landing) -> None:
    seen: set[str] = set()
    order: list[str] = []
    patterns = {
        r"\d{4}-\d\d-\d\d": ("-", (0, 1, 2)),
        r"\d\d/\d\d/\d{4}": ("/", (2, 0, 1)),
        r"\d{4}/\d\d/\d\d": ("/", (0, 1, 2)),
    }
    formats: Counter[str] = Counter()
    for day, record in sample.records[0]:
        if record["transaction_id"] in seen:
            continue
        seen.add(record["transaction_id"])
        order.append(record["transaction_id"])
        text = record["purchase_date"]
        if text in ("", "2014-02-30"):
            continue
        pattern = next(p for p in patterns if re.fullmatch(p, text))
        formats[pattern] += 1
        separator, positions = patterns[pattern]
        parts = text.split(separator)
        bought = date(*(int(parts[position]) for position in positions))
        assert 0 <= (day - bought).days <= 3
    assert order == [f"TXN{number:09d}" for number in range(1, 2_101)]
    assert formats.keys() == patterns.keys()


def test_heavier_flyers_buy_more_often(large: Landing) -> None:
    months = large.members
    bought: Counter[int] = Counter()
    for day, record in large.records[0]:
        if record["customer_id"] in ("", "invalid") or int(record["customer_id"]) > 8_096:
            continue
        bought[int(record["customer_id"])] += 1
        # Nobody buys before a snapshot could have listed them.
        assert us_date(months[-1][int(record["customer_id"])]["FFP_DATE"]) < day
    flights = {number: int(row["FLIGHT_COUNT"]) for number, row in months[-1].items()}
    often = [bought[number] for number, count in flights.items() if count >= 20]
    seldom = [bought[number] for number, count in flights.items() if count < 5]
    assert np.mean(often) > 1.8 * np.mean(seldom)


def test_about_two_thirds_of_the_sample_members_buy(sample: Landing) -> None:
    members = sample.members[-1]
    buyers = {str(record["customer_id"]) for _, record in sample.records[0]}
    assert len(buyers & set(map(str, members))) / len(members) == pytest.approx(0.7, abs=0.04)


def test_amounts_have_two_decimals_and_a_sensible_size(large: Landing) -> None:
    texts = [record["amount"] for _, record in large.records[0]]
    sound = [text for text in texts if text not in ("", "invalid")]
    assert all(re.fullmatch(r"\d+\.\d\d", text) for text in sound)
    low, middle, high = np.quantile([float(text) for text in sound], (0.05, 0.5, 0.95))
    assert 200 < low < 500 < middle < 1_200 < high < 4_000


# --- scale and command line -----------------------------------------------------------------


def test_sizes_are_honoured(tmp_path: Path) -> None:
    config = GeneratorConfig(
        first_month=date(2013, 11, 1),
        months=4,
        members=500,
        transactions=5_000,
        transaction_format="csv",
        delivery_days="all",
    )
    zone = Landing(tmp_path, generate(tmp_path, config))
    assert [len(month) for month in zone.members] == [502, 504, 506, 508]
    assert zone.counts["members"] == 508
    days = [date.fromisoformat(path.parent.name) for path in zone.deliveries]
    assert days == [date(2013, 11, 1) + timedelta(days=i) for i in range(120)]
    assert {path.name for path in zone.deliveries} == {"transactions.csv"}
    assert len({record["transaction_id"] for _, record in zone.records[0]}) == 5_000


def test_the_command_line_writes_what_the_configuration_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--members 200 --months 1 --transactions 600 --seed 3 --format csv --no-defects"
    main(["--out", str(tmp_path / "a"), *options.split()])
    output = capsys.readouterr().out
    config = GeneratorConfig(
        seed=3, months=1, members=200, transactions=600, transaction_format="csv", defects=False
    )
    counts = generate(tmp_path / "b", config)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert json.loads(output)["members"] == counts["members"]
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "a")])
    assert "not empty" in capsys.readouterr().err
