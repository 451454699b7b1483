"""Tweets with their sentiment, and counts of tweets by day, hashtag and city."""

from __future__ import annotations

from dataclasses import replace

from lakehouse_assets.catalog.datasets import delivery_columns, quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, so_far, sums
from lakehouse_assets.catalog.registry import (
    INPUTS_DIGEST,
    MODEL_VERSION,
    Column,
    Measure,
    Table,
)
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.conformed.gold.places import DIM_PLACES
from lakehouse_assets.domains.retail.datasets.tweets import SILVER_TWEETS, TWEETS
from lakehouse_assets.domains.retail.gold.common import COUNT_TOTAL, gold
from lakehouse_assets.domains.retail.models.sentiment import (
    LABELLED_TWEETS_SCORED,
    SENTIMENT_COLUMNS,
    SENTIMENT_MODEL,
)
from lakehouse_assets.domains.retail.models.sentiment_model import CLASSES, TEXT
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

_COUNTS = (
    Column("tweets", "bigint", "Number of tweets.", False, "count", aliases=("count",)),
    Column("retweets", COUNT_TOTAL, "Number of retweets.", False, "count"),
    Column("favourites", COUNT_TOTAL, "Number of likes.", False, "count"),
)

_HASHTAG, _CITY = SILVER_TWEETS.pick("hashtag", "city")

_KEPT = SILVER_TWEETS.pick(
    "tweet_id", "tweeted_at", "tweet_date", "hour_of_day", "hashtag", "city", "username",
    "retweet_count", "favourite_count", "is_retweet", "sentiment", "sentiment_score", "language",
)  # fmt: skip

GOLD_TWEETS = gold(
    "tweets",
    "One row per tweet and hashtag delivered in a month, with the sentiment predicted by the "
    "champion of the sentiment model.",
    (
        *_KEPT,
        Column(TEXT, "string", "Words of the tweet, with contractions expanded.",
               pii="identifier", aliases=("tweet",)),
        *SENTIMENT_COLUMNS,
        MODEL_VERSION,
        replace(INPUTS_DIGEST, pii="identifier"),
    ),
    ("tweet_id",),
    kind="event",
    topic="tweets",
    clustered=("city", "hashtag"),
    references=(dates("tweet_date"),),
    aliases=("gold_twitter_historical_data",),
)  # fmt: skip

SENTIMENTS_COUNTED = tuple(
    Column(f"{name.lower()}_tweets", "bigint", f"Number of tweets that the model classifies as "
                         f"{name.lower()}.",
           False, "count")
    for name in CLASSES
)  # fmt: skip
"""Counts of tweets by sentiment; tweets without a predicted sentiment are in none of them."""

SENTIMENT = (
    *SENTIMENTS_COUNTED,
    *(
        Column(f"{name}_share", "double", f"Share of {name} tweets among those with a predicted "
               "sentiment; null if there are none.", unit="share")
        for name in ("negative", "positive")
    ),
)  # fmt: skip

TWEET_SENTIMENTS = gold(
    "tweet_sentiments",
    "Tweets delivered in a month, by hashtag and city, counted by predicted sentiment. Cumulative "
    "tables add up the months.",
    (_HASHTAG, _CITY, *SENTIMENTS_COUNTED),
    ("hashtag", "city"),
    kind="aggregate",
    topic="sentiment",
)

TWEET_DAYS = Table(
    domain=DOMAIN,
    name="tweet_days",
    layer="gold",
    description=(
        "Tweets delivered on a day, by day of the tweet, hashtag and city. Cumulative tables add "
        "up the days, so that a new file only recomputes its own day."
    ),
    columns=(
        Column("tweet_date", "date", "Day of the tweets (UTC).", False),
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
        Measure("tweets", "sum(tweets)", "count", "additive", "Number of tweets."),
        Measure("retweets", "sum(retweets)", "count", "additive", "Number of retweets."),
        Measure("retweets_per_tweet", "sum(retweets) / nullif(sum(tweets), 0)", "count",
                "non_additive", "Average number of retweets per tweet."),
    ),
)  # fmt: skip

TWEETS_BY_CITY_AND_HASHTAG = gold(
    "tweets_by_city_and_hashtag",
    "Tweets by city and hashtag, from all tweets delivered so far.",
    (_CITY, _HASHTAG, *_COUNTS, *SENTIMENT),
    ("city", "hashtag"),
    kind="cumulative",
    topic="tweets",
    aliases=("gold_twitter_historical_city_hashtagcount_data",),
)

TWEETS_BY_HASHTAG = gold(
    "tweets_by_hashtag",
    "Tweets by hashtag, from all tweets delivered so far.",
    (_HASHTAG, *_COUNTS, *SENTIMENT),
    ("hashtag",),
    kind="cumulative",
    topic="tweets",
    aliases=("gold_twitter_historical_hashtag_data",),
)

TWEET_TOTALS = gold(
    "tweet_totals",
    "One row with the number of tweets, retweets and likes, from all tweets delivered so far.",
    (*_COUNTS, *SENTIMENT),
    (),
    kind="cumulative",
    topic="tweets",
    aliases=("gold_twitter_historical_retweetcount_data",),
)

TWEETS_BY_CITY = gold(
    "tweets_by_city",
    "Tweets by city with its coordinates, from all tweets delivered so far. A city that is not in "
    "dim_places has no coordinates.",
    (
        _CITY, *_COUNTS, *SENTIMENT,
        Column("place", "string", "City as in GeoNames; null if the city is not in dim_places."),
        Column("country", "string", "Country of the city, ISO alpha-2 code."),
        Column("latitude", "double", "Latitude of the city.", unit="degrees", aliases=("lat",)),
        Column("longitude", "double", "Longitude of the city.", unit="degrees", aliases=("lon",)),
    ),
    ("city",),
    kind="cumulative",
    topic="tweets",
    measures=(Measure("tweets", "sum(tweets)", "count", "semi_additive",
                      "Number of tweets so far."),),
    aliases=("gold_twitter_historical_city_hashtag_count_loc",),
)  # fmt: skip


def gold_tweets(tweets: DataFrame) -> DataFrame:
    """Return a month's tweets with the columns that `tweets` has, without the model's."""
    return tweets.withColumn(TEXT, F.col("clean_text"))


def total_of_tweets(tweets: DataFrame) -> DataFrame:
    """Return one row with a total of the month's tweets, which `tweets` must match.

    Hours are used because sums of the other numbers may exceed 64 bits.
    """
    return tweets.agg(F.sum("hour_of_day").cast("bigint").alias("hour_of_day"))


def tweet_sentiments(tweets: DataFrame) -> DataFrame:
    """Count tweets by hashtag, city and sentiment; columns as declared for `tweet_sentiments`."""
    return tweets.groupBy("hashtag", "city").agg(
        *[
            F.count(F.when(F.col("ml_sentiment") == F.lit(name), F.lit(1))).alias(column.name)
            for name, column in zip(CLASSES, SENTIMENTS_COUNTED, strict=True)
        ]
    )


def tweet_days(tweets: DataFrame) -> DataFrame:
    """Count tweets by day of delivery, day, hashtag and city; columns as declared."""
    return tweets.groupBy(*TWEET_DAYS.keys).agg(
        F.count(F.lit(1)).alias("tweets"),
        v.total(F.col("retweet_count")).alias("retweets"),
        v.total(F.col("favourite_count")).alias("favourites"),
    )


def by_city_and_hashtag(days: DataFrame, sentiments: DataFrame) -> DataFrame:
    """Add up months by city and hashtag; columns as declared for `tweets_by_city_and_hashtag`.

    Args:
        days: Rows of `tweet_days` of this and all earlier months.
        sentiments: Rows of `tweet_sentiments` of this and all earlier months.
    """
    counted, scored = [c.name for c in _COUNTS], [c.name for c in SENTIMENTS_COUNTED]

    def filled(rows: DataFrame, given: list[str]) -> DataFrame:
        none = {n: F.lit(0).cast(COUNT_TOTAL) for n in (*counted, *scored) if n not in given}
        cast = {n: F.col(n).cast(COUNT_TOTAL) for n in given}
        return rows.withColumns({**none, **cast}).select("city", "hashtag", *counted, *scored)

    both = filled(days, counted).unionByName(filled(sentiments, scored))
    return _added_up(v.staged(both), "city", "hashtag")


def by_hashtag(pairs: DataFrame) -> DataFrame:
    """Add up cities by hashtag; columns as declared for `tweets_by_hashtag`."""
    return _added_up(pairs, "hashtag")


def in_total(pairs: DataFrame) -> DataFrame:
    """Add up all tweets in one row, of zeros without tweets; columns as for `tweet_totals`."""
    return _added_up(pairs)


def by_city(pairs: DataFrame, places: DataFrame) -> DataFrame:
    """Add up hashtags by city, and add its coordinates; columns as declared for `tweets_by_city`.

    Args:
        pairs: The month's rows of `tweets_by_city_and_hashtag`.
        places: Rows of `dim_places`.
    """
    named = _added_up(pairs, "city").withColumn("name_of_city", v.lower(F.col("city")))
    known = places.select("place_name", "place", "country", "latitude", "longitude")
    return named.join(known, F.col("name_of_city") == F.col("place_name"), "left")


def _added_up(counts: DataFrame, *keys: str) -> DataFrame:
    return with_shares(v.staged(counts.groupBy(*keys).agg(*sums(*_COUNTS, *SENTIMENTS_COUNTED))))


def with_shares(counts: DataFrame) -> DataFrame:
    """Add the shares of negative and positive tweets among those with a predicted sentiment."""
    negative, neutral, positive = (F.col(c.name) for c in SENTIMENTS_COUNTED)
    scored = negative + neutral + positive
    return counts.withColumns(
        {
            f"{name}_share": F.when(scored > F.lit(0), part.cast("double") / scored.cast("double"))
            for name, part in (("negative", negative), ("positive", positive))
        }
    )


_PAIRS = {"pairs": TWEETS_BY_CITY_AND_HASHTAG}

GOLD = (
    GoldTable(
        GOLD_TWEETS,
        gold_tweets,
        {"tweets": SILVER_TWEETS},
        triggered_by=(LABELLED_TWEETS_SCORED,),
        totals=(total_of_tweets,),
        scored_by=SENTIMENT_MODEL,
    ),
    GoldTable(TWEET_SENTIMENTS, tweet_sentiments, {"tweets": GOLD_TWEETS}),
    GoldTable(TWEET_DAYS, tweet_days, {"tweets": SILVER_TWEETS}),
    GoldTable(
        TWEETS_BY_CITY_AND_HASHTAG,
        by_city_and_hashtag,
        {"days": so_far(TWEET_DAYS), "sentiments": so_far(TWEET_SENTIMENTS)},
        triggered_by=(quarantine_table(TWEETS),),
    ),
    GoldTable(TWEETS_BY_HASHTAG, by_hashtag, _PAIRS),
    GoldTable(TWEET_TOTALS, in_total, _PAIRS),
    GoldTable(TWEETS_BY_CITY, by_city, {**_PAIRS, "places": DIM_PLACES}),
)
