"""What the words of the retail business mean."""

from lakehouse_assets.catalog.glossary import Term
from lakehouse_assets.domains.retail.shared import OWNER

TERMS = (
    Term(
        "Sale",
        "What one row of a source sells: a week of a brand in a store, or a line of an online "
        "order. Numbers of sales of the two channels are therefore not comparable; pieces and "
        "revenue are.",
        OWNER,
        synonyms=("order", "transaction"),
        columns=("sale_key", "sale_id", "sale_date", "sale_count", "period"),
        measures=("fact_sales.sales",),
        related=("Channel", "Pieces sold"),
    ),
    Term(
        "Channel",
        "Where something is sold: in a store or online.",
        OWNER,
        synonyms=("store sales", "online sales"),
        columns=("channel",),
    ),
    Term(
        "Pieces sold",
        "Number of pieces of products sold, in both channels.",
        OWNER,
        synonyms=("quantity", "units", "volume", "demand"),
        columns=("quantity",),
        measures=("fact_sales.pieces", "sales_outlook.pieces"),
        related=("Demand forecast",),
    ),
    Term(
        "Revenue",
        "Money from sales in US dollars, as the source of the channel gives it. Revenue of a "
        "campaign is another figure: what marketing attributes to it.",
        OWNER,
        synonyms=("turnover", "sales amount"),
        columns=("fact_sales.revenue", "sales_days.revenue", "sales_weeks.revenue"),
        measures=("fact_sales.revenue", "fact_sales.revenue_per_piece"),
        related=("Campaign revenue",),
    ),
    Term(
        "Product",
        "What is sold: a category, a product and a brand. Store sales are known by brand only.",
        OWNER,
        synonyms=("article", "brand", "category"),
        columns=("product_key", "product", "product_category", "brand"),
    ),
    Term(
        "Price",
        "Revenue by pieces in a week, so an average that discounts lower.",
        OWNER,
        columns=("price",),
        related=("Promotion",),
    ),
    Term(
        "Promotion",
        "What a store does for a brand in a week: an advertisement (feature), a price at least 5 "
        "% below that of the eight weeks before (deal), or nothing.",
        OWNER,
        synonyms=("advert", "advertisement", "feature", "deal"),
        columns=("advert", "promotion"),
    ),
    Term(
        "Store",
        "One of the stores, by its number in store sales or by S001 and so on in devices' events.",
        OWNER,
        synonyms=("shop", "branch"),
        columns=("store", "store_id", "dim_stores.city", "dim_stores.place_name"),
    ),
    Term(
        "Demand forecast",
        "Pieces that the model expects to be sold in a week after the last delivered one, with a "
        "lower and an upper bound: eight of ten weeks of a brand in a store should be between "
        "them. Sums of bounds are too wide for a total.",
        OWNER,
        synonyms=("sales forecast", "outlook", "p10", "p50", "p90"),
        columns=("forecast_p10", "forecast_p50", "forecast_p90", "demand", "demand_low",
                 "demand_high", "weeks_ahead", "method"),
        measures=("sales_outlook.forecast", "sales_outlook.forecast_low",
                  "sales_outlook.forecast_high"),
        related=("Pieces sold",),
    ),
    Term(
        "Revenue after a campaign",
        "Revenue that the model expects of all stores in the weeks after the latest campaign "
        "ends.",
        OWNER,
        synonyms=("post-campaign revenue", "predicted revenue"),
        columns=("predicted_revenue", "revenue_low", "revenue_high", "weeks_after_campaign"),
        measures=("gold_post_campaign_revenue.predicted_revenue",
                  "gold_post_campaign_revenue.revenue_low",
                  "gold_post_campaign_revenue.revenue_high"),
    ),
    Term(
        "Campaign",
        "A marketing campaign by its name, whatever its case. The hashtag of the campaign is its "
        "name with # before it.",
        OWNER,
        synonyms=("marketing campaign",),
        columns=("campaign_key", "campaign_name", "campaign_id", "hashtag"),
        measures=("campaign_tweets.hashtags",),
        related=("Campaign result", "Hashtag"),
    ),
    Term(
        "Campaign result",
        "What a campaign achieved on one day with one group of customers in one country, as "
        "marketing reports it, with responses, cost, revenue and profit.",
        OWNER,
        synonyms=("response", "lead"),
        columns=("results", "responses", "camp_date", "loss_results"),
        measures=("campaign_days.results",),
    ),
    Term(
        "Campaign revenue",
        "Revenue that marketing attributes to a campaign, and the target set for it. Targets may "
        "be negative in the source.",
        OWNER,
        synonyms=("target", "attributed revenue"),
        columns=("campaign_days.revenue", "revenue_target", "total_revenue",
                 "total_revenue_target"),
        measures=("campaign_days.revenue", "campaign_days.revenue_to_target",
                  "campaign_tweets.revenue"),
        related=("Revenue",),
    ),
    Term(
        "Campaign cost",
        "What a campaign cost, and the part of it that marketing spent.",
        OWNER,
        synonyms=("spend", "marketing cost"),
        columns=("cost", "marketing_cost", "min_cost", "max_cost"),
        measures=("campaign_days.cost",),
    ),
    Term(
        "Profit and loss of a campaign",
        "Profit as marketing reports it, not revenue less cost. A loss is the sum of the negative "
        "profits of a campaign, which its profitable results do not make up for.",
        OWNER,
        synonyms=("margin", "loss-making", "ROI"),
        columns=("profit", "total_profit", "loss", "total_loss", "loss_rank"),
        measures=("campaign_days.profit",),
    ),
    Term(
        "Generation addressed",
        "The generation that a campaign addresses, such as Gen Y. The source swaps the labels of "
        "generation and channel; here they are put right.",
        OWNER,
        synonyms=("customer segment", "audience", "campaign tactic"),
        columns=("campaign_days.customer_segment", "campaign_tactic"),
    ),
    Term(
        "Tweet",
        "A public message that has one of the watched hashtags. A message with several hashtags "
        "counts once for each.",
        OWNER,
        synonyms=("post", "message"),
        columns=("tweet_id", "tweet_date", "tweeted_at", "tweets", "twitter_text", "username"),
        measures=("tweets",),
        related=("Hashtag",),
    ),
    Term(
        "Hashtag",
        "A word with # before it in a tweet. It belongs to a campaign of the same name, whatever "
        "its case.",
        OWNER,
        synonyms=("tag",),
        columns=("tweets_by_hashtag.hashtag", "tweets.hashtag", "tweet_days.hashtag"),
        related=("Campaign",),
    ),
    Term(
        "Retweet",
        "A tweet sent on by somebody else, and how often that and a like happened.",
        OWNER,
        synonyms=("share", "reach", "like", "favourite"),
        columns=("retweets", "retweet_count", "is_retweet", "favourites", "favourite_count"),
        measures=("tweet_days.retweets", "tweet_days.retweets_per_tweet"),
    ),
    Term(
        "Sentiment",
        "Whether a tweet is positive, neutral or negative: as the source says, or as the model "
        "says, with how sure it is.",
        OWNER,
        synonyms=("mood", "opinion", "polarity"),
        columns=("sentiment", "sentiment_score", "ml_sentiment", "ml_sentiment_probability",
                 "positive_tweets", "neutral_tweets", "negative_tweets", "positive_share",
                 "negative_share"),
    ),
    Term(
        "Customer",
        "A person who buys, with a contract or online, by the customer number of the customer "
        "system. Former customers count, too.",
        OWNER,
        synonyms=("client", "buyer"),
        columns=("customer_id",),
        measures=("gold_customer_churn.customers",),
        related=("Churn",),
    ),
    Term(
        "Churn",
        "Whether a customer has left, as observed in the snapshot of the month; null while it is "
        "not known.",
        OWNER,
        synonyms=("attrition", "left", "lost customer"),
        columns=("churn",),
        measures=("gold_customer_churn.churn_rate",),
        related=("Churn probability",),
    ),
    Term(
        "Churn probability",
        "The probability, by the model, that a customer leaves. Yes as prediction means that a "
        "contact pays: the probability is above the cost of a contact divided by what is lost "
        "with a customer, not above one half.",
        OWNER,
        synonyms=("churn risk", "churn score", "predicted churn"),
        columns=("churn_probability", "predicted_churn", "gold_customer_churn.reason_1",
                 "gold_customer_churn.reason_2", "gold_customer_churn.reason_3"),
        measures=("gold_customer_churn.average_churn_probability",
                  "gold_customer_churn.customers_to_contact"),
        related=("Churn",),
    ),
    Term(
        "Tenure",
        "Whole months since somebody became a customer, up to the snapshot.",
        OWNER,
        synonyms=("customer age", "tenure_month"),
        columns=("tenure_months",),
        measures=("gold_customer_churn.average_tenure",),
    ),
    Term(
        "Customer spend",
        "What a customer pays a month, and what they have paid so far.",
        OWNER,
        synonyms=("total amount", "unit price", "lifetime revenue"),
        columns=("unit_price", "total_amount", "average_amount", "price_drift"),
        measures=("gold_customer_churn.average_spend",),
    ),
    Term(
        "Contract and service",
        "What a customer has agreed to and uses: contract, discount, delivery, support, kind of "
        "outlet and of brand, billing and way of paying.",
        OWNER,
        synonyms=("contract", "conditions"),
        columns=("store_contract", "discount", "online_delivery", "customer_support",
                 "outlet_size", "paperless_billing", "payment_method", "order_status"),
    ),
    Term(
        "Household",
        "What is known of a customer as a person: sex, whether they are a senior citizen, and "
        "whether they have a partner or dependents.",
        OWNER,
        synonyms=("demographics", "gender", "senior citizen"),
        columns=("gender", "senior_citizen", "partner", "dependents"),
    ),
    Term(
        "Visit",
        "A stay on the website from its first page to the last.",
        OWNER,
        synonyms=("session",),
        columns=("visit_number", "visited_at", "visit_date", "visits", "pages",
                 "website_visits.duration_seconds"),
        measures=("visits", "average_duration"),
        related=("Visitor", "Bounce"),
    ),
    Term(
        "Visitor",
        "Somebody who visits the website. One who comes several times counts once, so visitors of "
        "several days must not be added up.",
        OWNER,
        synonyms=("user", "unique visitor"),
        columns=("visitor_key", "customer_type"),
        measures=("visitors", "repeat_customers"),
    ),
    Term(
        "Bounce",
        "A visit that ended after one page. The bounce rate is their share of all visits.",
        OWNER,
        synonyms=("bounce rate",),
        columns=("bounced", "bounces"),
        measures=("bounce_rate",),
    ),
    Term(
        "Happiness",
        "What a visitor answered when asked: Happy or Not Happy. Shares are of the visits with an "
        "answer.",
        OWNER,
        synonyms=("satisfaction", "not happy"),
        columns=("happiness", "happy", "not_happy"),
        measures=("not_happy", "not_happy_share"),
    ),
    Term(
        "Conversion",
        "An order that a visit ended in. The rate is of the visits whose outcome is known.",
        OWNER,
        synonyms=("conversion rate", "order rate"),
        columns=("conversions", "conversion_rate", "rated_visits"),
        measures=("website_days.orders", "website_days.conversion_rate"),
    ),
    Term(
        "Device",
        "A thermostat with a counter of visitors in a store.",
        OWNER,
        synonyms=("sensor", "thermostat"),
        columns=("device_id", "dim_devices.model", "installed_on"),
        related=("Reading",),
    ),
    Term(
        "Reading",
        "An event that a device sends every few seconds. Those of a minute are added up by the "
        "device's own time; a late one changes its minute.",
        OWNER,
        synonyms=("event", "message", "telemetry"),
        columns=("readings", "readings_share", "minute", "revision", "events"),
        measures=("agg_thermostat_minute.thermostat_readings",
                  "thermostat_anomalies.minutes_without_reading"),
    ),
    Term(
        "Temperature",
        "Temperature in a store as its thermostats measure it, in degrees Fahrenheit, whatever "
        "unit a device sends.",
        OWNER,
        synonyms=("climate", "heat"),
        columns=("temp_avg", "temp_min", "temp_max", "temp_before", "temp_peak", "temp_spread"),
        measures=("agg_thermostat_minute.hottest_minute",
                  "thermostat_anomalies.average_temperature", "store_hours.average_temperature"),
    ),
    Term(
        "Battery charge",
        "Charge of a device's battery from 0 to 100 percent.",
        OWNER,
        synonyms=("battery level",),
        columns=("battery_avg", "battery_limit", "battery_is_low"),
        measures=("store_hours.average_battery",),
    ),
    Term(
        "Visitors in a store",
        "People whom the devices of a store count: near a device, coming in and leaving. Devices "
        "of one store may count the same person.",
        OWNER,
        synonyms=("occupancy", "footfall", "traffic"),
        columns=("visitors_avg", "visitors_in", "visitors_out", "visitors_peak"),
        measures=("agg_occupancy_minute.visitors_came", "agg_occupancy_minute.visitors_left",
                  "store_hours.average_visitors"),
    ),
    Term(
        "Time in the store",
        "How long visitors stay in the aisle and in one place, on average.",
        OWNER,
        synonyms=("dwell time", "aisle time", "stay"),
        columns=("aisle_avg", "dwell_avg", "minutes_avg"),
        measures=("occupancy_anomalies.stay_anomalies",),
    ),
    Term(
        "Anomaly",
        "A value far from what is usual for its time: outside the fences around the 10th to 90th "
        "percentile of the differences from the baseline, by a score of at least the threshold.",
        OWNER,
        synonyms=("outlier", "unusual value"),
        columns=("flag", "score", "baseline"),
        measures=("thermostat_anomalies.temperature_anomalies",
                  "thermostat_anomalies.usual_temperature"),
    ),
    Term(
        "Expected temperature",
        "The temperature that the daily pattern and the trend of a device lead to in the next "
        "minutes.",
        OWNER,
        synonyms=("temperature forecast",),
        columns=("temp_forecast",),
        measures=("thermostat_forecast.expected_temperature",),
    ),
    Term(
        "Limit violation",
        "An episode in which a device is above or below its temperature limits or below its "
        "battery limit, counted on the day it began.",
        OWNER,
        synonyms=("alarm", "threshold violation"),
        columns=("limit_value", "worst_value", "minutes_out", "continued", "temp_low", "temp_high"),
        measures=("gold_threshold_violations.violations",
                  "gold_threshold_violations.longest_violation"),
    ),
    Term(
        "Crowd",
        "A time in which a store has more than 1.4 times its average number of visitors, and how "
        "long the temperature takes to come back after it.",
        OWNER,
        synonyms=("rush", "peak"),
        columns=("began_at", "ended_at", "minutes_to_band", "correlation", "lag_minutes"),
        measures=("gold_crowd_cooling.crowds", "gold_crowd_cooling.cooling_minutes"),
    ),
    Term(
        "Device health",
        "How likely a device fails within 24 hours and how many hours it has left, by the model. "
        "The risk is high from a probability of one half and medium from one tenth.",
        OWNER,
        synonyms=("predictive maintenance", "remaining useful life", "failure probability"),
        columns=("fails_within_24h", "remaining_hours", "risk", "hours_left"),
        measures=("gold_device_health.least_remaining_hours",
                  "gold_device_health.failure_probability",
                  "device_health_now.devices_at_risk_now",
                  "device_health_now.remaining_hours_now",
                  "gold_devices_at_risk.devices_at_risk",
                  "gold_devices_at_risk.least_remaining_hours"),
    ),
)  # fmt: skip
