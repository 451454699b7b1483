"""The users of the SQL endpoint, with their roles and the verifiers of their passwords."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lakehouse_assets.catalog.access import Access, access_of
from lakehouse_assets.errors import LakehouseError

_FEWEST_LETTERS: Final = 12
_ITERATIONS: Final = 4096
_SALT_BYTES: Final = 16
_NAME: Final = re.compile(r"[a-z_][a-z0-9_.@-]{0,62}")
_VERIFIER: Final = re.compile(
    r"SCRAM-SHA-256\$(\d{4,7}):([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+=):([A-Za-z0-9+/]+=)"
)
_MAKE: Final = "add one with `lakehouse serve user NAME --role ROLE`"


@dataclass(frozen=True)
class Verifier:
    """The SCRAM-SHA-256 verifier of a password (RFC 5802, 7677).

    Attributes:
        iterations: How often the password was hashed.
        salt: The salt.
        stored_key: Hash of the key by which a client proves that it knows the password.
        server_key: The key by which the server proves that it knows the verifier.
    """

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def of(
        cls, password: str, salt: bytes | None = None, iterations: int = _ITERATIONS
    ) -> Verifier:
        """Return the verifier of a password."""
        salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        return cls(iterations, salt, hashlib.sha256(client_key).digest(), server_key)

    @classmethod
    def parse(cls, text: str) -> Verifier | None:
        """Parse a verifier in PostgreSQL's format; None for any other text."""
        found = _VERIFIER.fullmatch(text)
        if found is None:
            return None
        try:
            salt, stored, server = (
                base64.b64decode(part, validate=True) for part in found.groups()[1:]
            )
        except ValueError:
            return None
        if len(stored) != hashlib.sha256().digest_size or len(server) != len(stored):
            return None
        return cls(int(found[1]), salt, stored, server)

    def __str__(self) -> str:
        """Return it as PostgreSQL writes it."""
        parts = (self.salt, self.stored_key, self.server_key)
        salt, stored, server = (base64.b64encode(part).decode() for part in parts)
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def accepts(self, password: str) -> bool:
        """Return whether a password is right, in constant time."""
        found = Verifier.of(password, self.salt, self.iterations)
        return hmac.compare_digest(found.stored_key, self.stored_key)


@dataclass(frozen=True)
class User:
    """A user of the SQL endpoint.

    Attributes:
        name: Name that clients send.
        role: Name of the role, or `owner`.
        verifier: Verifier of the password.
    """

    name: str
    role: str
    verifier: Verifier

    @property
    def line(self) -> str:
        """Its line in a file of users."""
        return f"{self.name},{self.role},{self.verifier}"


class Users(dict[str, User]):
    """The users by name, from lines of `name,role,verifier`; `#` starts a comment line."""

    def __init__(self, text: str, roles: Mapping[str, Access], place: str) -> None:
        """Read the lines.

        Args:
            text: The lines.
            roles: The declared roles; `owner` is another.
            place: Where the lines are from, for messages.

        Raises:
            LakehouseError: a line cannot be read, names no role, or names a user again.
        """
        super().__init__()
        self._secret = secrets.token_bytes(_SALT_BYTES)
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, _, rest = (part.strip() for part in line.partition(","))
            role, _, proof = (part.strip() for part in rest.partition(","))
            verifier = Verifier.parse(proof)
            at = f"Line {number} of {place}"
            if not _NAME.fullmatch(name) or verifier is None:
                # The line may hold a password: it is not shown.
                raise LakehouseError(f"{at} is not `name,role,SCRAM-SHA-256 verifier`; {_MAKE}.")
            access_of(role, roles, at)
            if name in self:
                raise LakehouseError(f"{at} repeats the user {name}; remove one of the lines.")
            self[name] = User(name, role, verifier)

    @classmethod
    def read(cls, given: str | None, roles: Mapping[str, Access]) -> Users:
        """Read users from a file that a setting names, or from the setting itself.

        Args:
            given: The setting: a path, or lines separated by `;`.
            roles: The declared roles.

        Raises:
            LakehouseError: there is no user, the file cannot be read or others may write it, or a
                line is wrong.
        """
        if not given or "," in given or given.startswith("#"):
            users = cls((given or "").replace(";", "\n"), roles, "LAKEHOUSE_SQL_USERS")
        else:
            users = cls(_text_of(Path(given).expanduser()), roles, given)
        if not users:
            raise LakehouseError(f"LAKEHOUSE_SQL_USERS has no users; {_MAKE}.")
        return users

    def unknown(self, name: str) -> Verifier:
        """Return a verifier that accepts no password, always the same for a name.

        The login of an unknown user goes through the same steps, so that names cannot be guessed.
        """
        salt = hmac.digest(self._secret, name.encode(), "sha256")[:_SALT_BYTES]
        return Verifier(_ITERATIONS, salt, secrets.token_bytes(32), secrets.token_bytes(32))


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise LakehouseError(
                f"Other users of this machine may write to {file}; run `chmod 600 {file}`."
            )
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not plain text"
        raise LakehouseError(
            f"The file of users {file} cannot be read ({reason}); {_MAKE}."
        ) from None


def new_user(name: str, role: str, password: str, roles: Mapping[str, Access]) -> User:
    """Return a user with a password.

    Raises:
        LakehouseError: the name cannot be used, there is no such role, or the password is short.
    """
    if not _NAME.fullmatch(name):
        raise LakehouseError(
            f"The user name {name!r} cannot be used; use lower-case letters, digits and _.@-, and "
            "start with a letter or _."
        )
    access_of(role, roles, f"The user {name}")
    if len(password) < _FEWEST_LETTERS or not password.isascii() or not password.isprintable():
        raise LakehouseError(
            f"A password needs at least {_FEWEST_LETTERS} printable ASCII characters."
        )
    return User(name, role, Verifier.of(password))


def with_user(file: Path, user: User, roles: Mapping[str, Access]) -> None:
    """Add a user to a file; a new file is readable by its owner only.

    Raises:
        LakehouseError: the file has the user already, or a line is wrong.
    """
    before = _text_of(file) if file.exists() else ""
    text = f"{before.rstrip()}\n{user.line}\n".lstrip()
    Users(text, roles, str(file))
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
