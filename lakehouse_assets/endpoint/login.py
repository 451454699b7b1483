"""Logs clients in: TLS, user name and password."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lakehouse_assets.endpoint import messages as m
from lakehouse_assets.endpoint.scram import MECHANISM, Exchange
from lakehouse_assets.endpoint.settings import SessionSettings
from lakehouse_assets.endpoint.sqlstate import SqlError
from lakehouse_assets.endpoint.system_tables import DATABASE

if TYPE_CHECKING:
    from lakehouse_assets.query.users import User, Users

_SASL, _SASL_CONTINUE, _SASL_FINAL = 10, 11, 12
_LONGEST_PASSWORD_MESSAGE: Final = 10_000
# Most failed logins within this time: of one user from one address, and from one address.
_WHILE_SECONDS: Final = 60.0
_MOST_OF_USER, _MOST_OF_ADDRESS = 5, 20
_MOST_KNOWN: Final = 10_000


class FailedLogins:
    """Counts failed logins and limits them, so that passwords cannot be guessed."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, ...], deque[float]] = {}

    def check(self, address: str, user: str) -> None:
        """Check that a user may try to log in from an address.

        Raises:
            SqlError: too many logins have failed.
        """
        now = time.monotonic()
        for key, most in (((address, user), _MOST_OF_USER), ((address,), _MOST_OF_ADDRESS)):
            times = self._times.get(key, deque())
            while times and now - times[0] > _WHILE_SECONDS:
                times.popleft()
            if len(times) >= most:
                raise SqlError("28P01", f"Too many logins failed; wait {_WHILE_SECONDS:g} seconds.")

    def add(self, address: str, user: str) -> None:
        """Count a failed login."""
        now = time.monotonic()
        if len(self._times) > _MOST_KNOWN:
            old = [key for key, of in self._times.items() if now - of[-1] > _WHILE_SECONDS]
            for key in old or list(self._times)[:1]:
                del self._times[key]
        for key in ((address, user), (address,)):
            self._times.setdefault(key, deque(maxlen=_MOST_OF_ADDRESS)).append(now)


@dataclass(frozen=True)
class LoggedIn:
    """A user whose password is right, and the session settings that the client asks for."""

    user: User
    settings: SessionSettings


@dataclass(frozen=True)
class Cancel:
    """A request to stop the statement of another connection."""

    number: int
    secret: int


@dataclass
class Door:
    """Logs clients in.

    Attributes:
        users: The users by name.
        tls: The server's certificate; None for connections without TLS only.
        tls_only: Whether clients without TLS are refused.
        seconds: How long a TLS handshake may take.
        failed: The logins that have failed.
    """

    users: Users
    tls: ssl.SSLContext | None
    tls_only: bool
    seconds: float
    failed: FailedLogins = field(default_factory=FailedLogins)

    async def login(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> LoggedIn | Cancel:
        """Log a client in.

        Raises:
            SqlError: the login is refused.
            OSError: the connection is lost.
        """
        secure = False
        while True:
            code, body = await m.read_startup(reader)
            if code == m.CANCEL_REQUEST:
                return Cancel(body.int32(), body.int32() & 0xFFFFFFFF)
            if code == m.SSL_REQUEST and self.tls and not secure:
                await _nothing_more(reader)
                writer.write(b"S")
                await writer.start_tls(self.tls, ssl_handshake_timeout=self.seconds)
                secure = True
            elif code in {m.SSL_REQUEST, m.GSS_REQUEST}:
                writer.write(b"N")
                await writer.drain()
            else:
                break
        if code >> 16 != 3:
            raise SqlError("0A000", "Only version 3 of PostgreSQL's protocol is supported.")
        if self.tls_only and not secure:
            raise SqlError("28000", "This server requires TLS; connect with sslmode=require.")
        given = _startup_settings(body)
        options = [name for name in given if name.startswith("_pq_.")]
        if code != m.PROTOCOL_3 or options:
            writer.write(m.negotiate(options))
        user = await self._authenticated(reader, writer, given.get("user", ""))
        database = given.get("database") or given.get("user", "")
        if database != DATABASE:
            raise SqlError(
                "3D000", f"There is no database {database}; connect to the database {DATABASE}."
            )
        names = {"application_name", "extra_float_digits", "statement_timeout"}
        settings = {name: value for name, value in given.items() if name in names}
        settings["ssl"] = "on" if secure else "off"
        return LoggedIn(user, SessionSettings(session_authorization=user.name, **settings))

    async def _authenticated(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> User:
        address = str(writer.get_extra_info("peername")[0])
        self.failed.check(address, name)
        user = self.users.get(name)
        exchange = Exchange(user.verifier if user else self.users.unknown(name))
        writer.write(m.authentication(_SASL, m.text(MECHANISM) + b"\0"))
        await writer.drain()
        first = await _sasl_message(reader)
        if first.text() != MECHANISM:
            raise SqlError("28000", f"This server accepts only {MECHANISM}.")
        writer.write(m.authentication(_SASL_CONTINUE, exchange.first(first.take(first.int32()))))
        await writer.drain()
        proof = exchange.final((await _sasl_message(reader)).rest())
        if proof is None or user is None:
            self.failed.add(address, name)
            raise SqlError("28P01", "The user name or password is wrong.")
        writer.write(m.authentication(_SASL_FINAL, proof) + m.authentication(0))
        return user


async def _sasl_message(reader: asyncio.StreamReader) -> m.Reader:
    kind, body = await m.read_message(reader, _LONGEST_PASSWORD_MESSAGE)
    if kind != b"p":
        raise SqlError("08P01", f"The login does not follow {MECHANISM}.")
    return body


async def _nothing_more(reader: asyncio.StreamReader) -> None:
    """Refuse data sent unencrypted after the request for TLS: it would count as sent over TLS."""
    try:
        async with asyncio.timeout(0):
            await reader.readexactly(1)
    except TimeoutError:
        return
    raise SqlError("08P01", "The client sent unencrypted data after its request for TLS.")


def _startup_settings(body: m.Reader) -> dict[str, str]:
    given: dict[str, str] = {}
    while name := body.text():
        given[name] = body.text()
    return given
