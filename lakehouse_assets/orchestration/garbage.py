"""When Python looks for objects that nobody needs any more."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Look for cycles after 500,000 new objects, not 700.

    Plans of tables are large and short-lived, and looking for what is left of them took a tenth of
    a run; now it is a hundredth or two, for some 50 MB of what would have been freed earlier.
    """
    gc.set_threshold(500_000, 20, 50)


def leave_rest() -> None:
    """Never look through what exists now: what was imported stays, and what ends is freed whole."""
    gc.freeze()
