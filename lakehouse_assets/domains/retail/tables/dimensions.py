"""The dimensions of the retail star schema besides campaigns, dates, places and countries.

Dates, places and countries are conformed: they mean the same in every domain. Customers are not:
the shop's customers and the airline's members have no number in common, and names and addresses are
no ground on which to call two people one. Campaigns are described beside their results.
"""

from __future__ import annotations

from lakehouse_assets.catalog.registry import LOADED, Column, Reference, Table
from lakehouse_assets.domains.retail.tables.common import DOMAIN, OWNER, gold
from lakehouse_assets.domains.retail.tables.customers import ATTRIBUTES

DIM_STORES = Table(
    domain=DOMAIN,
    name="dim_stores",
    layer="gold",
    description="The ten stores of the spec's section 2: S001 Miami to S010 Chicago.",
    columns=(
        Column("store", "int", "Number of the store, as store sales have it.", False, "id"),
        Column("store_id", "string", "Its name at thermostats and door counters: S001 ...", False),
        Column("city", "string", "City.", False),
        Column("place_name", "string", "The city in dim_places, which knows where it lies.", False),
        Column("country_code", "string", "Country, ISO alpha-2.", False),
        LOADED,
    ),
    keys=("store",),
    owner=OWNER,
    kind="reference",
    topic="dimensions",
    references=(
        Reference(("place_name",), "dim_places", ("place_name",)),
        Reference(("country_code",), "dim_countries", ("country_code",)),
    ),
)

DIM_PRODUCTS = gold(
    "dim_products",
    "One row per product that was sold by the end of a month. Stores tell sales by brand only: "
    "what they sold is All products of a brand.",
    (
        Column("product_key", "bigint", "Hash of category, product and brand.", False, "id"),
        Column("product", "string", "Product, or All products.", False),
        Column("product_category", "string", "Category, All categories or Unknown.", False),
        Column("brand", "string", "Brand.", False),
        LOADED,
    ),
    ("product_key",),
    kind="dimension",
    topic="dimensions",
)

DIM_RETAIL_CUSTOMERS = gold(
    "dim_retail_customers",
    "One row per customer as of the end of a month, from the latest snapshot delivered by then.",
    (
        Column("customer_id", "string", "Number of the customer.", False, pii=True),
        *ATTRIBUTES,
        Column("snapshot_month", "date", "Month of the snapshot, as its first day.", False),
        LOADED,
    ),
    ("customer_id",),
    kind="dimension",
    topic="dimensions",
)
