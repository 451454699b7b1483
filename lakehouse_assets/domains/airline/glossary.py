"""What the words of the loyalty programme mean."""

from lakehouse_assets.catalog.glossary import Term
from lakehouse_assets.domains.airline.shared import OWNER

TERMS = (
    Term(
        "Member",
        "A person enrolled in the loyalty programme, known by the member number that never "
        "changes. A monthly table has one row per member in the latest snapshot, whether or not "
        "they flew; members of several months must not be added up.",
        OWNER,
        synonyms=("customer", "passenger", "frequent flyer"),
        columns=("customer_key",),
        measures=("kpi_customer_value.members", "gold_customer_segments_ml.members"),
        related=("Snapshot month",),
    ),
    Term(
        "Snapshot month",
        "The month of the delivery that a member's data comes from. The source sends the whole "
        "membership once a month, each time with the last two years of flying.",
        OWNER,
        synonyms=("as-of month", "reporting month"),
        columns=("snapshot_month", "as_of_month"),
    ),
    Term(
        "Flight",
        "A flight of a member, as the source counts them, within the two years before the end of "
        "the snapshot.",
        OWNER,
        synonyms=("trip", "frequency"),
        columns=("total_flights", "avg_flights"),
        measures=("flights", "flown", "average_flights"),
    ),
    Term(
        "Distance flown",
        "Kilometres of all flights within the two years of the snapshot.",
        OWNER,
        synonyms=("kilometres", "mileage", "km"),
        columns=("total_km_flown", "avg_km"),
        measures=("fact_flights.distance",),
    ),
    Term(
        "Fare revenue",
        "Money paid for flights, by year of the two-year window. It is separate from purchases, "
        "and the reference lab calls its columns flights by mistake.",
        OWNER,
        synonyms=("ticket revenue", "year_1_flights", "year_2_flights"),
        columns=("year_1_revenue", "year_2_revenue"),
        measures=("fact_flights.fare_revenue",),
        related=("Completed spend",),
    ),
    Term(
        "Loyalty points",
        "Points credited to a member within the window, for flights and for anything else. The "
        "value of a cluster of members is judged by their mean.",
        OWNER,
        synonyms=("miles", "bonus points"),
        columns=("total_loyalty_points", "base_points", "avg_points", "non_flight_points"),
        measures=("average_points",),
        related=("Point redemption",),
    ),
    Term(
        "Point redemption",
        "An occasion within the window on which a member exchanged points for something.",
        OWNER,
        synonyms=("exchange", "award"),
        columns=("exchange_count",),
    ),
    Term(
        "Recency",
        "Days from a member's last flight to the end of the snapshot, counting both days as the "
        "source does.",
        OWNER,
        synonyms=("days since last flight", "inactivity"),
        columns=("days_since_last_flight", "avg_days_since_flight", "last_flight_date"),
        measures=("average_days_since_flight",),
        related=("Customer status", "Recency, frequency and monetary score"),
    ),
    Term(
        "Flight interval",
        "Days between one flight of a member and the next, on average and at most.",
        OWNER,
        columns=("avg_flight_interval_days", "max_flight_interval_days"),
    ),
    Term(
        "Average discount rate",
        "The share of the full fare that was paid, on average: 1 is no discount and 0.7 is 30 % "
        "off. A low value means large discounts.",
        OWNER,
        synonyms=("discount",),
        columns=("avg_discount_rate",),
    ),
    Term(
        "Loyalty tier",
        "The level of a member's card: Gold (4), Platinum (5), Diamond (6), or else Silver.",
        OWNER,
        synonyms=("status level", "card level", "FFP tier"),
        columns=("loyalty_tier", "tier_name"),
    ),
    Term(
        "Membership",
        "The time since a member joined the programme, and their first flight.",
        OWNER,
        synonyms=("tenure", "joining"),
        columns=("loyalty_join_date", "first_flight_date", "days_since_joining",
                 "avg_days_since_joining"),
    ),
    Term(
        "Place of work",
        "City, province and country where a member works, as they gave it. It is personal data "
        "and says nothing about where they fly.",
        OWNER,
        synonyms=("home", "address", "geography"),
        columns=("city", "province", "country", "geo_key"),
    ),
    Term(
        "Age and sex",
        "What the member gave when enrolling: age in years, or unknown, its decade, and sex.",
        OWNER,
        synonyms=("age group", "gender", "demographics"),
        columns=("age", "age_group", "avg_age", "gender"),
    ),
    Term(
        "Purchase",
        "What a customer has bought, with its status. It counts whatever that is; only completed "
        "purchases count as spend.",
        OWNER,
        synonyms=("transaction", "order"),
        columns=("transaction_id", "transaction_date", "transaction_amount", "payment_method",
                 "region", "fact_transactions.status"),
        measures=("purchases", "completed_share", "amount", "average_purchase"),
        related=("Completed spend",),
    ),
    Term(
        "Completed spend",
        "The sum of completed purchases delivered so far, in the currency of the source. "
        "Purchases of any other status, and fares, are not included.",
        OWNER,
        synonyms=("spend", "total spent", "customer value", "avg_revenue"),
        columns=("total_spent", "completed_amount", "completed_count", "transaction_count",
                 "avg_spent"),
        measures=("completed_amount", "spend", "spend_per_member"),
        related=("Purchase", "Fare revenue"),
    ),
    Term(
        "Customer status",
        "Active with a flight in the last 90 days, At Risk up to 180 days, and Inactive after "
        "that. The persona At-Risk Customers is wider: it includes most inactive members.",
        OWNER,
        synonyms=("active", "at risk", "inactive", "churn risk"),
        columns=("customer_status", "previous_status"),
        measures=("kpi_customer_value.at_risk_share",),
        related=("Segment",),
    ),
    Term(
        "Segment",
        "The persona of a member: Premium Elite Members, Loyal Frequent Flyers, New Joiners, "
        "Occasional Travelers or At-Risk Customers. Exactly one rule fits each member; members "
        "who lack a feature are Uncategorized.",
        OWNER,
        synonyms=("persona", "customer segment"),
        columns=("segment", "segment_name", "segment_rule", "previous_segment_name",
                 "gold_segment_summary.customer_count"),
        measures=("high_value_members",),
        related=("Cluster", "Customer status"),
    ),
    Term(
        "Cluster",
        "The group of similar members that the k-means model found, ordered by mean loyalty "
        "points: 0 is the most valuable. Numbers keep their meaning from month to month only by "
        "that order.",
        OWNER,
        synonyms=("k-means", "machine-learned segment"),
        columns=("cluster",),
        related=("Segment",),
    ),
    Term(
        "Recency, frequency and monetary score",
        "Scores from 1 to 5 by days since the last flight, by flights, and by loyalty points; 5 "
        "is the best fifth of the members.",
        OWNER,
        synonyms=("RFM",),
        columns=("recency_score", "frequency_score", "monetary_score", "avg_recency",
                 "avg_frequency", "avg_monetary"),
        measures=("average_recency", "average_frequency", "average_monetary", "average_rfm"),
    ),
    Term(
        "Segment migration",
        "How many members had one persona a month before and another one now, including those who "
        "joined or left in between.",
        OWNER,
        synonyms=("movement", "transition"),
        columns=("from_segment_name", "to_segment_name", "gold_segment_migration.customers",
                 "gold_segment_migration.share"),
        measures=("gold_segment_migration.customers", "moved_customers"),
        related=("Segment",),
    ),
    Term(
        "Newly at risk",
        "A member whose status is At Risk and was another in the latest earlier month. Members who "
        "were not in that month do not count.",
        OWNER,
        synonyms=("at-risk alert",),
        columns=("gold_newly_at_risk.customer_key", "previous_status"),
        measures=("gold_newly_at_risk.members",),
        related=("Customer status",),
    ),
)  # fmt: skip
