"""The page on churn: customers who left, and customers who may leave next."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.retail.shared import DOMAIN

_BOTH = ("average_churn_probability", "churn_rate")
_CONDITIONS = (
    "online_delivery", "senior_citizen", "order_status", "customer_support", "discount",
    "store_contract",
)  # fmt: skip

CHURN = Page(
    "churn",
    "Churn",
    DOMAIN,
    "Customers who left or may leave, and the revenue of the campaigns' hashtags. Churn is "
    "observed; churn probability and customers to contact come from the model. The model was "
    "trained on some of these customers, so it fits them better than it would fit new ones.",
    sources=(
        Source("gold_customer_churn"),
        # A source of its own: if it has too many rows for a browser, only the scatter is left out.
        Source("gold_customer_churn", name="customers"),
        Source("campaign_tweets"),
        Source("tweets_by_city"),
    ),
    slicers=(Slicer("outlet_size"), Slicer("churn")),
    labels={"churn": "Churn (observed)", "store_contract": "Contract"},
    visuals=(
        Visual("card", "Average churn probability", measures=_BOTH[:1], width=3),
        Visual("card", "Churn rate", measures=_BOTH[1:], width=3),
        Visual("card", "Customers to contact", measures=("customers_to_contact",), width=3),
        Visual("card", "Hashtags", source="campaign_tweets", measures=("hashtags",), width=3),
        Visual(
            "scatter", "Tenure and spend by customer", source="customers",
            dimensions=("customer_id",), measures=("average_tenure", "average_spend"),
            series="churn", width=7, height="tall",
            note="One point per customer; the colour is the observed churn.",
        ),
        Visual(
            "key_influencers", "Factors associated with churn", target=("churn", "Yes"), width=5,
            dimensions=(
                "store_contract", "online_delivery", "customer_support", "payment_method",
                "paperless_billing", "outlet_size", "order_status", "discount", "brand",
                "senior_citizen", "partner", "dependents", "gender",
            ),
            height="tall", note="Observed churn. An association is not necessarily a cause.",
        ),
        *(
            Visual(
                "bar", f"Churn by {name.removeprefix('store_').replace('_', ' ')}",
                dimensions=(name,), measures=_BOTH, sort="dimension", width=4, height="small",
                note="The model's average probability and the observed rate.",
            )
            for name in _CONDITIONS
        ),
        Visual(
            "word_cloud", "Hashtags by revenue", source="campaign_tweets",
            dimensions=("hashtag",), measures=("revenue",), height="tall",
            note="Revenue of the hashtag's campaign. A hashtag without revenue has no campaign.",
        ),
        Visual(
            "bar", "Tweets by hashtag", source="campaign_tweets", dimensions=("hashtag",),
            measures=("tweets",), height="tall",
        ),
        Visual(
            "map", "Tweets by city", source="tweets_by_city",
            dimensions=("city", "latitude", "longitude"), measures=("tweets",), width=12,
            height="tall",
        ),
    ),
)  # fmt: skip
