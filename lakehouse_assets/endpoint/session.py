"""One client's session: reads its messages, runs its statements, sends the answers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from lakehouse_assets import timeouts
from lakehouse_assets.endpoint import messages as m
from lakehouse_assets.endpoint.commands import Command, command_of, statements_of
from lakehouse_assets.endpoint.parameters import count_of, literal, null, with_literals
from lakehouse_assets.endpoint.results import CopyForm, Form, Rows, formats_of
from lakehouse_assets.endpoint.settings import REPORTED, SessionSettings, spelling
from lakehouse_assets.endpoint.sqlstate import SqlError, with_sqlstate
from lakehouse_assets.endpoint.system_tables import DATABASE, SERVER_VERSION
from lakehouse_assets.endpoint.values import data_rows
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse_assets.endpoint.sources import Source
    from lakehouse_assets.endpoint.system_queries import Facts
    from lakehouse_assets.query.users import User

_Result = TypeVar("_Result")
# Bytes of prepared statements that a session keeps.
_MOST_PREPARED: Final = 16 << 20
# How often a running statement checks that its client is still connected.
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Limits:
    """Limits on time and connections.

    Attributes:
        statement_seconds: Time to compute and send the rows of one message of a client.
        idle_seconds: Time without a statement.
        write_seconds: Time in which a client does not read its rows.
        login_seconds: Time to connect and log in.
        connections: Number of clients at a time.
    """

    statement_seconds: float = timeouts.STATEMENT_SECONDS
    idle_seconds: float = 8 * 3600.0
    write_seconds: float = 60.0
    login_seconds: float = 10.0
    connections: int = 100


@dataclass
class _Prepared:
    """A prepared statement: its text, and the types of its parameters."""

    text: str
    oids: list[int]


@dataclass
class _Portal:
    """A statement with its parameters, whose rows may be fetched in parts.

    Attributes:
        command: The statement.
        given: Formats of the columns, as the client named them.
        rows: Its rows, once it runs.
        holds: Whether it outlives its transaction.
    """

    command: Command
    given: Sequence[int] = ()
    rows: Rows | None = None
    holds: bool = False


@dataclass(eq=False)
class Client:
    """One connected client after its login.

    Attributes:
        number: Number of the connection.
        secret: Number that only the client knows; with `number`, it cancels statements.
        busy: Whether a statement is running.
    """

    number: int
    _user: User
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _source: Source
    _threads: Executor
    _limits: Limits
    _settings: SessionSettings
    secret: int = field(default_factory=lambda: secrets.randbits(32), repr=False)
    busy: bool = False
    _status: str = "I"
    _prepared: dict[str, _Prepared] = field(default_factory=dict)
    _portals: dict[str, _Portal] = field(default_factory=dict)
    _stop_running: Callable[[], None] | None = None
    _stopped: SqlError | None = None

    async def serve(self) -> None:
        """Answer the client until it leaves.

        Raises:
            SqlError: the client violates the protocol or was idle for too long.
            OSError: the connection is lost.
        """
        for name in REPORTED:
            self._send(m.parameter_status(spelling(name), self._settings[name]))
        self._send(m.backend_key(self.number, self.secret), m.ready("I"))
        await self._drain()
        skipping = False
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    kind, body = await m.read_message(self._reader)
            except TimeoutError:
                raise SqlError(
                    "57P05", "The session was idle for too long; connect again."
                ) from None
            if kind == b"X":
                return
            if kind == b"S":
                skipping = False
                self._end_implicit()
                self._send(m.ready(self._status))
                await self._drain()
                continue
            if skipping:
                continue
            self.busy = True
            try:
                await self._answer(kind, body)
            except (OSError, EOFError):
                raise
            except Exception as error:  # noqa: BLE001  # one statement must not end the session
                self._fail(error)
                skipping = kind != b"Q"
            finally:
                self.busy = False
            if kind == b"Q":
                self._end_implicit()
                self._send(m.ready(self._status))
                await self._drain()

    def stop(self, reason: SqlError) -> None:
        """Stop the running statement, if there is one."""
        if self.busy:
            self._stopped = reason
            if self._stop_running:
                self._stop_running()

    def cancel(self) -> None:
        """Stop the running statement because the client asks for it."""
        self.stop(SqlError("57014", "The statement was cancelled."))

    def close(self) -> None:
        """Free what the session holds."""
        for portal in self._portals.values():
            if portal.rows:
                portal.rows.stop()

    async def _answer(self, kind: bytes, body: m.Reader) -> None:
        if kind == b"Q":
            await self._query(body.text())
        elif kind == b"P":
            self._parse(body)
        elif kind == b"B":
            self._bind(body)
        elif kind == b"D":
            await self._describe(body.take(1), body.text())
        elif kind == b"E":
            await self._run(self._portal(body.text()), body.int32() or None)
        elif kind == b"C":
            held: dict[str, object] = self._prepared if body.take(1) == b"S" else self._portals  # type: ignore[assignment]
            held.pop(body.text(), None)
            self._send(m.CLOSE_COMPLETE)
        elif kind == b"H":
            await self._drain()
        elif kind not in {b"d", b"c", b"f"}:
            raise SqlError("0A000", "The client sent a message of an unsupported kind.")

    async def _query(self, text: str) -> None:
        statements = statements_of(text)
        if not statements:
            self._send(m.EMPTY_QUERY)
        for statement in statements:
            portal = _Portal(command_of(statement))
            fields = await self._fields(portal)
            if fields is not None and portal.command.kind != "copy":
                self._send(m.row_description(fields, [0] * len(fields)))
            await self._run(portal, None)

    def _parse(self, body: m.Reader) -> None:
        name, text = body.text(), body.text()
        oids = [body.int32() & 0xFFFFFFFF for _ in range(body.int16())]
        statements = statements_of(text)
        if len(statements) > 1:
            raise SqlError(
                "42601", "Several statements cannot be prepared as one; prepare them one by one."
            )
        one = statements[0] if statements else ""
        oids += [0] * (count_of(one) - len(oids))
        if name and name in self._prepared:
            raise SqlError("42P05", f"A prepared statement {name} exists already.")
        held = sum(len(prepared.text) for prepared in self._prepared.values())
        if held + len(one) > _MOST_PREPARED:
            raise SqlError("53400", "The session has too many prepared statements; close some.")
        self._prepared[name] = _Prepared(one, oids)
        self._send(m.PARSE_COMPLETE)

    def _bind(self, body: m.Reader) -> None:
        name, statement = body.text(), body.text()
        prepared = self._statement(statement)
        formats = body.int16s()
        values: list[bytes | None] = []
        for _ in range(body.int16()):
            length = body.int32()
            values.append(None if length < 0 else body.take(length))
        if len(values) != len(prepared.oids):
            raise SqlError(
                "08P01",
                f"The statement takes {len(prepared.oids)} parameters, but {len(values)} values "
                "were given.",
            )
        forms = formats_of(formats, len(values))
        literals = [
            literal(value, oid, form == 1)
            for value, oid, form in zip(values, prepared.oids, forms, strict=True)
        ]
        text = with_literals(prepared.text, literals) if literals else prepared.text
        if name and name in self._portals:
            raise SqlError("42P03", f"A cursor {name} exists already.")
        self._portals[name] = _Portal(command_of(text), body.int16s())
        self._send(m.BIND_COMPLETE)

    async def _describe(self, kind: bytes, name: str) -> None:
        if kind == b"P":
            portal = self._portal(name)
            fields, given = await self._fields(portal), portal.given
        else:
            prepared = self._statement(name)
            self._send(m.parameter_description([oid or 25 for oid in prepared.oids]))
            nulls = [null(oid) for oid in prepared.oids]
            text = with_literals(prepared.text, nulls) if nulls else prepared.text
            fields, given = await self._fields(_Portal(command_of(text)), only_describe=True), ()
        if fields is None:
            self._send(m.NO_DATA)
        else:
            self._send(m.row_description(fields, formats_of(given, len(fields))))

    def _statement(self, name: str) -> _Prepared:
        try:
            return self._prepared[name]
        except KeyError:
            raise SqlError("26000", f"There is no prepared statement {name!r}.") from None

    def _portal(self, name: str) -> _Portal:
        try:
            return self._portals[name]
        except KeyError:
            raise SqlError("34000", f"There is no cursor {name!r}.") from None

    async def _fields(
        self, portal: _Portal, *, only_describe: bool = False
    ) -> list[m.Field] | None:
        """Start a statement and return its columns; None if it returns no rows."""
        command = portal.command
        if command.kind == "fetch":
            return await self._fields(self._portal(command.name))
        if command.kind not in {"query", "show", "copy"}:
            return None
        self._check_transaction()
        if only_describe and command.kind != "show":
            schema = await self._in_thread(
                lambda: self._source.describe(command.text, self._user, self._facts())
            )
            return Rows(schema, iter(()), lambda: None).fields
        return (await self._started(portal)).fields

    async def _started(self, portal: _Portal) -> Rows:
        text = portal.command.text
        if portal.rows is None and portal.command.kind == "show":
            portal.rows = Rows.of(self._shown(portal.command.name))
        elif portal.rows is None:
            portal.rows = await self._in_thread(
                lambda: self._source.run(text, self._user, self._facts(), self._runs)
            )
        return portal.rows

    def _runs(self, stop: Callable[[], None]) -> None:
        """Keep the function that stops the statement, unless it was stopped before it started."""
        self._stop_running = stop
        if self._stopped:
            raise self._stopped

    async def _run(self, portal: _Portal, most: int | None) -> None:
        """Run a statement, or send the next part of its rows, and confirm its completion."""
        command = portal.command
        if command.kind not in {"commit", "rollback", "rollback_to"}:
            self._check_transaction()
        if command.kind in {"query", "show"}:
            rows = await self._started(portal)
            sent = await self._send_rows(rows, self._form(portal, rows), most)
            if most is not None and sent == most:
                self._send(m.PORTAL_SUSPENDED)
            else:
                self._send(m.complete(f"SELECT {sent}" if command.kind == "query" else "SHOW"))
        elif command.kind in {"fetch", "move"}:
            cursor = self._portal(command.name)
            rows = await self._started(cursor)
            form = self._form(portal, rows) if command.kind == "fetch" else None
            sent = await self._send_rows(rows, form, command.rows)
            self._send(m.complete(f"{command.kind.upper()} {sent}"))
        elif command.kind == "copy":
            await self._copy(portal)
        elif command.kind == "empty":
            self._send(m.EMPTY_QUERY)
        else:
            self._settle(command)
            self._send(m.complete(command.tag or command.kind.upper()))

    def _form(self, portal: _Portal, rows: Rows) -> Form:
        return partial(data_rows, formats=formats_of(portal.given, len(rows.schema)))

    async def _copy(self, portal: _Portal) -> None:
        form = CopyForm(portal.command)
        rows = await self._started(portal)
        self._send(m.copy_out(len(rows.schema)))
        if form.header:
            self._send(form.head(rows.schema.names))
        sent = await self._send_rows(rows, form, None)
        self._send(m.COPY_DONE, m.complete(f"COPY {sent}"))

    async def _send_rows(self, rows: Rows, form: Form | None, most: int | None) -> int:
        """Send rows as they are computed, no faster than the client reads; return how many."""
        sent = 0

        def part() -> tuple[int, memoryview] | None:
            batch = rows.part(None if most is None else most - sent)
            return (
                None
                if batch is None
                else (batch.num_rows, form(batch) if form else memoryview(b""))
            )

        while most is None or sent < most:
            found = await self._in_thread(part, rows)
            if found is None:
                break
            sent += found[0]
            self._send(found[1])
            await self._drain()
        return sent

    async def _in_thread(self, work: Callable[[], _Result], rows: Rows | None = None) -> _Result:
        """Run part of a statement in a thread; a timeout or a lost client stops it."""
        seconds = min(
            self._limits.statement_seconds,
            self._settings.statement_seconds or self._limits.statement_seconds,
        )
        loop = asyncio.get_running_loop()
        self._stop_running, self._stopped = rows.stop if rows else None, None
        ends = loop.time() + seconds
        task = loop.run_in_executor(self._threads, work)
        try:
            while not task.done():
                await asyncio.wait(
                    {task}, timeout=min(_LOOK_SECONDS, max(ends - loop.time(), 0.01))
                )
                if task.done():
                    break
                if loop.time() >= ends:
                    sentence = f"The statement took longer than {seconds:g} seconds."
                    self.stop(SqlError("57014", sentence))
                elif self._reader.at_eof() or self._writer.is_closing():
                    self.stop(SqlError("08006", "The client has disconnected."))
            return task.result()
        except LakehouseError:
            if self._stopped:
                raise self._stopped from None
            raise
        finally:
            self._stop_running = None

    def _settle(self, command: Command) -> None:
        """Carry out a statement about the session."""
        kind, name = command.kind, command.name
        if kind == "set":
            self._settings.set(name, command.value)
            if name in REPORTED:
                self._send(m.parameter_status(spelling(name), self._settings[name]))
        elif kind == "reset":
            self._settings.reset(name)
        elif kind == "begin":
            self._status = "T"
        elif kind in {"commit", "rollback"}:
            self._status = "I"
            self._close_portals()
        elif kind == "rollback_to":
            self._status = "T"
        elif kind == "discard":
            self._settings.reset()
            self._prepared.clear()
            self._close_portals(every=True)
        elif kind == "deallocate":
            if name:
                self._statement(name)
                del self._prepared[name]
            else:
                self._prepared.clear()
        elif kind == "declare":
            if name in self._portals:
                raise SqlError("42P03", f"A cursor {name} exists already.")
            if self._status == "I" and not command.holds:
                raise SqlError(
                    "25P01", "A cursor needs a transaction: BEGIN one, or declare it WITH HOLD."
                )
            query = Command("query", command.text)
            self._portals[name] = _Portal(query, holds=command.holds)
        elif kind == "close":
            if name:
                self._portal(name)
                del self._portals[name]
            else:
                self._close_portals(every=True)

    def _close_portals(self, *, every: bool = False) -> None:
        for name, portal in list(self._portals.items()):
            if every or not portal.holds:
                if portal.rows:
                    portal.rows.stop()
                del self._portals[name]

    def _end_implicit(self) -> None:
        """End the transaction of a message without BEGIN, and with it its portals."""
        if self._status == "I":
            self._close_portals()

    def _check_transaction(self) -> None:
        if self._status == "E":
            raise SqlError("25P02", "The transaction has failed; end it with ROLLBACK.")

    def _shown(self, name: str) -> dict[str, list[str]]:
        settings = self._settings.all() | {"search_path": self._search_path()}
        if not name:
            return {"name": [*settings], "setting": [*settings.values()]}
        self._settings[name]
        shown = spelling(name.lower())
        return {name: [settings[shown]]}

    def _search_path(self) -> str:
        return ", ".join(self._source.system(self._user).schemas)

    def _facts(self) -> Facts:
        """Return the functions about the session, such as `current_user`, by name."""

        def setting(name: str, missing: object = None) -> str | None:
            if name.lower() == "search_path":
                return self._search_path()
            return self._settings[name] if missing is None else self._settings.get(name)

        def change(name: str, value: str, local: object = None) -> str:
            self._settings.set(name, value)
            return value

        def first_schema() -> str | None:
            return next(iter(self._source.system(self._user).schemas), None)

        return {
            "current_setting": setting,
            "set_config": change,
            "current_schema": first_schema,
            "current_schemas": lambda *_: ["pg_catalog", *self._source.system(self._user).schemas],
            "version": lambda: f"PostgreSQL {SERVER_VERSION} (lakehouse_assets on DuckDB)",
            "pg_backend_pid": lambda: self.number,
            **dict.fromkeys(("current_database", "current_catalog"), lambda: DATABASE),
            **dict.fromkeys(("current_user", "session_user", "user"), lambda: self._user.name),
            **dict.fromkeys(("inet_server_addr", "inet_client_addr"), lambda: None),
        }

    def _fail(self, error: Exception) -> None:
        self._send(m.error(with_sqlstate(error)))
        if self._status == "T":
            self._status = "E"

    def _send(self, *parts: bytes | memoryview) -> None:
        for part in parts:
            self._writer.write(part)

    async def _drain(self) -> None:
        """Wait until the client has read enough of what was sent.

        Raises:
            TimeoutError: it does not read.
        """
        async with asyncio.timeout(self._limits.write_seconds):
            await self._writer.drain()
