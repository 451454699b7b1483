"""Seeded deliveries of the retail domain, calibrated to the profiles of the reference's data.

A module for each source; `draws.py` is what they share, `__main__.py` the command line. Equal
configurations give equal bytes. Nothing of a real person is in them: names and texts are made up.
"""
