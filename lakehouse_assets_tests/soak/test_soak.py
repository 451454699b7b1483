"""Three minutes of `make soak`: whatever dies or fills up, the tables are those of a rebuild."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse_assets import clock
from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.clocks import at


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_daemon_among_deliveries_kills_and_full_disks_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    at(clock.now(), "UTC")
    command = [
        sys.executable, "-m", "lakehouse_assets_tests.soak", "--minutes", "3", "--seed", "7",
        "--kills", "6", "--cores", "1", "--folder", str(tmp_path / "soak"),
    ]  # fmt: skip
    # What it says goes to the test's output: where it fails, that is what was going on.
    with subprocess.Popen(command, cwd=REPOSITORY) as child:
        try:
            child.wait()
        finally:
            child.terminate()
    report = json.loads((tmp_path / "soak" / "report.json").read_text("utf-8"))
    assert report["wrong"] == []
    assert child.returncode == 0
    assert set(report["deliveries"]) == {
        "on time", "late", "corrected", "duplicate", "deleted", "broken",
    }  # fmt: skip
    assert sum(report["deliveries"].values()) >= 180
    assert report["runs with segments"] > 0
    assert sum(report["kills"].values()) >= 5
    if report["left out"]:
        pytest.skip(f"all but this is as it should be: {report['left out']}")
    assert len(report["faults"]) == 3
