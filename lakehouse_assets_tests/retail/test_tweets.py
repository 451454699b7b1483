"""Tweets from delivered JSON to counts: hand-made rows, answers worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import quarantine_table, with_options
from lakehouse_assets.domains.retail.datasets.tweets import SILVER_TWEETS, TWEETS
from lakehouse_assets.domains.retail.gold import campaigns as gold_campaigns
from lakehouse_assets.domains.retail.gold import tweets as gold_tweets
from lakehouse_assets.domains.retail.gold.product import CAMPAIGN_TWEETS
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.settings import load_settings
from lakehouse_assets_tests.airline.samples import House, typed
from lakehouse_assets_tests.retail.samples import TWEET, deliver, tweet

# --- silver ---------------------------------------------------------------------------------


def test_a_plain_tweet_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = typed(engine, TWEETS, TWEET)
    identity = row["tweet_id"]
    assert identity.startswith("20210905060102-")
    assert {name: row[name] for name in SILVER_TWEETS.column_names if name != "tweet_id"} == {
        "tweeted_at": datetime(2021, 9, 5, 6, 1, 2, 500_000, UTC),
        "tweet_date": date(2021, 9, 5), "hour_of_day": 6, "hashtag": "#GoGreen",
        "clean_text": "We have seen it gogreen", "city": "New York", "username": "user_1",
        "retweet_count": 12, "favourite_count": 0, "is_retweet": False, "sentiment": "Neutral",
        "sentiment_score": 5.0, "language": "English", "quality_flags": [],
        "_source_file": "file.csv", "_row_number": 1, "delivered_on": date(2014, 3, 31),
    }  # fmt: skip


def test_the_text_is_cleaned_in_the_order_of_the_rule(engine: Engine) -> None:
    texts = {
        "RT @user_1: It's #GoGreen time https://t.co/ab12": "It is Go Green time",
        "ART is not RT, RT is": "ART is not RT, RT is",
        "I\u2019m sure they\u2019re here, she'd say we've won": "I am sure they are here, she "
        "would say we have won",
        "We won't, can't, don't and wouldn't": "We will not, cannot, do not and would not",
        "can't can't,can't": "cannot cannot,cannot",
        "CAN'T WON'T DON'T, I'M YOU'RE IT'S": "CANNOT WILL NOT DO NOT, I AM YOU ARE IT IS",
        "Can\u2019t, Won`t, don\u02bct": "Cannot, Will not, do not",
        "Tom's dog, the girls' audit's and MEN'S": "Tom's dog, the girls' audit's and MEN'S",
        "it's it's who's That's Let's let's": "it is it is who is That is Let us let us",
        "I'd've, couldn't've, ain't": "I would have, could not have, is not",
        "You'll see: caf\u00e9 \u2600 at 9:30": "You will see caf at 9 30",
        "NewCollection by iPhone and MFworld": "New Collection by i Phone and MFworld",
        "www.example.org/x?y=1 #Beach#Life @a_b": "Beach Life",
        "'s 't n't": "'s 't n't",
        "\u6f22\u5b57 \u3000": None,
        "@only_handles http://x": None,
    }
    rows = typed(engine, TWEETS, *[tweet(tweet=text) for text in texts])
    assert [row["clean_text"] for row in rows] == list(texts.values())


def test_a_campaign_tag_is_found_in_any_letters_and_as_a_whole_only(engine: Engine) -> None:
    rows = {
        ("#SUSTAINABLEfashion", "x"): "#SustainableFashion",
        ("#southbeach", "x"): "#southBeach",
        ("#other", "at the #Beach!"): "#beach",
        ("#other", "at the #beachlife"): None,
        ("#other", "#beach\u00e9t\u00e9 #beach\u6d77 #beach2 #beach\u0301"): None,
        ("#other", "#beach\u3002"): "#beach",
        ("#other", "#outdoor"): "#outdoor",
        ("#other", "outdoor"): None,
        ("", "#LETSRUN #beach"): "#beach",
        ("#LetsRun", "#beach"): "#LetsRun",
        ("fashion", ""): None,
        (None, None): None,
    }
    found = typed(engine, TWEETS, *[tweet(hashtag=tag, tweet=text) for tag, text in rows])
    assert [row["hashtag"] for row in found] == list(rows.values())
    others = with_options(TWEETS, {"campaign_tags": ("#MyOwn",)})
    (own,) = typed(engine, others, tweet(hashtag="#myown"))
    assert own["hashtag"] == "#MyOwn"


def test_what_the_source_gets_wrong_is_corrected_and_flagged(engine: Engine) -> None:
    hour, mark, blank, odd = typed(
        engine,
        TWEETS,
        tweet(hourofday=30),
        tweet(isretweet=3),
        tweet(city="  ", sentiment="", language=None),
        tweet(time="2021-02-30T06:00:00Z", retweetcount="many"),
    )
    assert (hour["hour_of_day"], hour["quality_flags"]) == (6, ["hour_corrected"])
    assert (mark["is_retweet"], mark["quality_flags"]) == (True, ["retweet_mark_unusual"])
    assert (blank["city"], blank["sentiment"], blank["language"]) == (None, "Unknown", "Unknown")
    assert (odd["tweet_id"], odd["tweeted_at"], odd["retweet_count"]) == (None, None, None)


def test_a_tweet_is_known_by_moment_user_text_and_hashtag(engine: Engine) -> None:
    rows = typed(
        engine,
        TWEETS,
        TWEET,
        tweet(retweetcount=99, sentiment="Positive"),
        tweet(username="user_2"),
        tweet(hashtag="#beach"),
        tweet(time="2021-09-05T06:01:03Z"),
    )
    ids = [row["tweet_id"] for row in rows]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert max(ids) == ids[4]


@pytest.mark.parametrize("value", ['["beach"]', '["#a b"]', "[]", '["#(x"]'])
def test_a_list_of_tags_that_are_none_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CAMPAIGN_TAGS", value)
    with pytest.raises(LakehouseError, match="LAKEHOUSE_CAMPAIGN_TAGS cannot be used"):
        load_settings()


# --- end to end -----------------------------------------------------------------------------

FIRST = [
    tweet(),
    tweet(username="user_2", city="Berlin", hashtag="#GOGREEN", retweetcount=1),
    tweet(username="user_3", city="berlin, DE", hashtag="#beach", tweet="x"),
    tweet(username="user_4", city=""),
    tweet(username="user_5", hashtag="#nothing", tweet="nothing"),
]
SECOND = [
    tweet(username="user_6", city="Berlin", time="2021-10-02T01:00:00Z", hourofday=1),
    tweet(username="user_7", city="KWANGYA", time="2021-10-02T01:00:00Z", hourofday=1),
]


@pytest.fixture(scope="module")
def delivered(new_house: Callable[..., House]) -> House:
    """Two days in two months; the first file comes again under another name; only to be read."""
    house: House = new_house("tweets")
    deliver(house, TWEETS, "2021-09-06", "a.json", json.dumps(FIRST))
    deliver(house, TWEETS, "2021-09-06", "replayed.json", json.dumps(FIRST))
    deliver(house, TWEETS, "2021-10-04", "b.json", json.dumps([*FIRST[:2], *SECOND]))
    made = [made.table for made in (*gold_tweets.GOLD, *gold_campaigns.GOLD)]
    outcome = house.run(TWEETS, gold=[*made, CAMPAIGN_TWEETS])
    assert outcome.errors == []
    return house


def test_replayed_tweets_are_duplicates_and_the_others_have_reasons(delivered: House) -> None:
    kept = delivered.rows(SILVER_TWEETS)
    assert sorted(row["username"] for row in kept) == [f"user_{n}" for n in (1, 2, 3, 6, 7)]
    aside = delivered.rows(quarantine_table(TWEETS))
    named = {row["duplicate_of"] for row in aside if row["disposition"] == "duplicate"}
    first = "retail/tweets/2021-09-06/a.json"
    assert named == {f"{first}#1", f"{first}#2", f"{first}#3"}
    reasons = sorted((r["username"], *r["reasons"]) for r in aside if r["reasons"])
    assert reasons == [("user_4", "valid_city")] * 2 + [("user_5", "has_campaign_tag")] * 2
    assert len(aside) == 9


def counts(house: House, table: Any, month: int, *keys: str) -> dict[Any, tuple[int, int]]:
    rows = house.rows(table, f"month(as_of_month) = {month}")
    return {tuple(row[k] for k in keys): (row["tweets"], row["retweets"]) for row in rows}


def test_tweets_are_counted_by_hashtag_and_city_as_of_each_month(delivered: House) -> None:
    assert counts(delivered, gold_tweets.TWEETS_BY_CITY_AND_HASHTAG, 9, "city", "hashtag") == {
        ("New York", "#GoGreen"): (1, 12),
        ("Berlin", "#GoGreen"): (1, 1),
        ("Berlin", "#beach"): (1, 12),
    }
    assert counts(delivered, gold_tweets.TWEETS_BY_CITY_AND_HASHTAG, 10, "city", "hashtag") == {
        ("New York", "#GoGreen"): (1, 12),
        ("Berlin", "#GoGreen"): (2, 13),
        ("Berlin", "#beach"): (1, 12),
        ("KWANGYA", "#GoGreen"): (1, 12),
    }
    assert counts(delivered, gold_tweets.TWEETS_BY_HASHTAG, 10, "hashtag") == {
        ("#GoGreen",): (4, 37),
        ("#beach",): (1, 12),
    }


def test_cities_are_located_and_what_is_no_place_stays_without(delivered: House) -> None:
    rows = delivered.rows(gold_tweets.TWEETS_BY_CITY, "month(as_of_month) = 10")
    found = {row["city"]: row for row in rows}
    assert set(found) == {"New York", "Berlin", "KWANGYA"}
    assert found["New York"]["place"] == "New York City"
    berlin = found["Berlin"]
    assert (berlin["place"], berlin["country"], berlin["tweets"]) == ("Berlin", "DE", 3)
    assert berlin["latitude"] == pytest.approx(52.52, abs=0.05)
    assert berlin["longitude"] == pytest.approx(13.41, abs=0.05)
    lost = found["KWANGYA"]
    assert (lost["place"], lost["latitude"], lost["longitude"]) == (None, None, None)
    assert lost["tweets"] == 1


def test_all_tweets_have_one_total_as_of_each_month(delivered: House) -> None:
    rows = delivered.rows(gold_tweets.TWEET_TOTALS, order="as_of_month")
    assert [(r["as_of_month"].month, r["tweets"], r["retweets"]) for r in rows] == [
        (9, 3, 25), (10, 5, 49),
    ]  # fmt: skip


def test_without_any_campaign_the_product_holds_the_tweets_alone(delivered: House) -> None:
    rows = delivered.rows(CAMPAIGN_TWEETS, "month(as_of_month) = 10")
    assert sum(row["tweets"] for row in rows) == 5
    assert {row["campaign_name"] for row in rows} == {None}
