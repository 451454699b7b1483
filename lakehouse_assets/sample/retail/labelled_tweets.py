"""A delivery of labelled tweets in three files: for training, validation and testing.

Texts are templates of our own with words in their gaps. No template is in two files, so a model is
tested on sentences that it has not seen in any form.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakehouse_assets.domains.retail.datasets.labelled_tweets import LABELLED_TWEETS
from lakehouse_assets.sample.retail.draws import Config, deliver_csv, picked

SIZES = {"train": 900, "validation": 240, "test": 240}
"""Tweets of each file in the sample."""

_PRAISE = ("great", "lovely", "amazing", "wonderful", "beautiful", "perfect", "brilliant", "fun")
_BLAME = ("awful", "terrible", "ugly", "boring", "horrible", "useless", "disappointing", "bad")
_THINGS = (
    "the new jacket", "this swimsuit", "the surf lesson", "their summer look", "the green sneakers",
    "that beach party", "the linen shirt", "the fashion show", "my order", "the recycled bag",
    "the street concert", "this tent",
)  # fmt: skip
_PLACES = ("Miami", "the harbour", "the new store", "the beach", "San Diego", "the market",
           "downtown", "the outlet")  # fmt: skip
_TIMES = ("today", "this morning", "last night", "on Friday", "all week", "at noon")
_TAGS = ("#fashion", "#beach", "#GoGreen", "#outdoor", "#SouthBeach", "#SustainableFashion")

TEMPLATES = {
    ("train", "Positive"): (
        "I love {thing}, it is {praise}", "{thing} was {praise} {time} {tag}",
        "So happy with {thing} from {place} :)", "Thank you {place} for a {praise} day",
        "Can't wait to wear {thing} again {tag}", "What a {praise} time at {place} {time}!",
        "Best thing I bought {time}: {thing}", "{thing} makes me smile every day",
        "Everybody should try {thing}, really {praise}", "{place} has never been more {praise}",
        "not bad at all, {thing} is {praise}", "We enjoyed {place} so much {time} {tag}",
    ),
    ("train", "Neutral"): (
        "{place} opens at nine {tag}", "I am on my way to {place} {tag}",
        "Does anyone know where to buy {thing}?", "{thing} comes in three sizes",
        "The queue at {place} starts at the door {time}", "Reading about {thing} {time} {tag}",
        "They sell {thing} at {place}", "{thing} arrives {time}, says the shop",
        "My sister asked about {thing} {time}", "Two buses go to {place} {time}",
        "Picking up {thing} at {place} {time}", "{place} moved next to the station {tag}",
    ),
    ("train", "Negative"): (
        "I hate {thing}, it is {blame}", "{thing} was {blame} {time} {tag}",
        "So angry about {thing} from {place}", "Never again {place}, what a {blame} day",
        "{thing} broke after a day, {blame}", "What a {blame} time at {place} {time}",
        "Worst thing I bought {time}: {thing}", "{thing} is not worth the money {tag}",
        "Nobody should buy {thing}, really {blame}", "{place} does not answer my complaint {time}",
        "I regret going to {place} {time}", "Still no refund for {thing}, this is {blame}",
    ),
    ("validation", "Positive"): (
        "{praise} service at {place} {time}, thanks!", "Just got {thing} and I am in love {tag}",
        "Feeling good at {place} {time}", "My favourite find this year is {thing}",
        "How {praise} is {thing}? Wow", "{thing} looks {praise} on everyone",
    ),
    ("validation", "Neutral"): (
        "There is {thing} in the window of {place}", "Is {place} open {time}?",
        "{thing} is made of cotton {tag}", "We meet at {place} {time}",
        "A report about {thing} appeared {time}", "Parking at {place} is behind the hall",
    ),
    ("validation", "Negative"): (
        "{blame} service at {place} {time}", "Just got {thing} and it is torn, so sad {tag}",
        "Feeling sick of {place} {time}", "The most {blame} buy this year is {thing}",
        "How {blame} is {thing}? Shame", "{thing} fell apart, I want my money back",
    ),
    ("test", "Positive"): (
        "A {praise} evening, and {thing} fits like a dream", "{place} made my day {time} {tag}",
        "Glad I went to {place}, {praise} people", "{thing} is worth every cent, {praise}",
        "Yes! {thing} won the prize {time}", "Nothing beats {place} {time}, simply {praise}",
    ),
    ("test", "Neutral"): (
        "{time} I will be at {place}", "The label of {thing} says made in Portugal",
        "Which bus stops at {place}? {tag}", "{place} lists {thing} on page four",
        "Someone left {thing} at {place} {time}", "New opening hours for {place} {tag}",
    ),
    ("test", "Negative"): (
        "A {blame} evening, and {thing} does not fit", "{place} ruined my day {time} {tag}",
        "Sorry I went to {place}, {blame} people", "{thing} is a waste of money, {blame}",
        "No! {thing} is lost again {time}", "I wish {place} cared, simply {blame}",
    ),
}  # fmt: skip


def write_labelled_tweets(config: Config, root: Path) -> list[Path]:
    """Write the files, on the first Monday after the first week; return them."""
    rng = config.random("labelled_tweets")
    day = config.mondays[0] + timedelta(weeks=1)
    files = []
    for part, size in SIZES.items():
        labels = [label for made_for, label in TEMPLATES if made_for == part]
        rows: dict[str, str] = {}
        draws = rng.integers(0, 2**31, (config.rows(size), 8))
        for draw in draws:
            label = picked(labels, draw[0])
            rows[_text(part, label, draw)] = label
        columns = {"twitter_text": list(rows), "sentiment": list(rows.values())}
        files.append(deliver_csv(root, LABELLED_TWEETS, day, f"{part}.csv", columns))
    return files


def _text(part: str, label: str, draw: npt.NDArray[np.int64]) -> str:
    """Fill the gaps of a template."""
    template = picked(TEMPLATES[part, label], draw[1])
    gaps = (_PRAISE, _BLAME, _THINGS, _PLACES, _TIMES, _TAGS)
    words = [picked(options, word) for options, word in zip(gaps, draw[2:], strict=True)]
    names = ("praise", "blame", "thing", "place", "time", "tag")
    text = template.format(**dict(zip(names, words, strict=True)))
    return text[0].upper() + text[1:]
