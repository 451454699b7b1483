"""The pipeline on both engines: every table, value for value."""
