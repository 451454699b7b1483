"""Tweets: delivered text to silver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakehouse_assets.domains.conformed.transforms.places import is_place_name
from lakehouse_assets.domains.retail.tables.tweets import SILVER_TWEETS, TWEETS
from lakehouse_assets.domains.retail.transforms.labels import NOTHING, UNKNOWN
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import lineage_columns, with_text
from lakehouse_assets.quality.fields import Fields, Flag

FIELDS = Fields(
    TWEETS,
    SILVER_TWEETS,
    NOTHING,
    flags={
        "hour_corrected": Flag("HourOfDay is the hour of the moment; up to 34 occurs."),
        "retweet_mark_unusual": Flag("IsRetweet is 0 or 1; up to 3 occurs."),
        "hashtag_taken_from_text": Flag(
            "The hashtag of a tweet is a campaign tag; others give way to the tag in its text."
        ),
        "text_without_words": Flag("A text has words in Latin letters; others became null."),
    },
)
# Typed apostrophes are signs of their own; without them contractions are not seen.
_APOSTROPHES = "[\u2018\u2019\u02bc\u00b4\u2032\uff07`]"
# Stands between the words of a contraction until all are written out: no text of ASCII has it.
_SEAM = "\u00b7"
_ENDINGS = {"n't": "not", "'m": "am", "'ll": "will", "'d": "would", "'ve": "have", "'re": "are"}
_IRREGULAR = {
    f"ca{_SEAM}not": "cannot", f"wo{_SEAM}not": "will not", f"sha{_SEAM}not": "shall not",
    f"ai{_SEAM}not": "is not", "let's": "let us",
}  # fmt: skip
# After other words than these an 's marks a possessor: Tom's stays.
_BEFORE_IS = (
    "it", "he", "she", "that", "this", "there", "here", "what", "who", "where", "when", "how",
    "why",
)  # fmt: skip


def _in_any_letters(text: str) -> str:
    return "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in text)


def _contractions() -> Iterator[tuple[str, str]]:
    """Give the patterns that write contractions out, in capitals where they are in capitals.

    No pattern takes a sign that the word after it needs: `can't can't` are two.
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


# Pattern and replacement, in order. First what is no word, then the words.
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
_BLANKS = r"[ \t\n\f\r]+"


def type_tweets(bronze: DataFrame, tags: Sequence[str]) -> DataFrame:
    """Type tweets.

    Args:
        bronze: Rows of `bronze_tweets`.
        tags: Campaign tags, each with a # before it.

    Returns:
        One row per bronze row: the columns of `silver_tweets` (null where a key or fact cannot be
        read), and `raw_*` text.
    """
    frame = with_text(bronze, TWEETS)
    text = {c.name: FIELDS.given(c.name) for c in TWEETS.fields}
    small = v.staged(
        frame.select(
            *frame.columns,
            v.lower(text["hashtag"]).alias("found_by"),
            v.lower(text["tweet"]).alias("said"),
            clean_text(text["tweet"]).alias("clean_text"),
        )
    )
    tweeted_at = v.parse_timestamp(text["time"])
    hour = v.small_number(F.substring(text["time"], 12, 2))
    is_retweet = v.boolean(text["isretweet"])
    digits = F.regexp_replace(F.substring(text["time"], 1, 19), "[^0-9]", "")
    content = v.hash_key(*[F.col(f"raw_{n}") for n in ("username", "tweet", "hashtag")])
    tag, known = campaign_tag(F.col("found_by"), F.col("said"), tags), [t.lower() for t in tags]
    flags = {
        "hour_corrected": ~F.coalesce(v.whole_number(text["hourofday"]) == hour, F.lit(False)),
        "retweet_mark_unusual": is_retweet.isNull(),
        "hashtag_taken_from_text": tag.isNotNull() & ~v.is_any(F.col("found_by"), known),
        "text_without_words": text["tweet"].isNotNull() & F.col("clean_text").isNull(),
    }
    typed = small.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        F.when(tweeted_at.isNotNull(), F.concat(digits, F.lit("-"), content.cast("string"))).alias(
            "tweet_id"
        ),
        tweeted_at.alias("tweeted_at"),
        v.parse_date(F.substring(text["time"], 1, 10), "yyyy-MM-dd").alias("tweet_date"),
        hour.alias("hour_of_day"),
        tag.alias("hashtag"),
        "clean_text",
        F.when(is_place_name(text["city"]), F.regexp_replace(text["city"], _BLANKS, " ")).alias(
            "city"
        ),
        text["username"].alias("username"),
        v.whole_number(text["retweetcount"]).alias("retweet_count"),
        v.whole_number(text["favouritecount"]).alias("favourite_count"),
        F.coalesce(is_retweet, v.whole_number(text["isretweet"]) > F.lit(0), F.lit(False)).alias(
            "is_retweet"
        ),
        F.coalesce(text["sentiment"], F.lit(UNKNOWN)).alias("sentiment"),
        v.real(text["sentimentscore"]).alias("sentiment_score"),
        F.coalesce(text["language"], F.lit(UNKNOWN)).alias("language"),
        *[condition.alias(f"flag_{name}") for name, condition in flags.items()],
        *lineage_columns(TWEETS),
    )
    return FIELDS.flagged(typed)


def campaign_tag(found_by: Col, said: Col, tags: Sequence[str]) -> Col:
    """Find the campaign tag by which a tweet was found, or which it says, both in small letters.

    A tag that is said counts as a whole only, up to what is no letter or digit in any script:
    `#beachlife` is not `#beach`. Of several the first of the list counts; null if there is none.
    """
    tag = F.lit(None).cast("string")
    for name in reversed(tags):
        whole = said.rlike(f"{name.lower()}([^\\p{{L}}\\p{{M}}\\p{{N}}_]|\\z)")
        tag = F.when(whole, F.lit(name)).otherwise(tag)
    for name in tags:
        tag = F.when(found_by == F.lit(name.lower()), F.lit(name)).otherwise(tag)
    return tag


def clean_text(tweet: Col) -> Col:
    """Keep the words of a tweet; null if there are none.

    In order: ASCII only; without URLs, a leading RT, @handles, # and :, CamelCase split, and
    contractions written out: n't 'm 'll 'd 've 're, and 's where it stands for "is" or "us".
    """
    for pattern, replacement in _CLEANING:
        tweet = v.rewrite(tweet, pattern, replacement)
    return v.text(tweet)
