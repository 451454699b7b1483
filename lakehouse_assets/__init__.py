"""A whole lakehouse as Dagster assets.

`domains` declares what the lake contains. The platform below it: `catalog` (declarations), `engine`
(one DataFrame API), `lake` (Delta tables), `storage` (files and identities), `sources` (databases),
`ingest` (landing files to bronze), `quality` (expectations, conservation), `ml` (MLflow, models),
`orchestration` (all of Dagster) and `cli`.

In Python, `table` and `sql` read the lake of the settings:

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
    """Return `table` or `sql`; what they need is imported only with them."""
    if name in ("table", "sql"):
        return getattr(import_module("lakehouse_assets.notebook"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
