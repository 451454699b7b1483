"""Servers of models as processes, and clients that keep their connections."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of tests
_PATIENCE = 120.0


@dataclass(frozen=True, eq=False)
class Server:
    """A server of a model.

    Attributes:
        process: Its process.
        port: Its port of loopback.
        log: What it says.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def said(self, pattern: str) -> str:
        """Wait until the log holds a text, and return it."""
        ends = time.monotonic() + _PATIENCE
        while not (found := re.search(pattern, self.log.read_text(encoding="utf-8"))):
            text = self.log.read_text(encoding="utf-8")
            assert self.process.poll() is None or re.search(pattern, text), text
            assert time.monotonic() < ends, text
            time.sleep(0.05)
        return found[0]


@contextmanager
def serving(
    folder: Path, variables: Mapping[str, str], *arguments: str, program: str = "", port: int = 0
) -> Iterator[Server]:
    """Run `lakehouse serve model` with arguments, or a program of a test; on any free port."""
    log = folder / "server.log"
    command = ["-c", program] if program else ["-m", "lakehouse_assets", "serve", "model"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *command, *arguments, "--port", str(port)],
            env={"NO_COLOR": "1", **variables}, cwd=folder, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        server = Server(process, 0, log)
        port = int(server.said(r"http://[^/]*:\d+/invocations").rpartition(":")[2].split("/")[0])
        yield Server(process, port, log)
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        status: Its status.
        body: What JSON it holds, or its text.
        seconds: Time from sending the request to having the answer.
    """

    status: int
    body: Any
    seconds: float


def ask(
    port: int, bodies: Sequence[bytes], *, clients: int = 1, path: str = "/invocations",
    token: str | None = TOKEN,
) -> list[Answer]:  # fmt: skip
    """Send requests from a number of clients, each of which has a connection; keep their order."""

    async def run() -> list[Answer]:
        answers: dict[int, Answer] = {}
        waiting = iter(enumerate(bodies))

        async def client() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number, body in waiting:
                started = time.perf_counter()
                writer.write(_request(path, body, token))
                status, text = await _answer(reader)
                answers[number] = Answer(status, _decoded(text), time.perf_counter() - started)
            writer.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
        return [answers[number] for number in range(len(bodies))]

    return asyncio.run(run())


def _request(path: str, body: bytes, token: str | None) -> bytes:
    shown = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{shown}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head.lower())
    assert found, head
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(found[1]))


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()
