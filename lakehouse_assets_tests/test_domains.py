"""A third domain beside the two: its names are its own, and nothing but its folder knows it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

import lakehouse_assets
from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import (
    Column,
    Reference,
    Registry,
    Table,
    monthly_table,
    same_month,
)
from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.domains import DATASETS, DOMAINS, REGISTRY
from lakehouse_assets.domains.retail.gold.sales import FACT_SALES
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import between
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.table_assets import BuildOptions, gold_asset
from lakehouse_assets.query.session import ask
from lakehouse_assets_tests.lake.dagster_samples import SampleLake
from lakehouse_assets_tests.lake.samples import COMMIT

MONTH = date(2024, 1, 1)


def grocery(name: str, columns: tuple[Column, ...], **given: Any) -> Table:
    return monthly_table(
        "grocery", name, f"Table {name}.", columns, (columns[0].name,), "team:grocery",
        kind="event", **given,
    )  # fmt: skip


SOLD = grocery(
    "fact_sales",
    (
        Column("fruit", "string", "Fruit.", False),
        Column("kilograms", "bigint", "Weight.", False, "kg"),
    ),
)
# A bare name in a declaration means the table of its own domain.
SHARES = grocery(
    "sales_days",
    (Column("fruit", "string", "Fruit.", False), Column("share", "bigint", "Share.", unit="share")),
    references=(same_month(("fruit",), "fact_sales"),),
)


def fact_sales(crates: DataFrame, month: date) -> DataFrame:
    return crates.withColumn("as_of_month", F.lit(month)).select(*SOLD.column_names)


def sales_days(sold: DataFrame) -> DataFrame:
    share = (F.col("kilograms") * F.lit(10)).cast("bigint").alias("share")
    return sold.select("as_of_month", "fruit", share)


def crates() -> pa.Table:
    return pa.table({"fruit": ["apple", "pear"], "kilograms": pa.array([3, 4], pa.int64())})


GROCERY = Domain(
    name="grocery",
    owner="team:grocery",
    gold=(
        GoldTable(SOLD, fact_sales, {"crates": crates}),
        GoldTable(SHARES, sales_days, {"sold": SOLD}),
    ),
)
EVERY = Registry((*REGISTRY, *GROCERY.tables))


class ThreeDomains(SampleLake):
    """A lake of both domains and the third."""

    def registry(self) -> Registry:
        """Return the tables of all three."""
        return EVERY


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake in which the third domain is built, and retail has one sale."""
    resource = ThreeDomains(root=str(tmp_path))
    calendar, options = Calendar(MONTH), BuildOptions("monday", 1000)
    assets = [gold_asset(gold, EVERY, calendar, options) for gold in GROCERY.gold]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets,
            instance=instance,
            partition_key="2024-01-01",
            resources={"lake": resource, "io_manager": DeltaIOManager(lake=resource)},
        )
    assert result.success
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert checks["fruit_is_in_fact_sales"]
    lake = resource.open()
    row = {
        c.name: {"date": MONTH, "string": "x", "int": 1, "bigint": 1}.get(c.type)
        for c in FACT_SALES.columns
    }
    row |= {"quantity": 7, "price": 1, "revenue": 7, "load_timestamp": 0}
    data = pa.Table.from_pylist([row], arrow_schema(FACT_SALES))
    with lake.engine.scope():
        assert FACT_SALES.partition
        window = between(FACT_SALES.partition, MONTH, date(2024, 2, 1))
        lake.write(FACT_SALES, lake.engine.from_arrow(data), window, COMMIT)
    return lake


def test_two_domains_have_a_table_of_one_name(lake: Lake) -> None:
    def asked(query: str) -> list[tuple[Any, ...]]:
        return list(rows_of(ask(lake, query).rows))

    assert asked("select sum(kilograms)::int from grocery.fact_sales") == [(7,)]
    assert asked("select quantity from retail.fact_sales") == [(7,)]
    assert asked(
        "select s.share, g.kilograms from grocery.sales_days s join grocery.fact_sales g "
        "using (fruit) order by 1"
    ) == [(30, 3), (40, 4)]
    for query in ("select * from fact_sales", "describe fact_sales"):
        with pytest.raises(LakehouseError) as caught:
            asked(query)
        assert str(caught.value) == (
            "Several domains have a table fact_sales; write grocery.fact_sales or "
            "retail.fact_sales."
        )
    # A name that one domain has needs no domain; one that a statement gives itself is its own.
    assert asked("with fact_sales as (select 1 as x) select x from fact_sales") == [(1,)]
    assert lake.read("grocery.fact_sales").columns == list(SOLD.column_names)


def test_a_declaration_means_its_own_domain_first() -> None:
    assert EVERY["grocery.fact_sales"] is SOLD
    assert EVERY["retail.fact_sales"] is FACT_SALES
    assert EVERY.meant_by(SHARES, "fact_sales") is SOLD
    assert EVERY.meant_by(FACT_SALES, "dim_products").domain == "retail"
    assert EVERY["kpi_customer_value"].domain == "airline"
    with pytest.raises(LakehouseError, match=r"Several domains have a table fact_sales; write gro"):
        EVERY["fact_sales"]
    elsewhere = grocery("other", SOLD.columns[1:], references=())
    with pytest.raises(LakehouseError, match=r"No table is called 'retail.fact_sale'; did you"):
        EVERY["retail.fact_sale"]
    with pytest.raises(LakehouseError, match=r"grocery.fact_sales is declared by two tables"):
        Registry((SOLD, grocery("fact_sales", SOLD.columns[1:])))
    lost = (Reference(("fruit",), "nowhere", ("fruit",)),)
    with pytest.raises(LakehouseError, match=r"reference of grocery.lost: No table is called 'now"):
        Registry((elsewhere, grocery("lost", SOLD.columns[1:], references=lost)))


def test_nothing_outside_of_their_folders_names_a_domain_a_dataset_or_a_table() -> None:
    names = {domain.name for domain in DOMAINS} | {dataset.path for dataset in DATASETS}
    names |= {table.name for table in REGISTRY if table.domain in {d.name for d in DOMAINS}}
    named = re.compile(rf"\b(?:{'|'.join(sorted(names))})\b")
    package = Path(lakehouse_assets.__file__).parent
    found = {
        f"{path.relative_to(package)}:{number}: {match[0]}"
        for folder in ("orchestration", "cli", "quality", "lake", "storage", "engine", "ingest")
        for path in (package / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for match in named.finditer(line)
        if not line.lstrip().startswith("from lakehouse_assets_tests.")
    }
    assert found == set()
