"""Values that fit add up to sums that fit, in every aggregate, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from lakehouse_assets.catalog.datasets import silver_table
from lakehouse_assets.catalog.gold import BuildContext, apply_rule, rows_of_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains import DOMAINS, REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.domains.airline.gold.segments import summarise, with_personas, with_scores
from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import STORE_SALES
from lakehouse_assets.domains.retail.datasets.tweets import TWEETS
from lakehouse_assets.domains.retail.datasets.website import WEBSITE
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets_tests.airline.samples import bronze, declared_rows, member, purchase
from lakehouse_assets_tests.retail.samples import order, result, sale, tweet, visit

# The largest amounts and counts that silver takes.
CENTS, FINE, COUNT, SMALL = "9999999999999999.99", "99999999999999.9999", 10**18 - 1, 2**31 - 1
N = 12
MONTH = date(2014, 3, 1)
AMOUNTS = ("Cost", "Revenue", "Revenue_Target", "Marketing_Cost")
DELIVERED: dict[Any, list[dict[str, Any]]] = {
    FLIGHTS: [member(7)],
    TRANSACTIONS: [purchase(f"T{n}", amount=CENTS) for n in range(N)],
    CAMPAIGNS: [result(**dict.fromkeys(AMOUNTS, FINE), Profit=f"-{FINE}", Responses=FINE)] * N,
    TWEETS: [
        tweet(username=f"u{n}", retweetcount=COUNT, favouritecount=COUNT, city="Berlin")
        for n in range(N)
    ],
    STORE_SALES: [sale(ID=n, Quantity=SMALL, Price=FINE, Revenue=FINE) for n in range(N)],
    ONLINE_SALES: [order(OrderID=n, Quantity=SMALL, Price=FINE, Revenue=FINE) for n in range(N)],
    WEBSITE: [visit(Visits=SMALL, Conversion_Rate="100") for _ in range(N)],
}


def made(engine: Engine, table: Table, frames: dict[Table, Any]) -> Any:
    """Build a gold table, and those that it reads, from silver rows of one month."""
    if table not in frames:
        (gold,) = (gold for domain in DOMAINS for gold in domain.gold if gold.table is table)
        reads: Mapping[str, Any] = {
            name: made(engine, read.table, frames) for name, read in gold.frames.items()
        } | {name: engine.from_arrow(data()) for name, data in gold.data.items()}
        ctx = BuildContext(MONTH, None, datetime(2021, 10, 1, tzinfo=UTC), engine, "monday", 0)
        rows = rows_of_table(gold, reads, ctx)
        if gold.scored_by is not None:
            rows = rows.withColumns(
                {name: F.lit(None).cast(kind) for name, kind in gold.scored_by.scored.items()}
            )
        frames[table] = engine.checkpoint(rows)
        for rule in gold.totals:
            (totals,) = engine.rows(apply_rule(rule, reads, ctx))
            built = engine.rows(frames[table])
            number = totals.pop("rows", len(built))
            assert (number, {name: sum(row[name] for row in built) for name in totals}) == (
                len(built), totals,
            ), table.name  # fmt: skip
    return frames[table]


def test_sums_of_the_largest_values_are_exact(engine: Engine) -> None:
    frames: dict[Table, Any] = {}
    for dataset, rows in DELIVERED.items():
        texts = [{name: str(value) for name, value in row.items()} for row in rows]
        typed = typed_rows(dataset, engine, bronze(engine, dataset, texts))
        frames[silver_table(dataset)] = engine.checkpoint(typed)
    spent, fine = N * Decimal(CENTS), N * Decimal(FINE)
    rounded = fine.quantize(Decimal("0.01"))
    wanted = {
        "customer_spend": {"completed_amount": spent},
        "kpi_customer_value": {"total_spent": spent},
        "campaign_days": {"revenue": fine, "profit": -fine, "loss": -fine, "responses": fine},
        "country_revenue": {"total_revenue": rounded, "total_profit": -rounded},
        "country_profit_weeks": {"total_profit": -rounded},
        "loss_making_campaigns": {"total_loss": -rounded},
        "campaign_tweets": {"revenue": fine, "profit": -fine, "retweets": N * COUNT},
        "tweet_days": {"retweets": N * COUNT, "favourites": N * COUNT},
        "tweets_by_city_and_hashtag": {"retweets": N * COUNT},
        "tweets_by_hashtag": {"retweets": N * COUNT},
        "tweets_by_city": {"favourites": N * COUNT},
        "sales_days": {"revenue": 2 * fine, "quantity": 2 * N * SMALL},
        "sales_weeks": {"revenue": 2 * fine, "quantity": 2 * N * SMALL},
        "website_days": {"conversions": N * SMALL, "visits": N * SMALL},
        "website_conversion": {"conversions": N * SMALL, "visits": N * SMALL},
    }  # fmt: skip
    found = {}
    for name, columns in wanted.items():
        built = declared_rows(engine, made(engine, REGISTRY[name], frames), REGISTRY[name])
        found[name] = {column: sum(row[column] for row in built) for column in columns}
    assert found == wanted
    scored = with_scores(frames[REGISTRY["kpi_customer_value"]]).withColumns(
        {"cluster": F.lit(0), "model_version": F.lit(1)}
    )
    (summary,) = engine.rows(summarise(with_personas(scored)))
    assert summary["total_spent"] == spent
