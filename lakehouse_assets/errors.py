"""The error of this project whose message a user reads.

Belongs here: exception classes shared by all rooms. Not here: checks that raise them.
"""

from __future__ import annotations


class LakehouseError(Exception):
    """An error whose message is one plain sentence with its remedy."""


class FileRefusedError(LakehouseError):
    """A delivered file that cannot be read as a whole; the other files of the run go on."""
