"""Identifiers of people are the same on every engine as in a request to forget them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.subjects import Subject
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.orchestration.forgetting import identifies


@pytest.fixture(params=["engine", "spark_engine"])
def either(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, the active one of the test."""
    found: Engine = request.getfixturevalue(request.param)
    return found


def test_engines_compare_identifiers_as_requests_do(either: Engine) -> None:
    given = ["7", " 007.0 ", "+7", "7.5", "07", "70", "a7", "7.00", "", None]
    frame = either.from_arrow(pa.table({"customer_id": pa.array(given, pa.string())}))
    for by_number in (True, False):
        subject = Subject("member", {}, by_number=by_number)
        found = either.rows(frame.filter(identifies("customer_id", subject, "07")))
        assert [row["customer_id"] for row in found] == [
            text for text in given if text and subject.normal(text) == subject.normal("07")
        ]
