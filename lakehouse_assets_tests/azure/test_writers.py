"""Several writers at once and kills, with real processes, on a store instead of a disk."""

from __future__ import annotations

import signal

import pytest

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets_tests.azure.cloud import ACCOUNT
from lakehouse_assets_tests.azure.entra import CLIENT, TENANT
from lakehouse_assets_tests.lake.samples import DAILY, A, B, content, day, in_order, put, window
from lakehouse_assets_tests.lake.test_writers import writer

WRITERS = 3


@pytest.fixture(autouse=True)
def _as_the_application(cloud, monkeypatch):
    """The writers' processes enter by the default, which these variables decide."""
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)


@pytest.fixture
def lake(engine, folder) -> Lake:
    return Lake(CloudLocation.adls(ACCOUNT, "lake", folder), engine, Registry((DAILY,)))


def run_at_once(lake: Lake, how: str, writers: int) -> None:
    """Start writers, let them go at the same moment, and wait for them."""
    processes = [writer(lake.root, how, number) for number in range(writers)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    # All of them end before any is judged, so that none is left behind.
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * writers, "".join(errors)


def test_processes_create_and_fill_one_table_and_lose_no_row(lake):
    """Six threads find the table missing, and each writes a day of its own."""
    run_at_once(lake, "first", WRITERS)
    expected = [(day(n + 1), n, f"{i}") for n in range(2 * WRITERS) for i in range(10)]
    assert content(lake, DAILY) == in_order(expected)
    written = [version for version in lake.history(DAILY) if version.operation == "WRITE"]
    assert len(written) == 2 * WRITERS, "each day is written once"


@pytest.mark.parametrize("point", [5, 12, "written", "created"])
def test_a_killed_writer_leaves_the_old_version_and_a_rerun_repairs_it(lake, point):
    """Kills before the table exists, between batches, and around the commit."""
    process = writer(lake.root, "slow", point)
    assert process.stdout.readline() == "ready\n"
    if point != "created":
        put(lake, DAILY, window(1, 2), [A, B])
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"at {point}\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    old = [] if point == "created" else [A, B]
    new = [*old[:1], *[(day(2), i, "n") for i in range(12_000)]]
    # After the commit the new version stands; before it nothing of it is seen.
    assert content(lake, DAILY) == (in_order(new) if point == "written" else old)
    put(lake, DAILY, window(2, 2), [(day(2), i, "n") for i in range(12_000)])
    assert content(lake, DAILY) == in_order(new)
