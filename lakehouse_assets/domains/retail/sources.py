"""The database tables that are landed as datasets of the retail domain."""

from __future__ import annotations

from datetime import timedelta

from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.domains.retail.datasets import campaigns, customers, online_sales, store_sales

SOURCES = (
    # Snowflake in the reference lab. Results have no number, so there is no key. Each copy re-reads
    # the last week, whose results may still be corrected; changed rows replace the earlier ones.
    SourceTable(
        dataset=campaigns.CAMPAIGNS,
        source="marketing",
        table="campaigns",
        cursor="CampDate",
        overlap=timedelta(days=7),
    ),
    # SQL Server in the lab. Rows are numbered in order of writing and never change.
    SourceTable(
        dataset=store_sales.STORE_SALES,
        source="stores",
        table="store_sales",
        key=("ID",),
        cursor="ID",
    ),
    # Oracle in the lab.
    SourceTable(
        dataset=online_sales.ONLINE_SALES,
        source="shop",
        table="online_sales",
        key=("OrderID",),
        cursor="OrderedAt",
        overlap=timedelta(hours=1),
    ),
    # Teradata in the lab. No column says when a customer changed, so each copy is a snapshot.
    SourceTable(
        dataset=customers.CUSTOMERS,
        source="crm",
        table="customers",
        key=("CustomerID",),
    ),
)
