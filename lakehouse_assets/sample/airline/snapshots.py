"""Monthly snapshots of the members as CSV files."""

from __future__ import annotations

import io
from collections import Counter
from datetime import date
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from lakehouse_assets.sample.airline import profile as p
from lakehouse_assets.sample.airline.draws import us_date, us_dates, whole
from lakehouse_assets.sample.airline.members import Base


def write_snapshot(
    target: Path, base: Base, window_end: date, defects: bool, rng: np.random.Generator
) -> Counter[str]:
    """Write one flight.csv, ordered by descending base points, then defects; return counts."""
    members = np.flatnonzero(base.listed(window_end))
    rows = members[np.argsort(-base.base_points[members], kind="stable")]
    numbers = pa.array(rows + 1).cast(pa.string())
    points = base.points[rows]
    duplicates = 0
    if defects:
        duplicates = max(3, round(len(members) * p.DUPLICATE_ROWS))
        extra = rng.choice(members, duplicates + 2, replace=False)
        rows = np.concatenate([rows, extra])
        numbers = pa.chunked_array(
            [
                numbers,
                pa.array(extra[:duplicates] + 1).cast(pa.string()),
                pa.array(["", p.NON_NUMERIC_MEMBER_NO]),
            ]
        )
        # One exact copy, the others outdated, so that it matters which row is kept.
        points = np.concatenate([points, base.points[extra[:1]], 0.9 * base.points[extra[1:]]])

    last = us_dates(base.last_flight[rows])
    impossible = base.impossible[rows]
    if impossible.any():
        last = pc.if_else(pa.array(impossible), p.IMPOSSIBLE_LAST_FLIGHT, last)
    days_since = base.days_since_flight(window_end)
    picked = pa.array(rows)
    columns = (
        numbers,
        us_dates(base.joined[rows]),
        us_dates(base.first_flight[rows]),
        base.gender.take(picked),
        base.tier[rows],
        base.city.take(picked),
        base.province.take(picked),
        base.country.take(picked),
        pa.array(base.age[rows], mask=base.age_missing[rows]),
        pa.repeat(us_date(window_end), len(rows)),
        base.flights[rows],
        whole(base.base_points[rows]),
        pa.array(whole(base.revenue_1[rows]), mask=base.revenue_1_missing[rows]),
        pa.array(whole(base.revenue_2[rows]), mask=base.revenue_2_missing[rows]),
        whole(base.km[rows]),
        last,
        days_since[rows],
        np.round(base.avg_interval[rows], 8),
        base.max_interval[rows],
        base.exchanges[rows],
        base.discount[rows],
        whole(points),
        base.non_flight[rows],
    )
    table = pa.table(dict(zip(p.FLIGHT_COLUMNS, columns, strict=True)))
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        sink.write((",".join(p.FLIGHT_COLUMNS) + "\n").encode())
        if not defects:
            append_csv(table, sink)
        else:
            # One broken line in the middle and one at the end; neither may affect its neighbours.
            middle = len(members) // 3
            line = io.BytesIO()
            append_csv(table.slice(middle, 1), line)
            text = line.getvalue().decode().rstrip("\n")
            append_csv(table.slice(0, middle), sink)
            sink.write((",".join(text.split(",")[:11]) + "\n").encode())
            append_csv(table.slice(middle), sink)
            sink.write(f"{text},0,surplus\n".encode())
    broken = int(defects)
    return Counter(
        snapshots=1, flight_rows=len(rows), duplicate_member_rows=duplicates,
        empty_member_numbers=broken, non_numeric_member_numbers=broken, short_lines=broken,
        long_lines=broken, impossible_last_flights=int(impossible.sum()),
    )  # fmt: skip


def append_csv(table: pa.Table, sink: BinaryIO) -> None:
    """Append rows without a header.

    As in the real file, no value needs quoting; Arrow raises an error if one does.
    """
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    pa_csv.write_csv(table, sink, options)
