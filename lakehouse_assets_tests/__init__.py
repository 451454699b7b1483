"""Tests of the project, room by room."""

from lakehouse_assets.orchestration.garbage import collect_rarely

# As the processes of the command line do, and before anything large is imported: looking for cycles
# was a sixth of the tests' time.
collect_rarely()
