"""Typed values become text from which the same values can be read again."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.ingest.exact_text import array_as_text, value_as_text

_MANY = settings(max_examples=60, deadline=None)
_DECIMALS = st.integers(0, 38).flatmap(
    lambda scale: st.tuples(
        st.just(scale), st.lists(st.integers(-(10**38) + 1, 10**38 - 1), max_size=5)
    )
)


def texts(values, kind):
    return array_as_text(pa.array(values, kind)).to_pylist()


@given(_DECIMALS)
@_MANY
def test_decimals_of_38_digits_keep_every_digit_and_place(drawn):
    scale, numbers = drawn
    # Not by an operation, which would round to the 28 digits of Python's context.
    values = [Decimal((n < 0, tuple(int(digit) for digit in str(abs(n))), -scale)) for n in numbers]
    for found in (texts(values, pa.decimal128(38, scale)), [value_as_text(v) for v in values]):
        assert [Decimal(text) for text in found] == values
        assert all(len(text.partition(".")[2]) == scale for text in found)
        assert all("e" not in text.lower() for text in found)


@given(st.lists(st.floats(), max_size=5))
@_MANY
def test_floating_point_is_the_shortest_text_of_the_same_number(values):
    found = texts(values, pa.float64())
    assert found == [value_as_text(value) for value in values]
    for text, value in zip(found, values, strict=True):
        assert "e" not in text
        assert float(text) == value or (math.isnan(value) and text == "nan")


@given(st.lists(st.datetimes(timezones=st.timezones()), max_size=5))
@_MANY
def test_moments_with_a_zone_are_written_in_utc(values):
    inside = [v for v in values if 2 < v.year < 9998]
    found = texts(inside, pa.timestamp("us", "UTC"))
    assert found == [value_as_text(value) for value in inside]
    # To Python, a moment of the hour that a clock shows twice equals none of another zone.
    assert [datetime.fromisoformat(text) for text in found] == [v.astimezone(UTC) for v in inside]
    assert texts(inside, pa.timestamp("us", "Asia/Kathmandu")) == found
    assert all(text.endswith("Z") for text in found)


@given(st.lists(st.datetimes(), max_size=5), st.lists(st.dates(), max_size=5))
@_MANY
def test_moments_and_days_without_a_zone_reach_to_the_ends_of_the_calendar(moments, days):
    found = texts(moments, pa.timestamp("us"))
    assert found == [value_as_text(value) for value in moments]
    assert [datetime.fromisoformat(text) for text in found] == moments
    assert texts(days, pa.date32()) == texts(days, pa.date64()) == [d.isoformat() for d in days]
    assert [value_as_text(day) for day in days] == [d.isoformat() for d in days]


@given(st.lists(st.none() | st.text(), max_size=8))
@_MANY
def test_text_stays_as_it_is(values):
    kinds = (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))
    for kind in kinds:
        assert texts(values, kind) == values
    assert [value_as_text(value) for value in values] == values


def test_each_type_as_the_table_of_the_module_says():
    cases = [
        ([True, False, None], pa.bool_(), ["true", "false", None]),
        ([None], pa.null(), [None]),
        ([-(2**63), 2**63 - 1], pa.int64(), ["-9223372036854775808", "9223372036854775807"]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([1e20, 1e-7, -0.0, None], pa.float64(), ["1" + "0" * 20, "0.0000001", "-0", None]),
        ([1000, None], pa.decimal128(5, -3), ["1000", None]),
        ([date(1, 1, 1), date(9999, 12, 31)], pa.date32(), ["0001-01-01", "9999-12-31"]),
        ([time(6, 30, 0, 250_000), time(6, 30)], pa.time64("us"), ["06:30:00.25", "06:30:00"]),
        ([1, 10**9], pa.timestamp("ns"), ["1970-01-01T00:00:00.000000001", "1970-01-01T00:00:01"]),
        ([b"\x00\xff", None], pa.binary(), ["0x00ff", None]),
        ([uuid.UUID(int=1).bytes], pa.uuid(), ["00000000-0000-0000-0000-000000000001"]),
    ]
    for values, kind, expected in cases:
        assert texts(values, kind) == expected, kind
    east = timezone(timedelta(hours=5, minutes=45))
    assert value_as_text(datetime(2021, 9, 6, 5, 45, tzinfo=east)) == "2021-09-06T00:00:00Z"
    assert value_as_text(datetime(2021, 9, 6, tzinfo=UTC)) == "2021-09-06T00:00:00Z"
    assert value_as_text(timedelta(hours=6, microseconds=250)) == "06:00:00.00025"
    assert value_as_text(time(6, 30)) == "06:30:00"
    assert value_as_text(b"\x00\xff") == "0x00ff"
    assert value_as_text(1e16) == "1" + "0" * 16
    assert value_as_text(uuid.UUID(int=1)) == "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.struct({"a": pa.int8()})])
def test_what_has_no_text_is_an_error(kind):
    with pytest.raises(TypeError):
        array_as_text(pa.nulls(1, kind))
    with pytest.raises(TypeError):
        value_as_text([])


def test_moments_at_and_beyond_the_ends_of_the_calendar():
    far = pa.array([253_402_300_799_000_000, -62_135_596_800_000_000, 2**62], pa.int64())
    for zone, end in ((None, ""), ("UTC", "Z")):
        assert array_as_text(far.cast(pa.timestamp("us", zone))).to_pylist() == [
            f"9999-12-31T23:59:59{end}", f"0001-01-01T00:00:00{end}",
            "<value out of range: 4611686018427387904>",
        ]  # fmt: skip
