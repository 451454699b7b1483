"""Names for the DataFrame API's types, engine-neutral.

SQLFrame's and PySpark's classes share no base class and neither is imported before an engine
starts, so for the type checker they are opaque.
"""

from __future__ import annotations

from typing import Any, TypeAlias

DataFrame: TypeAlias = Any
Col: TypeAlias = Any
