"""The engine boundary: one DataFrame API for transformations on every engine.

Transformations import `F` (PySpark functions), `W` (PySpark Window) and `vocabulary` from this
package and take and return `DataFrame`s; they never import an engine. `base.py` defines the
interface of engines, `current.py` holds the active one; `duckdb.py` is the embedded engine,
`spark.py` is Spark.
"""

from lakehouse_assets.engine.current import Col, DataFrame, F, W

__all__ = ["Col", "DataFrame", "F", "W"]
