"""The terms of the retail business."""

from lakehouse_assets.catalog.glossary import Term

TERMS = (
    Term(
        "Sale",
        "One row of a source: the sales of a brand in a store in a week, or an online order. The "
        "number of sales is therefore not comparable between channels; pieces and revenue are.",
        synonyms=("order", "transaction"),
        columns=("sale_key", "sale_id", "sale_date", "sale_count", "period"),
        measures=("fact_sales.sales",),
        related=("Channel", "Pieces sold"),
    ),
    Term(
        "Channel",
        "Where a product is sold: in a store or online.",
        synonyms=("store sales", "online sales"),
        columns=("channel",),
    ),
    Term(
        "Pieces sold",
        "Number of pieces of products sold, in both channels.",
        synonyms=("quantity", "units", "volume", "demand"),
        columns=("quantity",),
        measures=("fact_sales.pieces", "sales_outlook.pieces"),
        related=("Demand forecast",),
    ),
    Term(
        "Revenue",
        "Money from sales in US dollars, as the channel's source reports it. Campaign revenue is a "
        "different figure: the revenue that marketing attributes to a campaign.",
        synonyms=("turnover", "sales amount"),
        columns=("fact_sales.revenue", "sales_days.revenue", "sales_weeks.revenue"),
        measures=("fact_sales.revenue", "fact_sales.revenue_per_piece"),
        related=("Campaign revenue",),
    ),
    Term(
        "Product",
        "What is sold, identified by category, product and brand. Store sales are known by brand "
        "only.",
        synonyms=("article", "brand", "category"),
        columns=("product_key", "product", "product_category", "brand"),
    ),
    Term(
        "Price",
        "Price per piece. The weekly price of a store is revenue divided by pieces, so discounts "
        "lower it.",
        columns=("price",),
        related=("Promotion",),
    ),
    Term(
        "Promotion",
        "How a store promotes a brand in a week: by an advertisement (feature), by a price at "
        "least 5 % below that of the previous eight weeks (deal), or not at all (none).",
        synonyms=("advert", "advertisement", "feature", "deal"),
        columns=("advert", "promotion"),
    ),
    Term(
        "Store",
        "One of the ten stores. Store sales use the store's number; events of devices use its id, "
        "S001 to S010.",
        synonyms=("shop", "branch"),
        columns=("store", "store_id", "dim_stores.city", "dim_stores.place_name"),
    ),
    Term(
        "Demand forecast",
        "Pieces that the model expects a store to sell of a brand in a week after the last "
        "delivered one. Eight of ten weeks should lie between the lower and the upper bound. Sums "
        "of bounds are too wide for a total.",
        synonyms=("sales forecast", "outlook", "p10", "p50", "p90"),
        columns=("forecast_p10", "forecast_p50", "forecast_p90", "demand", "demand_low",
                 "demand_high", "weeks_ahead", "method"),
        measures=("sales_outlook.forecast", "sales_outlook.forecast_low",
                  "sales_outlook.forecast_high"),
        related=("Pieces sold",),
    ),
    Term(
        "Revenue after a campaign",
        "Revenue that the model expects all stores to make in each week after the latest campaign.",
        synonyms=("post-campaign revenue", "predicted revenue"),
        columns=("predicted_revenue", "revenue_low", "revenue_high", "weeks_after_campaign"),
        measures=("gold_post_campaign_revenue.predicted_revenue",
                  "gold_post_campaign_revenue.revenue_low",
                  "gold_post_campaign_revenue.revenue_high"),
    ),
    Term(
        "Campaign",
        "A marketing campaign, identified by its name in any case. The campaign's hashtag is # and "
        "its name.",
        synonyms=("marketing campaign",),
        columns=("campaign_key", "campaign_name", "campaign_id", "hashtag"),
        measures=("campaign_tweets.hashtags",),
        related=("Campaign result", "Hashtag"),
    ),
    Term(
        "Campaign result",
        "Responses, cost, revenue and profit of a campaign on one day, in one country, by one "
        "channel and for one generation, as marketing reports them.",
        synonyms=("response", "lead"),
        columns=("results", "responses", "camp_date", "loss_results"),
        measures=("campaign_days.results",),
    ),
    Term(
        "Campaign revenue",
        "Revenue that marketing attributes to a campaign, and its target. Some targets are "
        "negative in the source.",
        synonyms=("target", "attributed revenue"),
        columns=("campaign_days.revenue", "revenue_target", "total_revenue",
                 "total_revenue_target"),
        measures=("campaign_days.revenue", "campaign_days.revenue_to_target",
                  "campaign_tweets.revenue"),
        related=("Revenue",),
    ),
    Term(
        "Campaign cost",
        "The cost of a campaign, and its marketing cost, as marketing reports them.",
        synonyms=("spend", "marketing cost"),
        columns=("cost", "marketing_cost", "min_cost", "max_cost"),
        measures=("campaign_days.cost",),
    ),
    Term(
        "Profit and loss of a campaign",
        "Profit as marketing reports it, which is not revenue less cost. A campaign's loss is the "
        "sum of its negative profits only; profitable results do not offset it.",
        synonyms=("margin", "loss-making", "ROI"),
        columns=("profit", "total_profit", "loss", "total_loss", "loss_rank"),
        measures=("campaign_days.profit",),
    ),
    Term(
        "Generation addressed",
        "The generation that a campaign addresses, such as Gen Y. The source swaps generation and "
        "channel; silver and gold tables have them in the right columns.",
        synonyms=("customer segment", "audience", "campaign tactic"),
        columns=("campaign_days.customer_segment", "campaign_tactic"),
    ),
    Term(
        "Tweet",
        "A public message with one of the campaigns' hashtags. A message that was collected by "
        "several hashtags counts once for each.",
        synonyms=("post", "message"),
        columns=("tweet_id", "tweet_date", "tweeted_at", "tweets", "twitter_text", "username"),
        measures=("tweets",),
        related=("Hashtag",),
    ),
    Term(
        "Hashtag",
        "A word with # before it. It belongs to the campaign of the same name, in any case.",
        synonyms=("tag",),
        columns=("tweets_by_hashtag.hashtag", "tweets.hashtag", "tweet_days.hashtag"),
        related=("Campaign",),
    ),
    Term(
        "Retweet",
        "A tweet that repeats another user's tweet; and how often a tweet was retweeted or liked.",
        synonyms=("share", "reach", "like", "favourite"),
        columns=("retweets", "retweet_count", "is_retweet", "favourites", "favourite_count"),
        measures=("tweet_days.retweets", "tweet_days.retweets_per_tweet"),
    ),
    Term(
        "Sentiment",
        "Whether a tweet is positive, neutral or negative: according to the source (sentiment), or "
        "according to the model (ml_sentiment), with a probability.",
        synonyms=("mood", "opinion", "polarity"),
        columns=("sentiment", "sentiment_score", "ml_sentiment", "ml_sentiment_probability",
                 "positive_tweets", "neutral_tweets", "negative_tweets", "positive_share",
                 "negative_share"),
    ),
    Term(
        "Customer",
        "A person with a customer number in the customer system, who buys by contract or online. "
        "Former customers are included.",
        synonyms=("client", "buyer"),
        columns=("customer_id",),
        measures=("gold_customer_churn.customers",),
        related=("Churn",),
    ),
    Term(
        "Churn",
        "Whether a customer has left, as observed in the month's snapshot; null if not known.",
        synonyms=("attrition", "left", "lost customer"),
        columns=("churn",),
        measures=("gold_customer_churn.churn_rate",),
        related=("Churn probability",),
    ),
    Term(
        "Churn probability",
        "The model's probability that a customer leaves. The prediction is Yes if contacting the "
        "customer pays off: if the probability exceeds the cost of a contact divided by the loss "
        "of a customer, rather than one half.",
        synonyms=("churn risk", "churn score", "predicted churn"),
        columns=("churn_probability", "predicted_churn", "gold_customer_churn.reason_1",
                 "gold_customer_churn.reason_2", "gold_customer_churn.reason_3"),
        measures=("gold_customer_churn.average_churn_probability",
                  "gold_customer_churn.customers_to_contact"),
        related=("Churn",),
    ),
    Term(
        "Tenure",
        "Whole months from becoming a customer to the snapshot.",
        synonyms=("customer age", "tenure_month"),
        columns=("tenure_months",),
        measures=("gold_customer_churn.average_tenure",),
    ),
    Term(
        "Customer spend",
        "What a customer pays per month, and has paid so far.",
        synonyms=("total amount", "unit price", "lifetime revenue"),
        columns=("unit_price", "total_amount", "average_amount", "price_drift"),
        measures=("gold_customer_churn.average_spend",),
    ),
    Term(
        "Contract and service",
        "The customer's contract, discount, delivery, support, kind of outlet, billing and payment "
        "method.",
        synonyms=("contract", "conditions"),
        columns=("store_contract", "discount", "online_delivery", "customer_support",
                 "outlet_size", "paperless_billing", "payment_method", "order_status"),
    ),
    Term(
        "Household",
        "The customer's gender, whether they are a senior citizen, and whether they have a partner "
        "or dependents.",
        synonyms=("demographics", "gender", "senior citizen"),
        columns=("gender", "senior_citizen", "partner", "dependents"),
    ),
    Term(
        "Visit",
        "One visit to the website, from its first page to its last.",
        synonyms=("session",),
        columns=("visit_number", "visited_at", "visit_date", "visits", "pages",
                 "website_visits.duration_seconds"),
        measures=("visits", "average_duration"),
        related=("Visitor", "Bounce"),
    ),
    Term(
        "Visitor",
        "A person who visits the website, identified by a cookie. A person who returns counts "
        "once, so do not add up the visitors of several days.",
        synonyms=("user", "unique visitor"),
        columns=("visitor_key", "customer_type"),
        measures=("visitors", "repeat_customers"),
    ),
    Term(
        "Bounce",
        "A visit that ended after one page. The bounce rate is the share of such visits.",
        synonyms=("bounce rate",),
        columns=("bounced", "bounces"),
        measures=("bounce_rate",),
    ),
    Term(
        "Happiness",
        "The visitor's own answer: Happy or Not Happy. Shares count only visits with an answer.",
        synonyms=("satisfaction", "not happy"),
        columns=("happiness", "happy", "not_happy"),
        measures=("not_happy", "not_happy_share"),
    ),
    Term(
        "Conversion",
        "A visit that ended in an order. The conversion rate counts only visits of delivered rows "
        "with a valid rate (rated visits).",
        synonyms=("conversion rate", "order rate"),
        columns=("conversions", "conversion_rate", "rated_visits"),
        measures=("website_days.orders", "website_days.conversion_rate"),
    ),
    Term(
        "Device",
        "A thermostat in a store that also counts visitors.",
        synonyms=("sensor", "thermostat"),
        columns=("device_id", "dim_devices.model", "installed_on"),
        related=("Reading",),
    ),
    Term(
        "Reading",
        "An event that a device sends every few seconds. Readings are added up by minute, by the "
        "device's clock; a late reading changes its minute.",
        synonyms=("event", "message", "telemetry"),
        columns=("readings", "readings_share", "minute", "revision", "events"),
        measures=("agg_thermostat_minute.thermostat_readings",
                  "thermostat_anomalies.minutes_without_reading"),
    ),
    Term(
        "Temperature",
        "Temperature in a store, as its thermostats measure it. It is in degrees Fahrenheit even "
        "if a device sends Celsius.",
        synonyms=("climate", "heat"),
        columns=("temp_avg", "temp_min", "temp_max", "temp_before", "temp_peak", "temp_spread"),
        measures=("agg_thermostat_minute.hottest_minute",
                  "thermostat_anomalies.average_temperature", "store_hours.average_temperature"),
    ),
    Term(
        "Battery charge",
        "Charge of a device's battery from 0 to 100 percent.",
        synonyms=("battery level",),
        columns=("battery_avg", "battery_limit", "battery_is_low"),
        measures=("store_hours.average_battery",),
    ),
    Term(
        "Visitors in a store",
        "People that the devices of a store count: near a device, coming in and leaving. Several "
        "devices may count the same person.",
        synonyms=("occupancy", "footfall", "traffic"),
        columns=("visitors_avg", "visitors_in", "visitors_out", "visitors_peak"),
        measures=("agg_occupancy_minute.visitors_came", "agg_occupancy_minute.visitors_left",
                  "store_hours.average_visitors"),
    ),
    Term(
        "Time in the store",
        "Average time that visitors spend in the aisle, and in one place.",
        synonyms=("dwell time", "aisle time", "stay"),
        columns=("aisle_avg", "dwell_avg", "minutes_avg"),
        measures=("occupancy_anomalies.stay_anomalies",),
    ),
    Term(
        "Anomaly",
        "A value unusually far from the baseline, which is what is expected at that time. The "
        "score is the distance beyond the 10th or 90th percentile of the differences from the "
        "baseline, in ranges between these percentiles; a value is an anomaly from 1.5 "
        "(temperature), 2.0 (time in one place) or 1.8 (time in the aisle) on.",
        synonyms=("outlier", "unusual value"),
        columns=("flag", "score", "baseline"),
        measures=("thermostat_anomalies.temperature_anomalies",
                  "thermostat_anomalies.usual_temperature"),
    ),
    Term(
        "Expected temperature",
        "Forecast of a device's temperature in the next minutes, from its daily pattern and trend.",
        synonyms=("temperature forecast",),
        columns=("temp_forecast",),
        measures=("thermostat_forecast.expected_temperature",),
    ),
    Term(
        "Limit violation",
        "An episode in which a device is outside its temperature limits or below its battery "
        "limit. It counts on the day on which it began.",
        synonyms=("alarm", "threshold violation"),
        columns=("limit_value", "worst_value", "minutes_out", "continued", "temp_low", "temp_high"),
        measures=("gold_threshold_violations.violations",
                  "gold_threshold_violations.longest_violation"),
    ),
    Term(
        "Crowd",
        "At least five minutes in which a store has more than 1.4 times its average number of "
        "visitors; and how long the temperature takes to recover.",
        synonyms=("rush", "peak"),
        columns=("began_at", "ended_at", "minutes_to_band", "correlation", "lag_minutes"),
        measures=("gold_crowd_cooling.crowds", "gold_crowd_cooling.cooling_minutes"),
    ),
    Term(
        "Device health",
        "The model's probability that a device fails within 24 hours, and its estimate of the "
        "hours left. The risk is high from a probability of 0.5 on, and medium from 0.1 on.",
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
