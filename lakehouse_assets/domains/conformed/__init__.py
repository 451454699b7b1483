"""Conformed dimensions: what means the same in every domain, such as a day, and is kept once.

`tables.py` declares them, `transforms/` holds the pure rules, `assets.py` the thin assets. What
only one domain knows belongs to that domain.
"""
