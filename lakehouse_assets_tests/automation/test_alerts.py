"""Alerts: counts go to the log, and to a webhook if one is set; nothing else does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest
from pydantic import SecretStr

from lakehouse_assets.airline.tables import GOLD_NEWLY_AT_RISK
from lakehouse_assets.automation.alerts import Alert, tell
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.settings import Settings, load_settings
from lakehouse_assets_tests.airline.samples import House

ALERT = Alert("Members are newly At-Risk in 2014-03-01", {"members": 1200})
TEXT = "Members are newly At-Risk in 2014-03-01 (members: 1,200)"


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    """A server on this machine that keeps what it is sent; /no refuses."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(500 if self.path == "/no" else 200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_without_a_webhook_alerts_are_logged() -> None:
    lines: list[str] = []
    tell(ALERT, None, lines.append)
    assert lines == [TEXT]


def test_a_webhook_is_sent_the_text_alone(webhook: tuple[str, list[bytes]]) -> None:
    address, received = webhook
    tell(ALERT, SecretStr(f"{address}/hook-secret"), lambda _text: None)
    assert [json.loads(body) for body in received] == [{"text": TEXT}]


@pytest.mark.parametrize("path", ["/no", None])
def test_a_webhook_that_fails_is_an_error_without_its_address(
    webhook: tuple[str, list[bytes]], path: str | None
) -> None:
    address = f"{webhook[0]}{path}" if path else "http://127.0.0.1:1/hook-secret"
    with pytest.raises(LakehouseError, match="LAKEHOUSE_ALERT_WEBHOOK") as caught:
        tell(ALERT, SecretStr(address), lambda _text: None)
    assert "127.0.0.1" not in str(caught.value)


def test_the_address_is_a_secret_and_leaves_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(alert_webhook=SecretStr("https://hooks.example.org/hook-secret"))
    assert "hook-secret" not in f"{settings!r} {settings}"
    monkeypatch.setenv("LAKEHOUSE_ALERT_WEBHOOK", "http://hooks.example.org/hook-secret")
    with pytest.raises(LakehouseError, match="must be an https:// address") as caught:
        load_settings()
    assert "hook-secret" not in str(caught.value)


def test_each_month_that_is_built_is_told_once(
    house: House, webhook: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, received = webhook
    monkeypatch.setenv("LAKEHOUSE_ALERT_WEBHOOK", address)
    (sensor,) = [s for s in house.definitions().sensors or [] if s.name == "alert_newly_at_risk"]
    cursor = None
    with dg.DagsterInstance.ephemeral() as instance:

        def built(month: str, members: int) -> None:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    GOLD_NEWLY_AT_RISK.asset_key,
                    partition=month,
                    metadata={"dagster/partition_row_count": members},
                )
            )

        def tick() -> list[str]:
            nonlocal cursor
            del received[:]
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                sensor(context)
                cursor = context.cursor
            return [json.loads(body)["text"] for body in received]

        built("2014-01-01", 5)
        built("2014-02-01", 7)
        assert tick() == ["Members are newly At-Risk in 2014-02-01 (members: 7)"]
        assert tick() == []
        built("2014-03-01", 1200)
        assert tick() == [TEXT]
        built("2014-04-01", 0)
        assert tick() == []
