"""The delivered datasets of the retail domain, one module each."""

from __future__ import annotations

from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.datasets.documents import DOCUMENTS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import STORE_SALES
from lakehouse_assets.domains.retail.datasets.tweets import TWEETS
from lakehouse_assets.domains.retail.datasets.website import WEBSITE

DATASETS = (CAMPAIGNS, TWEETS, STORE_SALES, ONLINE_SALES, CUSTOMERS, WEBSITE, DOCUMENTS)
