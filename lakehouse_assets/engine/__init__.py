"""The engine boundary: one DataFrame API for transformations, whatever runs them.

Transformations import `F` (PySpark functions), `W` (PySpark Window) and `vocabulary` from this
room and take and give `DataFrame`s; they never import an engine. `current.py` knows which engine
is active, `base.py` what an engine can do, `duckdb.py` is the embedded one.
"""

from lakehouse_assets.engine.current import F, W
from lakehouse_assets.engine.types import Col, DataFrame

__all__ = ["Col", "DataFrame", "F", "W"]
