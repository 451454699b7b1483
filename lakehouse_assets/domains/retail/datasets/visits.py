"""Visits to the website: who came from where, what they found, and whether they were happy.

The reference lab's page Website Analytics does not show the table behind it. We defined these
columns ourselves, so that the page can be built.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Field, silver_table
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.domains.retail.shared import (
    SEGMENT_IS_KNOWN,
    count,
    dataset,
    generation_or_label,
    label,
    with_day_of,
    yes_no,
)
from lakehouse_assets.engine import Col, F
from lakehouse_assets.engine import vocabulary as v

AGE_GROUPS = ("<21", "21-30", "31-40", "41-50", "51-60", ">60")
DEVICES = ("Mobile Phone", "Laptop", "Tablet")
REFERRERS = ("Search", "Direct", "Social", "Third-party redirect")
EXPERIENCES = ("Good", "Poor", "Not mobile")
CUSTOMER_TYPES = ("New", "Returning", "Repeat customer")
HAPPY, NOT_HAPPY = "Happy", "Not Happy"
_YES_NO = ("Yes", "No")


def _fits_bounce() -> Col:
    one, several = F.col("pages") == F.lit(1), F.col("pages") > F.lit(1)
    return F.coalesce(F.when(F.col("bounced"), one).otherwise(several), F.lit(True))


VISITS = dataset(
    name="visits",
    grain="day",
    description="One visit to the website.",
    rows=(
        "One row per visit: typed, with normalised labels. The first delivery of a visit counts; "
        "to correct a visit, deliver its day again."
    ),
    key="visit_number",
    columns=(
        Field("visit_number", "string", "Number of the visit.", "VisitNumber", need="required",
              parse=v.text_id),
        Field("visited_at", "timestamp", "Start of the visit in UTC.", "VisitedAt",
              need="required"),
        Field("visit_date", "date", "Day of the visit in UTC.", derived=True, need="checked",
              in_calendar=True),
        Field("visitor_id", "string", "Number of the visitor, from a cookie.", "VisitorID",
              need="required", parse=v.text_id, pii="identifier"),
        Field("country", "string", "Country of the visitor.", "Country", need="required",
              pii="location"),
        label("age_group", "Age group in years: <21, by decade to 51-60, or >60.", "AgeGroup",
              AGE_GROUPS, pii="demographic"),
        label("customer_segment", "Generation of the visitor.", "Customer_Segment",
              parse=generation_or_label, pii="demographic",
              unknown="Generation is given; missing values became Unknown."),
        label("customer_type", "Kind of visitor: New, Returning (visited before) or Repeat "
              "customer (bought before).", "CustomerType", CUSTOMER_TYPES),
        label("device", "Device of the visitor: Mobile Phone, Laptop or Tablet.", "Device",
              DEVICES),
        label("mobile_experience", "How pages loaded on a mobile phone: Good, Poor or Not mobile.",
              "MobileExperience", EXPERIENCES),
        label("referrer", "Where the visitor came from: Search, Direct, Social or Third-party "
              "redirect.", "Referrer", REFERRERS),
        label("search_match", "Whether the website's search found the product: Yes or No.",
              "SearchMatch", _YES_NO, parse=yes_no),
        label("discount_offered", "Whether a discount was offered: Yes or No.", "DiscountOffered",
              _YES_NO, parse=yes_no),
        label("product_category", "Category of the products viewed.", "ProductCategory"),
        label("happiness", "The visitor's answer: Happy or Not Happy.", "Happiness",
              (HAPPY, NOT_HAPPY)),
        Field("bounced", "boolean", "Whether the visitor left after one page.", "Bounced",
              need="required"),
        count("pages", "Number of pages viewed.", "Pages"),
        count("duration_seconds", "Duration of the visit.", "DurationSeconds", "seconds"),
    ),
    rule=with_day_of("visited_at", "text_visitedat", "visit_date"),
    expectations=(
        SEGMENT_IS_KNOWN,
        Expectation(
            "bounced_means_one_page",
            "warn",
            "A visit that bounced has one page; any other has several.",
            _fits_bounce,
        ),
    ),
    watched=("device", "happiness"),
    clustered=("visit_date",),
)  # fmt: skip
SILVER_VISITS = silver_table(VISITS)
