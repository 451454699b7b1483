"""Sensors on a landing zone in a store: versions are ETags there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.storage.faults import StoreError
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets_tests.airline.samples import House, purchase
from lakehouse_assets_tests.automation.caretaker import Caretaker
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud
from lakehouse_assets_tests.azure.entra import CLIENT, TENANT

DAY = "2014-03-03"


@pytest.fixture
def caretaker(
    cloud: Cloud, house: House, folder: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Caretaker]:
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    landing = CloudLocation.adls(ACCOUNT, "landing", folder)
    far = House(house.settings.model_copy(update={"landing": landing}))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Caretaker(far, instance)


def land(caretaker: Caretaker, file: Path, amount: int, *, replace: bool = False) -> None:
    """Deliver one purchase; every amount has one digit, so every version has the same size."""
    file.write_text(json.dumps([purchase("A", amount=amount)]), encoding="utf-8")
    settings = caretaker.house.settings
    zone = LandingZone(settings.landing, settings.zone_identity)
    assert zone.land(TRANSACTIONS, file, date.fromisoformat(DAY), replace=replace)[1]


def amounts(caretaker: Caretaker) -> list[float]:
    rows = caretaker.house.rows(SILVER_TRANSACTIONS)
    return [float(row["amount"]) for row in rows]


def test_a_correction_of_the_same_size_is_told_by_its_etag(
    caretaker: Caretaker, tmp_path: Path
) -> None:
    land(caretaker, tmp_path / "a.json", 1)
    # Just written: it counts as whole when the next listing finds it unchanged.
    assert caretaker.deliveries("transactions") == []
    assert caretaker.deliveries("transactions") == [(DAY, DAY)]
    assert caretaker.deliveries("transactions") == []
    assert amounts(caretaker) == [1]
    land(caretaker, tmp_path / "a.json", 2, replace=True)
    assert caretaker.deliveries("transactions") == []
    assert caretaker.deliveries("transactions") == [(DAY, DAY)]
    assert amounts(caretaker) == [2]


def test_a_store_that_cannot_be_listed_is_an_error_and_forgets_nothing(
    caretaker: Caretaker, cloud: Cloud, tmp_path: Path
) -> None:
    land(caretaker, tmp_path / "a.json", 1)
    assert caretaker.deliveries("transactions") == []
    assert caretaker.deliveries("transactions") == [(DAY, DAY)]
    cloud.fault("comp=list", status=403, code="AuthorizationPermissionMismatch", times=-1)
    with pytest.raises(StoreError):
        caretaker.tick("deliveries")
    cloud.order("heal")
    result = caretaker.tick("deliveries")
    assert not result.run_requests
    assert not result.asset_events, "nothing passes for deleted"
