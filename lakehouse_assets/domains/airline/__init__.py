"""Airline loyalty: members, flights and transactions to customer value and segments.

`domain.py` says what the domain consists of. `datasets/` has a file for each delivered dataset,
`gold/` one for each topic of gold tables, `models/` the models, `reference/` the mapping data.
`sample/airline` makes the sample landing zone.
"""
