"""What the words of the loyalty programme mean."""

from lakehouse_assets.catalog.glossary import Term

TERMS = (
    Term(
        "Member",
        "A person enrolled in the loyalty programme, identified by a member number that never "
        "changes. A monthly table has one row per member of the latest snapshot. Do not add up "
        "the members of several months.",
        synonyms=("customer", "passenger", "frequent flyer"),
        columns=("customer_key",),
        measures=("kpi_customer_value.members", "gold_customer_segments_ml.members"),
        related=("Snapshot month",),
    ),
    Term(
        "Snapshot month",
        "The month of the delivery that a member's data comes from. The source delivers all "
        "members once a month, each with the last two years of flying.",
        synonyms=("as-of month", "reporting month"),
        columns=("snapshot_month", "as_of_month"),
    ),
    Term(
        "Flight",
        "A member's flight in the two-year window of the snapshot, as the source counts flights.",
        synonyms=("trip", "frequency"),
        columns=("total_flights", "avg_flights"),
        measures=("flights", "flown", "average_flights"),
    ),
    Term(
        "Distance flown",
        "Kilometres of all flights in the two-year window of the snapshot.",
        synonyms=("kilometres", "mileage", "km"),
        columns=("total_km_flown", "avg_km"),
        measures=("fact_flights.distance",),
    ),
    Term(
        "Fare revenue",
        "Money paid for flights, by year of the two-year window. Purchases are separate. The "
        "public teaching lab that this domain is modelled on calls these columns "
        "year_1_flights and year_2_flights by mistake.",
        synonyms=("ticket revenue", "year_1_flights", "year_2_flights"),
        columns=("year_1_revenue", "year_2_revenue"),
        measures=("fact_flights.fare_revenue",),
        related=("Completed spend",),
    ),
    Term(
        "Loyalty points",
        "Points credited to a member in the two-year window, for flights and for anything else. "
        "Clusters are ranked by the mean of their members' points.",
        synonyms=("miles", "bonus points"),
        columns=("total_loyalty_points", "base_points", "avg_points", "non_flight_points"),
        measures=("average_points",),
        related=("Point redemption",),
    ),
    Term(
        "Point redemption",
        "An exchange of points for an award in the two-year window.",
        synonyms=("exchange", "award"),
        columns=("exchange_count",),
    ),
    Term(
        "Recency",
        "Days from a member's last flight to the end of the window, counting both days.",
        synonyms=("days since last flight", "inactivity"),
        columns=("days_since_last_flight", "avg_days_since_flight", "last_flight_date"),
        measures=("average_days_since_flight",),
        related=("Customer status", "Recency, frequency and monetary score"),
    ),
    Term(
        "Flight interval",
        "Days between two consecutive flights of a member: the average and the longest.",
        columns=("avg_flight_interval_days", "max_flight_interval_days"),
    ),
    Term(
        "Average discount rate",
        "The average share of the full fare that a member paid: 1 is no discount, 0.7 is 30 % off. "
        "A low value means large discounts.",
        synonyms=("discount",),
        columns=("avg_discount_rate",),
    ),
    Term(
        "Loyalty tier",
        "The level of a member's card: Gold (4), Platinum (5), Diamond (6), or Silver for any "
        "other number.",
        synonyms=("status level", "card level", "FFP tier"),
        columns=("loyalty_tier", "tier_name"),
    ),
    Term(
        "Membership",
        "The time since a member joined the programme, and their first flight.",
        synonyms=("tenure", "joining"),
        columns=("loyalty_join_date", "first_flight_date", "days_since_joining",
                 "avg_days_since_joining"),
    ),
    Term(
        "Place of work",
        "City, province and country where a member works, as the member stated them. They are "
        "personal data and do not say where the member flies.",
        synonyms=("home", "address", "geography"),
        columns=("city", "province", "country", "geo_key"),
    ),
    Term(
        "Age and sex",
        "Age in years, age group and gender, as the member stated them.",
        synonyms=("age group", "gender", "demographics"),
        columns=("age", "age_group", "avg_age", "gender"),
    ),
    Term(
        "Purchase",
        "What a member bought, with its status. Purchases of every status are counted, but only "
        "completed ones are spend.",
        synonyms=("transaction", "order"),
        columns=("transaction_id", "transaction_date", "transaction_amount", "payment_method",
                 "region", "fact_transactions.status"),
        measures=("purchases", "completed_share", "amount", "average_purchase"),
        related=("Completed spend",),
    ),
    Term(
        "Completed spend",
        "The total of completed purchases delivered so far, in the source's currency. Purchases "
        "of any other status, and fares, are not included.",
        synonyms=("spend", "total spent", "customer value", "avg_revenue"),
        columns=("total_spent", "completed_amount", "completed_count", "transaction_count",
                 "avg_spent"),
        measures=("completed_amount", "spend", "spend_per_member"),
        related=("Purchase", "Fare revenue"),
    ),
    Term(
        "Customer status",
        "Active up to 90 days since the last flight, At Risk up to 180 days, and Inactive after "
        "that. The persona At-Risk Customers is wider: it includes At Risk and Inactive members, "
        "except New Joiners.",
        synonyms=("active", "at risk", "inactive", "churn risk"),
        columns=("customer_status", "previous_status"),
        measures=("kpi_customer_value.at_risk_share",),
        related=("Segment",),
    ),
    Term(
        "Segment",
        "The persona of a member: Premium Elite Members, Loyal Frequent Flyers, New Joiners, "
        "Occasional Travelers or At-Risk Customers. Each member fits exactly one rule; members "
        "without a cluster are Uncategorized.",
        synonyms=("persona", "customer segment"),
        columns=("segment", "segment_name", "segment_rule", "previous_segment_name",
                 "gold_segment_summary.customer_count"),
        measures=("high_value_members",),
        related=("Cluster", "Customer status"),
    ),
    Term(
        "Cluster",
        "A group of similar members found by the k-means model. Clusters are numbered by mean "
        "loyalty points: 0 is the most valuable. Other numbers are comparable only between rows "
        "that the same model version scored.",
        synonyms=("k-means", "machine-learned segment"),
        columns=("cluster",),
        related=("Segment",),
    ),
    Term(
        "Recency, frequency and monetary score",
        "Scores from 1 to 5 for days since the last flight, flights, and loyalty points, by fixed "
        "thresholds; 5 is best.",
        synonyms=("RFM",),
        columns=("recency_score", "frequency_score", "monetary_score", "avg_recency",
                 "avg_frequency", "avg_monetary"),
        measures=("average_recency", "average_frequency", "average_monetary", "average_rfm"),
    ),
    Term(
        "Segment migration",
        "The number of members by previous and current persona, including members who joined or "
        "left in between.",
        synonyms=("movement", "transition"),
        columns=("from_segment_name", "to_segment_name", "gold_segment_migration.customers",
                 "gold_segment_migration.share"),
        measures=("gold_segment_migration.customers", "moved_customers"),
        related=("Segment",),
    ),
    Term(
        "Newly at risk",
        "A member whose status is At Risk and was different in the latest earlier month. Members "
        "without a row in that month do not count.",
        synonyms=("at-risk alert",),
        columns=("gold_newly_at_risk.customer_key", "previous_status"),
        measures=("gold_newly_at_risk.members",),
        related=("Customer status",),
    ),
)  # fmt: skip
