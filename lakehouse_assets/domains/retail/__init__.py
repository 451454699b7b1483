"""Wide World Importers retail: campaigns, tweets, sales, customers and the website, to analytics.

Built as `airline/` is, with a module for each source in `tables/` and `transforms/`. `reference.py`
holds what the spec lists and no source delivers, `sources.py` says which databases deliver what.
`sample/retail` makes the sample.
"""
