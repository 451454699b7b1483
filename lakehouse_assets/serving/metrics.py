"""Counts and times of a served model, in the text that Prometheus reads."""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from lakehouse_assets.serving.champion import CURRENT, Champion

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


# A series for the moment at which each other one began.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Metrics of one server; each series has the model's name."""

    def __init__(self, model: str) -> None:
        self._registry = CollectorRegistry()
        self._model = model
        self._requests = Counter(
            "lakehouse_serving_requests", "Answered requests by path and status.",
            ["model", "path", "status"], registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "lakehouse_serving_request_seconds", "Time from a request's head to its answer.",
            ["model", "path"], buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._rows = Counter(
            "lakehouse_serving_rows", "Scored rows by model version.",
            ["model", "version"], registry=self._registry,
        )  # fmt: skip
        self._version = Gauge(
            "lakehouse_serving_model_version", "Version that scores.",
            ["model"], registry=self._registry,
        )  # fmt: skip
        self._is_current = Gauge(
            "lakehouse_serving_champion_current",
            "1 if the registry answers and its champion is the version that scores, else 0.",
            ["model"], registry=self._registry,
        )  # fmt: skip

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(self._model, path, str(status)).inc()
        self._seconds.labels(self._model, path).observe(seconds)

    def scored(self, version: int, rows: int) -> None:
        """Count scored rows."""
        self._rows.labels(self._model, str(version)).inc(rows)

    def text(self, champion: Champion) -> bytes:
        """Return all metrics."""
        self._version.labels(self._model).set(champion.loaded.version)
        self._is_current.labels(self._model).set(champion.state == CURRENT)
        return generate_latest(self._registry)
