"""Airline loyalty: from members, flights and transactions to customer value and segments.

`domain.py` declares the domain. `datasets/` has one module per delivered dataset, `gold/` one per
topic of gold tables, `models/` the models and `reference/` the mapping data. `sample/airline`
generates the sample landing zone.
"""
