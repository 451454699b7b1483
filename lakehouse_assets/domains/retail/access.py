"""What each role may read of the retailer's tables."""

from lakehouse_assets.catalog.access import NULL, Grant, Role, RowFilter

ROLES = (
    Role(
        "analyst",
        "Sees customers and authors of tweets by hashed key, and no text of tweets.",
        (
            Grant(
                ("*",),
                layers=("gold", "segments"),
                masks={"churn_probability": None, "twitter_text": NULL},
            ),
        ),
    ),
    Role(
        "marketing",
        "Sees customers by hashed key, and no author or text of tweets.",
        (
            Grant(
                ("*campaign*", "country_*", "website_*", "sales_days", "tweet*",
                 "gold_customer_churn"),
                layers=("gold",),
                shows=("demographic",),
                masks={"username": NULL, "twitter_text": NULL, "inputs_digest": NULL},
            ),
        ),
    ),
    Role(
        "manager_london",
        "Runs the store in London: its sales, devices and alarms.",
        (
            Grant(
                ("fact_sales", "gold_store_weeks", "sales_days", "sales_weeks"),
                rows=RowFilter("store", (6,)),
            ),
            Grant(
                ("agg_*", "gold_device*", "gold_threshold_violations", "thermostat_anomalies",
                 "occupancy_anomalies", "dim_devices"),
                rows=RowFilter("store_id", ("S006",)),
            ),
            Grant(("dim_stores", "dim_products", "dim_campaigns", "conformed.*")),
        ),
    ),
    Role(
        "steward",
        "Reads every table of the retailer as it is stored.",
        (Grant(("*",), shows=("identifier", "contact", "demographic", "location")),),
    ),
)  # fmt: skip
