"""What Dagster loads: the one `Definitions` object, for the settings of the environment.

`lakehouse run` builds its own, once.
"""

import gc

# Dagster's classes and the definitions live as long as the process: looking for garbage among them
# while they are made takes a tenth of the time, and so it would at each full collection later.
gc.disable()
try:
    from lakehouse_assets.orchestration.assembly import build_defs
    from lakehouse_assets.settings import load_settings

    defs = build_defs(load_settings())
finally:
    gc.freeze()
    gc.enable()
