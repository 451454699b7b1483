"""The one registry: every table, landing dataset and database source of every domain."""

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.domains.airline.tables import DATASETS as AIRLINE_DATASETS
from lakehouse_assets.domains.airline.tables import TABLES as AIRLINE_TABLES
from lakehouse_assets.domains.conformed.tables import TABLES as CONFORMED_TABLES
from lakehouse_assets.domains.retail.sources import SOURCES as RETAIL_SOURCES
from lakehouse_assets.domains.retail.tables import DATASETS as RETAIL_DATASETS
from lakehouse_assets.domains.retail.tables import TABLES as RETAIL_TABLES
from lakehouse_assets.quality.tables import TABLES as QUALITY_TABLES

DATASETS = (*AIRLINE_DATASETS, *RETAIL_DATASETS)
REGISTRY = Registry((*CONFORMED_TABLES, *AIRLINE_TABLES, *RETAIL_TABLES, *QUALITY_TABLES))
SOURCES = RETAIL_SOURCES
MODELS = {spec.name: spec for spec in (SEGMENTS,)}
