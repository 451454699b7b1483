"""Reads and writes the few Protocol Buffers messages that Flight SQL uses."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

_TYPE = "type.googleapis.com/arrow.flight.protocol.sql."

Fields = dict[int, list[bytes | int]]


def text(fields: Fields, number: int) -> str | None:
    """Return a text field; None if the message has none."""
    value = fields.get(number, [None])[-1]
    return value.decode(errors="replace") if isinstance(value, bytes) else None


def binary(fields: Fields, number: int) -> bytes:
    """Return a field of bytes; empty if the message has none."""
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def unpack(data: bytes) -> tuple[str, Fields]:
    """Return the name of a Flight SQL message packed as `Any`, and its values by field number.

    Raises:
        ValueError: the bytes are no such message.
    """
    try:
        packed = Any.FromString(data)
        # A message without declared fields keeps all of them.
        content = UnknownFieldSet(Empty.FromString(packed.value))
    except DecodeError:
        raise ValueError("it is damaged") from None
    if not packed.type_url.startswith(_TYPE):
        raise ValueError(f"its type is {packed.type_url[:100]!r}")
    fields: Fields = {}
    for field in content:
        fields.setdefault(field.field_number, []).append(field.data)
    return packed.type_url.removeprefix(_TYPE), fields


def prepared_result(handle: bytes, schema: bytes) -> bytes:
    """Return the answer to `CreatePreparedStatement`; the handle is ASCII."""
    # `Any` has the same two fields: the first for the handle, the second for the schema.
    answer = Any(type_url=handle.decode(), value=schema).SerializeToString()
    name = f"{_TYPE}ActionCreatePreparedStatementResult"
    return bytes(Any(type_url=name, value=answer).SerializeToString())
