"""Tests of the project, room by room."""

import gc

# Looking for cycles was a sixth of the tests' time.
gc.set_threshold(500_000, 20, 50)
