"""Hand-made retail deliveries."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets_tests.airline.samples import House

RESULT = {
    "Region": "Europe", "Country": "Germany", "ProductCategory": "", "Campaign_ID": "11",
    "Campaign_Name": "GoGreen", "Qualification": "NA", "Qualification_Number": "NA",
    "Response_Status": "Qualified", "Responses": "229.5", "Cost": "191",
    "Revenue": "11180.560000000001", "ROI": "5940", "Lead_Generation": "NA",
    "Revenue_Target": "-58.22", "Campaign_Tactic": "Gen X (60 ? 80s)",
    "Customer_Segment": "Social", "Status": "Awareness", "Profit": "197.2",
    "Marketing_Cost": "93.891", "CampaignID": "11", "CampDate": "2021-09-05", "SORTED_ID": "3",
}  # fmt: skip

TWEET = {
    "time": "2021-09-05T06:01:02.500Z", "hashtag": "#gogreen", "tweet": "We've seen it #gogreen",
    "city": " New  York ", "username": "user_1", "retweetcount": 12, "favouritecount": 0,
    "sentiment": "Neutral", "sentimentscore": 5, "isretweet": 0, "hourofday": 6,
    "language": "English",
}  # fmt: skip

LABELLED = {"twitter_text": "I love this", "sentiment": "Positive"}

WORN = {
    "DeviceId": "W001", "Hour": "7", "TempAvg": "67.5", "TempSpread": "1.25", "BatteryAvg": "41.5",
    "ReadingsShare": "0.9", "HoursLeft": "12.5",
}  # fmt: skip

SALE = {
    "ID": "1", "WeekStarting": "2021-08-30", "Store": "3", "Brand": "BrandA", "Quantity": "12000",
    "Advert": "1", "Price": "2.21", "Revenue": "26519.999999999996",
}  # fmt: skip

ORDER = {
    "OrderID": "O-1", "OrderedAt": "2021-09-01T23:59:59Z", "CustomerID": "7590-VHVEG",
    "Country": "Germany", "City": "Berlin", "ProductCategory": "Books", "Product": "Atlas",
    "Brand": "BrandB", "Quantity": "2", "Price": "19.99", "Revenue": "39.98",
}  # fmt: skip

CUSTOMER = {
    "CustomerID": "7590-VHVEG", "Gender": "Female", "SeniorCitizen": "0", "Partner": "Yes",
    "Dependents": "No", "tenure_month": "1", "Discount": "No", "OutletSize": "Big",
    "OnlineDelivery": "No", "OrderStatus": "Shipped", "CustomerSupport": "No", "Brand": "Local",
    "StoreContract": "Month-to-month", "PaperlessBilling": "Yes",
    "PaymentMethod": "Electronic check", "UnitPrice": "30", "TotalAmount": "30", "Churn": "No",
}  # fmt: skip

VISIT = {
    "Country": "USA", "Product_Category": "Books", "Product": "Atlas", "Channel": "Online",
    "Gender": "Female", "Sessions": "40", "Device_Category": "Mobile", "Sources": "Google",
    "Conversations": "Twitter", "Page": "HomePage", "Visits": "50", "Unique_Visitors": "30",
    "Browser": "Edge", "Sentiment": "Positive", "Duration_min": "3", "Region": "South America",
    "Customer_Segment": "Gen X (60 ? 80s)", "Daily_Users": "25", "Conversion_Rate": "48",
    "Return_Visitors": "12", "Tweets": "1213", "Retweets": "39", "Hashtags": "NeedForSpeed",
    "Campaign_Name": "GoGreen", "Date": "2021-09-05",
}  # fmt: skip

SEEN = {
    "VisitNumber": "V-1", "VisitedAt": "2021-09-05T23:59:59Z", "VisitorID": "W-1",
    "Country": "USA", "AgeGroup": "31-40", "Customer_Segment": "Gen Y (80 ? 2000s)",
    "CustomerType": "Returning", "Device": "Mobile Phone", "MobileExperience": "Poor",
    "Referrer": "Third-party redirect", "SearchMatch": "No", "DiscountOffered": "No",
    "ProductCategory": "Beach Products", "Happiness": "Not Happy", "Bounced": "Yes", "Pages": "1",
    "DurationSeconds": "12",
}  # fmt: skip


def sale(**fields: Any) -> dict[str, Any]:
    """Return what a store sold, as delivered."""
    return {**SALE, **fields}


def order(**fields: Any) -> dict[str, Any]:
    """Return an order as delivered."""
    return {**ORDER, **fields}


def customer(**fields: Any) -> dict[str, Any]:
    """Return a customer as delivered."""
    return {**CUSTOMER, **fields}


def visit(**fields: Any) -> dict[str, Any]:
    """Return what was counted on the website, as delivered."""
    return {**VISIT, **fields}


def seen(**fields: Any) -> dict[str, Any]:
    """Return a visit of the website as delivered."""
    return {**SEEN, **fields}


def tweet(**fields: Any) -> dict[str, Any]:
    """Return a tweet as delivered."""
    return {**TWEET, **fields}


def result(**fields: Any) -> dict[str, Any]:
    """Return a campaign result as delivered."""
    return {**RESULT, **fields}


def quoted_csv(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as the landing pipelines do: every field in quotes, a header if there is one."""
    out = io.StringIO()
    writer = csv.DictWriter(out, dataset.source_names, quoting=csv.QUOTE_ALL, lineterminator="\n")
    if dataset.header:
        writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def deliver(house: House, dataset: Dataset, day: str, name: str, content: str | bytes) -> Path:
    """Put a file into a dated landing folder."""
    path = house.settings.landing / dataset.path / day / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
