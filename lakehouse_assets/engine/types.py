"""Names for the DataFrame API's types, engine-neutral.

The embedded engine's classes and PySpark's share no base class, so for the type checker they are
opaque.
"""

from __future__ import annotations

from typing import Any, TypeAlias

DataFrame: TypeAlias = Any
Col: TypeAlias = Any
