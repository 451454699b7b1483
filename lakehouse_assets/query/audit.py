"""Records every query as a line in a folder, from which the audit log is filled.

A record has the shape of a statement, with `?` in place of values. It never has values, parameters,
rows or error texts.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from lakehouse_assets.errors import LakehouseError


@dataclass(frozen=True)
class Reader:
    """The user of a statement.

    Attributes:
        user: Name of the user.
        source: Way of access: `command`, `postgresql`, `flight`, `python` or `pages`.
    """

    user: str
    source: str

    @classmethod
    def here(cls, source: str = "command") -> Reader:
        """Return the user of this process, by number if the system has no name."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = f"uid {os.getuid()}"
        return cls(user, source)


@dataclass(frozen=True)
class Asked:
    """A statement and its outcome.

    Attributes:
        at: Time of the statement, in UTC.
        user, source: As for `Reader`.
        role: Role of the user; `owner` for the lake's owner.
        policy: The row filters and masks that apply, in words; empty for none.
        statement: Its shape, without values.
        tables: The tables that it reads, as `<domain>.<table>`.
        columns: The columns that it may read, as `<domain>.<table>.<column>`.
        rows: Number of rows that were fetched.
        milliseconds: Time until the last row was fetched.
        verdict: `answered`, `refused`, `failed` or `cancelled`. A statement whose rows were not all
            fetched counts as cancelled.
        code: SQLSTATE of an error; empty without one.
    """

    at: str
    user: str
    role: str
    source: str
    policy: str
    statement: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    milliseconds: int
    verdict: str
    code: str


class AuditFolder:
    """Adds records to this process's file of the day in UTC.

    Each line is written at once, so that a killed process loses no record of an answer.

    Args:
        folder: The folder, which is created with the first record.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._lock = Lock()

    def add(self, asked: Asked) -> None:
        """Add a record.

        Raises:
            LakehouseError: the folder cannot be written.
        """
        line = json.dumps(asdict(asked), ensure_ascii=False) + "\n"
        path = self._folder / f"{asked.at[:10]}-{self._name}"
        try:
            with self._lock:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                with os.fdopen(descriptor, "ab") as file:
                    file.write(line.encode())
        except OSError as error:
            raise LakehouseError(
                f"The audit record cannot be written to {self._folder} ({error.strerror}); make "
                "the folder writable, or set LAKEHOUSE_AUDIT to another one."
            ) from error


def records(path: Path) -> Iterator[Asked]:
    """Read the complete lines of a file of records."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                found = json.loads(line)
                yield Asked(**{**found, "tables": tuple(found["tables"]),
                               "columns": tuple(found["columns"])})  # fmt: skip


def day_of(path: Path) -> datetime:
    """Return the day whose records a file holds."""
    return datetime.fromisoformat(path.name[:10]).replace(tzinfo=UTC)
