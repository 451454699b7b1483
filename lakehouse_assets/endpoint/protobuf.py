"""Reads and writes the few Protocol Buffers messages that Flight SQL uses."""

from __future__ import annotations

from collections.abc import Mapping

_TYPE = "type.googleapis.com/arrow.flight.protocol.sql."
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5

Fields = dict[int, list[bytes | int]]


def read_fields(data: bytes) -> Fields:
    """Return the values of a message by field number, including unknown fields.

    Raises:
        ValueError: the bytes are not a message.
    """
    found: Fields = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: bytes | int
        if kind == _VARINT:
            value, at = _varint(data, at)
        else:
            if kind == _BYTES:
                length, at = _varint(data, at)
            elif kind in (_FIXED_64, _FIXED_32):
                length = 8 if kind == _FIXED_64 else 4
            else:
                raise ValueError("it has an unknown kind of field")
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise ValueError("it is incomplete")
        found.setdefault(key >> 3, []).append(value)
    return found


def write_fields(fields: Mapping[int, bytes]) -> bytes:
    """Return a message with fields of bytes; empty fields are left out."""
    return b"".join(
        _varint_of(number << 3 | _BYTES) + _varint_of(len(value)) + value
        for number, value in fields.items()
        if value
    )


def text(fields: Fields, number: int) -> str | None:
    """Return a text field; None if the message has none."""
    value = fields.get(number, [None])[-1]
    return value.decode() if isinstance(value, bytes) else None


def binary(fields: Fields, number: int) -> bytes:
    """Return a field of bytes; empty if the message has none."""
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def unpack(data: bytes) -> tuple[str, Fields]:
    """Return the name and the fields of a Flight SQL message packed as `Any`.

    Raises:
        ValueError: the bytes are no such message.
    """
    fields = read_fields(data)
    name = text(fields, 1) or ""
    if not name.startswith(_TYPE):
        raise ValueError(f"its type is {name[:100]!r}")
    return name.removeprefix(_TYPE), read_fields(binary(fields, 2))


def pack(name: str, fields: Mapping[int, bytes]) -> bytes:
    """Return a Flight SQL message, packed as `Any`."""
    return write_fields({1: f"{_TYPE}{name}".encode(), 2: write_fields(fields)})


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("it is incomplete")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _varint_of(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
