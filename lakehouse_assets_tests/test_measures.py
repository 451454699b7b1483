"""Measures: each can be computed, and what it says of adding up is what its table allows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from lakehouse_assets.catalog.registry import MONTH, Column, Measure
from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.cli.sql import ask
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.airline.samples import SampleRun
from lakehouse_assets_tests.lake.samples import table

MEASURED = [t for t in REGISTRY if t.measures]


def test_every_measure_can_be_computed_on_the_sample(sample: SampleRun) -> None:
    lake = sample.house.lake
    found: dict[str, Any] = {}
    for measured in MEASURED:
        names = [f"{m.expression} as {m.name}" for m in measured.measures]
        answer = ask(lake, f"select {', '.join(names)} from {measured.full_name}")  # noqa: S608
        (row,) = rows_of(answer.rows)
        found |= {
            f"{measured.full_name}.{m.name}": value
            for m, value in zip(measured.measures, row, strict=True)
        }
    assert [name for name, value in found.items() if not isinstance(value, int | float | Decimal)] \
        == []  # fmt: skip
    members = sample.house.count("dim_customers", "month(as_of_month) = 3")
    assert found["airline.kpi_customer_value.members"] == members
    assert 0 < found["airline.kpi_customer_value.at_risk_share"] < 1
    assert found["retail.fact_sales.sales"] == sample.house.count("fact_sales")
    assert 0 < found["retail.website_days.conversion_rate"] < 100


def test_both_domains_have_measures_with_units_and_descriptions() -> None:
    assert {t.domain for t in MEASURED} == {"airline", "retail"}
    for measured in MEASURED:
        for measure in measured.measures:
            assert measure.unit, measure.name
            assert measure.description.endswith("."), measure.name


@pytest.mark.parametrize(
    ("names", "kind", "additivity", "fault"),
    [
        (("a", "a"), "event", "additive", "declares a measure twice"),
        (("a",), "snapshot", "additive", "its measures cannot be additive"),
        (("a",), "snapshot", "semi_additive", None),
        (("a",), "event", "additive", None),
    ],
)
def test_what_a_table_cannot_add_up_is_refused(
    names: tuple[str, ...], kind: str, additivity: Any, fault: str | None
) -> None:
    measures = tuple(Measure(name, "count(*)", "count", additivity, "Rows.") for name in names)
    month = Column("as_of_month", "date", "Month.", False)

    def declare() -> None:
        table("t", month, kind=kind, partition=MONTH, measures=measures)

    if fault is None:
        declare()
    else:
        with pytest.raises(LakehouseError, match=fault):
            declare()
