"""Daily deliveries of purchases."""

from __future__ import annotations

import calendar
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.airline.draws import Flags, Floats, Ints, month_after, stratified
from lakehouse_assets.sample.airline.profile import (
    BOM_DELIVERY,
    DATE_FORMATS,
    DEFECT_RATES,
    FIRST_NAMES,
    FIRST_UNKNOWN_CUSTOMER,
    IMPOSSIBLE_PURCHASE_DATE,
    LAST_NAMES,
    MAIL_DOMAINS,
    METHODS,
    MIXED_ROTATION,
    PURCHASE_LAGS,
    REGIONS,
    STATUSES,
    TRANSACTION_COLUMNS,
    Suffix,
)
from lakehouse_assets.sample.airline.snapshots import append_csv


@dataclass(frozen=True)
class _Purchases:
    """All distinct transactions, columns in delivery order; position 0 is TXN000000001.

    Small integer codes take the place of texts, so that ten million fit in a few hundred MB.
    The ``*_defect`` codes are 0 for valid values; see ``_render``.
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
    """Return the days with a transaction file, ascending."""
    start, end = config.first_month, month_after(config.first_month, config.months)
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
        known_from: Number of members who may buy, per month.
        weights: How often each member buys, relative to the others.
        defective: Positions of the defective transactions, by defect.
        rng: Source of randomness.
    """
    size = config.transactions
    per_day = rng.multinomial(size, np.full(len(days), 1 / len(days)))
    day = np.repeat(np.arange(len(days), dtype=np.int16), per_day)
    # Members are numbered in order of joining, so a prefix of the cumulative weights excludes those
    # who have not joined yet.
    cumulative = np.cumsum(weights)
    months = [
        (d.year - config.first_month.year) * 12 + d.month - config.first_month.month for d in days
    ]
    reach = cumulative[np.array(known_from)[months] - 1].astype(np.float64)[day]
    customer = np.searchsorted(cumulative, rng.random(size) * reach, side="right")
    customer = np.minimum(customer, len(weights) - 1).astype(np.int32)
    # Members who fly more also buy more expensive tickets, within limits.
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
        lag=stratified(rng, PURCHASE_LAGS, size),
        date_format=stratified(rng, [share for share, _ in DATE_FORMATS], size),
        date_defect=date_defect,
        name_variant=stratified(rng, (0.95, 0.03, 0.012, 0.008), size),
        email_variant=stratified(rng, (0.87, 0.09, 0.025, 0.015), size),
        status=stratified(rng, [share for share, _ in STATUSES], size),
        method=stratified(rng, [share for share, _ in METHODS], size),
        region=stratified(rng, [share for share, _ in REGIONS], size),
        as_text=stratified(rng, (0.81, 0.09, 0.08, 0.02), size).astype(np.int8),
        person=rng.integers(0, len(FIRST_NAMES) * len(LAST_NAMES), len(weights), dtype=np.int16),
    )


@dataclass(frozen=True)
class _Pools:
    """The text of every code, as Arrow arrays."""

    names: pa.Array
    emails: pa.Array
    dates: pa.Array
    statuses: pa.Array
    completed: Ints  # per status code: the code after a late settlement
    methods: pa.Array
    regions: pa.Array
    hundredths: pa.Array


def _pools(days: Sequence[date]) -> _Pools:
    """Build the text pools, ordered by variant and then by person or date."""
    people = [(first, last) for first in FIRST_NAMES for last in LAST_NAMES]
    mails = [
        f"{first}.{last}@{MAIL_DOMAINS[i % len(MAIL_DOMAINS)]}".lower()
        for i, (first, last) in enumerate(people)
    ]
    blank, dot, bad = ([text] * len(people) for text in ("", ".", "invalid-email"))
    oldest = days[0] - timedelta(days=len(PURCHASE_LAGS) - 1)
    calendar_days = [oldest + timedelta(days=i) for i in range((days[-1] - oldest).days + 1)]
    statuses = [status for _, status in STATUSES]
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
            [day.strftime(form) for _, form in DATE_FORMATS for day in calendar_days]
            + ["", IMPOSSIBLE_PURCHASE_DATE]
        ),
        statuses=pa.array(statuses),
        completed=np.array([done if s.lower() == "pending" else i for i, s in enumerate(statuses)]),
        methods=pa.array([method for _, method in METHODS]),
        regions=pa.array([region for _, region in REGIONS]),
        hundredths=pa.array([f".{i:02d}" for i in range(100)]),
    )


def _render(
    bought: _Purchases, pools: _Pools, rows: Ints, again: Flags, days: Sequence[date]
) -> pa.Table:
    """Convert records to their nine text columns, with customer ids and amounts as in CSV.

    Args:
        bought: All transactions.
        pools: Text pools.
        rows: Positions of the records of one delivery.
        again: Which of them are redelivered; pending ones have been completed by then.
        days: Delivery days.
    """
    people = len(FIRST_NAMES) * len(LAST_NAMES)
    dates = (len(pools.dates) - 2) // len(DATE_FORMATS)
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
    # The date pool starts the maximum lag before the first delivery.
    offsets = np.array([(day - days[0]).days for day in days]) + len(PURCHASE_LAGS) - 1
    date_format = bought.date_format[rows].astype(np.int64)
    purchased = offsets[bought.day[rows]] - bought.lag[rows] + dates * date_format
    purchased = np.where(date_defect > 0, len(DATE_FORMATS) * dates + date_defect - 1, purchased)
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


def write_transactions(
    folder: Path,
    config: GeneratorConfig,
    known_from: Sequence[int],
    weights: Floats,
    rng: np.random.Generator,
    report: Callable[[str], None],
) -> Counter[str]:
    """Write one transaction file per delivery day; return counts, with defects by name."""
    days = _delivery_days(config)
    injected = {
        name: max(1, round(config.transactions * rate)) if config.defects else 0
        for name, rate in DEFECT_RATES.items()
    }
    spots = rng.choice(config.transactions, sum(injected.values()), replace=False)
    cuts = np.cumsum(list(injected.values()))[:-1]
    defective = dict(zip(injected, np.split(spots, cuts), strict=True))
    bought = _draw_purchases(config, days, known_from, weights, defective, rng)
    pools = _pools(days)

    last_day = len(days) - 1
    repeated = defective["duplicate_records"]
    # Records of the last day cannot be redelivered, because there is no later day.
    late = defective["redelivered"][bought.day[defective["redelivered"]] < last_day]
    late_day = np.minimum(bought.day[late] + rng.integers(1, 6, len(late)), last_day)
    extra = np.concatenate([repeated, late])
    extra_day = np.concatenate([bought.day[repeated], late_day])
    order = np.argsort(extra_day, kind="stable")
    extra, extra_day, is_late = extra[order], extra_day[order], (order >= len(repeated))

    starts = np.searchsorted(bought.day, np.arange(len(days) + 1))
    extra_starts = np.searchsorted(extra_day, np.arange(len(days) + 1))
    seen: Counter[str] = Counter()
    for i, day in enumerate(days):
        added = slice(int(extra_starts[i]), int(extra_starts[i + 1]))
        rows = np.concatenate([np.arange(starts[i], starts[i + 1]), extra[added]])
        again = np.zeros(len(rows), dtype=np.bool_)
        again[int(starts[i + 1] - starts[i]) :] = is_late[added]
        table = _render(bought, pools, rows, again, days)
        suffix: Suffix = ".csv"
        if config.transaction_format == "mixed":
            suffix = MIXED_ROTATION[i % len(MIXED_ROTATION)]
        target = folder / day.isoformat() / f"transactions{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".csv":
            with target.open("wb") as sink:
                sink.write((",".join(TRANSACTION_COLUMNS) + "\n").encode())
                append_csv(table, sink)
        else:
            # One broken line and one stray element, each in the first file of its format.
            broken = config.defects and suffix == ".jsonl" and not seen["malformed_json_lines"]
            stray = config.defects and suffix == ".json" and not seen["non_object_elements"]
            marked = i == BOM_DELIVERY
            target.write_bytes(
                _json_bytes(table, bought.as_text[rows], suffix, broken, stray, marked)
            )
            seen["malformed_json_lines"] += broken
            seen["non_object_elements"] += stray
            seen["bom_files"] += marked
        if i == last_day or days[i + 1].month != day.month:
            report(f"transactions to {day}: {int(starts[i + 1]):,}")
    return seen + Counter(
        {
            **injected, "redelivered": len(late), "transactions": config.transactions,
            "transaction_records": config.transactions + len(extra), "deliveries": len(days),
        }
    )  # fmt: skip


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
        broken: Whether to add a truncated JSON line.
        stray: Whether to add an array element that is not an object.
        marked: Whether to start with a byte order mark.
    """
    lines = [
        json.dumps(_typed(record, int(text)), ensure_ascii=False)
        for record, text in zip(table.to_pylist(), as_text, strict=True)
    ]
    if broken:
        # An extra line: the truncated record is also there in full.
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
    # Without name and time stamp in the header, equal content gives equal bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        stream.write(data)
    return packed.getvalue()


def _typed(record: dict[str, Any], as_text: int) -> dict[str, Any]:
    """Convert customer_id and amount of a JSON record to numbers where the source does."""
    customer, amount = record["customer_id"], record["amount"]
    if customer not in (None, "invalid") and not as_text & 1:
        record["customer_id"] = int(customer)
    if amount not in (None, "invalid") and not as_text & 2:
        record["amount"] = float(amount)
    return record
