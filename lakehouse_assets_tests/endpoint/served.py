"""A small lake with all types, and its endpoint in this process."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse_assets.catalog.access import OWNER, Access, Mask, RowFilter, TableAccess
from lakehouse_assets.catalog.registry import Column, Reference
from lakehouse_assets.endpoint.server import Server
from lakehouse_assets.endpoint.session import Limits
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.listening import listen
from lakehouse_assets.query.session import Sessions
from lakehouse_assets.query.users import Users, new_user
from lakehouse_assets_tests.lake.samples import COMMIT, make_lake, table

SHOPS = table(
    "shops",
    Column("shop_id", "int", "Number of the shop.", nullable=False),
    Column("name", "string", "Its name.", unit=None),
    keys=("shop_id",),
    kind="reference",
)
SALES = table(
    "sales",
    Column("sale_id", "bigint", "Number of the sale.", nullable=False),
    Column("shop_id", "int", "Where it was sold.", nullable=False),
    Column("amount", "decimal(18,2)", "What was paid.", unit="EUR"),
    Column("share", "decimal(38,8)", "Part of the total.", unit="share"),
    Column("weight", "double", "Weight.", unit="kg"),
    Column("paid", "boolean", "Whether it was paid."),
    Column("day", "date", "Day of the sale."),
    Column("sold_at", "timestamp", "Moment of the sale."),
    Column("local_time", "timestamp_ntz", "Moment on the clock of the shop."),
    Column("note", "string", "What was said."),
    Column("tags", "array<string>", "Tags."),
    keys=("sale_id",),
    references=(Reference(("shop_id",), "shops", ("shop_id",)),),
)
SECRETS = table("secrets", Column("secret", "string", "Only for the owner."))
ROWS: list[tuple[Any, ...]] = [
    (
        1, 1, Decimal("12.50"), Decimal("0.00000001"), 0.1, True, date(2024, 2, 29),
        datetime(2024, 2, 29, 12, 30, 0, 1500, UTC), datetime(2024, 2, 29, 13, 30),
        'it\'s "new",\n\tok\\', ["a b", "c", None, "NULL", 'd"e\\'],
    ),
    (
        2, 1, Decimal("-9999999999999999.99"), Decimal("-123456789012345678901234567890.5"),
        float("inf"), False, date(1999, 12, 31), datetime(1969, 12, 31, 23, 59, 59, 0, UTC),
        datetime(1900, 1, 1), "Grüße, 你好 🛒", [],
    ),
    (3, 2, *[None] * 9),
    (
        4, 2, Decimal("0.00"), Decimal("0"), -1e300, True, date(9999, 12, 31),
        datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, 0, 0, 0, 10), "", ["x"],
    ),
    *[
        (n, 1 + n % 2, Decimal(n) / 100, Decimal(n), n / 7, n % 3 == 0, date(2024, 1, 1),
         datetime(2024, 1, 1, n % 24, tzinfo=UTC), datetime(2024, 1, 1), f"sale {n}", [str(n)])
        for n in range(5, 1001)
    ],
]  # fmt: skip
CLERK = Access(
    "clerk",
    "Sees the sales of shop 1.",
    {SALES: TableAccess(RowFilter("shop_id", (1,)), {"note": Mask("null")})},
)
ROLES = {"clerk": CLERK}
PASSWORD = "correct horse battery"  # noqa: S105  # of tests
USERS = {"anna": OWNER, "carl": "clerk"}


def lake_at(folder: Path) -> Lake:
    """Make the lake."""
    lake = make_lake(folder, SHOPS, SALES, SECRETS, engine=start_engine("duckdb", "1GB", 2))
    for declared, rows in (
        (SHOPS, [(1, "North"), (2, "South")]), (SALES, ROWS), (SECRETS, [("hidden",)]),
    ):  # fmt: skip
        schema = arrow_schema(declared)
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        lake.write(declared, lake.engine.from_arrow(pa.table(arrays, schema)), Everything(), COMMIT)
    return lake


def users() -> Users:
    """Return the users, all with the same password."""
    lines = [new_user(name, role, PASSWORD, ROLES).line for name, role in USERS.items()]
    return Users("\n".join(lines), ROLES, "the test")


@dataclass
class Served:
    """An endpoint that runs.

    Attributes:
        port: Its port of loopback.
        sessions: The lake's sessions, for what SQL says without a network.
    """

    port: int
    sessions: Sessions

    def dsn(self, user: str = "anna", **more: Any) -> str:
        """Return an address for libpq."""
        parts = {
            "host": "127.0.0.1", "port": self.port, "dbname": "lake", "user": user,
            "password": f"'{PASSWORD}'", **more,
        }  # fmt: skip
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def connection(self) -> socket.socket:
        """Return a plain connection, on which nothing waits for ever."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(60)
        return connection

    def sql(self, text: str, access: Access | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a statement without a network."""
        found = self.sessions.open(access, guarded=True).run(text).rows.read_all()
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


@contextmanager
def serving(
    lake: Lake, tls: ssl.SSLContext | None = None, limits: Limits | None = None
) -> Iterator[Served]:
    """Run the endpoint in a thread for the time of the block."""
    sessions, listener, ready = Sessions(lake), listen("127.0.0.1", 0), threading.Event()
    server = Server(sessions, users(), ROLES, tls, limits or Limits())
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(listener, ready.set)))
    thread.start()
    assert ready.wait(60)
    try:
        yield Served(listener.getsockname()[1], sessions)
    finally:
        server.close()
        thread.join(60)
        sessions.close()
        assert not thread.is_alive()
