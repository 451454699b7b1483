"""Wide World Importers retail: campaigns, tweets and sales to campaign and sales analytics.

Built as `airline/` is: `tables/` declares every table, by source; `expectations.py` says what rows
must fulfil, `transforms/` holds the pure rules; `silver.py` and `gold.py` are the thin assets,
which `assets.py` gathers. `generator/` makes the sample.
"""
