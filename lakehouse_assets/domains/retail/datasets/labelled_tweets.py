"""Labelled tweets, from which the model of sentiment learns: a text and what it expresses.

The columns are those of the reference's labelled file (spec, section 4.2), as CSV. The name of the
file says what it is for: tweets of `validation*` choose the model, tweets of `test*` judge it, and
all others are learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset, Field, silver_table
from lakehouse_assets.domains.retail.shared import DOMAIN, NOTHING, OWNER
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

SENTIMENTS = ("Negative", "Neutral", "Positive")
PARTS = ("train", "validation", "test")


def _sentiment(given: Col) -> Col:
    lower, found = v.lower(given), F.lit(None).cast("string")
    for name in SENTIMENTS:
        found = F.when(lower == F.lit(name.lower()), F.lit(name)).otherwise(found)
    return found


def with_part_and_key(tweets: DataFrame, _given: Mapping[str, Any]) -> DataFrame:
    """Add the part that the file's name says, and a key that copies of a tweet share.

    Copies differ only in case, punctuation, links and handles.
    """
    name = v.lower(v.rewrite(F.col("_source_file"), "[^/]*/", ""))
    part = F.lit(PARTS[0])
    for other in PARTS[1:]:
        part = F.when(name.startswith(other), F.lit(other)).otherwise(part)
    words = v.lower(F.col("twitter_text"))
    for pattern in ("https?[^ ]*|@[A-Za-z0-9_]+", f"[_{v.SEPARATORS}]+"):
        words = v.rewrite(words, pattern, " ")
    # A tweet without words, such as one of emoji only, is a copy of an equal text.
    content = F.coalesce(v.text(words), F.col("twitter_text"))
    return tweets.select(
        *tweets.columns, part.alias("part"), v.hash_key(content).alias("tweet_key")
    )


LABELLED_TWEETS = Dataset(
    domain=DOMAIN,
    name="labelled_tweets",
    grain="day",
    description="One tweet with the sentiment that a person gave it.",
    owner=OWNER,
    rows=(
        "One row per labelled tweet. A tweet that is delivered again is a duplicate of the first, "
        "even if its case, punctuation, links or handles differ, so no tweet is in two parts."
    ),
    key="tweet_key",
    nothing=NOTHING,
    columns=(
        Field("tweet_key", "bigint", "Hash of the words of the tweet in lower case.",
              need="checked", derived=True, unit="id", pii="identifier"),
        Field("twitter_text", "string", "Text of the tweet.", need="required", nothing=(),
              pii="identifier"),
        Field("sentiment", "string", "Negative, Neutral or Positive.", need="required",
              parse=_sentiment, labels=SENTIMENTS),
        Field("part", "string", "What it is for: train, validation or test, by the name of its "
              "file.", need="checked", derived=True),
    ),
    rule=with_part_and_key,
    watched=("sentiment",),
    clustered=("sentiment",),
)  # fmt: skip
SILVER_LABELLED_TWEETS = silver_table(LABELLED_TWEETS)
