"""The active engine of this process, and its PySpark API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse_assets.engine.base import Engine

# SQLFrame's and PySpark's classes share no base class and neither is imported before an engine
# starts, so for the type checker they are opaque.
DataFrame: TypeAlias = Any
Col: TypeAlias = Any

_active: list[Engine] = []


def activate(engine: Engine) -> None:
    """Make an engine the one that `F`, `W` and the vocabulary use."""
    _active[:] = [engine]


def active() -> Engine:
    """Return the active engine.

    Raises:
        LakehouseError: none was started.
    """
    if not _active:
        raise LakehouseError(
            "No engine is running; start one with lakehouse_assets.engine.start.start_engine()."
        )
    return _active[0]


class _Functions:
    """`pyspark.sql.functions` of the active engine."""

    def __getattr__(self, name: str) -> Any:
        return getattr(active().functions, name)


class _Window:
    """`pyspark.sql.Window` of the active engine."""

    def __getattr__(self, name: str) -> Any:
        return getattr(active().window, name)


F: Any = _Functions()
W: Any = _Window()
