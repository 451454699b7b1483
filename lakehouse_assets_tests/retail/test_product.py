"""The stitched product: tweets beside results, and no total that grows or shrinks."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lakehouse_assets.domains.retail.gold import product as gold_product
from lakehouse_assets.domains.retail.gold.campaigns import (
    CAMPAIGN_DAYS,
    DIM_CAMPAIGNS,
    campaign_key,
)
from lakehouse_assets.domains.retail.gold.product import CAMPAIGN_TWEETS
from lakehouse_assets.domains.retail.gold.tweets import TWEETS_BY_CITY_AND_HASHTAG
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.quality.gold import check_totals
from lakehouse_assets_tests.airline.samples import House, declared_rows, frame

MONTH = date(2021, 9, 1)


def key_of(engine: Engine, name: str) -> int:
    table = engine.from_arrow(pa.table({"name": [name]}))
    return int(engine.rows(table.select(campaign_key(F.col("name")).alias("key")))[0]["key"])


def tweeted(engine: Engine, *rows: tuple[str, str, int]) -> Any:
    """Make pairs of hashtag and city with their tweets, and ten times as many retweets."""
    data = [
        {"as_of_month": MONTH, "hashtag": tag, "city": city, "tweets": n, "retweets": 10 * n,
         "favourites": 0, "negative_tweets": n, "neutral_tweets": 0, "positive_tweets": 0}
        for tag, city, n in rows
    ]  # fmt: skip
    return frame(engine, TWEETS_BY_CITY_AND_HASHTAG, *data)


def campaigns(engine: Engine, *names: str) -> Any:
    data = [
        {"as_of_month": MONTH, "campaign_key": key_of(engine, name), "campaign_name": name,
         "hashtag": f"#{name}", "first_day": MONTH, "last_day": MONTH,
         "load_timestamp": datetime(2021, 10, 1, tzinfo=UTC)}
        for name in names
    ]  # fmt: skip
    return frame(engine, DIM_CAMPAIGNS, *data)


def earned(engine: Engine, *rows: tuple[str, date, str, str]) -> Any:
    """Make `campaign_days` of a campaign, a delivery month, a revenue and a profit."""
    data = [
        {"as_of_month": month, "campaign_key": key_of(engine, name), "campaign_name": name,
         "revenue": Decimal(revenue), "profit": Decimal(profit), "cost": Decimal(1)}
        for name, month, revenue, profit in rows
    ]  # fmt: skip
    return frame(engine, CAMPAIGN_DAYS, *data)


def built(engine: Engine, *inputs: Any) -> list[dict[str, Any]]:
    found = gold_product.campaign_tweets(*inputs)
    rows = declared_rows(engine, found, CAMPAIGN_TWEETS)
    return sorted(rows, key=lambda row: (row["hashtag"], row["city"] or ""))


def test_cities_share_a_campaigns_results_and_letters_do_not_matter(engine: Engine) -> None:
    rows = built(
        engine,
        tweeted(engine, ("#gogreen", "Berlin", 1), ("#gogreen", "Paris", 2), ("#beach", "Rome", 5)),
        campaigns(engine, "GoGreen", "LetsRun"),
        # Three weeks of one campaign would be three rows each in the lab's join.
        earned(
            engine,
            ("GoGreen", date(2021, 7, 1), "50", "-10"),
            ("GoGreen", date(2021, 8, 1), "40", "0"),
            ("GoGreen", MONTH, "10", "0"),
            ("LetsRun", MONTH, "7.5", "2"),
        ),
    )
    shown = [
        (r["hashtag"], r["city"], r["campaign_name"], r["tweets"], r["retweets"],
         str(r["revenue"]), str(r["profit"]), str(r["cost"]))
        for r in rows
    ]  # fmt: skip
    assert shown == [
        ("#LetsRun", None, "LetsRun", 0, 0, "7.5000", "2.0000", "1.0000"),
        ("#beach", "Rome", None, 5, 50, "0.0000", "0.0000", "0.0000"),
        ("#gogreen", "Berlin", "GoGreen", 1, 10, "33.3333", "-3.3333", "1.0000"),
        ("#gogreen", "Paris", "GoGreen", 2, 20, "66.6667", "-6.6667", "2.0000"),
    ]


def test_every_total_is_that_of_the_inputs(engine: Engine) -> None:
    rng = random.Random(5)  # noqa: S311 - nothing is kept secret with it
    names = [f"Campaign{n}" for n in range(12)]
    tags = [*(f"#{name.upper()}" for name in names[:9]), "#other"]
    pairs = tweeted(
        engine,
        *[(tag, f"City{n}", rng.randrange(1, 10_000)) for tag in tags for n in range(37)],
    )
    days = earned(
        engine,
        *[
            (name, MONTH, f"{rng.randrange(10**11)}.{rng.randrange(10**4):04}",
             f"{rng.randrange(-(10**9), 10**9)}.{rng.randrange(10**4):04}")
            for name in names
        ],
    )  # fmt: skip
    found = gold_product.campaign_tweets(pairs, campaigns(engine, *names), days)
    (expected,) = engine.rows(gold_product.totals_of_results(days))
    (counted,) = engine.rows(gold_product.totals_of_tweets(pairs))
    sums = [F.sum(n).cast("decimal(38,4)").alias(n) for n in expected]
    sums += [F.sum(n).cast("bigint").alias(n) for n in counted]
    assert engine.rows(found.agg(*sums)) == [{**expected, **counted}]
    assert len(engine.rows(found)) == 10 * 37 + 3


def test_the_check_sees_a_total_that_was_multiplied(house: House) -> None:
    row = {
        "as_of_month": MONTH, "hashtag": "#a", "city": "b", "tweets": 3, "retweets": 0,
        "negative_tweets": 1, "neutral_tweets": 1, "positive_tweets": 1,
        "revenue": Decimal(20), "cost": Decimal(1), "profit": Decimal(0),
    }  # fmt: skip
    house.put(CAMPAIGN_TWEETS, [row], MONTH)
    lake = house.lake
    right, half = (
        lake.engine.from_arrow(
            pa.table({"tweets": [3], "revenue": pa.array([Decimal(n)], pa.decimal128(18, 4))})
        )
        for n in (20, 10)
    )
    assert check_totals(CAMPAIGN_TWEETS, lake, Everything(), {MONTH: [right]}).passed
    result = check_totals(CAMPAIGN_TWEETS, lake, Everything(), {MONTH: [half]})
    assert not result.passed
    assert str(result.description) == (
        "revenue of September 2021 is 20.0000, but the inputs have 10.0000"
    )
