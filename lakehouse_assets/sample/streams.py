"""The simulated sources of streams, for `lakehouse stream --simulate`."""

from lakehouse_assets.sample.retail.devices import HUBS as TOPICS
from lakehouse_assets.sample.retail.devices import simulate, simulated_until

SOURCE = "devices"

__all__ = ["SOURCE", "TOPICS", "simulate", "simulated_until"]
