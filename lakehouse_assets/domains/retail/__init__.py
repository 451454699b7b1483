"""Wide World Importers retail: analytics of campaigns, tweets, sales, customers and the website.

Laid out like `airline/`. `shared.py` has what several datasets share, `reference/` the data that no
source delivers, and `sources.py` the database tables that are landed. `sample/retail` generates the
sample.
"""
