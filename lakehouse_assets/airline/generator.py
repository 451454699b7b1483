"""Seeded generator of an airline landing zone, calibrated to the published marginals.

Belongs here: how the two airline sources look when they arrive (values, dirt, defects, file
formats, delivery folders) and the calibration numbers of the airline spec, sections 1 and 2.
Does not belong here: any cleaning or business rule. The pipeline must not import this module,
otherwise its tests would compare a rule with itself. No source data is read, only drawn.

Two kinds of imperfection are kept apart. *Dirt* is what the real sources contain throughout
(placeholders, spelling variants, nulls, mixed case, three date formats, implausible ages, the
impossible 29 February 2014); it is always there because the marginals are. *Defects* are the
records a pipeline has to reject, repair or deduplicate; ``GeneratorConfig.defects`` switches
them and ``GeneratedCounts`` says how many there are.

Run ``python -m lakehouse_assets.airline.generator --help`` for the command line.
"""

from __future__ import annotations

import argparse
import calendar
import gzip
import io
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Knots = Sequence[tuple[float, float]]

FLIGHT_COLUMNS = (
    "MEMBER_NO", "FFP_DATE", "FIRST_FLIGHT_DATE", "GENDER", "FFP_TIER", "WORK_CITY",
    "WORK_PROVINCE", "WORK_COUNTRY", "AGE", "LOAD_TIME", "FLIGHT_COUNT", "BP_SUM", "SUM_YR_1",
    "SUM_YR_2", "SEG_KM_SUM", "LAST_FLIGHT_DATE", "LAST_TO_END", "AVG_INTERVAL", "MAX_INTERVAL",
    "EXCHANGE_COUNT", "avg_discount", "Points_Sum", "Point_NotFlight",
)  # fmt: skip
TRANSACTION_COLUMNS = (
    "transaction_id", "customer_id", "customer_name", "email", "purchase_date", "amount",
    "status", "payment_method", "region",
)  # fmt: skip

IMPOSSIBLE_LAST_FLIGHT = "2014/2/29  0:00:00"
IMPOSSIBLE_PURCHASE_DATE = "2014-02-30"
NON_NUMERIC_MEMBER_NO = "M-UNKNOWN"
FIRST_UNKNOWN_CUSTOMER = 900_000_001
"""Customer ids from here on belong to no member, whatever the configured size."""

MAX_DAYS_SINCE_FLIGHT = 731
"""The source lists members with a flight in its two-year window (spec section 1, LAST_TO_END)."""

_DEFECT_RATES = {
    "null_customers": 0.0035,
    "invalid_customers": 0.002,
    "unknown_customers": 0.002,
    "null_amounts": 0.0025,
    "invalid_amounts": 0.0025,
    "empty_dates": 0.002,
    "impossible_dates": 0.0015,
    "duplicate_records": 0.002,
    "redelivered": 0.002,
}
"""Share of transactions per defect: two per cent together, on disjoint transactions."""

_LONGEST_INTERVAL = 728
_MONTHLY_JOINERS = 0.004
_DUPLICATE_ROWS = 0.0005
_IMPOSSIBLE_LAST_FLIGHTS = 0.006

# The marginals below describe the snapshot of 2014-03-31. The default configuration starts
# three months earlier, and what is flown in them comes on top: much for active members, next
# to nothing for the others.
_OPENING_SHARE_ACTIVE = 0.84
_OPENING_SHARE_OTHERS = 0.96

# Quantile knots (share of members, value). Minimum, quartiles and maximum are the spec's; the
# tail knots in between are chosen so that mean and standard deviation come out as well.
_FLIGHTS: Knots = (
    (0, 2), (0.25, 3), (0.5, 7), (0.75, 15), (0.95, 38), (0.99, 65), (0.998, 100),
    (0.9999, 150), (1, 213),
)  # fmt: skip
_KM: Knots = (
    (0, 368), (0.05, 1_500), (0.25, 4_747), (0.5, 9_994), (0.75, 21_271), (0.95, 54_000),
    (0.99, 98_000), (0.998, 155_000), (0.9999, 330_000), (1, 580_717),
)  # fmt: skip
_BASE_POINTS: Knots = (
    (0, 0), (0.01, 250), (0.05, 800), (0.25, 2_518), (0.5, 5_700), (0.75, 12_831),
    (0.95, 36_000), (0.99, 75_000), (0.998, 135_000), (0.9999, 280_000), (1, 505_308),
)  # fmt: skip
_POINTS: Knots = (
    (0, 0), (0.01, 300), (0.05, 900), (0.25, 2_775), (0.5, 6_328), (0.75, 14_302),
    (0.95, 41_000), (0.99, 90_000), (0.998, 165_000), (0.9999, 420_000), (1, 985_572),
)  # fmt: skip
_REVENUE: Knots = (
    (0, 300), (0.05, 900), (0.25, 2_700), (0.5, 6_000), (0.75, 13_200), (0.95, 35_000),
    (0.99, 72_000), (0.998, 130_000), (0.9999, 270_000), (1, 473_748),
)  # fmt: skip
_DAYS_SINCE: Knots = (
    (0, 1), (0.25, 29), (0.5, 108), (0.75, 268), (0.95, 580), (0.99, 690), (1, 731),
)  # fmt: skip
_AVG_INTERVAL: Knots = (
    (0, 0), (0.01, 1), (0.05, 6), (0.25, 23.4), (0.5, 44.7), (0.75, 82), (0.95, 215),
    (0.99, 420), (1, 728),
)  # fmt: skip
_AGE: Knots = (
    (0, 17), (0.01, 24), (0.05, 29), (0.25, 35), (0.5, 41), (0.75, 48), (0.95, 59),
    (0.99, 67), (1, 82),
)  # fmt: skip
_DISCOUNT: Knots = (
    (0, 0.14), (0.02, 0.36), (0.25, 0.612), (0.5, 0.712), (0.75, 0.809), (0.95, 1.05),
    (0.99, 1.35), (1, 1.5),
)  # fmt: skip
_EXCHANGES: Knots = ((0, 0), (0.84, 0), (0.9, 1), (0.96, 2), (0.99, 5), (0.9999, 20), (1, 46))
_NON_FLIGHT: Knots = (
    (0, 0), (0.7, 0), (0.75, 1), (0.85, 4), (0.95, 16), (0.99, 38), (0.9999, 100), (1, 140),
)  # fmt: skip

# Latent customer kinds: share, mean of the volume score, of the recency score, of the age
# score. They make clusters possible; the marginals stay what the knots say, because scores are
# only ranked. In order: premium, loyal, occasional, slipping away, lapsed.
_KINDS = (
    (0.05, 3.2, -1.7, 0.5),
    (0.20, 1.6, -1.2, 0.3),
    (0.27, -0.1, -0.5, -0.1),
    (0.20, -0.2, 0.6, 0.0),
    (0.28, -1.2, 1.7, -0.2),
)

# Weight, city, province, country. The first rows carry the spec's leading shares.
_PLACES: tuple[tuple[float, str, str, str], ...] = (
    (0.1740, "guangzhou", "guangdong", "CN"), (0.1400, "beijing", "beijing", "CN"),
    (0.0880, "shanghai", "shanghai", "CN"), (0.0640, "shenzhen", "guangdong", "CN"),
    (0.0350, "dalian", "liaoning", "CN"), (0.0290, "shenyang", "liaoning", "CN"),
    (0.0290, "wulumuqi", "xinjiang", "CN"), (0.0250, "changchun", "jilin", "CN"),
    (0.0250, "wuhan", "hubei", "CN"), (0.0200, "haerbin", "heilongjiang", "CN"),
    (0.0180, "changsha", "hunan", "CN"), (0.0180, "zhengzhou", "henan", "CN"),
    (0.0150, "foshan", "guangdong", "CN"), (0.0140, "dongguan", "guangdong", "CN"),
    (0.0130, "zhuhai", "guangdong", "CN"), (0.0120, "nanjing", "jiangsu", "CN"),
    (0.0120, "hangzhou", "zhejiang", "CN"), (0.0110, "shamen", "fujian", "CN"),
    (0.0110, "guiyang", "guizhou", "CN"), (0.0110, "shantou", "guangdong", "CN"),
    (0.0110, "nanning", "guangxi", "CN"), (0.0100, "chengdu", "sichuan", "CN"),
    (0.0090, "zhongshan", "guangdong", "CN"), (0.0090, "haikou", "hainan", "CN"),
    (0.0080, "xian", "shanxi", "CN"), (0.0080, "qingdao", "shandong", "CN"),
    (0.0070, "zhanjiang", "guangdong", "CN"), (0.0070, "tianjin", "tianjin", "CN"),
    (0.0070, "zhongqing", "zhongqing", "CN"), (0.0060, "kunming", "yunnan", "CN"),
    (0.0060, "kuerle", "xinjiang", "CN"), (0.0060, "suzhou", "jiangsu", "CN"),
    (0.0050, "fuzhou", "fujian", "CN"), (0.0050, "guilin", "guangxi", "CN"),
    (0.0050, "jinan", "shandong", "CN"), (0.0050, "hefei", "anhui", "CN"),
    (0.0050, "wenzhou", "zhejiang", "CN"), (0.0050, "huizhou", "guangdong", "CN"),
    (0.0040, "jiangmen", "guangdong", "CN"), (0.0040, "anshan", "liaoning", "CN"),
    (0.0040, "kelamayi", "xinjiang", "CN"), (0.0040, "yining", "xinjiang", "CN"),
    (0.0040, "ningbo", "zhejiang", "CN"), (0.0040, "taiyuan", "shanxi", "CN"),
    (0.0040, "nanchang", "jiangxi", "CN"), (0.0040, "yanji", "jilin", "CN"),
    (0.0030, "lanzhou", "gansu", "CN"), (0.0030, "sanya", "hainan", "CN"),
    (0.0030, "daqing", "heilongjiang", "CN"), (0.0030, "liuzhou", "guangxi", "CN"),
    (0.0030, "shijiazhuang", "hebei", "CN"), (0.0020, "huhehaote", "neimenggu", "CN"),
    (0.0020, "yinchuan", "ningxia", "CN"), (0.0010, "lasa", "xizang", "CN"),
    (0.0157, "xianggang", "xianggang", "HK"), (0.0080, "tokyo", "tokyo", "JP"),
    (0.0059, "osaka", "osaka", "JP"), (0.0095, "seoul", "seoul", "KR"),
    (0.0030, "busan", "busan", "KR"), (0.0050, "Los Angeles", "CA", "US"),
    (0.0025, "San Francisco", "CA", "US"), (0.0016, "New York", "NY", "US"),
    (0.0055, "taibei", "taiwan", "TW"), (0.0040, "sydney", "NSW", "AU"),
    (0.0038, "paris", "paris", "FR"), (0.0035, "singapore", "singapore", "SG"),
    (0.0030, "kuala lumpur", "kuala lumpur", "MY"), (0.0025, "manila", "manila", "PH"),
    (0.0015, "jakarta", "jakarta", "ID"), (0.0015, "vancouver", "BC", "CA"),
    (0.0012, "amsterdam", "NH", "NL"), (0.0010, "frankfurt", "hessen", "DE"),
    (0.0010, "bangkok", "bangkok", "TH"), (0.0007, "aomen", "aomen", "MO"),
    (0.0006, "hanoi", "hanoi", "VN"), (0.0005, "london", "london", "GB"),
    (0.0003, "dubai", "dubai", "AE"), (0.0003, "zurich", "ZH", "CH"),
)  # fmt: skip
_MUNICIPALITIES = frozenset({"beijing", "shanghai", "tianjin", "zhongqing"})
_CITY_SUFFIX = 0.095
_PROVINCE_SUFFIX = 0.06
# What stands in for a missing value, with its share (spec section 1; U+3000 is the ideographic
# blank which an ASCII-only trim leaves in place).
_CITY_GAPS: tuple[tuple[float, str | None], ...] = (
    (0.0360, None), (0.0120, "."), (0.0021, "-"), (0.0005, "\u3000"), (0.0002, "0"),
    (0.0001, "*"), (0.0001, "?"), (0.0001, "--"),
)  # fmt: skip
_PROVINCE_GAPS: tuple[tuple[float, str | None], ...] = (
    (0.0516, None), (0.0140, "."), (0.0041, "-"), (0.0003, "\u3000"), (0.0004, "*"),
    (0.0002, "0"), (0.0002, "?"),
)  # fmt: skip
_COUNTRY_GAPS: tuple[tuple[float, str | None], ...] = (
    (0.0004, None), (0.0004, "cn"), (0.0005, "中"), (0.0002, "中国"),
)  # fmt: skip

_FIRST_NAMES = (
    "Anna", "Ben", "Carla", "David", "Elena", "Felix", "Grace", "Henry", "Iris", "Jonas", "Karin",
    "Leo", "Maria", "Nina", "Oscar", "Paula", "Quentin", "Rosa", "Simon", "Tanja", "Urs", "Vera",
    "Walter", "Xenia", "Yara", "Zeno", "Amir", "Bao", "Chen", "Dewei", "Fang", "Guo", "Hui",
    "Jing", "Kai", "Lan", "Mei", "Ning", "Ping", "Qiang",
)  # fmt: skip
_LAST_NAMES = (
    "Smith", "Miller", "Keller", "Brunner", "Weber", "Fischer", "Novak", "Rossi", "Dubois",
    "Martin", "Garcia", "Lopez", "Silva", "Jensen", "Larsen", "Nowak", "Kovacs", "Popov",
    "Tanaka", "Sato", "Kim", "Park", "Lee", "Wang", "Li", "Zhang", "Liu", "Chen", "Yang", "Huang",
    "Zhao", "Wu", "Zhou", "Xu", "Sun", "Ma", "Zhu", "Hu", "Guo", "Lin",
)  # fmt: skip
_MAIL_DOMAINS = ("example.com", "example.org", "example.net")  # reserved by RFC 2606

_STATUSES: tuple[tuple[float, str], ...] = (
    (0.62, "completed"), (0.07, "COMPLETED"), (0.05, "Completed"), (0.02, " completed "),
    (0.07, "pending"), (0.03, "PENDING"), (0.05, "cancelled"), (0.03, "CANCELLED"),
    (0.04, "refunded"), (0.02, "Refunded"),
)  # fmt: skip
_METHODS: tuple[tuple[float, str | None], ...] = (
    (0.24, "credit_card"), (0.09, "credit card"), (0.07, "Credit Card"), (0.04, "CREDIT_CARD"),
    (0.03, "Credit_Card"), (0.01, "Credit  Card"), (0.11, "debit_card"), (0.05, "Debit Card"),
    (0.03, "DEBIT CARD"), (0.12, "paypal"), (0.07, "PayPal"), (0.01, " PAYPAL "),
    (0.06, "wire_transfer"), (0.03, "wire transfer"), (0.01, "WIRE_TRANSFER"),
    (0.012, None), (0.010, "."), (0.008, ""),
)  # fmt: skip
_REGIONS: tuple[tuple[float, str | None], ...] = (
    (0.18, "North"), (0.05, "NORTH"), (0.03, "north"), (0.17, "South"), (0.06, "SOUTH"),
    (0.18, "East"), (0.04, "EAST"), (0.03, "east"), (0.17, "West"), (0.04, "west"),
    (0.01, " West "), (0.02, "  North"), (0.015, None), (0.015, ""),
)  # fmt: skip
_DATE_FORMATS: tuple[tuple[float, str], ...] = (
    (0.86, "%Y-%m-%d"), (0.08, "%m/%d/%Y"), (0.06, "%Y/%m/%d"),
)  # fmt: skip
_PURCHASE_LAGS = (0.55, 0.25, 0.14, 0.06)
"""Probability that a purchase is delivered 0, 1, 2, 3 days after it happened."""

Suffix = Literal[".json", ".jsonl", ".jsonl.gz", ".csv"]
_MIXED_ROTATION: tuple[Suffix, ...] = (
    ".json", ".json", ".jsonl", ".json", ".json", ".jsonl.gz", ".json", ".csv", ".json", ".json",
)  # fmt: skip
_BOM_DELIVERY = 3  # position in the rotation of the one .json delivery with a byte order mark


@dataclass(frozen=True)
class GeneratorConfig:
    """What to generate.

    Attributes:
        seed: Seed of every random draw; equal configurations give equal bytes.
        first_month: First day of the first monthly snapshot.
        months: Number of monthly snapshots, which is also the span of the transactions.
        members: Members in the opening base. They stay for all snapshots; about 0.4 % more
            join in every month, so there are at least ``members * months`` snapshot rows.
        transactions: Distinct transaction ids over the whole span.
        transaction_format: "mixed" rotates JSON arrays, JSON lines, gzipped JSON lines and CSV
            over the days; "csv" writes one CSV a day, fully vectorised.
        delivery_days: "business" delivers Monday to Friday, "all" on every calendar day.
        defects: Whether to inject the records a pipeline has to reject or deduplicate.
    """

    seed: int = 20140331
    first_month: date = date(2014, 1, 1)
    months: int = 3
    members: int = 1500
    transactions: int = 2100
    transaction_format: Literal["mixed", "csv"] = "mixed"
    delivery_days: Literal["business", "all"] = "business"
    defects: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes for which the marginals or the running numbers make no sense."""
        if self.first_month.day != 1:
            raise ValueError(f"first_month must be the first of a month, got {self.first_month}")
        if self.months < 1:
            raise ValueError(f"months must be at least 1, got {self.months}")
        if not 100 <= self.members < FIRST_UNKNOWN_CUSTOMER // 10:
            raise ValueError(f"members must be 100 to 90 million, got {self.members}")
        if not 500 <= self.transactions <= 900_000_000:
            raise ValueError(f"transactions must be 500 to 900 million, got {self.transactions}")


@dataclass(frozen=True)
class GeneratedCounts:
    """What was written, for tests and benchmarks to compare with.

    Flight counts are sums over all snapshot files, transaction counts over all delivery files.

    Attributes:
        members: Distinct members, numbered 1..members without a gap.
        snapshots: Monthly flight files.
        flight_rows: Flight rows with 23 fields, defects included.
        duplicate_member_rows: Flight rows which repeat a MEMBER_NO of the same file.
        empty_member_numbers: Flight rows without MEMBER_NO.
        non_numeric_member_numbers: Flight rows whose MEMBER_NO is no number.
        short_lines: Flight lines with fewer than 23 fields.
        long_lines: Flight lines with more than 23 fields.
        impossible_last_flights: Flight rows with the literal for 29 February 2014; dirt, so
            they are also there without defects. Rows repeated as a defect are counted.
        transactions: Distinct transaction ids.
        transaction_records: Well-formed transaction records, repeated ones included.
        deliveries: Transaction files.
        null_customers: Transactions with a null (CSV: empty) customer_id.
        invalid_customers: Transactions with the customer_id "invalid".
        unknown_customers: Transactions of a well-formed customer_id which is no member.
        null_amounts: Transactions with a null (CSV: empty) amount.
        invalid_amounts: Transactions with the amount "invalid".
        empty_dates: Transactions with an empty purchase_date.
        impossible_dates: Transactions with the purchase_date 2014-02-30.
        duplicate_records: Records repeated exactly within their file.
        redelivered: Records delivered again on a later day; a pending one is then completed.
        malformed_json_lines: Lines of a .jsonl file which are no JSON.
        non_object_elements: Elements of a .json array which are no object.
        bom_files: Files which start with a UTF-8 byte order mark; part of the format, not a
            defect.
    """

    members: int = 0
    snapshots: int = 0
    flight_rows: int = 0
    duplicate_member_rows: int = 0
    empty_member_numbers: int = 0
    non_numeric_member_numbers: int = 0
    short_lines: int = 0
    long_lines: int = 0
    impossible_last_flights: int = 0
    transactions: int = 0
    transaction_records: int = 0
    deliveries: int = 0
    null_customers: int = 0
    invalid_customers: int = 0
    unknown_customers: int = 0
    null_amounts: int = 0
    invalid_amounts: int = 0
    empty_dates: int = 0
    impossible_dates: int = 0
    duplicate_records: int = 0
    redelivered: int = 0
    malformed_json_lines: int = 0
    non_object_elements: int = 0
    bom_files: int = 0


def generate(
    landing: Path,
    config: GeneratorConfig,
    progress: Callable[[str], None] | None = None,
) -> GeneratedCounts:
    """Write an airline landing zone.

    Files: ``airline/flights/<month end>/flight.csv`` with the 23 columns of spec section 1
    (distances in km, age in years, revenue in the source's currency) and
    ``airline/transactions/<delivery day>/transactions.<format>`` with the nine attributes of
    spec section 2.

    Args:
        landing: Root of the landing zone; created when missing.
        config: What to generate.
        progress: Called with one line per flight snapshot and per month of transactions.

    Returns:
        How much of everything was written.

    Raises:
        FileExistsError: When there are airline deliveries already. Files of an earlier run with
            another configuration would silently mix with the new ones.
    """
    report = progress or (lambda _: None)
    flights, purchases = landing / "airline" / "flights", landing / "airline" / "transactions"
    for folder in (flights, purchases):
        if folder.is_dir() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty; remove it before generating anew")

    # Separate streams: the number of transactions must not change the flights.
    member_seed, purchase_seed = np.random.SeedSequence(config.seed).spawn(2)
    rng = np.random.default_rng(member_seed)
    month_starts = [_add_months(config.first_month, i) for i in range(config.months + 1)]
    base = _opening_base(config, month_starts, rng)
    weights = base.purchase_weights(rng)
    counts = GeneratedCounts(members=len(base.flights), snapshots=config.months)
    known_from: list[int] = []
    for start, following in itertools.pairwise(month_starts):
        # A member can only buy from the month after joining, when the snapshot lists them.
        known_from.append(int((base.joined < _day(start)).sum()))
        base.advance(start, following, rng)
        window_end = following - timedelta(days=1)
        target = flights / window_end.isoformat() / "flight.csv"
        counts = _write_snapshot(target, base, window_end, config.defects, counts, rng)
        report(f"flights {window_end}: {int(base.listed(window_end).sum()):,} members")
    return _write_transactions(
        purchases,
        config,
        known_from,
        weights,
        np.random.default_rng(purchase_seed),
        counts,
        report,
    )


# --- calendar and drawing helpers -----------------------------------------------------------


def _day(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _add_months(start: date, months: int) -> date:
    """First day of the month that many months after start's."""
    index = start.year * 12 + start.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def _us_date(day: date) -> str:
    """Date as M/d/yyyy without leading zeros, the form of flight.csv."""
    return f"{day.month}/{day.day}/{day.year}"


def _us_dates(days: Ints) -> pa.Array:
    """Dates as M/d/yyyy; formats every distinct day once."""
    distinct, positions = np.unique(days, return_inverse=True)
    texts = [_us_date(date(1970, 1, 1) + timedelta(days=int(day))) for day in distinct]
    return pa.array(texts, pa.string()).take(pa.array(positions))


def _spread(scores: Floats, knots: Knots) -> Floats:
    """Map scores by rank onto the distribution given by quantile knots.

    Interpolates logarithmically because every one of these distributions is skewed to the right.
    """
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = (np.arange(len(scores)) + 0.5) / len(scores)
    shares, values = np.array(knots, dtype=np.float64).T
    spread: Floats = np.expm1(np.interp(ranks, shares, np.log1p(values)))
    return spread


def _whole(values: Floats) -> Ints:
    """Round to whole numbers."""
    return np.rint(values).astype(np.int64)


def _some(rng: np.random.Generator, size: int, share: float) -> Ints:
    """Pick that share of 0..size-1, at least one, so that rare dirt shows in small samples."""
    picked: Ints = rng.choice(size, max(1, round(size * share)), replace=False)
    return picked


def _draw(
    rng: np.random.Generator, weights: Sequence[float] | Floats, size: int
) -> NDArray[np.int16]:
    """Spread positions 0..len(weights)-1 over the size in proportion to the weights."""
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    # Stratified: even a small sample has the intended shares, in random order.
    even = (rng.permutation(size) + 0.5) / size
    drawn = np.searchsorted(cumulative, even * cumulative[-1], side="right")
    positions: NDArray[np.int16] = np.minimum(drawn, len(cumulative) - 1).astype(np.int16)
    return positions


# --- members and their snapshots ------------------------------------------------------------


@dataclass
class _Base:
    """All members ever, in order of MEMBER_NO; days are counted since 1970-01-01.

    A member who joins later has a row from the start and appears once the month is reached.
    """

    joined: Ints
    first_flight: Ints  # a few impossible ones
    last_flight: Ints
    impossible: Flags  # last flight delivered as 29 February 2014
    gender: pa.Array
    tier: Ints
    city: pa.Array
    province: pa.Array
    country: pa.Array
    age: Ints
    age_missing: Flags
    flights: Ints
    pace: Floats  # flights a month; constant, so that totals grow linearly
    km: Floats
    base_points: Floats
    points: Floats
    revenue_1: Floats
    revenue_2: Floats
    revenue_1_missing: Flags
    revenue_2_missing: Flags
    avg_interval: Floats
    max_interval: Ints
    exchanges: Ints
    discount: Floats
    non_flight: Ints
    revenue_per_km: Floats

    def listed(self, window_end: date) -> Flags:
        """Who has joined by the end of the window."""
        listed: Flags = self.joined <= _day(window_end)
        return listed

    def days_since_flight(self, window_end: date) -> Ints:
        """LAST_TO_END: days from the last flight to the exclusive end of the window.

        The source believed in a 29 February 2014 (spec section 1): windows which reach past it
        count one day too many for flights before it, and it exists as a flight date itself.
        """
        days: Ints = _day(window_end) - self.last_flight + 1
        if window_end >= date(2014, 3, 1):
            days = days + (self.last_flight <= _day(date(2014, 2, 28)))
        # The phantom day is one day later than the 28 February which stands in for it.
        return days - self.impossible

    def purchase_weights(self, rng: np.random.Generator) -> Floats:
        """How often members buy: heavier and more recent flyers more often, with variation."""
        age_of_flight = self.last_flight.max() - self.last_flight
        recency = np.exp(-age_of_flight / 900.0)
        variation = rng.gamma(15.0, size=len(self.flights))
        weights: Floats = self.flights**0.3 * recency * variation
        return weights

    def advance(self, start: date, following: date, rng: np.random.Generator) -> None:
        """Let one month of flying happen to everybody listed by its end.

        Args:
            start: First day of the month.
            following: First day of the next month.
            rng: Source of randomness.
        """
        first, end = _day(start), _day(following)
        size, length = len(self.flights), end - first
        since = first - self.last_flight
        # Who flew lately is likely to fly again; the steps keep recency close to stationary.
        habit = np.select([since < 60, since < 150, since < 300], [1.0, 0.5, 0.6], 0.5)
        flown = rng.poisson(self.pace * habit)
        flown[self.joined >= first] = 0  # newcomers start with their opening record
        window_end = following - timedelta(days=1)
        leaving = self.days_since_flight(window_end) > MAX_DAYS_SINCE_FLIGHT
        flown = np.where(leaving, np.maximum(flown, 1), flown)

        # The last of k evenly spread flights falls late in the month.
        position = rng.random(size) ** (1 / np.maximum(flown, 1))
        flies = flown > 0
        last = np.where(flies, first + (position * length).astype(np.int64), self.last_flight)
        gap = last - self.last_flight
        old_span = self.avg_interval * (self.flights - 1)
        km_each = self.km / self.flights
        added_km = flown * km_each * rng.lognormal(-0.03, 0.25, size)
        growth = 1 + added_km / self.km
        self.flights = self.flights + flown
        self.avg_interval = np.where(
            flies, (old_span + gap) / (self.flights - 1), self.avg_interval
        )
        longest = np.where(flies, -(-gap // np.maximum(flown, 1)), 0)
        # An interval inside the two-year window cannot exceed it.
        self.max_interval = np.clip(longest, self.max_interval, _LONGEST_INTERVAL)
        self.avg_interval = np.minimum(self.avg_interval, self.max_interval)
        self.km = self.km + added_km
        self.base_points = self.base_points * growth
        self.points = self.points * growth
        self.revenue_2 = self.revenue_2 + added_km * self.revenue_per_km
        self.exchanges = self.exchanges + rng.binomial(flown, 0.02)
        self.non_flight = self.non_flight + rng.binomial(flown, 0.1)
        self.impossible = self.impossible & ~flies
        self.last_flight = last
        if start == date(2014, 3, 1):
            # The phantom day lies before this month, but its flights arrive with this month's
            # file only: the file of February has no 29 February yet.
            listed = int(self.listed(window_end).sum())
            wanted = max(1, round(listed * _IMPOSSIBLE_LAST_FLIGHTS))
            # Newcomers of this month joined after the phantom day.
            able = np.flatnonzero(flies & (self.joined < first))
            chosen = rng.choice(able, min(wanted, len(able)), replace=False)
            self.last_flight[chosen] = _day(date(2014, 2, 28))
            self.impossible[chosen] = True


def _opening_base(
    config: GeneratorConfig, month_starts: Sequence[date], rng: np.random.Generator
) -> _Base:
    """Draw all members as they stand before the first month, newcomers at the end."""
    opening = _day(month_starts[0])
    joiners = max(1, round(config.members * _MONTHLY_JOINERS))
    size = config.members + joiners * config.months
    newcomer = np.arange(size) >= config.members

    kind = _draw(rng, [weight for weight, *_ in _KINDS], size)
    means = np.array([scores for _, *scores in _KINDS])[kind]
    volume, recency = means[:, :2].T + rng.normal(0, 0.33, (2, size))
    volume[newcomer] = -3 + rng.normal(0, 0.3, int(newcomer.sum()))

    share = np.where(recency < 0, _OPENING_SHARE_ACTIVE, _OPENING_SHARE_OTHERS)

    # Award travellers pay no fare: 3 % without revenue in both years, in the file partly as
    # null (0.87 % in year 1, 0.22 % in year 2; spec section 1).
    award = rng.permutation(size)[: max(4, round(0.03 * size))]
    first_year_missing, second_year_missing = np.zeros((2, size), dtype=np.bool_)
    split = max(1, round(0.0087 * size))
    first_year_missing[award[:split]] = True
    second_year_missing[award[split : split + max(1, round(0.0022 * size))]] = True

    flights = np.maximum(2, _whole(share * _spread(volume, _FLIGHTS)))
    # Distances and fares per flight differ between members, but less than the flight counts do.
    distance = volume + rng.normal(0, 0.3, size)
    fare_class = rng.normal(0, 0.2, size)
    fare = distance + fare_class
    fare[award] = -99  # ranks last, so that zeroing it leaves the others where they belong
    km = np.maximum(368, share * _spread(distance, _KM))
    base_points = share * _spread(fare, _BASE_POINTS)
    bonus = distance + fare_class + rng.normal(0, 0.15, size)
    points = np.maximum(base_points, share * _spread(bonus, _POINTS))
    revenue = share * _spread(fare + rng.normal(0, 0.1, size), _REVENUE)
    revenue[award] = 0
    base_points[award] = 0
    earlier = rng.beta(2.6, 2.6, size)
    edge = rng.random(size)
    earlier = np.select([edge < 0.07, edge > 0.9], [0.0, 1.0], earlier)
    earlier[newcomer] = 0

    # Nobody starts at the very edge of the window: advance() would make all of them fly at once.
    days_since = np.minimum(_whole(_spread(recency, _DAYS_SINCE)), MAX_DAYS_SINCE_FLIGHT - 20)
    interval = _spread(-1.1 * volume + rng.normal(0, 0.9, size), _AVG_INTERVAL)
    span = np.minimum(interval * (flights - 1), MAX_DAYS_SINCE_FLIGHT - 1 - days_since)
    span = np.floor(span)
    last = opening - days_since
    # Programme dates 2004-11-01 to 2013-03-31 for an opening on 2014-01-01, the bulk late.
    tenure = 276 + _whole(3_070 * rng.beta(1.0, 1.75, size))
    tenure = np.maximum(tenure, days_since + span.astype(np.int64) + 1)
    joined = opening - tenure
    first_gap = _whole(_spread(rng.normal(size=size), ((0, 0), (0.3, 0), (0.5, 20), (0.75, 161),
                                                       (0.95, 1_133), (1, 3_000))))  # fmt: skip
    # Newcomers: two flights or a few, all between joining and the end of their first month.
    month = (np.arange(size) - config.members) // joiners
    begins = np.array([_day(start) for start in month_starts])
    lengths = np.diff(begins)
    slot = np.where(newcomer, month, 0)
    joined = np.where(newcomer, begins[slot] + _whole(rng.random(size) * 12), joined)
    last = np.where(newcomer, begins[slot] + lengths[slot] - 1 - _whole(rng.random(size) * 8), last)
    span = np.where(newcomer, np.minimum(last - joined, 8), span)
    first = np.minimum(joined + first_gap, last - span.astype(np.int64))

    avg_interval = span / (flights - 1)
    stretch = (1 + 1.7 * np.log(flights - 1)) * rng.lognormal(0, 0.2, size)
    max_interval = np.ceil(np.minimum(span, avg_interval * np.maximum(1, stretch)))

    outlier = rng.permutation(size)[: 3 * max(1, round(0.0001 * size))]
    first[outlier[0::3]] = _day(date(1905, 12, 31))
    late = np.concatenate([outlier[1::3], outlier[2::3]])
    first[late] = _day(month_starts[-1]) + rng.integers(30, 340, len(late))

    age = _whole(_spread(means[:, 2] + rng.normal(size=size), _AGE))
    implausible = rng.permutation(size)[: 2 * max(1, round(0.0002 * size))]
    age[implausible[0::2]] = 6
    age[implausible[1::2]] = 110
    age_missing = np.zeros(size, dtype=np.bool_)
    age_missing[np.setdiff1d(_some(rng, size, 0.0067), implausible)] = True

    rank = distance + rng.normal(0, 0.35, size)
    tier = _whole(_spread(rank, ((0, 4), (0.9219, 4), (0.922, 5), (0.976, 5), (0.9761, 6), (1, 6))))
    genders = _draw(rng, (0.764, 0.236), size)
    genders[_some(rng, size, 0.00005)] = 2
    city, province, country = _draw_places(size, rng)

    discount = np.round(_spread(fare_class + rng.normal(0, 0.1, size), _DISCOUNT), 9)
    discount[_some(rng, size, 0.0005)] = 0
    return _Base(
        joined=joined,
        first_flight=first,
        last_flight=last,
        impossible=np.zeros(size, dtype=np.bool_),
        gender=pa.array(["Male", "Female", None]).take(pa.array(genders)),
        tier=tier,
        city=city,
        province=province,
        country=country,
        age=age,
        age_missing=age_missing,
        flights=flights,
        pace=flights / 24,
        km=km,
        base_points=base_points,
        points=points,
        revenue_1=revenue * earlier,
        revenue_2=revenue * (1 - earlier),
        revenue_1_missing=first_year_missing,
        revenue_2_missing=second_year_missing,
        avg_interval=avg_interval,
        max_interval=max_interval.astype(np.int64),
        exchanges=_whole(_spread(volume + rng.normal(0, 1.5, size), _EXCHANGES)),
        discount=discount,
        non_flight=_whole(_spread(volume + rng.normal(0, 1.5, size), _NON_FLIGHT)),
        revenue_per_km=revenue / km,
    )


def _draw_places(size: int, rng: np.random.Generator) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Draw city, province and country with spelling variants, placeholders and nulls."""
    places = len(_PLACES)
    spot = _draw(rng, [weight for weight, *_ in _PLACES], size).astype(np.int64)
    chinese = np.array([country == "CN" for *_, country in _PLACES])[spot]
    municipal = np.array([province in _MUNICIPALITIES for _, _, province, _ in _PLACES])[spot]

    # Every pool holds the plain names, then the suffixed ones, then the placeholders.
    suffixed = chinese & (rng.random(size) < np.where(municipal, _CITY_SUFFIX / 2, _CITY_SUFFIX))
    city = spot + places * suffixed
    # Who spells the city out tends to spell the province out as well.
    affinity = np.where(suffixed, 5 * _PROVINCE_SUFFIX, 0.6 * _PROVINCE_SUFFIX)
    province = spot + places * (chinese & (rng.random(size) < affinity))
    country = spot.copy()
    for gaps, column, offset in (
        (_CITY_GAPS, city, 2 * places),
        (_PROVINCE_GAPS, province, 2 * places),
        (_COUNTRY_GAPS, country, places),
    ):
        # Lower-case and Chinese spellings only make sense for China.
        free = np.flatnonzero(chinese) if column is country else np.arange(size)
        wanted = [max(1, round(share * size)) for share, _ in gaps]
        chosen = rng.choice(free, sum(wanted), replace=False)
        if column is province:
            # Most members without a city have no province either.
            blank_city = np.flatnonzero(city == 2 * places)
            together = blank_city[: round(0.72 * len(blank_city))]
            rest = np.setdiff1d(chosen, together)
            chosen = np.concatenate([together, rng.permutation(rest)])[: sum(wanted)]
        column[chosen] = offset + np.repeat(np.arange(len(gaps)), wanted)

    def named(pool: Sequence[str | None], index: Ints) -> pa.Array:
        return pa.array(pool, pa.string()).take(pa.array(index))

    return (
        named(
            [*(name for _, name, _, _ in _PLACES), *(f"{name}shi" for _, name, _, _ in _PLACES)]
            + [gap for _, gap in _CITY_GAPS],
            city,
        ),
        named(
            [
                *(name for _, _, name, _ in _PLACES),
                *(
                    f"{name}shi" if name in _MUNICIPALITIES else f"{name}sheng"
                    for _, _, name, _ in _PLACES
                ),
                *(gap for _, gap in _PROVINCE_GAPS),
            ],
            province,
        ),
        named([*(name for *_, name in _PLACES), *(gap for _, gap in _COUNTRY_GAPS)], country),
    )


def _write_snapshot(
    target: Path,
    base: _Base,
    window_end: date,
    defects: bool,
    counts: GeneratedCounts,
    rng: np.random.Generator,
) -> GeneratedCounts:
    """Write one flight.csv, by descending base points, defects after the members."""
    members = np.flatnonzero(base.listed(window_end))
    rows = members[np.argsort(-base.base_points[members], kind="stable")]
    numbers = pa.array(rows + 1).cast(pa.string())
    points = base.points[rows]
    duplicates = 0
    if defects:
        duplicates = max(3, round(len(members) * _DUPLICATE_ROWS))
        extra = rng.choice(members, duplicates + 2, replace=False)
        rows = np.concatenate([rows, extra])
        numbers = pa.chunked_array(
            [
                numbers,
                pa.array(extra[:duplicates] + 1).cast(pa.string()),
                pa.array(["", NON_NUMERIC_MEMBER_NO]),
            ]
        )
        # One exact copy, the others outdated: keeping "any" row then makes a difference.
        points = np.concatenate([points, base.points[extra[:1]], 0.9 * base.points[extra[1:]]])

    last = _us_dates(base.last_flight[rows])
    impossible = base.impossible[rows]
    if impossible.any():
        last = pc.if_else(pa.array(impossible), IMPOSSIBLE_LAST_FLIGHT, last)
    days_since = base.days_since_flight(window_end)
    picked = pa.array(rows)
    columns = (
        numbers,
        _us_dates(base.joined[rows]),
        _us_dates(base.first_flight[rows]),
        base.gender.take(picked),
        base.tier[rows],
        base.city.take(picked),
        base.province.take(picked),
        base.country.take(picked),
        pa.array(base.age[rows], mask=base.age_missing[rows]),
        pa.repeat(_us_date(window_end), len(rows)),
        base.flights[rows],
        _whole(base.base_points[rows]),
        pa.array(_whole(base.revenue_1[rows]), mask=base.revenue_1_missing[rows]),
        pa.array(_whole(base.revenue_2[rows]), mask=base.revenue_2_missing[rows]),
        _whole(base.km[rows]),
        last,
        days_since[rows],
        np.round(base.avg_interval[rows], 8),
        base.max_interval[rows],
        base.exchanges[rows],
        base.discount[rows],
        _whole(points),
        base.non_flight[rows],
    )
    table = pa.table(dict(zip(FLIGHT_COLUMNS, columns, strict=True)))
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        sink.write((",".join(FLIGHT_COLUMNS) + "\n").encode())
        if not defects:
            _append_csv(table, sink)
        else:
            # One broken line in the middle, one at the end: neither may cost its neighbours.
            middle = len(members) // 3
            line = io.BytesIO()
            _append_csv(table.slice(middle, 1), line)
            text = line.getvalue().decode().rstrip("\n")
            _append_csv(table.slice(0, middle), sink)
            sink.write((",".join(text.split(",")[:11]) + "\n").encode())
            _append_csv(table.slice(middle), sink)
            sink.write(f"{text},0,surplus\n".encode())
    broken = int(defects)
    return replace(
        counts,
        flight_rows=counts.flight_rows + len(rows),
        duplicate_member_rows=counts.duplicate_member_rows + duplicates,
        empty_member_numbers=counts.empty_member_numbers + broken,
        non_numeric_member_numbers=counts.non_numeric_member_numbers + broken,
        short_lines=counts.short_lines + broken,
        long_lines=counts.long_lines + broken,
        impossible_last_flights=counts.impossible_last_flights + int(impossible.sum()),
    )


def _append_csv(table: pa.Table, sink: BinaryIO) -> None:
    """Append rows without header.

    Nothing generated needs quoting, as in the real file; Arrow raises should that change.
    """
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    pa_csv.write_csv(table, sink, options)


# --- transactions ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Purchases:
    """All distinct transactions, columns in delivery order; position 0 is TXN000000001.

    Small integer codes instead of texts, so that ten million of them fit in a few hundred MB.
    The ``*_defect`` codes are 0 for sound values; see ``_render``.
    """

    day: NDArray[np.int16]
    customer: NDArray[np.int32]
    customer_defect: NDArray[np.int8]
    cents: NDArray[np.int32]
    amount_defect: NDArray[np.int8]
    lag: NDArray[np.int16]
    date_format: NDArray[np.int16]
    date_defect: NDArray[np.int8]
    name_variant: NDArray[np.int16]
    email_variant: NDArray[np.int16]
    status: NDArray[np.int16]
    method: NDArray[np.int16]
    region: NDArray[np.int16]
    as_text: NDArray[np.int8]  # bit 1: customer id as text, bit 2: amount as text (JSON only)
    person: NDArray[np.int16]  # per member: position in the name and e-mail pools


def _delivery_days(config: GeneratorConfig) -> list[date]:
    """Days with a transaction file, ascending."""
    start, end = config.first_month, _add_months(config.first_month, config.months)
    days = [start + timedelta(days=i) for i in range((end - start).days)]
    if config.delivery_days == "all":
        return days
    return [day for day in days if day.weekday() <= calendar.FRIDAY]


def _draw_purchases(
    config: GeneratorConfig,
    days: Sequence[date],
    known_from: Sequence[int],
    weights: Floats,
    defective: dict[str, Ints],
    rng: np.random.Generator,
) -> _Purchases:
    """Draw all transactions.

    Args:
        config: Sizes.
        days: Delivery days.
        known_from: Per month, how many members (a prefix) may buy.
        weights: Per member, the propensity to buy.
        defective: Per defect, the positions of its transactions.
        rng: Source of randomness.
    """
    size = config.transactions
    per_day = rng.multinomial(size, np.full(len(days), 1 / len(days)))
    day = np.repeat(np.arange(len(days), dtype=np.int16), per_day)
    # Members are numbered in order of joining: a prefix of the cumulated weights is all it
    # takes to leave out those who have not joined yet.
    cumulative = np.cumsum(weights)
    months = [
        (d.year - config.first_month.year) * 12 + d.month - config.first_month.month for d in days
    ]
    reach = cumulative[np.array(known_from)[months] - 1].astype(np.float64)[day]
    customer = np.searchsorted(cumulative, rng.random(size) * reach, side="right")
    customer = np.minimum(customer, len(weights) - 1).astype(np.int32)
    # Members who fly more also buy dearer tickets, within limits.
    level = np.clip(np.log(weights / np.median(weights)), -1.5, 1.5) * 0.15
    cents = np.exp(rng.normal(6.75, 0.6, size) + level[customer]) * 100
    customer_defect, amount_defect, date_defect = np.zeros((3, size), dtype=np.int8)
    for column, names in (
        (customer_defect, ("null_customers", "invalid_customers", "unknown_customers")),
        (amount_defect, ("null_amounts", "invalid_amounts")),
        (date_defect, ("empty_dates", "impossible_dates")),
    ):
        for code, name in enumerate(names, start=1):
            column[defective[name]] = code
    return _Purchases(
        day=day,
        customer=customer,
        customer_defect=customer_defect,
        cents=np.clip(np.rint(cents), 5_000, 9_999_999).astype(np.int32),
        amount_defect=amount_defect,
        lag=_draw(rng, _PURCHASE_LAGS, size),
        date_format=_draw(rng, [share for share, _ in _DATE_FORMATS], size),
        date_defect=date_defect,
        name_variant=_draw(rng, (0.95, 0.03, 0.012, 0.008), size),
        email_variant=_draw(rng, (0.87, 0.09, 0.025, 0.015), size),
        status=_draw(rng, [share for share, _ in _STATUSES], size),
        method=_draw(rng, [share for share, _ in _METHODS], size),
        region=_draw(rng, [share for share, _ in _REGIONS], size),
        as_text=_draw(rng, (0.81, 0.09, 0.08, 0.02), size).astype(np.int8),
        person=rng.integers(0, len(_FIRST_NAMES) * len(_LAST_NAMES), len(weights), dtype=np.int16),
    )


@dataclass(frozen=True)
class _Pools:
    """Text of every code, as Arrow arrays to take from."""

    names: pa.Array
    emails: pa.Array
    dates: pa.Array
    statuses: pa.Array
    completed: Ints  # per status code: the code after a late settlement
    methods: pa.Array
    regions: pa.Array
    hundredths: pa.Array


def _pools(days: Sequence[date]) -> _Pools:
    """Build the text pools: variant after variant, each for all persons or all dates."""
    people = [(first, last) for first in _FIRST_NAMES for last in _LAST_NAMES]
    mails = [
        f"{first}.{last}@{_MAIL_DOMAINS[i % len(_MAIL_DOMAINS)]}".lower()
        for i, (first, last) in enumerate(people)
    ]
    blank, dot, bad = ([text] * len(people) for text in ("", ".", "invalid-email"))
    oldest = days[0] - timedelta(days=len(_PURCHASE_LAGS) - 1)
    calendar_days = [oldest + timedelta(days=i) for i in range((days[-1] - oldest).days + 1)]
    statuses = [status for _, status in _STATUSES]
    done = statuses.index("completed")
    return _Pools(
        names=pa.array(
            [f"{first} {last}" for first, last in people]
            + [f"{first}  {last}" for first, last in people]
            + blank
            + dot
        ),
        emails=pa.array(mails + [mail.upper() for mail in mails] + blank + bad),
        dates=pa.array(
            [day.strftime(form) for _, form in _DATE_FORMATS for day in calendar_days]
            + ["", IMPOSSIBLE_PURCHASE_DATE]
        ),
        statuses=pa.array(statuses),
        completed=np.array([done if s.lower() == "pending" else i for i, s in enumerate(statuses)]),
        methods=pa.array([method for _, method in _METHODS]),
        regions=pa.array([region for _, region in _REGIONS]),
        hundredths=pa.array([f".{i:02d}" for i in range(100)]),
    )


def _render(
    bought: _Purchases, pools: _Pools, rows: Ints, again: Flags, days: Sequence[date]
) -> pa.Table:
    """Turn records into their nine text columns (customer ids and amounts as CSV shows them).

    Args:
        bought: All transactions.
        pools: Text pools.
        rows: Positions of the records of one delivery.
        again: Which of them are redelivered; a pending one has been completed meanwhile.
        days: Delivery days.
    """
    people = len(_FIRST_NAMES) * len(_LAST_NAMES)
    dates = (len(pools.dates) - 2) // len(_DATE_FORMATS)
    customer = bought.customer[rows].astype(np.int64)
    person = bought.person[customer].astype(np.int64)
    customer_defect, amount_defect = bought.customer_defect[rows], bought.amount_defect[rows]
    date_defect = bought.date_defect[rows].astype(np.int64)

    ids = np.where(customer_defect == 3, customer + FIRST_UNKNOWN_CUSTOMER, customer + 1)
    customers = pa.array(ids, mask=customer_defect == 1).cast(pa.string())
    if (customer_defect == 2).any():
        customers = pc.if_else(pa.array(customer_defect == 2), "invalid", customers)
    cents = bought.cents[rows]
    amounts = pc.binary_join_element_wise(
        pa.array(cents // 100, mask=amount_defect == 1).cast(pa.string()),
        pools.hundredths.take(pa.array(cents % 100)),
        "",
    )
    if (amount_defect == 2).any():
        amounts = pc.if_else(pa.array(amount_defect == 2), "invalid", amounts)
    # The date pool starts a maximal lag before the first delivery.
    offsets = np.array([(day - days[0]).days for day in days]) + len(_PURCHASE_LAGS) - 1
    date_format = bought.date_format[rows].astype(np.int64)
    purchased = offsets[bought.day[rows]] - bought.lag[rows] + dates * date_format
    purchased = np.where(date_defect > 0, len(_DATE_FORMATS) * dates + date_defect - 1, purchased)
    status = bought.status[rows].astype(np.int64)
    status = np.where(again, pools.completed[status], status)
    numbers = pc.utf8_lpad(pa.array(rows + 1).cast(pa.string()), 9, "0")
    columns = (
        pc.binary_join_element_wise("TXN", numbers, ""),
        customers,
        pools.names.take(pa.array(person + people * bought.name_variant[rows])),
        pools.emails.take(pa.array(person + people * bought.email_variant[rows])),
        pools.dates.take(pa.array(purchased)),
        amounts,
        pools.statuses.take(pa.array(status)),
        pools.methods.take(pa.array(bought.method[rows])),
        pools.regions.take(pa.array(bought.region[rows])),
    )
    return pa.table(dict(zip(TRANSACTION_COLUMNS, columns, strict=True)))


def _write_transactions(
    folder: Path,
    config: GeneratorConfig,
    known_from: Sequence[int],
    weights: Floats,
    rng: np.random.Generator,
    counts: GeneratedCounts,
    report: Callable[[str], None],
) -> GeneratedCounts:
    """Write one transaction file per delivery day and add to the counts."""
    days = _delivery_days(config)
    injected = {
        name: max(1, round(config.transactions * rate)) if config.defects else 0
        for name, rate in _DEFECT_RATES.items()
    }
    spots = rng.choice(config.transactions, sum(injected.values()), replace=False)
    cuts = np.cumsum(list(injected.values()))[:-1]
    defective = dict(zip(injected, np.split(spots, cuts), strict=True))
    bought = _draw_purchases(config, days, known_from, weights, defective, rng)
    pools = _pools(days)

    last_day = len(days) - 1
    repeated = defective["duplicate_records"]
    # The last day has no later one: its records cannot come again.
    late = defective["redelivered"][bought.day[defective["redelivered"]] < last_day]
    late_day = np.minimum(bought.day[late] + rng.integers(1, 6, len(late)), last_day)
    extra = np.concatenate([repeated, late])
    extra_day = np.concatenate([bought.day[repeated], late_day])
    order = np.argsort(extra_day, kind="stable")
    extra, extra_day, is_late = extra[order], extra_day[order], (order >= len(repeated))

    starts = np.searchsorted(bought.day, np.arange(len(days) + 1))
    extra_starts = np.searchsorted(extra_day, np.arange(len(days) + 1))
    seen: dict[str, int] = {"malformed_json_lines": 0, "non_object_elements": 0, "bom_files": 0}
    for i, day in enumerate(days):
        added = slice(int(extra_starts[i]), int(extra_starts[i + 1]))
        rows = np.concatenate([np.arange(starts[i], starts[i + 1]), extra[added]])
        again = np.zeros(len(rows), dtype=np.bool_)
        again[int(starts[i + 1] - starts[i]) :] = is_late[added]
        table = _render(bought, pools, rows, again, days)
        suffix: Suffix = ".csv"
        if config.transaction_format == "mixed":
            suffix = _MIXED_ROTATION[i % len(_MIXED_ROTATION)]
        target = folder / day.isoformat() / f"transactions{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".csv":
            with target.open("wb") as sink:
                sink.write((",".join(TRANSACTION_COLUMNS) + "\n").encode())
                _append_csv(table, sink)
        else:
            # One broken line and one stray element are enough, each in the first file fit for it.
            broken = config.defects and suffix == ".jsonl" and not seen["malformed_json_lines"]
            stray = config.defects and suffix == ".json" and not seen["non_object_elements"]
            marked = i == _BOM_DELIVERY
            target.write_bytes(
                _json_bytes(table, bought.as_text[rows], suffix, broken, stray, marked)
            )
            seen["malformed_json_lines"] += broken
            seen["non_object_elements"] += stray
            seen["bom_files"] += marked
        if i == last_day or days[i + 1].month != day.month:
            report(f"transactions to {day}: {int(starts[i + 1]):,}")
    return replace(
        counts,
        transactions=config.transactions,
        transaction_records=config.transactions + len(extra),
        deliveries=len(days),
        **{**injected, "redelivered": len(late), **seen},
    )


def _json_bytes(
    table: pa.Table,
    as_text: NDArray[np.int8],
    suffix: Suffix,
    broken: bool,
    stray: bool,
    marked: bool,
) -> bytes:
    """Serialise one delivery as a JSON array or as JSON lines.

    Args:
        table: The nine columns as text.
        as_text: Per record, bit 1 keeps the customer id and bit 2 the amount as text.
        suffix: File format.
        broken: Whether to cut one JSON line short.
        stray: Whether to add an array element which is no object.
        marked: Whether to start with a byte order mark.
    """
    lines = [
        json.dumps(_typed(record, int(text)), ensure_ascii=False)
        for record, text in zip(table.to_pylist(), as_text, strict=True)
    ]
    if broken:
        # An extra line: the record it was cut from is also there in full.
        lines.insert(len(lines) // 2, lines[0][: len(lines[0]) * 2 // 3])
    if stray:
        lines.insert(len(lines) // 2, json.dumps("end of batch"))
    if suffix == ".json":
        content = "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n"
    else:
        content = "".join(f"{line}\n" for line in lines)
    data = content.encode("utf-8-sig" if marked else "utf-8")
    if suffix != ".jsonl.gz":
        return data
    packed = io.BytesIO()
    # No name and no time stamp in the header: equal content must give equal bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        stream.write(data)
    return packed.getvalue()


def _typed(record: dict[str, Any], as_text: int) -> dict[str, Any]:
    """Turn customer_id and amount of a JSON record into numbers where the source does."""
    customer, amount = record["customer_id"], record["amount"]
    if customer not in (None, "invalid") and not as_text & 1:
        record["customer_id"] = int(customer)
    if amount not in (None, "invalid") and not as_text & 2:
        record["amount"] = float(amount)
    return record


# --- command line ---------------------------------------------------------------------------


def _say(line: str) -> None:
    """Show progress; a run at benchmark scale takes a minute or two."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate from the command line; see ``--help``."""
    default = GeneratorConfig()
    parser = argparse.ArgumentParser(
        prog="python -m lakehouse_assets.airline.generator",
        description="Write a synthetic airline landing zone (flight snapshots, transactions).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="root of the landing zone")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of all draws")
    parser.add_argument(
        "--first-month",
        type=date.fromisoformat,
        default=default.first_month,
        help="first day of the first month, YYYY-MM-DD",
    )
    parser.add_argument(
        "--months", type=int, default=default.months, help="number of monthly snapshots"
    )
    parser.add_argument(
        "--members", type=int, default=default.members, help="members in the opening base"
    )
    parser.add_argument(
        "--transactions", type=int, default=default.transactions, help="distinct transactions"
    )
    parser.add_argument(
        "--format",
        choices=("mixed", "csv"),
        default=default.transaction_format,
        help="transaction files: rotating formats or CSV only",
    )
    parser.add_argument(
        "--delivery-days",
        choices=("business", "all"),
        default=default.delivery_days,
        help="deliver transactions Monday to Friday or daily",
    )
    parser.add_argument(
        "--defects",
        action=argparse.BooleanOptionalAction,
        default=default.defects,
        help="inject records a pipeline has to reject or deduplicate",
    )
    given = parser.parse_args(arguments)
    try:
        counts = generate(
            given.out,
            GeneratorConfig(
                seed=given.seed,
                first_month=given.first_month,
                months=given.months,
                members=given.members,
                transactions=given.transactions,
                transaction_format=given.format,
                delivery_days=given.delivery_days,
                defects=given.defects,
            ),
            _say,
        )
    except (ValueError, FileExistsError) as problem:
        parser.error(str(problem))
    _say(json.dumps(asdict(counts), indent=2))


if __name__ == "__main__":
    main()
