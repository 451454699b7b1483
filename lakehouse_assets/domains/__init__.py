"""The contents of the lake: `DOMAINS`, the one list of domains, and what is derived from it."""

from lakehouse_assets.catalog.access import access_of_roles
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.domains.airline.domain import AIRLINE
from lakehouse_assets.domains.conformed.domain import CONFORMED
from lakehouse_assets.domains.retail.domain import RETAIL
from lakehouse_assets.quality.tables import TABLES as QUALITY_TABLES

DOMAINS = (CONFORMED, AIRLINE, RETAIL)

REGISTRY = Registry(
    (*(table for domain in DOMAINS for table in domain.tables), *QUALITY_TABLES),
    [view for domain in DOMAINS for view in domain.views],
)
DATASETS = tuple(dataset for domain in DOMAINS for dataset in domain.datasets)
STREAMS = tuple(stream for domain in DOMAINS for stream in domain.streams)
SOURCES = tuple(source for domain in DOMAINS for source in domain.sources)
MODEL_TABLES = {model.spec.name: model for domain in DOMAINS for model in domain.models}
MODELS = {name: model.spec for name, model in MODEL_TABLES.items()}
EVALUATIONS = {item.name: item for domain in DOMAINS for item in domain.evaluations}
TRAININGS = {item.name: item for domain in DOMAINS for item in domain.trainings}
ROLES = access_of_roles(
    REGISTRY, ((domain.name, role) for domain in DOMAINS for role in domain.roles)
)
PAGES = tuple(page for domain in DOMAINS for page in domain.pages)
