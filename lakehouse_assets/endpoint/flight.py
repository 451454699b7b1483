"""An Arrow Flight SQL server over the lake, for bulk reads by ADBC and JDBC clients."""

from __future__ import annotations

import base64
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import flight

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.endpoint import protobuf as p
from lakehouse_assets.endpoint.login import FailedLogins
from lakehouse_assets.endpoint.sources import Source
from lakehouse_assets.endpoint.sqlstate import SqlError
from lakehouse_assets.endpoint.system_tables import DATABASE
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.schema import arrow_type
from lakehouse_assets.listening import listen, require_loopback

if TYPE_CHECKING:
    from lakehouse_assets.query.session import Sessions
    from lakehouse_assets.query.users import User, Users

_BATCH_ROWS = 131_072
_MOST_PREPARED, _MOST_TOKENS = 1_000, 10_000
_ACTIONS = {
    "CreatePreparedStatement": "Prepares a statement.",
    "ClosePreparedStatement": "Closes a prepared statement.",
}
_TEXT, _NUMBER = pa.string(), pa.int32()
# Columns of metadata that are no texts.
_KINDS = {"key_sequence": _NUMBER, "update_rule": pa.uint8(), "delete_rule": pa.uint8()}
_FOREIGN_KEYS = """
    SELECT 'lake', pn.nspname, pt.relname, pa.attname, 'lake', c.nspname, c.relname, fa.attname,
        c.position, NULL::VARCHAR, NULL::VARCHAR, 3, 3
    FROM own_constraints c JOIN pg_class pt ON pt.oid = c.confrelid
        JOIN pg_namespace pn ON pn.oid = pt.relnamespace
        JOIN pg_attribute pa ON pa.attrelid = c.confrelid AND pa.attnum = c.to_attnum
        JOIN pg_attribute fa ON fa.attrelid = c.conrelid AND fa.attnum = c.attnum
    WHERE c.contype = 'f' AND {of}.relname = $name
        AND {schema}.nspname = coalesce($schema, {schema}.nspname)
    ORDER BY ALL
"""
_KEY_COLUMNS = (
    "pk_catalog_name? pk_db_schema_name? pk_table_name pk_column_name "
    "fk_catalog_name? fk_db_schema_name? fk_table_name fk_column_name "
    "key_sequence fk_key_name? pk_key_name? update_rule delete_rule"
)
# Commands about tables: columns of the answer (`?` if they may be null), and a query on the system
# tables with the filters of the command.
_METADATA = {
    "CommandGetCatalogs": ("catalog_name", "SELECT 'lake'"),
    "CommandGetDbSchemas": (
        "catalog_name? db_schema_name",
        """SELECT DISTINCT 'lake', nspname FROM own_columns
        WHERE nspname LIKE coalesce($schema, '%') ORDER BY ALL""",
    ),
    "CommandGetTables": (
        "catalog_name? db_schema_name? table_name table_type",
        """SELECT DISTINCT 'lake', nspname, relname,
            CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind FROM own_columns
        WHERE nspname LIKE coalesce($schema, '%') AND relname LIKE coalesce($name, '%')
            AND (len($kinds) = 0 OR list_contains($kinds, kind)) ORDER BY ALL""",
    ),
    "CommandGetTableTypes": ("table_type", "VALUES ('TABLE'), ('VIEW')"),
    "CommandGetPrimaryKeys": (
        "catalog_name? db_schema_name? table_name column_name key_sequence key_name?",
        """SELECT 'lake', nspname, relname, attname, position, NULL::VARCHAR
        FROM own_constraints c JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = c.attnum
        WHERE contype = 'p' AND relname = $name AND nspname = coalesce($schema, nspname)
        ORDER BY ALL""",
    ),
    "CommandGetImportedKeys": (_KEY_COLUMNS, _FOREIGN_KEYS.format(of="c", schema="c")),
    "CommandGetExportedKeys": (_KEY_COLUMNS, _FOREIGN_KEYS.format(of="pt", schema="pn")),
}
_INFO_VALUES = pa.dense_union(
    [
        pa.field("string_value", _TEXT), pa.field("bool_value", pa.bool_()),
        pa.field("bigint_value", pa.int64()), pa.field("int32_bitmask", _NUMBER),
        pa.field("string_list", pa.list_(_TEXT)),
        pa.field("int32_to_int32_list_map", pa.map_(_NUMBER, pa.list_(_NUMBER))),
    ]
)  # fmt: skip
_INFO = pa.schema(
    [pa.field("info_name", pa.uint32(), nullable=False),
     pa.field("value", _INFO_VALUES, nullable=False)]
)  # fmt: skip
# Name, version, version of Arrow, read-only, takes SQL, takes Substrait.
_FACTS: Mapping[int, str | bool] = {
    0: DATABASE, 1: "1", 2: pa.__version__, 3: True, 4: True, 5: False,
}  # fmt: skip


@dataclass
class _Prepared:
    """A prepared statement with its parameters: one row of values for each execution."""

    text: str
    user: str
    rows: Sequence[Sequence[Any]] = ((),)


@dataclass(frozen=True)
class _Login:
    """A user name and a password that are not checked yet."""

    name: str
    password: str = field(repr=False)


class _Logins(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Checks user names and passwords, and issues tokens for the calls that follow.

    pyarrow does not tell the address of a client that logs in. When logins of a user fail too
    often, the next ones are therefore checked at their first call, where the address is known:
    nobody can lock out a user from another address.
    """

    def __init__(self, users: Users) -> None:
        super().__init__()
        self._users = users
        self._failed = FailedLogins()
        self._tokens: OrderedDict[str, User | _Login] = OrderedDict()
        self._lock = threading.Lock()

    def start_call(self, info: object, headers: Mapping[str, Sequence[str]]) -> _Call:
        """Authenticate a call.

        Raises:
            FlightUnauthenticatedError: the password or the token is wrong.
        """
        given = next(iter(headers.get("authorization", ())), "")
        kind, _, value = given.partition(" ")
        if kind.lower() == "bearer":
            if value not in self._tokens:
                raise flight.FlightUnauthenticatedError("The token is unknown; log in again.")
            return _Call(self, value, new=False)
        if kind.lower() != "basic":
            raise flight.FlightUnauthenticatedError("Log in with a user name and a password.")
        login = _login_of(value)
        user = login if self._has_failed("", login.name) else self._checked("", login)
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[token] = user
            while len(self._tokens) > _MOST_TOKENS:
                self._tokens.popitem(last=False)
        return _Call(self, token, new=True)

    def user_of(self, token: str, peer: str) -> User:
        """Return the user of a token.

        Args:
            token: The token.
            peer: The client, such as `ipv4:127.0.0.1:53412`.

        Raises:
            FlightUnauthenticatedError: the password is wrong, or too many logins from the address
                have failed.
        """
        found = self._tokens.get(token)
        if found is None:
            raise flight.FlightUnauthenticatedError("The token is unknown; log in again.")
        if isinstance(found, _Login):
            self._tokens.pop(token, None)
            address = peer.rpartition(":")[0]
            refusal = self._has_failed(address, found.name)
            if refusal:
                raise flight.FlightUnauthenticatedError(refusal)
            found = self._tokens[token] = self._checked(address, found)
        return found

    def _has_failed(self, address: str, name: str) -> str:
        """Return why a user may not log in from an address now; empty if they may."""
        with self._lock:
            try:
                self._failed.check(address, name)
            except SqlError as error:
                return str(error)
        return ""

    def _checked(self, address: str, login: _Login) -> User:
        user = self._users.get(login.name)
        verifier = user.verifier if user else self._users.unknown(login.name)
        right = verifier.accepts(login.password)
        if user is None or not right:
            with self._lock:
                self._failed.add(address, login.name)
            raise flight.FlightUnauthenticatedError("The user name or password is wrong.")
        return user


def _login_of(encoded: str) -> _Login:
    # Clients in Go leave the padding out.
    padded = encoded + "=" * (-len(encoded) % 4)
    try:
        name, _, password = base64.b64decode(padded, validate=True).decode().partition(":")
    except ValueError:
        raise flight.FlightUnauthenticatedError(
            "The login cannot be read; send a user name and a password."
        ) from None
    return _Login(name, password)


class _Call(flight.ServerMiddleware):  # type: ignore[misc]
    """A call with a token."""

    def __init__(self, logins: _Logins, token: str, *, new: bool) -> None:
        super().__init__()
        self._logins, self._token, self._new = logins, token, new

    def user(self, peer: str) -> User:
        """Return the user who calls."""
        return self._logins.user_of(self._token, peer)

    def sending_headers(self) -> dict[str, str]:
        """Send the client its new token."""
        return {"authorization": f"Bearer {self._token}"} if self._new else {}


class _Handshake(flight.ServerAuthHandler):  # type: ignore[misc]
    """The handshake, which `_Logins` has completed already."""

    def authenticate(self, outgoing: object, incoming: object) -> None:
        """Accept, because `_Logins` has authenticated the user."""

    def is_valid(self, token: object) -> bytes:
        """Accept, because `_Logins` has authenticated the call."""
        return b""


class FlightSql(flight.FlightServerBase):  # type: ignore[misc]
    """Serves the lake over Arrow Flight SQL; each statement is limited to its user's role.

    Args:
        location: Address, as `grpc://host:port` or `grpc+tls://host:port`.
        sessions: Sessions on the lake.
        users: The users by name.
        roles: The roles by name.
        certificate: Certificate and key for TLS, in PEM.
    """

    def __init__(
        self,
        location: str,
        sessions: Sessions,
        users: Users,
        roles: Mapping[str, Access],
        certificate: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._source = Source(sessions, users, roles, "flight")
        self._prepared: OrderedDict[bytes, _Prepared] = OrderedDict()
        self._lock = threading.Lock()
        super().__init__(
            location,
            auth_handler=_Handshake(),
            tls_certificates=[certificate] if certificate else None,
            middleware={"logins": _Logins(users)},
        )

    def get_flight_info(
        self, context: Any, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        """Return the columns of a command's rows, and a ticket for the rows."""
        name, fields = _unpacked(descriptor.command)
        asked = self._asked(context, name, fields)
        if asked:
            schema = self._described(context, asked.text, asked.rows[0] or None)
        else:
            schema = self._metadata(context, name, fields).schema
        # The command is the ticket.
        endpoint = flight.FlightEndpoint(descriptor.command, [])
        return flight.FlightInfo(schema, descriptor, [endpoint], -1, -1)

    def get_schema(self, context: Any, descriptor: flight.FlightDescriptor) -> flight.SchemaResult:
        """Return the columns of a command's rows."""
        return flight.SchemaResult(self.get_flight_info(context, descriptor).schema)

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.FlightDataStream:
        """Send the rows of a command."""
        name, fields = _unpacked(ticket.ticket)
        asked = self._asked(context, name, fields)
        if asked:
            return self._rows(context, asked.text, asked.rows)
        return flight.RecordBatchStream(self._metadata(context, name, fields))

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Take the parameters of a prepared statement."""
        name, fields = _unpacked(descriptor.command)
        if name != "CommandPreparedStatementQuery":
            raise flight.FlightUnauthorizedError("This endpoint is read-only.")
        prepared = self._statement(context, p.binary(fields, 1))
        given = reader.read_all()
        columns = [column.to_pylist() for column in given.columns]
        prepared.rows = list(zip(*columns, strict=True)) or ((),)

    def list_actions(self, context: Any) -> list[tuple[str, str]]:
        """List the actions of `do_action`."""
        return list(_ACTIONS.items())

    def do_action(self, context: Any, action: flight.Action) -> Iterator[bytes]:
        """Prepare a statement, or close a prepared one."""
        _, fields = _unpacked(action.body.to_pybytes())
        user = _user(context)
        if action.type == "CreatePreparedStatement":
            text = p.text(fields, 1) or ""
            schema = self._described(context, text, None)
            handle = secrets.token_hex(16).encode()
            with self._lock:
                self._prepared[handle] = _Prepared(text, user.name)
                while len(self._prepared) > _MOST_PREPARED:
                    self._prepared.popitem(last=False)
            return iter([p.prepared_result(handle, schema.serialize().to_pybytes())])
        if action.type == "ClosePreparedStatement":
            handle = p.binary(fields, 1)
            self._statement(context, handle)
            with self._lock:
                self._prepared.pop(handle, None)
            return iter([])
        raise flight.FlightServerError(f"The action {action.type} is not supported.")

    def _asked(self, context: Any, name: str, fields: p.Fields) -> _Prepared | None:
        """Return the statement of a command; None if the command has none."""
        if name == "CommandStatementQuery":
            return _Prepared(p.text(fields, 1) or "", _user(context).name)
        if name == "CommandPreparedStatementQuery":
            return self._statement(context, p.binary(fields, 1))
        return None

    def _statement(self, context: Any, handle: bytes) -> _Prepared:
        prepared = self._prepared.get(handle)
        if prepared is None or prepared.user != _user(context).name:
            raise flight.FlightServerError(
                "The prepared statement does not exist; prepare it again."
            )
        return prepared

    def _described(self, context: Any, text: str, parameters: Sequence[Any] | None) -> pa.Schema:
        with _one_sentence():
            return self._source.open(_user(context)).describe(text, parameters)

    def _rows(
        self, context: Any, text: str, parameters: Sequence[Sequence[Any]]
    ) -> flight.FlightDataStream:
        """Run a statement for each row of parameters."""
        session = self._source.open(_user(context))

        def run(values: Sequence[Any]) -> pa.RecordBatchReader:
            return session.run(text, values, _BATCH_ROWS).rows

        with _one_sentence():
            first = run(parameters[0])

        def batches() -> Iterator[pa.RecordBatch]:
            with _one_sentence():
                yield from first
                for values in parameters[1:]:
                    yield from run(values)

        return flight.GeneratorStream(first.schema, batches())

    def _metadata(self, context: Any, name: str, fields: p.Fields) -> pa.Table:
        """Answer a command about the server, its tables or their keys."""
        if name == "CommandGetSqlInfo":
            return _info({int(n) for n in fields.get(1, []) if isinstance(n, int)})
        if name not in _METADATA:
            raise flight.FlightServerError(f"The command {name} is not supported.")
        columns, query = _METADATA[name]
        kinds = [kind.decode() for kind in fields.get(4, []) if isinstance(kind, bytes)]
        filters = {"schema": p.text(fields, 2), "name": p.text(fields, 3), "kinds": kinds}
        given = {name: value for name, value in filters.items() if f"${name}" in query}
        with _one_sentence():
            system = self._source.system(_user(context))
            rows = system.query().run(query, given).read_all()
        found = rows.rename_columns(_schema(columns).names).cast(_schema(columns))
        if name == "CommandGetTables" and fields.get(5, [0])[-1]:
            columns_of = {(r.schema, r.name): r.columns for r in system.relations}
            schemas = [
                pa.schema([_column(c) for c in columns_of[key]]).serialize().to_pybytes()
                for key in zip(found[1].to_pylist(), found[2].to_pylist(), strict=True)
            ]
            kind = pa.field("table_schema", pa.binary(), nullable=False)
            found = found.append_column(kind, pa.array(schemas, pa.binary()))
        return found


def _schema(columns: str) -> pa.Schema:
    named = [(name.removesuffix("?"), name.endswith("?")) for name in columns.split()]
    return pa.schema([pa.field(n, _KINDS.get(n, _TEXT), nullable=null) for n, null in named])


def _column(column: Any) -> pa.Field:
    about = {"ARROW:FLIGHT:SQL:REMARKS": column.description} if column.description else None
    return pa.field(column.name, arrow_type(column), column.nullable, about)


def _info(wanted: set[int]) -> pa.Table:
    """Return facts about the server: all of them, or those with the given numbers."""
    facts = {n: value for n, value in _FACTS.items() if not wanted or n in wanted}
    texts = [value for value in facts.values() if isinstance(value, str)]
    truths = [value for value in facts.values() if not isinstance(value, str)]
    kinds = [int(not isinstance(value, str)) for value in facts.values()]
    offsets = [sum(k == kind for k in kinds[:at]) for at, kind in enumerate(kinds)]
    empty = [pa.array([], field.type) for field in list(_INFO_VALUES)[2:]]
    values = pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()),
        pa.array(offsets, pa.int32()),
        [pa.array(texts, _TEXT), pa.array(truths, pa.bool_()), *empty],
        [field.name for field in _INFO_VALUES],
    )
    return pa.Table.from_arrays([pa.array(list(facts), pa.uint32()), values], schema=_INFO)


def _unpacked(command: bytes) -> tuple[str, p.Fields]:
    try:
        return p.unpack(command)
    except ValueError as error:
        raise flight.FlightServerError(f"This is not a Flight SQL command: {error}.") from None


def _user(context: Any) -> User:
    call: _Call = context.get_middleware("logins")
    return call.user(context.peer())


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Send an error of the lake as one sentence; other exceptions would carry a traceback."""
    try:
        yield
    except LakehouseError as error:
        raise flight.FlightServerError(str(error)) from None


def serve_flight(
    sessions: Sessions,
    users: Users,
    roles: Mapping[str, Access],
    *,
    host: str,
    port: int,
    certificate: tuple[bytes, bytes] | None,
    say: Callable[[str], None],
) -> None:
    """Serve until the main thread is interrupted, then stop the running statements.

    Args:
        sessions: Sessions on the lake.
        users: The users by name.
        roles: The roles by name.
        host: Address to listen on.
        port: Port; 0 for any free one.
        certificate: Certificate and key in PEM; needed for an address that other machines reach.
        say: Prints a message.

    Raises:
        LakehouseError: the port is taken, or the address needs a certificate.
        KeyboardInterrupt: the process was asked to end.
    """
    # Opened once by itself, for a plain error about the address.
    with listen(host, port) as probe:
        place = f"[{host}]" if probe.family == socket.AF_INET6 else host
        if certificate is None:
            require_loopback(probe)
    kind = "grpc+tls" if certificate else "grpc"
    server = FlightSql(f"{kind}://{place}:{port}", sessions, users, roles, certificate)
    say(f"Arrow Flight SQL clients connect to {kind}://{place}:{server.port}.")
    try:
        threading.Event().wait()
    finally:
        sessions.close()
        server.shutdown()
