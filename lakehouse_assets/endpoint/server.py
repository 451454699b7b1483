"""Serves the lake to PostgreSQL clients until the process is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakehouse_assets import timeouts
from lakehouse_assets.endpoint import messages as m
from lakehouse_assets.endpoint.login import Cancel, Door
from lakehouse_assets.endpoint.session import Client, Limits
from lakehouse_assets.endpoint.sources import Source
from lakehouse_assets.endpoint.sqlstate import SqlError
from lakehouse_assets.endpoint.system_tables import DATABASE
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.listening import is_loopback, listen, require_loopback, shown

if TYPE_CHECKING:
    from lakehouse_assets.catalog.access import Access
    from lakehouse_assets.query.session import Sessions
    from lakehouse_assets.query.users import Users

# Once this many bytes wait for a client, the server computes no more rows for it.
_WAITING_BYTES: Final = 1 << 20
_LEAVING: Final = SqlError("57P01", "The server is shutting down; connect again later.")
_FULL: Final = SqlError("53300", "Too many clients are connected; try again later.")
_BROKEN: Final = (OSError, EOFError, ssl.SSLError, TimeoutError)


def tls_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS context of a server with a certificate and its key, in PEM.

    Raises:
        LakehouseError: the files cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "not PEM"
        raise LakehouseError(
            f"The certificate {certificate} with the key {key} cannot be used ({reason}); give two "
            "PEM files that belong together, the key without a password."
        ) from None
    return context


class Server:
    """The server, in an event loop of its own.

    Args:
        sessions: Sessions on the lake.
        users: The users by name.
        roles: The roles by name.
        tls: The server's certificate; None serves only clients on this machine.
        limits: Limits on time and connections.
    """

    def __init__(
        self,
        sessions: Sessions,
        users: Users,
        roles: Mapping[str, Access],
        tls: ssl.SSLContext | None = None,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self._source = Source(sessions, users, roles, "postgresql")
        self._users = users
        self._tls = tls
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.connections, "statement")
        self._clients: dict[int, Client] = {}
        self._tasks: dict[asyncio.Task[None], Client | None] = {}
        self._numbers = itertools.count(1)
        self._door: Door
        self._ending = False

    async def serve(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until `close`.

        Args:
            listener: The socket that listens.
            ready: Called once clients are answered.
        """
        loopback = is_loopback(listener.getsockname()[0])
        self._door = Door(
            self._users, self._tls, tls_only=not loopback, seconds=self._limits.login_seconds
        )
        self._loop, self._closed = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=listener)
        async with server:
            ready()
            await self._closed.wait()
            server.close()
            await self._end_clients()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End `serve` from another thread; running statements get a moment to finish."""
        self._loop.call_soon_threadsafe(self._closed.set)

    async def _end_clients(self) -> None:
        self._ending = True
        told: set[asyncio.Task[None]] = set()
        ends = self._loop.time() + timeouts.DRAIN_SECONDS
        while self._tasks and self._loop.time() < ends:
            for task, client in self._tasks.items():
                if task not in told and not (client and client.busy):
                    task.cancel()
                    told.add(task)
            await asyncio.wait(self._tasks, timeout=0.1)
        for client in list(self._clients.values()):
            client.stop(_LEAVING)
        for task in self._tasks.keys() - told:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; a failure ends only this one."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._tasks[task] = None
        number = 0
        try:
            _configure(writer)
            async with asyncio.timeout(self._limits.login_seconds):
                if len(self._tasks) > 2 * self._limits.connections:
                    raise _FULL
                found = await self._door.login(reader, writer)
            if isinstance(found, Cancel):
                asked = self._clients.get(found.number)
                if asked and asked.secret == found.secret:
                    asked.cancel()
                return
            if len(self._clients) >= self._limits.connections:
                raise _FULL
            number = next(self._numbers)
            client = Client(
                number, found.user, reader, writer, self._source, self._threads, self._limits,
                found.settings,
            )  # fmt: skip
            self._clients[number] = self._tasks[task] = client
            await client.serve()
        except SqlError as error:
            writer.write(m.error(error, "FATAL"))
        except asyncio.CancelledError:
            if not self._ending:
                raise
            writer.write(m.error(_LEAVING, "FATAL"))
        except _BROKEN:
            # The client left, did not speak TLS, or does not read, so no error can be sent.
            if number:
                _drop(writer)
        finally:
            if number:
                self._clients.pop(number).close()
            await _hang_up(writer)
            self._tasks.pop(task, None)


def _configure(writer: asyncio.StreamWriter) -> None:
    """Detect clients whose machine is gone, and buffer little for clients that do not read."""
    writer.transport.set_write_buffer_limits(high=_WAITING_BYTES)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _drop(writer: asyncio.StreamWriter) -> None:
    """Close a connection and discard the rows that wait for its client."""
    linger = struct.pack("ii", 1, 0)
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(1):
            await writer.wait_closed()
    except (*_BROKEN, asyncio.CancelledError):
        writer.transport.abort()


def serve(
    sessions: Sessions,
    users: Users,
    roles: Mapping[str, Access],
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    limits: Limits,
    say: Callable[[str], None],
) -> None:
    """Serve until the main thread is interrupted; running statements get a moment to finish.

    Args:
        sessions: Sessions on the lake.
        users: The users by name.
        roles: The roles by name.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        tls: The server's certificate; needed for an address that other machines reach.
        limits: Limits on time and connections.
        say: Prints a message.

    Raises:
        LakehouseError: the port is taken, or the address needs a certificate.
        KeyboardInterrupt: the process was asked to end.
    """
    listener = listen(host, port)
    address, number = listener.getsockname()[:2]
    if tls is None:
        require_loopback(listener)
    server = Server(sessions, users, roles, tls, limits)
    began, ended = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(server.serve(listener, began.set))
        except BaseException as error:  # noqa: BLE001  # the main thread raises it
            failed.append(error)
        finally:
            began.set()
            ended.set()

    serving = threading.Thread(target=run, name="sql", daemon=True)
    serving.start()
    began.wait()
    say(
        f"The lake answers at {shown(listener)}; try: "
        f'psql "host={address} port={number} dbname={DATABASE} user={next(iter(users))}"'
    )
    try:
        ended.wait()
    finally:
        with contextlib.suppress(RuntimeError):
            server.close()
        sessions_end = timeouts.DRAIN_SECONDS + 1
        serving.join(sessions_end)
    raise LakehouseError("The server stopped unexpectedly; start it again.") from next(
        iter(failed), None
    )
