"""The page on the website: visitors, bounces, and who is not happy and why."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.retail.datasets.visits import NOT_HAPPY
from lakehouse_assets.domains.retail.shared import DOMAIN

WEEKS = 13
_TARGET = ("happiness", NOT_HAPPY)
_PICTURES = {
    "Beach Products": "beach",
    "Adventure Sports": "mountain",
    "Accessories": "bag",
    "Kitchen": "kitchen",
}

WEBSITE = Page(
    "website",
    "Website",
    DOMAIN,
    f"Visits to the website in the latest {WEEKS} weeks, and factors associated with visitors who "
    "are not happy. Happiness is the visitor's own answer.",
    sources=(
        Source(
            "website_visits",
            latest=("visit_date", 7 * WEEKS),
            dimensions={"generation": "customer_segment", "week": "dim_date.week_start"},
        ),
    ),
    slicers=(Slicer("week", "range"), Slicer("country"), Slicer("happiness")),
    labels={"search_match": "Search found the product"},
    visuals=(
        Visual("card", "Bounce rate", measures=("bounce_rate",), width=3),
        Visual("card", "Visitors", measures=("visitors",), width=3),
        Visual("card", "Not happy", measures=("not_happy_share",), width=3),
        Visual("card", "Average duration", measures=("average_duration",), width=3),
        Visual("donut", "Happiness", dimensions=("happiness",), measures=("visits",), width=4),
        Visual("stacked_column", "Visits by age group and happiness", dimensions=("age_group",),
               measures=("visits",), series="happiness", sort="dimension", width=8),
        Visual("key_influencers", "Factors associated with visitors who are not happy",
               target=_TARGET,
               dimensions=("search_match", "generation", "device", "mobile_experience",
                           "referrer", "discount_offered", "product_category", "customer_type",
                           "country"),
               width=6, height="tall", note="An association is not necessarily a cause."),
        Visual("top_segments", "Segments with the highest share of Not Happy", target=_TARGET,
               dimensions=("search_match", "device", "generation", "referrer",
                           "discount_offered", "product_category", "customer_type"),
               width=6, height="tall",
               note="Share of the segment's visits with the answer Not Happy."),
        Visual("bar", "Repeat customers by product", dimensions=("product_category",),
               measures=("repeat_customers",), width=4, options={"pictures": _PICTURES}),
        Visual("bar", "Visits by country", dimensions=("country",), measures=("visits",),
               width=4),
        Visual("donut", "Visits by device", dimensions=("device",), measures=("visits",),
               width=4),
        Visual("decomposition_tree", "Breakdown of visits with the answer Not Happy",
               dimensions=("age_group", "search_match", "device", "referrer",
                           "discount_offered"),
               measures=("not_happy",), width=12, height="tall"),
        Visual("bar", "Bounce rate by referrer", dimensions=("referrer",),
               measures=("bounce_rate",), width=6),
        Visual("line", "Visits by week", dimensions=("week",), measures=("visits",),
               series="happiness", sort="dimension", width=6),
    ),
)  # fmt: skip
