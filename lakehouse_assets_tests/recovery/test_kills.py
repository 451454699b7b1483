"""Kill -9 at any moment, then run again: as if nothing had happened.

Real processes, killed at seeded moments that are spread over the whole length of a run. A longer
sweep: `pytest lakehouse_assets_tests/recovery --kill-points 500 --kill-seed 2`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets_tests.airline.samples import REPOSITORY, House, purchase


@pytest.fixture
def folder(house: House) -> Path:
    """A house to kill pipelines in."""
    return furnished(house)


def furnished(house: House) -> Path:
    """Deliver two days of purchases: duplicates, a quarantined row and a refused line."""
    rows = [purchase(f"T{n}", amount=n) for n in range(40)]
    house.deliver_purchases("2014-03-03", [*rows, purchase("X", amount="oops")])
    house.deliver_purchases("2014-03-04", [*rows[:5], *(purchase(f"U{n}") for n in range(40))])
    house.deliver("transactions", "2014-03-04", "torn.jsonl", '{"transaction_id": "J2"')
    return house.settings.landing.parent


def played(folder: Path, **task: Any) -> dict[str, Any]:
    """Play a task in a process of its own, which has started no thread before it forks."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    done = subprocess.run(
        [
            sys.executable, "-m", "lakehouse_assets_tests.recovery.pipelines",
            json.dumps({"folder": str(folder), **task}),
        ],
        env={**clean, "PYTHONPATH": str(REPOSITORY)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=500 + 3 * int(task.get("points", 0)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.timeout(900)
def test_killed_pipelines_heal_when_they_run_again(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    points = int(request.config.getoption("--kill-points"))
    seed = int(request.config.getoption("--kill-seed"))
    found = played(folder, task="kills", load="purchases", points=points, seed=seed)
    assert found["hit"] >= points
    # The kills hit before, between and after the commits of the tables.
    assert len(found["states"]) >= 3
    assert any(len(set(commits)) > 1 for commits in found["states"])
    expected = found["expected"]
    ids = [row["transaction_id"] for row in expected["silver_transactions"]]
    assert len(ids) == len(set(ids)) == 80
    assert len(expected["silver_transactions_quarantine"]) == 6
    assert found["healed"] == [True] * len(found["healed"])
    assert len(found["healed"]) >= points // 10
    # Nothing stands as running, and no place in a pool is taken for ever.
    assert set(found["runs"]) <= {"SUCCESS", "FAILURE"}
    assert found["slots"] == 0


def test_two_runs_of_the_same_partitions_at_once_agree(folder: Path) -> None:
    found = played(folder, task="together", pairs=2)
    assert found["same"] == [True] * 2
    assert found["endings"] == [0] * 4
