"""What a server of a model answers: tokens, limits, errors, probes, its version and its metrics."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.serving.app import App
from lakehouse_assets.serving.champion import CURRENT, Loaded
from lakehouse_assets.serving.metrics import Metrics
from lakehouse_assets.serving.rows import MOST_BYTES, Inputs
from lakehouse_assets.serving.scoring import Scoring
from lakehouse_assets.serving.tokens import Tokens
from lakehouse_assets_tests.serving.calls import Reply, call
from lakehouse_assets_tests.serving.processes import TOKEN


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    if pc.any(pc.equal(batch["x"], -13.0)).as_py():
        raise ValueError("the value -13 of the customer Ann")
    return pa.record_batch({"twice": pc.multiply(batch["x"], 2.0)})


CHAMPION: Any = SimpleNamespace(
    name="twice", inputs=Inputs(("x",)), loaded=Loaded(3, "run-7", "abc", doubled), state=CURRENT
)


@pytest.fixture
def app() -> Any:
    return App(CHAMPION, Tokens(TOKEN, None))


def rows(*values: object) -> bytes:
    return json.dumps({"inputs": {"x": values}}).encode()


def test_rows_are_scored_and_counted(app: Any) -> None:
    reply = call(app, "/invocations", rows(1, None, 2.5))
    assert (reply.status, reply.json) == (200, {"predictions": [2.0, None, 5.0]})
    many = call(app, "/invocations", rows(*range(10_000)) + b" " * 2**17)
    assert many.json == {"predictions": [2.0 * n for n in range(10_000)]}
    assert call(app, "/invocations", rows("a")).status == 400
    text = call(app, "/metrics").text
    for line in (
        'lakehouse_serving_requests_total{model="twice",path="/invocations",status="200"} 2.0',
        'lakehouse_serving_requests_total{model="twice",path="/invocations",status="400"} 1.0',
        'lakehouse_serving_rows_total{model="twice",version="3"} 10003.0',
        'lakehouse_serving_model_version{model="twice"} 3.0',
        'lakehouse_serving_champion_current{model="twice"} 1.0',
        'lakehouse_serving_request_seconds_count{model="twice",path="/invocations"} 3.0',
        'lakehouse_serving_request_seconds_bucket{le="+Inf",model="twice",path="/invocations"} 3.0',
    ):
        assert f"\n{line}\n" in text


def test_probes_need_no_token_and_everything_else_does(app: Any) -> None:
    for path in ("/ping", "/health"):
        assert call(app, path, token=None).json == {"status": "ok"}
    assert call(app, "/ready", token=None).json == {
        "status": "ready", "version": 3, "champion": "current"
    }  # fmt: skip
    shown = [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
             f"Bearer {TOKEN.upper()}", TOKEN, "Bearer \u00e9"]  # fmt: skip
    for path in ("/invocations", "/version", "/metrics", "/docs", "/openapi.json", "/x", "//ping"):
        for header in shown:
            reply = call(app, path, rows(1), token=None, header=header)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer"), path
            assert TOKEN not in reply.text
    counted = call(app, "/metrics").text
    assert f'path="/invocations",status="401"}} {float(len(shown))}' in counted
    assert f'path="other",status="401"}} {4.0 * len(shown)}' in counted


def test_the_version_says_which_model_it_is(app: Any) -> None:
    assert call(app, "/version").json == {
        "name": "twice", "version": 3, "alias": "champion", "run_id": "run-7", "digest": "abc",
    }  # fmt: skip


def test_what_is_no_request_for_scores_is_refused_in_the_form_of_mlflows_errors(
    app: Any,
) -> None:
    def refused(reply: Reply, status: int, message: str) -> None:
        assert reply.status == status
        assert set(reply.json) == {"error_code", "message"}
        assert message in reply.json["message"]

    refused(call(app, "/invocations", b"x\n1\n", kind="text/csv"), 415, "Send the rows as JSON")
    refused(call(app, "/invocations", b" " * (MOST_BYTES + 1)), 413, "larger than 4,194,304 bytes")
    refused(call(app, "/nothing"), 404, "POST rows to /invocations")
    refused(call(app, "/invocations"), 405, "POST rows to /invocations")
    refused(call(app, "/invocations", rows("Ann")), 400, "inputs, column x, row 0: must be a")


def test_an_error_of_the_model_tells_nothing_of_the_rows(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    reply = call(app, "/invocations", rows(1, -13))
    assert reply.status == 500
    assert reply.json["message"] == "The model could not score these rows."
    assert "ValueError" in caplog.text
    assert "Ann" not in caplog.text + reply.text


def test_requests_that_arrive_together_are_scored_in_one_batch() -> None:
    """Each has its own rows; one that cannot be scored or read spoils no other."""
    batches: list[int] = []

    def counted(batch: pa.RecordBatch) -> pa.RecordBatch:
        batches.append(batch.num_rows)
        return doubled(batch)

    champion: Any = SimpleNamespace(**vars(CHAMPION))
    champion.loaded = replace(CHAMPION.loaded, score=counted)
    metrics = Metrics("twice")

    def asked(*bodies: bytes) -> list[tuple[int, Any]]:
        scoring = Scoring(champion, metrics)

        async def together() -> list[tuple[int, bytes]]:
            return await asyncio.gather(*(scoring.answer(body) for body in bodies))

        return [(status, json.loads(body)) for status, body in asyncio.run(together())]

    found = asked(rows(1), rows(2, None), rows("a"), rows(4))
    assert [status for status, _ in found] == [200, 200, 400, 200]
    assert [body.get("predictions") for _, body in found] == [[2.0], [4.0, None], None, [8.0]]
    assert batches == [4]
    statuses = [status for status, _ in asked(rows(1), rows(-13), rows(3))]
    assert statuses == [200, 500, 200]
    assert batches == [4, 3, 1, 1, 1]
    champion.state = CURRENT
    assert 'rows_total{model="twice",version="3"} 6.0' in metrics.text(champion).decode()


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "request_seconds", lambda: 0.05)
    app = App(CHAMPION, Tokens(TOKEN, None))
    assert call(app, "/invocations", rows(1), never_ends=True).status == 408
    assert call(app, "/invocations", rows(1), leaves=True).status == 408


def test_tokens_of_a_file_change_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    old, new = "o" * 16, "n" * 16

    def accepted(tokens: Tokens) -> list[bool]:
        return [tokens.accept(f"Bearer {token}".encode()) for token in (old, new)]

    file.write_text(f"{old}\n")
    tokens = Tokens("ignored-because-of-the-file", file)
    assert accepted(tokens) == [True, False]
    assert tokens.refresh() is None
    file.write_text(f"{old}\n{new}\n")
    assert tokens.refresh() == f"{file} now has 2 tokens."
    assert accepted(tokens) == [True, True]
    file.write_text(f"{new}\n")
    tokens.refresh()
    assert accepted(tokens) == [False, True]
    for text in ("", "short", "\u00e9" * 16):
        file.write_text(text)
        assert "are unchanged" in str(tokens.refresh())
    file.unlink()
    assert "No such file" in str(tokens.refresh())
    assert accepted(tokens) == [False, True]


@pytest.mark.parametrize("given", [None, "", "short", "\u00e9" * 16])
def test_without_a_good_token_nothing_is_served(given: str | None) -> None:
    with pytest.raises(LakehouseError, match="openssl rand") as caught:
        Tokens(given, None)
    assert not given or given not in str(caught.value)
