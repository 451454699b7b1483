"""Daily deliveries of purchases."""

from __future__ import annotations

import calendar
import gzip
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lakehouse_assets.sample.airline import profile as p
from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.airline.draws import Flags, Floats, Ints, month_after, stratified
from lakehouse_assets.sample.airline.snapshots import append_csv

# How small integer codes are drawn, which take the place of texts, so that ten million transactions
# fit in a few hundred MB. Names and e-mail addresses are plain, otherwise written, blank or wrong.
# The bits of `as_text` keep the customer id and the amount as text, in JSON only.
_CODES: dict[str, Sequence[float]] = {
    "lag": p.PURCHASE_LAGS,
    "date_format": [share for share, _ in p.DATE_FORMATS],
    "name": (0.95, 0.03, 0.012, 0.008),
    "email": (0.87, 0.09, 0.025, 0.015),
    "status": [share for share, _ in p.STATUSES],
    "method": [share for share, _ in p.METHODS],
    "region": [share for share, _ in p.REGIONS],
    "as_text": (0.81, 0.09, 0.08, 0.02),
}
_DEFECTS = {name: code for code, name in enumerate(p.DEFECT_RATES, start=1)}
_PEOPLE = [(first, last) for first in p.FIRST_NAMES for last in p.LAST_NAMES]


@dataclass(frozen=True)
class _Purchases:
    """All distinct transactions, columns in delivery order; position 0 is TXN000000001."""

    day: NDArray[np.int16]
    customer: NDArray[np.int32]
    cents: NDArray[np.int32]
    defect: NDArray[np.int8]  # 0 for none; see `_DEFECTS`
    codes: dict[str, NDArray[np.int16]]
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
    defect = np.zeros(size, dtype=np.int8)
    for name, spots in defective.items():
        defect[spots] = _DEFECTS[name]
    return _Purchases(
        day=day,
        customer=customer,
        cents=np.clip(np.rint(cents), 5_000, 9_999_999).astype(np.int32),
        defect=defect,
        codes={name: stratified(rng, shares, size) for name, shares in _CODES.items()},
        person=rng.integers(0, len(_PEOPLE), len(weights), dtype=np.int16),
    )


def _pools(days: Sequence[date]) -> dict[str, pa.Array]:
    """Return the text of every code; names by variant and then person, dates by format and day."""
    plain = [f"{first} {last}" for first, last in _PEOPLE]
    mails = [
        f"{first}.{last}@{p.MAIL_DOMAINS[i % len(p.MAIL_DOMAINS)]}".lower()
        for i, (first, last) in enumerate(_PEOPLE)
    ]
    blank, dot, bad = ([text] * len(_PEOPLE) for text in ("", ".", "invalid-email"))
    pools = {
        "name": [*plain, *(name.replace(" ", "  ") for name in plain), *blank, *dot],
        "email": [*mails, *(mail.upper() for mail in mails), *blank, *bad],
        "date": [day.strftime(form) for _, form in p.DATE_FORMATS for day in days],
        "status": [status for _, status in p.STATUSES],
        "method": [method for _, method in p.METHODS],
        "region": [region for _, region in p.REGIONS],
        "hundredths": [f".{i:02d}" for i in range(100)],
    }
    return {name: pa.array(texts) for name, texts in pools.items()}


def _calendar(days: Sequence[date]) -> list[date]:
    """Return all days on which the purchases of some delivery days can have been made."""
    oldest = days[0] - timedelta(days=len(p.PURCHASE_LAGS) - 1)
    return [oldest + timedelta(days=i) for i in range((days[-1] - oldest).days + 1)]


def _render(
    bought: _Purchases, pools: dict[str, pa.Array], rows: Ints, again: Flags, offsets: Ints
) -> pa.Table:
    """Convert records to their nine text columns, with customer ids and amounts as in CSV.

    Args:
        bought: All transactions.
        pools: Text of the codes.
        rows: Positions of the records of one delivery.
        again: Which of them are redelivered; pending ones have been completed by then.
        offsets: Position of each delivery day in the calendar of the date pool.
    """
    customer, cents = bought.customer[rows].astype(np.int64), bought.cents[rows].astype(np.int64)
    defect, person = bought.defect[rows], bought.person[customer].astype(np.int64)
    codes = {name: values[rows].astype(np.int64) for name, values in bought.codes.items()}

    def texts(pool: str, positions: Ints) -> pa.Array:
        return pools[pool].take(pa.array(positions))

    def wrong(values: pa.Array, **instead: str | None) -> pa.Array:
        for name, text in instead.items():
            found = defect == _DEFECTS[name]
            if found.any():
                values = pc.if_else(pa.array(found), pa.scalar(text, pa.string()), values)
        return values

    unknown = defect == _DEFECTS["unknown_customers"]
    customers = pa.array(customer + np.where(unknown, p.FIRST_UNKNOWN_CUSTOMER, 1))
    amounts = pc.binary_join_element_wise(
        pa.array(cents // 100).cast(pa.string()), texts("hundredths", cents % 100), ""
    )
    days = len(pools["date"]) // len(p.DATE_FORMATS)
    dates = texts("date", offsets[bought.day[rows]] - codes["lag"] + days * codes["date_format"])
    done = pc.utf8_lower(texts("status", codes["status"]))
    settled = pc.and_(pa.array(again), pc.equal(done, "pending"))
    numbers = pc.utf8_lpad(pa.array(rows + 1).cast(pa.string()), 9, "0")
    columns = (
        pc.binary_join_element_wise("TXN", numbers, ""),
        wrong(customers.cast(pa.string()), null_customers=None, invalid_customers="invalid"),
        texts("name", person + len(_PEOPLE) * codes["name"]),
        texts("email", person + len(_PEOPLE) * codes["email"]),
        wrong(dates, empty_dates="", impossible_dates=p.IMPOSSIBLE_PURCHASE_DATE),
        wrong(amounts, null_amounts=None, invalid_amounts="invalid"),
        pc.if_else(settled, "completed", texts("status", codes["status"])),
        texts("method", codes["method"]),
        texts("region", codes["region"]),
    )
    return pa.table(dict(zip(p.TRANSACTION_COLUMNS, columns, strict=True)))


def write_transactions(
    folder: Path,
    config: GeneratorConfig,
    known_from: Sequence[int],
    weights: Floats,
    rng: np.random.Generator,
) -> Counter[str]:
    """Write one transaction file per delivery day; return counts, with defects by name."""
    days = _delivery_days(config)
    injected = {
        name: max(1, round(config.transactions * rate)) if config.defects else 0
        for name, rate in p.DEFECT_RATES.items()
    }
    spots = rng.choice(config.transactions, sum(injected.values()), replace=False)
    cuts = np.cumsum(list(injected.values()))[:-1]
    defective = dict(zip(injected, np.split(spots, cuts), strict=True))
    bought = _draw_purchases(config, days, known_from, weights, defective, rng)
    calendar_days = _calendar(days)
    pools = _pools(calendar_days)
    offsets = np.array([(day - calendar_days[0]).days for day in days])

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
        table = _render(bought, pools, rows, again, offsets)
        suffix: p.Suffix = ".csv"
        if config.transaction_format == "mixed":
            suffix = p.MIXED_ROTATION[i % len(p.MIXED_ROTATION)]
        target = folder / day.isoformat() / f"transactions{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".csv":
            with target.open("wb") as sink:
                sink.write((",".join(p.TRANSACTION_COLUMNS) + "\n").encode())
                append_csv(table, sink)
        else:
            # One broken line and one stray element, each in the first file of its format.
            broken = config.defects and suffix == ".jsonl" and not seen["malformed_json_lines"]
            stray = config.defects and suffix == ".json" and not seen["non_object_elements"]
            marked = i == p.BOM_DELIVERY
            target.write_bytes(
                _json_bytes(table, bought.codes["as_text"][rows], suffix, broken, stray, marked)
            )
            seen["malformed_json_lines"] += broken
            seen["non_object_elements"] += stray
            seen["bom_files"] += marked
    return seen + Counter(
        {
            **injected, "redelivered": len(late), "transactions": config.transactions,
            "transaction_records": config.transactions + len(extra), "deliveries": len(days),
        }
    )  # fmt: skip


def _json_bytes(
    table: pa.Table,
    as_text: NDArray[np.int16],
    suffix: p.Suffix,
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
