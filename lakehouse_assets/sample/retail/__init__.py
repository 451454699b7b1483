"""Seeded generator of a retail landing zone, calibrated to profiles of the reference lab's data.

There is one module per source; `draws.py` has shared functions, `__main__.py` the command line.
Equal configurations give equal bytes. The data contains no real person: names and texts are made
up.
"""
