"""Airline loyalty: members, flights and transactions to customer value and segments.

`tables.py` declares every table, `expectations.py` what rows must fulfil, `transforms/` holds the
pure rules, `reference/` the mapping data; `bronze.py`, `silver.py`, `gold.py` and `segments.py` are
the thin assets.
"""
