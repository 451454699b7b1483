"""The forecast of store sales: its input weeks, its result, and tables derived from it."""

from __future__ import annotations

from datetime import date
from functools import reduce
from typing import Final

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, so_far
from lakehouse_assets.catalog.registry import (
    MODEL_VERSION,
    Column,
    Measure,
    Reference,
    TableView,
    same_month,
)
from lakehouse_assets.clock import following
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.retail.datasets.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.domains.retail.gold.campaigns import DIM_CAMPAIGNS
from lakehouse_assets.domains.retail.gold.common import TOTAL, gold, view
from lakehouse_assets.domains.retail.gold.dimensions import (
    ALL_CATEGORIES,
    ALL_PRODUCTS,
    product_key,
)
from lakehouse_assets.domains.retail.shared import CURRENCY
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

WEEKS_AHEAD: Final = 10
"""Number of weeks that are forecast."""

RECENT: Final = 8
"""Number of weeks whose mean price is assumed for the weeks ahead."""

_EPOCH: Final = date(1970, 1, 1)

_STORE = Column("store", "int", "Number of the store.", False, "id")
_BRAND = Column("brand", "string", "Brand.", False)
_WEEK = Column("week_start", "date", "First day of the week.", False)
_AHEAD = Column(
    "weeks_ahead", "int", "Weeks after the last delivered week; 0 for delivered weeks.", False,
    "count",
)  # fmt: skip

GOLD_STORE_WEEKS = gold(
    "gold_store_weeks",
    f"Input of the sales forecast: sales by store, brand and week so far, and the {WEEKS_AHEAD} "
    f"weeks ahead. Weeks ahead have the average price of the last {RECENT} weeks and the latest "
    f"advert. A brand that a store has not sold for {RECENT} weeks has no weeks ahead. Weeks that "
    "begin after the month are left out, because they are usually typing errors.",
    (
        _STORE, _BRAND, _WEEK, _AHEAD,
        Column("week_number", "int", "Number of weeks since 1 January 1970.", False, "count"),
        Column("quantity", "bigint", "Pieces sold; null for weeks ahead.", unit="pieces"),
        Column("price", "double", "Revenue per piece, to 4 decimals; null if nothing was sold.",
               unit=CURRENCY),
        Column("advert", "int", "1 if the brand was advertised in the week, else 0.", False,
               "code"),
    ),
    ("store", "brand", "week_start", "weeks_ahead"),
    kind="cumulative",
    topic="forecast",
)  # fmt: skip

_BOUND = "Null before the first model."

GOLD_SALES_FORECAST = gold(
    "gold_sales_forecast",
    f"Forecast of the pieces that a store will sell of a brand in each of the {WEEKS_AHEAD} weeks "
    "ahead. Eight of ten weeks should lie between p10 and p90.",
    (
        _STORE, _BRAND, _WEEK, _AHEAD,
        Column("price", "double", "Assumed price.", unit=CURRENCY),
        Column("promotion", "string", "Assumed promotion: feature if advertised, deal if at "
               f"least 5 % cheaper than in the previous {RECENT} weeks, else none."),
        Column("method", "string", "Method of the forecast: trees (boosted trees), recent (mean of "
        f"the last {RECENT} weeks), last_week, year_before (same week of the previous year), "
        "smoothed (exponential smoothing), or similar (mean that gives recent weeks with a similar "
        f"price and advert the highest weight). {_BOUND}"),
        Column("forecast_p10", "double", f"Lower bound: one of ten weeks is below it. {_BOUND}",
               unit="pieces"),
        Column("forecast_p50", "double", f"Forecast (median). {_BOUND}", unit="pieces"),
        Column("forecast_p90", "double", f"Upper bound: one of ten weeks is above it. {_BOUND}",
               unit="pieces"),
        MODEL_VERSION,
    ),
    ("store", "brand", "week_start"),
    kind="snapshot",
    topic="forecast",
    aliases=("salespredictiondata",),
)  # fmt: skip

SALES_OUTLOOK = view(
    "sales_outlook",
    "Pieces that each store sold of each brand by week, followed by the forecast for the weeks "
    "ahead: the union of gold_store_weeks and gold_sales_forecast.",
    (
        *GOLD_STORE_WEEKS.pick("store", "brand", "week_start", "weeks_ahead", "quantity"),
        *GOLD_SALES_FORECAST.pick("method", "forecast_p10", "forecast_p50", "forecast_p90"),
    ),
    ("store", "brand", "week_start", "weeks_ahead"),
    topic="forecast",
    references=(Reference(("store",), "dim_stores", ("store",)), dates("week_start")),
    measures=(
        Measure("pieces", "sum(quantity)", "pieces", "additive", "Pieces sold."),
        Measure("forecast", "sum(forecast_p50)", "pieces", "additive",
                "Pieces forecast by the model."),
        Measure("forecast_low", "sum(forecast_p10)", "pieces", "non_additive",
                "Sum of the lower bounds of each store and brand."),
        Measure("forecast_high", "sum(forecast_p90)", "pieces", "non_additive",
                "Sum of the upper bounds of each store and brand."),
    ),
)  # fmt: skip

_SUMMED = "of all stores: the sum of each store's bound, so the interval is wider than 80 %."

GOLD_DEMAND_FORECAST = gold(
    "gold_demand_forecast",
    f"Pieces of each product that all stores are expected to sell in the next {WEEKS_AHEAD} weeks, "
    "for planning stock.",
    (
        Column("product_key", "bigint", "Key of the product in dim_products.", False, "id"), _BRAND,
        Column("first_week", "date", "First day of the first week forecast.", False),
        Column("weeks", "int", "Number of weeks forecast.", False, "count"),
        Column("demand_low", TOTAL, f"Lower bound {_SUMMED}", unit="pieces"),
        Column("demand", TOTAL, "Forecast for all stores.", unit="pieces"),
        Column("demand_high", TOTAL, f"Upper bound {_SUMMED}", unit="pieces"),
        MODEL_VERSION,
    ),
    ("product_key",),
    kind="snapshot",
    topic="forecast",
    references=(same_month(("product_key",), "dim_products"),),
)  # fmt: skip

GOLD_POST_CAMPAIGN_REVENUE = gold(
    "gold_post_campaign_revenue",
    "Revenue that all stores are expected to make in each week ahead, at the prices that the "
    "forecast assumes, with the number of weeks since the latest campaign. Empty if there is no "
    "campaign.",
    (
        _WEEK,
        Column("weeks_after_campaign", "int", "Weeks since the last day of the latest campaign; "
               "negative while it is running.", False, "count"),
        Column("revenue_low", TOTAL, f"Lower bound {_SUMMED}", unit=CURRENCY),
        Column("predicted_revenue", TOTAL, "Forecast for all stores.", unit=CURRENCY),
        Column("revenue_high", TOTAL, f"Upper bound {_SUMMED}", unit=CURRENCY),
        MODEL_VERSION,
    ),
    ("week_start",),
    kind="snapshot",
    topic="forecast",
    measures=(
        Measure("predicted_revenue", "sum(predicted_revenue)", CURRENCY, "semi_additive",
                "Revenue forecast for all stores."),
        Measure("revenue_low", "sum(revenue_low)", CURRENCY, "non_additive",
                "Sum of the stores' lower bounds."),
        Measure("revenue_high", "sum(revenue_high)", CURRENCY, "non_additive",
                "Sum of the stores' upper bounds."),
    ),
)  # fmt: skip


def store_weeks(store_sales: DataFrame, month: date) -> DataFrame:
    """Add up sales by week and add the weeks ahead; columns as declared for `gold_store_weeks`.

    Args:
        store_sales: Rows of `silver_store_sales` delivered by the end of the month.
        month: The month, as its first day.
    """
    series = ("store", "brand")
    start = F.col("week_starting")
    # Floor division: weeks before 1970 count down.
    number = F.floor(v.ratio(v.days_between(F.lit(_EPOCH), start), F.lit(7))).cast("int")
    begun = store_sales.filter(start < F.lit(following(month, "month")))
    sold = v.staged(
        begun.groupBy(*series, "week_starting").agg(
            F.sum("quantity").cast("bigint").alias("quantity"),
            v.total(F.col("revenue"), 4).alias("revenue"),
            F.coalesce(F.max("advert"), F.lit(0)).cast("int").alias("advert"),
        )
    ).select(
        *series, start.alias("week_start"), number.alias("week_number"), "quantity", "revenue",
        "advert",
    )  # fmt: skip
    sold = v.staged(sold)
    last = sold.agg(
        F.max("week_number").alias("last_number"), F.max("week_start").alias("last_start")
    )
    rank = F.row_number().over(
        W.partitionBy(*series).orderBy(F.col("week_start").desc_nulls_last())
    )
    newest = v.staged(
        sold.join(last, F.col("last_number") - F.col("week_number") < F.lit(RECENT)).withColumn(
            "newest", rank
        )
    )
    plan = v.staged(
        newest.groupBy(*series).agg(
            F.max("last_number").alias("last_number"),
            F.max("last_start").alias("last_start"),
            _price(v.total(F.col("revenue"), 4), F.sum("quantity")).alias("price"),
            F.max(F.when(F.col("newest") == F.lit(1), F.col("advert"))).alias("advert"),
        )
    )
    delivered = sold.select(
        *series, "week_start", F.lit(0).alias("weeks_ahead"), "week_number", "quantity",
        _price(F.col("revenue"), F.col("quantity")).alias("price"), "advert",
    )  # fmt: skip
    ahead = [
        plan.select(
            *series,
            v.add_days(F.col("last_start"), F.lit(7 * weeks)).alias("week_start"),
            F.lit(weeks).alias("weeks_ahead"),
            (F.col("last_number") + F.lit(weeks)).cast("int").alias("week_number"),
            F.lit(None).cast("bigint").alias("quantity"),
            "price",
            F.col("advert").cast("int").alias("advert"),
        )
        for weeks in range(1, WEEKS_AHEAD + 1)
    ]
    rows = reduce(lambda one, other: one.unionByName(other), [delivered, *ahead])
    return rows.withColumn("as_of_month", F.lit(month))


def sales_outlook(weeks: DataFrame, forecast: DataFrame) -> DataFrame:
    """Unite sold and forecast weeks; columns as declared for `sales_outlook`.

    Args:
        weeks: Rows of `gold_store_weeks`.
        forecast: Rows of `gold_sales_forecast` of the same month.
    """
    sold = weeks.filter(F.col("weeks_ahead") == F.lit(0))
    both = [
        frame.select(
            *[
                F.col(c.name) if c.name in names else F.lit(None).cast(c.type).alias(c.name)
                for c in SALES_OUTLOOK.columns
            ]
        )
        for frame, names in (
            (sold, GOLD_STORE_WEEKS.column_names),
            (forecast, GOLD_SALES_FORECAST.column_names),
        )
    ]
    return both[0].unionByName(both[1])


def demand_forecast(forecast: DataFrame) -> DataFrame:
    """Add up the forecast by product; columns as declared for `gold_demand_forecast`.

    Args:
        forecast: The month's rows of `gold_sales_forecast`.
    """
    names = {
        "product_category": F.lit(ALL_CATEGORIES),
        "product": F.lit(ALL_PRODUCTS),
        "product_key": product_key(),
    }
    named = forecast
    for name, value in names.items():
        named = named.withColumn(name, value)
    parts = {"demand_low": "p10", "demand": "p50", "demand_high": "p90"}
    return named.groupBy("as_of_month", "product_key", "brand").agg(
        F.min("week_start").alias("first_week"),
        F.max("weeks_ahead").cast("int").alias("weeks"),
        *(_sum(F.col(f"forecast_{part}")).alias(name) for name, part in parts.items()),
        F.max("model_version").alias("model_version"),
    )


def post_campaign_revenue(forecast: DataFrame, campaigns: DataFrame) -> DataFrame:
    """Add up the forecast revenue by week; columns as for `gold_post_campaign_revenue`.

    Args:
        forecast: The month's rows of `gold_sales_forecast`.
        campaigns: The month's rows of `dim_campaigns`.
    """
    last = campaigns.agg(F.max("last_day").alias("last_day"))
    since = v.ratio(v.days_between(F.col("last_day"), F.col("week_start")), F.lit(7))
    parts = {"revenue_low": "p10", "predicted_revenue": "p50", "revenue_high": "p90"}
    return (
        forecast.join(last, F.col("last_day").isNotNull())
        .groupBy("as_of_month", "week_start", "last_day")
        .agg(
            *(
                _sum(F.col(f"forecast_{part}") * F.col("price")).alias(name)
                for name, part in parts.items()
            ),
            F.max("model_version").alias("model_version"),
        )
        .withColumn("weeks_after_campaign", F.floor(since).cast("int"))
    )


def _price(revenue: Col, quantity: Col) -> Col:
    """Return the price of a piece to 4 decimals, so that engines agree."""
    return v.round_half_up(v.ratio(revenue, quantity), 4)


def _sum(column: Col) -> Col:
    """Add up numbers exactly, each rounded to 2 decimals, so that their order does not matter."""
    return v.total(v.round_half_up(column, 2).cast(TOTAL), 2)


GOLD = (
    GoldTable(
        GOLD_STORE_WEEKS,
        store_weeks,
        {"store_sales": so_far(SILVER_STORE_SALES)},
        triggered_by=(quarantine_table(STORE_SALES),),
    ),
    GoldTable(GOLD_DEMAND_FORECAST, demand_forecast, {"forecast": GOLD_SALES_FORECAST}),
    GoldTable(
        GOLD_POST_CAMPAIGN_REVENUE,
        post_campaign_revenue,
        {"forecast": GOLD_SALES_FORECAST, "campaigns": DIM_CAMPAIGNS},
    ),
)

VIEWS = (
    TableView(
        SALES_OUTLOOK,
        sales_outlook,
        {"weeks": GOLD_STORE_WEEKS, "forecast": GOLD_SALES_FORECAST},
    ),
)
