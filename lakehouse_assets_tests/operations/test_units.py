"""The units of `deploy/systemd`, as systemd itself reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lakehouse_assets.orchestration.instance import missing_settings
from lakehouse_assets_tests.operations.services import DEPLOY

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def test_the_instance_for_a_team_has_every_setting_of_ours() -> None:
    config = DEPLOY / "dagster.yaml"
    assert missing_settings(yaml.safe_load(config.read_text(encoding="utf-8"))) == []


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    programs = Path(sys.executable).parent
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/lakehouse/.venv/bin", str(programs))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [verify, "verify", "--man=no", *sorted(tmp_path.glob("*.service"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(UNITS) == 6


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_confined_and_starts_again(unit: Path) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    assert {
        "User=lakehouse", "NoNewPrivileges=true", "ProtectSystem=strict", "ProtectHome=true",
        "ReadWritePaths=/var/lib/lakehouse", "UMask=0077", "Restart=on-failure",
    } <= {*lines}  # fmt: skip
    # Nothing secret stands in a command, which everybody on the machine may see.
    assert not re.search(r"(?i)password|secret|token(?!-file)|://[^ ]*@", "\n".join(lines))
