"""Retail deliveries in which everything stands that engines may take differently."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.datasets.device_wear import DEVICE_WEAR
from lakehouse_assets.domains.retail.datasets.documents import DOCUMENTS
from lakehouse_assets.domains.retail.datasets.labelled_tweets import LABELLED_TWEETS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import STORE_SALES
from lakehouse_assets.domains.retail.datasets.tweets import TWEETS
from lakehouse_assets.domains.retail.datasets.visits import VISITS
from lakehouse_assets.domains.retail.datasets.website import WEBSITE
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.engine import hostile
from lakehouse_assets_tests.retail.samples import (
    RESULT,
    customer,
    deliver,
    order,
    quoted_csv,
    result,
    sale,
    seen,
    tweet,
    visit,
)

ROWS = 400
FEWER = 120
_LABELS = (
    "Boomer; GenX; GenY; GenZ", "Gen Z (2000s - now)", "Baby Boomers (45 ? 60s)", "GEN X", "NULL",
    "NA", "", "Social", "tv", "EVENT", "Gen\u00a0Z", "\u0130", "\u3000Email\u3000",
    "Media Placements",
)  # fmt: skip
_NAMES = ("GoGreen", "gogreen", "LetsRun", "\u0130stanbul", "stra\u00dfe", " BeUnique ", "NULL", "")
_LABELLED = (
    ("I love", "POSITIVE"), ("https://t.co/x Love", "Positive"), ("I hate", "negative"),
    ("@you I hate!", "NEGATIVE"), ("It is a", "neutral"), ("\u0130t ha\u1e9e", "Neutral"),
)  # fmt: skip
_AMOUNTS = (
    "11180.560000000001", "-0.00005", "0.00005", "1e3", "NaN", "", "12abc", "-3961.17", "296.505",
    "+7", " 42 ", "99999999999", "-99999999999", "0.00004999", "1,000",
)  # fmt: skip


def deliver_retail(house: House) -> None:
    """Fill the landing zone of the retail domain."""
    rng = random.Random(23)  # noqa: S311 - nothing is kept secret with it
    _deliver_campaigns(house, rng)
    _deliver_tweets(house, rng)
    _deliver_store_sales(house, rng)
    _deliver_online_sales(house, rng)
    _deliver_customers(house, rng)
    _deliver_website(house, rng)
    _deliver_visits(house, rng)
    _deliver_documents(house)
    _deliver_labelled_tweets(house, rng)
    _deliver_device_wear(house, rng)


def _deliver_documents(house: House) -> None:
    png = b"\x89PNG\r\n\x1a\n\0\xff"
    files = {"a.png": png, "b.PNG": png, "c.pdf": png + b"x", "d.pdf": b"%PDF-1.4", "e.gif": b""}
    for name, content in files.items():
        deliver(house, DOCUMENTS, "2014-02-10", name, content)


def _deliver_campaigns(house: House, rng: random.Random) -> None:
    rows = [_bent(rng) for _ in range(ROWS)]
    rows += [dict(row) for row in rng.sample(rows, 30)]
    deliver(house, CAMPAIGNS, "2014-02-10", "campaign-data.csv", quoted_csv(CAMPAIGNS, rows))
    # Delivered again, with some news and a record that is none.
    more = quoted_csv(CAMPAIGNS, [*rows[:100], *[_bent(rng) for _ in range(50)]])
    deliver(house, CAMPAIGNS, "2014-02-17", "campaign-data.csv", more + '"too","short"\n')


def _bent(rng: random.Random) -> dict[str, Any]:
    row = result(
        Campaign_Name=rng.choice(_NAMES),
        Country=rng.choice(["USA", "germany", "JPN", "Brazil", "Atlantis", "NULL"]),
        Campaign_Tactic=rng.choice(_LABELS),
        Customer_Segment=rng.choice(_LABELS),
        Profit=rng.choice(_AMOUNTS),
        CampDate=f"2014-{rng.randrange(1, 4)}-{rng.randrange(1, 29)}",
    )
    for _ in range(rng.choice([0, 0, 1, 2])):
        name = rng.choice(list(RESULT))
        values: Sequence[str | None] = _AMOUNTS
        if name == "CampDate":
            values = _DAYS
        elif name not in {"Cost", "Revenue", "Profit", "Responses", "ROI", "Marketing_Cost"}:
            values = _TEXTS
        row[name] = rng.choice(values)
    return row


def _deliver_tweets(house: House, rng: random.Random) -> None:
    rows = [_bent_tweet(rng) for _ in range(ROWS)]
    deliver(house, TWEETS, "2014-02-11", "a.json", json.dumps(rows))
    deliver(house, TWEETS, "2014-02-11", "replayed.json", json.dumps(rows[:100]))
    more = [*rows[100:150], *(_bent_tweet(rng) for _ in range(100))]
    lines = "".join(json.dumps(row) + "\n" for row in more)
    deliver(house, TWEETS, "2014-02-18", "b.jsonl", lines + '{"time": 1,\n')


_TAGS = ("#GoGreen", "#gogreen", "#LETSRUN", "#beach", "#fashion", "#\u0130", "", "#other", None)
_SAID = (
    "RT @user: It's #GoGreen https://t.co/x", "we won't, can't, don\u2019t", "CamelCase aB\u0130cD",
    "#beachlife #Beach!", "caf\u00e9 \U0001f600 #outdoor", "I'm you'll she'd we've they're it's",
    "a\nb\r\tc", "'s", "", "www.x.org", "\u3000", "#", "@", "x" * 300,
)  # fmt: skip


def _bent_tweet(rng: random.Random) -> dict[str, Any]:
    row = tweet(
        time=rng.choice(_MOMENTS)
        if rng.random() < 0.3
        else f"2014-02-{rng.randrange(1, 19):02}T{rng.randrange(24):02}:00:00Z",
        hashtag=rng.choice(_TAGS),
        tweet=rng.choice([rng.choice(_SAID), rng.choice(_STRINGS)]),
        city=rng.choice(["Berlin", "berlin, DE", "Z\u00fcrich", "", "\u0130stanbul", "KWANGYA"]),
        username=f"user_{rng.randrange(40)}",
    )
    for _ in range(rng.choice([0, 0, 1])):
        name = rng.choice(["city", "retweetcount", "favouritecount", "sentiment", "isretweet",
                           "sentimentscore", "hourofday", "language"])  # fmt: skip
        row[name] = rng.choice([*_STRINGS[:200], 1, 7, -1, 10**9, 2.5, True, None])
    return row


def _deliver_store_sales(house: House, rng: random.Random) -> None:
    rows = []
    for number in range(FEWER):
        row = sale(
            ID=str(number),
            WeekStarting=f"2014-{rng.randrange(1, 3):02}-{rng.randrange(1, 29):02}",
            Store=str(rng.randrange(1, 13)),
            Quantity=rng.choice(["12000", "9000.0", "0", "-5", "999999999999999999"]),
            Price=rng.choice(["2.21", "1.9", "0.00005", "99999999999999.9999"]),
        )
        rows.append(_with_one_odd(rng, row, ("ID", "Store"), ("WeekStarting",)))
    text = quoted_csv(STORE_SALES, rows)
    # A file that begins with a mark, holds records that are none, and ends without a line end.
    deliver(house, STORE_SALES, "2014-02-10", "a.txt", f"\ufeff{text}1,2\n\n" + "1,2,3,4,5,6,7,8,9")
    more = [*rows[:20], *(sale(ID=f"late {n}", WeekStarting="2014-02-16") for n in range(9))]
    deliver(house, STORE_SALES, "2014-02-17", "a.txt", quoted_csv(STORE_SALES, more))


def _deliver_online_sales(house: House, rng: random.Random) -> None:
    rows = []
    for number in range(FEWER):
        row = order(
            OrderID=f"O-{number % (FEWER - 9)}",
            OrderedAt=rng.choice(_MOMENTS) if rng.random() < 0.2 else "2014-02-09T23:59:59.9999999",
            CustomerID=rng.choice(["7590-VHVEG", "c1", "", "NULL", "nobody"]),
            Country=rng.choice(["USA", "usa", "Germany", "GERMANY", "T\u00fcrkiye", "\u0130", ""]),
            Product=rng.choice(["Atlas", " Atlas ", "stra\u00dfe", "NULL"]),
        )
        rows.append(_with_one_odd(rng, row, ("OrderID",), ("OrderedAt",)))
    text = quoted_csv(ONLINE_SALES, rows) + '"too","short"\n'
    deliver(house, ONLINE_SALES, "2014-02-10", "orders.csv", text)


def _deliver_customers(house: House, rng: random.Random) -> None:
    rows = []
    for number in range(FEWER):
        row = customer(
            CustomerID=f"c{number % (FEWER - 9)}",
            SeniorCitizen=rng.choice(["0", "1", "Yes", "2", "1.0", ""]),
            tenure_month=rng.choice(["0", "72", "-1", "1.5", "99999999999"]),
            TotalAmount=rng.choice(["", "30", "1889.505", "0.005", "1e3"]),
            Churn=rng.choice(["Yes", "No", "", "yes"]),
        )
        rows.append(_with_one_odd(rng, row, ("CustomerID",), ()))
    text = quoted_csv(CUSTOMERS, [*rows, customer(), customer(CustomerID="c1")])
    deliver(house, CUSTOMERS, "2014-02-10", "customers.csv", text + "1,2\n")
    deliver(house, CUSTOMERS, "2014-02-24", "customers.csv", quoted_csv(CUSTOMERS, rows[:40]))
    deliver(house, CUSTOMERS, "2014-02-24", "other.csv", "a,b\n1,2\n")
    deliver(house, CUSTOMERS, "2014-02-24", "empty.csv", quoted_csv(CUSTOMERS, []))


def _deliver_website(house: House, rng: random.Random) -> None:
    rows = []
    for _ in range(FEWER):
        row = visit(
            Country=rng.choice(["USA", "Brazil", "japan", "Nowhere"]),
            Device_Category=rng.choice(["Mobile", "Tablet"]),
            Customer_Segment=rng.choice(_LABELS),
            Conversion_Rate=rng.choice(["48", "0.00005", "100.00005", "-1", "NaN", "33.3333"]),
            Visits=rng.choice(["50", "0", "-1", "7.0", "x"]),
            Date=f"2014-02-{rng.randrange(1, 29)}",
        )
        rows.append(_with_one_odd(rng, row, (), ("Date",)))
    text = quoted_csv(WEBSITE, [*rows, *rows[:20]]) + "none\n"
    deliver(house, WEBSITE, "2014-02-10", "website.csv", text)


def _deliver_visits(house: House, rng: random.Random) -> None:
    rows = []
    for number in range(FEWER):
        row = seen(
            VisitNumber=f"V-{number % (FEWER - 9)}",
            VisitedAt=rng.choice(_MOMENTS) if rng.random() < 0.2 else "2014-02-09T23:59:59.9999999",
            VisitorID=rng.choice(["W-1", "w-1", "\u0130", "stra\u00dfe"]),
            Country=rng.choice(["USA", "germany", "T\u00fcrkiye", "Nowhere"]),
            Customer_Segment=rng.choice(_LABELS),
            Bounced=rng.choice(["Yes", "no", "TRUE", "0", "maybe"]),
            Pages=rng.choice(["1", "2.0", "-1", "2147483647", "99999999999"]),
        )
        rows.append(_with_one_odd(rng, row, ("VisitNumber",), ("VisitedAt",)))
    text = quoted_csv(VISITS, rows) + '"too","short"\n'
    deliver(house, VISITS, "2014-02-10", "visits.csv", text)


def _deliver_labelled_tweets(house: House, rng: random.Random) -> None:
    for part in ("train", "validation", "test"):
        rows = [
            {
                "twitter_text": f"{said} {rng.choice(_NAMES)} {rng.choice(_TEXTS)}",
                "sentiment": meant if rng.random() < 0.9 else rng.choice(["Glad", "NULL", ""]),
            }
            for said, meant in rng.choices(_LABELLED, k=FEWER)
        ]
        text = quoted_csv(LABELLED_TWEETS, [*rows, *rows[:9], {"twitter_text": ""}]) + "alone\n"
        deliver(house, LABELLED_TWEETS, "2014-02-10", f"{part}.csv", text)


def _deliver_device_wear(house: House, rng: random.Random) -> None:
    rows = []
    for device in range(12):
        for hour in range(60):
            worn = max(hour - 20, 0) / 40
            row = {
                "DeviceId": f"W{device}", "Hour": hour, "TempAvg": 67 + worn + rng.gauss(0, 0.3),
                "TempSpread": 1 + worn + rng.random(), "BatteryAvg": 60 - 25 * worn,
                "ReadingsShare": 1 - worn * rng.random() / 5, "HoursLeft": 59 - hour,
            }  # fmt: skip
            rows.append(_with_one_odd(rng, {k: str(v) for k, v in row.items()}, ("DeviceId",), ()))
    text = quoted_csv(DEVICE_WEAR, [*rows, *rows[:20]]) + "alone\n"
    deliver(house, DEVICE_WEAR, "2014-02-10", "run_to_failure.csv", text)


def _with_one_odd(
    rng: random.Random, row: dict[str, Any], kept: Sequence[str], dated: Sequence[str]
) -> dict[str, Any]:
    """Put something odd into one column in three rows of ten."""
    if rng.random() < 0.3:
        name = rng.choice([name for name in row if name not in kept])
        row[name] = rng.choice(_DAYS if name in dated else [*_TEXTS, *_AMOUNTS])
    return row


_STRINGS = [text for text in hostile.texts() if "\0" not in (text or "")]
_MOMENTS = hostile.moments_as_text()
# A file of whole lines, which every engine reads natively.
_TEXTS = [text for text in hostile.texts() if not set(text or "") & {"\n", "\r", "\0"}]
_DAYS = [text for text in hostile.dates_as_text() if not set(text or "") & {"\n", "\r"}]
