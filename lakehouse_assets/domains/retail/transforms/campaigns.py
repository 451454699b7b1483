"""Campaign results: delivered text to silver, and silver to campaign analytics."""

from __future__ import annotations

from datetime import date, datetime

from lakehouse_assets.domains.conformed.transforms.countries import with_country_code
from lakehouse_assets.domains.retail.tables.campaigns import (
    CAMPAIGN_DAYS,
    CAMPAIGN_WEEKS,
    CAMPAIGNS,
    COUNTRY_PROFIT_WEEKS,
    COUNTRY_REVENUE,
    DIM_CAMPAIGNS,
    LOSS_MAKING_CAMPAIGNS,
    SILVER_CAMPAIGNS,
)
from lakehouse_assets.domains.retail.tables.common import FINE_TOTAL, MONEY, TOTAL
from lakehouse_assets.domains.retail.transforms.labels import (
    DAYS,
    NOTHING,
    UNKNOWN,
    begun_by,
    generation,
)
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import lineage_columns, with_text
from lakehouse_assets.quality.fields import Fields, Flag

CHANNELS = ("Social", "TV", "Event", "Media Placements", "Email")
# What is told of a result: everything that its delivery says of it.
_VALUES = tuple(
    c.name for c in SILVER_CAMPAIGNS.columns if c.type != "array<string>"
    and c.name not in {"result_id", *lineage_columns(CAMPAIGNS)}
)  # fmt: skip
FIELDS = Fields(
    CAMPAIGNS,
    SILVER_CAMPAIGNS,
    NOTHING,
    facts=("responses", "revenue_target", "marketing_cost"),
    flags={
        "country_unknown": Flag("A result says in which country it was earned."),
        "campaign_tactic_unknown": Flag("A result says by which channel it was earned."),
        "customer_segment_unknown": Flag("A result says which generation it addressed."),
    },
)


def type_campaigns(bronze: DataFrame) -> DataFrame:
    """Type campaign results.

    Args:
        bronze: Rows of `bronze_campaigns`.

    Returns:
        One row per bronze row: the columns of `silver_campaigns` (null where a key or fact cannot
        be read), `raw_*` text, `campaignid`, the campaign's number given a second time, and
        `version`, the same for equal values of a result.
    """
    frame = _with_labels(with_text(bronze, CAMPAIGNS))
    text = {c.name: F.col(f"given_{c.name}") for c in CAMPAIGNS.fields}
    tactic, segment = F.col("tactic"), F.col("segment")
    flags = {
        "country_unknown": text["country"].isNull(),
        "campaign_tactic_unknown": tactic.isNull(),
        "customer_segment_unknown": segment.isNull(),
    }
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        v.small_number(text["campaign_id"]).alias("campaign_id"),
        text["campaign_name"].alias("campaign_name"),
        F.coalesce(text["country"], F.lit(UNKNOWN)).alias("country"),
        F.coalesce(text["region"], F.lit(UNKNOWN)).alias("region"),
        text["productcategory"].alias("product_category"),
        text["qualification"].alias("qualification"),
        text["qualification_number"].alias("qualification_number"),
        text["lead_generation"].alias("lead_generation"),
        F.coalesce(text["response_status"], F.lit(UNKNOWN)).alias("response_status"),
        _amount(text["responses"]).alias("responses"),
        _amount(text["cost"]).alias("cost"),
        _amount(text["revenue"]).alias("revenue"),
        _amount(text["roi"]).alias("roi"),
        _amount(text["revenue_target"]).alias("revenue_target"),
        F.coalesce(
            begun_by(v.lower(tactic), {c.lower(): c for c in CHANNELS}),
            tactic,
            F.lit(UNKNOWN),
        ).alias("campaign_tactic"),
        F.coalesce(generation(segment), segment, F.lit(UNKNOWN)).alias("customer_segment"),
        F.coalesce(text["status"], F.lit(UNKNOWN)).alias("status"),
        _amount(text["profit"]).alias("profit"),
        _amount(text["marketing_cost"]).alias("marketing_cost"),
        v.parse_date(text["campdate"], *DAYS).alias("camp_date"),
        v.small_number(text["sorted_id"]).alias("sorted_id"),
        v.small_number(text["campaignid"]).alias("campaignid"),
        *[condition.alias(f"flag_{name}") for name, condition in flags.items()],
        *lineage_columns(CAMPAIGNS),
    )
    return _with_identity(FIELDS.flagged(typed))


def _with_identity(typed: DataFrame) -> DataFrame:
    """Add `result_id`, which a correction leaves as it is, and `version`, which it changes.

    Results have no number. One is known by its campaign, day, country, channel and generation, and
    among equal ones of a delivery by its place; what it earned and cost may be corrected, and so
    may its region and statuses.
    """
    identity = v.hash_key(
        v.lower(F.col("campaign_name")),
        *[F.col(c) for c in ("camp_date", "country", "campaign_tactic", "customer_segment")],
    )
    version = v.hash_key(*[F.col(c) for c in _VALUES])
    # A copy of a source comes in numbered files, which are one delivery.
    delivery = v.rewrite(F.col("_source_file"), r"(T[0-9]{12})-[0-9]{4}[.]parquet\z", r"\1")
    frame = v.staged(
        typed.select(
            *typed.columns,
            identity.alias("identity"),
            version.alias("version"),
            delivery.alias("delivery"),
        )
    )
    order = W.partitionBy("delivery", "identity").orderBy(
        F.col("_source_file").asc_nulls_last(), F.col("_row_number").asc_nulls_last()
    )
    placed = v.staged(frame.select(*frame.columns, F.row_number().over(order).alias("place")))
    key = v.hash_key(F.col("identity"), F.col("place"))
    return placed.select(*typed.columns, "version", key.alias("result_id"))


def _with_labels(frame: DataFrame) -> DataFrame:
    """Add each field as `given_<field>`, and the two labels put right: `tactic`, `segment`."""
    given = [FIELDS.given(c.name).alias(f"given_{c.name}") for c in CAMPAIGNS.fields]
    frame = v.staged(frame.select(*frame.columns, *given))
    one, other = F.col("given_campaign_tactic"), F.col("given_customer_segment")
    # Whoever put the labels right at the source is not punished: what a value is decides.
    straight = _is_channel(one) | generation(other).isNotNull()
    right = [
        F.when(straight, one).otherwise(other).alias("tactic"),
        F.when(straight, other).otherwise(one).alias("segment"),
    ]
    return v.staged(frame.select(*frame.columns, *right))


def _amount(text: Col) -> Col:
    return v.decimal(text, 18, 4)


def _is_channel(label: Col) -> Col:
    return F.coalesce(v.is_any(v.lower(label), [c.lower() for c in CHANNELS]), F.lit(False))


def campaign_key(name: Col) -> Col:
    """Identify a campaign by its name in small letters, so that spellings of it are one."""
    return v.hash_key(v.lower(name))


def dim_campaigns(results: DataFrame, month: date, loaded_at: datetime) -> DataFrame:
    """Describe the campaigns that have results; columns as declared for `dim_campaigns`."""
    key = campaign_key(F.col("campaign_name")).alias("campaign_key")
    grouped = (
        results.select(key, "campaign_name", "campaign_id", "camp_date")
        .groupBy("campaign_key")
        .agg(
            F.min("campaign_name").alias("campaign_name"),
            F.min("campaign_id").alias("campaign_id"),
            F.min("camp_date").alias("first_day"),
            F.max("camp_date").alias("last_day"),
        )
    )
    return grouped.withColumns(
        {
            "as_of_month": F.lit(month),
            "hashtag": F.concat(F.lit("#"), F.col("campaign_name")),
            "load_timestamp": F.lit(loaded_at).cast("timestamp"),
        }
    ).select(*DIM_CAMPAIGNS.column_names)


def campaign_days(results: DataFrame, countries: DataFrame, month: date) -> DataFrame:
    """Add up the results delivered in a month; columns as declared for `campaign_days`.

    Args:
        results: Rows of `silver_campaigns` delivered in the month.
        countries: Rows of `dim_countries`.
        month: The month, as its first day.
    """
    lost = F.col("profit") < F.lit(0)
    none = F.lit(0).cast(FINE_TOTAL)
    loss = F.when(lost, F.col("profit")).otherwise(none)
    grouped = results.groupBy(
        campaign_key(F.col("campaign_name")).alias("campaign_key"),
        *("camp_date", "country", "region", "campaign_tactic", "customer_segment"),
    ).agg(
        F.min("campaign_name").alias("spelling"),
        F.count(F.lit(1)).alias("results"),
        *[
            F.coalesce(v.total(F.col(name), 4), none).alias(name)
            for name in (
                "responses", "cost", "revenue", "revenue_target", "profit", "marketing_cost",
            )
        ],
        F.min("cost").alias("min_cost"),
        F.max("cost").alias("max_cost"),
        F.count(F.when(lost, F.lit(1))).alias("loss_results"),
        v.total(loss, 4).alias("loss"),
    )  # fmt: skip
    # Names are looked up once, among few rows; what is added up from the days has their codes.
    placed = with_country_code(_named_alike(grouped, "spelling"), "country", countries)
    return placed.withColumn("as_of_month", F.lit(month)).select(*CAMPAIGN_DAYS.column_names)


def country_revenue(days: DataFrame, month: date) -> DataFrame:
    """Add up by country and region; columns as declared for `country_revenue`."""
    grouped = days.groupBy("country", "country_code", "region").agg(
        _total("results"),
        _money("revenue", "total_revenue"),
        _money("revenue_target", "total_revenue_target"),
        _money("profit", "total_profit"),
        F.max("max_cost").cast(MONEY).alias("max_cost"),
        F.min("min_cost").cast(MONEY).alias("min_cost"),
    )
    return grouped.withColumn("as_of_month", F.lit(month)).select(*COUNTRY_REVENUE.column_names)


def campaign_weeks(days: DataFrame, month: date, week_starts_on: v.Weekday) -> DataFrame:
    """Count results by campaign and week; columns as declared for `campaign_weeks`."""
    grouped = (
        _by_week(_named_alike(days), week_starts_on)
        .groupBy("campaign_key", "campaign_name", "week_start")
        .agg(_total("results"))
    )
    return _with_week_end(grouped, month).select(*CAMPAIGN_WEEKS.column_names)


def country_profit_weeks(days: DataFrame, month: date, week_starts_on: v.Weekday) -> DataFrame:
    """Add profit up by country and week; columns as declared for `country_profit_weeks`."""
    grouped = (
        _by_week(days, week_starts_on)
        .groupBy("country", "country_code", "week_start")
        .agg(_money("profit", "total_profit"))
    )
    return _with_week_end(grouped, month).select(*COUNTRY_PROFIT_WEEKS.column_names)


def totals_of_campaigns(results: DataFrame) -> DataFrame:
    """Add up, in one row, what the days must hold of the results delivered in a month."""
    return results.agg(
        F.count(F.lit(1)).alias("results"),
        *[v.total(F.col(name), 4).alias(name) for name in ("cost", "revenue", "profit")],
    )


def totals_of_days(days: DataFrame) -> DataFrame:
    """Count, in one row, the results that the tables of all months so far must hold."""
    return days.agg(_total("results"))


def countries_that_are_off(stored: DataFrame, days: DataFrame) -> DataFrame:
    """Find countries whose weeks do not add up to their days, half a cent a week aside.

    Args:
        stored: The month's rows of `country_profit_weeks`, each rounded to cents.
        days: Rows of `campaign_days` of this and all earlier months.
    """
    rounded = stored.select(
        "country", F.col("total_profit").alias("amount"), F.lit(1).alias("week")
    )
    exact = days.select(
        "country", (F.lit(0) - F.col("profit")).alias("amount"), F.lit(0).alias("week")
    )
    both = [f.withColumn("amount", F.col("amount").cast(FINE_TOTAL)) for f in (rounded, exact)]
    off = (F.abs(F.sum("amount")) * F.lit(200)).alias("half_cents")
    grouped = both[0].unionByName(both[1]).groupBy("country")
    return grouped.agg(off, F.sum("week").alias("weeks")).filter(
        F.col("half_cents") > F.col("weeks")
    )


def loss_making_campaigns(days: DataFrame, month: date) -> DataFrame:
    """Rank the campaigns by what they lost; columns as declared for `loss_making_campaigns`."""
    grouped = (
        _named_alike(days)
        .groupBy("campaign_key", "campaign_name")
        .agg(
            _total("loss_results"),
            _money("loss", "total_loss"),
            _money("profit", "total_profit"),
        )
        .filter(F.col("loss_results") > F.lit(0))
        .withColumn("as_of_month", F.lit(month))
    )
    order = W.partitionBy("as_of_month").orderBy(
        F.col("total_loss").asc_nulls_last(), F.col("campaign_name").asc_nulls_last()
    )
    ranked = grouped.withColumn("loss_rank", F.row_number().over(order).cast("int"))
    return ranked.select(*LOSS_MAKING_CAMPAIGNS.column_names)


def _named_alike(days: DataFrame, spelling: str = "campaign_name") -> DataFrame:
    """Give the rows of a campaign the name that `dim_campaigns` has: the first of its spellings."""
    name = F.min(spelling).over(W.partitionBy("campaign_key")).alias("campaign_name")
    others = [c for c in days.columns if c not in {"campaign_name", spelling}]
    return v.staged(v.staged(days).select(*others, name))


def _by_week(days: DataFrame, week_starts_on: v.Weekday) -> DataFrame:
    start = v.week_start(F.col("camp_date"), week_starts_on)
    return days.select(*days.columns, start.alias("week_start"))


def _with_week_end(weeks: DataFrame, month: date) -> DataFrame:
    return weeks.withColumns(
        {
            "as_of_month": F.lit(month),
            "week_end": v.add_days(F.col("week_start"), F.lit(6)),
        }
    )


def _total(name: str) -> Col:
    return F.sum(name).cast("bigint").alias(name)


def _money(name: str, alias: str) -> Col:
    return F.sum(name).cast(TOTAL).alias(alias)
