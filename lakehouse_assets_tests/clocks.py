"""Processes whose clock and time zone a test sets, by libfaketime (`make faketime`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pytest

from lakehouse_assets import clock
from lakehouse_assets_tests.airline.samples import REPOSITORY

_FETCHED = REPOSITORY / ".lakehouse" / "faketime" / "root"
_LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"


def at(moment: datetime, zone: str) -> Mapping[str, str]:
    """Return the variables of a process that begins at a moment, in a time zone.

    The test is skipped where libfaketime cannot be had.
    """
    found = [*_FETCHED.glob(_LIBRARY), *type(_FETCHED)("/").glob(_LIBRARY)]
    if not found:
        pytest.skip("libfaketime is not there, so no clock can be set: make faketime")
    offset = (moment - clock.now()).total_seconds()
    return {
        "TZ": zone,
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": f"{offset:+.0f}s",
        # Waiting and measuring go on as ever.
        "DONT_FAKE_MONOTONIC": "1",
    }
