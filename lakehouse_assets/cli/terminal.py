"""The terminal that commands print to, and the options that several commands share."""

from __future__ import annotations

import sys
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.text import Text

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.text import visible


class Terminal(Console):
    """A console that prints strings as they are: no markup, no emoji, control codes escaped.

    Styles are given as `Text` or `style`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string, such as a sentence or a table's cell, to text for the terminal."""
        return super().render_str(visible(text, keep="\n"), **options)


# Logs and pipes get a fixed width that fits whole tables.
console = Terminal(width=None if sys.stdout.isatty() else 140)
errors = Terminal(stderr=True, soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """Print a sentence; only the terminal itself breaks its line."""
    console.print(text, soft_wrap=True)


def given_reason(given: str) -> str:
    """Return the reason for a change as it is recorded, with control characters escaped.

    Raises:
        LakehouseError: it is empty.
    """
    if not given.strip():
        raise LakehouseError("The reason is empty; say why, because it is recorded.")
    return visible(given.strip())


ModelName: TypeAlias = Annotated[
    str, typer.Argument(help="Registered model, as `lakehouse models list` shows it.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
