"""`lakehouse doctor` on local folders; stores are in `azure/test_doctor.py`."""

from __future__ import annotations

import json

import pytest

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
