"""The page on sales: by week, store and brand, with the forecast."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.retail.shared import DOMAIN

_BAND = ("forecast_low", "forecast", "forecast_high")

SALES = Page(
    "sales",
    "Sales",
    DOMAIN,
    "Sales of the stores and the web shop, and the forecast of store sales. Stores report by week.",
    sources=(
        Source(
            "fact_sales",
            dimensions={
                "week": "dim_date.week_start",
                "city": "dim_stores.city",
                "latitude": "dim_stores.dim_places.latitude",
                "longitude": "dim_stores.dim_places.longitude",
            },
        ),
        Source(
            "fact_sales",
            name="web_shop",
            where="channel = 'online'",
            dimensions={
                "product": "dim_products.product",
                "product_category": "dim_products.product_category",
            },
        ),
        Source("sales_outlook", dimensions={"week": "week_start", "city": "dim_stores.city"}),
        Source("gold_post_campaign_revenue"),
    ),
    slicers=(Slicer("channel"), Slicer("brand"), Slicer("city")),
    labels={"city": "Store", "weeks_after_campaign": "Weeks after the latest campaign",
            "method": "Forecast method"},
    visuals=(
        Visual("card", "Revenue", measures=("revenue",), width=3),
        Visual("card", "Pieces", measures=("pieces",), width=3),
        Visual("card", "Revenue per piece", measures=("revenue_per_piece",), width=3),
        Visual("card", "Pieces expected in the next ten weeks", source="sales_outlook",
               measures=("forecast",), width=3),
        Visual("stacked_column", "Revenue by week", dimensions=("week",), measures=("revenue",),
               series="channel", sort="dimension", width=7),
        Visual("donut", "Revenue by brand", dimensions=("brand",), measures=("revenue",),
               width=5),
        Visual(
            "forecast_band", "Pieces sold in stores, with forecast", source="sales_outlook",
            dimensions=("week",), measures=(*_BAND, "pieces"), width=12,
            note="Weeks ahead are model output. The band adds up the bounds (p10 and p90) of each "
            "store and brand, so it contains the total in more than eight of ten weeks. The line "
            "adds up medians, so the total is usually somewhat higher. If the forecast is flat, "
            "the mean of earlier weeks was the best method.",
        ),
        Visual("bar", "Revenue by store", dimensions=("city",), measures=("revenue",),
               note="(none) is the web shop."),
        Visual("map", "Revenue by store location", dimensions=("city", "latitude", "longitude"),
               measures=("revenue",)),
        Visual(
            "bar", "Revenue of the web shop by product", source="web_shop",
            dimensions=("product_category", "product"), measures=("revenue",), drill=True,
            note="Stores report brands only.",
        ),
        Visual(
            "forecast_band", "Store revenue after the latest campaign",
            source="gold_post_campaign_revenue", dimensions=("weeks_after_campaign",),
            measures=("revenue_low", "predicted_revenue", "revenue_high"),
            note="Model output at assumed prices. Always for all stores and brands.",
        ),
        Visual("table", "Forecast by store and brand", source="sales_outlook",
               dimensions=("city", "brand", "method"), measures=_BAND, width=12,
               note="Model output: pieces in the ten weeks ahead."),
    ),
)  # fmt: skip
