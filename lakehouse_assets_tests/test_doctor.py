"""`lakehouse doctor` on local folders; stores are in `azure/test_doctor.py`."""

from __future__ import annotations

import json

import pytest

from lakehouse_assets import doctor
from lakehouse_assets.doctor import Finding, examine, is_well
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.airline.samples import House, command, variables_of


def test_a_sound_house_is_well(house: House) -> None:
    findings = examine(house.settings)
    assert is_well(findings)
    assert [(f.area, f.check, f.state) for f in findings][:3] == [
        ("lake", "folder", "ok"), ("lake", "write", "ok"), ("landing", "folder", "ok"),
    ]  # fmt: skip
    assert list(house.settings.root.iterdir()) == [], "the probe is gone"


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
    def breaks(_settings: object) -> list[Finding]:
        raise ValueError("T0pSecret")

    def refuses(_settings: object) -> list[Finding]:
        raise LakehouseError("Do this; it helps.")

    def passes(_settings: object) -> list[Finding]:
        return [Finding("c", "x", "warning", "fine")]

    found = examine(house.settings, {"a": breaks, "b": refuses, "c": passes})
    assert [(f.area, f.state) for f in found] == [
        ("a", "error"), ("b", "error"), ("c", "warning"),
    ]  # fmt: skip
    assert "ValueError" in found[0].text
    assert "T0pSecret" not in found[0].text
    assert found[1].text == "Do this; it helps."
    assert is_well(found[2:])
    assert not is_well(found)


@pytest.mark.parametrize("sound", [True, False])
def test_scripts_read_it(house: House, sound: bool) -> None:
    if not sound:
        house.settings.landing.rmdir()
    done = command(
        "doctor", "--json", variables=variables_of(house), cwd=house.settings.root.parent
    )
    assert done.returncode == (0 if sound else 1), done.stderr
    states = {(f["area"], f["check"]): f["state"] for f in json.loads(done.stdout)}
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


def test_a_home_without_pools_is_a_warning(house: House) -> None:
    def settings_of_home() -> Finding:
        return examine(house.settings, {"dagster": doctor.check_home})[-1]

    assert settings_of_home().state == "ok"
    config = house.settings.dagster_home / "dagster.yaml"
    config.write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    assert settings_of_home().state == "warning"
    assert "default_limit: 1" in settings_of_home().text


def test_a_home_that_cannot_be_made_is_an_error(house: House) -> None:
    house.settings.dagster_home.parent.mkdir(exist_ok=True)
    house.settings.dagster_home.write_text("a file in its place", encoding="utf-8")
    (found,) = examine(house.settings, {"dagster": doctor.check_home})
    assert found.state == "error"
    assert "LAKEHOUSE_DAGSTER_HOME" in found.text
