"""The stitched data product: tweets by hashtag and city with the campaign's results.

The reference lab repeats a row for each week of the campaign, and matches hashtags to campaigns by
case. Here, each result counts once, and case does not matter.
"""

from __future__ import annotations

from lakehouse_assets.catalog.gold import GoldTable, so_far, sums
from lakehouse_assets.catalog.registry import Column, Measure
from lakehouse_assets.domains.retail.gold.campaigns import (
    CAMPAIGN_DAYS,
    DIM_CAMPAIGNS,
    campaign_key,
)
from lakehouse_assets.domains.retail.gold.common import COUNT_TOTAL, FINE_TOTAL, gold
from lakehouse_assets.domains.retail.gold.tweets import (
    SENTIMENT,
    SENTIMENTS_COUNTED,
    TWEETS_BY_CITY_AND_HASHTAG,
)
from lakehouse_assets.domains.retail.shared import CURRENCY
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

CAMPAIGN_TWEETS = gold(
    "campaign_tweets",
    "Tweets by hashtag and city, with the results of the hashtag's campaign. A campaign's results "
    "are split among its cities in proportion to their tweets, so that totals match the inputs.",
    (
        Column("hashtag", "string", "Hashtag of the tweets or of the campaign.", False),
        Column("city", "string", "City of the tweets; null for a campaign without tweets."),
        Column(
            "campaign_name",
            "string",
            "Name of the campaign; null for a hashtag without campaign results.",
        ),
        Column("tweets", "bigint", "Number of tweets.", False, "count", aliases=("count",)),
        Column("retweets", COUNT_TOTAL, "Number of retweets.", False, "count"),
        *SENTIMENT,
        Column(
            "revenue", FINE_TOTAL, "The city's share of the campaign's revenue.", False, CURRENCY
        ),
        Column("cost", FINE_TOTAL, "The city's share of the campaign's cost.", False, CURRENCY),
        Column("profit", FINE_TOTAL, "The city's share of the campaign's profit.", False, CURRENCY),
    ),
    ("hashtag", "city"),
    kind="cumulative",
    topic="tweets",
    aliases=("sentiment_campaign_analytics",),
    measures=(
        Measure(
            "hashtags",
            "count(distinct hashtag)",
            "count",
            "non_additive",
            "Number of hashtags.",
        ),
        Measure("tweets", "sum(tweets)", "count", "semi_additive", "Number of tweets."),
        Measure(
            "revenue",
            "sum(revenue)",
            CURRENCY,
            "semi_additive",
            "Revenue of the hashtags' campaigns.",
        ),
    ),
)

_MEASURES = ("revenue", "cost", "profit")
_TWEETED = (*CAMPAIGN_TWEETS.pick("tweets", "retweets"), *SENTIMENT)
_RESULTS = CAMPAIGN_DAYS.pick(*_MEASURES)


def campaign_tweets(pairs: DataFrame, campaigns: DataFrame, days: DataFrame) -> DataFrame:
    """Join tweets and results; columns as declared for `campaign_tweets`.

    A campaign's results are split among its cities in proportion to their tweets. Each share is the
    running part of the total up to the city, in order of name, minus the one before it, in
    hundredths of a cent, so that the shares of a campaign add up to its results exactly.

    Args:
        pairs: The month's rows of `tweets_by_city_and_hashtag`.
        campaigns: The month's rows of `dim_campaigns`.
        days: Rows of `campaign_days` of this and all earlier months.
    """
    results = campaign_results(days).select(
        F.col("campaign_key").alias("paid_key"),
        *[_units(F.col(n)).alias(f"{n}_units") for n in _MEASURES],
    )
    named = v.staged(
        campaigns.select("campaign_key", "campaign_name", F.col("hashtag").alias("own_tag")).join(
            results, F.col("campaign_key") == F.col("paid_key"), "inner"
        )
    )
    key = campaign_key(F.substring(F.col("hashtag"), 2, 2**31 - 1))
    by_tag = W.partitionBy("tag_key")
    by_name = by_tag.orderBy(F.col("city").asc_nulls_last(), F.col("hashtag").asc_nulls_last())
    tweeted = v.staged(pairs.withColumn("tag_key", key))
    counted = v.staged(
        tweeted.withColumns(
            {
                "all_tweets": F.sum("tweets").over(by_tag).cast("bigint"),
                "tweets_so_far": F.sum("tweets").over(by_name).cast("bigint"),
            }
        )
    )
    joined = v.staged(counted.join(named, F.col("tag_key") == F.col("campaign_key"), "left"))
    shared = joined.select(
        "hashtag", "city", "campaign_name", *(c.name for c in _TWEETED),
        *[_money(_share(n)).alias(n) for n in _MEASURES],
    )  # fmt: skip
    without_tweets = named.join(tweeted, F.col("campaign_key") == F.col("tag_key"), "left_anti")
    silent = v.staged(without_tweets).select(
        F.col("own_tag").alias("hashtag"),
        F.lit(None).cast("string").alias("city"),
        "campaign_name",
        *[(F.lit(None) if c.nullable else F.lit(0)).cast(c.type).alias(c.name) for c in _TWEETED],
        *[_money(F.col(f"{n}_units")).alias(n) for n in _MEASURES],
    )
    return shared.unionByName(silent)


def campaign_results(days: DataFrame) -> DataFrame:
    """Add up the results of each campaign."""
    return days.groupBy("campaign_key").agg(*sums(*_RESULTS))


def totals_of_tweets(pairs: DataFrame) -> DataFrame:
    """Return one row of totals of the tweets, which `campaign_tweets` must match."""
    return pairs.agg(*sums(*CAMPAIGN_TWEETS.pick("tweets", "retweets"), *SENTIMENTS_COUNTED))


def totals_of_results(days: DataFrame) -> DataFrame:
    """Return one row of totals of the results, which `campaign_tweets` must match."""
    return days.agg(*sums(*_RESULTS))


def _share(measure: str) -> Col:
    def up_to(tweets: Col) -> Col:
        return v.proportion(F.col(f"{measure}_units"), tweets, F.col("all_tweets"))

    return up_to(F.col("tweets_so_far")) - up_to(F.col("tweets_so_far") - F.col("tweets"))


def _units(amount: Col) -> Col:
    """Convert an amount with four decimals to hundredths of a cent."""
    return (amount * F.lit(10_000).cast("decimal(5,0)")).cast("decimal(38,0)")


def _money(units: Col) -> Col:
    amount = units * F.lit("0.0001").cast("decimal(5,4)")
    return F.coalesce(amount.cast("decimal(38,4)"), F.lit(0).cast("decimal(38,4)"))


GOLD = (
    GoldTable(
        CAMPAIGN_TWEETS,
        campaign_tweets,
        {
            "pairs": TWEETS_BY_CITY_AND_HASHTAG,
            "campaigns": DIM_CAMPAIGNS,
            "days": so_far(CAMPAIGN_DAYS),
        },
        totals=(totals_of_tweets, totals_of_results),
    ),
)
