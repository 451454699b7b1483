"""Campaigns, with revenue and cost by day, week, country and region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import Check, GoldTable, so_far, sums
from lakehouse_assets.catalog.registry import LOADED, Column, Measure, same_month
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.conformed.gold.countries import DIM_COUNTRIES, with_country_code
from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS, SILVER_CAMPAIGNS
from lakehouse_assets.domains.retail.gold.common import (
    COUNTRIES,
    COUNTRY_CODE,
    FINE_TOTAL,
    TOTAL,
    gold,
)
from lakehouse_assets.domains.retail.shared import CURRENCY, FINE, MONEY
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

_KEY = Column(
    "campaign_key", "bigint", "Key of the campaign: hash of its name in lower case.", False, "id"
)

_BY = (
    "camp_date", "campaign_name", "country", "region", "campaign_tactic", "customer_segment",
)  # fmt: skip

_DAY, _NAME, _COUNTRY, _REGION, _TACTIC, _SEGMENT = SILVER_CAMPAIGNS.pick(*_BY)

DIM_CAMPAIGNS = gold(
    "dim_campaigns",
    "One row per campaign with results delivered by the end of a month.",
    (
        _KEY,
        _NAME,
        Column(
            "campaign_id",
            "int",
            "Number of the campaign; the lowest if there are several.",
            unit="id",
        ),
        Column("hashtag", "string", "Hashtag of the campaign: # and its name.", False),
        Column("first_day", "date", "Day of the first result.", False),
        Column("last_day", "date", "Day of the latest result so far.", False),
        LOADED,
    ),
    ("campaign_key",),
    kind="dimension",
    topic="campaigns",
    references=(dates("first_day"), dates("last_day")),
)

_RESULTS = Column("results", "bigint", "Number of results.", False, "count")
_AMOUNTS = (
    Column("responses", FINE_TOTAL, "Responses to the campaign.", False, "count"),
    Column("cost", FINE_TOTAL, "Cost of the campaign.", False, CURRENCY),
    Column(
        "revenue", FINE_TOTAL, "Revenue that marketing attributes to the campaign.", False, CURRENCY
    ),
    Column(
        "revenue_target",
        FINE_TOTAL,
        "Sum of the revenue targets; some targets are negative.",
        False,
        CURRENCY,
    ),
    Column("profit", FINE_TOTAL, "Profit; negative for a loss.", False, CURRENCY),
    Column("marketing_cost", FINE_TOTAL, "Marketing cost.", False, CURRENCY),
)

CAMPAIGN_DAYS = gold(
    "campaign_days",
    "Campaign results delivered in a month, by day, country, channel and generation. Cumulative "
    "tables add up the months, so that building a month reads only that month's results.",
    (
        _KEY,
        _DAY, _NAME, _COUNTRY, COUNTRY_CODE, _REGION, _TACTIC, _SEGMENT, _RESULTS, *_AMOUNTS,
        Column("min_cost", FINE, "Lowest cost of any result.", False, CURRENCY),
        Column("max_cost", FINE, "Highest cost of any result.", False, CURRENCY),
        Column("loss_results", "bigint", "Number of results with a negative profit.", False,
               "count"),
        Column("loss", FINE_TOTAL, "Sum of the negative profits: 0 or less.", False, CURRENCY),
    ),
    ("campaign_key", "camp_date", "country", "region", "campaign_tactic", "customer_segment"),
    kind="aggregate",
    topic="campaigns",
    references=(same_month(("campaign_key",), "dim_campaigns"), dates("camp_date"), COUNTRIES),
    measures=(
        Measure("results", "sum(results)", "count", "additive", "Number of campaign results."),
        Measure("revenue", "sum(revenue)", CURRENCY, "additive",
                "Revenue that marketing attributes to campaigns."),
        Measure("cost", "sum(cost)", CURRENCY, "additive", "Cost of campaigns."),
        Measure("profit", "sum(profit)", CURRENCY, "additive", "Profit of campaigns; negative "
                "for a loss."),
        Measure("revenue_to_target", "sum(revenue) / nullif(sum(revenue_target), 0)", "share",
                "non_additive", "Revenue as a share of its target."),
    ),
)  # fmt: skip

COUNTRY_REVENUE = gold(
    "country_revenue",
    "Revenue, target and profit by country and region, from all results delivered so far.",
    (
        _COUNTRY, COUNTRY_CODE, _REGION, _RESULTS,
        Column("total_revenue", TOTAL, "Revenue, to 2 decimals.", False, CURRENCY),
        Column("total_revenue_target", TOTAL, "Sum of the revenue targets, to 2 decimals.", False,
               CURRENCY),
        Column("total_profit", TOTAL, "Profit, to 2 decimals.", False, CURRENCY),
        Column("max_cost", MONEY, "Highest cost of any result.", False, CURRENCY),
        Column("min_cost", MONEY, "Lowest cost of any result.", False, CURRENCY),
    ),
    ("country", "region"),
    kind="cumulative",
    topic="campaigns",
    references=(COUNTRIES,),
    aliases=("gold_country_wise_revenue",),
)  # fmt: skip

_WEEK = (
    Column(
        "week_start", "date", "First day of the week, as LAKEHOUSE_WEEK_STARTS_ON sets it.", False
    ),
    Column("week_end", "date", "Last day of the week.", False),
)

CAMPAIGN_WEEKS = gold(
    "campaign_weeks",
    "Number of results by campaign and week, from all results delivered so far.",
    (
        _KEY,
        _NAME,
        *_WEEK,
        replace(_RESULTS, aliases=("count",)),
    ),
    ("campaign_key", "week_start"),
    kind="cumulative",
    topic="campaigns",
    references=(same_month(("campaign_key",), "dim_campaigns"), dates("week_start")),
    aliases=("gold_campaign_per_week",),
)

COUNTRY_PROFIT_WEEKS = gold(
    "country_profit_weeks",
    "Profit by country and week, from all results delivered so far.",
    (
        _COUNTRY, COUNTRY_CODE, *_WEEK,
        Column("total_profit", TOTAL, "Profit, to 2 decimals.", False, CURRENCY),
    ),
    ("country", "week_start"),
    kind="cumulative",
    topic="campaigns",
    references=(dates("week_start"), COUNTRIES),
    aliases=("gold_total_profit_by_country_per_week",),
)  # fmt: skip

LOSS_MAKING_CAMPAIGNS = gold(
    "loss_making_campaigns",
    "Campaigns with results that lost money, ranked by loss, from all results delivered so far.",
    (
        _KEY,
        _NAME,
        Column("loss_rank", "int", "Rank by loss: 1 for the largest.", False, "rank"),
        Column(
            "loss_results",
            "bigint",
            "Number of results with a negative profit.",
            False,
            "count",
            aliases=("loss_count",),
        ),
        Column("total_loss", TOTAL, "Sum of the negative profits, to 2 decimals.", False, CURRENCY),
        Column("total_profit", TOTAL, "Profit of all results, to 2 decimals.", False, CURRENCY),
    ),
    ("campaign_key",),
    kind="cumulative",
    topic="campaigns",
    references=(same_month(("campaign_key",), "dim_campaigns"),),
    latest_with="country_revenue",
    aliases=("gold_top_loss_making_campaign",),
)


def campaign_key(name: Col) -> Col:
    """Hash a campaign's name in lower case, so that its spellings share a key."""
    return v.hash_key(v.lower(name))


def dim_campaigns(results: DataFrame) -> DataFrame:
    """Describe campaigns with results; columns as declared for `dim_campaigns`."""
    key = campaign_key(F.col("campaign_name")).alias("campaign_key")
    grouped = (
        results.select(key, "campaign_name", "campaign_id", "camp_date")
        .groupBy("campaign_key")
        .agg(
            F.min("campaign_name").alias("campaign_name"),
            F.min("campaign_id").alias("campaign_id"),
            F.min("camp_date").alias("first_day"),
            F.max("camp_date").alias("last_day"),
        )
    )
    return grouped.withColumn("hashtag", F.concat(F.lit("#"), F.col("campaign_name")))


def campaign_days(results: DataFrame, countries: DataFrame) -> DataFrame:
    """Add up the results delivered in a month; columns as declared for `campaign_days`.

    Args:
        results: Rows of `silver_campaigns` delivered in the month.
        countries: Rows of `dim_countries`.
    """
    lost = F.col("profit") < F.lit(0)
    loss = F.when(lost, F.col("profit")).otherwise(F.lit(0).cast(FINE_TOTAL))
    grouped = results.groupBy(
        campaign_key(F.col("campaign_name")).alias("campaign_key"),
        *CAMPAIGN_DAYS.keys[2:],
    ).agg(
        F.min("campaign_name").alias("spelling"),
        F.count(F.lit(1)).alias("results"),
        *sums(*_AMOUNTS),
        F.min("cost").alias("min_cost"),
        F.max("cost").alias("max_cost"),
        F.count(F.when(lost, F.lit(1))).alias("loss_results"),
        v.total(loss, 4).alias("loss"),
    )
    # Country names are looked up here, once and for few rows; later tables reuse the codes.
    return with_country_code(_named_alike(grouped, "spelling"), countries)


def country_revenue(days: DataFrame) -> DataFrame:
    """Add up results by country and region; columns as declared for `country_revenue`."""
    return days.groupBy("country", "country_code", "region").agg(
        *sums(_RESULTS),
        _money("revenue", "total_revenue"),
        _money("revenue_target", "total_revenue_target"),
        _money("profit", "total_profit"),
        F.max("max_cost").cast(MONEY).alias("max_cost"),
        F.min("min_cost").cast(MONEY).alias("min_cost"),
    )


def campaign_weeks(days: DataFrame, week_starts_on: v.Weekday) -> DataFrame:
    """Count results by campaign and week; columns as declared for `campaign_weeks`."""
    weeks = _by_week(_named_alike(days), ("campaign_key", "campaign_name"), week_starts_on)
    return weeks.agg(*sums(_RESULTS))


def country_profit_weeks(days: DataFrame, week_starts_on: v.Weekday) -> DataFrame:
    """Add profit up by country and week; columns as declared for `country_profit_weeks`."""
    weeks = _by_week(days, ("country", "country_code"), week_starts_on)
    return weeks.agg(_money("profit", "total_profit"))


def totals_of_campaigns(results: DataFrame) -> DataFrame:
    """Return one row of totals of a month's results, which `campaign_days` must match."""
    return results.agg(
        F.count(F.lit(1)).alias("results"),
        *sums(*CAMPAIGN_DAYS.pick("cost", "revenue", "profit")),
    )


def totals_of_days(days: DataFrame) -> DataFrame:
    """Return one row with the number of results so far, which `country_revenue` must match."""
    return days.agg(*sums(_RESULTS))


def countries_that_are_off(stored: DataFrame, days: DataFrame) -> DataFrame:
    """Find countries whose weeks differ from their days by more than half a cent per week.

    Args:
        stored: The month's rows of `country_profit_weeks`, each rounded to cents.
        days: Rows of `campaign_days` of this and all earlier months.
    """
    rounded = stored.select(
        "country", F.col("total_profit").alias("amount"), F.lit(1).alias("week")
    )
    exact = days.select(
        "country", (F.lit(0) - F.col("profit")).alias("amount"), F.lit(0).alias("week")
    )
    both = [f.withColumn("amount", F.col("amount").cast(FINE_TOTAL)) for f in (rounded, exact)]
    off = (F.abs(F.sum("amount")) * F.lit(200)).alias("half_cents")
    grouped = both[0].unionByName(both[1]).groupBy("country")
    return grouped.agg(off, F.sum("week").alias("weeks")).filter(
        F.col("half_cents") > F.col("weeks")
    )


def loss_making_campaigns(days: DataFrame, month: date) -> DataFrame:
    """Rank campaigns by their losses; columns as declared for `loss_making_campaigns`."""
    grouped = (
        _named_alike(days)
        .groupBy("campaign_key", "campaign_name")
        .agg(
            *sums(*LOSS_MAKING_CAMPAIGNS.pick("loss_results")),
            _money("loss", "total_loss"),
            _money("profit", "total_profit"),
        )
        .filter(F.col("loss_results") > F.lit(0))
        .withColumn("as_of_month", F.lit(month))
    )
    order = W.partitionBy("as_of_month").orderBy(
        F.col("total_loss").asc_nulls_last(), F.col("campaign_name").asc_nulls_last()
    )
    return grouped.withColumn("loss_rank", F.row_number().over(order).cast("int"))


def _named_alike(days: DataFrame, spelling: str = "campaign_name") -> DataFrame:
    """Name each campaign by the first of its spellings, as `dim_campaigns` does."""
    name = F.min(spelling).over(W.partitionBy("campaign_key")).alias("campaign_name")
    others = [c for c in days.columns if c not in {"campaign_name", spelling}]
    return v.staged(v.staged(days).select(*others, name))


def _by_week(days: DataFrame, keys: Sequence[str], week_starts_on: v.Weekday) -> Any:
    """Group days by the keys and the week, as `week_start` and `week_end`."""
    start = v.week_start(F.col("camp_date"), week_starts_on)
    weeks = days.withColumns({"week_start": start, "week_end": v.add_days(start, F.lit(6))})
    return weeks.groupBy(*keys, "week_start", "week_end")


def _money(name: str, alias: str) -> Col:
    return F.sum(name).cast(TOTAL).alias(alias)


_SO_FAR = {"days": so_far(CAMPAIGN_DAYS)}

GOLD = (
    GoldTable(
        DIM_CAMPAIGNS,
        dim_campaigns,
        {"results": so_far(SILVER_CAMPAIGNS)},
        triggered_by=(quarantine_table(CAMPAIGNS),),
    ),
    GoldTable(
        CAMPAIGN_DAYS,
        campaign_days,
        {"results": SILVER_CAMPAIGNS, "countries": DIM_COUNTRIES},
        totals=(totals_of_campaigns,),
    ),
    GoldTable(
        COUNTRY_REVENUE,
        country_revenue,
        _SO_FAR,
        triggered_by=(DIM_CAMPAIGNS,),
        totals=(totals_of_days,),
    ),
    GoldTable(CAMPAIGN_WEEKS, campaign_weeks, _SO_FAR),
    GoldTable(
        COUNTRY_PROFIT_WEEKS,
        country_profit_weeks,
        _SO_FAR,
        triggered_by=(DIM_CAMPAIGNS,),
        checks=(
            Check(
                "weeks_add_up_to_days",
                "A country's weekly profits add up to its daily profits, to half a cent per week.",
                countries_that_are_off,
            ),
        ),
    ),
    GoldTable(LOSS_MAKING_CAMPAIGNS, loss_making_campaigns, _SO_FAR),
)
