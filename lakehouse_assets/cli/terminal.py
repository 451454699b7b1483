"""The terminal that commands print to: strings are text, never markup, emoji or control codes."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from lakehouse_assets.text import visible


class Terminal(Console):
    """A console that shows every string as it is; styles are given as `Text` or `style`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string, such as a sentence or a table's cell, to text for the terminal."""
        return super().render_str(visible(text, keep="\n"), **options)


# Without a terminal the width is fixed and large enough, so that logs and pipes get whole tables.
console = Terminal(width=None if sys.stdout.isatty() else 140)
errors = Terminal(stderr=True, soft_wrap=True, highlight=False)
