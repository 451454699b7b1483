"""Sales of both channels: their dimensions, the fact, days and weeks, and a forecast's rows."""

from __future__ import annotations

from functools import partial

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import Check, GoldTable, latest, so_far
from lakehouse_assets.domains.conformed.tables import DIM_COUNTRIES
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.tables import dimensions as d
from lakehouse_assets.domains.retail.tables import sales as s
from lakehouse_assets.domains.retail.tables.customers import CUSTOMERS, SILVER_CUSTOMERS
from lakehouse_assets.domains.retail.tables.online_sales import ONLINE_SALES, SILVER_ONLINE_SALES
from lakehouse_assets.domains.retail.tables.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.domains.retail.transforms import sales_analytics, star

_SOLD = (quarantine_table(STORE_SALES), quarantine_table(ONLINE_SALES))

GOLD = (
    GoldTable(d.DIM_STORES, star.dim_stores, {"stores": reference.stores}),
    GoldTable(
        d.DIM_PRODUCTS,
        star.dim_products,
        {"store_sales": so_far(SILVER_STORE_SALES), "online_sales": so_far(SILVER_ONLINE_SALES)},
        triggered_by=_SOLD,
    ),
    GoldTable(
        d.DIM_RETAIL_CUSTOMERS,
        star.dim_retail_customers,
        {"customers": latest(SILVER_CUSTOMERS)},
        triggered_by=(quarantine_table(CUSTOMERS), *_SOLD),
    ),
    GoldTable(
        s.FACT_SALES,
        star.fact_sales,
        {
            "store_sales": SILVER_STORE_SALES,
            "online_sales": SILVER_ONLINE_SALES,
            "stores": d.DIM_STORES,
            "countries": DIM_COUNTRIES,
        },
        totals=(star.totals_of_sales,),
    ),
    GoldTable(s.SALES_DAYS, sales_analytics.sales_days, {"sales": s.FACT_SALES}),
    GoldTable(
        s.SALES_WEEKS,
        sales_analytics.sales_weeks,
        {"days": so_far(s.SALES_DAYS)},
        triggered_by=_SOLD,
        totals=(sales_analytics.totals_of_days,),
    ),
    GoldTable(
        s.SALES_TRAIN,
        partial(sales_analytics.split_by_time, train=True),
        {"sales": so_far(SILVER_STORE_SALES)},
        triggered_by=(quarantine_table(STORE_SALES),),
    ),
    GoldTable(
        s.SALES_TEST,
        partial(sales_analytics.split_by_time, train=False),
        {"sales": so_far(SILVER_STORE_SALES), "train": s.SALES_TRAIN},
        checks=(
            Check(
                "weeks_are_apart",
                "Every week of the test is later than every week of training.",
                sales_analytics.not_after_training,
            ),
            Check(
                "every_sale_is_on_one_side",
                "A store sale delivered so far is in training or in the test, once.",
                sales_analytics.not_on_one_side,
            ),
        ),
    ),
)
