"""Every table and landing dataset of the retail domain, declared once, a module for each source."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table, rejects_table
from lakehouse_assets.domains.retail.tables import (
    campaigns,
    customers,
    dimensions,
    documents,
    online_sales,
    product,
    sales,
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

TABLES = (
    *(
        make(dataset)
        for dataset in DATASETS
        for make in (bronze_table, rejects_table, quarantine_table)
    ),
    *campaigns.TABLES,
    *tweets.TABLES,
    *product.TABLES,
    *store_sales.TABLES,
    *online_sales.TABLES,
    *customers.TABLES,
    *website.TABLES,
    *documents.TABLES,
    *dimensions.TABLES,
    *sales.TABLES,
)
