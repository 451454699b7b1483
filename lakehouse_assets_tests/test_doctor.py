"""`lakehouse doctor` on local folders; stores are in `azure/test_doctor.py`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import yaml  # type: ignore[import-untyped]
from deltalake import write_deltalake

from lakehouse_assets.cli import doctor
from lakehouse_assets.cli.doctor import Result, examine, is_well
from lakehouse_assets.cli.status import status
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold import segments as gold
from lakehouse_assets.errors import DamagedTableError, LakehouseError
from lakehouse_assets.lake.format import stamp
from lakehouse_assets.orchestration import instance
from lakehouse_assets.orchestration.event_log import PooledSqliteEventLogStorage
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets.orchestration.run import execute
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets_tests.airline.samples import House, Lakehouse, member, purchase


def test_a_sound_house_is_well(house: House) -> None:
    findings = examine(house.settings)
    assert is_well(findings)
    assert [(f.area, f.check, f.state) for f in findings][:3] == [
        ("lake", "folder", "ok"), ("lake", "write", "ok"), ("landing", "folder", "ok"),
    ]  # fmt: skip
    assert list(house.settings.root.iterdir()) == [], "the probe is gone"


def test_every_table_of_another_version_is_named_and_a_run_tells_them_all_the_same(
    house: House, lakehouse: Lakehouse
) -> None:
    """A table that cannot be shown after a run must not hide why the run failed."""
    house.deliver_purchases("2014-03-03", [purchase("A")])
    stamp(LocalFiles(house.settings.root))
    for table in (SILVER_TRANSACTIONS, gold.GOLD_SEGMENT_SUMMARY):
        rows = pa.table({"as_of_month": [date(2014, 3, 1)], "segment": [1]})
        write_deltalake(house.path(table), rows, partition_by=["as_of_month"])
    text = "differs from its declaration"
    found = [f for f in examine(house.settings) if f.area == "tables" and f.state == "error"]
    assert [f.check for f in found] == ["silver_transactions", "gold_segment_summary"]
    assert all(f"Table {f.check} {text}" in f.text for f in found)
    code, _, said = lakehouse("run")
    assert code == 1
    for table in (SILVER_TRANSACTIONS, gold.GOLD_SEGMENT_SUMMARY):
        assert f"Table {table.name} {text}" in said


def test_what_is_wrong_is_said_with_its_remedy(house: House) -> None:
    house.settings.landing.rmdir()
    house.settings.root.parent.mkdir(exist_ok=True)
    house.settings.root.write_text("a file in its place", encoding="utf-8")
    found = {(f.area, f.check): f for f in examine(house.settings)}
    assert found["lake", "write"].state == "error"
    assert "set LAKEHOUSE_ROOT" in found["lake", "write"].text
    assert found["landing", "folder"].state == "error"
    assert "create it" in found["landing", "folder"].text


def test_a_check_that_breaks_off_does_not_take_the_others_with_it(house: House) -> None:
    def breaks(_settings: object) -> list[Result]:
        raise ValueError("T0pSecret")

    def refuses(_settings: object) -> list[Result]:
        raise LakehouseError("Do this; it helps.")

    def passes(_settings: object) -> list[Result]:
        return [("x", "warning", "fine")]

    found = examine(house.settings, {"a": breaks, "b": refuses, "c": passes})
    assert [(f.area, f.state) for f in found] == [
        ("a", "error"), ("b", "error"), ("c", "warning"),
    ]  # fmt: skip
    assert "ValueError" in found[0].text
    assert "T0pSecret" not in found[0].text
    assert found[1].text == "Do this; it helps."
    assert is_well(found[2:])
    assert not is_well(found)


def test_scripts_read_it(house: House, lakehouse: Lakehouse) -> None:
    for sound in (True, False):
        if not sound:
            house.settings.landing.rmdir()
        code, out, err = lakehouse("doctor", "--json")
        assert code == (0 if sound else 1), err
        states = {(f["area"], f["check"]): f["state"] for f in json.loads(out)}
        assert states["lake", "write"] == "ok"
        assert states["landing", "folder"] == ("ok" if sound else "error")


def test_packages_that_do_not_fit_are_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"duckdb": "1.5.5", "duckdb-extensions": "1.5.5", "duckdb-extension-delta": "1.4.0"}
    monkeypatch.setattr(doctor, "_installed", versions.get)
    found = {f.check: f for f in examine(house.settings, {"versions": doctor.check_versions})}
    assert found["duckdb"].state == "error"
    assert "duckdb-extension-delta 1.4.0" in found["duckdb"].text
    assert "constraints.txt" in found["duckdb"].text
    monkeypatch.undo()
    assert is_well(examine(house.settings, {"versions": doctor.check_versions}))


_FORMER = instance._CONFIG.replace("assets.orchestration.event", "assets.event")


def test_a_home_without_pools_is_a_warning(house: House) -> None:
    assert examine(house.settings, {"dagster": doctor.check_home})[-1].state == "ok"


@pytest.mark.parametrize(
    ("text", "state", "told"),
    [
        ("telemetry:\n  enabled: false\n", "warning", "lacks the settings concurrency, "),
        ("# default_limit: 1\n", "warning", "lacks the settings concurrency, "),
        (_FORMER, "error", "of an earlier version; `lakehouse doctor --fix`"),
        ("concurrency:\n  pools:\n    default_limit: 16\n", "warning", "default_limit to 16"),
        ("concurrency: {pools: {default_limit: 1", "error", "cannot be read"),
        ("a: \0", "error", "cannot be read"),
        (instance._CONFIG, "ok", "one at a time"),
        (
            "concurrency: {pools: {default_limit: 1}}\n"
            "event_log_storage: {config: {base_dir: /elsewhere/history}}",
            "warning",
            "keeps history in /elsewhere/history",
        ),
    ],
)
def test_the_settings_of_the_home_are_read(house: House, text: str, state: str, told: str) -> None:
    house.settings.dagster_home.mkdir()
    (house.settings.dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")
    found = examine(house.settings, {"dagster": doctor.check_home})[-1]
    assert (found.check, found.state) == ("settings", state)
    assert told in found.text


def test_a_home_of_an_earlier_version_is_mended_when_people_say_so(
    house: House, lakehouse: Lakehouse
) -> None:
    config = house.settings.dagster_home / "dagster.yaml"
    config.parent.mkdir()
    mine = _FORMER.replace("max_concurrent_runs: 2", "max_concurrent_runs: 9 # mine")
    mine = mine.replace("freshness:\n  enabled: true\n", "")
    mine += "compute_logs:\n  module: lakehouse_assets.run_output\n  class: RunOutput\n"
    mine += '  config:\n    base_dir: "/elsewhere/printed"\n# The end.'
    config.write_text(mine, encoding="utf-8")
    with (
        pytest.raises(LakehouseError, match="of an earlier version; `lakehouse doctor --fix`"),
        instance.dagster_instance(house.settings),
    ):
        pass
    assert config.read_text(encoding="utf-8") == mine
    assert lakehouse("doctor", "--fix")[2].startswith("Updated ")
    (copy,) = config.parent.glob("dagster.yaml.bak-*")
    assert copy.read_text(encoding="utf-8") == mine
    now = config.read_text(encoding="utf-8")
    assert "max_concurrent_runs: 9 # mine" in now
    assert "# The end.\n" in now
    wanted = yaml.safe_load(instance._CONFIG) | {
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": "/elsewhere/printed"},
        }
    }
    wanted["concurrency"]["runs"]["max_concurrent_runs"] = 9
    assert yaml.safe_load(now) == wanted
    assert doctor.fix_home(house.settings) is None
    with instance.dagster_instance(house.settings) as opened:
        assert isinstance(opened.event_log_storage, PooledSqliteEventLogStorage)


def test_what_an_earlier_version_wrote_for_its_own_output_is_left_out(house: House) -> None:
    config = house.settings.dagster_home / "dagster.yaml"
    config.parent.mkdir()
    output = (
        "compute_logs:\n  module: lakehouse_assets.run_output\n  class: RunOutput\n  config: {}\n"
    )
    config.write_text(_FORMER + output, encoding="utf-8")
    assert doctor.fix_home(house.settings) is not None
    assert config.read_text(encoding="utf-8") == instance._CONFIG


def test_a_variable_that_is_no_setting_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_COLOUR", "red")
    found = {f.check: f for f in examine(house.settings, {"settings": doctor.check_settings})}
    assert found["LAKEHOUSE_COLOUR"].state == "warning"


def _commit(house: House, version: int) -> Path:
    return house.path(SILVER_FLIGHTS) / "_delta_log" / f"{version:020}.json"


def _members(first: str, last: str = "") -> PlannedRun:
    return PlannedRun("airline_monthly", first, last or first, FLIGHTS.loaded_tables)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:80])


DAMAGE: dict[str, tuple[Callable[[House], None], str]] = {
    "newest commit lost": (lambda h: _commit(h, 2).unlink(), "ends at version 1, but version 2"),
    "newest commits lost": (
        lambda h: [_commit(h, v).unlink() for v in (1, 2)] and None,
        "ends at version 0, but version 2",
    ),
    "newest commit empty": (lambda h: _commit(h, 2).write_bytes(b"") and None, "is empty"),
    "newest commit cut": (lambda h: _cut(_commit(h, 2)), "cannot be read"),
    "gap": (lambda h: _commit(h, 1).unlink(), "cannot be read"),
    "garbage": (lambda h: _commit(h, 1).write_bytes(b"\0\xff") and None, "cannot be read"),
}


@pytest.fixture(scope="module")
def delivered(new_house: Callable[..., House]) -> House:
    house = new_house("damage")
    for day in ("2014-02-28", "2014-03-31"):
        house.deliver_members(day, [member(1)])
        assert execute(house.settings, [_members(f"{day[:7]}-01")]).errors == []
    house.deliver_purchases("2014-03-10", [purchase("A")])
    return house


@pytest.fixture
def copy(delivered: House, tmp_path: Path) -> House:
    """A lake that a test may damage."""
    shutil.copytree(delivered.settings.root, tmp_path / "lake")
    changed = {"root": tmp_path / "lake", "dagster_home": tmp_path / "home"}
    return House(delivered.settings.model_copy(update=changed))


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_table_is_named(copy: House, damage: str) -> None:
    assert is_well(examine(copy.settings, {"tables": doctor.check_tables}))
    harm, told = DAMAGE[damage]
    harm(copy)
    named = f"Table {SILVER_FLIGHTS.name} is damaged: "
    (finding, others) = examine(copy.settings, {"tables": doctor.check_tables})
    assert (finding.check, finding.state, others.state) == (SILVER_FLIGHTS.name, "error", "ok")
    assert finding.text.startswith(named)
    assert told in finding.text
    assert "move it away" in finding.text
    with pytest.raises(DamagedTableError, match=named):
        copy.lake.read(SILVER_FLIGHTS)
    damaged = {s.table for s in status(copy.settings) if s.freshness == "damaged"}
    assert damaged == {SILVER_FLIGHTS.full_name}


def test_a_damaged_table_stops_no_other_and_is_made_again_once_it_is_moved_away(
    copy: House, tmp_path: Path
) -> None:
    house = copy
    _commit(house, 1).unlink()
    outcome = execute(
        house.settings,
        [
            _members("2014-03-01"),
            PlannedRun("airline_daily", "2014-03-10", "2014-03-10", TRANSACTIONS.loaded_tables),
        ],
    )
    (error,) = outcome.errors
    assert f"Table {SILVER_FLIGHTS.name} is damaged: " in error
    assert house.count(SILVER_TRANSACTIONS) == 1
    house.path(SILVER_FLIGHTS).rename(tmp_path / "away")
    assert execute(house.settings, [_members("2014-02-01", "2014-03-01")]).errors == []
    assert house.count(SILVER_FLIGHTS) == 2


def test_files_that_a_log_names_and_that_are_not_there_are_found(copy: House) -> None:
    first, second = sorted(copy.path(SILVER_FLIGHTS).rglob("*.parquet"))
    first.unlink()
    _cut(second)
    (finding, _) = examine(copy.settings, {"tables": doctor.check_tables})
    assert finding.text.startswith(f"Table {SILVER_FLIGHTS.name} has lost files (2)")
    assert str(first) in finding.text or str(second) in finding.text


def test_without_a_lake_there_is_a_sentence(house: House) -> None:
    (finding,) = examine(house.settings, {"tables": doctor.check_tables})
    assert finding.text.startswith(
        f"There is no lake at {house.settings.root}; build one with `lakehouse run`"
    )


def test_a_home_that_cannot_be_made_is_an_error(house: House) -> None:
    house.settings.dagster_home.parent.mkdir(exist_ok=True)
    house.settings.dagster_home.write_text("a file in its place", encoding="utf-8")
    (found,) = examine(house.settings, {"dagster": doctor.check_home})
    assert found.state == "error"
    assert "LAKEHOUSE_DAGSTER_HOME" in found.text
