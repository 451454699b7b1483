"""Marketing campaigns: what each earned and cost, by day, country, channel and generation.

The source is a CSV of 22 columns (spec, section 3.1), in which the labels Campaign_Tactic and
Customer_Segment are swapped.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table, text_field
from lakehouse_assets.catalog.registry import LOADED, Column, same_month
from lakehouse_assets.domains.retail.tables.common import (
    COUNTRIES,
    COUNTRY_CODE,
    CURRENCY,
    DOMAIN,
    FINE,
    FINE_TOTAL,
    MONEY,
    OWNER,
    TOTAL,
    dates,
    gold,
)

CAMPAIGNS = Dataset(
    domain=DOMAIN,
    name="campaigns",
    grain="day",
    description="One result of a campaign on a day.",
    owner=OWNER,
    aliases=("bronze_campaign_data",),
    fields=(
        text_field("Region", "Region of the country."),
        text_field("Country", "Country."),
        text_field("ProductCategory", "Always empty."),
        text_field("Campaign_ID", "Number of the campaign."),
        text_field("Campaign_Name", "Name of the campaign; with a # before it, its hashtag."),
        text_field("Qualification", "Always NA."),
        text_field("Qualification_Number", "Always NA."),
        text_field("Response_Status", "Qualified, Active or Accepted."),
        text_field("Responses", "Responses; halves occur."),
        text_field("Cost", "Cost.", unit=CURRENCY),
        text_field("Revenue", "Revenue.", unit=CURRENCY),
        text_field("ROI", "Return on investment.", unit="percent"),
        text_field("Lead_Generation", "Always NA."),
        text_field("Revenue_Target", "Target; may be negative.", unit=CURRENCY),
        text_field("Campaign_Tactic", "Holds the generation: label swapped in the source."),
        text_field("Customer_Segment", "Holds the channel: label swapped in the source."),
        text_field("Status", "Awareness, Consideration, Inquiries, Intent or Purchase."),
        text_field("Profit", "Profit; negative for a loss.", unit=CURRENCY),
        text_field("Marketing_Cost", "Cost of marketing.", unit=CURRENCY),
        text_field("CampaignID", "Number of the campaign once more."),
        text_field("CampDate", "Day of the result, yyyy-MM-dd or M/d/yyyy."),
        text_field("SORTED_ID", "Place of the campaign in the source's order."),
    ),
)

_KEY = Column("campaign_key", "bigint", "Campaign: hash of its name in lower case.", False, "id")
_NAME = Column("campaign_name", "string", "Name of the campaign.", False)
_COUNTRY = Column("country", "string", "Country as the source names it, or Unknown.", False)
_REGION = Column("region", "string", "Region as the source names it.", False)
_TACTIC = Column("campaign_tactic", "string", "Channel: Social, TV, Event ..., Unknown.", False)
_SEGMENT = Column("customer_segment", "string", "Generation addressed, or Unknown.", False)
_DAY = Column("camp_date", "date", "Day of the result.", False, source="campdate")

SILVER_CAMPAIGNS = silver_table(
    CAMPAIGNS,
    (
        "One row per result of a campaign: typed, Campaign_Tactic and Customer_Segment put right, "
        "labels normalised. A result that is delivered again as it was is a duplicate; one with "
        "other values is a correction, which counts instead, in the delivery that brought it."
    ),
    "result_id",
    (
        Column(
            "result_id", "bigint",
            "Hash of campaign, day, country, channel, generation, and of how many equal ones its "
            "delivery had before; a correction keeps it.", False, "id",
        ),
        Column("campaign_id", "int", "Number of the campaign.", unit="id"),
        _NAME, _COUNTRY, _REGION,
        Column("product_category", "string", "Product category; never given so far."),
        Column("qualification", "string", "Qualification; never given so far."),
        Column("qualification_number", "string", "Never given so far."),
        Column("lead_generation", "string", "Never given so far."),
        Column("response_status", "string", "Qualified, Active, Accepted or Unknown.", False),
        Column("responses", FINE, "Responses; halves occur.", unit="count"),
        Column("cost", FINE, "Cost.", False, CURRENCY),
        Column("revenue", FINE, "Revenue.", False, CURRENCY),
        Column("roi", FINE, "Return on investment.", unit="percent"),
        Column("revenue_target", FINE, "Target; may be negative.", unit=CURRENCY),
        _TACTIC, _SEGMENT,
        Column("status", "string", "Awareness ... Purchase, or Unknown.", False),
        Column("profit", FINE, "Profit; negative for a loss.", False, CURRENCY),
        Column("marketing_cost", FINE, "Cost of marketing.", unit=CURRENCY),
        _DAY,
        Column("sorted_id", "int", "Place of the campaign in the source's order.", unit="position"),
    ),
    watched=("country", "revenue"),
    clustered=("campaign_name",),
)  # fmt: skip

DIM_CAMPAIGNS = gold(
    "dim_campaigns",
    "One row per campaign that has results by the end of a month.",
    (
        _KEY,
        _NAME,
        Column(
            "campaign_id",
            "int",
            "Number of the campaign, the lowest if there are several.",
            unit="id",
        ),
        Column("hashtag", "string", "Its hashtag: the name with a # before it.", False),
        Column("first_day", "date", "Day of the first result.", False),
        Column("last_day", "date", "Day of the last result so far.", False),
        LOADED,
    ),
    ("campaign_key",),
    kind="dimension",
    topic="campaigns",
    references=(dates("first_day"), dates("last_day")),
)

_MEASURES = (
    Column("results", "bigint", "Results.", False, "count"),
    Column("responses", FINE_TOTAL, "Responses.", False, "count"),
    Column("cost", FINE_TOTAL, "Cost.", False, CURRENCY),
    Column("revenue", FINE_TOTAL, "Revenue.", False, CURRENCY),
    Column("revenue_target", FINE_TOTAL, "Targets, also negative ones.", False, CURRENCY),
    Column("profit", FINE_TOTAL, "Profit.", False, CURRENCY),
    Column("marketing_cost", FINE_TOTAL, "Cost of marketing.", False, CURRENCY),
)

CAMPAIGN_DAYS = gold(
    "campaign_days",
    "Campaign results delivered in a month by day, country, channel and generation: the aggregate "
    "that the tables below add up over months, so that a new month costs one month.",
    (
        _KEY,
        _DAY, _NAME, _COUNTRY, COUNTRY_CODE, _REGION, _TACTIC, _SEGMENT, *_MEASURES,
        Column("min_cost", FINE, "Lowest cost of a result.", False, CURRENCY),
        Column("max_cost", FINE, "Highest cost of a result.", False, CURRENCY),
        Column("loss_results", "bigint", "Results with a negative profit.", False, "count"),
        Column("loss", FINE_TOTAL, "Sum of the negative profits: 0 or less.", False, CURRENCY),
    ),
    ("campaign_key", "camp_date", "country", "region", "campaign_tactic", "customer_segment"),
    kind="aggregate",
    topic="campaigns",
    references=(same_month(("campaign_key",), "dim_campaigns"), dates("camp_date"), COUNTRIES),
)  # fmt: skip

COUNTRY_REVENUE = gold(
    "country_revenue",
    "Revenue, target and profit by country and region, over all results delivered so far.",
    (
        _COUNTRY, COUNTRY_CODE, _REGION,
        Column("results", "bigint", "Results.", False, "count"),
        Column("total_revenue", TOTAL, "Revenue, 2 decimals.", False, CURRENCY),
        Column("total_revenue_target", TOTAL, "Targets, 2 decimals.", False, CURRENCY),
        Column("total_profit", TOTAL, "Profit, 2 decimals.", False, CURRENCY),
        Column("max_cost", MONEY, "Highest cost of a result.", False, CURRENCY),
        Column("min_cost", MONEY, "Lowest cost of a result.", False, CURRENCY),
    ),
    ("country", "region"),
    kind="cumulative",
    topic="campaigns",
    references=(COUNTRIES,),
    lab="gold_country_wise_revenue",
)  # fmt: skip

_WEEK = (
    Column("week_start", "date", "First day of the week (LAKEHOUSE_WEEK_STARTS_ON).", False),
    Column("week_end", "date", "Last day of the week.", False),
)

CAMPAIGN_WEEKS = gold(
    "campaign_weeks",
    "Results per campaign and week, over all results delivered so far.",
    (
        _KEY,
        _NAME,
        *_WEEK,
        Column("results", "bigint", "Results.", False, "count", aliases=("count",)),
    ),
    ("campaign_key", "week_start"),
    kind="cumulative",
    topic="campaigns",
    references=(same_month(("campaign_key",), "dim_campaigns"), dates("week_start")),
    lab="gold_campaign_per_week",
)

COUNTRY_PROFIT_WEEKS = gold(
    "country_profit_weeks",
    "Profit per country and week, over all results delivered so far.",
    (
        _COUNTRY, COUNTRY_CODE, *_WEEK,
        Column("total_profit", TOTAL, "Profit, 2 decimals.", False, CURRENCY),
    ),
    ("country", "week_start"),
    kind="cumulative",
    topic="campaigns",
    references=(dates("week_start"), COUNTRIES),
    lab="gold_total_profit_by_country_per_week",
)  # fmt: skip

LOSS_MAKING_CAMPAIGNS = gold(
    "loss_making_campaigns",
    "Campaigns with results that lost money, the largest loss first.",
    (
        _KEY,
        _NAME,
        Column("loss_rank", "int", "1 for the largest loss.", False, "rank"),
        Column(
            "loss_results",
            "bigint",
            "Results with a negative profit.",
            False,
            "count",
            aliases=("loss_count",),
        ),
        Column("total_loss", TOTAL, "Sum of the negative profits.", False, CURRENCY),
        Column("total_profit", TOTAL, "Profit of all results.", False, CURRENCY),
    ),
    ("campaign_key",),
    kind="cumulative",
    topic="campaigns",
    references=(same_month(("campaign_key",), "dim_campaigns"),),
    lab="gold_top_loss_making_campaign",
)
