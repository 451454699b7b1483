"""Each word of the vocabulary against a model in plain Python, on hostile values.

All words of one kind of values are one query: starting queries costs more than running them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.engine import F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.engine import hostile

_WIDE = Context(prec=700)


def run(engine: Any, rows: dict[str, Any], word: Callable[..., Any], *columns: str) -> list[Any]:
    """Apply a word to every row, in order."""
    return run_all(engine, rows, {"x": word(*map(F.col, columns))})["x"]


def run_all(engine: Any, rows: dict[str, Any], words: dict[str, Any]) -> dict[str, list[Any]]:
    """Compute several columns for every row, in order."""
    table = pa.table({"n": pa.array(range(len(next(iter(rows.values()))))), **rows})
    with engine.scope():
        named = [word.alias(name) for name, word in words.items()]
        found = engine.arrow_stream(engine.from_arrow(table).select("n", *named)).read_all()
    return {name: found.sort_by("n")[name].to_pylist() for name in words}


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


def fitting_model(text: str | None) -> int | None:
    number = whole_number_model(text)
    return number if number is not None and -(2**31) <= number < 2**31 else None


def week_start_model(first: v.Weekday, day: date | None) -> date | None:
    return day and day - timedelta(days=(day.isoweekday() - v.WEEKDAYS.index(first)) % 7)


# Kinds of values, and words for them with their models.
Words = dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]
WORDS: dict[str, tuple[Callable[[], list[Any]], pa.DataType, Words]] = {
    "texts": (hostile.texts, pa.string(), {"text": (v.text, text_model)}),
    "numbers": (
        hostile.numbers_as_text,
        pa.string(),
        {
            "whole_number": (v.whole_number, whole_number_model),
            "small_number": (v.small_number, fitting_model),
            "real": (v.real, real_model),
        }
        | {
            f"decimal({p},{s})": (
                partial(v.decimal, precision=p, scale=s),
                partial(decimal_model, precision=p, scale=s),
            )
            for p, s in ((18, 2), (38, 9), (5, 0), (20, 10))
        },
    ),
    "dates": (
        hostile.dates_as_text,
        pa.string(),
        {
            str(formats): (
                lambda c, formats=formats: v.parse_date(c, *formats),
                partial(date_model, formats=formats),
            )
            for formats in ((), ("M/d/yyyy",), ("d.M.yyyy", "M/d/yyyy"))
        },
    ),
    "moments": (
        hostile.moments_as_text,
        pa.string(),
        {"moment": (v.parse_timestamp, moment_model)},
    ),
    "days": (
        hostile.days,
        pa.date32(),
        {"day_of_week": (v.day_of_week, lambda d: d and d.isoweekday() % 7 + 1)}
        | {
            first: (partial(v.week_start, first=first), partial(week_start_model, first))
            for first in v.WEEKDAYS
        },
    ),
}
# What is rounded to up to six decimals.
ROUNDED: dict[str, tuple[Callable[[], list[Any]], pa.DataType]] = {
    "doubles": (hostile.doubles, pa.float64()),
    "decimals": (lambda: hostile.decimals(6), pa.decimal128(18, 6)),
    "whole": (hostile.whole_numbers, pa.int64()),
}
for _kind, (_make, _type) in ROUNDED.items():
    WORDS[_kind] = (
        _make,
        _type,
        {
            f"round to {places}": (
                partial(v.round_half_up, digits=places), partial(half_up_model, places=places)
            )
            for places in range(7)
        },
    )  # fmt: skip


@pytest.mark.parametrize("kind", WORDS)
def test_words_mean_what_their_models_say(engine, kind):
    make, stored_as, words = WORDS[kind]
    values = make()
    found = run_all(
        engine, column(values, stored_as), {n: word(F.col("a")) for n, (word, _) in words.items()}
    )
    for name, (_, model) in words.items():
        want = [model(value) for value in values]
        assert differing(values, found[name], want) == [], name
        assert len({*want}) > 5, "the values have many results"


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


def test_the_ends_of_small_numbers(engine):
    ends = ["2147483647", "2147483648", "-2147483648", "-2147483649", "999999999999999999"]
    got = run(engine, column(ends), v.small_number, "a")
    assert got == [2**31 - 1, None, -(2**31), None, None]


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


def test_a_number_that_is_none_stays_none_when_it_is_rounded(engine):
    rows = column([float("nan")], pa.float64())
    assert math.isnan(run(engine, rows, partial(v.round_half_up, digits=2), "a")[0])


@pytest.mark.parametrize("scale", [0, 2])
def test_mean(engine, scale):
    values = [n and n % 10**12 for n in hostile.whole_numbers()]
    groups = [values[n : n + 3] for n in range(0, len(values), 3)] + [[None, None]]
    rows = [(key, value) for key, group in enumerate(groups) for value in group]
    stored_as = pa.decimal128(18, scale) if scale else pa.int64()
    stored = [n and Decimal(n).scaleb(-scale) if scale else n for _, n in rows]
    table = pa.table({"k": pa.array([key for key, _ in rows]), "a": pa.array(stored, stored_as)})
    with engine.scope():
        means = [v.mean(F.col("a"), places).alias(f"{places}") for places in range(3)]
        frame = engine.from_arrow(table).groupBy("k").agg(*means)
        got = {row["k"]: row for row in engine.rows(frame)}
    for (key, group), places in product(enumerate(groups), range(3)):
        known = [value for value in group if value is not None]
        if not known:
            assert got[key][f"{places}"] is None
            continue
        exact = Fraction(sum(known), len(known)) / 10**scale * 10**places
        rounded = math.floor(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)
        want = float(Fraction(rounded, 10**places))
        assert got[key][f"{places}"] == pytest.approx(want, rel=1e-15)


def test_mean_does_not_depend_on_order(engine):
    values = [10**15, 1, -(10**15), 2] * 1000
    for ordered in (values, sorted(values), values[::-1]):
        frame = engine.from_arrow(pa.table(column(ordered, pa.int64())))
        assert engine.rows(frame.agg(v.mean(F.col("a"), 2).alias("x"))) == [{"x": 0.75}]


def test_adding_and_counting_days(engine):
    numbers = hostile.whole_numbers(300_000)
    pairs = [
        (d, n if n is None or d is None or 0 < d.toordinal() + n <= date.max.toordinal() else 0)
        for d, n in zip(hostile.days(), numbers, strict=True)
    ]
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


def test_hash_keys_differ_where_values_do(engine):
    signs = ["", "-", "~", "=", "\x1f", "1:a", "0:", "a\x1f=b", "2:", ":", "é", "\u3000", "0", "1"]
    parts = [None, *signs, *map("".join, product(signs, repeat=2))]
    pairs = list(product(parts, repeat=2))
    rows = {
        "a": pa.array([a for a, _ in pairs], pa.string()),
        "b": pa.array([b for _, b in pairs], pa.string()),
    }
    got = run(engine, rows, v.hash_key, "a", "b")
    assert len(set(got)) == len(set(pairs))
    assert all(0 <= key < 2**60 for key in got)


def test_hash_key_is_fixed(engine):
    got = run(engine, {"a": ["CN", None], "b": ["Ünï", "x"]}, v.hash_key, "a", "b")
    want = [int(hashlib.md5(t.encode()).hexdigest()[:15], 16) for t in ("2:CN3:Ünï", "-1:x")]  # noqa: S324
    assert got == want
    assert got[0] == run(engine, {"a": ["CN"], "b": ["Ünï"]}, v.hash_key, "a", "b")[0]


def test_hash_key_of_numbers_and_dates_is_that_of_their_text(engine):
    typed = {"a": pa.array([7]), "b": pa.array([date(2014, 3, 1)])}
    text = {"a": pa.array(["7"]), "b": pa.array(["2014-03-01"])}
    assert run(engine, typed, v.hash_key, "a", "b") == run(engine, text, v.hash_key, "a", "b")


def test_moments_are_in_utc(engine):
    frame = engine.from_arrow(pa.table(column(["2021-09-05T06:00:00Z"])))
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


def test_proportions_are_exact_and_cut_off_toward_zero(engine):
    wholes = [abs(n or 0) for n in hostile.whole_numbers()]
    parts = hostile.paired(wholes, 2)
    triples = [
        (total or 0, min(part, whole), whole)
        for total, part, whole in zip(hostile.whole_numbers(), parts, wholes[::-1], strict=True)
    ]
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
