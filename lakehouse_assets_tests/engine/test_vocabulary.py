"""Each word of the vocabulary against a model in plain Python, on hostile values.

A test hands many values to one query: starting queries costs more than running them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakehouse_assets.engine import F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.errors import LakehouseError

# A failure lists the values it is about, so that nothing has to be shrunk.
_BATCHES = settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
_SIZE = 500
_WIDE = Context(prec=200)

BLANKS = [*v.WHITE_SPACE]
HOSTILE = [
    None, "", " ", "\u3000", "\ufeff", "\u200b", "0", "-0", "+0", "00042", "42", "+42", "-42",
    "42.", "42.0", "42.000", "42.5", ".5", "-.5", "1.", ".", "-", "+", "--1", "+-1", "1e3", "1E3",
    "1e", "e3", "1e+3", "1e-3", "5e-3", "1e99", "1e100", "1_000", "1,000", "0x10", "1L", "1d", "1f",
    "NaN", "nan", "inf", "-Infinity", "null", "NULL", "true", " 42", "42 ", "\t42", "42\n", "4 2",
    "\uff14\uff12", "\u0664\u0662", "\u00b2", "\u00bd", "12abc", "999999999999999999",
    "-999999999999999999", "1000000000000000000", "9223372036854775807", "9223372036854775808",
    "99999999999999999999", "100000000000000000000", "0.005", "0.004999999999999999999", "-0.005",
    "1.255", "2.675", "1.005", "9999999999999999.99", "9999999999999999.994",
    "9999999999999999.995", "10000000000000000", "1e15", "1e16", "12345678901234567890.5e-4",
    "0.1", "123456789012345678.9", "1\x00", "\u20281",
]  # fmt: skip

digits = st.text("0123456789", min_size=1, max_size=22)
numbers_as_text = st.builds(
    lambda sign, whole, point, part, exponent: f"{sign}{whole}{point}{part}{exponent}",
    st.sampled_from(["", "+", "-", " ", "--"]),
    st.one_of(st.just(""), digits),
    st.sampled_from(["", ".", ",", ".."]),
    st.one_of(st.just(""), st.text("0123456789", max_size=12), st.text("045", max_size=4)),
    st.one_of(
        st.just(""),
        st.builds(
            lambda e, sign, n: f"{e}{sign}{n}",
            st.sampled_from(["e", "E"]),
            st.sampled_from(["", "+", "-"]),
            st.sampled_from(["", "0", "1", "3", "7", "12", "25", "99", "100"]),
        ),
    ),
)
texts = st.text(
    st.one_of(
        st.sampled_from(BLANKS),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=12,
)
maybe_numbers = st.lists(
    st.one_of(numbers_as_text, numbers_as_text, texts, st.sampled_from(HOSTILE[:-2])),
    min_size=_SIZE,
    max_size=_SIZE,
)


def run(engine: Any, rows: dict[str, Any], word: Callable[..., Any], *columns: str) -> list[Any]:
    """Apply a word to every row, in order."""
    table = pa.table({"n": pa.array(range(len(next(iter(rows.values()))))), **rows})
    with engine.scope():
        frame = engine.from_arrow(table).select("n", word(*map(F.col, columns)).alias("x"))
        found = {row["n"]: row["x"] for row in engine.rows(frame)}
    return [found[n] for n in range(table.num_rows)]


def column(values: Sequence[Any], kind: pa.DataType | None = None) -> dict[str, pa.Array]:
    return {"a": pa.array(values, kind or pa.string())}


def differing(values: Sequence[Any], got: Sequence[Any], want: Sequence[Any]) -> list[Any]:
    triples = list(zip(values, got, want, strict=True))
    return [
        t for t in triples if t[1] != t[2] or isinstance(t[1], float) != isinstance(t[2], float)
    ]


_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")


def whole_number_model(text: str | None) -> int | None:
    if text is None or not _WHOLE.fullmatch(text):
        return None
    return int(text.split(".")[0])


def decimal_model(text: str | None, precision: int = 18, scale: int = 2) -> Decimal | None:
    if text is None or not _NUMBER.fullmatch(text):
        return None
    try:
        value = Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _WIDE)
    except InvalidOperation:
        return None
    return value if abs(value) < Decimal(10) ** (precision - scale) else None


def real_model(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text) else None


def half_up_model(value: float | int | Decimal | None, places: int) -> float | None:
    if value is None:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return value
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return float(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _WIDE))


def date_model(text: str | None, formats: Sequence[str]) -> date | None:
    for pattern in ("yyyy-M-d", "yyyy/M/d", *formats):
        shape = re.sub("yyyy", "(?P<y>[1-9][0-9]{3})", re.escape(pattern))
        shape = re.sub("M+", "(?P<m>[0-9]{1,2})", shape, count=1)
        shape = re.sub("(?<![?P<])d+", "(?P<d>[0-9]{1,2})", shape, count=1)
        match = re.fullmatch(shape, text or "")
        if match:
            try:
                return date(int(match["y"]), int(match["m"]), int(match["d"]))
            except ValueError:
                continue
    return None


def text_model(value: str | None) -> str | None:
    return (value or "").strip(v.WHITE_SPACE) or None


@_BATCHES
@given(st.lists(st.one_of(texts, st.none()), min_size=_SIZE, max_size=_SIZE))
def test_text(engine, values):
    got = run(engine, column(values), v.text, "a")
    assert differing(values, got, [text_model(value) for value in values]) == []


def test_text_knows_every_unicode_blank(engine):
    unicode_blanks = [chr(n) for n in range(0x110000) if chr(n).isspace()]
    assert set(unicode_blanks) <= set(v.WHITE_SPACE)
    values = [f"{blank}a{blank}b{blank}" for blank in v.WHITE_SPACE]
    got = run(engine, column(values), v.text, "a")
    assert got == [f"a{blank}b" for blank in v.WHITE_SPACE]


def test_without(engine):
    values = ["-", ".", "--", "", None, " -", "x", "N/A"]
    got = run(engine, column(values), lambda c: v.without(c, ("-", ".", "N/A")), "a")
    assert got == [None, None, "--", "", None, " -", "x", None]


@_BATCHES
@given(maybe_numbers)
def test_whole_number(engine, values):
    got = run(engine, column(values), v.whole_number, "a")
    assert differing(values, got, [whole_number_model(value) for value in values]) == []


@_BATCHES
@given(maybe_numbers)
def test_small_number(engine, values):
    got = run(engine, column(values), v.small_number, "a")
    numbers = [whole_number_model(value) for value in values]
    fitting = [n if n is not None and -(2**31) <= n < 2**31 else None for n in numbers]
    assert differing(values, got, fitting) == []


def test_the_ends_of_small_numbers(engine):
    ends = ["2147483647", "2147483648", "-2147483648", "-2147483649", "999999999999999999"]
    got = run(engine, column(ends), v.small_number, "a")
    assert got == [2**31 - 1, None, -(2**31), None, None]


@_BATCHES
@given(maybe_numbers, st.sampled_from([(18, 2), (38, 9), (5, 0), (20, 10)]))
def test_decimal(engine, values, kind):
    got = run(engine, column(values), lambda c: v.decimal(c, *kind), "a")
    want = [decimal_model(value, *kind) for value in values]
    assert differing(values, got, want) == []


@_BATCHES
@given(maybe_numbers)
def test_real(engine, values):
    got = run(engine, column(values), v.real, "a")
    assert differing(values, got, [real_model(value) for value in values]) == []


@pytest.mark.parametrize(
    ("word", "model"),
    [(v.whole_number, whole_number_model), (v.decimal, decimal_model), (v.real, real_model)],
    ids=["whole_number", "decimal", "real"],
)
def test_numbers_of_the_hostile_list(engine, word, model):
    values = [value for value in HOSTILE if value is None or "\0" not in value]
    got = run(engine, column(values), word, "a")
    assert differing(values, got, [model(value) for value in values]) == []


_PART = st.integers(0, 40).flatmap(lambda n: st.sampled_from([str(n), f"{n:02}", f"{n:03}"]))
_YEAR = st.one_of(
    st.integers(990, 2110).map(str), st.sampled_from(["14", "0999", "20141", "0", "1900", "2000"])
)
_DATES = st.one_of(
    st.builds(
        lambda a, b, c, s, t: f"{a}{s}{b}{t}{c}",
        st.one_of(_PART, _YEAR),
        _PART,
        st.one_of(_PART, _YEAR),
        st.sampled_from("/-. "),
        st.sampled_from(["/", "-", "/ ", ""]),
    ),
    st.dates(date(1000, 1, 1), date(9999, 12, 31)).map(lambda d: f"{d.month}/{d.day}/{d.year}"),
    st.dates(date(1000, 1, 1), date(9999, 12, 31)).map(date.isoformat),
    st.builds(
        lambda y, d: f"{y}-02-{d}", st.sampled_from([1900, 2000, 2014, 2016, 2100]),
        st.sampled_from([28, 29, 30]),
    ),
    st.sampled_from(
        [" 2014-01-01", "2014-01-01 ", "2014-01-01\n", "2014-01-01T00:00", "2014-1-1x", "",
         "1/2/2014 10:00", "02/29/2014", "02/29/2016", "\uff12014-01-01", "13/01/2014"]
    ),
    st.none(),
)  # fmt: skip


@_BATCHES
@given(
    st.lists(_DATES, min_size=_SIZE, max_size=_SIZE),
    st.sampled_from([(), ("M/d/yyyy",), ("d.M.yyyy", "M/d/yyyy")]),
)
def test_parse_date(engine, values, formats):
    got = run(engine, column(values), lambda c: v.parse_date(c, *formats), "a")
    assert differing(values, got, [date_model(value, formats) for value in values]) == []


def test_the_first_format_that_fits_counts(engine):
    values = ["1/2/2014", "13/2/2014"]
    got = run(engine, column(values), lambda c: v.parse_date(c, "M/d/yyyy", "d/M/yyyy"), "a")
    assert got == [date(2014, 1, 2), date(2014, 2, 13)]


def test_typed_days_and_moments_are_dates(engine):
    days = {
        "2014-03-31": date(2014, 3, 31),
        "2014-03-31T00:00:00": date(2014, 3, 31),
        "2014-03-31 23:59:59.999999": date(2014, 3, 31),
        "2014-03-31T00:00:00Z": date(2014, 3, 31),
        "2014-03-31 00:00:00.000+00:00": date(2014, 3, 31),
        # Midnight in Berlin: nobody can tell that the 31st is meant.
        "2014-03-30T22:00:00Z": None,
        "2014-03-31T00:00:00+02:00": None,
        "2014-02-29T00:00:00": None,
        "2014-03-31T24:00:00": None,
        "2014-03-31T": None,
    }
    got = run(engine, column([*days]), lambda c: v.parse_date(c, "M/d/yyyy"), "a")
    assert dict(zip(days, got, strict=True)) == days


def test_boolean(engine):
    true, false = (
        ["true", "TRUE", "t", "Yes", "y", "1", "1.0"],
        ["False", "F", "no", "N", "0", "0.0"],
    )
    neither = ["2", "-1", "", "truee", "on", "null", None]
    got = run(engine, column([*true, *false, *neither]), v.boolean, "a")
    assert got == [True] * len(true) + [False] * len(false) + [None] * len(neither)


def test_text_id(engine):
    ids = {
        "1001": "1001", "1001.0": "1001", "1001.000": "1001", "1": "1", "01": "01", "01.0": "01",
        "1001.5": "1001.5", "TXN-1.0": "TXN-1.0", "1.": "1.", ".0": ".0", "1e3": "1e3", None: None,
    }  # fmt: skip
    assert run(engine, column([*ids]), v.text_id, "a") == [*ids.values()]


_HALVES = st.builds(
    lambda n, places: float(Decimal(2 * n + 1) / 2 / (Decimal(10) ** places)),
    st.integers(-(10**9), 10**9),
    st.integers(0, 6),
)


@_BATCHES
@given(
    st.lists(
        st.one_of(
            _HALVES, st.floats(-1e20, 1e20), st.floats(-10, 10), st.none(),
            st.sampled_from([float("inf"), float("-inf"), 1.255, 2.675, -1.005, 1e-7, 1e22, 0.5]),
        ),
        min_size=_SIZE, max_size=_SIZE,
    ),
    st.integers(0, 6),
)  # fmt: skip
def test_round_half_up(engine, values, places):
    got = run(engine, column(values, pa.float64()), lambda c: v.round_half_up(c, places), "a")
    want = [half_up_model(value, places) for value in values]
    assert differing(values, got, want) == []


def test_round_half_up_keeps_what_has_no_decimals(engine):
    values = [float("nan"), 1e300, -1e300, 1e29, 5e-324]
    got = run(engine, column(values, pa.float64()), lambda c: v.round_half_up(c, 2), "a")
    assert math.isnan(got[0])
    assert got[1:] == [1e300, -1e300, 1e29, 0.0]


def test_round_half_up_of_decimals_and_whole_numbers(engine):
    exact = [Decimal("1.255"), Decimal("-0.005"), Decimal("99999999999.995"), None]
    got = run(engine, column(exact, pa.decimal128(20, 3)), lambda c: v.round_half_up(c, 2), "a")
    assert got == [1.26, -0.01, 100000000000.0, None]
    got = run(engine, column([5, -7, None], pa.int64()), lambda c: v.round_half_up(c, 1), "a")
    assert got == [5.0, -7.0, None]


@_BATCHES
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.integers(-(10**12), 10**12)), min_size=1, max_size=8),
        min_size=60, max_size=60,
    ),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([0, 2]),
)  # fmt: skip
def test_mean(engine, groups, places, scale):
    rows = [(key, value) for key, group in enumerate(groups) for value in group]
    kind = pa.decimal128(18, scale) if scale else pa.int64()
    values = [
        None if value is None else Decimal(value).scaleb(-scale) if scale else value
        for _, value in rows
    ]
    table = pa.table({"k": pa.array([key for key, _ in rows]), "a": pa.array(values, kind)})
    with engine.scope():
        frame = engine.from_arrow(table).groupBy("k").agg(v.mean(F.col("a"), places).alias("x"))
        got = {row["k"]: row["x"] for row in engine.rows(frame)}
    for key, group in enumerate(groups):
        given_values = [value for value in group if value is not None]
        if not given_values:
            assert got[key] is None
            continue
        exact = Fraction(sum(given_values), len(given_values)) / 10**scale * 10**places
        rounded = math.floor(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)
        assert got[key] == pytest.approx(float(Fraction(rounded, 10**places)), rel=1e-15)


def test_mean_does_not_depend_on_order(engine):
    values = [10**15, 1, -(10**15), 2] * 1000
    for ordered in (values, sorted(values), values[::-1]):
        frame = engine.from_arrow(pa.table(column(ordered, pa.int64())))
        assert engine.rows(frame.agg(v.mean(F.col("a"), 2).alias("x"))) == [{"x": 0.75}]


days = st.dates(date(1000, 1, 1), date(9990, 12, 31))


@_BATCHES
@given(st.lists(st.one_of(days, st.none()), min_size=_SIZE, max_size=_SIZE))
def test_days_of_weeks(engine, values):
    models: dict[Callable[..., Any], Callable[[date], Any]] = {
        v.day_of_week: lambda d: d.isoweekday() % 7 + 1,
        v.week_start: lambda d: d - timedelta(days=d.weekday()),
        lambda d: v.week_start(d, "thursday"): lambda d: d - timedelta(days=(d.weekday() - 3) % 7),
        lambda d: v.week_start(d, "sunday"): lambda d: d - timedelta(days=d.isoweekday() % 7),
    }
    for word, model in models.items():
        got = run(engine, column(values, pa.date32()), word, "a")
        assert differing(values, got, [d and model(d) for d in values]) == []


@_BATCHES
@given(
    st.lists(
        st.tuples(st.one_of(days, st.none()), st.one_of(st.integers(-300_000, 3_000), st.none())),
        min_size=_SIZE, max_size=_SIZE,
    ),
)  # fmt: skip
def test_adding_and_counting_days(engine, pairs):
    pairs = [(d, n if n is None or d is None or d.toordinal() + n > 1 else 0) for d, n in pairs]
    rows = {
        "a": pa.array([d for d, _ in pairs], pa.date32()),
        "b": pa.array([n for _, n in pairs], pa.int64()),
    }
    want = [None if d is None or n is None else d + timedelta(days=n) for d, n in pairs]
    assert differing(pairs, run(engine, rows, v.add_days, "a", "b"), want) == []
    ends = {"a": rows["a"], "b": pa.array(want, pa.date32())}
    counted = [None if end is None else n for end, (_, n) in zip(want, pairs, strict=True)]
    assert differing(pairs, run(engine, ends, v.days_between, "a", "b"), counted) == []


def test_days_beyond_every_calendar_are_no_days_to_add(engine):
    far = [3_652_060, -3_652_060, 2**31 - 1, 2**31, -(2**31), 10**18 - 1, 1 - 10**18]
    rows = {"a": pa.array([date(2014, 3, 31)] * len(far)), "b": pa.array(far, pa.int64())}
    assert run(engine, rows, v.add_days, "a", "b") == [None] * len(far)


def test_dates_stay_dates_and_numbers_whole(engine):
    frame = engine.from_arrow(pa.table({"d": pa.array([date(2024, 2, 29)])}))
    day = F.col("d")
    words = {
        "add_days": v.add_days(day, F.lit(1)), "week_start": v.week_start(day),
        "day_of_week": v.day_of_week(day), "days_between": v.days_between(day, day),
    }  # fmt: skip
    stream = engine.arrow_stream(frame.select(*[c.alias(n) for n, c in words.items()]))
    kinds = [str(kind) for kind in stream.schema.types]
    assert kinds == ["date32[day]"] * 2 + ["int32", "int64"]


_PARTS = st.one_of(
    st.none(),
    st.sampled_from(["", "-", "~", "=", "\x1f", "1:a", "0:", "a\x1f=b", "2:", ":", "é", "\u3000"]),
    st.text("0123:-ab\x1f=~", max_size=5),
)


@_BATCHES
@given(st.lists(st.tuples(_PARTS, _PARTS), min_size=_SIZE, max_size=_SIZE))
def test_hash_keys_differ_where_values_do(engine, pairs):
    pairs += [("a\x1f=b", "c"), ("a", "b\x1f=c"), (None, ""), ("", None), ("-", None), (None, "-")]
    rows = {
        "a": pa.array([a for a, _ in pairs], pa.string()),
        "b": pa.array([b for _, b in pairs], pa.string()),
    }
    got = run(engine, rows, v.hash_key, "a", "b")
    assert len(set(got)) == len(set(pairs))
    assert all(0 <= key < 2**60 for key in got)


def test_hash_key_is_fixed(engine):
    import hashlib

    got = run(engine, {"a": ["CN", None], "b": ["Ünï", "x"]}, v.hash_key, "a", "b")
    want = [int(hashlib.md5(t.encode()).hexdigest()[:15], 16) for t in ("2:CN3:Ünï", "-1:x")]  # noqa: S324
    assert got == want
    assert got[0] == run(engine, {"a": ["CN"], "b": ["Ünï"]}, v.hash_key, "a", "b")[0]


def test_hash_key_of_numbers_and_dates_is_that_of_their_text(engine):
    typed = {"a": pa.array([7]), "b": pa.array([date(2014, 3, 1)])}
    text = {"a": pa.array(["7"]), "b": pa.array(["2014-03-01"])}
    assert run(engine, typed, v.hash_key, "a", "b") == run(engine, text, v.hash_key, "a", "b")


def test_weeks_that_start_on_thursday_count_from_the_epoch(engine):
    found = run(
        engine,
        column([date(1970, 1, 1), date(1970, 1, 7), date(2021, 9, 5)], pa.date32()),
        lambda day: v.week_start(day, "thursday"),
        "a",
    )
    assert found == [date(1970, 1, 1), date(1970, 1, 1), date(2021, 9, 2)]


_MOMENT = re.compile(
    r"([1-9]\d{3}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})?(?:Z|\+00:00)?", re.ASCII
)


def moment_model(text: str | None) -> datetime | None:
    match = _MOMENT.fullmatch(text or "")
    try:
        return match and datetime.fromisoformat(
            f"{match[1]}T{match[2]}.{((match[3] or '.')[1:] + '0' * 6)[:6]}+00:00"
        )
    except ValueError:
        return None


def test_moments_are_read_strictly_and_in_utc(engine):
    from lakehouse_assets_tests.engine.hostile import moments_as_text

    values = moments_as_text()
    want = [moment_model(value) for value in values]
    assert len([moment for moment in want if moment]) > 300
    assert differing(values, run(engine, column(values), v.parse_timestamp, "a"), want) == []
    frame = engine.from_arrow(pa.table(column(values[:3])))
    kind = engine.arrow_stream(frame.select(v.parse_timestamp(F.col("a")).alias("x"))).schema
    # UTC has two names.
    assert str(kind.field("x").type).replace("Etc/UTC", "UTC") == "timestamp[us, tz=UTC]"


def test_every_match_is_rewritten_and_groups_are_kept(engine):
    given = {"FallintoWinter": "Fallinto Winter", "goGREEN aB": "go GREEN a B", "": "", None: None}
    found = run(engine, column([*given]), lambda c: v.rewrite(c, "([a-z])([A-Z])", r"\1 \2"), "a")
    assert found == list(given.values())


@pytest.mark.parametrize("replacement", ["$1", "\\", r"\0", "US$"])
def test_a_replacement_that_engines_read_differently_is_refused(engine, replacement):
    with pytest.raises(LakehouseError, match="dollar sign or a backslash"):
        v.rewrite(F.col("a"), "x", replacement)


shares = st.integers(0, 10**18 - 1)


@_BATCHES
@given(
    st.lists(
        st.tuples(st.integers(1 - 10**18, 10**18 - 1), shares, shares),
        min_size=_SIZE, max_size=_SIZE,
    )
)  # fmt: skip
def test_proportions_are_exact_and_cut_off_toward_zero(engine, triples):
    triples = [(total, min(part, whole), whole) for total, part, whole in triples]
    triples += [(10**17, 1, 3), (-(10**17), 2, 3), (7, 0, 9), (7, 0, 0), (-1, 1, 2), (0, 1, 1)]
    rows = {
        name: pa.array(values)
        for name, values in zip("abc", zip(*triples, strict=True), strict=True)
    }
    want = [
        None if not whole else (1 if total >= 0 else -1) * (abs(total) * part // whole)
        for total, part, whole in triples
    ]
    assert differing(triples, run(engine, rows, v.proportion, "a", "b", "c"), want) == []


def test_proportions_of_sums_are_exact(engine):
    whole = 10**18 - 1
    totals = [10**32 - 1, 1 - 10**32, 10**27 + 7]
    rows = {
        "a": pa.array([Decimal(total) for total in totals], pa.decimal128(38, 0)),
        "b": pa.array([whole - 3] * 3),
        "c": pa.array([whole] * 3),
    }
    want = [(1 if t > 0 else -1) * (abs(t) * (whole - 3) // whole) for t in totals]
    assert run(engine, rows, v.proportion, "a", "b", "c") == want


def test_totals_are_wider_than_their_values(engine):
    most = 10**18 - 1
    rows = {
        "a": pa.array([most] * 20),
        "b": pa.array([Decimal(most).scaleb(-4)] * 20, pa.decimal128(18, 4)),
    }
    frame = engine.from_arrow(pa.table(rows))
    totals = frame.agg(v.total(F.col("a")).alias("a"), v.total(F.col("b"), 4).alias("b"))
    assert engine.rows(totals) == [{"a": 20 * most, "b": 20 * Decimal(most).scaleb(-4)}]
    schema = engine.arrow_stream(totals).schema
    assert [field.type for field in schema] == [pa.decimal128(38, 0), pa.decimal128(38, 4)]


def test_running_proportions_give_out_all_of_a_total(engine):
    parts = [3, 1, 1, 2]
    ends = [sum(parts[: n + 1]) for n in range(4)]
    rows = {"a": pa.array([-1000] * 4), "b": pa.array(ends), "c": pa.array([7] * 4)}
    got = run(engine, rows, v.proportion, "a", "b", "c")
    assert [n - m for n, m in zip(got, [0, *got], strict=False)] == [-428, -143, -143, -286]
