"""Reference data of the retail domain.

`devices.csv` has the history of the thermostats and visitor counters: each row holds from its day
`valid_from` until the day before `valid_to`, in UTC; the last row of a device has no `valid_to`. To
replace a device or change its limits, end its last row and add one. Temperatures are in F, battery
levels in percent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Final, cast
from zoneinfo import ZoneInfo

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa

# City, named as in dim_places, country and time zone of each store, in order of store number.
_STORES = (
    ("Miami", "US", "America/New_York"), ("San Diego", "US", "America/Los_Angeles"),
    ("New York", "US", "America/New_York"), ("San Francisco", "US", "America/Los_Angeles"),
    ("Las Vegas", "US", "America/Los_Angeles"), ("London", "GB", "Europe/London"),
    ("Dubai", "AE", "Asia/Dubai"), ("Singapore", "SG", "Asia/Singapore"),
    ("Tokyo", "JP", "Asia/Tokyo"), ("Chicago", "US", "America/Chicago"),
)  # fmt: skip

LONGEST_LAG: Final = 60
"""Most minutes between a crowd and its heat, and between its end and the temperature before it."""


def stores() -> pa.Table:
    """Return the stores: `store`, `store_id`, `city`, `country_code` and `time_zone`."""
    import pyarrow as pa

    cities, countries, zones = zip(*_STORES, strict=True)
    numbers = range(1, len(_STORES) + 1)
    return pa.table(
        {
            "store": pa.array(numbers, pa.int32()),
            "store_id": [f"S{number:03}" for number in numbers],
            "city": cities,
            "country_code": countries,
            "time_zone": zones,
        }
    )


def lags() -> pa.Table:
    """Return the minutes by which heat may follow a crowd: `lag`, 0 to 60."""
    import pyarrow as pa

    return pa.table({"lag": pa.array(range(LONGEST_LAG + 1), pa.int64())})


@lru_cache(maxsize=1)
def store_clocks() -> pa.Table:
    """Return how far each store's clock is from UTC, and when.

    Columns: `store_id`, `from_minute` and `until_minute` (minutes since 1970 in UTC, the second no
    longer included) and `offset_minutes`, to be added to UTC. Summer time is as of the installed
    time zone data for the years 2020 to 2040; before and after, the nearest offset holds.
    """
    import pyarrow as pa

    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 60 for year in (2020, 2041))
    rows = []
    for store in stores().to_pylist():
        zone = ZoneInfo(store["time_zone"])
        # Clocks change at whole hours.
        hours = range(first, last, 60)
        days = hours[::24]
        changed = [
            hour
            for day, after in pairwise([*days, last])
            if _offset(zone, day) != _offset(zone, after)
            for hour in range(day + 60, after + 60, 60)
            if _offset(zone, hour) != _offset(zone, hour - 60)
        ]
        begins = [0, *changed]
        rows += [
            {
                "store_id": store["store_id"],
                "from_minute": begin,
                "until_minute": end,
                "offset_minutes": _offset(zone, max(begin, first)),
            }
            for begin, end in pairwise([*begins, 2**40])
        ]
    return pa.Table.from_pylist(rows)


def _offset(zone: ZoneInfo, minute: int) -> int:
    """Return how far a zone is from UTC in a minute since 1970."""
    offset = datetime.fromtimestamp(minute * 60, zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) // 60


@lru_cache(maxsize=1)
def devices() -> pa.Table:
    """Return every known device once, where it is today: `device_id`, `store_id` and `city`."""
    import pyarrow as pa

    latest = {row["device_id"]: row["store_id"] for row in device_history().to_pylist()}
    cities = {row["store_id"]: row["city"] for row in stores().to_pylist()}
    return pa.table(
        {
            "device_id": [*latest],
            "store_id": [*latest.values()],
            "city": [cities[store_id] for store_id in latest.values()],
        }
    )


@lru_cache(maxsize=1)
def device_history() -> pa.Table:
    """Return the history of the devices, by device and day.

    Columns: `device_id`, `store_id`, `model`, `installed_on`, `temp_low`, `temp_high`,
    `battery_limit`, `valid_from` and `valid_to`.
    """
    with files(__package__).joinpath("devices.csv").open("rb") as stream:
        return read_devices(stream)


def read_devices(stream: IO[bytes]) -> pa.Table:
    """Read a history of devices as `devices.csv` has it.

    Raises:
        LakehouseError: two rows of a device are valid on the same day, a store is not known, or
            limits or days are in the wrong order; the message names the lines.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    limit = pa.decimal128(4, 1)
    types = {
        "device_id": pa.string(), "store_id": pa.string(), "model": pa.string(),
        "installed_on": pa.date32(), "temp_low": limit, "temp_high": limit,
        "battery_limit": pa.int32(), "valid_from": pa.date32(), "valid_to": pa.date32(),
    }  # fmt: skip
    options = pa_csv.ConvertOptions(column_types=types, include_columns=[*types])
    rows = cast("pa.Table", pa_csv.read_csv(stream, convert_options=options))
    known = {*stores()["store_id"].to_pylist()}
    wrong = []
    numbered = [*enumerate(rows.to_pylist(), start=2)]
    for line, row in numbered:
        if None in (row[name] for name in types if name != "valid_to"):
            wrong.append(f"line {line} lacks a value")
            continue
        if row["store_id"] not in known:
            wrong.append(f"line {line}: no store is called {row['store_id']}")
        if row["temp_low"] >= row["temp_high"]:
            wrong.append(f"line {line}: temp_low is not below temp_high")
        if row["valid_to"] is not None and row["valid_to"] <= row["valid_from"]:
            wrong.append(f"line {line}: valid_to is not after valid_from")
    if not wrong:
        ordered = sorted(numbered, key=lambda item: (item[1]["device_id"], item[1]["valid_from"]))
        for (line, row), (next_line, after) in pairwise(ordered):
            same = row["device_id"] == after["device_id"]
            if same and (row["valid_to"] is None or row["valid_to"] > after["valid_from"]):
                wrong.append(
                    f"lines {line} and {next_line}: both are valid for {row['device_id']} on "
                    f"{after['valid_from']}"
                )
    if wrong:
        raise LakehouseError(f"The history of devices is wrong, correct it: {'; '.join(wrong)}.")
    return rows.sort_by([("device_id", "ascending"), ("valid_from", "ascending")])
