"""Tweets about campaigns: what was said where, by hashtag and city.

The source is JSON of twelve attributes (spec, section 3.2), delivered in many small files, some of
them again under another name.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, LossLimit, silver_table, text_field
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import DOMAIN, OWNER

TWEETS = Dataset(
    domain=DOMAIN,
    name="tweets",
    grain="day",
    description="One tweet, found by a hashtag.",
    owner=OWNER,
    aliases=("bronze_twitter_historical_data",),
    fields=(
        text_field("time", "Moment of the tweet in UTC, ISO 8601."),
        text_field("hashtag", "Hashtag by which it was found."),
        text_field("tweet", "Text, cut off by the source.", pii=True),
        text_field("city", "City of the user as the user wrote it; 44 % are blank."),
        text_field("username", "User.", pii=True),
        text_field("retweetcount", "How often it was retweeted."),
        text_field("favouritecount", "How often it was liked."),
        text_field("sentiment", "Sentiment as the source sees it."),
        text_field("sentimentscore", "Score of the sentiment."),
        text_field("isretweet", "1 for a retweet; up to 3 occurs."),
        text_field("hourofday", "Hour; up to 34 occurs."),
        text_field("language", "Language."),
    ),
    # Near half of all tweets name no city and are quarantined for it; of a few, all may be.
    quarantined=LossLimit(share=0.8, whole=False),
)

_HASHTAG = Column("hashtag", "string", "Campaign tag in the spelling of the list.", False)
_CITY = Column(
    "city", "string", "City by its one name in dim_places; else as the user wrote it.", False
)

SILVER_TWEETS = silver_table(
    TWEETS,
    (
        "One row per tweet and hashtag: typed, text cleaned. A tweet that is delivered again, in "
        "whatever file, is a duplicate of the first; one without a city or a campaign tag is "
        "quarantined."
    ),
    "tweet_id",
    (
        Column(
            "tweet_id", "string",
            "Moment and hash of user, text and hashtag; ids rise with time.", False,
        ),
        Column("tweeted_at", "timestamp", "Moment of the tweet.", False, source="time"),
        Column("tweet_date", "date", "Its day in UTC.", False, aliases=("date",)),
        Column("hour_of_day", "int", "Its hour in UTC.", False, "hour", aliases=("hourofday",)),
        _HASHTAG,
        Column("clean_text", "string", "The words alone, contractions written out.", pii=True,
               aliases=("tweet",)),
        _CITY,
        Column("username", "string", "User.", pii=True),
        Column("retweet_count", "bigint", "Retweets.", False, source="retweetcount", unit="count"),
        Column("favourite_count", "bigint", "Likes.", False, source="favouritecount", unit="count"),
        Column("is_retweet", "boolean", "Whether it is a retweet itself.", False,
               aliases=("isretweet",)),
        Column("sentiment", "string", "Sentiment as the source sees it, or Unknown.", False),
        Column("sentiment_score", "double", "Score as the source sees it.",
               source="sentimentscore", unit="score"),
        Column("language", "string", "Language, or Unknown.", False),
    ),
    watched=("hashtag", "retweet_count"),
    clustered=("city", "hashtag"),
    aliases=("silver_twitter_historical_data",),
)  # fmt: skip
