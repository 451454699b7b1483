"""The folder of pages of the sample lake: what it holds, and when it is made."""

from __future__ import annotations

import json
import re
import warnings
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from typer.testing import CliRunner

from lakehouse_assets.catalog.pages import Page, Source, Visual
from lakehouse_assets.cli.main import app
from lakehouse_assets.domains import REGISTRY, ROLES
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.assembly import build_defs
from lakehouse_assets.orchestration.pages_asset import (
    EVERY_PAGE,
    KEY,
    pages_asset,
    tables_of_pages,
    write_pages,
)
from lakehouse_assets.orchestration.resources import LakeResource, MlflowResource
from lakehouse_assets.pages import cube
from lakehouse_assets.pages.reader import lake_reader
from lakehouse_assets.pages.site import Site, write_site
from lakehouse_assets.quality.tables import QUALITY_RULES
from lakehouse_assets.query.session import Sessions
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import SampleRun, variables_of


def site_of(sample: SampleRun, folder: Path, **options: Any) -> Site:
    """Write the pages of the sample's lake for its owner."""
    tracking = MlflowTracking.of(sample.house.settings)
    return write_pages(Sessions(sample.house.lake), folder, tracking=tracking, **options)


@pytest.fixture(scope="module")
def site(sample: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site_of(sample, tmp_path_factory.mktemp("pages") / "site")


@pytest.fixture(scope="module")
def named(sample: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The same pages with the values that identify people."""
    return site_of(sample, tmp_path_factory.mktemp("named") / "site", identifiers=True)


def model(site: Site, page: str) -> dict[str, Any]:
    """Return a page's data, as a browser reads it."""
    text = (site.folder / "data" / f"{page}.js").read_text()
    found: dict[str, Any] = json.loads(text.removeprefix("Pages.page=").removesuffix(";\n"))
    return found


def source(site: Site, page: str, name: str) -> dict[str, Any]:
    return next(s for s in model(site, page)["sources"] if s["name"] == name)


def numbers(encoded: dict[str, str]) -> Any:
    return np.frombuffer(b64decode(encoded["data"]), encoded["type"])


def test_every_page_is_a_file_under_a_strict_policy_whose_scripts_run_no_text(site: Site) -> None:
    assert site.missing == {}
    assert {path.stem for path in site.folder.glob("*.html")} == {
        "index", *(page.name for page in EVERY_PAGE)
    }  # fmt: skip
    for path in site.folder.glob("*.html"):
        html = path.read_text()
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in html
        assert not re.search(r"<script>|<style|style=|onclick|https?://", html)
        for reference in re.findall(r'(?:src|href)="([^"?:]+)["?]', html):
            assert (site.folder / reference).is_file(), reference
    for path in (site.folder / "assets").rglob("*.js"):
        assert not re.search(r"\beval\(|new Function|innerHTML|fetch\(|import\(", path.read_text())


def test_sums_of_the_files_are_those_of_the_tables(site: Site, sample: SampleRun) -> None:
    found = source(site, "business", "fact_transactions")
    (row,) = sample.house.sql(
        "select count(*) as n, "
        "sum(transaction_amount) filter (where status = 'completed') as a from {facts}",
        facts=REGISTRY["airline.fact_transactions"],
    )
    totals = {}
    for name, measure in found["measures"].items():
        operator, index = measure["expression"]
        assert operator == "component"
        component = found["components"][index]
        totals[name] = numbers(component["values"]).sum() / 10 ** component["scale"]
    assert totals["purchases"] == row["n"]
    assert totals["completed_amount"] == float(row["a"])


def test_a_joined_dimension_loses_no_row(site: Site) -> None:
    """Purchases of customers who are no members have no tier, and are counted nevertheless."""
    tiers = source(site, "business", "fact_transactions")["dimensions"]["tier_name"]
    assert tiers["values"][0] is None
    assert set(tiers["values"][1:]) == {"Gold", "Platinum", "Diamond"}


def test_numbers_stand_for_people_unless_asked(site: Site, named: Site, sample: SampleRun) -> None:
    (name,) = [
        s["name"] for s in model(site, "churn")["sources"] if "customer_id" in s["dimensions"]
    ]
    hidden = source(site, "churn", name)["dimensions"]["customer_id"]
    assert hidden["values"] == [*range(1, len(hidden["values"]) + 1)]
    # They mean somebody else in another source, so nobody can filter by them.
    assert hidden["private"]
    shown = source(named, "churn", name)["dimensions"]["customer_id"]
    rows = sample.house.rows(REGISTRY["retail.gold_customer_churn"])
    assert {*shown["values"]} <= {row["customer_id"] for row in rows}
    assert len(shown["values"]) == len(hidden["values"])


def test_the_numbers_that_stand_for_people_do_not_follow_theirs(site: Site, named: Site) -> None:
    """Member numbers have no gaps, so their order would reveal them."""
    spends = []
    for pages in (site, named):
        found = source(pages, "business", "spenders")
        member = found["dimensions"]["customer_key"]
        spend = found["components"][found["measures"]["spend"]["expression"][1]]
        by_row = dict(zip(numbers(member["codes"]), numbers(spend["values"]), strict=True))
        spends.append([by_row[code] for code in sorted(by_row)])
        # Neither do the rows.
        spends.append([*numbers(spend["values"])])
    ours, rows, theirs, _ = spends
    assert sorted(ours) == sorted(theirs)
    for order in (ours, rows):
        assert abs(np.corrcoef(order, theirs)[0, 1]) < 0.1
    member = source(site, "business", "spenders")["dimensions"]["customer_key"]
    assert member["label"] == "Row (customer key hidden)"


def test_a_page_says_which_versions_it_was_made_from(site: Site, sample: SampleRun) -> None:
    versions = {v["table"]: v["version"] for v in model(site, "business")["versions"]}
    for name, version in versions.items():
        assert version == sample.house.lake.version(REGISTRY[name])
    assert "airline.fact_transactions" in versions
    assert "conformed.dim_date" in versions
    assert re.fullmatch(
        r"Data as of \d{4}-\d\d-\d\d \d\d:\d\d UTC", model(site, "business")["stamp"]
    )


def test_the_asset_writes_the_same_bytes_and_says_when_and_from_what(
    site: Site, sample: SampleRun, tmp_path: Path
) -> None:
    made = pages_asset(tmp_path / "site")
    resources = {
        "lake": LakeResource.of(sample.house.settings),
        "mlflow": MlflowResource.of(sample.house.settings),
    }
    first, again = (
        dg.materialize([made], resources=resources).get_asset_materialization_events()[0]
        for _ in range(2)
    )
    assert again.materialization.metadata["unchanged"].value is True
    tag = "dagster/data_version"
    assert again.materialization.tags[tag] == first.materialization.tags[tag]
    said = first.materialization.metadata
    assert "airline.fact_transactions" in str(said["versions"].value)
    assert said["pages"].value == len(EVERY_PAGE)
    assert first.materialization.tags[tag] == site.digest
    files = {path.relative_to(site.folder) for path in site.folder.rglob("*") if path.is_file()}
    assert len(files) > 30
    # What the folder was made from is in a file of its own.
    for name in files - {Path("pages.json")}:
        assert (tmp_path / "site" / name).read_bytes() == (site.folder / name).read_bytes(), name
    assert {dg.AssetKey(table.key) for table in tables_of_pages()} == {*made.dependency_keys}
    assert QUALITY_RULES in tables_of_pages()


def test_the_asset_follows_the_quality_log(tmp_path: Path) -> None:
    definitions = build_defs(Settings(root=tmp_path, pages=tmp_path / "pages"))
    gold, last = dg.AssetKey(["airline", "fact_transactions"]), dg.AssetKey(QUALITY_RULES.key)
    cursor: Any = None
    with dg.DagsterInstance.ephemeral() as instance, warnings.catch_warnings():
        # Dagster's own tester selects by a parameter that is in beta.
        warnings.simplefilter("ignore")

        def requested(*changed: tuple[dg.AssetKey, str | None]) -> bool:
            nonlocal cursor
            for key, partition in changed:
                made = dg.AssetMaterialization(key, partition=partition)
                instance.report_runless_asset_event(made)
            found = dg.evaluate_automation_conditions(
                definitions, instance, dg.AssetSelection.assets(KEY), cursor=cursor
            )
            cursor = found.cursor
            return found.total_requested == 1

        assert not requested()
        assert not requested((gold, "2014-03-01"))
        assert requested((last, None))
        assert not requested((KEY, None))
        assert not requested()


def test_a_folder_with_other_files_is_not_replaced(sample: SampleRun, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(LakehouseError, match="holds other files, which the pages would replace"):
        site_of(sample, tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_a_source_with_too_many_rows_is_not_shown_and_says_so(
    sample: SampleRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cube, "ROWS", 10)
    visual = Visual("table", "Keys", dimensions=("customer_key",), measures=("members",))
    page = Page("p", "P", "airline", "P.", (Source("kpi_customer_value"),), (visual,))
    written = write_site(
        REGISTRY, [page], lake_reader(Sessions(sample.house.lake), {}), tmp_path / "site"
    )
    reason = written.missing["p", "kpi_customer_value"]
    assert re.search(r"combinations of customer_key; .* at most 10\.", reason)
    assert source(written, "p", "kpi_customer_value")["missing"] == reason


def test_a_page_without_its_stream_shows_the_rest_and_says_what_to_do(
    sample: SampleRun, tmp_path: Path
) -> None:
    devices = next(page for page in EVERY_PAGE if page.name == "devices")
    reader = lake_reader(Sessions(sample.house.lake), {})
    without = replace(
        reader,
        version=lambda t: None if t.name == "gold_devices_at_risk" else reader.version(t),
    )
    written = write_site(REGISTRY, [devices], without, tmp_path / "site")
    assert [*written.missing] == [("devices", "gold_devices_at_risk")]
    assert "`lakehouse stream --simulate`" in written.missing["devices", "gold_devices_at_risk"]
    assert source(written, "devices", "gold_threshold_violations")["rows"] > 0


def test_the_command_writes_pages_and_says_where(sample: SampleRun, tmp_path: Path) -> None:
    variables = variables_of(sample.house)
    arguments = ["pages", "--to", str(tmp_path / "site"), "--as", "marketing"]
    done = CliRunner().invoke(app, arguments, env=variables)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "may not read retail.fact_sales" in done.stdout
    assert re.search(r"\d pages from \d+ tables: .*index\.html", done.stdout.replace("\n", ""))
    assert (tmp_path / "site" / "loyalty.html").is_file()
    variables["LAKEHOUSE_ROOT"] = str(tmp_path / "none")
    done = CliRunner().invoke(app, ["pages", "--to", str(tmp_path / "site")], env=variables)
    assert "There is no lake at" in str(done.exception)
    assert not (tmp_path / "none").exists()


def test_pages_for_a_role_hold_only_what_it_may_read(sample: SampleRun, tmp_path: Path) -> None:
    sessions, access = Sessions(sample.house.lake), ROLES["manager_beijing"]
    written = write_pages(sessions, tmp_path / "site", access, identifiers=True)
    assert {path.stem for path in written.folder.glob("*.html")} == {"index", "business", "loyalty"}
    segments = source(written, "loyalty", "segments")
    (expected,) = sample.house.sql(
        "select count(*) as n from {t} where province in ('beijing', 'tianjin', 'hebei') and "
        "as_of_month = (select max(as_of_month) from {t})",
        t=REGISTRY["airline.gold_customer_segments_ml"],
    )
    members = segments["components"][segments["measures"]["members"]["expression"][1]]
    assert 0 < numbers(members["values"]).sum() == expected["n"]
    # What it may not read is said, and nothing of it is in the files.
    assert "fact_transactions" in written.missing["business", "fact_transactions"]
    assert "refunded" not in (written.folder / "data" / "business.js").read_text()
