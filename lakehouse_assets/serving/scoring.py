"""Scores the rows of requests: those that arrive together in one batch."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from lakehouse_assets.serving.champion import Champion
from lakehouse_assets.serving.metrics import Metrics
from lakehouse_assets.serving.rows import BadRequestError, Columns, predictions

Answer: TypeAlias = "tuple[int, bytes]"
"""Status and body of an answer."""

# Bodies above this size are read and scored beside the event loop: smaller requests go on.
_INLINE_BYTES: Final = 2**16
_LOG: Final = logging.getLogger(__name__)


class Scoring:
    """Answers requests for scores with the champion.

    A row has the same score in every batch, and a batch of a few rows takes hardly longer than one
    row. So requests that the event loop has at hand are scored together; none waits for others.
    """

    def __init__(self, champion: Champion, metrics: Metrics) -> None:
        """Take the model, and what counts its rows."""
        self._champion = champion
        self._metrics = metrics
        self._waiting: list[tuple[Columns, asyncio.Future[Answer]]] = []

    async def answer(self, body: bytes) -> Answer:
        """Score the rows of a body."""
        if len(body) > _INLINE_BYTES:
            return await asyncio.to_thread(self._alone, body)
        try:
            columns = self._champion.inputs.parse(body)
        except BadRequestError as error:
            return refusal(400, str(error))
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # After the other requests that have arrived by now.
            loop.call_soon(self._score_waiting)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((columns, answer))
        return await answer

    def _alone(self, body: bytes) -> Answer:
        try:
            columns = self._champion.inputs.parse(body)
        except BadRequestError as error:
            return refusal(400, str(error))
        return self._scored([columns])[0]

    def _score_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        answers = self._scored([columns for columns, _ in waiting])
        for (_, future), answer in zip(waiting, answers, strict=True):
            # A client that has gone does not wait.
            if not future.done():
                future.set_result(answer)

    def _scored(self, requests: Sequence[Columns]) -> list[Answer]:
        """Return the answers of requests; rows that cannot be scored spoil only their own."""
        loaded, inputs = self._champion.loaded, self._champion.inputs
        counts = [len(next(iter(columns.values()))) for columns in requests]
        try:
            answers = predictions(loaded.score(inputs.batch(requests)), counts)
        except Exception as error:  # noqa: BLE001 - whatever the model raises may quote the rows
            if len(requests) > 1:
                return [self._scored([columns])[0] for columns in requests]
            _LOG.error(
                "%s version %d could not score %d rows: %s",
                self._champion.name, loaded.version, counts[0], type(error).__name__,
            )  # fmt: skip
            return [refusal(500, "The model could not score these rows.")]
        self._metrics.scored(loaded.version, sum(counts))
        return [(200, answer) for answer in answers]


def refusal(status: int, message: str) -> Answer:
    """Return an error in the form of MLflow's."""
    code = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    return status, encoded({"error_code": code, "message": message})


def encoded(value: dict[str, Any]) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value).encode()
