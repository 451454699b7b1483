"""Measures: each can be computed, and what it says of adding up is what its table allows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from lakehouse_assets.catalog.pages import table_of
from lakehouse_assets.catalog.registry import MONTH, Column, Measure
from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.domains import PAGES, REGISTRY
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.powerbi.dax import measure_to_dax
from lakehouse_assets.powerbi.model import model_of
from lakehouse_assets.query.session import ask
from lakehouse_assets_tests.airline.samples import SampleRun
from lakehouse_assets_tests.lake.samples import table
from lakehouse_assets_tests.powerbi.dax import evaluate

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


def test_measures_have_the_same_values_in_power_bi(sample: SampleRun) -> None:
    lake = sample.house.lake
    conditions = [
        (table_of(REGISTRY, page, source), source.where) for page in PAGES
        for source in page.sources if source.where
    ]  # fmt: skip
    assert conditions
    views = [view.table for view in REGISTRY.views if view.table.measures]
    for measured, where in [*((t, None) for t in (*MEASURED, *views)), *conditions]:
        # The first rows by key: plain Python computes the other value.
        rows = f"(from {measured.full_name} order by {', '.join(measured.keys)} limit 500) t"
        found = ask(lake, f"from {rows}").rows.read_all().to_pylist()
        for measure in measured.measures:
            sql = f"select {measure.expression} from {rows} where {where or 'true'}"  # noqa: S608
            ((value,),) = rows_of(ask(lake, sql).rows)
            dax = measure_to_dax(measured, measure.expression, where=where)
            computed = evaluate(dax, measured.name, found)
            assert float(computed or 0) == pytest.approx(float(value or 0)), dax


def test_relations_of_the_power_bi_models_find_one_row_at_most(sample: SampleRun) -> None:
    for domain in dict.fromkeys(t.domain for t in MEASURED):
        model = model_of(REGISTRY, domain)
        tables = {t.name: t.table.full_name for t in model.tables}
        for to, column in {(r.to_table, r.to_column) for r in model.relations}:
            query = f"select count(*), count(distinct {column}) from {tables[to]}"  # noqa: S608
            ((rows, values),) = rows_of(ask(sample.house.lake, query).rows)
            assert rows == values > 0, (to, column)


def test_domains_have_measures_with_units_and_descriptions() -> None:
    assert {t.domain for t in MEASURED} == {"airline", "retail", "quality"}
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
