"""Alerts: counts go to the log, and to a webhook if one is set; nothing else does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest
from pydantic import SecretStr

from lakehouse_assets.domains.airline.gold.movements import GOLD_NEWLY_AT_RISK
from lakehouse_assets.domains.airline.gold.segments import GOLD_CUSTOMER_SEGMENTS_ML
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration import alerts
from lakehouse_assets.orchestration.alerts import send_alert
from lakehouse_assets.settings import Settings, load_settings
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.airline.test_movements import segmented

TEXT = "Members are newly At-Risk in 2014-03-01 (members: 1,200)"


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    """A server on this machine that keeps what it is sent; /no refuses."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response({"/no": 500, "/moved": 302, "/gone": 307}.get(self.path, 200))
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            received.append(b"a redirect was followed")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_without_a_webhook_alerts_are_logged() -> None:
    lines: list[str] = []
    send_alert(TEXT, None, lines.append)
    assert lines == [TEXT]


def test_a_webhook_is_sent_the_text_alone(webhook: tuple[str, list[bytes]]) -> None:
    address, received = webhook
    send_alert(TEXT, SecretStr(f"{address}/hook-secret"), lambda _text: None)
    assert [json.loads(body) for body in received] == [{"text": TEXT}]


@pytest.mark.parametrize("path", ["/no", "/moved", "/gone", None])
def test_a_webhook_that_fails_is_an_error_without_its_address(
    webhook: tuple[str, list[bytes]], path: str | None
) -> None:
    address = f"{webhook[0]}{path}" if path else "http://127.0.0.1:1/hook-secret"
    with pytest.raises(LakehouseError, match="LAKEHOUSE_ALERT_WEBHOOK") as caught:
        send_alert(TEXT, SecretStr(address), lambda _text: None)
    assert "127.0.0.1" not in str(caught.value)
    assert len(webhook[1]) == (path is not None), "a redirect is no delivery"


def test_clear_text_stays_on_this_machine(
    webhook: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would carry it to somebody else's machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    send_alert(TEXT, SecretStr(f"{webhook[0]}/hook"), lambda _text: None)
    assert len(webhook[1]) == 1


@pytest.mark.parametrize("address", ["https://hooks.example.org", "http://[::1]:8080"])
def test_the_address_is_a_secret(address: str) -> None:
    settings = Settings(alert_webhook=SecretStr(f"{address}/hook-secret"))
    assert "hook-secret" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.org",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "http://127.0.0.1\\@evil.example",
        "http://localhost.",
        "http://0.0.0.0",
        "ftp://127.0.0.1",
        "https://",
        "hooks.example.org",
    ],
)
def test_an_address_that_is_not_encrypted_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("LAKEHOUSE_ALERT_WEBHOOK", f"{address}/hook-secret")
    with pytest.raises(LakehouseError, match="must be an https:// address") as caught:
        load_settings()
    assert "hook-secret" not in str(caught.value)


@dataclass
class Watch:
    """The sensor of newly At-Risk members beside a house, whose runs are real ones."""

    house: House
    instance: dg.DagsterInstance
    received: list[bytes]
    cursor: str | None = None

    def has(self, month: int, *statuses: str) -> None:
        """Give a month's members their status, from member 1 on."""
        day = date(2014, month, 1)
        rows = [segmented(day, key, "x", status) for key, status in enumerate(statuses, start=1)]
        self.house.put(GOLD_CUSTOMER_SEGMENTS_ML, rows, day)

    def run(self, first: int, last: int) -> None:
        """Build the months of a range in one run."""
        result = self.house.materialise(
            "airline_monthly", f"2014-0{first}-01", GOLD_NEWLY_AT_RISK,
            last=f"2014-0{last}-01", instance=self.instance,
        )  # fmt: skip
        # Members are not in this house; the references to them fail after the months are written.
        assert len(result.asset_materializations_for_node("airline__gold_newly_at_risk")) > 0

    def tick(self) -> list[str]:
        """Let the sensor look; return what it sent."""
        del self.received[:]
        (sensor,) = [
            s for s in self.house.definitions().sensors or [] if s.name == "alert_newly_at_risk"
        ]
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            sensor(context)
            self.cursor = context.cursor
        return [json.loads(body)["text"] for body in self.received]


@pytest.fixture
def watch(
    house: House, webhook: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watch]:
    """January, February and March: 0, 1 and 2 members turn At Risk."""
    monkeypatch.setenv("LAKEHOUSE_ALERT_WEBHOOK", webhook[0])
    with dg.DagsterInstance.ephemeral() as instance:
        watch = Watch(house, instance, webhook[1])
        watch.has(1, "Active", "Active", "Active", "Active")
        watch.has(2, "At Risk", "Active", "Active", "Active")
        watch.has(3, "At Risk", "At Risk", "At Risk", "Active")
        yield watch


def told(month: int, members: int) -> str:
    return f"Members are newly At-Risk in 2014-0{month}-01 (members: {members})"


def test_each_month_of_a_range_is_told_once_and_again_when_its_number_changes(
    watch: Watch,
) -> None:
    assert watch.tick() == []
    watch.run(1, 3)
    assert watch.tick() == [told(2, 1), told(3, 2)]
    assert watch.tick() == []
    # The same numbers, by another range and by a month of its own.
    watch.run(2, 3)
    watch.run(3, 3)
    assert watch.tick() == []
    watch.has(3, "At Risk", "At Risk", "At Risk", "At Risk")
    watch.run(2, 3)
    assert watch.tick() == [told(3, 3)]
    watch.has(2, "Active", "Active", "Active", "Active")
    watch.run(2, 3)
    assert watch.tick() == [told(2, 0), told(3, 4)]


def test_switched_on_late_it_tells_of_the_last_run_only(watch: Watch) -> None:
    watch.run(1, 2)
    watch.run(3, 3)
    assert watch.tick() == [told(3, 2)]
    watch.run(1, 3)
    assert watch.tick() == []


def test_what_the_webhook_did_not_take_is_told_at_the_next_look_and_nothing_twice(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch.tick() == []
    watch.run(1, 3)
    address = alerts._webhook()
    answers = iter([address, SecretStr("http://127.0.0.1:1/down")])
    monkeypatch.setattr(alerts, "_webhook", lambda: next(answers))
    assert watch.tick() == [told(2, 1)]
    # Nothing of it can be told: the tick fails, and shows in the UI.
    monkeypatch.setattr(alerts, "_webhook", lambda: SecretStr("http://127.0.0.1:1/down"))
    with pytest.raises(LakehouseError, match="did not accept a message"):
        watch.tick()
    monkeypatch.setattr(alerts, "_webhook", lambda: address)
    assert watch.tick() == [told(3, 2)]
    assert watch.tick() == []
