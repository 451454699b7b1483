"""The format of a lake: written with its first table, checked when it is opened, migrated."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from lakehouse_assets.domains.airline.gold.value import CUSTOMER_SPEND
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.format import FILE, FORMAT, migrate
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets_tests.airline.samples import House


@pytest.fixture
def old(house: House) -> House:
    """A lake with a row in it, as versions before 1 left it: without a format."""
    house.lake.ensure(CUSTOMER_SPEND)
    schema = arrow_schema(CUSTOMER_SPEND)
    kinds = {pa.string(): "x", pa.date32(): date(2014, 3, 1)}
    row = {field.name: [kinds.get(field.type, 1)] for field in schema}
    write_deltalake(str(house.path(CUSTOMER_SPEND)), pa.table(row, schema=schema), mode="append")
    mark(house).unlink()
    return house


def mark(house: House) -> Path:
    return house.path(CUSTOMER_SPEND).parents[1] / FILE


def migrated(house: House) -> list[str]:
    return migrate(LakeResource.of(house.settings).open(any_format=True))


def test_the_first_table_of_a_lake_brings_its_format(house: House) -> None:
    LakeResource.of(house.settings).open()
    assert not mark(house).exists()
    house.lake.ensure(CUSTOMER_SPEND)
    assert json.loads(mark(house).read_text(encoding="utf-8")) == {"format": FORMAT}
    LakeResource.of(house.settings).open()


def test_an_older_lake_is_refused_until_it_is_migrated_and_keeps_its_rows(
    old: House,
) -> None:
    before = DeltaTable(str(old.path(CUSTOMER_SPEND))).to_pyarrow_table()
    with pytest.raises(LakehouseError, match="`lakehouse migrate`"):
        LakeResource.of(old.settings).open()
    assert migrated(old) == ["airline.customer_spend"]
    LakeResource.of(old.settings).open()
    found = DeltaTable(str(old.path(CUSTOMER_SPEND)))
    assert (found.version(), found.to_pyarrow_table()) == (1, before)
    assert migrated(old) == []


def test_a_table_with_other_columns_keeps_the_lake_from_being_migrated(old: House) -> None:
    found = DeltaTable(str(old.path(CUSTOMER_SPEND)))
    found.alter.add_columns([Field("extra", PrimitiveType("long"))])
    with pytest.raises(LakehouseError, match="column extra is not declared"):
        migrated(old)
    assert not mark(old).exists()


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(f'{{"format": {FORMAT + 1}}}', "newer version"), ("{", "`lakehouse migrate`")],
)
def test_a_format_that_is_not_known_is_refused(old: House, content: str, remedy: str) -> None:
    mark(old).write_text(content, encoding="utf-8")
    with pytest.raises(LakehouseError, match=remedy):
        LakeResource.of(old.settings).open()


def test_there_is_nothing_to_migrate_without_a_lake(house: House) -> None:
    with pytest.raises(LakehouseError, match="LAKEHOUSE_ROOT"):
        migrated(house)
