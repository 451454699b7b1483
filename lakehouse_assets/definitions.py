"""The `Definitions` object that Dagster loads, for the settings of the environment."""

import gc

# Dagster's classes and the definitions live as long as the process, so collecting garbage while
# they are made only costs time (a tenth of it).
gc.disable()
try:
    from lakehouse_assets.orchestration.assembly import build_defs
    from lakehouse_assets.settings import load_settings

    defs = build_defs(load_settings())
finally:
    gc.freeze()
    gc.enable()
