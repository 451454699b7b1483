"""Every table and landing dataset of the retail domain, declared once, a module for each source."""

from __future__ import annotations

from lakehouse_assets.domains.retail.tables import (
    campaigns,
    customers,
    documents,
    online_sales,
    store_sales,
    tweets,
    website,
)

DATASETS = (
    campaigns.CAMPAIGNS,
    tweets.TWEETS,
    store_sales.STORE_SALES,
    online_sales.ONLINE_SALES,
    customers.CUSTOMERS,
    website.WEBSITE,
    documents.DOCUMENTS,
)

SILVER = (
    campaigns.SILVER_CAMPAIGNS,
    tweets.SILVER_TWEETS,
    store_sales.SILVER_STORE_SALES,
    online_sales.SILVER_ONLINE_SALES,
    customers.SILVER_CUSTOMERS,
    website.SILVER_WEBSITE,
    documents.SILVER_DOCUMENTS,
)
