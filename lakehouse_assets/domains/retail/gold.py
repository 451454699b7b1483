"""The gold assets of the retail domain."""

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains.conformed.tables import DIM_COUNTRIES, DIM_DATE, DIM_PLACES
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.tables import campaigns as c
from lakehouse_assets.domains.retail.tables import dimensions as d
from lakehouse_assets.domains.retail.tables import product as p
from lakehouse_assets.domains.retail.tables import sales as s
from lakehouse_assets.domains.retail.tables import tweets as w
from lakehouse_assets.domains.retail.tables.customers import CUSTOMERS, SILVER_CUSTOMERS
from lakehouse_assets.domains.retail.tables.online_sales import ONLINE_SALES, SILVER_ONLINE_SALES
from lakehouse_assets.domains.retail.tables.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.domains.retail.tables.website import (
    SILVER_WEBSITE,
    WEBSITE,
    WEBSITE_CONVERSION,
    WEBSITE_DAYS,
)
from lakehouse_assets.domains.retail.transforms import campaigns as rules
from lakehouse_assets.domains.retail.transforms import (
    product,
    sales_analytics,
    star,
    tweets,
    website,
)
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.orchestration.partitions import WITHIN, Calendar
from lakehouse_assets.orchestration.table_assets import (
    MonthlyRule,
    daily_asset,
    delivered_in_month,
    delivered_so_far,
    latest_snapshot,
    monthly_asset,
    of_month,
    reference_asset,
)


def campaign_assets(calendar: Calendar, week_starts_on: Weekday) -> Sequence[dg.AssetsDefinition]:
    """Make the assets of campaign analytics.

    Args:
        calendar: Days and months, and how they map.
        week_starts_on: First day of a week.
    """
    monthly, so_far = calendar.monthly, calendar.so_far
    added_up = {c.CAMPAIGN_DAYS: so_far, c.DIM_CAMPAIGNS: None}
    return (
        monthly_asset(
            c.DIM_CAMPAIGNS,
            lambda now, f: rules.dim_campaigns(
                delivered_so_far(f["silver_campaigns"], now), now.month, now.loaded_at
            ),
            monthly,
            {c.SILVER_CAMPAIGNS: so_far, DIM_DATE: None},
            begun_by=[quarantine_table(c.CAMPAIGNS)],
        ),
        monthly_asset(
            c.CAMPAIGN_DAYS,
            lambda now, f: rules.campaign_days(
                delivered_in_month(f["silver_campaigns"], now), f["dim_countries"], now.month
            ),
            monthly,
            {
                c.SILVER_CAMPAIGNS: WITHIN,
                c.DIM_CAMPAIGNS: None,
                DIM_COUNTRIES: None,
                DIM_DATE: None,
            },
            totals=lambda now, f: [
                rules.totals_of_campaigns(delivered_in_month(f["silver_campaigns"], now))
            ],
        ),
        monthly_asset(
            c.COUNTRY_REVENUE,
            lambda now, f: rules.country_revenue(f["campaign_days"], now.month),
            monthly,
            {**added_up, DIM_COUNTRIES: None},
            totals=lambda now, f: [rules.totals_of_days(f["campaign_days"], now.month)],
        ),
        monthly_asset(
            c.CAMPAIGN_WEEKS,
            lambda now, f: rules.campaign_weeks(f["campaign_days"], now.month, week_starts_on),
            monthly,
            {**added_up, DIM_DATE: None},
        ),
        monthly_asset(
            c.COUNTRY_PROFIT_WEEKS,
            lambda now, f: rules.country_profit_weeks(
                f["campaign_days"], now.month, week_starts_on
            ),
            monthly,
            {**added_up, DIM_COUNTRIES: None, DIM_DATE: None},
            rules=[
                MonthlyRule(
                    "weeks_add_up_to_days",
                    "A country's weeks add up to its days, half a cent a week aside.",
                    lambda now, weeks, f: rules.countries_that_are_off(
                        weeks, f["campaign_days"], now.month
                    ),
                )
            ],
        ),
        monthly_asset(
            c.LOSS_MAKING_CAMPAIGNS,
            lambda now, f: rules.loss_making_campaigns(f["campaign_days"], now.month),
            monthly,
            added_up,
        ),
    )


def tweet_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the assets that count tweets, and the product of tweets and campaigns."""
    monthly, so_far = calendar.monthly, calendar.so_far
    pairs = w.TWEETS_BY_CITY_AND_HASHTAG
    return (
        daily_asset(
            w.TWEET_DAYS,
            lambda f: tweets.tweet_days(f["silver_tweets"]),
            calendar.daily,
            {w.SILVER_TWEETS: None, DIM_DATE: None},
        ),
        monthly_asset(
            pairs,
            lambda now, f: tweets.by_city_and_hashtag(
                delivered_so_far(f["tweet_days"], now), now.month
            ),
            monthly,
            {w.TWEET_DAYS: so_far},
            begun_by=[quarantine_table(w.TWEETS)],
        ),
        monthly_asset(
            w.TWEETS_BY_HASHTAG,
            lambda now, f: tweets.by_hashtag(of_month(f[pairs.name], now), now.month),
            monthly,
            {pairs: None},
        ),
        monthly_asset(
            w.TWEET_TOTALS,
            lambda now, f: tweets.in_total(of_month(f[pairs.name], now), now.month),
            monthly,
            {pairs: None},
        ),
        monthly_asset(
            w.TWEETS_BY_CITY,
            lambda now, f: tweets.by_city(of_month(f[pairs.name], now), f["dim_places"], now.month),
            monthly,
            {pairs: None, DIM_PLACES: None},
        ),
        monthly_asset(
            p.CAMPAIGN_TWEETS,
            lambda now, f: product.campaign_tweets(
                of_month(f[pairs.name], now),
                of_month(f["dim_campaigns"], now),
                f["campaign_days"],
                now.month,
            ),
            monthly,
            {pairs: None, c.DIM_CAMPAIGNS: None, c.CAMPAIGN_DAYS: so_far},
            totals=lambda now, f: [
                product.totals_of_tweets(of_month(f[pairs.name], now)),
                product.totals_of_results(f["campaign_days"], now.month),
            ],
        ),
    )


def dimension_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the assets of what sales refer to: stores, products, customers."""
    monthly, so_far = calendar.monthly, calendar.so_far
    sold = [quarantine_table(STORE_SALES), quarantine_table(ONLINE_SALES)]
    return (
        reference_asset(
            d.DIM_STORES, reference.stores, star.dim_stores, after=[DIM_PLACES, DIM_COUNTRIES]
        ),
        monthly_asset(
            d.DIM_PRODUCTS,
            lambda now, f: star.dim_products(
                delivered_so_far(f["silver_store_sales"], now),
                delivered_so_far(f["silver_online_sales"], now),
                now.month,
                now.loaded_at,
            ),
            monthly,
            {SILVER_STORE_SALES: so_far, SILVER_ONLINE_SALES: so_far},
            begun_by=sold,
        ),
        monthly_asset(
            d.DIM_RETAIL_CUSTOMERS,
            lambda now, f: star.dim_retail_customers(
                latest_snapshot(now, SILVER_CUSTOMERS, f), now.month, now.loaded_at
            ),
            monthly,
            {SILVER_CUSTOMERS: so_far},
            begun_by=[quarantine_table(CUSTOMERS), *sold],
        ),
    )


def sales_assets(calendar: Calendar, week_starts_on: Weekday) -> Sequence[dg.AssetsDefinition]:
    """Make the assets of sales: the fact of both channels, weeks, training and test.

    Args:
        calendar: Days and months, and how they map.
        week_starts_on: First day of a week.
    """
    monthly, so_far = calendar.monthly, calendar.so_far
    return (
        monthly_asset(
            s.FACT_SALES,
            lambda now, f: star.fact_sales(
                delivered_in_month(f["silver_store_sales"], now),
                delivered_in_month(f["silver_online_sales"], now),
                f["dim_stores"],
                f["dim_countries"],
                now.month,
                now.loaded_at,
            ),
            monthly,
            {
                SILVER_STORE_SALES: WITHIN,
                SILVER_ONLINE_SALES: WITHIN,
                d.DIM_STORES: None,
                DIM_COUNTRIES: None,
                d.DIM_PRODUCTS: None,
                d.DIM_RETAIL_CUSTOMERS: None,
                DIM_DATE: None,
            },
            totals=lambda now, f: [
                star.totals_of_sales(
                    delivered_in_month(f["silver_store_sales"], now),
                    delivered_in_month(f["silver_online_sales"], now),
                )
            ],
        ),
        monthly_asset(
            s.SALES_DAYS,
            lambda now, f: sales_analytics.sales_days(of_month(f["fact_sales"], now)),
            monthly,
            {s.FACT_SALES: None, DIM_DATE: None, DIM_COUNTRIES: None},
        ),
        monthly_asset(
            s.SALES_WEEKS,
            lambda now, f: sales_analytics.sales_weeks(f["sales_days"], now.month, week_starts_on),
            monthly,
            {s.SALES_DAYS: so_far, DIM_DATE: None},
            begun_by=[quarantine_table(STORE_SALES), quarantine_table(ONLINE_SALES)],
            totals=lambda now, f: [sales_analytics.totals_of_days(f["sales_days"], now.month)],
        ),
        monthly_asset(
            s.SALES_TRAIN,
            lambda now, f: sales_analytics.split_by_time(
                delivered_so_far(f["silver_store_sales"], now), now.month, train=True
            ),
            monthly,
            {SILVER_STORE_SALES: so_far},
            begun_by=[quarantine_table(STORE_SALES)],
        ),
        monthly_asset(
            s.SALES_TEST,
            lambda now, f: sales_analytics.split_by_time(
                delivered_so_far(f["silver_store_sales"], now), now.month, train=False
            ),
            monthly,
            {SILVER_STORE_SALES: so_far, s.SALES_TRAIN: None},
            rules=[
                MonthlyRule(
                    "weeks_are_apart",
                    "Every week of the test is later than every week of training.",
                    lambda now, test, f: sales_analytics.not_after_training(
                        test, of_month(f["sales_train"], now)
                    ),
                ),
                MonthlyRule(
                    "every_sale_is_on_one_side",
                    "A store sale delivered so far is in training or in the test, once.",
                    lambda now, test, f: sales_analytics.not_on_one_side(
                        delivered_so_far(f["silver_store_sales"], now),
                        test,
                        of_month(f["sales_train"], now),
                    ),
                ),
            ],
        ),
    )


def website_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the assets of website analytics."""
    monthly = calendar.monthly
    return (
        monthly_asset(
            WEBSITE_DAYS,
            lambda now, f: website.website_days(
                delivered_in_month(f["silver_website"], now), f["dim_countries"], now.month
            ),
            monthly,
            {SILVER_WEBSITE: WITHIN, DIM_COUNTRIES: None, DIM_DATE: None},
            begun_by=[quarantine_table(WEBSITE)],
            totals=lambda now, f: [
                website.totals_of_visits(delivered_in_month(f["silver_website"], now))
            ],
        ),
        monthly_asset(
            WEBSITE_CONVERSION,
            lambda now, f: website.website_conversion(f["website_days"], now.month),
            monthly,
            {WEBSITE_DAYS: calendar.so_far},
            begun_by=[quarantine_table(WEBSITE)],
        ),
    )
