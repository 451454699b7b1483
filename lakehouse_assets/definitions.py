"""What Dagster loads: the one `Definitions` object, for the settings of the environment.

`lakehouse run` builds its own, once.
"""

from __future__ import annotations

from lakehouse_assets.orchestration.assembly import build_defs
from lakehouse_assets.settings import load_settings

defs = build_defs(load_settings())
