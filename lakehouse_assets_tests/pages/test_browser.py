"""Pages in a browser: what they show is what SQL says, whoever looks at them and on whatever."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lakehouse_assets import domains
from lakehouse_assets.catalog.pages import (
    Page,
    Source,
    Visual,
    has_dimension,
    measure_of,
    resolve,
    table_of,
)
from lakehouse_assets.catalog.registry import Column, Measure, Registry, Table
from lakehouse_assets.governance.lineage import Lineage
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.pages_asset import EVERY_PAGE, write_pages
from lakehouse_assets.pages.own import OWN_TABLES
from lakehouse_assets.pages.reader import lake_reader
from lakehouse_assets.pages.site import Reader, Version, write_site
from lakehouse_assets.query.session import Sessions
from lakehouse_assets_tests.airline.samples import REPOSITORY, SampleRun
from lakehouse_assets_tests.pages.chromium import Tab, chromium

Ask = Callable[[str], Any]
REGISTRY = Registry((*domains.REGISTRY, *OWN_TABLES), domains.REGISTRY.views)
NAMES = [page.name for page in EVERY_PAGE]
_AXE = REPOSITORY / ".lakehouse" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
# What a careful server sends with every file.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
_READY = "typeof Pages !== 'undefined' && Pages.settled"
_FIRST_CARD = "document.querySelector('[data-kind=card] [data-value]').dataset.value"
# Kinds that show what is chosen in them among the rest.
_FADING = {"bar", "stacked_bar", "column", "stacked_column", "line", "area", "donut", "map",
           "word_cloud"}  # fmt: skip
# Kinds whose table is the result of an analysis, or that have none.
_ANALYSES = {"card", "key_influencers", "top_segments", "decomposition_tree", "lineage"}


@pytest.fixture(scope="module")
def ask(sample: SampleRun) -> Ask:
    """Run a statement on the sample's lake."""
    lake = sample.house.lake
    tracking = MlflowTracking.of(sample.house.settings)
    reads = Lineage(domains.DOMAINS, lake.engine).reads
    return lake_reader(Sessions(lake), reads, tracking=tracking).ask


@pytest.fixture(scope="module")
def folder(sample: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the sample's lake."""
    to = tmp_path_factory.mktemp("site") / "pages"
    # With identifiers, so that rows can be found in the tables.
    tracking = MlflowTracking.of(sample.house.settings)
    site = write_pages(Sessions(sample.house.lake), to, tracking=tracking, identifiers=True)
    assert site.missing == {}
    return site.folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab of a wide screen."""
    with chromium(tmp_path_factory.mktemp("profile")) as open_tab, open_tab() as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab) -> Tab:
    """The tab, on a wide screen in light colours."""
    browser.show(1440, 900)
    return browser


class _Careful(SimpleHTTPRequestHandler):
    """Serves a folder under a content policy, and says nothing."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", _POLICY)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a web server with the pages."""
    handler = partial(_Careful, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def page(name: str) -> Page:
    return next(page for page in EVERY_PAGE if page.name == name)


def show(tab: Tab, folder: Path, name: str, selection: Mapping[str, str] | None = None) -> None:
    """Open a page from its file, with a selection in the link."""
    chosen = "&".join(f"{dimension}={value}" for dimension, value in (selection or {}).items())
    tab.go(f"{(folder / name).as_uri()}.html#{chosen}", _READY)


def figure(visual: str) -> str:
    """Return JavaScript for the figure of a visual."""
    return f"document.querySelector({json.dumps(f'figure[data-title={json.dumps(visual)}]')})"


def shown_rows(tab: Tab, visual: str) -> list[list[str]]:
    """Return the table behind a picture, as the reader opens it, in full."""
    return list(
        tab.run(
            f"""(async () => {{
              const figure = {figure(visual)};
              const button = (text) => [...figure.querySelectorAll("button")]
                .find((one) => one.textContent.startsWith(text));
              button("Table")?.click();
              if (button("Show all")) {{
                button("Show all").click();
                await new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)));
              }}
              const rows = [...figure.querySelectorAll("table.data tbody tr")]
                .map((row) => [...row.children].map((cell) => cell.dataset.value));
              button("Chart")?.click();
              return rows;
            }})()"""
        )
    )


def statement(
    page: Page,
    visual: Visual,
    dimensions: tuple[str, ...],
    selection: Mapping[str, str],
    figures: Sequence[str] = (),
) -> str:
    """Write what a visual shows as SQL, out of its declaration alone.

    Args:
        page: The page.
        visual: The visual; its measures are shown.
        dimensions: By what they are grouped.
        selection: Values of dimensions to which the rows are restricted.
        figures: SQL of further figures.
    """
    source = page.source(visual.source)
    table = table_of(REGISTRY, page, source)
    joins: dict[str, str] = {}

    def column(name: str) -> str:
        path, alias = resolve(REGISTRY, page, source, name), "source"
        for join in path.joins:
            before, alias = alias, "_".join([alias, *join.reference.columns, join.table.name])
            pairs = zip(join.reference.columns, join.reference.to_columns, strict=True)
            on = " and ".join(f"{before}.{one} = {alias}.{other}" for one, other in pairs)
            month = join.table.partition.column if join.table.partition else None
            stored = states(join.table, month in join.reference.to_columns)
            joins[alias] = f"left join {stored} as {alias} on {on}"
        return f"{alias}.{path.column.name}"

    grouped = [f"d{place}" for place, _ in enumerate(dimensions)]
    columns = [f", {column(name)} as d{place}" for place, name in enumerate(dimensions)]
    where = [source.where or "true"]
    if source.latest:
        day, days = source.latest
        newest = f"(select max({day}) from {table.full_name})"  # noqa: S608
        where.append(f"source.{day} > {newest} - {days}")
    for name, value in selection.items():
        if has_dimension(REGISTRY, page, source, name):
            where.append(f"cast({column(name)} as varchar) = '{value}'")
    shown = [measure_of(REGISTRY, page, source, name).expression for name in visual.measures]
    state = table.partition.column if table.partition else ""
    newest = ""
    if source.history and table.holds_states and state not in dimensions:
        newest = f" qualify source.{state} = max(source.{state}) over ()"
    return (
        f"select {', '.join([*grouped, *shown, *figures])} from (select source.*{''.join(columns)} "  # noqa: S608
        f"from {states(table, source.history)} as source {' '.join(joins.values())} "
        f"where ({') and ('.join(where)}){newest}) as selected "
        f"group by {', '.join(grouped) or '()'}"
    )


def states(table: Table, history: bool) -> str:
    """Return the name in SQL of a table's latest state, or of all of its states."""
    return f"{table.full_name}_history" if history and table.holds_states else table.full_name


def weight_of(page: Page, visual: Visual) -> str:
    """Return SQL of how much the rows of an analysis stand for."""
    source = page.source(visual.source)
    names = visual.measures[:1]
    return measure_of(REGISTRY, page, source, names[0]).expression if names else "count(*)"


def label(value: Any) -> str:
    """Return a dimension's value as a page writes it."""
    if value is None:
        return "\u2205"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(" ")
        return text if value.second or value.microsecond else text[:16]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def same(shown: str, expected: Any) -> bool:
    """Whether a figure of a page is that of SQL: exactly, or to the last digits of a double."""
    if expected is None or shown == "":
        return expected is None and shown == ""
    return math.isclose(float(shown), float(expected), rel_tol=1e-12, abs_tol=1e-12)


def differences(tab: Tab, ask: Ask, page: Page, selection: Mapping[str, str]) -> list[str]:
    """Compare every figure of the page that is open with SQL's."""
    found = []
    for visual in page.visuals:
        if visual.kind in _ANALYSES - {"card"}:
            continue
        series = (visual.series,) if visual.series else ()
        dimensions = (*(visual.dimensions[:1] if visual.drill else visual.dimensions), *series)
        # What is chosen by a click on a picture fades the rest of it.
        fading = dimensions[0] if visual.kind in _FADING else None
        chosen = {name: value for name, value in selection.items() if name != fading}
        rows = ask(statement(page, visual, dimensions, chosen)).to_pydict().values()
        expected = {
            tuple(map(label, row[: len(dimensions)])): row[len(dimensions) :]
            for row in zip(*rows, strict=True)
        }
        if visual.kind == "card":
            shown = [
                [tab.run(f"{figure(visual.title)}.querySelector('[data-value]').dataset.value")]
            ]
        else:
            shown = shown_rows(tab, visual.title)
        if len(shown) != min(len(expected), visual.top or len(expected)) and not visual.series:
            found.append(f"{visual.title}: {len(shown)} rows instead of {len(expected)}")
        for row in shown:
            key, values = tuple(row[: len(dimensions)]), row[len(dimensions) :]
            figures = expected.get(key)
            if figures is None or not all(map(same, values, figures)):
                found.append(f"{visual.title}: {row} instead of {figures}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_equals_that_of_sql_with_and_without_a_selection(
    tab: Tab, folder: Path, ask: Ask, name: str
) -> None:
    declared = page(name)
    show(tab, folder, name)
    assert differences(tab, ask, declared, {}) == []
    assert faults_of_access(tab) == []
    dimensions = tab.run(
        "Object.values(Pages.model).flatMap((source) => Object.keys(source.dimensions ?? {}))"
    )
    chosen = {}
    for slicer in declared.slicers:
        if slicer.kind == "list" and not chosen:
            values = tab.run(
                f"""Object.values(Pages.model)
                .map((source) => source.dimensions?.[{json.dumps(slicer.dimension)}])
                .find(Boolean)?.values.filter((value) => value !== null)"""
            )
            chosen = {slicer.dimension: label(values[0])} if values else {}
    show(tab, folder, name, chosen)
    assert differences(tab, ask, declared, chosen) == []
    assert tab.complaints == []
    # A selection that leaves nothing breaks nothing.
    show(tab, folder, name, dict.fromkeys(dimensions, "nobody"))
    assert tab.complaints == []


def faults_of_access(tab: Tab) -> list[Any]:
    """Return what is seriously wrong with the page for people with a disability, as axe sees it."""
    if not _AXE.exists():
        pytest.skip(f"axe-core is not in {_AXE.parent}: make axe")
    tab.run(_AXE.read_text(encoding="utf-8") + "; undefined")
    return list(
        tab.run(
            """axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => violations
            .filter((one) => ["serious", "critical"].includes(one.impact))
            .map((one) => [one.id, one.nodes.map((n) => n.html.slice(0, 200)).slice(0, 3)]))"""
        )
    )


def of_kind(kind: str) -> list[tuple[str, str]]:
    """Return the pages and titles of the visuals of a kind."""
    return [(page.name, visual.title) for page in EVERY_PAGE for visual in page.visuals
            if visual.kind == kind]  # fmt: skip


def choose(tab: Tab, script: str) -> None:
    """Do something on the page, and wait until it is drawn anew."""
    tab.run(script)
    tab.drawn()
    tab.until(_READY)


def selection_of(tab: Tab) -> dict[str, list[str]]:
    """Return the labels that are selected, by dimension."""
    return dict(
        tab.run(
            "Object.fromEntries([...Pages.filters.all()].map(([name, f]) => [name, [...f.labels]]))"
        )
    )


@pytest.mark.parametrize(("name", "title"), of_kind("word_cloud"))
def test_every_tag_of_a_cloud_is_drawn_inside_it_and_over_no_other(
    tab: Tab, folder: Path, ask: Ask, name: str, title: str
) -> None:
    declared = page(name)
    (visual,) = (visual for visual in declared.visuals if visual.title == title)
    rows = ask(statement(declared, visual, visual.dimensions, {})).num_rows
    for width in (1440, 390):
        tab.show(width, 900)
        show(tab, folder, name)
        boxes = tab.run(
            f"""[...{figure(title)}.querySelectorAll("text.word")].map((word) => {{
              const {{x, y, width, height}} = word.getBBox();
              const all = word.ownerSVGElement.viewBox.baseVal;
              return [x, y, x + width, y + height, all.width, all.height];
            }})"""
        )
        assert len(boxes) == min(rows, visual.top or rows)
        assert all(x > -1 and y > -1 and right < width + 1 and bottom < height + 1
                   for x, y, right, bottom, width, height in boxes)  # fmt: skip
        # The line's height is more than that of its letters.
        overlaps = [
            (one, other)
            for place, one in enumerate(boxes)
            for other in boxes[:place]
            if min(one[2], other[2]) - max(one[0], other[0]) > 1
            and min(one[3], other[3]) - max(one[1], other[1]) > 0.3 * (one[3] - one[1])
        ]
        assert overlaps == []


@pytest.mark.parametrize(("name", "title"), of_kind("key_influencers"))
def test_key_influencers_are_the_ratios_of_shares_that_sql_finds(
    tab: Tab, folder: Path, ask: Ask, name: str, title: str
) -> None:
    declared = page(name)
    (visual,) = (visual for visual in declared.visuals if visual.title == title)
    assert visual.target is not None
    source = declared.source(visual.source)
    names = [dimension for dimension in visual.dimensions if dimension != visual.target[0]]
    counted = Visual("table", title, source=source.name)
    wanted = (*names, visual.target[0])
    rows = ask(statement(declared, counted, wanted, {}, [weight_of(declared, visual)]))
    everything = [
        (dict(zip(names, row, strict=False)), row[len(names)] == visual.target[1], float(row[-1]))
        for row in zip(*rows.to_pydict().values(), strict=True)
    ]
    total = sum(amount for _, _, amount in everything)
    hits = sum(amount for _, hit, amount in everything if hit)
    expected = {}
    for dimension in names:
        if isinstance(everything[0][0][dimension], int | float):
            continue
        for value in {row[dimension] for row, _, _ in everything}:
            inside = [(hit, amount) for row, hit, amount in everything if row[dimension] == value]
            count = sum(amount for _, amount in inside)
            within = sum(amount for hit, amount in inside if hit)
            if count < 0.02 * total or count == total:
                continue
            share, others = within / count, (hits - within) / (total - count)
            mean = hits / total
            error = math.sqrt(mean * (1 - mean) * (1 / count + 1 / (total - count)))
            if error and (share - others) / error > 2.58:
                expected[declared.label(dimension), label(value)] = (share, others, count)
    show(tab, folder, name)
    shown = {
        (row[0], row[1]): [float(number or "nan") for number in row[2:]]
        for row in shown_rows(tab, title)
        if (row[0], row[1]) in expected or " to " not in row[1]
    }
    assert shown.keys() == expected.keys()
    for key, (share, others, count) in expected.items():
        ratio = share / others if others else math.inf
        assert shown[key][:4] == pytest.approx([ratio, share, others, count], rel=1e-9)
    assert len(expected) > 1


@pytest.mark.parametrize(("name", "title"), of_kind("top_segments"))
def test_a_segment_selects_the_rows_that_it_counts(
    tab: Tab, folder: Path, ask: Ask, name: str, title: str
) -> None:
    declared = page(name)
    (visual,) = (visual for visual in declared.visuals if visual.title == title)
    assert visual.target is not None
    show(tab, folder, name)
    segments = shown_rows(tab, title)
    shares = [float(row[2]) for row in segments]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) > 1
    choose(tab, f"{figure(title)}.querySelector('button.segment').click()")
    chosen = selection_of(tab)
    names = (*chosen, visual.target[0])
    counted = Visual("table", title, source=visual.source)
    rows = ask(statement(declared, counted, names, {}, [weight_of(declared, visual)]))
    inside = [
        (row[-2] == visual.target[1], float(row[-1]))
        for row in zip(*rows.to_pydict().values(), strict=True)
        if all(label(value) in chosen[n] for n, value in zip(chosen, row, strict=False))
    ]
    count = sum(amount for _, amount in inside)
    assert float(segments[0][3]) == pytest.approx(count)
    assert shares[0] == pytest.approx(sum(amount for hit, amount in inside if hit) / count)
    # The page follows, the segments themselves do not; one step takes it all back.
    assert [row[2] for row in shown_rows(tab, title)] == [row[2] for row in segments]
    choose(tab, "Pages.filters.undo()")
    tab.until("Pages.filters.all().size === 0 && Pages.settled")


@pytest.mark.parametrize(("name", "title"), of_kind("decomposition_tree"))
def test_the_tree_splits_a_total_along_a_path(
    tab: Tab, folder: Path, ask: Ask, name: str, title: str
) -> None:
    declared = page(name)
    (visual,) = (visual for visual in declared.visuals if visual.title == title)
    show(tab, folder, name)
    # It begins with the largest part of each level.
    assert tab.run(f"{figure(title)}.querySelectorAll('.level').length") == 1 + len(
        visual.dimensions
    )
    choose(tab, f"{figure(title)}.querySelector('[data-key=back]').click()")
    path: dict[str, str] = {}
    for depth, dimension in enumerate(visual.dimensions):
        rows = zip(
            *ask(statement(declared, visual, (dimension,), path)).to_pydict().values(), strict=True
        )
        expected = {label(value): float(figure) for value, figure in rows}
        branches = tab.run(
            f"""[...{figure(title)}.querySelectorAll(".level:last-child button.branch")]
            .map((one) => [one.dataset.key.split("|")[1], +one.dataset.value])"""
        )
        assert dict(branches) == pytest.approx(expected)
        figures = [figure for _, figure in branches]
        assert figures == sorted(figures, reverse=True)
        path[dimension] = branches[0][0]
        if depth + 1 < len(visual.dimensions):
            choose(tab, f"{figure(title)}.querySelector('.level:last-child button.branch').click()")
    # "Highest value" asks which dimension has the largest single part of the total.
    choose(
        tab,
        f"""(() => {{ const select = {figure(title)}.querySelector('select');
      select.value = '(highest value)'; select.dispatchEvent(new Event('change')); }})()""",
    )
    choose(tab, f"{figure(title)}.querySelector('[data-key=back]').click()")
    tops = {
        dimension: max(float(row) for row in ask(statement(declared, visual, (dimension,), {}))
                       .to_pydict().popitem()[1])
        for dimension in visual.dimensions
    }  # fmt: skip
    opened = tab.run(f"{figure(title)}.querySelector('.level:last-child .branches').dataset.scroll")
    assert tops[opened] == max(tops.values())


@pytest.mark.parametrize("name", [*NAMES, "index"])
def test_pages_fit_a_phone_in_the_dark_and_are_accessible_under_a_policy(
    tab: Tab, server: str, name: str
) -> None:
    tab.show(390, 844, dark=True, phone=True)
    tab.go(f"{server}/{name}.html", _READY)
    assert tab.run("document.scrollingElement.scrollWidth") == 390
    shade = tab.run("getComputedStyle(document.documentElement).backgroundColor")
    assert max(map(int, re.findall("[0-9]+", shade))) < 64
    assert tab.complaints == []
    # Nothing comes from elsewhere.
    assert [address for address in tab.requests
            if not address.startswith((server, "data:", "about:"))] == []  # fmt: skip
    assert faults_of_access(tab) == []


def pixel_of_bar(tab: Tab, title: str, place: int) -> tuple[float, float]:
    """Return the middle of a bar of a horizontal or vertical bar chart in the window."""
    x, y = tab.run(
        f"""(() => {{
          const view = Pages.layout.views.find((one) => one.spec.title === {json.dumps(title)});
          view.figure.scrollIntoView({{block: "center"}});
          const value = view.data.rows[{place}].values[0] / 2;
          const point = view.spec.kind.endsWith("bar") ? [value, {place}] : [{place}, value];
          const [x, y] = view.drawn.convertToPixel({{xAxisIndex: 0, yAxisIndex: 0}}, point);
          const box = view.element.getBoundingClientRect();
          // Bars of several measures stand side by side.
          return [box.x + x - 8 * (view.spec.measures.length - 1), box.y + y];
        }})()"""
    )
    return x, y


def press_button(tab: Tab, text: str, within: str = "document") -> None:
    """Press the button with a text."""
    choose(
        tab,
        f"""[...{within}.querySelectorAll("button")]
        .find((one) => one.textContent === {json.dumps(text)}).click()""",
    )


def test_a_click_filters_the_whole_page_and_its_links_and_one_undo_takes_it_back(
    tab: Tab, folder: Path, ask: Ask
) -> None:
    declared = page("business")
    title = "Revenue and purchases by region"
    show(tab, folder, "business")
    before = tab.run(_FIRST_CARD)
    tab.point(*pixel_of_bar(tab, title, 1), click=True)
    tab.until(f"Pages.filters.any() && {_READY}")
    chosen = selection_of(tab)
    assert list(chosen) == ["region"]
    (region,) = chosen["region"]
    assert differences(tab, ask, declared, {"region": region}) == []
    # The link says it all, and those to other pages say it, too.
    link = tab.run("location.href")
    assert f"region={region}" in link
    assert tab.run("document.querySelector('header nav a:not([aria-current])').hash") == (
        f"#region={region}"
    )
    press_button(tab, "Undo")
    tab.until(f"!Pages.filters.any() && {_READY}")
    assert tab.run(_FIRST_CARD) == before
    tab.go(link, _READY)
    assert selection_of(tab) == chosen
    press_button(tab, "Clear")
    tab.until(f"!Pages.filters.any() && {_READY}")
    assert tab.complaints == []


def notes(tab: Tab) -> dict[str, str]:
    """Return what visuals say below their titles, by title."""
    return dict(
        tab.run(
            """Object.fromEntries([...document.querySelectorAll("figure.visual")].map((one) =>
            [one.dataset.title, one.querySelector(".note").hidden ? "" :
              one.querySelector(".note").textContent]))"""
        )
    )


def test_a_visual_says_that_a_selection_does_not_filter_it(tab: Tab, folder: Path) -> None:
    show(tab, folder, "business")
    before = notes(tab)
    tab.run("Pages.filters.select('region', 'NORTH')")
    tab.until(f"Pages.filters.any() && {_READY}")
    said = {title for title, note in notes(tab).items() if "Not filtered by Region" in note}
    declared = page("business")
    assert said == {
        visual.title
        for visual in declared.visuals
        if not has_dimension(REGISTRY, declared, declared.source(visual.source), "region")
    }
    assert {"Members", "Flights"} <= said
    why = tab.run(f"{figure('Members')}.querySelector('.note').title")
    assert why == "These data have no Region, so this selection does not change them."
    press_button(tab, "Undo")
    tab.until(f"!Pages.filters.any() && {_READY}")
    assert notes(tab) == before
    # What the link selects on another page is no dimension of this one.
    show(tab, folder, "loyalty", {"region": "NORTH"})
    assert not any("Not filtered" in note for note in notes(tab).values())


def test_a_current_segment_leaves_those_newly_at_risk_and_the_previous_one_filters_them(
    tab: Tab, folder: Path, ask: Ask
) -> None:
    declared, title = page("loyalty"), "Newly at risk"
    members = f"{figure(title)}.querySelector('[data-value]').dataset.value"
    show(tab, folder, "loyalty")
    everyone = tab.run(members)
    assert int(everyone) > 0
    show(tab, folder, "loyalty", {"segment_name": "At-Risk Customers"})
    assert tab.run(members) == everyone
    assert notes(tab)[title] == "Not filtered by Segment"
    listed = shown_rows(tab, "Members newly at risk")
    head = f"{figure('Members newly at risk')}.querySelectorAll('thead th')[1].textContent"
    assert tab.run(head) == "Previous segment"
    previous = {"from_segment_name": listed[0][1]}
    show(tab, folder, "loyalty", previous)
    assert differences(tab, ask, declared, previous) == []
    assert 0 < int(tab.run(members)) <= int(everyone)


def test_a_bar_is_drilled_to_the_next_level_and_back(tab: Tab, folder: Path, ask: Ask) -> None:
    declared = page("business")
    visual = next(visual for visual in declared.visuals if visual.drill)
    show(tab, folder, "business")
    top = shown_rows(tab, visual.title)
    press_button(tab, "Drill", figure(visual.title))
    tab.point(*pixel_of_bar(tab, visual.title, 0), click=True)
    tab.until(f"!{figure(visual.title)}.querySelector('.crumbs').hidden")
    first, second = visual.dimensions[:2]
    rows = ask(statement(declared, visual, (second,), {first: top[0][0]})).to_pydict().values()
    expected = {label(name): value for name, value in zip(*rows, strict=True)}
    shown = shown_rows(tab, visual.title)
    assert len(shown) == min(len(expected), visual.top or len(expected))
    assert all(same(value, expected[name]) for name, value in shown)
    press_button(tab, "All", figure(visual.title))
    assert shown_rows(tab, visual.title) == top


def test_the_data_of_a_picture_are_downloaded_as_csv(tab: Tab, folder: Path) -> None:
    show(tab, folder, "churn")
    for title in ("Tenure and spend by customer", "Factors associated with churn"):
        shown = shown_rows(tab, title)
        text = tab.run(
            f"""new Promise((done) => {{
              const make = URL.createObjectURL;
              URL.createObjectURL = (blob) => {{ blob.text().then(done); return make(blob); }};
              [...{figure(title)}.querySelectorAll("button")]
                .find((one) => one.textContent === "CSV").click();
              URL.createObjectURL = make;
            }})"""
        )
        head, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
        assert len(head) == len(shown[0])
        assert rows == shown


def test_the_keyboard_reaches_everything_and_selects_and_takes_back(tab: Tab, folder: Path) -> None:
    show(tab, folder, "churn")
    wanted = tab.run(
        """(() => {
          const all = [...document.querySelectorAll(
            "a[href], button:not(:disabled), summary, select, input, [tabindex='0']")];
          globalThis.focusable = all.filter((one) =>
            one.checkVisibility({checkVisibilityCSS: true}) && one.tabIndex >= 0);
          return focusable.length;
        })()"""
    )
    assert wanted > 30
    reached = set()
    for _ in range(wanted + 1):
        tab.press("Tab", drawn=False)
        place, name, outline = tab.run(
            """(() => {
              const here = document.activeElement;
              const style = getComputedStyle(here.querySelector("rect") ?? here);
              return [focusable.indexOf(here), here.ariaLabel || here.textContent || here.title,
                style.outlineStyle];
            })()"""
        )
        if place >= 0:
            assert name.strip()
            assert outline != "none", name
            reached.add(place)
    assert reached == {*range(wanted)}
    # A word of the cloud, and the words beside it by the arrow keys.
    tab.run("document.querySelector('text.word[tabindex=\"0\"]').focus()")
    tab.press("ArrowRight")
    word = tab.run("document.activeElement.dataset.key")
    tab.press("Enter")
    tab.until(f"Pages.filters.any() && {_READY}")
    assert selection_of(tab) == {"hashtag": [word]}
    # Whoever works by keyboard stays where they were.
    assert tab.run("document.activeElement.dataset.key") == word
    tab.press("z", control=True)
    tab.until(f"!Pages.filters.any() && {_READY}")
    # The table behind a chart selects as the chart does.
    tab.run(f"""[...{figure("Churn by contract")}.querySelectorAll("button")]
        .find((one) => one.textContent === "Table").focus()""")
    tab.press("Enter")
    while not tab.run("document.activeElement.matches('.select')"):
        tab.press("Tab")
    tab.press("Enter")
    tab.until(f"Pages.filters.any() && {_READY}")
    assert list(selection_of(tab)) == ["store_contract"]


def test_the_lineage_is_searched_and_walked(tab: Tab, folder: Path) -> None:
    ((name, title),) = of_kind("lineage")
    show(tab, folder, name)
    edges = {tuple(row) for row in shown_rows(tab, title)}
    names = {name for edge in edges for name in edge}
    nodes = f"[...{figure(title)}.querySelectorAll('g.node')].map((one) => one.dataset.key)"
    assert set(tab.run(nodes)) == names
    # Every edge leads to the right.
    places = dict(
        tab.run(
            f"""[...{figure(title)}.querySelectorAll('g.node')].map((one) =>
            [one.dataset.key, one.getBoundingClientRect().x])"""
        )
    )
    assert [edge for edge in edges if places[edge[0]] >= places[edge[1]]] == []
    sought = "airline.kpi_customer_value"
    choose(
        tab,
        f"""(() => {{ const search = {figure(title)}.querySelector("input");
        search.value = "kpi_customer"; search.dispatchEvent(new Event("change")); }})()""",
    )
    near = {sought} | {name for edge in edges if sought in edge for name in edge}
    assert set(tab.run(nodes)) == near
    choose(
        tab,
        f"""{figure(title)}.querySelector('g.node[data-key="{sought}"]')
        .dispatchEvent(new Event("click"))""",
    )
    sources, readers = {sought}, {sought}
    for _ in names:
        sources |= {one for one, other in edges if other in sources}
        readers |= {other for one, other in edges if one in readers}
    assert set(tab.run(nodes)) == sources | readers
    assert len(sources) > 3
    assert len(readers) > 3


def test_a_picture_of_the_thing_is_shown_where_the_mouse_is(tab: Tab, folder: Path) -> None:
    show(tab, folder, "website")
    (title,) = (v.title for v in page("website").visuals if "pictures" in v.options)
    tab.point(*pixel_of_bar(tab, title, 0))
    tab.until("document.querySelector('.tooltip .glyph path') !== null")
    assert tab.complaints == []


def write_points(points: pa.Table, visuals: tuple[Visual, ...], to: Path) -> Path:
    """Write the page `points` of rows that are no table of the lake."""

    def measure(name: str, expression: str) -> Measure:
        return Measure(name, expression, "km", "additive", "A test.")

    kinds = {pa.string(): "string", pa.int64(): "bigint", pa.float64(): "double"}
    columns = tuple(Column(field.name, kinds[field.type], "A test.") for field in points.schema)
    measures = (measure("points", "count(*)"), measure("across", "avg(x)"), measure("up", "avg(y)"))
    table = Table("many", "points", "gold", "Points.", columns, ("x",), "team:test", "event",
                  measures=measures)  # fmt: skip
    database = duckdb.connect()
    database.execute("create schema many; create table many.points as select * from points")
    reader = Reader(lambda text: database.execute(text).to_arrow_table(),
                    lambda found: Version(found.full_name, 1, "2026-01-01 00:00"))  # fmt: skip
    page = Page("points", "Points", "many", "Many points.", (Source("points"),), visuals)
    return write_site(Registry([table]), [page], reader, to / "pages").folder


def test_a_hundred_thousand_rows_are_all_shown_and_filtered_in_few_passes(
    tab: Tab, tmp_path: Path
) -> None:
    points = duckdb.sql(
        "select i as id, 'c' || i % 5 as colour, 's' || i % 7 as shape, "
        "if(i % 11 < 4 or i % 5 = 0, 'Yes', 'No') as answer, i % 60 as age, "
        "(i * 7919 % 100003) / 1e5 as x, (i * 104729 % 100019) / 1e5 as y from range(100000) t(i)"
    ).to_arrow_table()
    target = ("answer", "Yes")
    visuals = (
        Visual("card", "Number", measures=("points",)),
        Visual("scatter", "Where", dimensions=("id",), measures=("across", "up"), series="colour"),
        Visual("bar", "Shapes", dimensions=("shape",), measures=("points",)),
        Visual("matrix", "Both", dimensions=("shape", "colour"), measures=("points",)),
        Visual("key_influencers", "Why", dimensions=("colour", "shape", "age"), target=target),
        Visual("top_segments", "Who", dimensions=("colour", "shape", "age"), target=target),
        Visual("word_cloud", "Colours", dimensions=("colour",), measures=("points",)),
    )
    show(tab, write_points(points, visuals, tmp_path), "points")
    scatter = "Pages.layout.views.find((view) => view.spec.kind === 'scatter')"
    drawn = f"{scatter}.drawn.getOption().series.reduce((sum, one) => sum + one.data.length / 2, 0)"
    assert tab.run(drawn) == 100_000
    before = tab.run("Pages.passes")
    tab.run("Pages.filters.select('shape', 's3')")
    tab.until(f"Pages.filters.any() && {_READY}")
    assert tab.run(drawn) == 14_286
    # One for the filter; most visuals take two or three, the tree of the segments five.
    assert tab.run("Pages.passes") - before <= 36
    counts = ["2857", "2857", "2857", "2858", "2857"]
    assert shown_rows(tab, "Both") == [["s3", f"c{n}", value] for n, value in enumerate(counts)]
    press_button(tab, "Table", figure("Where"))
    assert tab.run(f"{figure('Where')}.querySelectorAll('tbody tr').length") == 100
    assert (
        tab.run(f"{figure('Where')}.querySelector('.more').textContent") == "Show all 14,286 rows"
    )
    assert tab.complaints == []


def test_the_pages_of_a_role_say_what_is_not_shown(
    tab: Tab, sample: SampleRun, tmp_path: Path
) -> None:
    access = domains.ROLES["manager_beijing"]
    site = write_pages(Sessions(sample.house.lake), tmp_path / "site", access=access)
    for name in ("loyalty", "business"):
        show(tab, site.folder, name)
        assert tab.complaints == []
    said = tab.run("document.body.innerText")
    assert site.missing["business", "fact_transactions"] in said
    links = tab.run("[...document.querySelectorAll('header nav a')].map((one) => one.innerText)")
    assert links == ["Business", "Loyalty segments"]


# Texts that could be taken for markup, for parts of an address, for formulas or for properties.
_LABELS = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "a|b", "1..2", "",
           None, "O'Brien \"x\"", "=1+1", "x" * 300, "a&b=c#d", "~title", "%41", "日本語 🛫",
           "line\nbreak", "__proto__", "constructor", "∅", "∅∅"]  # fmt: skip


def test_labels_of_any_kind_are_shown_and_selected_by_links(tab: Tab, tmp_path: Path) -> None:
    rows = [
        {"name": name, "other": _LABELS[place - 3], "answer": "Yes" if place % 3 else "No",
         "lat": 3.0 * place if place % 4 else None, "lon": 9.0 * place, "x": 1.0, "y": float(place)}
        for place, name in enumerate(_LABELS)
        for _ in range(place + 1)
    ]  # fmt: skip
    both = ("name", "other")
    plain = [Visual(kind, kind, dimensions=("name",), measures=("points",))
             for kind in ("bar", "donut", "line", "word_cloud")]  # fmt: skip
    visuals = (
        Visual("card", "Number <b>", measures=("points",)),
        *plain,
        Visual("stacked_column", "s", dimensions=("name",), measures=("points",), series="other"),
        Visual("scatter", "p", dimensions=("name",), measures=("across", "up"), series="other"),
        Visual("matrix", "m", dimensions=both, measures=("points",)),
        Visual("table", "t", dimensions=both, measures=("points",)),
        Visual("decomposition_tree", "d", dimensions=both, measures=("points",)),
        Visual("key_influencers", "k", dimensions=both, target=("answer", "Yes")),
        Visual("top_segments", "g", dimensions=both, target=("answer", "Yes")),
        Visual("forecast_band", "f", dimensions=("name",), measures=("across", "up", "points")),
        Visual("map", "a", dimensions=("name", "lat", "lon"), measures=("points",)),
    )
    folder = write_points(pa.Table.from_pylist(rows), visuals, tmp_path)
    # A page with few visuals is enough for the links.
    few = write_points(pa.Table.from_pylist(rows), visuals[:2], tmp_path / "few")
    links = {}
    # Every visual shows every label, and is left with each third one.
    for at, names in ((folder, _LABELS[::3]), (few, [*_LABELS[1::3], *_LABELS[2::3]])):
        show(tab, at, "points")
        assert tab.complaints == []
        for name in names:
            tab.run(f"Pages.filters.select('name', {json.dumps(name)})")
            tab.until(f"Pages.filters.any() && {_READY}")
            links[name] = tab.run("location.hash")
            assert tab.run(_FIRST_CARD) == str(_LABELS.index(name) + 1), name
            assert tab.complaints == [], name
            choose(tab, "Pages.filters.undo()")
    for place, link in enumerate(links[name] for name in _LABELS):
        tab.go(f"{(few / 'points.html').as_uri()}{link}", _READY)
        assert tab.run(_FIRST_CARD) == str(place + 1), link
        assert tab.complaints == [], link
    # Nothing of them became an element, and a selection that leaves nothing breaks nothing.
    assert tab.run("document.querySelectorAll('img, main script').length") == 0
    show(tab, folder, "points", {"name": "nobody"})
    assert tab.run(_FIRST_CARD) == "0"
    assert tab.complaints == []
