"""Declarations: what is refused when it is declared, and how tables are found."""

from __future__ import annotations

import re

import dagster as dg
import pytest

from lakehouse_assets.catalog.registry import Column, PartitionColumn, Reference, Registry
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.lake.samples import DAILY, WHOLE, table

ID = Column("id", "bigint", "Number.")


@pytest.mark.parametrize("kind", ["text", "decimal(18)", "decimal(18, 2)", "STRING", "array<int>"])
def test_an_unknown_type_is_refused(kind):
    with pytest.raises(LakehouseError, match=r"unknown type .* use one of"):
        Column("x", kind, "X.")


def test_precision_and_scale_are_read_off_a_decimal_and_nothing_else():
    assert Column("x", "decimal(18,2)", "X.").decimal == (18, 2)
    assert ID.decimal is None


def test_a_column_declared_twice_is_refused():
    with pytest.raises(LakehouseError, match="declares a column twice"):
        table("t", ID, ID)


@pytest.mark.parametrize(
    "attributes",
    [
        {"keys": ("nope",)},
        {"partition": PartitionColumn("nope", "day")},
        {"references": (Reference(("nope",), "whole", ("id",)),)},
    ],
)
def test_a_key_partition_or_reference_of_an_undeclared_column_is_refused(attributes):
    with pytest.raises(LakehouseError, match="names the column nope"):
        table("t", ID, **attributes)


def test_a_table_is_partitioned_by_a_date():
    with pytest.raises(LakehouseError, match="partitioned by id, which is not a date"):
        table("t", ID, partition=PartitionColumn("id", "day"))


def test_tables_are_found_by_name_alias_and_asset_key():
    sales = table("sales", ID, aliases=("revenue", "umsatz"))
    registry = Registry((sales, WHOLE))
    assert [registry[n] for n in ("sales", "revenue", "umsatz")] == [sales] * 3
    assert registry.by_key(("shop", "sales")) is sales
    assert list(registry) == [sales, WHOLE]
    assert len(registry) == 2
    assert dg.AssetKey(sales.key).path == ["shop", "sales"]


def test_a_name_or_alias_of_two_tables_is_refused():
    with pytest.raises(LakehouseError, match=r"The name shop.whole is declared by two tables"):
        Registry((WHOLE, table("t", ID, aliases=("whole",))))


@pytest.mark.parametrize(
    ("name", "close"), [("dayly", "; did you mean daily?"), ("nope", "."), ("WHOL", "whole?")]
)
def test_an_unknown_name_is_answered_with_close_ones(name, close):
    with pytest.raises(LakehouseError, match=f"No table is called '{name}'.*{re.escape(close)} `"):
        Registry((DAILY, WHOLE))[name]


def test_every_numeric_column_has_a_unit_or_says_that_it_counts():
    numbers = ("bigint", "int", "double", "decimal")
    assert [
        f"{t.name}.{c.name}"
        for t in REGISTRY
        for c in t.columns
        if c.type.startswith(numbers) and not c.unit
    ] == []


def test_descriptions_say_which_months_a_name_has():
    said = {
        name: REGISTRY[name].full_description.partition(" In SQL: ")[2]
        for name in (
            "kpi_customer_value",
            "country_revenue",
            "fact_sales",
            "tweet_days",
            "dim_date",
        )
    }
    assert said == {
        "kpi_customer_value": "the latest month; kpi_customer_value_history has every month.",
        "country_revenue": "the latest month; country_revenue_history has every month.",
        "fact_sales": "every month.",
        "tweet_days": "every day.",
        "dim_date": "",
    }
    months = {t.kind: t.column("as_of_month").description for t in REGISTRY if "as_of_month" in
              t.column_names}  # fmt: skip
    assert months["event"] == "Month of delivery, as its first day."
    assert months["snapshot"] == months["dimension"] == months["cumulative"] == (
        "Month that the row describes as of its end, as the month's first day."
    )  # fmt: skip


@pytest.mark.parametrize("key", [("shop", "nope"), ("whole",), ("shop", "whole", "x")])
def test_an_undeclared_asset_is_refused(key):
    with pytest.raises(LakehouseError, match="has no table in the registry"):
        Registry((WHOLE,)).by_key(key)


def test_references_must_point_at_declared_columns():
    good = table("t", ID, references=(Reference(("id",), "whole", ("id",)),))
    assert len(Registry((good, WHOLE))) == 2
    for target in (("nope", ("id",)), ("whole", ("nope",))):
        bad = table("t", ID, references=(Reference(("id",), *target),))
        with pytest.raises(
            LakehouseError, match=r"which is not declared|A reference of shop.t: No table is called"
        ):
            Registry((bad, WHOLE))


def test_a_column_is_looked_up_by_name():
    assert DAILY.column("email").pii == "contact"
    with pytest.raises(KeyError):
        DAILY.column("nope")
