"""Calls an ASGI application without a server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from lakehouse_assets_tests.serving.processes import TOKEN


@dataclass(frozen=True)
class Reply:
    """What an application answers."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def call(
    app: Any, path: str, body: bytes = b"", *, token: str | None = TOKEN,
    header: str | None = None, kind: str = "application/json", never_ends: bool = False,
    leaves: bool = False,
) -> Reply:  # fmt: skip
    """Send a request: POST if it has a body, and with the usual token unless told otherwise."""
    shown = header if header is not None else f"Bearer {token}" if token else None
    headers = [(b"content-type", kind.encode())]
    headers += [(b"authorization", shown.encode())] if shown is not None else []
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST" if body else "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    sent: list[Any] = []
    parts = iter([body[:100], body[100:]])

    async def receive() -> dict[str, Any]:
        part = next(parts, None)
        if leaves and part == body[100:]:
            return {"type": "http.disconnect"}
        if part is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": never_ends or part != body[100:]}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:]).decode())
