"""The retail domain."""

from datetime import date

from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.domains.retail.datasets import DATASETS
from lakehouse_assets.domains.retail.gold import (
    campaigns,
    dimensions,
    product,
    sales,
    tweets,
    website,
)
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.domains.retail.sources import SOURCES

RETAIL = Domain(
    name=DOMAIN,
    owner=OWNER,
    datasets=DATASETS,
    gold=(
        *campaigns.GOLD,
        *tweets.GOLD,
        *product.GOLD,
        *dimensions.GOLD,
        *sales.GOLD,
        *website.GOLD,
    ),
    sources=SOURCES,
    first_partition=date(2021, 1, 1),
)
