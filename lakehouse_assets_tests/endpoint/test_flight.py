"""Arrow Flight SQL by the ADBC client: rows, parameters, metadata, roles, errors, TLS."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi
from google.protobuf.any_pb2 import Any as Message
from pyarrow import flight

from lakehouse_assets.endpoint.flight import FlightSql
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.query.session import Sessions
from lakehouse_assets_tests.azure.authority import Certificates
from lakehouse_assets_tests.endpoint.served import CLERK, PASSWORD, ROLES, users


@pytest.fixture(scope="module")
def sessions(lake: Lake) -> Iterator[Sessions]:
    opened = Sessions(lake)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(sessions: Sessions) -> Iterator[FlightSql]:
    running = FlightSql("grpc://127.0.0.1:0", sessions, users(), ROLES)
    yield running
    running.shutdown()


def connect(server: FlightSql, user: str = "anna", password: str = PASSWORD, **more: str) -> Any:
    """Connect as a user."""
    given = {"username": user, "password": password, **more}
    kind = "grpc+tls" if more else "grpc"
    address = f"{kind}://127.0.0.1:{server.port}"
    return dbapi.connect(address, db_kwargs=given, autocommit=True)


def asked(connection: Any, text: str, *parameters: Any) -> pa.Table:
    """Return the rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(text, parameters or None)
        return cursor.fetch_arrow_table()


@pytest.mark.parametrize(
    "query",
    [
        "select * from sales order by sale_id",
        "select count(*), sum(amount) from shop.sales@v1",
        "select 1 as a where false",
        "select range as n, range::text as t from range(300000) order by n",
    ],
)
def test_rows_are_those_of_a_session(server: FlightSql, sessions: Sessions, query: str) -> None:
    with connect(server) as connection:
        found = asked(connection, query)
    assert found.equals(sessions.open(guarded=True).run(query).rows.read_all())


def test_a_prepared_statement_takes_parameters(server: FlightSql) -> None:
    with connect(server) as connection, connection.cursor() as cursor:
        query = "select sale_id, note from sales where sale_id > ? and note <> ? order by 1 limit 2"
        assert asked(connection, query, 990, "sale 991")["sale_id"].to_pylist() == [992, 993]
        cursor.adbc_prepare(query)
        cursor.execute(query, (10, "x"))
        assert cursor.fetchall() == [(11, "sale 11"), (12, "sale 12")]
        cursor.execute(query, (20, "x"))
        assert cursor.fetchall() == [(21, "sale 21"), (22, "sale 22")]


def test_a_role_gets_its_rows_masked_and_its_tables(server: FlightSql) -> None:
    with connect(server, "carl") as connection:
        found = asked(connection, "select distinct shop_id, note from sales").to_pylist()
        assert found == [{"shop_id": 1, "note": None}]
        with pytest.raises(dbapi.Error, match="may not read secrets"):
            asked(connection, "select * from secrets")
        (catalog,) = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        (schema,) = catalog["catalog_db_schemas"]
        assert [table["table_name"] for table in schema["db_schema_tables"]] == ["sales"]
    assert CLERK.name in ROLES


def test_clients_learn_what_there_is(server: FlightSql) -> None:
    with connect(server) as connection:
        assert connection.adbc_get_info()["vendor_name"] == "lake"
        assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
        found = (
            connection.adbc_get_objects(
                depth="columns", db_schema_filter="sh%", table_name_filter="s_les"
            )
            .read_all()
            .to_pylist()
        )
        (schema,) = found[0]["catalog_db_schemas"]
        (table,) = schema["db_schema_tables"]
        columns = {c["column_name"]: c for c in table["table_columns"]}
        assert list(columns)[:3] == ["sale_id", "shop_id", "amount"]
        schema = connection.adbc_get_table_schema("sales", db_schema_filter="shop")
        assert schema.field("amount").type == pa.decimal128(18, 2)
        said = schema.field("amount").metadata[b"ARROW:FLIGHT:SQL:REMARKS"].decode()
        assert said == "What was paid."
        assert not schema.field("sale_id").nullable


@pytest.mark.parametrize(
    ("command", "named", "found"),
    [
        ("CommandGetPrimaryKeys", "sales", {"table_name": "sales", "column_name": "sale_id"}),
        (
            "CommandGetImportedKeys",
            "sales",
            {"fk_column_name": "shop_id", "pk_table_name": "shops"},
        ),
        (
            "CommandGetExportedKeys",
            "shops",
            {"fk_table_name": "sales", "pk_column_name": "shop_id"},
        ),
    ],
)
def test_keys_are_those_of_the_registry(
    server: FlightSql, command: str, named: str, found: dict[str, str]
) -> None:
    """ADBC does not ask for keys, JDBC does."""
    with flight.connect(f"grpc://127.0.0.1:{server.port}") as client:
        token = client.authenticate_basic_token("anna", PASSWORD)
        options = flight.FlightCallOptions(headers=[token])
        # Field 3 is the name of the table.
        packed = Message(
            type_url=f"type.googleapis.com/arrow.flight.protocol.sql.{command}",
            value=b"\x1a" + bytes([len(named)]) + named.encode(),
        ).SerializeToString()
        info = client.get_flight_info(flight.FlightDescriptor.for_command(packed), options)
        (row,) = client.do_get(info.endpoints[0].ticket, options).read_all().to_pylist()
        for damaged in (b"\xff", packed[:-1], packed.replace(b"arrow", b"crown")):
            with pytest.raises(flight.FlightError, match="is not a Flight SQL command"):
                client.get_flight_info(flight.FlightDescriptor.for_command(damaged), options)
    assert found.items() <= row.items()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select * from nowhere", "No table is called nowhere"),
        ("create table x as select 1", "Only one SELECT"),
        ("select 1; select 2", "several statements"),
        ("select * from read_csv('/etc/passwd')", "read_csv is not allowed"),
        ("select case when range < 500000 then 1 else ('a' || range)::int end from range(900000)",
         "Could not convert string|a value cannot be computed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_and_the_server_lives(
    server: FlightSql, query: str, said: str
) -> None:
    with connect(server) as connection:
        with pytest.raises(dbapi.Error, match=said) as caught:
            asked(connection, query)
        assert "Traceback" not in str(caught.value)
        assert asked(connection, "select 1 as a").to_pylist() == [{"a": 1}]


def test_nobody_comes_in_without_the_password(server: FlightSql) -> None:
    for user, password in (("anna", "wrong"), ("nobody", PASSWORD)):
        with pytest.raises(dbapi.Error, match="password is wrong"):
            connect(server, user, password)
    with connect(server, "", "") as connection, pytest.raises(dbapi.Error, match="Log in"):
        asked(connection, "select 1")


def test_many_wrong_passwords_lock_out_their_address_only(sessions: Sessions) -> None:
    try:
        running = FlightSql("grpc://[::]:0", sessions, users(), ROLES)
    except OSError:
        pytest.skip("this machine has no IPv6, so it has only one address")

    def count(host: str, password: str) -> list[dict[str, int]]:
        given = {"username": "carl", "password": password}
        with dbapi.connect(
            f"grpc://{host}:{running.port}", db_kwargs=given, autocommit=True
        ) as connection:
            return asked(connection, "select count(*) as n from sales").to_pylist()

    try:
        for _ in range(10):
            with pytest.raises(dbapi.Error, match="password is wrong"):
                count("127.0.0.1", "wrong")
        with pytest.raises(dbapi.Error, match="Too many logins failed"):
            count("127.0.0.1", PASSWORD)
        assert count("[::1]", PASSWORD) == [{"n": 500}]
        with pytest.raises(dbapi.Error, match="password is wrong"):
            count("[::1]", "wrong")
    finally:
        running.shutdown()


def test_many_clients_at_once_get_their_own_rows(server: FlightSql) -> None:
    def ask(number: int) -> list[int]:
        with connect(server) as connection:
            query = f"select {number} as n from range({number * 1000})"  # noqa: S608
            return [len(found := asked(connection, query)), *{*found["n"].to_pylist()}]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(1, 41))) == [[n * 1000, n] for n in range(1, 41)]


def test_tls_hides_what_is_sent(sessions: Sessions, certificates: Certificates) -> None:
    pair = certificates.certificate.read_bytes(), certificates.key.read_bytes()
    running = FlightSql("grpc+tls://127.0.0.1:0", sessions, users(), ROLES, pair)
    try:
        trusted = {DatabaseOptions.TLS_ROOT_CERTS.value: certificates.authority.read_text()}
        with connect(running, **trusted) as connection:
            assert asked(connection, "select count(*) as n from sales").to_pylist() == [{"n": 1000}]
        with pytest.raises(dbapi.Error):
            connect(running)
    finally:
        running.shutdown()
