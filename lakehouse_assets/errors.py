"""The error of this project whose message a user reads.

Belongs here: exception classes shared by all rooms. Not here: checks that raise them.
"""

from __future__ import annotations


class LakehouseError(Exception):
    """An error whose message is one plain sentence with its remedy.

    Attributes:
        passes: Whether the fault may be gone at the next attempt.
    """

    def __init__(self, message: str, *, passes: bool = False) -> None:
        super().__init__(message)
        self.passes = passes


class FileRefusedError(LakehouseError):
    """A delivered file that cannot be read as a whole; the other files of the run go on."""


class SourceNotReadyError(LakehouseError):
    """What a table is built from is missing or failed; other tables and partitions go on."""
