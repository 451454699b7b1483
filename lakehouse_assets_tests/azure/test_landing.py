"""The landing zone's contract in a store, and what only a store has: pages and changed objects."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.storage.faults import StoreError
from lakehouse_assets.storage.identity import DEFAULT
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets.storage.store import files_at
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud
from lakehouse_assets_tests.azure.entra import CLIENT, TENANT
from lakehouse_assets_tests.ingest.samples import THINGS
from lakehouse_assets_tests.ingest.test_landing_contract import *  # noqa: F403 - its tests
from lakehouse_assets_tests.ingest.test_landing_contract import DELIVERED, put


@pytest.fixture
def zone(cloud: Cloud, folder: str, monkeypatch: pytest.MonkeyPatch) -> LandingZone:
    """A zone in a store, entered by default as the application."""
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    return LandingZone(CloudLocation.adls(ACCOUNT, "landing", folder))


def test_a_window_of_a_long_history_lists_its_days_alone(cloud: Cloud, zone: LandingZone) -> None:
    days = [date(2014, 1, 1) + timedelta(days=number) for number in range(25)]
    for day in days:
        put(zone, f"shop/things/{day}/a.csv")
    cloud.reset()
    (found,) = zone.files(THINGS, days[3], days[4])
    assert (found.name, found.size) == (f"shop/things/{days[3]}/a.csv", 1)
    listed = [r["target"] for r in cloud.requests() if "comp=list" in r["target"]]
    assert len(listed) == 2, "the days, and that day's files"
    assert [file.delivered_on for file in zone.files(THINGS)] == days


@pytest.mark.parametrize("what", ["replaced", "removed"])
def test_a_file_that_changed_since_it_was_listed_is_refused(zone: LandingZone, what: str) -> None:
    put(zone, DELIVERED[0], b"old")
    listed = zone.files(THINGS)
    if what == "replaced":
        put(zone, DELIVERED[0], b"new")
    else:
        files_at(zone.root, DEFAULT).remove(DELIVERED[0])
    with (
        pytest.raises(StoreError, match="replaced or removed while it was being read"),
        zone.fetched(listed),
    ):
        pass


def test_a_large_file_arrives_whole(zone: LandingZone, tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b"0123456789abcdef" * (20 << 16))
    zone.land(THINGS, source, date(2014, 3, 31))
    assert zone.land(THINGS, source, date(2014, 3, 31))[1] is False, "its hash was read back"
    with zone.fetched(zone.files(THINGS)) as (file,):
        assert file.local.read_bytes() == source.read_bytes()
