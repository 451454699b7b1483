"""What an operation costs: requests and bytes, counted by the proxy, with bounds that hold.

The table has 24 months, one commit each. `docs/how-to/azure.md` shows the figures; the bounds leave
little room, so that a change which costs requests is seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from lakehouse_assets.catalog.registry import Column, PartitionColumn, Registry
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Windows, between
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud
from lakehouse_assets_tests.lake.samples import put, table

PARTITION = PartitionColumn("month", "month")
SALES = table(
    "sales",
    Column("month", "date", "Month.", nullable=False),
    Column("id", "bigint", "Number.", nullable=False),
    Column("amount", "double", "Amount."),
    Column("note", "string", "Text of some length."),
    partition=PARTITION,
)
MONTHS = [date(2013 + number // 12, number % 12 + 1, 1) for number in range(24)]
ROWS = 3_000


@dataclass(frozen=True)
class Cost:
    """What an operation cost.

    Attributes:
        requests: Requests to the store.
        tokens: Requests to Entra.
        down: Bytes that came.
        up: Bytes that went.
        data: Data files that were touched.
    """

    requests: int
    tokens: int
    down: int
    up: int
    data: frozenset[str]


def cost_of(cloud: Cloud, operation: Callable[[], Any]) -> Cost:
    """Run an operation and count what came through the proxy."""
    cloud.reset()
    operation()
    asked = cloud.requests()
    store = [request for request in asked if not request["flow"]]
    data = [r["target"] for r in store if ".parquet" in r["target"] and "_log" not in r["target"]]
    return Cost(
        requests=len(store),
        tokens=len(asked) - len(store),
        down=sum(request["received"] for request in store),
        up=sum(request["sent"] for request in store),
        data=frozenset(target.partition("?")[0] for target in data),
    )


def month_of(first: date) -> Windows:
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return between(PARTITION, first, following)


def rows_of(first: date) -> list[tuple[Any, ...]]:
    chance = random.Random(first.toordinal())  # noqa: S311 - seeded data
    return [
        (first, number, round(chance.random() * 100, 2), f"{chance.getrandbits(160):040x}")
        for number in range(ROWS)
    ]


@pytest.fixture
def lake(engine, folder, principal) -> Lake:
    place = CloudLocation.adls(ACCOUNT, "lake", folder)
    made = Lake(place, engine, Registry((SALES,)), principal)
    for month in MONTHS:
        put(made, SALES, month_of(month), rows_of(month))
    return made


def test_operations_cost_a_bounded_number_of_requests(cloud: Cloud, lake, record_property):
    def read(month: date | None) -> None:
        frame = lake.read(SALES, month_of(month) if month else None)
        assert len(lake.engine.rows(frame.select("id"))) == (ROWS if month else 24 * ROWS)

    def write() -> None:
        put(lake, SALES, month_of(MONTHS[-1]), rows_of(MONTHS[-1]))

    def sales() -> list[Cost]:
        return [
            cost_of(cloud, lambda: lake.open(SALES)),
            cost_of(cloud, lambda: read(MONTHS[12])),
            cost_of(cloud, lambda: read(MONTHS[13])),
            cost_of(cloud, lambda: read(None)),
            cost_of(cloud, write),
        ]

    opened, first, second, whole, written = sales()
    for name, cost in zip(
        ("open", "first month", "second month", "whole", "write"),
        (opened, first, second, whole, written), strict=True,
    ):  # fmt: skip
        record_property(name, str(cost))
    # 24 commits lie behind; a checkpoint stands for twenty of them.
    assert opened.requests <= 26
    assert opened.down < 80_000
    assert opened.data == frozenset()
    # One month's files and no other's, however many there are.
    for cost, month in ((first, MONTHS[12]), (second, MONTHS[13])):
        assert {part for file in cost.data for part in file.split("/") if "month=" in part} == {
            f"month={month}"
        }
        assert len(cost.data) == 1
    assert len(whole.data) == 24
    assert first.requests <= 76
    assert second.requests <= 48
    assert second.down < whole.down / 4
    assert whole.requests <= 24 * 4 + 40
    assert written.requests <= 34
    assert len(written.data) == 1, "the old file is not read to replace it"


def test_opening_does_not_cost_more_the_longer_a_table_lives(cloud: Cloud, lake):
    young = cost_of(cloud, lambda: lake.open(SALES))
    for _ in range(10):
        put(lake, SALES, month_of(MONTHS[0]), rows_of(MONTHS[0])[:10])
    old = cost_of(cloud, lambda: lake.open(SALES))
    assert lake.version(SALES) == 34
    assert old.requests <= young.requests + 2
