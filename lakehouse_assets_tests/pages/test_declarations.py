"""Pages: what declarations are refused, how measures are taken apart, how columns are encoded."""

from __future__ import annotations

from base64 import b64decode
from datetime import date
from decimal import Decimal
from hashlib import sha256
from importlib.resources import files
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual, check_page, resolve
from lakehouse_assets.catalog.registry import Column, Measure, Reference, Registry
from lakehouse_assets.domains import PAGES, REGISTRY
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.pages import columns, cube
from lakehouse_assets.pages.measures import Components
from lakehouse_assets_tests.lake.samples import table

PLACES = table(
    "places", Column("place", "string", "Place.", False), Column("land", "string", "Land."),
    keys=("place",), kind="reference",
)  # fmt: skip
SALES = table(
    "sales",
    Column("sold_at", "string", "Place.", False),
    Column("sent_to", "string", "Place."),
    Column("amount", "decimal(18,2)", "Amount."),
    Column("weight", "double", "Weight."),
    keys=("sold_at",),
    kind="event",
    references=(
        Reference(("sold_at",), "places", ("place",)),
        Reference(("sent_to",), "places", ("place",)),
    ),
    measures=(Measure("total", "sum(amount)", "euros", "additive", "Total."),),
)
SMALL = Registry((PLACES, SALES))


def page(*visuals: Visual, **declared: Any) -> Page:
    sources = declared.pop("sources", (Source("sales"),))
    return Page("p", "P", SALES.domain, "A page.", sources, visuals, **declared)


def test_every_declared_page_follows_the_registry() -> None:
    assert PAGES
    for declared in PAGES:
        check_page(REGISTRY, declared)


def test_running_numbers_depend_on_what_else_is_shown_alone() -> None:
    rows = pa.table({
        "who": ["d", "a", None, "c", "b", "a"],
        "place": ["x", "y", "x", "x", "y", "x"],
        "n": [5, 1, 2, 1, None, 1],
    })  # fmt: skip
    found = columns.anonymous(rows, {"who"})
    # Both rows of one person have one number.
    assert found["who"].to_pylist() == [1, 2, None, 3, 4, 2]
    assert found["n"].to_pylist() == [1, 1, 2, 5, None, 1]
    renamed = pa.array(["a", "z", None, "k", "m", "z"])
    assert columns.anonymous(rows.set_column(0, "who", renamed), {"who"}) == found
    assert columns.anonymous(rows.take([3, 5, 1, 0, 4, 2]), {"who"}) == found
    assert columns.anonymous(rows[:0], {"who"}).num_rows == 0
    assert columns.anonymous(rows, {"other"}) is rows


def test_a_source_may_have_the_latest_days_only() -> None:
    day = Column("day", "date", "Day.", False)
    count = Measure("rows", "count(*)", "count", "additive", "Rows.")
    visits = table("visits", day, keys=("day",), kind="event", measures=(count,))
    shown = Visual("bar", "V", dimensions=("day",), measures=("rows",))
    source = Source("visits", where="day <> date '2021-09-06'", latest=("day", 3))
    with duckdb.connect() as connection:
        connection.execute(f"create schema {visits.domain}")
        connection.execute(
            f"create table {visits.full_name} as select unnest(generate_series(date '2021-09-01', "
            "date '2021-09-07', interval 1 day))::date as day"
        )
        found = cube.load(
            Registry((visits,)), page(shown, sources=(source,)), source,
            lambda text: connection.execute(text).to_arrow_table(),
        )  # fmt: skip
    assert found["dimensions"]["day"]["values"] == ["2021-09-05", "2021-09-07"]


@pytest.mark.parametrize(
    ("visual", "declared", "fault"),
    [
        (Visual("bars", "V"), {}, "unknown kind 'bars'; did you mean bar"),
        (Visual("bar", "V", measures=("total",)), {}, "has 0 dimensions; a bar takes 1 to 6"),
        (Visual("card", "V"), {}, "has 0 measures; a card takes 1 to 1"),
        (Visual("card", "V", measures=("sum",)), {}, "not a measure of .*; its measures are total"),
        (Visual("card", "V", measures=("total",), source="s"), {}, "has no source 's'"),
        (Visual("card", "V", measures=("total",), width=13), {}, "choose from 1 to 12"),
        (Visual("table", "V", dimensions=("sold",)), {}, "no column sold; did you mean sold_at"),
        (Visual("table", "V", dimensions=("land",)),
         {"sources": (Source("sales", dimensions={"land": "places.land"}),)},
         "has 2 references to places; .*<column>:<table>"),
        (Visual("card", "V", measures=("total",)), {"slicers": (Slicer("land"),)},
         "slicer for land, which no source has"),
        (Visual("donut", "V", dimensions=("sold_at",), measures=("total",), series="sent_to"), {},
         "does not take"),
    ],
)  # fmt: skip
def test_a_page_that_does_not_fit_its_tables_is_refused(
    visual: Visual, declared: dict[str, Any], fault: str
) -> None:
    with pytest.raises(LakehouseError, match=fault):
        check_page(SMALL, page(visual, **declared))


def test_a_dimension_is_reached_through_the_named_reference() -> None:
    source = Source("sales", dimensions={"land": "sent_to:places.land"})
    path = resolve(SMALL, page(sources=(source,)), source, "land")
    assert path.column.name == "land"
    assert [join.reference.columns for join in path.joins] == [("sent_to",)]


@pytest.mark.parametrize(
    ("expression", "tree", "components"),
    [
        ("sum(amount)", ["component", 1], ["sum(source.amount)"]),
        ("count(*)", ["component", 0], []),
        ("avg(amount)", ["/", ["component", 1], ["component", 2]],
         ["sum(source.amount)", "count(source.amount)"]),
        # The order of rows does not change a sum of doubles.
        ("sum(weight)", ["component", 1], ["sum(source.weight ORDER BY source.weight)"]),
        ("100 * sum(amount) / nullif(count(sent_to), 0)",
         ["/", ["*", 100, ["component", 1]], ["nullif", ["component", 2], 0]],
         ["sum(source.amount)", "count(source.sent_to)"]),
        ("count(distinct sold_at)", ["component", 1], ["source.sold_at"]),
        ("count(*) filter (where amount > 0)", ["component", 1],
         ["count(CASE WHEN source.amount > 0 THEN 1 END)"]),
        ("max(amount)", ["component", 1], ["max(source.amount)"]),
    ],
)  # fmt: skip
def test_a_measure_is_taken_apart(expression: str, tree: Any, components: list[str]) -> None:
    found = Components(SALES)
    measure = Measure("m", expression, "euros", "non_additive", "M.")
    assert found.tree(measure) == tree
    got = [component.sql for component in found.found[1:]]
    assert [sql.lower() for sql in got] == [sql.lower() for sql in components]


def test_every_measure_of_the_registry_can_be_taken_apart() -> None:
    for measured in REGISTRY:
        for measure in measured.measures:
            assert isinstance(Components(measured).tree(measure), list)


def test_a_measure_that_groups_cannot_give_is_refused() -> None:
    measure = Measure("m", "median(amount)", "euros", "non_additive", "M.")
    with pytest.raises(LakehouseError, match="cannot compute for a selection"):
        Components(SALES).tree(measure)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([], "uint8"), ([0, 255], "uint8"), ([-1, 2], "int8"), ([256], "uint16"),
     ([70_000], "uint32"), ([-70_000], "int32"), ([2**40], "float64"), ([0.5], "float64")],
)  # fmt: skip
def test_numbers_take_the_smallest_array_that_keeps_them(values: list[Any], kind: str) -> None:
    found = columns.array(np.array(values, dtype="int64" if 0.5 not in values else "float64"))
    assert found["type"] == kind
    assert np.frombuffer(b64decode(found["data"]), kind).tolist() == values


def test_labels_are_sorted_with_null_first_and_keep_large_numbers() -> None:
    labels, codes = columns.dictionary(pa.chunked_array([["b", None], ["a", "b"]]))
    assert (labels, codes.tolist()) == ([None, "a", "b"], [2, 0, 1, 2])
    assert columns.dictionary(pa.chunked_array([[date(2021, 9, 6)]]))[0] == ["2021-09-06"]
    assert columns.dictionary(pa.chunked_array([[2**60 + 1]]))[0] == [str(2**60 + 1)]
    days = pa.chunked_array([["Wed", "Mon", None], ["Mon", "Tue"]])
    labels, codes = columns.dictionary(days, pa.chunked_array([[4, 2, None, 2, 3]]))
    assert (labels, codes.tolist()) == ([None, "Mon", "Tue", "Wed"], [3, 1, 0, 1, 2])


def test_decimals_become_whole_numbers_of_their_last_digit() -> None:
    amounts = pa.array([Decimal("-0.10"), Decimal("12.34"), None], pa.decimal128(38, 2))
    found, scale = columns.figures(pa.chunked_array([amounts]))
    assert (found[:2].tolist(), scale) == ([-10.0, 1234.0], 2)
    assert np.isnan(found[2])
    assert columns.array(found)["type"] == "float64"
    # Sums that would not be exact stay doubles.
    large = pa.array([Decimal("90071992547409.92")] * 2, pa.decimal128(38, 2))
    found, scale = columns.figures(pa.chunked_array([large]))
    assert (found.tolist(), scale) == ([90071992547409.92] * 2, 0)


def test_the_library_is_the_published_one() -> None:
    vendor = files("lakehouse_assets.pages") / "vendor"
    digest = sha256((vendor / "echarts.min.js").read_bytes()).hexdigest()
    assert digest == ("b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0")
    assert "Apache License" in (vendor / "echarts.LICENSE").read_text()
    assert "Apache ECharts" in (vendor / "echarts.NOTICE").read_text()
    outlines = (vendor / "world.js").read_text().splitlines()[1].removeprefix("Pages.world = ")
    digest = sha256(outlines.removesuffix(";").encode()).hexdigest()
    assert digest == "cc301d10340aafd18e2d75510620cf34b9f4b22644d05d603d72c760824ad665"
    assert "Michael Bostock" in (vendor / "world.LICENSE").read_text()
