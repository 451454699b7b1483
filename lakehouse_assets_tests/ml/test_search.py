"""Trials of a search run at once and leave the process as it was."""

from __future__ import annotations

import os
import warnings
from threading import Event

import pytest

from lakehouse_assets.ml.search import Params, search


def test_trials_at_once_leave_the_filters_of_warnings_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    first_began, second_began, first_ended = Event(), Event(), Event()

    def measure(params: Params) -> tuple[dict[str, float], None]:
        if params["trial"] == 1:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                first_began.set()
                assert second_began.wait(60)
            first_ended.set()
        else:
            assert first_began.wait(60)
            with warnings.catch_warnings():
                second_began.set()
                assert first_ended.wait(60)
        return {"loss": float(params["trial"])}, None

    before = warnings.filters[:]
    trials = search([{"trial": 1}, {"trial": 2}], measure)
    assert [trial.metrics for trial in trials] == [{"loss": 1.0}, {"loss": 2.0}]
    assert warnings.filters == before
