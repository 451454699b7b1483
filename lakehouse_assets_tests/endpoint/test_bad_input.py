"""Statements and clients that misbehave get a clear error; the server lives, others do not wait."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from lakehouse_assets.endpoint.server import serve, tls_of
from lakehouse_assets.endpoint.session import Limits
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets_tests.azure.authority import Certificates
from lakehouse_assets_tests.endpoint.served import PASSWORD, ROLES, ROWS, Served, serving, users

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
ENDLESS = "select count(*) from sales a, sales b, sales c, sales d where a.weight > b.weight"
BILLION = "select a.note, b.note from sales a, sales b, sales c"


def answers(served: Served) -> None:
    """Check that the server answers a client."""
    with psycopg.connect(served.dsn()) as client:
        assert client.execute("select count(*) from sales").fetchone() == (len(ROWS),)


REFUSED = [
    ("select nope from sales", "42703"),
    ("select * from nope", "42P01"),
    ("selec 1", "42601"),
    ("select 'open", "42601"),
    ("insert into sales values (1)", "42501"),
    ("drop table sales", "42501"),
    ("create table x as select 1", "42501"),
    ("copy sales to '/tmp/x'", "42501"),
    ("copy sales from stdin", "42501"),
    ("attach '/tmp/x.db'", "42501"),
    ("install httpfs", "42501"),
    ("select * from read_csv('/etc/passwd')", "42501"),
    ("select * from '/etc/passwd'", "42P01"),
    ("select * from pg_catalog.pg_class, read_text('/etc/passwd')", "0A000"),
    ("select * from pg_catalog.pg_class, sales", "0A000"),
    ("select getenv('HOME') from sales", "42501"),
    ("set role owner", "42501"),
    ("set default_transaction_read_only = off", "25006"),
    ("set client_encoding = latin1", "22023"),
    ("show nothing", "42704"),
    ("fetch 1 from nothing", "34000"),
    ("declare c cursor for select 1", "25P01"),
    ("declare c", "42601"),
    ("deallocate nothing", "26000"),
    ("copy (select 1) to stdout (format binary)", "0A000"),
    ("select cast('x' as int) from sales", "22000"),
    ("select " + "(" * 20_000 + "1" + ")" * 20_000, None),
]


@pytest.mark.parametrize(("statement", "state"), REFUSED, ids=[s[:40] for s, _ in REFUSED])
def test_statement_is_refused_with_one_sentence(
    served: Served, statement: str, state: str | None
) -> None:
    with psycopg.connect(served.dsn(), autocommit=True) as client:
        for prepare in (False, True):
            with pytest.raises(psycopg.Error) as raised:
                client.execute(statement, prepare=prepare)
            said = raised.value.diag
            assert said.sqlstate == state or (state is None and said.sqlstate), said.message_primary
            assert "\n" not in (said.message_primary or "\n")
        assert client.execute("select 1").fetchone() == (1,)


def test_each_statement_of_a_message_is_checked(served: Served) -> None:
    with psycopg.connect(served.dsn(), autocommit=True) as client:
        cursor = client.execute("begin; select 1; commit")
        cursor.nextset()
        assert cursor.fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("select 1; drop table sales")
        with pytest.raises(psycopg.errors.SyntaxError, match="prepare them one by one"):
            client.execute("select %s; select 2", [1])
    answers(served)


def test_failed_transaction_waits_for_its_end(served: Served) -> None:
    with psycopg.connect(served.dsn()) as client:
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("select * from nope")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            client.execute("select 1")
        client.rollback()
        assert client.execute("select 1").fetchone() == (1,)


def test_names_that_a_role_may_not_read_stay_secret(served: Served) -> None:
    listed = "select relname from pg_class join pg_namespace n on n.oid = relnamespace where "
    with psycopg.connect(served.dsn("carl"), autocommit=True) as client:
        for query, found in (
            (f"{listed} nspname = 'shop' and relkind = 'r'", [("sales",)]),
            (
                "select table_name from information_schema.tables where table_schema = 'shop'",
                [("sales",)],
            ),
            ("select usename from pg_user", [("carl",)]),
            # The other end of this key is hidden.
            ("select conname from pg_constraint where contype = 'f'", []),
            ("select count(*) from sales", [(sum(row[1] == 1 for row in ROWS),)]),
        ):
            assert client.execute(query).fetchall() == found
        for asked in ("secret", "shop.secret"):
            with pytest.raises(psycopg.Error) as raised:
                client.execute(f"select * from {asked}")  # noqa: S608  # of a test
            assert "secrets" not in str(raised.value)


def test_endless_statement_ends_by_time_out(lake: Lake) -> None:
    with (
        serving(lake, limits=Limits(statement_seconds=0.5)) as served,
        psycopg.connect(served.dsn(), autocommit=True) as client,
    ):
        with pytest.raises(psycopg.errors.QueryCanceled, match=r"longer than 0\.5 seconds"):
            client.execute(ENDLESS)
        client.execute("set statement_timeout = '50ms'")
        with pytest.raises(psycopg.errors.QueryCanceled, match=r"longer than 0\.05 seconds"):
            client.execute(ENDLESS)


def test_endless_statement_ends_by_cancel(served: Served) -> None:
    with psycopg.connect(served.dsn(), autocommit=True) as client:
        threading.Timer(0.5, client.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled, match="was cancelled"):
            client.execute(ENDLESS)
        assert client.execute("select 1").fetchone() == (1,)
        # Who does not know the secret stops nothing, and is told nothing.
        with served.connection() as stranger:
            number = client.info.backend_pid
            stranger.sendall(struct.pack("!iiiI", 16, 80877102, number, 12345))
            assert stranger.recv(1) == b""


def test_a_billion_rows_take_little_memory(served: Served) -> None:
    def resident() -> int:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(l.split()[1]) for l in status.splitlines() if l.startswith("VmRSS:"))  # noqa: E741

    answers(served)
    before = resident()
    with psycopg.connect(served.dsn()) as client, client.cursor("many") as cursor:
        cursor.execute(BILLION)
        for _ in range(20):
            assert len(cursor.fetchmany(5000)) == 5000
    assert resident() - before < 200_000
    answers(served)


def read_all(connection: socket.socket) -> bytes:
    """Read until the server has closed the connection."""
    said = b""
    while part := connection.recv(1 << 20):
        said += part
    return said


def test_client_that_never_reads_is_dropped_and_nobody_waits(lake: Lake) -> None:
    with (
        serving(lake, limits=Limits(write_seconds=1)) as served,
        closing(psycopg.connect(served.dsn(), autocommit=True)) as client,
        socket.socket(fileno=os.dup(client.fileno())) as lazy,
    ):
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.settimeout(60)
        client.pgconn.send_query(BILLION.encode())
        answers(served)
        dropped = select.poll()
        dropped.register(lazy, 0)
        assert dropped.poll(60_000)
        with pytest.raises(ConnectionResetError):
            read_all(lazy)
        answers(served)


def test_half_closed_and_foreign_connections_end(lake: Lake) -> None:
    foreign = [
        b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", struct.pack("!i", 1 << 30),
        struct.pack("!ii", 8, 1 << 16), struct.pack("!ii", 8, 80877104),
        struct.pack("!ii", 9, 196608) + b"u",
    ]  # fmt: skip
    with serving(lake, limits=Limits(login_seconds=1)) as served:
        held = [served.connection() for _ in range(2 * len(foreign))]
        for connection, sent in zip(held, foreign * 2, strict=True):
            connection.sendall(sent)
        for connection in held[: len(foreign)]:
            connection.shutdown(socket.SHUT_WR)
        answers(served)
        for connection in held:
            with connection:
                read_all(connection)
        answers(served)


@pytest.fixture
def secure(lake: Lake, certificates: Certificates) -> Iterator[Served]:
    """The endpoint with TLS."""
    tls = tls_of(certificates.certificate, certificates.key)
    with serving(lake, tls, Limits(login_seconds=1)) as running:
        yield running


def test_tls_is_checked_by_clients(secure: Served, certificates: Certificates) -> None:
    root = certificates.authority
    options = {"host": "localhost", "sslmode": "verify-full", "sslrootcert": root}
    with psycopg.connect(secure.dsn(**options)) as client:
        assert client.execute("show ssl").fetchone() == ("on",)
        assert client.execute("select count(*) from sales").fetchone() == (len(ROWS),)
        assert len(client.execute("select a.note from sales a, shops").fetchall()) == 2 * len(ROWS)
    with psycopg.connect(secure.dsn(sslmode="disable")) as client:
        assert client.execute("show ssl").fetchone() == ("off",)


def test_half_closed_handshake_ends_alone(secure: Served) -> None:
    with secure.connection() as silent, secure.connection() as closed, secure.connection() as mad:
        for connection in (silent, closed, mad):
            connection.sendall(SSL_REQUEST)
            assert connection.recv(1) == b"S"
        closed.shutdown(socket.SHUT_WR)
        mad.sendall(b"this is no handshake" * 10)
        answers(secure)
        for connection in (silent, closed, mad):
            with suppress(ConnectionResetError):
                read_all(connection)
    answers(secure)


def test_what_is_sent_before_the_handshake_is_not_taken_as_secure(secure: Served) -> None:
    with secure.connection() as client:
        startup = struct.pack("!ii", 8 + 11, 196608) + b"user\0anna\0\0"
        client.sendall(SSL_REQUEST + startup)
        said = read_all(client)
        assert said.startswith(b"E")
        assert b"08P01" in said


def test_wrong_passwords_are_counted(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    guess = "not the right password"
    with serving(lake) as served:
        told = set()
        for user in ["anna"] * 5 + ["nobody"]:
            with pytest.raises(psycopg.OperationalError) as raised:
                psycopg.connect(served.dsn(user, password=f"'{guess}'"))
            told.add(str(raised.value).partition("FATAL: ")[2])
        # Nothing says whether the user exists.
        assert len(told) == 1
        with pytest.raises(psycopg.OperationalError, match="Too many logins failed"):
            psycopg.connect(served.dsn())
        with psycopg.connect(served.dsn("carl")) as client:
            assert client.execute("select current_user").fetchone() == ("carl",)
        with pytest.raises(psycopg.OperationalError, match="no database elsewhere"):
            psycopg.connect(served.dsn("carl", dbname="elsewhere"))
    said = capfd.readouterr()
    assert guess not in said.out + said.err
    assert PASSWORD not in said.out + said.err


def test_too_many_clients_are_told(lake: Lake) -> None:
    with serving(lake, limits=Limits(connections=2)) as served:
        held = [psycopg.connect(served.dsn()) for _ in range(2)]
        with pytest.raises(psycopg.OperationalError, match="Too many clients"):
            psycopg.connect(served.dsn())
        for client in held:
            client.close()
        answers(served)


def test_idle_client_is_told_why_it_ends(lake: Lake) -> None:
    with serving(lake, limits=Limits(idle_seconds=0.2)) as served:
        client = psycopg.connect(served.dsn(), autocommit=True)
        assert select.select([client.fileno()], [], [], 60)[0]
        with pytest.raises(psycopg.OperationalError, match="idle for too long"):
            client.execute("select 1")


def test_other_machines_need_tls(lake: Lake, certificates: Certificates) -> None:
    from lakehouse_assets.query.session import Sessions

    with pytest.raises(LakehouseError, match="--certificate"):
        serve(
            Sessions(lake), users(), ROLES, host="0.0.0.0", port=0, tls=None, limits=Limits(),  # noqa: S104
            say=print,
        )  # fmt: skip
    with pytest.raises(LakehouseError, match="cannot be used"):
        tls_of(certificates.certificate, certificates.certificate)


def test_sigterm_ends_the_server_and_tells_its_clients(lake: Lake, tmp_path: Path) -> None:
    lines = ";".join(user.line for user in users().values() if user.role == "owner")
    environment = {
        **os.environ, "LAKEHOUSE_ROOT": str(tmp_path / "lake"), "LAKEHOUSE_SQL_USERS": lines,
        "LAKEHOUSE_DAGSTER_HOME": str(tmp_path / "home"), "NO_COLOR": "1",
    }  # fmt: skip
    (tmp_path / "lake").mkdir()
    command = [sys.executable, "-m", "lakehouse_assets", "serve", "sql", "--port", "0"]
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        while "answers at" not in log.read_text(encoding="utf-8"):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        port = int(log.read_text(encoding="utf-8").split("127.0.0.1:")[1].split(";")[0])
        served = Served(port, None)  # type: ignore[arg-type]
        client = psycopg.connect(served.dsn(), autocommit=True)
        assert client.execute("select 1").fetchone() == (1,)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        with socket.socket(fileno=os.dup(client.fileno())) as connection:
            assert b"57P01" in read_all(connection)
        client.close()
        said = log.read_text(encoding="utf-8")
        assert "Traceback" not in said, said
        assert PASSWORD not in said
    finally:
        process.kill()
        process.wait()
