"""Reports: each visual of a page has its place, its roles are filled, and its fields exist."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.pages import KINDS as PAGE_KINDS
from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.catalog.registry import Column, Measure, Registry
from lakehouse_assets.domains import PAGES, REGISTRY, ROLES
from lakehouse_assets.pages.own import OWN_PAGES
from lakehouse_assets.powerbi.files import static
from lakehouse_assets.powerbi.project import Project, projects
from lakehouse_assets.powerbi.sources import KINDS, Kind
from lakehouse_assets.powerbi.visuals import SHOWN
from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.lake.samples import table
from lakehouse_assets_tests.powerbi import tmdl
from lakehouse_assets_tests.powerbi.schemas import faults_of
from lakehouse_assets_tests.powerbi.test_model import check, shop, source

Json = dict[str, Any]
# What the roles of Power BI's visuals take, and how many: the published schemas do not check it.
_CHART = {"Category": {"Column": (1, 8)}, "Y": {"Measure": (1, 8)}, "Series": {"Column": (0, 1)}}
FIELD_ROLES: dict[str, dict[str, dict[str, tuple[int, int]]]] = {
    "cardVisual": {"Data": {"Measure": (1, 8)}},
    **dict.fromkeys(
        ("clusteredBarChart", "clusteredColumnChart", "barChart", "columnChart", "lineChart",
         "areaChart"), _CHART,
    ),
    "donutChart": {"Category": {"Column": (1, 8)}, "Y": {"Measure": (1, 1)}},
    "treemap": {"Group": {"Column": (1, 8)}, "Values": {"Measure": (1, 1)}},
    "tableEx": {"Values": {"Column": (0, 16), "Measure": (0, 16)}},
    "pivotTable": {
        "Rows": {"Column": (1, 8)}, "Columns": {"Column": (0, 8)}, "Values": {"Measure": (1, 8)},
    },
    "scatterChart": {
        "Category": {"Column": (1, 1)}, "X": {"Measure": (1, 1)}, "Y": {"Measure": (1, 1)},
        "Size": {"Measure": (0, 1)}, "Series": {"Column": (0, 1)},
    },
    "decompositionTreeVisual": {"Analyze": {"Measure": (1, 1)}, "ExplainBy": {"Column": (1, 24)}},
    "keyDriversVisual": {"Target": {"Column": (1, 1)}, "ExplainBy": {"Column": (1, 24)}},
    "azureMap": {
        "Category": {"Column": (1, 1)}, "Y": {"Aggregation": (1, 1)}, "X": {"Aggregation": (1, 1)},
        "Size": {"Measure": (0, 1)},
    },
    "slicer": {"Values": {"Column": (1, 1)}},
}  # fmt: skip


def made(registry: Registry, pages: tuple[Page, ...], kind: Kind) -> list[Project]:
    found = list(projects(registry, source(kind), pages=pages, roles=ROLES.values()))
    for project in found:
        check_report(project)
    return found


def files_below(project: Project, folder: str) -> dict[str, str]:
    start = f"{project.model.name}.{folder}/"
    found = project.files.items()
    return {path.removeprefix(start): text for path, text in found if path.startswith(start)}


def pages_of(project: Project) -> dict[str, tuple[Json, list[Json]]]:
    """Return the report's pages with their visuals, by title."""
    files = files_below(project, "Report")
    order = json.loads(files.get("definition/pages/pages.json", '{"pageOrder": []}'))
    found = {}
    for name in order["pageOrder"]:
        start = f"definition/pages/{name}/"
        page = json.loads(files[f"{start}page.json"])
        assert page["name"] == name
        visuals = [json.loads(text) for path, text in files.items()
                   if path.startswith(f"{start}visuals/")]  # fmt: skip
        assert all(f"{start}visuals/{v['name']}/visual.json" in files for v in visuals)
        found[page["displayName"]] = page, visuals
    return found


def fields_in(content: Any, names: Mapping[str, str] | None = None) -> Iterator[tuple[str, ...]]:
    """Yield kind, table and name of all fields in JSON; `names` are the tables of a query."""
    if isinstance(content, list):
        for part in content:
            yield from fields_in(part, names)
    if not isinstance(content, dict):
        return
    if isinstance(content.get("From"), list):
        names = {f["Name"]: f["Entity"] for f in content["From"] if "Entity" in f}
        assert len({*names.values()}) == len(names)
    for kind, part in content.items():
        if kind in {"Column", "Measure"} and isinstance(part, dict) and "Property" in part:
            reference = part["Expression"]["SourceRef"]
            table = reference.get("Entity") or (names or {})[reference["Source"]]
            yield kind, table, part["Property"]
        yield from fields_in(part, names)


def check_report(project: Project) -> None:
    """Check that fields exist, roles are filled, and visuals have places of their own."""
    definition = files_below(project, "SemanticModel")
    model = tmdl.read({p.removeprefix("definition/"): text for p, text in definition.items()
                       if p.endswith(".tmdl")})  # fmt: skip
    check(model)
    tables = model.all("table")
    titles: dict[str, set[str]] = {}
    for title, (page, visuals) in pages_of(project).items():
        names = [v["name"] for v in visuals]
        assert len({*names}) == len(names)
        for visual in visuals:
            for kind, of, name in fields_in(visual):
                assert name in tables[of].all(kind.lower()), (title, of, name)
            place, what = visual["position"], visual["visual"]
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= page["width"]
            assert place["y"] + place["height"] <= page["height"]
            if what["visualType"] == "textbox":
                continue
            check_roles(what)
            shown = what["visualContainerObjects"]["title"][0]["properties"]["text"]
            titles.setdefault(title, set()).add(shown["expr"]["Literal"]["Value"])
        for one, other in combinations([v["position"] for v in visuals], 2):
            assert (
                one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
                or one["y"] + one["height"] <= other["y"]
                or other["y"] + other["height"] <= one["y"]
            )  # fmt: skip
    for page_shown in project.pages:
        for visual in page_shown.visuals:
            title = "'" + visual.title.replace("'", "''") + "'"
            named = f"visual {visual.title!r} of page {page_shown.name}:"
            left_out = any(text.startswith(named) for text in project.left_out)
            assert left_out != (title in titles.get(page_shown.title, set())), visual.title


def check_roles(visual: Json) -> None:
    roles = FIELD_ROLES[visual["visualType"]]
    state = visual["query"]["queryState"]
    assert {*state} <= {*roles}
    references = [p["queryRef"] for s in state.values() for p in s["projections"]]
    assert len({*references}) == len(references)
    for name, takes in roles.items():
        projections = state.get(name, {}).get("projections", [])
        found = Counter(next(iter(p["field"])) for p in projections)
        assert found.keys() <= takes.keys()
        for kind, (least, most) in takes.items():
            assert least <= found[kind] <= most, (visual["visualType"], name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_of_the_lake_is_in_a_report(kind: Kind) -> None:
    found = made(REGISTRY, (*PAGES, *OWN_PAGES), kind)
    shown = {title for project in found for title in pages_of(project)}
    # Of the pages of other sources, only what is left out by name may be missing.
    assert kind != "sql" or {page.title for page in (*PAGES, *OWN_PAGES)} == shown
    left_out = [text for p in found for text in p.left_out if " of page " in text]
    # What the pages compute about the lake is in no table.
    assert kind != "sql" or all("lake." in text for text in left_out), left_out
    assert found[0].files == made(REGISTRY, (*PAGES, *OWN_PAGES), kind)[0].files


def test_every_kind_of_visual_is_shown() -> None:
    assert {*SHOWN} == {*PAGE_KINDS}
    for shown in SHOWN.values():
        named = {*shown.dimensions, *shown.measures, *filter(None, [shown.target])}
        assert named <= {*FIELD_ROLES[shown.visual]}


def odd_page(**given: Any) -> Page:
    """Return a page with every kind of visual, over tables whose names need quotes."""
    dimensions = {
        "word": "bought:calendar of 'us'.tage\u00e4", "day": "bought:calendar of 'us'.the day",
        "e": "people.email", "w2": "people.person_key", "w3": "bought", "w4": "seen",
    }  # fmt: skip
    visuals = []
    for kind, takes in PAGE_KINDS.items():
        count = takes.dimensions[0]
        visuals.append(
            Visual(
                kind, f"It's {kind}", dimensions=tuple(dimensions)[:count],
                measures=("amount", "persons", "least")[: takes.measures[0]],
                series="e" if takes.series and kind != "forecast_band" else None,
                target=("e", "x") if takes.target else None,
                top=5 if count and takes.measures[0] else None, note="No 'note'.",
            )
        )  # fmt: skip
    visuals += [
        Visual("card", "Gone", measures=("odd",)),
        Visual("table", "Rows of 3", source="some", dimensions=("bought",)),
        Visual("card", "Some", source="some", measures=("amount",)),
        Visual("card", "All months", source="months", measures=("persons",)),
        Visual("card", "Elsewhere", source="nowhere", measures=("n",)),
    ]
    sources = (
        Source("buys", dimensions=dimensions),
        Source("buys", "some", where='"number [a]" > 3'),
        Source("people", "months", history=True),
        Source("lake.tables", "nowhere"),
    )
    return Page("p", "P'\u00e4ge", "shop", "What?", sources, tuple(visuals), **given)


def test_odd_names_and_every_kind_of_visual(tmp_path: Path) -> None:
    labels = {"word": "Wort 'x'"}
    page = odd_page(slicers=(Slicer("word"), Slicer("day", "range"), Slicer("n")), labels=labels)
    (project,) = made(shop(), (page,), "local")
    assert faults_of(project.files) == []
    told = [text.partition(":")[0] for text in project.left_out]
    assert told[3:] == [
        "visual 'Gone' of page p", "visual 'Rows of 3' of page p", "visual 'Elsewhere' of page p",
        "slicer 'n' of page p",
    ]  # fmt: skip
    ((_, shown),) = pages_of(project).values()
    by_title = {
        v["visual"]["visualContainerObjects"]["title"][0]["properties"]["text"]["expr"]["Literal"][
            "Value"]: v for v in shown if v["visual"]["visualType"] != "textbox"
    }  # fmt: skip
    some = by_title["'Some'"]["visual"]["query"]["queryState"]["Data"]["projections"][0]
    assert some["field"]["Measure"]["Property"] == "Amount (some of p)"
    states = by_title["'All months'"]["visual"]["query"]["queryState"]["Data"]["projections"][0]
    assert states["field"]["Measure"]["Expression"]["SourceRef"]["Entity"] == "people_history"
    day = by_title["'Day'"]["visual"]
    assert (
        day["objects"]["data"][0]["properties"]["mode"]["expr"]["Literal"]["Value"] == "'Between'"
    )
    assert day["syncGroup"]["groupName"] == "calendar of 'us'.the day"
    assert by_title["'Wort ''x'''"]["visual"]["objects"]["data"][0]["properties"]["mode"] == {
        "expr": {"Literal": {"Value": "'Dropdown'"}}
    }
    top = by_title["'It''s bar'"]["filterConfig"]["filters"][0]
    assert top["filter"]["From"][0]["Expression"]["Subquery"]["Query"]["Top"] == 5


def test_a_dimension_of_several_sources_is_one_column() -> None:
    """What a table and the table it refers to both have is shown from the latter."""
    page = Page(
        "q", "Q", "shop", "Two sources.",
        sources=(
            Source("buys", dimensions={"joined": "people.joined"}),
            Source("people"),
        ),
        visuals=(
            Visual("donut", "Bought", dimensions=("joined",), measures=("amount",)),
            Visual("donut", "Persons", source="people", dimensions=("joined",),
                   measures=("persons",)),
        ),
    )  # fmt: skip
    (project,) = made(shop(), (page,), "local")
    ((_, shown),) = pages_of(project).values()
    fields = {field for visual in shown for field in fields_in(visual["visual"])
              if field[0] == "Column"}  # fmt: skip
    assert fields == {("Column", "people", "joined")}


def test_values_that_several_tables_have_are_shared_unless_they_identify_someone() -> None:
    month, mail = (
        Column("month", "date", "Month.", False), Column("mail", "string", "Mail.", pii="contact"),
    )  # fmt: skip
    rows = Measure("rows", "count(*)", "count", "additive", "Rows.")
    registry = Registry(
        table(name, month, mail, layer="gold", measures=(rows,)) for name in ("one", "other")
    )
    page = Page(
        "r", "R", "shop", "Two tables.",
        sources=(Source("one"), Source("other")),
        slicers=(Slicer("month", "range"), Slicer("mail")),
        visuals=(
            Visual("line", "One", dimensions=("month",), measures=("rows",)),
            Visual("line", "Other", source="other", dimensions=("month",), measures=("rows",)),
        ),
    )  # fmt: skip
    (project,) = made(registry, (page,), "local")
    ((_, shown),) = pages_of(project).values()
    columns = [field for v in shown for field in fields_in(v["visual"]) if field[0] == "Column"]
    # Slicer, and for each line its category and its order.
    assert columns.count(("Column", "Month", "Month")) == 5
    assert columns.count(("Column", "one", "mail")) == 1
    assert {(r.table, r.to_table) for r in project.model.relations} == {
        ("one", "Month"), ("other", "Month"),
    }  # fmt: skip


def test_colours_are_those_of_the_pages() -> None:
    css = (REPOSITORY / "lakehouse_assets" / "pages" / "assets" / "pages.css").read_text("utf-8")
    light = css[: css.index("--c10") + 20]
    theme = json.loads(static("Report")["StaticResources/RegisteredResources/Lakehouse.json"])
    shown = enumerate(theme["dataColors"], 1)
    assert [f"--c{n}: {colour};" in light for n, colour in shown] == [True] * 10
