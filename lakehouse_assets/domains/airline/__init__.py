"""Airline loyalty: members, flights and transactions to customer value and segments.

`domain.py` says what the domain consists of. `tables.py` declares what is delivered and its silver
tables, `expectations.py` what rows must fulfil, `transforms/` types them. `gold/` has a file for
each topic of gold tables, `models/` the models, `reference/` the mapping data. `sample/airline`
makes the sample landing zone.
"""
