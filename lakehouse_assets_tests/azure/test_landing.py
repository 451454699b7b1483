"""What lies in a landing zone in a store and belongs to nothing is named as it is on a disk."""

from __future__ import annotations

from pathlib import Path

from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.lake.access import Access
from lakehouse_assets.lake.identity import ServicePrincipal
from lakehouse_assets.lake.location import AdlsLocation
from lakehouse_assets.lake.store import CloudFiles
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
    cloud: Cloud, folder: str, principal: ServicePrincipal, tmp_path: Path, engine
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
