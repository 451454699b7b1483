"""Values that fit add up to sums that fit, in every aggregate, however many there are."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import STORE_SALES
from lakehouse_assets.domains.retail.datasets.tweets import TWEETS
from lakehouse_assets.domains.retail.datasets.website import WEBSITE
from lakehouse_assets_tests.airline.samples import House, member, purchase
from lakehouse_assets_tests.retail.samples import (
    deliver,
    order,
    quoted_csv,
    result,
    sale,
    tweet,
    visit,
)

# The largest amounts and counts that silver takes.
CENTS, FINE, COUNT, SMALL = "9999999999999999.99", "99999999999999.9999", 10**18 - 1, 2**31 - 1
N = 12


def test_sums_of_the_largest_values_are_exact(house: House) -> None:
    house.deliver_members("2021-09-30", [member(7, LOAD_TIME="9/30/2021")])
    bought = [purchase(f"T{n}", amount=CENTS, purchase_date="2021-09-05") for n in range(N)]
    house.deliver_purchases("2021-09-06", bought)
    earned = [
        result(**dict.fromkeys(("Cost", "Revenue", "Revenue_Target", "Marketing_Cost"), FINE),
               Profit=f"-{FINE}", Responses=FINE)
        for _ in range(N)
    ]  # fmt: skip
    said = [
        tweet(username=f"u{n}", retweetcount=str(COUNT), favouritecount=str(COUNT), city="Berlin")
        for n in range(N)
    ]
    for dataset, rows in {
        CAMPAIGNS: earned,
        TWEETS: said,
        STORE_SALES: [
            sale(ID=str(n), Quantity=str(SMALL), Price=FINE, Revenue=FINE) for n in range(N)
        ],
        ONLINE_SALES: [
            order(OrderID=f"O{n}", Quantity=str(SMALL), Price=FINE, Revenue=FINE) for n in range(N)
        ],
        WEBSITE: [visit(Visits=str(SMALL), Conversion_Rate="100") for n in range(N)],
    }.items():
        deliver(house, dataset, "2021-09-06", "a.csv", quoted_csv(dataset, rows))
    spent, fine = N * Decimal(CENTS), N * Decimal(FINE)
    rounded = fine.quantize(Decimal("0.01"))
    wanted = {
        "customer_spend": {"completed_amount": spent},
        "kpi_customer_value": {"total_spent": spent},
        "gold_segment_summary": {"total_spent": spent},
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
    read = {
        "dim_geography", "dim_customers", "fact_flights", "fact_transactions",
        "gold_customer_segments_ml", "dim_campaigns", "tweets", "tweet_sentiments", "dim_stores",
        "dim_products", "dim_retail_customers", "fact_sales",
    }  # fmt: skip
    outcome = house.run(
        FLIGHTS, TRANSACTIONS, CAMPAIGNS, TWEETS, STORE_SALES, ONLINE_SALES, WEBSITE,
        gold=[REGISTRY[name] for name in (*read, *wanted)],
    )  # fmt: skip
    assert outcome.errors == []
    found = {
        table: {name: sum(row[name] for row in house.rows(table)) for name in columns}
        for table, columns in wanted.items()
    }
    assert found == wanted
