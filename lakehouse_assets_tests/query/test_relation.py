"""The lake in Python: tables and statements as relations that other libraries read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lakehouse_assets
from lakehouse_assets import notebook
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, variables_of
from lakehouse_assets_tests.query.test_commands import FEBRUARY, MARCH, spend


@pytest.fixture
def spent(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """February with three customers, then with one; March with two."""
    spend(house, FEBRUARY, 1, 2, 3)
    spend(house, FEBRUARY, 4)
    spend(house, MARCH, 5, 6)
    for name, value in variables_of(house).items():
        monkeypatch.setenv(name, value)
    yield house
    notebook.sessions_at.cache_clear()


def test_a_table_is_a_relation_for_every_library(spent: House) -> None:
    found = lakehouse_assets.table("airline.customer_spend")
    assert found.columns[0] == "as_of_month"
    assert [len(found.df()), found.pl().height, found.arrow().num_rows] == [3, 3, 3]
    assert found.batches().schema == found.schema
    by_itself = [pa.table(found), pl.DataFrame(found), duckdb.sql("from found").df()]
    assert [len(rows) for rows in by_itself] == [3, 3, 3]
    assert "completed_amount" in repr(found)
    spend(spent, MARCH, 7)
    assert found.arrow().num_rows == 2


def test_a_relation_is_asked_in_sql(spent: House) -> None:
    total = lakehouse_assets.table("customer_spend").sql(
        "select as_of_month, sum(completed_amount) as total from this group by 1 order by 1 desc"
    )
    assert total.arrow().to_pylist() == [
        {"as_of_month": MARCH, "total": Decimal(11)},
        {"as_of_month": FEBRUARY, "total": Decimal(4)},
    ]
    least = total.sql("with x as (select * from this) select min(total) as least from x -- end")
    assert isinstance(least.df(), pd.DataFrame)
    assert least.sql("select least::int as l from this").arrow().to_pylist() == [{"l": 4}]
    given = lakehouse_assets.sql("select ?::date as d", [MARCH])
    assert given.sql("select * from this").arrow().to_pylist() == [{"d": MARCH}]


def test_a_table_has_its_earlier_states_in_python(spent: House) -> None:
    counts = {
        as_of: lakehouse_assets.table("customer_spend", as_of=as_of).arrow().num_rows
        for as_of in (0, 1, 2, 3, "2100-01-01", date(2100, 1, 1))
    }
    assert [*counts.values()] == [0, 3, 1, 3, 3, 3]


def test_what_there_is_not_is_one_sentence(spent: House) -> None:
    with pytest.raises(LakehouseError, match="did you mean customer_spend"):
        lakehouse_assets.table("customer_spent")
    with pytest.raises(LakehouseError, match="role has the role 'nobody'"):
        lakehouse_assets.table("customer_spend", role="nobody")
    with pytest.raises(LakehouseError, match="No column is called x"):
        lakehouse_assets.sql("select x from customer_spend").df()


def test_the_snippets_of_the_docs_run(spent: House) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "query-sql.md").read_text("utf-8")
    snippets = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for snippet in snippets:
        exec(snippet, names)  # noqa: S102 - our own page
    assert len(snippets) == 2
    counts = [len(names["frame"]), names["arrow"].num_rows, names["before"].arrow().num_rows]
    assert counts == [3, 3, 3]
    assert [names["months"].arrow().num_rows, names["some"].arrow().num_rows] == [2, 2]
