"""Airline loyalty: members, flights and transactions to customer value and segments.

`tables.py` declares every table, `expectations.py` what rows must fulfil, `transforms/` holds the
pure rules, `models/` the models, `reference/` the mapping data; `silver.py`, `gold.py` and
`segments.py` are the thin assets, which `assets.py` gathers. Bronze assets follow from the datasets
(`orchestration/bronze_assets.py`).
`sample/airline` makes the sample landing zone.
"""
