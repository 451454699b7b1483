"""The pipeline through Dagster against hand-written SQL that fills the same tables.

`make bench` runs it (`python -m lakehouse_assets_tests.benchmark --help`); pytest does not collect
it. `pipeline.py` and `baseline.py` are the two contestants, each a process of its own;
`measure.py` runs them, `fingerprint.py` proves that they made the same lake and `report.py` says
what came of it.
"""
