"""A lakehouse on Delta Lake, as Dagster assets.

`domains` declares what the lake contains; `orchestration` holds all of Dagster, and `cli` the
`lakehouse` command. The packages between them are plain Python.

`table` and `sql` read the lake of the settings:

    import lakehouse_assets
    lakehouse_assets.table("<domain>.<table>").df()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse_assets.notebook import sql as sql
    from lakehouse_assets.notebook import table as table


def __getattr__(name: str) -> Any:
    """Return `table` or `sql`; their imports wait until one is used."""
    if name in ("table", "sql"):
        return getattr(import_module("lakehouse_assets.notebook"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
