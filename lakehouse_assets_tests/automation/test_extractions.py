"""Databases are copied by themselves, where they have an address."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets.cli.doctor import check_sources, examine
from lakehouse_assets.domains.retail.sources import SOURCES
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.orchestration.extractions import extraction_schedules
from lakehouse_assets.orchestration.resources import LandingResource
from lakehouse_assets.settings import Settings

CAMPAIGNS = SOURCES[0]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Campaigns in a database that has an address, and a column nobody declares."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "marketing.db"
    names = CAMPAIGNS.dataset.source_names
    with closing(sqlite3.connect(path)) as made, made:
        made.execute(f"CREATE TABLE campaigns ({', '.join(names)}, extra)")
        marks = ", ".join("?" * len(names))
        made.execute(f"INSERT INTO campaigns VALUES ({marks}, 1)", names)  # noqa: S608
    monkeypatch.setenv("LAKEHOUSE_SOURCE_MARKETING", f"sqlite:///{path}")
    return path


def test_schedules_run_from_the_start_where_there_is_an_address(database: Path) -> None:
    found = extraction_schedules(SOURCES, running=True)
    running = [s.name for s in found if s.default_status == dg.DefaultScheduleStatus.RUNNING]
    assert running == ["extract_retail_campaigns_daily"]
    assert {s.cron_schedule for s in found} == {"0 5 * * *"}
    off = {s.default_status for s in extraction_schedules(SOURCES, running=False)}
    assert off == {dg.DefaultScheduleStatus.STOPPED}


def test_the_job_delivers_and_tells(database: Path, tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    job = extraction_schedules([CAMPAIGNS], running=False)[0].job
    assert isinstance(job, dg.JobDefinition)
    resources = {"landing": LandingResource(root=str(tmp_path / "landing"))}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, resources=resources)
        logs = [event.user_message for event in instance.all_logs(result.run_id)]
    assert result.success
    assert len(LandingZone(tmp_path / "landing").files(CAMPAIGNS.dataset)) == 1
    (output,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
    metadata = output.step_output_data.metadata
    assert (metadata["rows"].value, metadata["full"].value) == (1, True)
    assert any("The source has undeclared columns: extra" in text for text in logs)
    assert str(database) in metadata["source"].value


def test_the_doctor_asks_sources_that_have_an_address(database: Path) -> None:
    found = {finding.check: finding for finding in examine(Settings(), {"sources": check_sources})}
    assert {f.check: f.state for f in found.values()} == {
        "marketing.campaigns": "warning", "stores.store_sales": "skipped",
        "shop.online_sales": "skipped", "crm.customers": "skipped",
    }  # fmt: skip
    assert found["crm.customers"].text == (
        "LAKEHOUSE_SOURCE_CRM is not set; deliveries come as files."
    )
    assert "undeclared columns: extra" in found["marketing.campaigns"].text
    database.unlink()
    found = {finding.check: finding for finding in examine(Settings(), {"sources": check_sources})}
    assert found["marketing.campaigns"].state == "error"
    assert "has no table campaigns" in found["marketing.campaigns"].text
