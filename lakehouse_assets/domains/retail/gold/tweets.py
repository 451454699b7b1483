"""Counts of tweets by day, hashtag and city."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from lakehouse_assets.catalog.datasets import delivery_columns, quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, so_far
from lakehouse_assets.catalog.registry import Column, Measure, Table
from lakehouse_assets.domains.conformed.gold.places import DIM_PLACES
from lakehouse_assets.domains.retail.datasets.tweets import SILVER_TWEETS, TWEETS
from lakehouse_assets.domains.retail.gold.common import COUNT_TOTAL, dates, gold
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

_COUNTS = (
    Column("tweets", "bigint", "Tweets.", False, "count", aliases=("count",)),
    Column("retweets", COUNT_TOTAL, "Sum of their retweets.", False, "count"),
    Column("favourites", COUNT_TOTAL, "Sum of their likes.", False, "count"),
)

_HASHTAG, _CITY = SILVER_TWEETS.pick("hashtag", "city")

TWEET_DAYS = Table(
    domain=DOMAIN,
    name="tweet_days",
    layer="gold",
    description=(
        "Tweets delivered on a day, by day, hashtag and city: the aggregate that the tables below "
        "add up, so that a new file only recomputes its own day."
    ),
    columns=(
        Column("tweet_date", "date", "Day of the tweets.", False),
        _HASHTAG, _CITY, *_COUNTS,
        *delivery_columns(TWEETS),
    ),
    keys=("delivered_on", "tweet_date", "hashtag", "city"),
    owner=OWNER,
    kind="aggregate",
    topic="tweets",
    partition=TWEETS.partition,
    clustered=("city", "hashtag"),
    references=(dates("tweet_date"),),
    measures=(
        Measure("tweets", "sum(tweets)", "count", "additive", "Tweets."),
        Measure("retweets", "sum(retweets)", "count", "additive", "How often they were retweeted."),
        Measure("retweets_per_tweet", "sum(retweets) / nullif(sum(tweets), 0)", "count",
                "non_additive", "Average retweets per tweet."),
    ),
)  # fmt: skip

TWEETS_BY_CITY_AND_HASHTAG = gold(
    "tweets_by_city_and_hashtag",
    "Tweets per city and hashtag, over everything delivered so far.",
    (_CITY, _HASHTAG, *_COUNTS),
    ("city", "hashtag"),
    kind="cumulative",
    topic="tweets",
    lab="gold_twitter_historical_city_hashtagcount_data",
)

TWEETS_BY_HASHTAG = gold(
    "tweets_by_hashtag",
    "Tweets and retweets per hashtag, over everything delivered so far.",
    (_HASHTAG, *_COUNTS),
    ("hashtag",),
    kind="cumulative",
    topic="tweets",
    lab="gold_twitter_historical_hashtag_data",
)

TWEET_TOTALS = gold(
    "tweet_totals",
    "Tweets, retweets and likes in one row, over everything delivered so far.",
    _COUNTS,
    (),
    kind="cumulative",
    topic="tweets",
    lab="gold_twitter_historical_retweetcount_data",
)

TWEETS_BY_CITY = gold(
    "tweets_by_city",
    "Tweets per city with its position; a city that is not a known place has no coordinates.",
    (
        _CITY, *_COUNTS,
        Column("place", "string", "Name of the place; null if the city is not a known place."),
        Column("country", "string", "Country of the place, ISO alpha-2."),
        Column("latitude", "double", "Latitude.", unit="degrees", aliases=("lat",)),
        Column("longitude", "double", "Longitude.", unit="degrees", aliases=("lon",)),
    ),
    ("city",),
    kind="cumulative",
    topic="tweets",
    lab="gold_twitter_historical_city_hashtag_count_loc",
)  # fmt: skip


def tweet_days(tweets: DataFrame) -> DataFrame:
    """Count tweets by day of delivery, day, hashtag and city; columns as declared."""
    grouped = tweets.groupBy("delivered_on", "tweet_date", "hashtag", "city").agg(
        F.count(F.lit(1)).alias("tweets"),
        v.total(F.col("retweet_count")).alias("retweets"),
        v.total(F.col("favourite_count")).alias("favourites"),
    )
    return grouped.select(*TWEET_DAYS.column_names)


def by_city_and_hashtag(days: DataFrame, month: date) -> DataFrame:
    """Add up days by city and hashtag; columns as declared for `tweets_by_city_and_hashtag`."""
    return _added_up(days, ("city", "hashtag"), month).select(
        *TWEETS_BY_CITY_AND_HASHTAG.column_names
    )


def by_hashtag(pairs: DataFrame, month: date) -> DataFrame:
    """Add up cities by hashtag; columns as declared for `tweets_by_hashtag`."""
    return _added_up(pairs, ("hashtag",), month).select(*TWEETS_BY_HASHTAG.column_names)


def in_total(pairs: DataFrame, month: date) -> DataFrame:
    """Add up all tweets in one row; columns as declared for `tweet_totals`."""
    totals = _added_up(pairs, (), month)
    # A month without tweets has a row, too, with zeros.
    none = {
        c.name: F.coalesce(F.col(c.name), F.lit(0).cast(c.type)) for c in TWEET_TOTALS.columns[1:]
    }
    return v.staged(totals).withColumns(none).select(*TWEET_TOTALS.column_names)


def by_city(pairs: DataFrame, places: DataFrame, month: date) -> DataFrame:
    """Add up hashtags by city, and add its coordinates; columns as declared for `tweets_by_city`.

    Args:
        pairs: The month's rows of `tweets_by_city_and_hashtag`.
        places: Rows of `dim_places`.
        month: The month, as its first day.
    """
    cities = _added_up(pairs, ("city",), month)
    named = cities.select(*cities.columns, v.lower(F.col("city")).alias("name_of_city"))
    known = places.select(
        F.col("place_name").alias("known_name"),
        "place",
        "country",
        "latitude",
        "longitude",
    )
    located = named.join(known, F.col("name_of_city") == F.col("known_name"), "left")
    return located.select(*TWEETS_BY_CITY.column_names)


def _added_up(counts: DataFrame, keys: Sequence[str], month: date) -> DataFrame:
    grouped = counts.groupBy(*keys).agg(
        F.sum("tweets").cast("bigint").alias("tweets"),
        *[v.total(F.col(n)).alias(n) for n in ("retweets", "favourites")],
    )
    return grouped.withColumn("as_of_month", F.lit(month))


_PAIRS = {"pairs": TWEETS_BY_CITY_AND_HASHTAG}

GOLD = (
    GoldTable(TWEET_DAYS, tweet_days, {"tweets": SILVER_TWEETS}),
    GoldTable(
        TWEETS_BY_CITY_AND_HASHTAG,
        by_city_and_hashtag,
        {"days": so_far(TWEET_DAYS)},
        triggered_by=(quarantine_table(TWEETS),),
    ),
    GoldTable(TWEETS_BY_HASHTAG, by_hashtag, _PAIRS),
    GoldTable(TWEET_TOTALS, in_total, _PAIRS),
    GoldTable(TWEETS_BY_CITY, by_city, {**_PAIRS, "places": DIM_PLACES}),
)
