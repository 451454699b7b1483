"""The proxy through which every client goes: it counts, and it breaks things when told to.

Run as a process of its own: `python -m lakehouse_assets_tests.azure.proxy FOLDER AZURITE_PORT`. It
answers CONNECT with the tests' certificate, so that the hosts' real names are used verbatim, hands
the login hosts to the stub of Entra and every other host to Azurite, and takes orders from the
tests under `/control/`.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import IO, Any
from urllib.parse import urlsplit

from lakehouse_assets_tests.azure.entra import LOGIN_HOSTS, Entra


@dataclass
class Request:
    """A request that came through.

    Attributes:
        host: Host that was asked.
        method: HTTP method.
        target: Path and query.
        status: What was answered; 0 for a connection that was cut.
        sent: Bytes of the request's body.
        received: Bytes of the answer's body.
        flow: What the stub of Entra made of it.
        shown: What let it in: `bearer`, `key`, `sas`, or nothing.
    """

    host: str
    method: str
    target: str
    status: int = 0
    sent: int = 0
    received: int = 0
    flow: str = ""
    shown: str = ""


@dataclass
class Fault:
    """What is to go wrong.

    Attributes:
        target: Expression that the request's host and target match.
        method: Method, empty for any.
        action: `status` answers with it; `cut` closes before the request is passed on, `lose` after
            it was, `break` in the middle of the answer.
        status: Status to answer with.
        code: Error code of the store to answer with.
        retry_after: Seconds after which the client may try again.
        skip: So many matching requests go well first.
        times: So many then fail; -1 for all.
    """

    target: str
    method: str = ""
    action: str = "status"
    status: int = 503
    code: str = "ServerBusy"
    retry_after: int | None = None
    skip: int = 0
    times: int = 1


@dataclass
class State:
    """What the proxy's threads share."""

    azurite: int
    server_tls: ssl.SSLContext
    client_tls: ssl.SSLContext
    entra: Entra = field(default_factory=Entra)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault_for(self, request: Request) -> Fault | None:
        """Return the fault that strikes a request, and use it up."""
        with self.lock:
            for fault in self.faults:
                if fault.method not in {"", request.method} or fault.times == 0:
                    continue
                if not re.search(fault.target, request.host + request.target):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None


class Handler(StreamRequestHandler):
    """One client's connection."""

    state: State
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve the connection until it is closed."""
        upstream: http.client.HTTPSConnection | None = None
        host, reader, writer = "", self.rfile, self.wfile
        try:
            while head := _read_head(reader):
                method, target, given = head
                if method == "CONNECT":
                    host = target.partition(":")[0]
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    self.wfile.flush()
                    secured = self.state.server_tls.wrap_socket(self.connection, server_side=True)
                    reader, writer = secured.makefile("rb"), secured.makefile("wb")
                    continue
                body = _read_body(reader, writer, given)
                if not host and target.startswith("/control/"):
                    _answer(writer, 200, {}, self._control(target, body))
                    continue
                where = host or urlsplit(target).hostname or "127.0.0.1"
                request = Request(
                    where, method, target, sent=len(body), shown=_shown(target, given)
                )
                with self.state.lock:
                    self.state.requests.append(request)
                fault = self.state.fault_for(request)
                if fault is not None and fault.action == "cut":
                    return
                if fault is not None and fault.action == "status":
                    request.status = fault.status
                    headers, error = _error(fault)
                    if method == "HEAD":
                        # Stores say what is wrong in a header then.
                        headers.pop("Content-Type")
                    _answer(writer, fault.status, headers, error, head_only=method == "HEAD")
                    continue
                if where in LOGIN_HOSTS or not host:
                    found = self.state.entra.answer(where, method, target, given, body)
                    request.status, request.flow = found.status, found.flow
                    _answer(writer, found.status, _JSON, json.dumps(found.body).encode())
                    continue
                if upstream is None:
                    upstream = http.client.HTTPSConnection(
                        "127.0.0.1", self.state.azurite, context=self.state.client_tls, timeout=60
                    )
                try:
                    answer = _pass_on(upstream, method, target, given, body)
                except (ConnectionError, http.client.HTTPException):
                    # Azurite had closed the idle connection, without having seen the request.
                    upstream.close()
                    answer = _pass_on(upstream, method, target, given, body)
                request.status, request.received = answer[0], len(answer[2])
                if fault is not None and fault.action == "lose":
                    return
                _answer(writer, *answer, whole=fault is None, head_only=method == "HEAD")
                if fault is not None:
                    return
        except OSError:
            # The client went away, or did not like the certificate.
            return
        finally:
            if upstream is not None:
                upstream.close()
            _close(self.connection)

    def _control(self, target: str, body: bytes) -> bytes:
        state, order = self.state, target.removeprefix("/control/")
        with state.lock:
            if order == "reset":
                state.requests.clear()
                state.faults.clear()
                state.entra = Entra()
            elif order == "fault":
                state.faults.append(Fault(**json.loads(body)))
            elif order == "heal":
                state.faults.clear()
            elif order == "lifetime":
                state.entra.lifetime = int(body)
            elif order == "requests":
                return json.dumps([asdict(request) for request in state.requests]).encode()
        return b"{}"


class Server(ThreadingTCPServer):
    """Threads, one a connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


_JSON = {"Content-Type": "application/json"}
_OWN = {"connection", "transfer-encoding", "content-length", "keep-alive"}


def _read_head(reader: IO[bytes]) -> tuple[str, str, dict[str, str]] | None:
    line = reader.readline(1 << 16)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline(1 << 16)) not in {b"\r\n", b"\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return method, target, headers


def _read_body(reader: IO[bytes], writer: IO[bytes], headers: Mapping[str, str]) -> bytes:
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.flush()
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return reader.read(int(headers.get("content-length", "0")))
    pieces = []
    while size := int(reader.readline().split(b";")[0], 16):
        pieces.append(reader.read(size))
        reader.readline()
    reader.readline()
    return b"".join(pieces)


def _shown(target: str, headers: Mapping[str, str]) -> str:
    kind = headers.get("authorization", "").partition(" ")[0].lower()
    return {"sharedkey": "key"}.get(kind, kind) or ("sas" if "sig=" in target else "")


def _pass_on(
    upstream: http.client.HTTPSConnection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
) -> tuple[int, dict[str, str], bytes]:
    upstream.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        if name not in _OWN and not name.startswith("proxy-") and name != "expect":
            upstream.putheader(name, value)
    if body or method in {"PUT", "POST"}:
        upstream.putheader("content-length", str(len(body)))
    upstream.endheaders(body or None)
    answer = upstream.getresponse()
    content = answer.read()
    kept = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
    length = answer.getheader("content-length")
    if method == "HEAD" and length is not None:
        kept["Content-Length"] = length
    return answer.status, kept, content


def _error(fault: Fault) -> tuple[dict[str, str], bytes]:
    headers = {"x-ms-error-code": fault.code, "Content-Type": "application/xml"}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    return headers, (
        f'<?xml version="1.0"?><Error><Code>{fault.code}</Code><Message>As told.</Message></Error>'
    ).encode()


def _answer(
    writer: IO[bytes],
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    whole: bool = True,
    head_only: bool = False,
) -> None:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Answer')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not head_only and status not in {204, 304}:
        lines.append(f"Content-Length: {len(body)}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if not head_only:
        writer.write(body if whole else body[: len(body) // 2])
    writer.flush()


def _close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def main(folder: str, azurite: str) -> None:
    """Serve until the tests end."""
    files = Path(folder)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(files / "leaf.pem", files / "leaf.key")
    state = State(
        int(azurite), server_tls, ssl.create_default_context(cafile=files / "authority.pem")
    )
    handler: Any = type("Bound", (Handler,), {"state": state})
    with Server(("127.0.0.1", 0), handler) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # Whoever started this holds the other end: it closes when the tests are over.
        sys.stdin.read()
        time.sleep(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
