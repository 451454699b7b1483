"""SCRAM-SHA-256 (RFC 5802, RFC 7677): a login in which neither side learns the other's secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Final

from lakehouse_assets.endpoint.sqlstate import SqlError

if TYPE_CHECKING:
    from lakehouse_assets.query.users import Verifier

MECHANISM: Final = "SCRAM-SHA-256"
# Clients that support channel binding to TLS begin with y, others with n; the server has none.
_FIRST: Final = re.compile(rb"([yn],(?:a=[^,]*)?,)(n=[^,]*,r=([!-+\--~]+)(?:,.*)?)", re.DOTALL)
_FINAL: Final = re.compile(rb"(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)),p=([A-Za-z0-9+/=]+)")


class Exchange:
    """One login, from the server's side.

    Args:
        verifier: The verifier of the user's password.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._nonce = self._bound = self._messages = b""

    def first(self, client: bytes) -> bytes:
        """Answer the client's first message.

        Raises:
            SqlError: the message does not follow SCRAM.
        """
        found = _FIRST.fullmatch(client)
        if found is None:
            raise _malformed()
        self._bound = found[1]
        self._nonce = found[3] + secrets.token_urlsafe(18).encode()
        salt = base64.b64encode(self._verifier.salt)
        answer = b"r=%b,s=%b,i=%d" % (self._nonce, salt, self._verifier.iterations)
        self._messages = found[2] + b"," + answer
        return answer

    def final(self, client: bytes) -> bytes | None:
        """Answer the client's last message with the server's proof; None if the password is wrong.

        Raises:
            SqlError: the message does not follow SCRAM.
        """
        found = _FINAL.fullmatch(client)
        if found is None or found[3] != self._nonce or _decoded(found[2]) != self._bound:
            raise _malformed()
        signed = self._messages + b"," + found[1]
        signature = hmac.digest(self._verifier.stored_key, signed, "sha256")
        proof = _decoded(found[4])
        if len(proof) != len(signature):
            return None
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        found_key = hashlib.sha256(client_key).digest()
        if not hmac.compare_digest(found_key, self._verifier.stored_key):
            return None
        return b"v=" + base64.b64encode(hmac.digest(self._verifier.server_key, signed, "sha256"))


def _malformed() -> SqlError:
    return SqlError("08P01", "The login does not follow SCRAM-SHA-256.")


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
