"""The airline domain."""

from datetime import date

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.domain import Domain, declared_in
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.pages import Page
from lakehouse_assets.catalog.subjects import Subject
from lakehouse_assets.domains.airline import datasets, gold, models, pages
from lakehouse_assets.domains.airline.access import ROLES
from lakehouse_assets.domains.airline.glossary import TERMS
from lakehouse_assets.domains.airline.gold.segments import GOLD_CUSTOMER_SEGMENTS_ML
from lakehouse_assets.domains.airline.gold.value import KPI_CUSTOMER_VALUE
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.domains.airline.shared import DOMAIN, OWNER
from lakehouse_assets.ml.spec import ModelTable

AIRLINE = Domain(
    name=DOMAIN,
    owner=OWNER,
    first_partition=date(2014, 1, 1),
    datasets=declared_in(datasets, Dataset),
    gold=(*declared_in(gold, GoldTable), *declared_in(models, GoldTable)),
    models=(
        ModelTable(SEGMENTS, GOLD_CUSTOMER_SEGMENTS_ML, KPI_CUSTOMER_VALUE),
        *declared_in(models, ModelTable),
    ),
    roles=ROLES,
    terms=TERMS,
    pages=declared_in(pages, Page),
    subjects=(
        Subject("member", {"flights": "member_no", "transactions": "customer_id"}, by_number=True),
    ),
)
