"""Marketing campaigns: revenue and cost by day, country, channel and generation.

The source is a CSV file of 22 columns, in which the labels Campaign_Tactic and Customer_Segment are
swapped. Results may be corrected after delivery, so each copy of the source re-reads the last week.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse_assets.catalog.datasets import Field, silver_table, text_field
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.domains.retail.shared import (
    CURRENCY,
    DAYS,
    FINE,
    REGIONS,
    SEGMENT_IS_KNOWN,
    UNKNOWN,
    dataset,
    generation,
    generation_or_label,
    label,
    label_by_beginning,
)
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

CHANNELS = ("Social", "TV", "Event", "Media Placements", "Email")


def with_labels_and_identity(results: DataFrame, _given: Mapping[str, Any]) -> DataFrame:
    """Swap the mislabelled values back, and add `result_id`, which corrections do not change.

    Results have no number. Campaign, day, country, channel and generation identify a result;
    results of a delivery that agree in these are numbered. Amounts, region and statuses may be
    corrected.
    """
    one, other = F.col("campaign_tactic"), F.col("customer_segment")
    # The values decide, so that rows with the right labels stay as they are.
    straight = _is_channel(one) | generation(other).isNotNull()
    others = [c for c in results.columns if c not in {"campaign_tactic", "customer_segment"}]
    swapped = v.staged(
        results.select(
            *others,
            F.when(straight, one).otherwise(other).alias("campaign_tactic"),
            F.when(straight, other).otherwise(one).alias("customer_segment"),
        )
    )
    channel = label_by_beginning(v.lower(one), {c.lower(): c for c in CHANNELS})
    frame = v.staged(
        swapped.select(
            *others,
            F.coalesce(channel, one).alias("campaign_tactic"),
            generation_or_label(other).alias("customer_segment"),
        )
    )
    named = ("country", "campaign_tactic", "customer_segment")
    identity = v.hash_key(
        v.lower(F.col("campaign_name")),
        F.col("camp_date"),
        *[F.coalesce(F.col(name), F.lit(UNKNOWN)) for name in named],
    )
    # The numbered files of one copy of a database table are one delivery.
    delivery = v.rewrite(F.col("_source_file"), r"(T[0-9]{12})-[0-9]{4}[.]parquet\z", r"\1")
    known = v.staged(
        frame.select(*frame.columns, identity.alias("identity"), delivery.alias("delivery"))
    )
    order = W.partitionBy("delivery", "identity").orderBy(
        F.col("_source_file").asc_nulls_last(), F.col("_row_number").asc_nulls_last()
    )
    placed = v.staged(known.select(*known.columns, F.row_number().over(order).alias("place")))
    key = v.hash_key(F.col("identity"), F.col("place")).alias("result_id")
    return placed.select(*frame.columns, key)


def _is_channel(label: Col) -> Col:
    return F.coalesce(v.is_any(v.lower(label), [c.lower() for c in CHANNELS]), F.lit(False))


def _region_fits() -> Col:
    fits = F.lit(True)
    for country, region in REGIONS.items():
        here = F.col("country") == F.lit(country)
        fits = fits & (~here | (F.col("region") == F.lit(region)))
    return fits


def _numbers_agree() -> Col:
    other = v.small_number(v.text(F.col("raw_campaignid")))
    return F.coalesce(F.col("campaign_id") == other, F.lit(False))


CAMPAIGNS = dataset(
    name="campaigns",
    grain="day",
    description="One result of a campaign on one day, by country, channel and generation.",
    rows=(
        "One row per campaign result: typed, with normalised labels and with Campaign_Tactic and "
        "Customer_Segment swapped back. A result that is delivered again unchanged is a duplicate; "
        "with other values, it is a correction and replaces the earlier row."
    ),
    key="result_id",
    counts="corrected",
    dates=DAYS,
    columns=(
        Field("result_id", "bigint", "Key of the result: hash of campaign, day, country, channel "
              "and generation, and of its number among results of its delivery that agree in "
              "these. Corrections keep the key.",
              need="checked", derived=True, unit="id"),
        Field("campaign_id", "int", "Number of the campaign.", "Campaign_ID", unit="id"),
        Field("campaign_name", "string", "Name of the campaign.", "Campaign_Name", need="required"),
        # The amounts of a result count even if its country is unknown.
        label("country", "Country, as the source names it.", "Country", tuple(REGIONS),
              unknown="Country is given; missing values became Unknown."),
        label("region", "Region, as the source names it.", "Region"),
        Field("product_category", "string", "Product category; empty in all known deliveries.",
              "ProductCategory"),
        Field("qualification", "string", "Qualification; empty in all known deliveries.",
              "Qualification"),
        Field("qualification_number", "string", "Number of the qualification; empty in all "
              "known deliveries.", "Qualification_Number"),
        Field("lead_generation", "string", "Lead generation; empty in all known deliveries.",
              "Lead_Generation"),
        label("response_status", "Response status: Qualified, Active or Accepted.",
              "Response_Status", ("Qualified", "Active", "Accepted")),
        Field("responses", FINE, "Responses to the campaign; not always whole numbers.",
              "Responses", need="fact", not_negative=True, unit="count"),
        Field("cost", FINE, "Cost of the campaign.", "Cost", need="required", unit=CURRENCY),
        Field("revenue", FINE, "Revenue that marketing attributes to the campaign.", "Revenue",
              need="required", unit=CURRENCY),
        Field("roi", FINE, "Return on investment.", "ROI", unit="percent"),
        Field("revenue_target", FINE, "Revenue target; may be negative.", "Revenue_Target",
              need="fact", unit=CURRENCY),
        label("campaign_tactic", "Channel: Social, TV, Event, Media Placements or Email.",
              "Campaign_Tactic", (*CHANNELS, UNKNOWN),
              delivered="Generation: the source swaps this label with Customer_Segment.",
              unknown="Channel is given; missing values became Unknown."),
        label("customer_segment", "Generation that the campaign addresses.", "Customer_Segment",
              delivered="Channel: the source swaps this label with Campaign_Tactic.",
              unknown="Generation is given; missing values became Unknown."),
        label("status", "Stage: Awareness, Consideration, Inquiries, Intent or Purchase.", "Status",
              ("Awareness", "Consideration", "Inquiries", "Intent", "Purchase")),
        Field("profit", FINE, "Profit; negative for a loss.", "Profit", need="required",
              unit=CURRENCY),
        Field("marketing_cost", FINE, "Marketing cost.", "Marketing_Cost", need="fact",
              unit=CURRENCY),
        Field("camp_date", "date", "Day of the result.", "CampDate", need="required",
              in_calendar=True),
        Field("sorted_id", "int", "Position of the campaign in the source's order.", "SORTED_ID",
              unit="position"),
        text_field("CampaignID", "Number of the campaign, again."),
    ),
    delivered_order=(
        "Region", "Country", "ProductCategory", "Campaign_ID", "Campaign_Name", "Qualification",
        "Qualification_Number", "Response_Status", "Responses", "Cost", "Revenue", "ROI",
        "Lead_Generation", "Revenue_Target", "Campaign_Tactic", "Customer_Segment", "Status",
        "Profit", "Marketing_Cost", "CampaignID", "CampDate", "SORTED_ID",
    ),
    rule=with_labels_and_identity,
    expectations=(
        SEGMENT_IS_KNOWN,
        Expectation(
            "region_fits_country", "warn",
            "The region is that of the country: "
            + "; ".join(f"{country} in {region}" for country, region in REGIONS.items()) + ".",
            _region_fits,
        ),
        Expectation(
            "campaign_numbers_agree", "warn", "Campaign_ID and CampaignID are the same number.",
            _numbers_agree,
        ),
    ),
    watched=("country", "revenue"),
    clustered=("campaign_name",),
    aliases=("bronze_campaign_data",),
)  # fmt: skip
SILVER_CAMPAIGNS = silver_table(CAMPAIGNS)
