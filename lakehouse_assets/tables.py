"""The one registry: every table of every domain."""

from lakehouse_assets.airline.tables import DATASETS as AIRLINE_DATASETS
from lakehouse_assets.airline.tables import TABLES as AIRLINE_TABLES
from lakehouse_assets.lake.registry import Registry
from lakehouse_assets.quality.tables import TABLES as QUALITY_TABLES

DATASETS = (*AIRLINE_DATASETS,)
REGISTRY = Registry((*AIRLINE_TABLES, *QUALITY_TABLES))
