"""Transformations use only what means the same on every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakehouse_assets
from lakehouse_assets.engine.lint import FUNCTIONS, METHODS, check_source, check_transforms


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
        "from lakehouse_assets.airline.assets import flights",
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
        "from lakehouse_assets.airline.tables import FLIGHTS",
        "from lakehouse_assets.airline.transforms.silver import UNKNOWN",
        "from lakehouse_assets.ingest.datasets import Dataset",
    ],
)
def test_declarations_may_be_imported(source):
    assert check_source(source, "m.py") == []


def test_reading_and_printing_are_found():
    assert len(check_source("open('x')\nprint('y')", "m.py")) == 2
