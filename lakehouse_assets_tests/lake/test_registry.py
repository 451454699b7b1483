"""Declarations: what is refused when it is declared, and how tables are found."""

from __future__ import annotations

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.registry import Column, PartitionColumn, Reference, Registry
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


def test_tables_are_found_by_name_alias_and_asset_key():
    sales = table("sales", ID, aliases=("revenue", "umsatz"))
    registry = Registry((sales, WHOLE))
    assert [registry[n] for n in ("sales", "revenue", "umsatz")] == [sales] * 3
    assert registry.by_key(("shop", "sales")) is sales
    assert list(registry) == [sales, WHOLE]
    assert len(registry) == 2
    assert sales.asset_key.path == ["shop", "sales"]


def test_a_name_or_alias_of_two_tables_is_refused():
    with pytest.raises(LakehouseError, match="The name whole is declared by two tables"):
        Registry((WHOLE, table("t", ID, aliases=("whole",))))


def test_an_unknown_name_lists_the_declared_ones():
    with pytest.raises(
        LakehouseError, match="No table is called 'nope'; declared are daily, whole"
    ):
        Registry((DAILY, WHOLE))["nope"]


@pytest.mark.parametrize("key", [("shop", "nope"), ("whole",), ("shop", "whole", "x")])
def test_an_undeclared_asset_is_refused(key):
    with pytest.raises(LakehouseError, match="has no table in the registry"):
        Registry((WHOLE,)).by_key(key)


def test_references_must_point_at_declared_columns():
    good = table("t", ID, references=(Reference(("id",), "whole", ("id",)),))
    assert len(Registry((good, WHOLE))) == 2
    for target in (("nope", ("id",)), ("whole", ("nope",))):
        bad = table("t", ID, references=(Reference(("id",), *target),))
        with pytest.raises(LakehouseError, match="which is not declared"):
            Registry((bad, WHOLE))


def test_a_column_is_looked_up_by_name():
    assert DAILY.column("email").pii
    with pytest.raises(KeyError):
        DAILY.column("nope")
