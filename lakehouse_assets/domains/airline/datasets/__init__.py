"""The delivered datasets of the airline domain, one module each."""

from __future__ import annotations

from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS

DATASETS = (FLIGHTS, TRANSACTIONS)
