"""Lineage and the catalogue of the sample's lake: what they say, what they keep quiet about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.cli.main import app
from lakehouse_assets.domains import DOMAINS, PAGES, REGISTRY, ROLES
from lakehouse_assets.engine.base import SourceColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.governance.catalog import MASKED, Ages, describe
from lakehouse_assets.governance.lineage import Lineage, find_column, walk
from lakehouse_assets.governance.site import write_catalog
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.pages.own import OWN_PAGES, OWN_TABLES
from lakehouse_assets_tests.airline.samples import REPOSITORY, SampleRun
from lakehouse_assets_tests.pages.chromium import Tab, chromium

Catalog = dict[str, Any]
_AXE = REPOSITORY / ".lakehouse" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
# Personal, and short or common enough to be part of other words: only their cells are looked at.
_COMMON = 6


TABLES = (*REGISTRY, *(view.table for view in REGISTRY.views))
# What the run knows and no column has: where and when something was read, what is built, by whom.
OF_THE_RUN = {
    "_source_file", "_row_number", "_file_sha256", "_ingested_at", "_file_version", "_file_records",
    "_source", "_topic", "_partition", "_offset", "_index", "_enqueued_at", "line_number", "reason",
    "delivered_on", "snapshot_month", "event_date", "as_of_month", "load_timestamp",
    "model_version",
}  # fmt: skip
# Constants of a rule. Numbers of rows, whose unit is `count`, have no sources either.
CONSTANT = {
    "airline.gold_segment_migration": {"share"},
    "airline.silver_flights": {"work_country"},
    "retail.events_ingested": {"stream"},
    "retail.fact_sales": {"channel", "period"},
    "retail.gold_crowd_heat": {"lag_minutes"},
    "retail.gold_store_weeks": {"weeks_ahead"},
    "retail.gold_threshold_violations": {"measure", "minutes_out"},
    "retail.occupancy_anomalies": {"measure"},
    "retail.silver_documents": {"quality_flags"},
    "retail.silver_labelled_tweets": {"quality_flags"},
}
# Made of data that comes with the code, and of what runs did.
WITHOUT_SOURCES = {
    "conformed.dim_countries", "conformed.dim_date", "conformed.dim_places", "retail.dim_devices",
    "retail.dim_stores", "quality.audit_log", "quality.model_decisions", "quality.quality_drift",
    "quality.quality_events",
}  # fmt: skip
# What says something of a row's quality, not of a person.
QUALITY = {"quality_flags", "reasons", "disposition", "duplicate_of"}
# Made of the words of a tweet, of which they say nothing but what everybody wrote.
PUBLIC = {
    ("silver_tweets", "hashtag"): "one of the listed campaign tags",
    **{
        (table, column): "one of three words, and a share"
        for table in ("tweets", "labelled_tweets_scored")
        for column in ("ml_sentiment", "ml_sentiment_probability")
    },
}


@pytest.fixture(scope="module")
def lake(sample: SampleRun) -> Lake:
    return sample.house.lake


@pytest.fixture(scope="module")
def lineage(lake: Lake) -> Lineage:
    return Lineage(DOMAINS, lake.engine)


@pytest.fixture(scope="module")
def catalog(lake: Lake, lineage: Lineage) -> Catalog:
    ages = {REGISTRY["kpi_customer_value"]: Ages(60.0, 120.0)}
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


def test_no_column_has_lost_its_lineage(lineage: Lineage) -> None:
    lost = [
        f"{table.full_name}.{name}"
        for table in TABLES
        for name in table.column_names
        if not lineage.of(table.full_name).get(name)
        and table.full_name not in WITHOUT_SOURCES
        and table.column(name).unit != "count"
        and name not in OF_THE_RUN | CONSTANT.get(table.full_name, set())
    ]
    assert lost == []
    gained = [
        f"{table}.{name}"
        for table, names in CONSTANT.items()
        for name in names
        if lineage.of(table).get(name)
    ]
    assert gained == [], "these have sources after all"


def test_lineage_names_declared_columns_and_delivered_fields(lineage: Lineage) -> None:
    fields = {
        SourceColumn(feed.path, str(field.source))
        for domain in DOMAINS
        for feed in (*domain.datasets, *domain.streams)
        for field in feed.fields
    }
    columns = {SourceColumn(table.full_name, n) for table in TABLES for n in table.column_names}
    sources = {
        source
        for table in TABLES
        for of_column in lineage.of(table.full_name).values()
        for source in of_column
    }
    assert sources <= fields | columns
    unread = {f for f in fields if not lineage.downstream(f)}
    assert unread == set()


def test_runs_record_the_lineage_that_the_code_has(lineage: Lineage, sample: SampleRun) -> None:
    differing, compared = [], 0
    with dagster_instance(sample.house.settings) as instance:
        for table in REGISTRY:
            event = instance.get_latest_materialization_event(dg.AssetKey(table.key))
            if event is None or event.asset_materialization is None:
                continue
            found = event.asset_materialization.metadata.get("dagster/column_lineage")
            recorded = {} if found is None else found.value.deps_by_column
            # Streams are read by a plan that is made once, which records nothing.
            if table.writer is not None:
                continue
            for name in table.column_names:
                compared += 1
                # A later run also reads what its own step has written, as to find duplicates.
                of = {
                    (".".join(dep.asset_key.path), dep.column_name)
                    for dep in recorded.get(name, ())
                    if REGISTRY.by_key(tuple(dep.asset_key.path)).step != table.step
                }
                derived = {
                    (source.table, source.column)
                    for source in lineage.of(table.full_name).get(name, ())
                    if "/" not in source.table and REGISTRY[source.table].step != table.step
                }
                if of != derived:
                    differing.append(f"{table.full_name}.{name}: {of ^ derived}")
    assert differing == []
    assert compared > 1_000


def test_models_learn_from_the_columns_of_their_features(lineage: Lineage) -> None:
    assert set(lineage.models) == {model.spec.name for d in DOMAINS for model in d.models}
    of = {name: {source.column for source in lineage.learnt_from(name)} for name in lineage.models}
    assert {"tenure_months", "total_amount", "churn"} <= of["churn"]
    assert "twitter_text" in of["sentiment"]
    assert all(of.values())


def test_the_way_from_a_figure_to_the_fields_of_a_file(lineage: Lineage) -> None:
    at = find_column(REGISTRY, "gold_segment_summary.avg_age")
    ends = {is_ for _, is_ in walk(at, lineage.upstream) if "/" in is_.table}
    assert {str(end) for end in ends} == {"airline/flights.AGE"}
    (field,) = ends
    assert at in {is_ for _, is_ in walk(field, lineage.downstream)}


def test_the_command_shows_both_ways_and_json(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse_assets.governance.lineage.Lineage", lambda *_: lineage)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["lineage", *arguments], env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result.output

    drawn = run("dim_customers.age_group")
    assert "airline/flights.AGE" in drawn
    assert "airline.dim_customers.age_group (demographic) is used for" in drawn
    assert "gold_customer_segments_ml.age_group (demographic)" in drawn
    shown = json.loads(run("gold_churn_features.tenure_months", "--json", "--up"))
    assert shown["models"] == ["churn"]
    assert "downstream" not in shown
    assert shown["upstream"][0]["of"] == "retail.gold_churn_features.tenure_months"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dim_customers.agegroup", "has no column 'agegroup'; did you mean age_group"),
        ("dim_customer.age", "No table is called 'dim_customer'; did you mean dim_customers"),
        ("age", "'age' is not a column; write <table>.<column>."),
    ],
)
def test_a_column_that_there_is_not_is_named(name: str, said: str) -> None:
    with pytest.raises(LakehouseError) as raised:
        find_column(REGISTRY, name)
    assert said in str(raised.value)


def identifies(table: Table) -> bool:
    """Say whether rows of a table tell whom they are about."""
    return any(column.pii == "identifier" for column in table.columns)


def _classes_of_sources(lineage: Lineage, table: Table) -> Iterator[tuple[str, set[str]]]:
    for name, sources in lineage.of(table.full_name).items():
        stored = [source for source in sources if "/" not in source.table]
        classes = {REGISTRY[s.table].column(s.column).pii for s in stored}
        yield name, {pii for pii in classes if pii}


def test_classes_follow_the_lineage_from_bronze_to_gold(lineage: Lineage) -> None:
    lost, followed = [], 0
    for table in TABLES:
        for name, of in _classes_of_sources(lineage, table):
            if name in QUALITY or (table.name, name) in PUBLIC:
                continue
            mine = table.column(name).pii
            followed += bool(of)
            tells = of & {"identifier", "contact"}
            if (tells and mine not in tells) or (of and identifies(table) and not mine):
                lost.append(f"{table.full_name}.{name} is {mine} and made of {sorted(of)}")
    assert lost == []
    assert followed > 100


def test_the_class_of_a_city_is_that_of_the_city_it_is_read_from() -> None:
    """A member's city is personal; a list of cities is not."""
    of = {
        name: REGISTRY[table].column(column).pii
        for name, table, column in (
            ("delivered", "bronze_flights", "work_city"),
            ("typed", "silver_flights", "work_city"),
            ("member", "dim_customers", "city"),
            ("key", "kpi_customer_value", "customer_key"),
            ("mail", "silver_transactions", "email"),
            ("age", "gold_customer_segments_ml", "age_group"),
            ("mean", "gold_segment_summary", "avg_age"),
        )
    }
    assert of == {
        "delivered": "location", "typed": "location", "member": "location", "key": "identifier",
        "mail": "contact", "age": "demographic", "mean": None,
    }  # fmt: skip


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


def test_a_table_has_all_that_is_known_of_it(catalog: Catalog, lake: Lake) -> None:
    table = tables(catalog)["airline.kpi_customer_value"]
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


def test_no_personal_data_is_in_its_bytes(catalog: Catalog, folder: Path, lake: Lake) -> None:
    text = "".join(p.read_text("utf-8") for p in sorted(folder.rglob("*")) if p.is_file())
    written = {json.loads(f'"{found}"') for found in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)}
    cells = "\n".join(c for t in catalog["tables"] for row in t["sample"] for c in row)
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


def test_the_same_lake_gives_the_same_catalogue(
    catalog: Catalog, lake: Lake, lineage: Lineage
) -> None:
    airline = [domain for domain in DOMAINS if domain.name in {"airline", "conformed"}]
    registry = Registry([table for domain in airline for table in domain.tables])
    again = describe(airline, Lake(lake.root, lake.engine, registry), lineage, ROLES, {})
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


@pytest.mark.parametrize("phone", [False, True])
def test_axe_finds_nothing_in_the_light_and_on_a_dark_phone_that_it_fits(
    tab: Tab, folder: Path, phone: bool
) -> None:
    if not _AXE.is_file():
        pytest.skip("axe-core is not here: make axe")
    tab.show(390 if phone else 1400, 800, dark=phone, phone=phone)
    for route in (
        "/", "/table/airline.kpi_customer_value", "/term/airline/Member", "/glossary", "/map",
    ):  # fmt: skip
        open_at(tab, folder, route)
        assert tab.run("document.documentElement.scrollWidth <= innerWidth"), route
        tab.run(_AXE.read_text("utf-8") + "; true")
        found = tab.run(
            "axe.run().then((r) => r.violations.map((v) => "
            "`${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html).join(' | ')}`))"
        )
        assert found == [], route
