"""Each word of the vocabulary, and each permitted part of the API, on both engines.

All words for one kind of values are one query on each engine. The embedded engine is the measure;
that it is right is what `test_vocabulary.py` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.domains.conformed.city_names import is_place_name
from lakehouse_assets.engine import F, W, current
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.case_mapping import to_lower, to_upper
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets_tests.engine import hostile

Words = Callable[[], dict[str, Any]]


@cache
def corpus(name: str) -> pa.Table:
    """Build the rows of a kind of values: `a`, and `b` with the same values in another order."""
    makers: dict[str, tuple[Callable[[], list[Any]], pa.DataType]] = {
        "texts": (hostile.texts, pa.string()),
        "numbers": (hostile.numbers_as_text, pa.string()),
        "dates": (hostile.dates_as_text, pa.string()),
        "moments": (hostile.moments_as_text, pa.string()),
        "doubles": (hostile.doubles, pa.float64()),
        "decimals": (lambda: hostile.decimals(2), pa.decimal128(18, 2)),
        "amounts": (lambda: hostile.decimals(2, 12), pa.decimal128(18, 2)),
        "fine": (lambda: hostile.decimals(6), pa.decimal128(18, 6)),
        "whole": (hostile.whole_numbers, pa.int64()),
        "small": (lambda: hostile.whole_numbers(300_000), pa.int64()),
        "days": (hostile.days, pa.date32()),
    }
    make, kind = makers[name]
    values = make()
    return pa.table(
        {
            "n": pa.array(range(len(values))),
            "a": pa.array(values, kind),
            "b": pa.array(hostile.paired(values, 1), kind),
            "flag": pa.array([None if n % 7 == 0 else n % 3 == 0 for n in range(len(values))]),
            "small": pa.array([None if n % 11 == 0 else n % 5 - 1 for n in range(len(values))]),
            "day": pa.array(hostile.days(), pa.date32()),
        }
    )


def columns_of(engine: Engine, frame: Any) -> pa.Table:
    return engine.arrow_stream(frame).read_all().combine_chunks()


def compare(spark: Engine, table: pa.Table, build: Callable[[Any], Any], key: str = "n") -> None:
    """Compare the rows that both engines make of a table, in the order of the key."""
    here, there = (on(engine, table, build, key) for engine in (start_engine(), spark))
    given = table if here.num_rows == table.num_rows else here
    assert differences(here, there, given) == {}


def on(engine: Engine, table: pa.Table, build: Callable[[Any], Any], key: str = "n") -> pa.Table:
    """Build a frame on an engine and return its rows in order."""
    before = current.active()
    current.activate(engine)
    try:
        with engine.scope():
            return columns_of(engine, build(engine.from_arrow(table))).sort_by(key)
    finally:
        current.activate(before)


def select(words: Words) -> Callable[[Any], Any]:
    return lambda frame: frame.select("n", *[c.alias(name) for name, c in words().items()])


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    return bool(left == right)


def differences(here: pa.Table, there: pa.Table, given: pa.Table) -> dict[str, Any]:
    """Say in which columns two results differ, in type or in value, with some of the values."""
    found: dict[str, Any] = {}
    for name in here.column_names:
        left, right = here[name], there[name]
        # UTC has two names.
        if left.type != right.type and str(left.type).replace("Etc/UTC", "UTC") != str(right.type):
            found[f"type of {name}"] = (str(left.type), str(right.type))
        rows = zip(left.to_pylist(), right.to_pylist(), given.to_pylist(), strict=True)
        wrong = [(row, one, other) for one, other, row in rows if not same(one, other)]
        if wrong:
            found[name] = (len(wrong), wrong[:5])
    return found


CASES: dict[str, tuple[str, Words]] = {
    "text": ("texts", lambda: {"x": v.text(F.col("a"))}),
    "without": ("texts", lambda: {"x": v.without(F.col("a"), ("", ".", "'quoted'"))}),
    "first_of": (
        "texts",
        lambda: {
            "x": v.first_of(
                (F.col("flag"), F.col("a")), (~F.col("flag"), "no"), otherwise="neither"
            ),
            "y": v.first_of((F.col("a").isNull(), None), (F.col("flag"), 1)),
        },
    ),
    "letters": (
        "texts",
        lambda: {
            "lower": v.lower(F.col("a")),
            "upper": v.upper(F.col("a")),
        },
    ),
    "whole_number": (
        "numbers",
        lambda: {"x": v.whole_number(F.col("a")), "small": v.small_number(F.col("a"))},
    ),
    "decimal": (
        "numbers",
        lambda: {
            f"x{p}_{s}": v.decimal(F.col("a"), p, s)
            for p, s in ((18, 2), (38, 9), (5, 0), (20, 10))
        },
    ),
    "real": ("numbers", lambda: {"x": v.real(F.col("a"))}),
    "parse_date": (
        "dates",
        lambda: {
            "us": v.parse_date(F.col("a"), "M/d/yyyy"),
            "many": v.parse_date(F.col("a"), "yyyy-M-d", "M/d/yyyy", "yyyy/M/d"),
            "dots": v.parse_date(F.col("a"), "d.M.yyyy", "yyyy-MM-dd"),
        },
    ),
    "date_of_moment": ("moments", lambda: {"x": v.parse_date(F.col("a"))}),
    "boolean": ("texts", lambda: {"x": v.boolean(F.col("a"))}),
    "text_id": ("numbers", lambda: {"x": v.text_id(F.col("a"))}),
    "round_half_up": (
        "doubles",
        lambda: {f"x{digits}": v.round_half_up(F.col("a"), digits) for digits in range(7)},
    ),
    "round_decimals": (
        "fine",
        lambda: {f"x{digits}": v.round_half_up(F.col("a"), digits) for digits in range(7)},
    ),
    "round_whole": ("whole", lambda: {"x": v.round_half_up(F.col("a"), 1)}),
    "hash_texts": (
        "texts",
        lambda: {"one": v.hash_key(F.col("a")), "two": v.hash_key(F.col("a"), F.col("b"))},
    ),
    "hash_whole": ("whole", lambda: {"x": v.hash_key(F.col("a"), F.col("b"))}),
    "hash_days": ("days", lambda: {"x": v.hash_key(F.col("a"))}),
    "hash_decimals": ("fine", lambda: {"x": v.hash_key(F.col("a"), F.col("flag"))}),
    "days": (
        "days",
        lambda: {
            "day_of_week": v.day_of_week(F.col("a")),
            "week_start": v.week_start(F.col("a")),
            "between": v.days_between(F.col("a"), F.col("b")),
        },
    ),
    "weeks": (
        "days",
        lambda: {first: v.week_start(F.col("a"), first) for first in v.WEEKDAYS},
    ),
    "minute_start": (
        "moments",
        lambda: {"x": v.minute_start(v.parse_timestamp(F.col("a")))},
    ),
    "hour_start": (
        "moments",
        lambda: {"x": v.hour_start(v.parse_timestamp(F.col("a")))},
    ),
    "micros_between": (
        "moments",
        lambda: {
            "x": v.micros_between(
                v.minute_start(v.parse_timestamp(F.col("a"))), v.parse_timestamp(F.col("a"))
            )
        },
    ),
    "add_micros": (
        "moments",
        lambda: {
            "x": v.add_micros(v.minute_start(v.parse_timestamp(F.col("a"))), F.lit(59_000_001))
        },
    ),
    "parse_timestamp": ("moments", lambda: {"x": v.parse_timestamp(F.col("a"))}),
    "rewrite": (
        "texts",
        lambda: {
            "camel": v.rewrite(F.col("a"), "([a-z])([A-Z])", r"\1 \2"),
            "blanks": v.rewrite(F.col("a"), "[ ]+", " "),
            "ascii": v.rewrite(F.col("a"), r"[^\x20-\x7E]", ""),
        },
    ),
    "is_place_name": ("texts", lambda: {"x": is_place_name(F.col("a"))}),
    "proportion": (
        "small",
        lambda: {
            "some": v.proportion(F.col("a") * F.lit(1_000_000_000), F.col("n"), F.lit(4_001)),
            "none": v.proportion(F.col("a"), F.lit(1), F.col("small")),
            "wide": v.proportion(
                F.col("a").cast("decimal(38,0)") * F.lit(10**17).cast("decimal(18,0)"),
                F.col("n"),
                F.lit(4_001),
            ),
        },
    ),
    "add_days": ("small", lambda: {"x": v.add_days(F.col("day"), F.col("small"))}),
    "add_any_days": ("whole", lambda: {"x": v.add_days(F.lit(date(2014, 3, 1)), F.col("a"))}),
}


def test_upper_and_lower_case_are_those_of_the_embedded_engine():
    every = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    upper, lower = (dict(zip(*pairs(), strict=True)) for pairs in (to_upper, to_lower))
    given = pa.table({"n": pa.array(range(len(every))), "a": pa.array(every)})
    found = on(
        start_engine(), given, select(lambda: {"u": v.upper(F.col("a")), "l": v.lower(F.col("a"))})
    )
    assert found["u"].to_pylist() == [upper.get(letter, letter) for letter in every]
    assert found["l"].to_pylist() == [lower.get(letter, letter) for letter in every]


def test_means(spark_engine):
    kinds = ("whole", "decimals", "fine", "small")
    given = pa.table({kind: corpus(kind)["a"] for kind in kinds})
    given = given.append_column("group", pa.array([n // 3 for n in range(given.num_rows)]))

    def means(frame: Any) -> Any:
        asked = [v.mean(F.col(kind), n).alias(f"{kind} {n}") for kind in kinds for n in (0, 1, 2)]
        return frame.groupBy("group").agg(*asked)

    compare(spark_engine, given, means, "group")


# What transformations use of the API itself, as the lint permits it. Lengths, sizes and places are
# numbers of different widths and have to be cast; decimals of more than 15 digits become doubles
# inexactly.
API: dict[str, tuple[str, Words]] = {
    "logic": (
        "small",
        lambda: {
            "and": F.col("flag") & (F.col("a") > F.lit(0)),
            "or": F.col("flag") | (F.col("a") > F.lit(0)),
            "not": ~F.col("flag"),
            "when": F.when(F.col("flag"), F.col("a")).otherwise(F.col("b")),
            "coalesce": F.coalesce(F.col("a"), F.col("b"), F.lit(0)),
            "least": F.least(F.col("a"), F.col("b")),
            "greatest": F.greatest(F.col("a"), F.col("b")),
            "isin": F.col("small").isin(0, 1),
            "null": F.col("a").isNull(),
            "not_null": F.col("a").isNotNull(),
            "equal": F.col("a") == F.col("b"),
            "null_safe": F.col("a").eqNullSafe(F.col("b")),
            "less": F.col("a") < F.col("b"),
        },
    ),
    "whole numbers": (
        "small",
        lambda: {
            "plus": F.col("a") + F.col("b"),
            "minus": F.col("a") - F.lit(1),
            "times": F.col("a") * F.lit(2),
            "left": F.col("a") % F.lit(7),
            "text": F.col("a").cast("string"),
            "int": F.col("a").cast("int"),
            "double": F.col("a").cast("double"),
            "decimal": F.col("a").cast("decimal(18,2)"),
            "abs": F.abs(F.col("a")),
            "sevenths": F.floor(v.ratio(F.col("a"), F.lit(7))).cast("int"),
            "root": F.sqrt(F.abs(F.col("a")).cast("double")),
        },
    ),
    "decimals": (
        "decimals",
        lambda: {
            "text": F.col("a").cast("string"),
            "wide": F.col("a").cast("decimal(38,2)"),
            "less": F.col("a") < F.col("b"),
            "zero": F.coalesce(F.col("a"), F.lit(0).cast("decimal(18,2)")),
            "least": F.least(F.col("a"), F.col("b")),
        },
    ),
    "texts": (
        "texts",
        lambda: {
            "concat": F.concat(F.col("a"), F.lit("#"), F.col("b")),
            "start": F.substring(F.col("a"), 1, 7),
            "middle": F.substring(F.col("a"), 2, 3),
            "length": F.length(F.col("a")).cast("int"),
            "contains": F.col("a").contains("a"),
            "contains_break": F.col("a").contains("\n"),
            "starts": F.col("a").startswith("a"),
            "equal": F.col("a") == F.col("b"),
            "less": F.col("a") < F.col("b"),
            "isin": F.col("a").isin("", ".", "é"),
            "least": F.least(F.col("a"), F.col("b")),
            "blanks": F.regexp_replace(F.col("a"), r"[ \t\n\f\r_-]+", "_"),
            "address": F.col("a").rlike(r"^[^@ ]+@[^@ ]+\.[^@ ]+\z"),
            "between": F.col("a").rlike(r"a[^\n]?b"),
            "words": F.split(F.col("a"), " "),
            "joined": F.array_join(F.split(F.col("a"), " "), "|"),
            "each": F.transform(F.split(F.col("a"), " "), lambda word: F.concat(word, F.lit("!"))),
        },
    ),
    "arrays": (
        "texts",
        lambda: {
            "size": F.size(F.split(F.col("a"), ",")).cast("int"),
            "compact": F.array_compact(
                F.array(F.when(F.col("flag"), F.col("a")), F.lit("x"), F.lit(None).cast("string"))
            ),
            "contains": F.array_contains(F.array(F.lit("a"), F.lit("é")), "é"),
        },
    ),
    "dates": (
        "days",
        lambda: {
            "text": F.col("a").cast("string"),
            "year": F.year(F.col("a")).cast("int"),
            "month": F.month(F.col("a")).cast("int"),
            "day": F.dayofmonth(F.col("a")).cast("int"),
            "quarter": F.quarter(F.col("a")).cast("int"),
            "week": F.weekofyear(F.col("a")).cast("int"),
            "less": F.col("a") <= F.col("b"),
            "least": F.least(F.col("a"), F.col("b")),
            "month_text": F.substring(F.col("a").cast("string"), 1, 7),
        },
    ),
    "finer decimals": ("fine", lambda: {"narrow": F.col("a").cast("decimal(18,2)")}),
    "amounts": ("amounts", lambda: {"double": F.col("a").cast("double")}),
    "booleans": ("days", lambda: {"text": F.col("flag").cast("string")}),
}  # fmt: skip


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _ in (CASES | API).values()))
def test_the_vocabulary_and_the_permitted_api(spark_engine, kind):
    def words() -> dict[str, Any]:
        return {
            f"{name}: {word}": asked
            for name, (of, made) in (CASES | API).items()
            if of == kind
            for word, asked in made().items()
        }

    compare(spark_engine, corpus(kind), select(words))


FRAMES: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "windows": (
        "small",
        "n",
        lambda f: f.select(
            "n",
            F.row_number()
            .over(
                W.partitionBy("small").orderBy(
                    F.col("a").desc_nulls_last(), F.col("n").asc_nulls_last()
                )
            )
            .cast("int")
            .alias("place"),
            F.first(F.concat(F.col("n").cast("string"), F.lit("#")))
            .over(
                W.partitionBy("flag").orderBy(
                    F.col("a").asc_nulls_first(), F.col("n").asc_nulls_last()
                )
            )
            .alias("first"),
        ),
    ),
    "running sums": (
        "small",
        "n",
        lambda f: f.select(
            "n",
            F.sum("n")
            .over(W.partitionBy("small").orderBy(F.col("n").asc_nulls_last()))
            .cast("bigint")
            .alias("so_far"),
            F.sum("n").over(W.partitionBy("small")).cast("bigint").alias("all"),
            F.lag("n")
            .over(W.partitionBy("small").orderBy(F.col("n").asc_nulls_last()))
            .alias("before"),
            F.sum("n")
            .over(W.partitionBy("small").orderBy(F.col("n").asc_nulls_last()).rangeBetween(-4, 0))
            .cast("bigint")
            .alias("near"),
        ),
    ),
    "groups": (
        "amounts",
        "small",
        lambda f: f.groupBy("small").agg(
            F.sum("a").cast("decimal(18,2)").alias("sum"),
            F.count("a").alias("values"),
            F.count(F.lit(1)).alias("rows"),
            F.min("a").alias("min"),
            F.max("a").alias("max"),
            F.sum("n").cast("bigint").alias("whole"),
            v.total(F.col("n")).alias("total"),
            v.total(F.col("a"), 2).alias("exact_total"),
            F.countDistinct("a").alias("distinct"),
        ),
    ),
    "text groups": (
        "texts",
        "a",
        lambda f: f.groupBy("a").agg(F.min("b").alias("min"), F.max("b").alias("max")),
    ),
    "distinct": (
        "texts",
        "a",
        lambda f: f.select("a", "flag").distinct().groupBy("a").agg(F.count(F.lit(1)).alias("k")),
    ),
    "left join": (
        "small",
        "n",
        lambda f: f.join(
            f.groupBy("b").agg(F.max("n").alias("m")).select(F.col("b").alias("other"), "m"),
            F.col("a") == F.col("other"),
            "left",
        ).select("n", "m"),
    ),
    "semi join": (
        "small",
        "n",
        lambda f: f.join(
            f.select(F.col("small").alias("s")), F.col("a") == F.col("s"), "left_semi"
        ).select("n"),
    ),
    "union": (
        "days",
        "n",
        lambda f: f.select("n", "a").unionByName(
            f.select("a", (F.col("n") + F.lit(10_000)).alias("n"))
        ),
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_permitted_frames(spark_engine, name):
    kind, key, build = FRAMES[name]
    compare(spark_engine, corpus(kind), build, key)
