"""What lies in a landing zone in a store and belongs to nothing is named as it is on a disk."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.files import Entry
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import AdlsLocation
from lakehouse_assets.storage.store import CloudFiles
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud
from lakehouse_assets_tests.ingest.samples import HEADER, THINGS, deliver
from lakehouse_assets_tests.ingest.test_landing import (
    DELIVERED,
    IGNORED,
    SENTENCES,
    STRAYS,
    TOO_DEEP,
)


def test_what_belongs_to_nothing_is_named(
    cloud: Cloud, folder: str, principal: Identity, tmp_path: Path, engine
) -> None:
    location = AdlsLocation(ACCOUNT, "landing", folder)
    files, content = CloudFiles(Access(location, principal)), tmp_path / "content"
    content.write_text(f"{HEADER}\n1,2,3\n")
    for name in (*DELIVERED, *TOO_DEEP, *IGNORED, *STRAYS):
        files.put(name, content)
    zone = LandingZone(location, principal)
    listed = zone.files(THINGS)
    assert [file.name for file in listed] == [*DELIVERED, *TOO_DEEP]
    assert set(zone.strays([THINGS])) == SENTENCES
    with zone.fetched(listed) as fetched:
        outcome = deliver(engine, *fetched)
    assert [row["id"] for row in outcome.rows] == ["1"]
    assert [row["_source_file"] for row in outcome.rejects] == TOO_DEEP


def test_a_window_of_a_long_history_lists_its_days_alone(
    cloud: Cloud, folder: str, principal: Identity, tmp_path: Path, monkeypatch
) -> None:
    location = AdlsLocation(ACCOUNT, "landing", folder)
    files, content = CloudFiles(Access(location, principal)), tmp_path / "content"
    content.write_text(f"{HEADER}\n1,2,3\n")
    days = [date(2014, 1, 1) + timedelta(days=number) for number in range(25)]
    for day in days:
        files.put(f"shop/things/{day}/a.csv", content)
    listed: list[str] = []
    whole = CloudFiles.list_all

    def noted(self: CloudFiles, path: str) -> list[Entry]:
        listed.append(path)
        return whole(self, path)

    monkeypatch.setattr(CloudFiles, "list_all", noted)
    zone = LandingZone(location, principal)
    (found,) = zone.files(THINGS, days[3], days[4])
    assert (found.name, found.size) == (f"shop/things/{days[3]}/a.csv", content.stat().st_size)
    assert listed == [f"shop/things/{days[3]}"]
    assert [file.delivered_on for file in zone.files(THINGS)] == days
    assert listed[1:] == ["shop/things"]
