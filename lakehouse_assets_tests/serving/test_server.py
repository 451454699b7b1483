"""`lakehouse serve model` as a process: load, a moved alias, new tokens, and its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from lakehouse_assets.cli.serve import model as serve_model
from lakehouse_assets.domains import MODELS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.ml.toy import FEATURES, POINTS
from lakehouse_assets_tests.operations.services import SERVING, running
from lakehouse_assets_tests.serving.conftest import move
from lakehouse_assets_tests.serving.processes import TOKEN, Server, ask, serving

# The command line, which also knows the tests' own model and lacks what its image lacks.
PROGRAM = """
import sys
from lakehouse_assets.cli import main
from lakehouse_assets.domains import MODELS
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.ml.toy import POINTS
MODELS["points"] = POINTS
for name in ("dagster", "duckdb", "pyspark", "sqlframe"):
    sys.modules[name] = None
main.main()
"""
COMMAND = ("serve", "model", "points", "--refresh", "0.1")
BODY = json.dumps({"inputs": dict(zip(FEATURES, ([10], [9000], [900]), strict=True))}).encode()


def variables(tracking: MlflowTracking, **more: str) -> Mapping[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    return {**clean, "LAKEHOUSE_MLFLOW_URI": tracking.tracking_uri, **more}


def begun(server: Server) -> socket.socket:
    """Send the beginning of a request, and wait until the server has read it."""
    half = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    half.sendall(
        f"POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n".encode()
        + BODY[:10]
    )
    # It answers those who come later only then.
    assert ask(server.port, [BODY])[0].status == 200
    return half


def test_no_request_is_lost_when_the_alias_or_the_tokens_change_or_the_server_ends(
    tracking: MlflowTracking, tmp_path: Path
) -> None:
    """A request without end does not keep the server alive."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{'o' * 32}\n{TOKEN}\n")
    given = (*COMMAND, "--token-file", str(tokens))
    with serving(tmp_path, variables(tracking), *given, program=PROGRAM) as server:
        moving = threading.Timer(0.3, move, [tracking, 2])
        moving.start()
        found: Counter[str] = Counter()
        # At least 600 requests of eight clients, and until the second version has answered.
        while found.total() < 600 or len(found) < 2:
            for answer in ask(server.port, [BODY] * 200, clients=8):
                assert answer.status == 200, answer
                found[repr(answer.body["predictions"])] += 1
            assert found.total() < 100_000, server.log.read_text()
        moving.join()
        assert len(found) == 2
        server.said("points: now serving version 2")
        (version,) = ask(server.port, [b""], path="/version")
        assert version.body["version"] == 2
        text = ask(server.port, [b""], path="/metrics")[0].body
        assert f'path="/invocations",status="200"}} {float(found.total())}' in text
        assert ask(server.port, [BODY], token="o" * 32)[0].status == 200
        tokens.write_text(TOKEN)
        server.said("tokens now has 1 token")
        assert ask(server.port, [BODY], token="o" * 32)[0].status == 401
        with begun(server), begun(server) as half:
            server.process.send_signal(signal.SIGTERM)
            half.sendall(BODY[10:])
            answer = half.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert server.process.wait(60) == 128 + signal.SIGTERM
        server.said(r"The process was asked to end \(SIGTERM\)")


def test_through_the_proxy_programs_get_scores_for_a_token_and_nothing_else(
    tracking: MlflowTracking, tmp_path: Path, house: House
) -> None:
    environment = variables(tracking, LAKEHOUSE_SERVING_TOKEN=TOKEN)
    passwords = {"operators": "", "analysts": ""}
    with (
        running(house, tmp_path, passwords=passwords) as proxy,
        serving(tmp_path, environment, *COMMAND, program=PROGRAM, port=proxy.serving),
    ):
        token = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        status, text = proxy.ask(SERVING, "/invocations", BODY, headers=token)
        assert (status, text.startswith('{"predictions":[')) == (200, True)
        for headers in ({}, {"Authorization": "Bearer x"}, {"X-Forwarded-User": "ann"}):
            assert proxy.ask(SERVING, "/invocations", BODY, headers=headers)[0] == 401
        foreign = {**token, "Origin": "https://evil.example"}
        assert proxy.ask(SERVING, "/invocations", BODY, headers=foreign)[0] == 403
        assert proxy.ask(SERVING, "/ready")[0] == 200
        for path in ("/metrics", "/version", "/", "/invocations/x", "/x/../metrics"):
            assert proxy.ask(SERVING, path, headers=token)[0] == 404
        assert proxy.ask_plainly(proxy.plain, SERVING)[0] == 308


def test_what_cannot_be_served_is_one_sentence(
    tracking: MlflowTracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_MLFLOW_URI", tracking.tracking_uri)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setitem(MODELS, POINTS.name, POINTS)
    segments = "airline_customer_segments"
    with pytest.raises(
        LakehouseError, match=f"There is no model airline_segments; did you .* {segments}"
    ):
        serve_model("airline_segments")
    with pytest.raises(LakehouseError, match="openssl rand -hex 32"):
        serve_model(POINTS.name)
    with pytest.raises(LakehouseError, match=r"tokens cannot be read \(No such file"):
        serve_model(POINTS.name, token_file=tmp_path / "tokens")
    monkeypatch.setenv("LAKEHOUSE_SERVING_TOKEN", TOKEN)
    with pytest.raises(LakehouseError, match="has no champion yet; run its asset"):
        serve_model(segments)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LakehouseError, match=r"\(Address already in use\); choose others"):
            serve_model(POINTS.name, port=taken.getsockname()[1])
    with pytest.raises(LakehouseError, match=r"cannot listen .* of no\.such\.host"):
        serve_model(POINTS.name, host="no.such.host")
