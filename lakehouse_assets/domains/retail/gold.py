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
            lambda ctx, f: rules.dim_campaigns(
                delivered_so_far(f["silver_campaigns"], ctx), ctx.month, ctx.loaded_at
            ),
            monthly,
            {c.SILVER_CAMPAIGNS: so_far, DIM_DATE: None},
            begun_by=[quarantine_table(c.CAMPAIGNS)],
        ),
        monthly_asset(
            c.CAMPAIGN_DAYS,
            lambda ctx, f: rules.campaign_days(
                delivered_in_month(f["silver_campaigns"], ctx), f["dim_countries"], ctx.month
            ),
            monthly,
            {
                c.SILVER_CAMPAIGNS: WITHIN,
                c.DIM_CAMPAIGNS: None,
                DIM_COUNTRIES: None,
                DIM_DATE: None,
            },
            totals=lambda ctx, f: [
                rules.totals_of_campaigns(delivered_in_month(f["silver_campaigns"], ctx))
            ],
        ),
        monthly_asset(
            c.COUNTRY_REVENUE,
            lambda ctx, f: rules.country_revenue(f["campaign_days"], ctx.month),
            monthly,
            {**added_up, DIM_COUNTRIES: None},
            totals=lambda ctx, f: [rules.totals_of_days(f["campaign_days"], ctx.month)],
        ),
        monthly_asset(
            c.CAMPAIGN_WEEKS,
            lambda ctx, f: rules.campaign_weeks(f["campaign_days"], ctx.month, week_starts_on),
            monthly,
            {**added_up, DIM_DATE: None},
        ),
        monthly_asset(
            c.COUNTRY_PROFIT_WEEKS,
            lambda ctx, f: rules.country_profit_weeks(
                f["campaign_days"], ctx.month, week_starts_on
            ),
            monthly,
            {**added_up, DIM_COUNTRIES: None, DIM_DATE: None},
            rules=[
                MonthlyRule(
                    "weeks_add_up_to_days",
                    "A country's weeks add up to its days, half a cent a week aside.",
                    lambda ctx, weeks, f: rules.countries_that_are_off(
                        weeks, f["campaign_days"], ctx.month
                    ),
                )
            ],
        ),
        monthly_asset(
            c.LOSS_MAKING_CAMPAIGNS,
            lambda ctx, f: rules.loss_making_campaigns(f["campaign_days"], ctx.month),
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
            lambda ctx, f: tweets.by_city_and_hashtag(
                delivered_so_far(f["tweet_days"], ctx), ctx.month
            ),
            monthly,
            {w.TWEET_DAYS: so_far},
            begun_by=[quarantine_table(w.TWEETS)],
        ),
        monthly_asset(
            w.TWEETS_BY_HASHTAG,
            lambda ctx, f: tweets.by_hashtag(of_month(f[pairs.name], ctx), ctx.month),
            monthly,
            {pairs: None},
        ),
        monthly_asset(
            w.TWEET_TOTALS,
            lambda ctx, f: tweets.in_total(of_month(f[pairs.name], ctx), ctx.month),
            monthly,
            {pairs: None},
        ),
        monthly_asset(
            w.TWEETS_BY_CITY,
            lambda ctx, f: tweets.by_city(of_month(f[pairs.name], ctx), f["dim_places"], ctx.month),
            monthly,
            {pairs: None, DIM_PLACES: None},
        ),
        monthly_asset(
            p.CAMPAIGN_TWEETS,
            lambda ctx, f: product.campaign_tweets(
                of_month(f[pairs.name], ctx),
                of_month(f["dim_campaigns"], ctx),
                f["campaign_days"],
                ctx.month,
            ),
            monthly,
            {pairs: None, c.DIM_CAMPAIGNS: None, c.CAMPAIGN_DAYS: so_far},
            totals=lambda ctx, f: [
                product.totals_of_tweets(of_month(f[pairs.name], ctx)),
                product.totals_of_results(f["campaign_days"], ctx.month),
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
            lambda ctx, f: star.dim_products(
                delivered_so_far(f["silver_store_sales"], ctx),
                delivered_so_far(f["silver_online_sales"], ctx),
                ctx.month,
                ctx.loaded_at,
            ),
            monthly,
            {SILVER_STORE_SALES: so_far, SILVER_ONLINE_SALES: so_far},
            begun_by=sold,
        ),
        monthly_asset(
            d.DIM_RETAIL_CUSTOMERS,
            lambda ctx, f: star.dim_retail_customers(
                latest_snapshot(ctx, SILVER_CUSTOMERS, f), ctx.month, ctx.loaded_at
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
            lambda ctx, f: star.fact_sales(
                delivered_in_month(f["silver_store_sales"], ctx),
                delivered_in_month(f["silver_online_sales"], ctx),
                f["dim_stores"],
                f["dim_countries"],
                ctx.month,
                ctx.loaded_at,
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
            totals=lambda ctx, f: [
                star.totals_of_sales(
                    delivered_in_month(f["silver_store_sales"], ctx),
                    delivered_in_month(f["silver_online_sales"], ctx),
                )
            ],
        ),
        monthly_asset(
            s.SALES_DAYS,
            lambda ctx, f: sales_analytics.sales_days(of_month(f["fact_sales"], ctx)),
            monthly,
            {s.FACT_SALES: None, DIM_DATE: None, DIM_COUNTRIES: None},
        ),
        monthly_asset(
            s.SALES_WEEKS,
            lambda ctx, f: sales_analytics.sales_weeks(f["sales_days"], ctx.month, week_starts_on),
            monthly,
            {s.SALES_DAYS: so_far, DIM_DATE: None},
            begun_by=[quarantine_table(STORE_SALES), quarantine_table(ONLINE_SALES)],
            totals=lambda ctx, f: [sales_analytics.totals_of_days(f["sales_days"], ctx.month)],
        ),
        monthly_asset(
            s.SALES_TRAIN,
            lambda ctx, f: sales_analytics.split_by_time(
                delivered_so_far(f["silver_store_sales"], ctx), ctx.month, train=True
            ),
            monthly,
            {SILVER_STORE_SALES: so_far},
            begun_by=[quarantine_table(STORE_SALES)],
        ),
        monthly_asset(
            s.SALES_TEST,
            lambda ctx, f: sales_analytics.split_by_time(
                delivered_so_far(f["silver_store_sales"], ctx), ctx.month, train=False
            ),
            monthly,
            {SILVER_STORE_SALES: so_far, s.SALES_TRAIN: None},
            rules=[
                MonthlyRule(
                    "weeks_are_apart",
                    "Every week of the test is later than every week of training.",
                    lambda ctx, test, f: sales_analytics.not_after_training(
                        test, of_month(f["sales_train"], ctx)
                    ),
                ),
                MonthlyRule(
                    "every_sale_is_on_one_side",
                    "A store sale delivered so far is in training or in the test, once.",
                    lambda ctx, test, f: sales_analytics.not_on_one_side(
                        delivered_so_far(f["silver_store_sales"], ctx),
                        test,
                        of_month(f["sales_train"], ctx),
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
            lambda ctx, f: website.website_days(
                delivered_in_month(f["silver_website"], ctx), f["dim_countries"], ctx.month
            ),
            monthly,
            {SILVER_WEBSITE: WITHIN, DIM_COUNTRIES: None, DIM_DATE: None},
            begun_by=[quarantine_table(WEBSITE)],
            totals=lambda ctx, f: [
                website.totals_of_visits(delivered_in_month(f["silver_website"], ctx))
            ],
        ),
        monthly_asset(
            WEBSITE_CONVERSION,
            lambda ctx, f: website.website_conversion(f["website_days"], ctx.month),
            monthly,
            {WEBSITE_DAYS: calendar.so_far},
            begun_by=[quarantine_table(WEBSITE)],
        ),
    )
