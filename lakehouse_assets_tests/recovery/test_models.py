"""Faults while a model is fitted, in real processes: what failed is said, and a re-run resumes.

Each time, a first month has its champion and the fault hits the fit of the second. Afterwards no
run is RUNNING, there are two versions, and the champion is that of the newest decision.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.operations.services import free_port
from lakehouse_assets_tests.recovery.test_kills import played

pytestmark = pytest.mark.timeout(900)
PORT = free_port()
RESUMED = {
    "running": 0,
    "versions": 2,
    "cards": 2,
    "aliases": {"previous": 1, "champion": 2},
    "decided": [[1, True, True], [2, True, True]],
}


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A disk of half a megabyte; empty if this user may not mount one."""
    place = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield ""
        return
    yield str(place)
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def found(
    new_house: Callable[..., House], empty_store: Path, small_disk: str,
    request: pytest.FixtureRequest,
) -> dict[str, Any]:  # fmt: skip
    """What came of every fault; `--kill-points 500` kills at every write."""
    folder = new_house("models").settings.landing.parent
    (folder / "empty").mkdir()
    shutil.copy(empty_store, folder / "empty" / "mlflow.db")
    points = max(6, int(request.config.getoption("--kill-points")) // 10)
    seed = int(request.config.getoption("--kill-seed"))
    given = {"points": points, "seed": seed, "port": PORT, "artifacts": small_disk}
    return played(folder, task="models", **given)


def assert_resumed(found: dict[str, Any]) -> None:
    assert {name: found[name] for name in RESUMED} == RESUMED, found


def test_a_fit_that_is_killed_at_any_write_resumes(found: dict[str, Any]) -> None:
    assert found["calls"] >= 15
    assert len(found["kills"]) >= 6
    for case in found["kills"]:
        assert case["hit"], case
        assert_resumed(case)


def test_a_store_locked_by_another_process_is_named_and_the_fit_resumes(
    found: dict[str, Any],
) -> None:
    assert found["locked"]["error"].startswith("MLflow at sqlite:///")
    assert "database is locked" in found["locked"]["error"]
    assert_resumed(found["locked"])


def test_a_full_disk_of_artefacts_is_named_and_the_fit_resumes(found: dict[str, Any]) -> None:
    if "full" not in found:
        pytest.skip("this user may not mount a disk that can be full")
    assert "No space left on device" in found["full"]["error"]
    assert_resumed(found["full"])


def test_a_lost_tracking_server_is_named_and_the_fit_resumes(found: dict[str, Any]) -> None:
    said = found["server"]["error"]
    assert said.startswith(f"MLflow at http://127.0.0.1:{PORT} does not answer; start it")
    assert_resumed(found["server"])
