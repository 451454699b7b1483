"""Labelled tweets: the training data of the sentiment model, each a text with its sentiment.

The files are CSV with the columns of the reference lab's labelled file. A file's name says what its
tweets are for: those of `validation*` choose the model, those of `test*` test it, and all others
train it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse_assets.catalog.datasets import Field, silver_table
from lakehouse_assets.domains.retail.shared import dataset
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

SENTIMENTS = ("Negative", "Neutral", "Positive")
PARTS = ("train", "validation", "test")


def _sentiment(given: Col) -> Col:
    return v.first_of(*((v.lower(given) == F.lit(name.lower()), name) for name in SENTIMENTS))


def with_part_and_key(tweets: DataFrame, _given: Mapping[str, Any]) -> DataFrame:
    """Add the part, by the file's name, and a key that copies of a tweet share.

    Copies differ only in case, punctuation, links and handles.
    """
    name = v.lower(v.rewrite(F.col("_source_file"), "[^/]*/", ""))
    part = v.first_of(*((name.startswith(p), p) for p in PARTS[1:]), otherwise=PARTS[0])
    words = v.lower(F.col("twitter_text"))
    for pattern in ("https?[^ ]*|@[A-Za-z0-9_]+", f"[_{v.SEPARATORS}]+"):
        words = v.rewrite(words, pattern, " ")
    # A tweet without words, such as one of emoji only, is a copy of an equal text.
    content = F.coalesce(v.text(words), F.col("twitter_text"))
    return tweets.select(
        *tweets.columns, part.alias("part"), v.hash_key(content).alias("tweet_key")
    )


LABELLED_TWEETS = dataset(
    name="labelled_tweets",
    grain="day",
    description="One tweet with its sentiment, as labelled by a person.",
    rows=(
        "One row per labelled tweet. A tweet that is delivered again is a duplicate of the first "
        "delivery, even if case, punctuation, links or handles differ, so no tweet is in two parts."
    ),
    key="tweet_key",
    columns=(
        Field("tweet_key", "bigint", "Key of the tweet: hash of its words in lower case.",
              need="checked", derived=True, unit="id", pii="identifier"),
        Field("twitter_text", "string", "Text of the tweet.", need="required", nothing=(),
              pii="identifier"),
        Field("sentiment", "string", "Sentiment: Negative, Neutral or Positive.", need="required",
              parse=_sentiment, labels=SENTIMENTS),
        Field("part", "string", "What the tweet is for: train, validation or test, by the name of "
              "its file.", need="checked", derived=True),
    ),
    rule=with_part_and_key,
    watched=("sentiment",),
    clustered=("sentiment",),
)  # fmt: skip
SILVER_LABELLED_TWEETS = silver_table(LABELLED_TWEETS)
