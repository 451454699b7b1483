"""Looking at the logs of many tables."""

from __future__ import annotations

import threading

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.log import of_each


def test_logs_are_looked_at_together_and_come_in_the_order_of_their_tables() -> None:
    # Each waits for another one: one after the other, the first would wait in vain.
    met = threading.Barrier(2, timeout=200)

    def look(table: int) -> str:
        met.wait()
        return f"table {table}"

    assert of_each(look, range(6)) == [f"table {number}" for number in range(6)]


def test_what_one_look_raises_is_raised() -> None:
    def look(table: str) -> str:
        if table == "second":
            raise LakehouseError(f"{table} is refused")
        return table

    with pytest.raises(LakehouseError, match="second is refused"):
        of_each(look, ["first", "second", "third"])
