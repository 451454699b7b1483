"""The catalogue of the sample's lake: what it says, whom it keeps quiet about, how it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.domains import DOMAINS, PAGES, REGISTRY, ROLES
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.governance.catalog import MASKED, Ages, describe
from lakehouse_assets.governance.lineage import Lineage
from lakehouse_assets.governance.site import write_catalog
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.pages.own import OWN_PAGES, OWN_TABLES
from lakehouse_assets_tests.airline.samples import REPOSITORY, SampleRun
from lakehouse_assets_tests.pages.chromium import Tab, chromium

Catalog = dict[str, Any]
_AXE = REPOSITORY / ".lakehouse" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
# Personal, and short or common enough to be part of other words: only their cells are looked at.
_COMMON = 6


@pytest.fixture(scope="module")
def catalog(sample: SampleRun) -> Catalog:
    lake = sample.house.lake
    ages = {REGISTRY["kpi_customer_value"]: Ages(60.0, 120.0)}
    lineage = Lineage(DOMAINS, lake.engine)
    return describe(DOMAINS, lake, lineage, ROLES, ages, OWN_PAGES, OWN_TABLES)


@pytest.fixture(scope="module")
def folder(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site") / "catalog"
    write_catalog(catalog, to, "../pages")
    return to


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as open_tab, open_tab() as opened:
        opened.show(1400, 900)
        yield opened


def tables(catalog: Catalog) -> dict[str, Any]:
    return {table["name"]: table for table in catalog["tables"]}


def test_everything_is_in_it_and_every_name_leads_somewhere(catalog: Catalog) -> None:
    known = tables(catalog)
    assert known.keys() == {
        t.full_name for t in (*REGISTRY, *(view.table for view in REGISTRY.views))
    }
    columns = {f"{name}.{c['name']}" for name, table in known.items() for c in table["columns"]}
    fields = {f"{d['name']}.{f['name']}" for d in catalog["deliveries"] for f in d["fields"]}
    measures = {f"{name}.{m['name']}" for name, table in known.items() for m in table["measures"]}
    named = [s for table in known.values() for c in table["columns"] for s in c["sources"]]
    assert {*named} <= columns | fields
    assert {c for term in catalog["terms"] for c in term["columns"]} <= columns
    assert {m for term in catalog["terms"] for m in term["measures"]} <= measures
    assert {c for page in catalog["pages"] for c in page["columns"]} <= columns
    assert {m for page in catalog["pages"] for m in page["measures"]} <= measures
    assert {t for page in catalog["pages"] for t in page["tables"]} <= known.keys()
    assert {page["name"] for page in catalog["pages"]} == {p.name for p in (*PAGES, *OWN_PAGES)}
    assert {s for model in catalog["models"] for s in model["sources"]} <= columns
    systems = {c["name"] for c in catalog["collections"] if c["group"] == "Sources"}
    assert systems == {"Files", "Oracle", "SQL Server", "Snowflake", "Teradata", "Event hub"}
    assert [c["group"] for c in catalog["collections"]][-2:] == ["Models", "BI"]


def test_a_table_has_all_that_is_known_of_it(catalog: Catalog, sample: SampleRun) -> None:
    table = tables(catalog)["airline.kpi_customer_value"]
    lake = sample.house.lake
    declared = REGISTRY["kpi_customer_value"]
    assert table["stored"]["rows"] == sum(lake.rows_by_partition(declared).values())
    assert table["stored"]["version"] == table["versions"][0]["version"] == lake.version(declared)
    assert table["ages"] == {"due": 60.0, "late": 120.0}
    assert {rule["rule"] for rule in table["quality"]["rules"]} >= {"keys_are_unique"}
    assert table["quality"]["runs"]
    assert table["reads"] == [
        "airline.dim_customers", "airline.fact_flights", "airline.customer_spend"
    ]  # fmt: skip
    assert {role["name"] for role in table["roles"]} == {
        role.name for role in ROLES.values() if declared in role.tables
    }
    (status,) = [c for c in table["columns"] if c["name"] == "customer_status"]
    assert status["sources"] == ["airline.fact_flights.days_since_last_flight"]
    gender = {c["name"]: c for c in tables(catalog)["retail.silver_customers"]["columns"]}["gender"]
    assert gender["allowed"][:2] == ["Male", "Female"]


def test_no_personal_data_is_in_its_bytes(
    catalog: Catalog, folder: Path, sample: SampleRun
) -> None:
    text = "".join(p.read_text("utf-8") for p in sorted(folder.rglob("*")) if p.is_file())
    written = {json.loads(f'"{found}"') for found in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)}
    cells = "\n".join(c for t in catalog["tables"] for row in t["sample"] for c in row)
    lake = sample.house.lake
    seen = 0
    for table in REGISTRY:
        shown = tables(catalog)[table.full_name]["sample"]
        for at, column in enumerate(table.columns):
            if column.pii:
                assert {row[at] for row in shown} <= {MASKED}, f"{table.full_name}.{column.name}"
            tells = column.pii in {"identifier", "contact"} and column.type == "string"
            if tells and lake.version(table) is not None:
                for row in lake.engine.rows(lake.read(table, columns=[column.name]).distinct()):
                    value = str(row[column.name] or "").strip()
                    if len(value) > _COMMON and value not in {"Unknown", "the model"}:
                        seen += 1
                        assert value not in written, f"{table.full_name}: {value}"
                        assert value not in cells, f"{table.full_name}: {value}"
    assert seen > 5_000


def test_the_same_lake_gives_the_same_catalogue(catalog: Catalog, sample: SampleRun) -> None:
    airline = [domain for domain in DOMAINS if domain.name in {"airline", "conformed"}]
    registry = Registry([table for domain in airline for table in domain.tables])
    settings = sample.house.settings
    lake = Lake(settings.root, sample.house.lake.engine, registry)
    again = describe(airline, lake, Lineage(airline, lake.engine), ROLES, {})
    for table in again["tables"]:
        before = tables(catalog)[table["name"]]
        assert [table[k] for k in ("columns", "sample", "versions", "stored")] == [
            before[k] for k in ("columns", "sample", "versions", "stored")
        ]


def test_the_folder_is_static_strict_and_replaced_as_a_whole(
    catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    html = (folder / "index.html").read_text()
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in html
    assert not re.search(r"<script>|<style|style=|onclick|https?://", html)
    assert json.loads((folder / "catalog.json").read_text("utf-8")) == catalog
    (folder / "assets" / "stray").touch()
    write_catalog(catalog, folder, "../pages")
    assert not (folder / "assets" / "stray").exists()
    (tmp_path / "mine.txt").touch()
    with pytest.raises(LakehouseError, match=r"holds other files, which the catalogue"):
        write_catalog(catalog, tmp_path)


def open_at(tab: Tab, folder: Path, route: str) -> None:
    tab.go(f"{(folder / 'index.html').as_uri()}#{route}", "document.querySelector('h1') !== null")


def heading(tab: Tab) -> str:
    return str(tab.run("document.querySelector('h1').textContent"))


def test_every_page_of_it_opens_from_the_disk(tab: Tab, folder: Path, catalog: Catalog) -> None:
    open_at(tab, folder, "/")
    ways = [
        *(f"/table/{name}" for name in tables(catalog)),
        *(f"/source/{delivery['name']}" for delivery in catalog["deliveries"]),
        *(f"/term/{term['domain']}/{term['name']}" for term in catalog["terms"]),
        *(f"/model/{model['name']}" for model in catalog["models"]),
        *(f"/page/{page['name']}" for page in catalog["pages"]),
        *(f"/collection/{one['name']}" for one in catalog["collections"]),
        *(f"/owner/{owner}" for owner in {table["owner"] for table in catalog["tables"]}),
        "/map", "/glossary",
    ]  # fmt: skip
    script = """(() => { const seen = new Map();
        const visit = (way) => {
            Pages.open(way);
            seen.set(way, document.querySelector("h1").textContent);
            const links = [...document.querySelectorAll("main a[href^='#/']")];
            return links.map((link) => link.getAttribute("href").slice(1)); };
        const linked = new Set(WAYS.flatMap(visit));
        // Columns are on the page of their table.
        for (const way of linked) if (!seen.has(way) && way.split("/").length < 4) visit(way);
        const lost = [...seen].filter(([, title]) => title === "Not here").map(([way]) => way);
        return [lost, linked.size]; })()"""
    lost, linked = tab.run(script.replace("WAYS", json.dumps(ways)))
    assert lost == []
    assert linked > len(ways)
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith(("file://", "data:"))] == []


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("customer value", "airline.kpi_customer_value"),
        ("kpi_customer_value", "airline.kpi_customer_value"),
        ("bounce", "Bounce"),
        ("footfall", "Visitors in a store"),
        ("dwell", "Time in the store"),
        ("oracle", "retail/online_sales"),
        ("loyalty team", "Team loyalty"),
        ("silver email", "airline.silver_transactions.email"),
        ("gold_twitter_historical_data", "retail.tweets"),
    ],
)
def test_search_finds_by_name_synonym_owner_and_system(
    tab: Tab, folder: Path, words: str, first: str
) -> None:
    if not tab.run("typeof Pages !== 'undefined' && Boolean(Pages.search)"):
        open_at(tab, folder, "/")
    found = tab.run(f"Pages.search.find({json.dumps(words)}).slice(0, 3).map((hit) => hit.title)")
    assert first in found


def test_search_works_by_keyboard_alone(tab: Tab, folder: Path) -> None:
    open_at(tab, folder, "/")
    tab.press("/")
    for letter in "dim_customers":
        tab.press(letter)
    shown = "document.querySelectorAll('#hits [role=option]').length"
    assert tab.run(shown) > 3
    tab.press("ArrowDown")
    tab.press("ArrowUp")
    tab.press("Enter")
    assert heading(tab) == "dim_customers"
    tab.press("/")
    tab.press("x")
    tab.press("Escape")
    assert tab.run("document.querySelector('#hits').hidden")


def test_a_column_is_shown_with_its_lineage(tab: Tab, folder: Path) -> None:
    open_at(tab, folder, "/table/airline.dim_customers/age_group")
    row = "document.querySelector('tr.chosen')"
    text = tab.run(f"{row}.textContent")
    assert "airline.silver_flights.age" in text
    assert "airline.kpi_customer_value.age_group" in text
    assert tab.run(f"{row}.querySelector('details').open")


def test_it_fits_a_phone(tab: Tab, folder: Path) -> None:
    tab.show(390, 800, phone=True)
    try:
        for route in ("/", "/table/airline.kpi_customer_value", "/glossary", "/map"):
            open_at(tab, folder, route)
            assert tab.run("document.documentElement.scrollWidth <= innerWidth"), route
    finally:
        tab.show(1400, 900)


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(tab: Tab, folder: Path, dark: bool) -> None:
    if not _AXE.is_file():
        pytest.skip("axe-core is not here: make axe")
    tab.show(1400, 900, dark=dark)
    for route in ("/", "/table/airline.kpi_customer_value", "/term/airline/Member", "/map"):
        open_at(tab, folder, route)
        tab.run(_AXE.read_text("utf-8") + "; true")
        found = tab.run(
            "axe.run().then((r) => r.violations.map((v) => "
            "`${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html).join(' | ')}`))"
        )
        assert found == [], route
