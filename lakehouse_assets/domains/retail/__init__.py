"""Wide World Importers retail: campaigns, tweets, sales, customers and the website, to analytics.

Built as `airline/` is: `tables/` declares every table, by source; `expectations.py` says what rows
must fulfil, `transforms/` holds the pure rules; `silver.py` and `gold.py` are the thin assets,
which `assets.py` gathers. `reference.py` holds what the spec lists and no source delivers,
`sources.py` says which databases deliver what. `sample/retail` makes the sample.
"""
