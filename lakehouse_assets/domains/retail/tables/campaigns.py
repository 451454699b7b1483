"""Marketing campaigns: what each earned and cost, by day, country, channel and generation.

The source is a CSV of 22 columns (spec, section 3.1), in which the labels Campaign_Tactic and
Customer_Segment are swapped.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table, text_field
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import CURRENCY, DOMAIN, FINE, OWNER

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
