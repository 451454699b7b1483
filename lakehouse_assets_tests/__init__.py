"""Tests of the project, room by room."""

import gc

# As the command line does: looking for cycles was a sixth of the tests' time.
gc.set_threshold(500_000, 20, 50)
