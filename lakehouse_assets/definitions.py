"""What Dagster loads: the one `Definitions` object, for the settings of the environment.

`lakehouse run` builds its own, once.
"""

import gc

import dagster as _dagster  # noqa: F401

# Dagster's classes live as long as the process; without this, the garbage collector goes through
# all of them while ours are being made, and at each full collection after that.
gc.freeze()

from lakehouse_assets.orchestration.assembly import build_defs  # noqa: E402
from lakehouse_assets.settings import load_settings  # noqa: E402

defs = build_defs(load_settings())
