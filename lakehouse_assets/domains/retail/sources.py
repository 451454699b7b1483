"""The database tables that are copied into the landing zone as datasets of the retail domain."""

from __future__ import annotations

from datetime import timedelta

from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.domains.retail.datasets import campaigns, customers, online_sales, store_sales

SOURCES = (
    # Results have no number, so there is no key. Each copy re-reads the last week, whose results
    # may still be corrected.
    SourceTable(
        dataset=campaigns.CAMPAIGNS,
        source="marketing",
        system="Snowflake",
        table="campaigns",
        cursor="CampDate",
        overlap=timedelta(days=7),
    ),
    # Rows are numbered in order of writing and never change.
    SourceTable(
        dataset=store_sales.STORE_SALES,
        source="stores",
        system="SQL Server",
        table="store_sales",
        key=("ID",),
        cursor="ID",
    ),
    SourceTable(
        dataset=online_sales.ONLINE_SALES,
        source="shop",
        system="Oracle",
        table="online_sales",
        key=("OrderID",),
        cursor="OrderedAt",
        overlap=timedelta(hours=1),
    ),
    # No column says when a customer changed, so each copy is a snapshot.
    SourceTable(
        dataset=customers.CUSTOMERS,
        source="crm",
        system="Teradata",
        table="customers",
        key=("CustomerID",),
    ),
)
