"""Values come out of databases as exactly as they are in there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakehouse_assets.ingest.exact_text import value_as_text
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.sources.served import in_one_form
from lakehouse_assets_tests.sources.conftest import KINDS
from lakehouse_assets_tests.sources.samples import SOURCE, copied, rows_in

_FEW = settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
SNAPSHOT = replace(SOURCE, cursor=None)
EAST = timezone(timedelta(hours=5, minutes=45))
_TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("\"',\\\n\r\t é😀"),
    max_size=20,
)
_ROW = st.tuples(
    st.none() | st.integers(-(10**28) + 1, 10**28 - 1).map(lambda n: Decimal(n).scaleb(-10)),
    # SQLite keeps no negative zero.
    st.none() | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False).map(
        lambda number: number + 0.0
    ),
    st.none() | st.dates(date(1000, 1, 1)),
    st.none() | st.datetimes(datetime(1000, 1, 1)),
    st.none() | st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30),
                             timezones=st.sampled_from((UTC, EAST))),
    st.none() | st.booleans(),
    st.none() | _TEXT,
)  # fmt: skip
EXTREMES = [
    (Decimal("9" * 28 + "." + "9" * 10), 5e-324 * 2**60, date(9999, 12, 31),
     datetime(9999, 12, 31, 23, 59, 59, 999_999), datetime(2021, 3, 28, 1, 30, tzinfo=UTC), True,
     'a "quoted", line\nbreak \\ and \\n, 漢字 😀'),
    (Decimal("-0.0000000001"), 1.7976931348623157e308, date(1000, 1, 1), datetime(1000, 1, 1),
     datetime(2021, 10, 31, 6, 15, 0, 1, tzinfo=EAST), False, ""),
    (Decimal("0E-10"), 0.1, None, datetime(2021, 9, 6, 1, 2, 3, 40_000), None, None, '""'),
    (None, None, None, None, None, None, None),
    (None, None, None, None, None, None, ","),
]  # fmt: skip


def stored(kind, row):
    """What a database is given, where it cannot take the value itself."""
    values = list(row)
    if kind == "mysql" and row[4] is not None:
        # It has no type for moments with a zone that reaches further than 2038.
        values[4] = row[4].astimezone(UTC).replace(tzinfo=None)
    if kind == "sqlite":
        values = [v if isinstance(v, (float, bool)) else value_as_text(v) for v in row]
    return values


def expected(kind, row):
    found = [value_as_text(value) for value in row]
    if kind == "mysql" and found[4] is not None:
        found[4] = found[4].removesuffix("Z")
    return tuple(found)


def as_number(row):
    """Databases choose other digits for the same floating-point number."""
    return (*row[:2], None if row[2] is None else float(row[2]), *row[3:])


@pytest.mark.parametrize("database", KINDS, indirect=True)
@given(drawn=st.lists(_ROW, max_size=8))
@_FEW
def test_any_value_is_delivered_exactly(database, tmp_path_factory, drawn):
    rows = [*EXTREMES, *drawn]
    database.make_table()
    database.insert([(n, *stored(database.kind, row)) for n, row in enumerate(rows)])
    zone = LandingZone(tmp_path_factory.mktemp("zone"))
    assert copied(zone, database).rows == len(rows)
    wanted = [(str(n), *expected(database.kind, row)) for n, row in enumerate(rows)]
    if database.kind == "mysql":
        # A boolean of MySQL is a small number.
        words = {"true": "1", "false": "0", None: None}
        wanted = [(*row[:6], words[row[6]], row[7]) for row in wanted]
    found = rows_in(zone)
    assert all("e" not in (row[2] or "") for row in found)
    assert [as_number(row) for row in found] == [as_number(row) for row in wanted]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_postgresql_beyond_python(database, zone):
    database.make_table(
        ("bigint", "numeric", "real", "date", "timestamp", "timestamptz", "bytea", "time")
    )
    database.run(
        "INSERT INTO orders VALUES (1, 'NaN', 'Infinity', '0044-03-15 BC', 'infinity', "
        "'-infinity', '\\x00ff', '06:30:00.250'), (2, 1e40, 0.1, '10000-01-01', "
        "'10000-01-01 00:00:00.5', '1900-01-01 00:00:00+01', '', '24:00:00')"
    )
    copied(zone, database, SNAPSHOT)
    assert rows_in(zone) == [
        ("1", "nan", "inf", "0044-03-15 BC", "infinity", "-infinity", "0x00ff", "06:30:00.25"),
        ("2", "1" + "0" * 40, "0.1", "10000-01-01", "10000-01-01T00:00:00.5",
         "1899-12-31T23:00:00Z", "0x", "24:00:00"),
    ]  # fmt: skip


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
def test_mysql_beyond_python(database, zone):
    database.make_table(
        ("bigint unsigned", "decimal(65,30)", "float", "date", "time(2)", "timestamp(3)",
         "varbinary(9)", "json")
    )  # fmt: skip
    database.run(
        "SET time_zone = '+05:45'",
        "SET sql_mode = ''",
        "INSERT INTO orders VALUES (18446744073709551615, " + "9" * 35 + "." + "9" * 30 + ", "
        "16777217, '0000-00-00', '838:59:59', '2021-09-06 05:45:00.125', x'00ff', "
        '\'{"a": "b"}\')',
    )
    copied(zone, database, SNAPSHOT)
    assert rows_in(zone) == [
        ("18446744073709551615", "9" * 35 + "." + "9" * 30, "16777216", "0000-00-00",
         "838:59:59.00", "2021-09-06T00:00:00.125Z", "0x00ff", '{"a": "b"}'),
    ]  # fmt: skip


def test_text_of_servers_takes_the_one_form():
    cases = {
        "decimal": {".5": "0.5", "-.50": "-0.50", "1E+3": "1000", "12": "12", None: None},
        "real": {"1e-7": "0.0000001", "-Infinity": "-inf", "NaN": "nan", "1E999999": "1E999999"},
        "boolean": {"t": "true", "F": "false", "1": "true", "maybe": "maybe", None: None},
        "moment": {
            "2021-09-06 01:02:03.0400000": "2021-09-06T01:02:03.04",
            "2021-09-06T01:02:00": "2021-09-06T01:02:00",
            "2021-09-06T01:02:00Z": "2021-09-06T01:02:00Z",
            "infinity": "infinity",
            None: None,
        },
        "zoned": {
            "2021-09-06 01:02:03+00": "2021-09-06T01:02:03Z",
            "2021-09-06T01:02:03.1200000+00:00": "2021-09-06T01:02:03.12Z",
            "2021-09-06T01:02:03Z": "2021-09-06T01:02:03Z",
            "2021-09-06 01:02:03+05": "2021-09-06 01:02:03+05",
            None: None,
        },
        "time": {"06:30:00.000000": "06:30:00", "06:30:10": "06:30:10", None: None},
        "bytes": {"\\x00FF": "0x00ff", "00FF": "0x00ff", "0x00ff": "0x00ff", "": "0x"},
        "text": {"1e3": "1e3", "t": "t", ".5": ".5"},
    }
    for kind, pairs in cases.items():
        found = in_one_form(pa.array(pairs, pa.string()), kind)
        assert found.to_pylist() == list(pairs.values()), kind
