"""Transformations use only what means the same on every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakehouse_assets
from lakehouse_assets.engine.lint import FUNCTIONS, METHODS, PROVEN, check_source, check_transforms
from lakehouse_assets_tests.engine import test_parity


def test_the_projects_transformations_are_clean():
    package = Path(lakehouse_assets.__file__).parent
    assert list(package.glob("*/transforms/*.py"))
    assert [str(problem) for problem in check_transforms(package)] == []


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_listed_function_is_found(name):
    (problem,) = check_source(f"x = 1\ny = F.{name}(F.col('a'))\n", "m.py")
    assert (problem.file, problem.line) == ("m.py", 2)
    reason, instead = FUNCTIONS[name]
    assert problem.text == f"F.{name}: {reason}; use {instead}."


def test_a_function_is_found_without_being_called():
    assert len(check_source("f = F.trim", "m.py")) == 1


def test_every_permitted_function_has_a_case_in_the_parity_suite():
    assert not PROVEN & set(FUNCTIONS)
    source = Path(test_parity.__file__).read_text(encoding="utf-8")
    assert {name for name in PROVEN if f"F.{name}(" not in source} == set()


def test_a_function_without_a_case_is_not_permitted():
    (problem,) = check_source("F.soundex(F.col('a'))", "m.py")
    assert problem.text.startswith("F.soundex: nobody has shown that engines agree on it;")


@pytest.mark.parametrize(
    ("source", "start"),
    [
        ("c.rlike('a$')", ".rlike: `$`"),
        ("c.rlike('a.b')", ".rlike: `.`"),
        (r"F.regexp_replace(c, r'\s+', '')", r".regexp_replace: `\s`"),
        (r"F.regexp_replace(c, r'[\s_]+', '')", r".regexp_replace: `\s`"),
        (r"c.rlike(r'\bword')", r".rlike: `\b`"),
        ("c.rlike('(?i)word')", ".rlike: `(?`"),
        ("F.substring(c, 0, 3)", ".substring from 0"),
        ("c.substr(0, 3)", ".substr from 0"),
        ("a.join(b, 'k', 'full')", ".join of both sides"),
        ("a.join(b, on=['k'], how='outer')", ".join of both sides"),
        ("F.transform(c, lambda x, i: x)", ".transform with an index"),
        ("F.col('a') / F.lit(2)", "/ of columns"),
        ("total / v.days_between(a, b)", "/ of columns"),
    ],
)
def test_arguments_that_engines_take_differently(source, start):
    (problem,) = check_source(source, "m.py")
    assert problem.text.startswith(start)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_listed_method_is_found(name):
    (problem,) = check_source(f"y = frame.{name}()", "m.py")
    assert problem.text.startswith(f".{name}: ")


@pytest.mark.parametrize(
    "source",
    [
        "frame.orderBy('a')",
        "frame.orderBy(F.col('a'))",
        "W.partitionBy('a').orderBy(F.col('a').desc())",
        "frame.sort(F.col('a').asc_nulls_last(), 'b')",
        "frame.sort([F.col('a').asc_nulls_last(), F.col('b').asc()])",
        "frame.orderBy(*[F.col(c) for c in names])",
        "frame.orderBy(F.col('a').asc_nulls_last() if up else F.col('a').desc())",
    ],
)
def test_an_order_must_say_where_nulls_go(source):
    (problem,) = check_source(source, "m.py")
    assert "nulls" in problem.text


@pytest.mark.parametrize(
    "source",
    [
        "W.partitionBy('a').orderBy(F.col('a').desc_nulls_last())",
        "frame.orderBy(*[F.col(c).asc_nulls_first() for c in names])",
        "v.text(F.col('a'))",
        "F.coalesce(F.sum('a'), F.lit(0))",
        "names.append('x')",
        r"c.rlike(r'^a\.[.$][^\n]?b\z')",
        "F.split(c, ' ')",
        "F.substring(c, 1, 7)",
        "a.join(b, F.col('k') == F.col('l'), 'left')",
        "F.transform(c, lambda x: x)",
        "half = 7 / 2",
    ],
)
def test_what_agrees_is_allowed(source):
    assert check_source(source, "m.py") == []


@pytest.mark.parametrize(
    "source",
    [
        "import duckdb",
        "import pyspark.sql.functions as F",
        "from pyspark.sql import functions as F",
        "from sqlframe.duckdb import functions as F",
        "import dagster as dg",
        "from pathlib import Path",
        "import os",
        "import pyarrow as pa",
        "import random",
        "from lakehouse_assets.engine.duckdb import DuckDBEngine",
        "from lakehouse_assets.engine.start import start_engine",
        "from lakehouse_assets.lake.delta import Lake",
        "from lakehouse_assets.domains.airline.assets import flights",
        "from . import silver",
        "def f():\n    import deltalake",
    ],
)
def test_engines_dagster_and_io_are_not_imported(source):
    (problem,) = check_source(source, "m.py")
    assert problem.text.startswith("import of ")


@pytest.mark.parametrize(
    "source",
    [
        "from __future__ import annotations",
        "from collections.abc import Sequence",
        "from datetime import date",
        "from lakehouse_assets.engine import Col, DataFrame, F, W",
        "from lakehouse_assets.engine import vocabulary as v",
        "from lakehouse_assets.domains.airline.tables import FLIGHTS",
        "from lakehouse_assets.domains.airline.transforms.silver import UNKNOWN",
        "from lakehouse_assets.catalog.datasets import Dataset",
    ],
)
def test_declarations_may_be_imported(source):
    assert check_source(source, "m.py") == []


def test_reading_and_printing_are_found():
    assert len(check_source("open('x')\nprint('y')", "m.py")) == 2
