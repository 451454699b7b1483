"""Wide World Importers retail: analytics of campaigns, tweets, sales, customers and the website.

Laid out like `airline/`. `shared.py` has what several datasets share, `reference.py` data that the
spec lists and no source delivers, `sources.py` the database tables that are landed. `sample/retail`
generates the sample.
"""
