"""The retail domain."""

from datetime import date

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.domain import Domain, declared_in
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.pages import Page
from lakehouse_assets.catalog.registry import TableView
from lakehouse_assets.catalog.streams import LiveAlarm, Stream
from lakehouse_assets.catalog.subjects import Subject
from lakehouse_assets.domains.retail import datasets, gold, models, pages, streams
from lakehouse_assets.domains.retail.access import ROLES
from lakehouse_assets.domains.retail.glossary import TERMS
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.domains.retail.sources import SOURCES
from lakehouse_assets.ml.evaluation import Evaluation, Training
from lakehouse_assets.ml.spec import ModelTable

RETAIL = Domain(
    name=DOMAIN,
    owner=OWNER,
    first_partition=date(2021, 1, 1),
    datasets=declared_in(datasets, Dataset),
    streams=declared_in(streams, Stream),
    gold=declared_in(gold, GoldTable),
    views=declared_in(gold, TableView),
    pages=declared_in(pages, Page),
    alarms=declared_in(gold, LiveAlarm),
    models=declared_in(models, ModelTable),
    evaluations=declared_in(models, Evaluation),
    trainings=declared_in(models, Training),
    sources=SOURCES,
    roles=ROLES,
    subjects=(
        Subject("customer", {"customers": "customer_id", "online_sales": "customer_id"}),
        Subject("user", {"tweets": "username"}),
        Subject("visitor", {"visits": "visitor_id"}),
    ),
    terms=TERMS,
)
