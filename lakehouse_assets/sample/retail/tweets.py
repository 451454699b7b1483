"""Deliveries of tweets: JSON files on two days per week.

One tweet in eight has the hashtag of a campaign with results, in any case; the profile does not
have such tweets, but the stitched product needs them. Users and texts are made up.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np

from lakehouse_assets.sample.retail.campaigns import NUMBERS
from lakehouse_assets.sample.retail.draws import Config, Knots, choose, deliver, picked, spread, utc

PER_WEEK = 110
DELIVERY_DAYS = (2, 7)
"""Days after a Monday on which files come: Wednesday, and the Monday of the campaigns' file."""
HASHTAGS = {
    "#fashion": 23882, "#beach": 2351, "#entertainment": 2062, "#outdoor": 1444,
    "#SustainableFashion": 130, "#futureTech": 87, "#southBeach": 43,
}  # fmt: skip
ABOUT_CAMPAIGNS = 1 / 8
BLANK_CITY = 0.4431
# Places that name no city, for some of the other tweets.
NO_PLACES = {"Online": 4, "MFworld": 2, "KWANGYA": 2, "India": 3, "#codedaily": 1}
CITIES = (
    "London", "Lagos", "New York", "Miami, FL", "Los Angeles, CA", "Mumbai", "Manila", "Paris",
    "Jakarta", "Toronto", "Nairobi", "Berlin", "Tokyo", "Dubai", "Chicago", "Sydney", "Madrid",
    "Milan", "Seoul", "Singapore", "Karachi", "Accra", "San Diego", "Las Vegas", "Zurich",
    "S\u00e3o Paulo", "Bangkok", "Dublin", "Atlanta, GA", "Houston", "Vienna", "Cape Town",
)  # fmt: skip
RETWEETS: Knots = (
    (0, 0), (0.7, 0), (0.75, 1), (0.9, 20), (0.95, 125), (0.97, 200), (0.99, 600), (0.999, 2000),
    (0.9999, 6000), (1, 35872),
)  # fmt: skip
LIKES: Knots = (
    (0, 0), (0.75, 0), (0.9, 40), (0.95, 418), (0.97, 700), (0.99, 1500), (0.999, 5000),
    (0.9999, 15000), (1, 44979),
)  # fmt: skip
RETWEET_MARKS = {0: 0.72, 1: 0.2785, 2: 0.001, 3: 0.0005}
WRONG_HOUR = 0.001
REPLAYED = 0.1
_OPENINGS = ("RT @{}: ", "", "", "", "@{} ", "")
_SENTENCES = (
    "It's the best #Summer look and I can't wait", "We've seen the NewCollection, they're great",
    "Don't miss it: sale ends tonight", "I'm at the beach \u2600 \u2014 who's in?",
    "You'll love this caf\u00e9 by the sea", "She'd wear it every day, wouldn\u2019t you?",
    "Surf lessons 9:30, bring sun cream", "GreenFashion isn't a trend, it is a habit",
)  # fmt: skip


def write_tweets(config: Config, root: Path) -> list[Path]:
    """Write the deliveries; return the files."""
    rng = config.random("tweets")
    size = config.rows(PER_WEEK) // len(DELIVERY_DAYS) or 1
    names = dict.fromkeys(NUMBERS, 1.0)
    cities = {city: 1 / (rank + 2) for rank, city in enumerate(CITIES)}
    files: list[Path] = []
    for monday in config.mondays:
        for weekday in DELIVERY_DAYS:
            delivered = monday + timedelta(days=weekday)
            tags, campaigns = choose(rng, HASHTAGS, size), choose(rng, names, size)
            places, nowhere = choose(rng, cities, size), choose(rng, NO_PLACES, size)
            marks = choose(rng, RETWEET_MARKS, size)
            retweets = spread(rng.random(size), RETWEETS)
            likes = spread(rng.random(size), LIKES)
            draws = rng.random((4, size))
            ages = rng.integers(0, 3 * 86_400, size)
            words = rng.integers(0, 2**31, (5, size))
            for n in np.flatnonzero(draws[0] < ABOUT_CAMPAIGNS):
                name = campaigns[n]
                tags[n] = "#" + picked((name, name.lower(), name.upper()), words[0][n])
            wrong, hours = draws[3] < WRONG_HOUR, -ages % 86_400 // 3_600
            columns = {
                "time": utc(delivered, -ages),
                "hashtag": tags,
                "tweet": [_text(tag, *parts) for tag, parts in zip(tags, words.T, strict=True)],
                "city": np.select(
                    [draws[1] < BLANK_CITY, draws[2] < 0.05], ["", nowhere], places
                ).tolist(),
                "username": [_user(word) for word in words[4]],
                "retweetcount": retweets.astype(int).tolist(),
                "favouritecount": likes.astype(int).tolist(),
                "sentiment": ["Neutral"] * size,
                "sentimentscore": [5] * size,
                "isretweet": marks,
                "hourofday": np.where(wrong, 24 + words[1] % 11, hours).tolist(),
                "language": ["English"] * size,
            }
            rows = [
                dict(zip(columns, values, strict=True))
                for values in zip(*columns.values(), strict=True)
            ]
            content = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
            serial = int(rng.integers(10**9))
            files.append(deliver(root, "tweets", delivered, f"tweets-{serial:09}.json", content))
            if rng.random() < REPLAYED:
                again = picked(files, int(rng.integers(len(files)))).read_bytes()
                name = f"tweets-{int(rng.integers(10**9)):09}.json"
                files.append(deliver(root, "tweets", delivered, name, again))
    return files


def _text(tag: str, sentence: int, opening: int, answered: int, link: int, _user_word: int) -> str:
    start = picked(_OPENINGS, opening).format(_user(answered))
    end = f" https://t.co/{link:08x}" if link % 3 else ""
    return f"{start}{picked(_SENTENCES, sentence)} {tag}{end}"


def _user(word: int) -> str:
    return f"user_{word % 5000:04}"
