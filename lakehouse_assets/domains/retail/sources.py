"""Where the retail domain's datasets come from: tables of databases."""

from __future__ import annotations

from datetime import timedelta

from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.domains.retail.datasets import campaigns, customers, online_sales, store_sales

SOURCES = (
    # Snowflake in the reference lab. Results have no number, so that they have no order. A week's
    # results may still be corrected: of what is copied again, what differs replaces what it was.
    SourceTable(
        dataset=campaigns.CAMPAIGNS,
        source="marketing",
        table="campaigns",
        cursor="CampDate",
        overlap=timedelta(days=7),
    ),
    # SQL Server in the lab. Rows are numbered as they are written, and are not changed.
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
    # Teradata in the lab. Customers do not say when they changed, so each copy is a snapshot.
    SourceTable(
        dataset=customers.CUSTOMERS,
        source="crm",
        table="customers",
        key=("CustomerID",),
    ),
)
