"""Labelled tweets from delivered CSV to silver: parts by file name, copies, and what is refused."""

from __future__ import annotations

from collections import Counter

from lakehouse_assets.catalog.datasets import dataset_tables, quarantine_table
from lakehouse_assets.domains.retail.datasets.labelled_tweets import LABELLED_TWEETS
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.retail.samples import deliver, quoted_csv


def test_tweets_are_in_one_part_and_bad_rows_are_quarantined(house: House) -> None:
    files = {
        "test.csv": [("I love it!", "POSITIVE"), ("It opens at nine", "neutral")],
        "train.csv": [
            ("i LOVE it https://t.co/a @you", "Negative"), ("I hate it", "Negative"),
            ("", "Positive"), ("Fine", "Glad"), ("None", ""), ("None", "Neutral"),
            ("\U0001f600", "Positive"), ("\U0001f622", "Negative"),
        ],
        "Validation-2.csv": [("Good day", "Positive")],
    }  # fmt: skip
    for name, rows in files.items():
        given = [{"twitter_text": text, "sentiment": label} for text, label in rows]
        deliver(house, LABELLED_TWEETS, "2021-09-06", name, quoted_csv(LABELLED_TWEETS, given))
    house.materialise("retail_daily", "2021-09-06", *dataset_tables(LABELLED_TWEETS))
    silver = house.rows("silver_labelled_tweets")
    assert {(row["twitter_text"], row["sentiment"], row["part"]) for row in silver} == {
        ("I love it!", "Positive", "test"), ("It opens at nine", "Neutral", "test"),
        ("I hate it", "Negative", "train"), ("None", "Neutral", "train"),
        ("\U0001f600", "Positive", "train"), ("\U0001f622", "Negative", "train"),
        ("Good day", "Positive", "validation"),
    }  # fmt: skip
    lost = house.rows(quarantine_table(LABELLED_TWEETS).name)
    assert Counter((row["disposition"], row["twitter_text"]) for row in lost) == {
        ("duplicate", "i LOVE it https://t.co/a @you"): 1, ("quarantined", None): 1,
        ("quarantined", "Fine"): 1, ("quarantined", "None"): 1,
    }  # fmt: skip
