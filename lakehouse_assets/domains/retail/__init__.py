"""Wide World Importers retail: campaigns, tweets, sales, customers and the website, to analytics.

Built as `airline/` is. `shared.py` has what several datasets have in common, `reference.py` what
the spec lists and no source delivers; `sources.py` says which databases deliver what.
`sample/retail` makes the sample.
"""
