"""Reads and builds messages of PostgreSQL's protocol, version 3."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from lakehouse_assets.endpoint.sqlstate import SqlError

# Codes sent instead of a protocol version.
SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
PROTOCOL_3: Final = 3 << 16
# A longer statement is a mistake; messages before the login are short.
_LONGEST: Final = 16 << 20
_LONGEST_STARTUP: Final = 10_000

PARSE_COMPLETE: Final = b"1\0\0\0\x04"
BIND_COMPLETE: Final = b"2\0\0\0\x04"
CLOSE_COMPLETE: Final = b"3\0\0\0\x04"
NO_DATA: Final = b"n\0\0\0\x04"
PORTAL_SUSPENDED: Final = b"s\0\0\0\x04"
EMPTY_QUERY: Final = b"I\0\0\0\x04"
COPY_DONE: Final = b"c\0\0\0\x04"


class Field(NamedTuple):
    """A column of a result, as RowDescription describes it.

    Attributes:
        name: Its name.
        oid: PostgreSQL's number of its type.
        size: Bytes of a value; -1 if they vary.
        modifier: Parameters of the type, such as precision and scale; -1 for none.
    """

    name: str
    oid: int
    size: int
    modifier: int = -1


class Reader:
    """Reads the fields of one message.

    Raises:
        SqlError: the message is shorter than its length field says.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        end = self._at + length
        if length < 0 or end > len(self._body):
            raise SqlError("08P01", "The client sent an incomplete message.")
        part, self._at = self._body[self._at : end], end
        return part

    def int16(self) -> int:
        """Return the next two bytes as a number."""
        return int.from_bytes(self.take(2), signed=True)

    def int32(self) -> int:
        """Return the next four bytes as a number."""
        return int.from_bytes(self.take(4), signed=True)

    def text(self) -> str:
        """Return the text up to the next zero byte."""
        end = self._body.find(b"\0", self._at)
        part = self.take(end - self._at)
        self._at += 1
        try:
            return part.decode()
        except UnicodeDecodeError:
            raise SqlError("22021", "The client sent text that is not UTF-8.") from None

    def rest(self) -> bytes:
        """Return all further bytes."""
        return self.take(len(self._body) - self._at)

    def int16s(self) -> list[int]:
        """Return a list of two-byte numbers, preceded by its length."""
        return [self.int16() for _ in range(self.int16())]


async def read_startup(stream: asyncio.StreamReader) -> tuple[int, Reader]:
    """Read a message before the login; return its code or version, and its fields."""
    length = int.from_bytes(await stream.readexactly(4))
    if not 8 <= length <= _LONGEST_STARTUP:
        raise SqlError(
            "08P01", "This server speaks PostgreSQL's protocol; use a PostgreSQL client."
        )
    body = Reader(await stream.readexactly(length - 4))
    return body.int32(), body


async def read_message(
    stream: asyncio.StreamReader, longest: int = _LONGEST
) -> tuple[bytes, Reader]:
    """Read a message after the start; return its kind and its fields."""
    head = await stream.readexactly(5)
    length = int.from_bytes(head[1:])
    if not 4 <= length <= longest:
        raise SqlError(
            "08P01", f"The client sent a message of {length} bytes; the limit is {longest}."
        )
    return head[:1], Reader(await stream.readexactly(length - 4))


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Build a message."""
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value: str) -> bytes:
    """Encode a text for a message."""
    return value.replace("\0", "").encode() + b"\0"


def authentication(code: int, body: bytes = b"") -> bytes:
    """Build a step of the authentication; 0 means that the client is logged in."""
    return message(b"R", struct.pack("!i", code) + body)


def parameter_status(name: str, value: str) -> bytes:
    """Tell the client a setting of its session."""
    return message(b"S", text(name) + text(value))


def backend_key(number: int, secret: int) -> bytes:
    """Send the client the numbers by which it can cancel its statements."""
    return message(b"K", struct.pack("!iI", number, secret))


def negotiate(options: Sequence[str]) -> bytes:
    """Tell the client that the server supports version 3.0 without the given options."""
    return message(
        b"v", struct.pack("!ii", PROTOCOL_3, len(options)) + b"".join(map(text, options))
    )


def ready(status: str) -> bytes:
    """Tell the client that it may send a statement: I idle, T in a transaction, E failed."""
    return message(b"Z", status.encode())


def complete(tag: str) -> bytes:
    """Tell the client that a statement is done, such as `SELECT 5`."""
    return message(b"C", text(tag))


def row_description(fields: Iterable[Field], formats: Sequence[int]) -> bytes:
    """Describe the columns of the rows that follow."""
    parts = [
        text(field.name) + struct.pack("!ihihih", 0, 0, field.oid, field.size, field.modifier, form)
        for field, form in zip(fields, formats, strict=True)
    ]
    return message(b"T", struct.pack("!h", len(parts)) + b"".join(parts))


def parameter_description(oids: Sequence[int]) -> bytes:
    """Describe the parameters of a prepared statement."""
    return message(b"t", struct.pack(f"!h{len(oids)}I", len(oids), *oids))


def copy_out(columns: int) -> bytes:
    """Tell the client that the rows follow as text."""
    return message(b"H", struct.pack(f"!bh{columns}h", 0, columns, *[0] * columns))


def error(failure: SqlError, severity: str = "ERROR") -> bytes:
    """Build an error."""
    fields = {"S": severity, "V": severity, "C": failure.sqlstate, "M": str(failure)}
    return message(b"E", b"".join(k.encode() + text(v) for k, v in fields.items()) + b"\0")
