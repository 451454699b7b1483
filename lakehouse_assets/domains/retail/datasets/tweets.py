"""Tweets about campaigns: text, hashtag and city.

The source is JSON with twelve attributes, delivered in many small files, some of which are
redelivered under another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lakehouse_assets.catalog.datasets import Field, Flag, LossLimit, silver_table, text_field
from lakehouse_assets.catalog.expectations import Expectation, in_calendar
from lakehouse_assets.domains.conformed import gazetteer
from lakehouse_assets.domains.conformed.city_names import is_place_name, with_city_names
from lakehouse_assets.domains.retail.shared import dataset, label
from lakehouse_assets.domains.retail.tags import CAMPAIGN_TAGS
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

# Characters that people use as apostrophes; the patterns for contractions know only the ASCII one.
_APOSTROPHES = "[\u2018\u2019\u02bc\u00b4\u2032\uff07`]"
# Separates the words of expanded contractions until all are expanded; it is not in ASCII text.
_SEAM = "\u00b7"
_ENDINGS = {"n't": "not", "'m": "am", "'ll": "will", "'d": "would", "'ve": "have", "'re": "are"}
_IRREGULAR = {
    f"ca{_SEAM}not": "cannot", f"wo{_SEAM}not": "will not", f"sha{_SEAM}not": "shall not",
    f"ai{_SEAM}not": "is not", "let's": "let us",
}  # fmt: skip
# After these words 's means "is"; after others it may be a possessive and is kept, as in Tom's.
_BEFORE_IS = (
    "it", "he", "she", "that", "this", "there", "here", "what", "who", "where", "when", "how",
    "why",
)  # fmt: skip


def _in_any_letters(text: str) -> str:
    return "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in text)


def _contractions() -> Iterator[tuple[str, str]]:
    """Yield patterns and replacements that expand contractions, keeping upper case.

    No pattern consumes a character that the next match needs: both of `can't can't` are expanded.
    """
    for ending, word in _ENDINGS.items():
        yield f"([A-Z]){ending.upper()}([^A-Za-z]|\\z)", f"\\1{_SEAM}{word.upper()}\\2"
        yield f"([A-Za-z]){_in_any_letters(ending)}([^A-Za-z]|\\z)", f"\\1{_SEAM}{word}\\2"
    for text, words in _IRREGULAR.items():
        first, rest = _in_any_letters(text[0]), _in_any_letters(text[1:])
        yield f"([^A-Za-z]|^){text.upper()}", f"\\1{words.upper()}"
        kept = "\\1\\2" if words[0] == text[0] else f"\\1{words[0]}"
        yield f"([^A-Za-z]|^)({first}){rest}", f"{kept}{words[1:]}"
    yield f"([^A-Za-z]|^)({'|'.join(_BEFORE_IS).upper()})'S", "\\1\\2 IS"
    anyhow = "|".join(map(_in_any_letters, _BEFORE_IS))
    yield f"([^A-Za-z]|^)({anyhow})'[Ss]", "\\1\\2 is"
    yield _SEAM, " "


# Patterns and replacements in order: first everything that is not a word, then the words.
_CLEANING = (
    (_APOSTROPHES, "'"),
    (r"[^\x20-\x7E]", " "),
    ("(https?://|www\\.)[^ ]+", " "),
    ("^[ ]*RT[ ]+", " "),
    ("@[A-Za-z0-9_]+", " "),
    ("[#:]", " "),
    ("([a-z])([A-Z])", r"\1 \2"),
    *_contractions(),
    ("[ ]+", " "),
)


def campaign_tag(found_by: Col, said: Col, tags: Sequence[str]) -> Col:
    """Return the campaign tag by which a tweet was collected, or one in its text; null if none.

    Both texts are in lower case. A tag in the text must not be followed by a letter or digit of any
    script: `#beachlife` is not `#beach`. If the text has several, the first in the list counts.
    """
    return v.first_of(
        *((found_by == F.lit(tag.lower()), tag) for tag in tags),
        *((said.rlike(f"{tag.lower()}([{v.SEPARATORS}]|\\z)"), tag) for tag in tags),
    )


def clean_text(tweet: Col) -> Col:
    """Reduce a tweet to its words; null if there are none.

    In order: keep ASCII only; drop URLs, a leading RT, @handles, # and :; split CamelCase; expand
    the contractions n't 'm 'll 'd 've 're, and 's where it means "is" or "us".
    """
    for pattern, replacement in _CLEANING:
        tweet = v.rewrite(tweet, pattern, replacement)
    return v.text(tweet)


def _place(given: Col) -> Col:
    return F.when(is_place_name(given), F.regexp_replace(given, r"[ \t\n\f\r]+", " "))


def with_moment_tag_and_city(tweets: DataFrame, given: Mapping[str, Any]) -> DataFrame:
    """Add a tweet's id, day, hour and campaign tag, and its city as named in `dim_places`."""
    tags: Sequence[str] = given["campaign_tags"]
    lower = [
        v.lower(F.col("hashtag")).alias("found_by"), v.lower(F.col("text_tweet")).alias("said"),
    ]  # fmt: skip
    frame = v.staged(tweets.select(*tweets.columns, *lower))
    moment, mark = F.col("text_time"), F.col("text_isretweet")
    digits = F.regexp_replace(F.substring(moment, 1, 19), "[^0-9]", "")
    content = v.hash_key(*[F.col(f"raw_{name}") for name in ("username", "tweet", "hashtag")])
    tweet_id = F.concat(digits, F.lit("-"), content.cast("string"))
    hour = v.small_number(F.substring(moment, 12, 2))
    truth = v.boolean(mark)
    tag = campaign_tag(F.col("found_by"), F.col("said"), tags)
    listed = v.is_any(F.col("found_by"), [t.lower() for t in tags])
    given_hour = v.whole_number(F.col("text_hourofday"))
    made = frame.select(
        *[name for name in tweets.columns if name != "hashtag"],
        F.when(F.col("tweeted_at").isNotNull(), tweet_id).alias("tweet_id"),
        v.parse_date(F.substring(moment, 1, 10), "yyyy-MM-dd").alias("tweet_date"),
        hour.alias("hour_of_day"),
        tag.alias("hashtag"),
        F.coalesce(truth, v.whole_number(mark) > F.lit(0), F.lit(False)).alias("is_retweet"),
        (~F.coalesce(given_hour == hour, F.lit(False))).alias("flag_hour_corrected"),
        truth.isNull().alias("flag_retweet_mark_unusual"),
        (tag.isNotNull() & ~listed).alias("flag_hashtag_taken_from_text"),
    )
    return with_city_names(made, "city", given["city_names"], given["regions"])


TWEETS = dataset(
    name="tweets",
    grain="day",
    description="One tweet, collected by a hashtag.",
    rows=(
        "One row per tweet and hashtag: typed, with cleaned text. A tweet that is delivered again "
        "in any file is a duplicate of the first delivery. A tweet without a city or a campaign "
        "tag is quarantined."
    ),
    key="tweet_id",
    columns=(
        Field("tweet_id", "string", "Key of the tweet: its time, and a hash of user, text and "
              "hashtag. Keys increase with time.", need="checked", derived=True, pii="identifier"),
        Field("tweeted_at", "timestamp", "Time of the tweet in UTC.", "time", need="required"),
        Field("tweet_date", "date", "Day of the tweet in UTC.", need="checked", derived=True,
              aliases=("date",)),
        Field("hour_of_day", "int", "Hour of the tweet in UTC.", need="checked", derived=True,
              unit="hour", aliases=("hourofday",)),
        Field("hashtag", "string", "Campaign tag, as spelled in the list of tags.", need="checked",
              delivered="Hashtag by which the tweet was collected."),
        Field(
            "clean_text", "string", "Words of the tweet, with contractions expanded; null if it "
            "has none.", "tweet",
            delivered="Text of the tweet, truncated by the source.", parse=clean_text,
            pii="identifier",
            lost=Flag(
                "text_without_words", "The text has words in Latin letters; other texts became "
                "null."
            ),
        ),
        Field("city", "string", "City: its name in dim_places, or the user's text if no place "
              "matches.",
              need="checked", parse=_place, pii="location",
              delivered="City of the user, as the user wrote it; often blank."),
        Field("username", "string", "Name of the user who tweeted.", pii="identifier"),
        Field("retweet_count", "bigint", "Number of retweets.", "retweetcount", need="required",
              not_negative=True, unit="count"),
        Field("favourite_count", "bigint", "Number of likes.", "favouritecount", need="required",
              not_negative=True, unit="count"),
        Field("is_retweet", "boolean", "Whether the tweet is a retweet.", need="checked",
              derived=True, aliases=("isretweet",)),
        label("sentiment", "Sentiment, according to the source."),
        Field("sentiment_score", "double", "Sentiment score, according to the source.",
              "sentimentscore", unit="score"),
        label("language", "Language of the tweet."),
        text_field("isretweet", "1 for a retweet, else 0; other numbers occur."),
        text_field("hourofday", "Hour of the tweet; numbers above 23 occur."),
    ),
    delivered_order=(
        "time", "hashtag", "tweet", "city", "username", "retweetcount", "favouritecount",
        "sentiment", "sentimentscore", "isretweet", "hourofday", "language",
    ),
    rule=with_moment_tag_and_city,
    reference={"city_names": gazetteer.city_names, "regions": gazetteer.regions},
    options={"campaign_tags": CAMPAIGN_TAGS},
    flags=(
        Flag("hour_corrected", "hourofday matches the time of the tweet; others were replaced by "
             "the hour of the time."),
        Flag("retweet_mark_unusual", "isretweet is 0 or 1; larger numbers count as a retweet."),
        Flag(
            "hashtag_taken_from_text",
            "The tweet's hashtag is a campaign tag; other hashtags were replaced by a campaign tag "
            "in the text.",
        ),
    ),
    expectations=(
        in_calendar("tweet_date"),
        Expectation(
            "valid_city", "drop",
            "The tweet has a city; other tweets are quarantined.",
            lambda: F.col("city").isNotNull(),
        ),
        Expectation(
            "has_campaign_tag", "drop",
            "The tweet was collected by a campaign tag or contains one, in any case; other tweets "
            "are quarantined.",
            lambda: F.col("hashtag").isNotNull(),
        ),
    ),
    # Almost half of all tweets have no city and are quarantined; in a small delivery, all may be.
    quarantined=LossLimit(share=0.8, whole=False),
    watched=("hashtag", "retweet_count"),
    clustered=("city", "hashtag"),
    aliases=("bronze_twitter_historical_data",),
    silver_aliases=("silver_twitter_historical_data",),
)  # fmt: skip
SILVER_TWEETS = silver_table(TWEETS)
