"""Faults while a model is fitted, in real processes: what failed is said, and a re-run resumes.

Each time, a first month has its champion and the fault hits the fit of the second. Afterwards no
run is RUNNING, there are two versions, and the champion is that of the newest decision.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.operations.services import free_port
from lakehouse_assets_tests.recovery.test_kills import played

RESUMED = {
    "running": 0,
    "versions": 2,
    "cards": 2,
    "aliases": {"previous": 1, "champion": 2},
    "decided": [[1, True, True], [2, True, True]],
}


@pytest.fixture
def folder(house: House, empty_store: Path) -> Path:
    """A folder with an empty store."""
    found = house.settings.landing.parent
    (found / "empty").mkdir()
    shutil.copy(empty_store, found / "empty" / "mlflow.db")
    return found


def resumed(found: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a finding that must be `RESUMED`."""
    return {name: found[name] for name in RESUMED}


@pytest.mark.timeout(900)
def test_a_fit_that_is_killed_at_any_write_resumes(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    """`--kill-points 500` tries every write."""
    points = max(6, int(request.config.getoption("--kill-points")) // 10)
    seed = int(request.config.getoption("--kill-seed"))
    found = played(folder, task="models", points=points, seed=seed)
    assert found["calls"] >= 15
    for case in found["findings"]:
        assert case["hit"], case
        assert resumed(case) == RESUMED, case


@pytest.mark.timeout(600)
def test_a_store_locked_by_another_process_is_named_and_the_fit_resumes(folder: Path) -> None:
    found = played(folder, task="model_locked")
    assert found["error"].startswith("MLflow at sqlite:///")
    assert "database is locked" in found["error"]
    assert resumed(found) == RESUMED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk that can be full")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.timeout(600)
def test_a_full_disk_of_artefacts_is_named_and_the_fit_resumes(
    folder: Path, small_disk: Path
) -> None:
    found = played(folder, task="model_full", artifacts=str(small_disk))
    assert "No space left on device" in found["error"]
    assert resumed(found) == RESUMED


@pytest.mark.timeout(600)
def test_a_lost_tracking_server_is_named_and_the_fit_resumes(folder: Path) -> None:
    port = free_port()
    found = played(folder, task="model_server", port=port)
    assert found["error"].startswith(f"MLflow at http://127.0.0.1:{port} does not answer; start it")
    assert resumed(found) == RESUMED
