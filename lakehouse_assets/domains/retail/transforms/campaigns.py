"""Campaign results: delivered text to silver."""

from __future__ import annotations

from lakehouse_assets.domains.retail.tables.campaigns import CAMPAIGNS, SILVER_CAMPAIGNS
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
