"""Names, types and units shared by the declarations of the airline domain."""

from functools import partial

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.registry import monthly_table
from lakehouse_assets.domains.airline.reference import NOTHING

DOMAIN = "airline"
OWNER = "team:loyalty"
MONEY = "decimal(18,2)"
# Wide enough for the sum of any number of amounts.
TOTAL = "decimal(38,2)"
CURRENCY = "source currency"
gold = partial(monthly_table, DOMAIN, owner=OWNER)
"""Declares a monthly table of the domain."""
dataset = partial(Dataset, domain=DOMAIN, owner=OWNER, nothing=NOTHING, dates=("M/d/yyyy",))
"""Declares a dataset of the domain."""
