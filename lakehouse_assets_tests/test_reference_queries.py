"""The reference's own queries, typed as they stand, against values worked out from the files.

What is expected comes from the delivered files by plain Python, which shares nothing with the
pipeline but the list of places' spellings.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.query.session import ask
from lakehouse_assets_tests.airline.samples import REPOSITORY, SampleRun

ZONE = REPOSITORY / "data"
SPELLINGS = REPOSITORY / "lakehouse_assets" / "domains" / "airline" / "reference" / "places.csv"
NOTHING = {"", ".", "-", "--", "?", "*", "0", "None"}
TIERS = {4: "Gold", 5: "Platinum", 6: "Diamond"}

# --- what the files say ---------------------------------------------------------------------


def delivered(dataset: str, header: str = "") -> Iterator[dict[str, str]]:
    """Return a dataset's records as text, by day, file and row; what cannot be read is left out."""
    for path in sorted((ZONE / dataset).glob("*/*")):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        name = path.name.removesuffix(".gz")
        if name.endswith(".jsonl"):
            records: Iterable[Any] = filter(None, map(parsed, text.splitlines()))
        elif name.endswith(".json"):
            records = parsed(text)
        else:
            records = csv.DictReader((header + text).splitlines())
        for record in records:
            if isinstance(record, dict) and None not in record:
                yield {name: "" if v is None else str(v).strip() for name, v in record.items()}


def parsed(text: str) -> Any:
    """Read JSON with its numbers as text."""
    try:
        return json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        return None


def placed(kind: str, text: str) -> str:
    """Return the one spelling of a place."""
    text = " ".join(text.split()).lower()
    if text in NOTHING or not any(map(str.isalpha, text)):
        return "Unknown"
    with SPELLINGS.open(encoding="utf-8") as file:
        known = {
            (row["kind"], row["variant"].lower()): row["canonical"] for row in csv.DictReader(file)
        }
    return known.get((kind, text), text.upper() if kind == "country" else text)


@cache
def members() -> dict[int, dict[str, Any]]:
    """Return the members of the last snapshot, by number: the first row of each."""
    found: dict[int, dict[str, Any]] = {}
    for row in delivered("airline/flights"):
        facts = [row[n] for n in ("MEMBER_NO", "FLIGHT_COUNT", "SEG_KM_SUM", "Points_Sum")]
        if row["LOAD_TIME"] != "3/31/2014" or not all(map(str.isdigit, facts)):
            continue
        age = int(row["AGE"]) if row["AGE"].isdigit() and 12 <= int(row["AGE"]) <= 100 else None
        found.setdefault(
            int(row["MEMBER_NO"]),
            {
                "tier": int(row["FFP_TIER"]), "age": age, "flights": int(row["FLIGHT_COUNT"]),
                "km": int(row["SEG_KM_SUM"]), "points": int(row["Points_Sum"]),
                "days": int(row["LAST_TO_END"]), "fares": row["SUM_YR_1"],
                "province": placed("province", row["WORK_PROVINCE"]),
                "country": placed("country", row["WORK_COUNTRY"]),
            },
        )  # fmt: skip
    return found


@cache
def purchases() -> list[dict[str, Any]]:
    """Return the purchases with a customer, an amount and a day: the first of each number."""
    found: dict[str, dict[str, Any]] = {}
    for row in delivered("airline/transactions"):
        day = next((d for form in ("%Y-%m-%d", "%m/%d/%Y", "%Y/%m/%d") if
                    (d := day_of(row["purchase_date"], form))), None)  # fmt: skip
        number = row["amount"].replace(".", "", 1).removeprefix("-")
        if not (row["customer_id"].isdigit() and number.isdigit() and day):
            continue
        method = "_".join(row["payment_method"].lower().replace("_", " ").split())
        region = row["region"].upper()
        found.setdefault(
            row["transaction_id"],
            {
                "customer": int(row["customer_id"]), "day": day, "amount": Decimal(row["amount"]),
                "status": row["status"].lower() or "unknown",
                "method": "unknown" if method in {*NOTHING, "none"} else method,
                "region": "Unknown" if region in {"", "NONE"} else region,
            },
        )  # fmt: skip
    return list(found.values())


def day_of(text: str, form: str) -> date | None:
    try:
        return datetime.strptime(text, form).date()
    except ValueError:
        return None


@cache
def tweets() -> list[dict[str, str]]:
    """Return the tweets with a city, each once however often its file was delivered."""
    found = {
        (row["time"], row["username"], row["tweet"], row["hashtag"]): row
        for row in delivered("retail/tweets")
        if row["city"]
    }
    return list(found.values())


@cache
def results() -> list[dict[str, str]]:
    """Return the campaigns' results."""
    return list(delivered("retail/campaigns"))


@cache
def store_sales() -> list[dict[str, str]]:
    """Return the stores' sales."""
    return list(
        delivered("retail/store_sales", "id,week,store,brand,quantity,advert,price,revenue\n")
    )


# --- putting together -----------------------------------------------------------------------


def grouped(rows: Iterable[Any], key: Any, *values: Any) -> list[tuple[Any, ...]]:
    """Group rows, and work out values of each group's rows."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return [
        (*(k if isinstance(k, tuple) else (k,)), *(value(group) for value in values))
        for k, group in groups.items()
    ]


def total(name: str) -> Any:
    return lambda rows: sum(Decimal(row[name]) for row in rows)


def mean(name: str, digits: int = 4) -> Any:
    return lambda rows: round(sum(float(row[name]) for row in rows) / len(rows), digits)


def value_of(value: Any) -> Any:
    """Make values comparable: numbers by what they are, however they are typed."""
    if isinstance(value, bool) or value is None:
        return value
    return round(float(value), 4) if isinstance(value, int | float | Decimal) else value


def alike(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(map(value_of, row)) for row in rows), key=str)


def completed() -> list[dict[str, Any]]:
    return [p for p in purchases() if p["status"] == "completed"]


def spent() -> dict[int, Decimal]:
    """Return what each customer spent in completed purchases."""
    return dict(grouped(completed(), lambda p: p["customer"], total("amount")))


def members_spend() -> Decimal:
    """Add up the completed purchases of members."""
    return sum((amount for key, amount in spent().items() if key in members()), Decimal(0))


def age_group(member: dict[str, Any]) -> str:
    bounds = ((30, "18-29"), (40, "30-39"), (50, "40-49"), (60, "50-59"))
    return next((name for bound, name in bounds if member["age"] < bound), "60+")


def score(value: int, bounds: tuple[int, ...]) -> int:
    """Score 5 for at least the first bound, then 4, 3, 2, else 1."""
    return next((5 - n for n, bound in enumerate(bounds) if value >= bound), 1)


def week(day: str) -> date:
    found = date.fromisoformat(day)
    return found - timedelta(days=found.weekday())


def no_hash(tag: str) -> str:
    return tag.removeprefix("#").lower()


# --- airline.md, sections 3 to 6 ------------------------------------------------------------

AIRLINE: dict[str, tuple[str, Any]] = {
    "validation of amounts by region and status": (
        "select region, status, count(*), sum(amount), avg(amount) from silver_transactions "
        "where amount > 0 group by region, status",
        lambda: grouped(
            [p for p in purchases() if p["amount"] > 0], lambda p: (p["region"], p["status"]),
            len, total("amount"), mean("amount"),
        ),
    ),
    "business metrics of members": (
        "select count(*), sum(total_flights), round(avg(total_km_flown), 2), "
        "sum(total_loyalty_points) from fact_flights",
        lambda: grouped(members().values(), lambda m: (), len, total("flights"), mean("km", 2),
                        total("points")),
    ),
    "business metrics of purchases": (
        "select count(*), sum(transaction_amount), round(avg(transaction_amount), 2) "
        "from fact_transactions where status = 'completed'",
        lambda: grouped(completed(), lambda p: (), len, total("amount"), mean("amount", 2)),
    ),
    "tier segmentation": (
        "select case loyalty_tier when 4 then 'Gold' when 5 then 'Platinum' when 6 then 'Diamond' "
        "else 'Silver' end as tier, count(*), avg(total_flights), avg(total_km_flown), "
        "avg(total_loyalty_points) from kpi_customer_value group by tier",
        lambda: grouped(members().values(), lambda m: TIERS[m["tier"]], len, mean("flights"),
                        mean("km"), mean("points")),
    ),
    "top 10 places by flights": (
        "select c.province, c.country, sum(f.total_flights) as flights, count(*), "
        "sum(f.total_km_flown), sum(f.total_loyalty_points) from fact_flights f join dim_customers "
        "c on f.customer_key = c.customer_key where c.province <> 'Unknown' "
        "group by c.province, c.country order by flights desc limit 10",
        lambda: sorted(
            grouped([m for m in members().values() if m["province"] != "Unknown"],
                    lambda m: (m["province"], m["country"]), total("flights"), len, total("km"),
                    total("points")),
            key=lambda row: -row[2],
        )[:10],
    ),
    "revenue by region and status": (
        "select region, status, sum(transaction_amount) from fact_transactions "
        "where region <> 'Unknown' group by region, status",
        lambda: grouped([p for p in purchases() if p["region"] != "Unknown"],
                        lambda p: (p["region"], p["status"]), total("amount")),
    ),
    "completed payment methods": (
        "select payment_method, count(*), sum(transaction_amount), avg(transaction_amount) from "
        "fact_transactions where status = 'completed' and payment_method <> 'unknown' group by 1",
        lambda: grouped([p for p in completed() if p["method"] != "unknown"],
                        lambda p: p["method"], len, total("amount"), mean("amount")),
    ),
    "age groups": (
        "select case when age < 30 then '18-29' when age < 40 then '30-39' when age < 50 then "
        "'40-49' when age < 60 then '50-59' else '60+' end as age_group_, count(*), "
        "avg(total_flights), avg(total_loyalty_points) from kpi_customer_value "
        "where age is not null group by 1",
        lambda: grouped([m for m in members().values() if m["age"] is not None], age_group, len,
                        mean("flights"), mean("points")),
    ),
    "customer value": (
        "select count(*), sum(total_spent), sum(transaction_count), "
        "count(*) filter (customer_status = 'Active'), count(*) filter (customer_status = "
        "'At Risk'), count(*) filter (customer_status = 'Inactive') from kpi_customer_value",
        lambda: [(
            len(members()), members_spend(),
            sum(p["customer"] in members() for p in completed()),
            sum(m["days"] <= 90 for m in members().values()),
            sum(90 < m["days"] <= 180 for m in members().values()),
            sum(m["days"] > 180 for m in members().values()),
        )],
    ),
    "customers per segment add up to members": (
        "select sum(n) from (select segment_name, count(*) as n from gold_customer_segments_ml "
        "group by segment_name order by n desc)",
        lambda: [(len(members()),)],
    ),
    "segment by tier": (
        "select loyalty_tier, sum(n) from (select segment_name, loyalty_tier, count(*) as n from "
        "gold_customer_segments_ml group by segment_name, loyalty_tier) group by loyalty_tier",
        lambda: grouped(members().values(), lambda m: m["tier"], len),
    ),
    "segment summary": (
        "select sum(customer_count), sum(total_spent), bool_and(avg_revenue = avg_spent), "
        "bool_and(avg_total_flights = avg_flights) from gold_segment_summary",
        lambda: [(len(members()), members_spend(), True, True)],
    ),
    "the small model": (
        "select count(*), sum(total_flights) from customer_segments_ml",
        lambda: grouped(members().values(), lambda m: (), len, total("flights")),
    ),
    "money that is called flights": (
        "select sum(year_1_flights) from fact_flights",
        lambda: [(sum(Decimal(m["fares"] or 0) for m in members().values()),)],
    ),
    "relation of flights": (
        "select count(*) from fact_flights f join dim_customers c on f.customer_key = "
        "c.customer_key",
        lambda: [(len(members()),)],
    ),
    "relation of purchases": (
        "select count(*), sum(transaction_amount) from fact_transactions f join dim_customers c "
        "on f.customer_key = c.customer_key",
        lambda: grouped([p for p in purchases() if p["customer"] in members()], lambda p: (), len,
                        total("amount")),
    ),
    "relation of segments": (
        "select count(*) from gold_customer_segments_ml s join dim_customers c on s.customer_key "
        "= c.customer_key join kpi_customer_value k on k.customer_key = c.customer_key",
        lambda: [(len(members()),)],
    ),
    "measures of purchases": (
        "select sum(transaction_amount), count(*), sum(transaction_amount) / count(*) "
        "from fact_transactions",
        lambda: grouped(purchases(), lambda p: (), total("amount"), len, mean("amount")),
    ),
    "average RFM score": (
        "select round(avg(recency_score) + avg(frequency_score) + avg(monetary_score), 4) "
        "from gold_customer_segments_ml",
        lambda: [(sum(
            score(-m["days"], (-90, -180, -365, -730)) + score(m["flights"], (40, 20, 10, 5))
            + score(m["points"], (50_000, 20_000, 10_000, 5_000)) for m in members().values()
        ) / len(members()),)],
    ),
    "page 1: revenue by month": (
        "select d.year, d.month, sum(t.transaction_amount) from fact_transactions t join dim_time "
        "d on t.transaction_date = d.date group by d.year, d.month",
        lambda: grouped(purchases(), lambda p: (p["day"].year, p["day"].month), total("amount")),
    ),
    "page 1: region": (
        "select region, sum(transaction_amount), count(*) from fact_transactions group by region",
        lambda: grouped(purchases(), lambda p: p["region"], total("amount"), len),
    ),
    "page 1: payment methods": (
        "select payment_method, count(*) from fact_transactions group by payment_method",
        lambda: grouped(purchases(), lambda p: p["method"], len),
    ),
    "page 1: top 10 customers": (
        "select customer_key, total_spent, total_flights from kpi_customer_value "
        "order by total_spent desc limit 10",
        lambda: sorted(
            ((key, amount, members()[key]["flights"]) for key, amount in spent().items()
             if key in members()), key=lambda row: -row[1],
        )[:10],
    ),
    "page 2: places by tier": (
        "select c.province, c.country, c.loyalty_tier, count(*), sum(f.total_flights), "
        "sum(f.total_loyalty_points) from fact_flights f join dim_customers c using (customer_key) "
        "group by all",
        lambda: grouped(members().values(), lambda m: (m["province"], m["country"], m["tier"]), len,
                        total("flights"), total("points")),
    ),
    "page 2: status": (
        "select status, count(*) from fact_transactions group by status",
        lambda: grouped(purchases(), lambda p: p["status"], len),
    ),
    "page 3: revenue of segments": (
        "select sum(total_spent), count(*) from gold_customer_segments_ml",
        lambda: [(members_spend(), len(members()))],
    ),
}  # fmt: skip


# --- retail.md, sections 3 and 5 ------------------------------------------------------------

RETAIL: dict[str, tuple[str, Any]] = {
    "view bronze": (
        "select count(*), sum(cast(retweetcount as int)) from bronze_twitter_historical_data "
        "where city <> 'Online'",
        lambda: [(
            len(b := [t for t in delivered("retail/tweets") if t["city"] != "Online"]),
            sum(int(t["retweetcount"]) for t in b),
        )],
    ),
    "view silver": (
        "select count(*), sum(retweetcount), min(date) from silver_twitter_historical_data "
        "where city <> 'Online'",
        lambda: [(
            len(s := [t for t in tweets() if t["city"] != "Online"]),
            sum(int(t["retweetcount"]) for t in s),
            date.fromisoformat(min(t["time"] for t in s)[:10]),
        )],
    ),
    "hashtags": (
        "select lower(hashtag), count from gold_twitter_historical_hashtag_data",
        lambda: grouped(tweets(), lambda t: t["hashtag"].lower(), len),
    ),
    "total retweets": (
        "select retweets from gold_twitter_historical_retweetcount_data",
        lambda: [(sum(int(t["retweetcount"]) for t in tweets()),)],
    ),
    "top 10 cities and hashtags": (
        "select count from gold_twitter_historical_city_hashtagcount_data order by count desc "
        "limit 10",
        lambda: sorted(((n,) for _, _, n in by_city_and_hashtag()), reverse=True)[:10],
    ),
    "cities and hashtags": (
        "select lower(city), lower(hashtag), count from "
        "gold_twitter_historical_city_hashtagcount_data",
        lambda: by_city_and_hashtag(),
    ),
    "campaigns joined to tweets": (
        "select count(*), sum(c.Revenue) from silver_campaigns c join "
        "silver_twitter_historical_data t on lower(c.Campaign_Name) = lower(replace(t.hashtag, "
        "'#', ''))",
        lambda: [(
            len(pairs := [c for c in results() for t in tweets()
                          if c["Campaign_Name"].lower() == no_hash(t["hashtag"])]),
            sum(fine(c["Revenue"]) for c in pairs),
        )],
    ),
    "stitched product": (
        "select lower(hashtag), sum(count) from sentiment_campaign_analytics where count > 0 "
        "group by 1",
        lambda: grouped(tweets(), lambda t: t["hashtag"].lower(), len),
    ),
    "country revenue": (
        "select country, region, total_revenue, total_profit, max_cost, min_cost "
        "from gold_country_wise_revenue",
        lambda: grouped(
            results(), lambda c: (c["Country"], c["Region"]), cents("Revenue"), cents("Profit"),
            lambda rows: max(map(cost, rows)), lambda rows: min(map(cost, rows)),
        ),
    ),
    "results per week": (
        "select campaign_name, week_start, count from gold_campaign_per_week order by count desc",
        lambda: grouped(results(), lambda c: (c["Campaign_Name"], week(c["CampDate"])), len),
    ),
    "profit per country and week": (
        "select country, week_start, total_profit from gold_Total_Profit_by_Country_Per_Week "
        "order by week_start",
        lambda: grouped(results(), lambda c: (c["Country"], week(c["CampDate"])), cents("Profit")),
    ),
    "losses": (
        "select campaign_name, loss_count from gold_Top_Loss_Making_Campaign",
        lambda: grouped([c for c in results() if Decimal(c["Profit"]) < 0],
                        lambda c: c["Campaign_Name"], len),
    ),
    "train and test": (
        "select (select count(*) from gold_train), (select count(*) from gold_test)",
        lambda: [split()],
    ),
}  # fmt: skip


def by_city_and_hashtag() -> list[tuple[Any, ...]]:
    """Count tweets; a city is called as GeoNames calls it, without its state."""

    def city(tweet: dict[str, str]) -> str:
        return tweet["city"].partition(",")[0].lower().replace("zurich", "zürich")

    return grouped(tweets(), lambda t: (city(t), t["hashtag"].lower()), len)


def fine(amount: str) -> Decimal:
    """Round to ten-thousandths, half up, as amounts are stored."""
    return Decimal(amount).quantize(Decimal("0.0001"), "ROUND_HALF_UP")


def cost(row: dict[str, str]) -> Decimal:
    return fine(row["Cost"]).quantize(Decimal("0.01"), "ROUND_HALF_UP")


def cents(name: str) -> Any:
    return lambda rows: sum(fine(r[name]) for r in rows).quantize(Decimal("0.01"), "ROUND_HALF_UP")


def split() -> tuple[int, int]:
    """Count the sales whose percent rank over weeks is at most 0.8, and the others."""
    weeks = sorted(row["week"] for row in store_sales())
    early = sum(10 * weeks.index(w) <= 8 * (len(weeks) - 1) for w in weeks)
    return early, len(weeks) - early


@pytest.fixture(scope="module")
def lake(sample: SampleRun) -> Lake:
    """The lake of the sample."""
    return sample.house.lake


@pytest.mark.parametrize("name", [*AIRLINE, *RETAIL])
def test_the_references_queries_are_right_as_typed(lake: Lake, name: str) -> None:
    query, worked_out = (AIRLINE | RETAIL)[name]
    found, expected = alike(rows_of(ask(lake, query).rows)), alike(worked_out())
    assert found == expected
    assert expected
