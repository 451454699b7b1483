"""Classes of personal data follow the columns that values are made of, from bronze to gold."""

from __future__ import annotations

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets_tests.airline.samples import SampleRun

# What says something of a row's quality, not of a person.
QUALITY = {"quality_flags", "reasons", "disposition", "duplicate_of"}
# Made of the words of a tweet, of which they say nothing but what everybody wrote.
PUBLIC = {
    ("silver_tweets", "hashtag"): "one of the listed campaign tags",
    **{
        (table, column): "one of three words, and a share"
        for table in ("tweets", "labelled_tweets_scored")
        for column in ("ml_sentiment", "ml_sentiment_probability")
    },
}


def identifies(table: Table) -> bool:
    """Say whether rows of a table tell whom they are about."""
    return any(column.pii == "identifier" for column in table.columns)


def test_classes_follow_the_lineage_from_bronze_to_gold(sample: SampleRun) -> None:
    wrong, followed = [], 0
    with dagster_instance(sample.house.settings) as instance:
        for table in REGISTRY:
            event = instance.get_latest_materialization_event(dg.AssetKey(table.key))
            if event is None or event.asset_materialization is None:
                continue
            lineage = event.asset_materialization.metadata.get("dagster/column_lineage")
            if lineage is None:
                continue
            for name, sources in lineage.value.deps_by_column.items():
                if name in QUALITY or (table.name, name) in PUBLIC:
                    continue
                of = {
                    REGISTRY.by_key(tuple(s.asset_key.path)).column(s.column_name).pii
                    for s in sources
                } - {None}
                mine = table.column(name).pii
                followed += bool(of)
                tells = of & {"identifier", "contact"}
                if (tells and mine not in tells) or (of and identifies(table) and not mine):
                    wrong.append(f"{table.full_name}.{name} is {mine} and made of {sorted(of)}")
    assert wrong == []
    assert followed > 50


def test_the_class_of_a_city_is_that_of_the_city_it_is_read_from() -> None:
    """A member's city is personal; a list of cities is not."""
    of = {
        name: REGISTRY[table].column(column).pii
        for name, table, column in (
            ("delivered", "bronze_flights", "work_city"),
            ("typed", "silver_flights", "work_city"),
            ("member", "dim_customers", "city"),
            ("key", "kpi_customer_value", "customer_key"),
            ("mail", "silver_transactions", "email"),
            ("age", "gold_customer_segments_ml", "age_group"),
            ("mean", "gold_segment_summary", "avg_age"),
        )
    }
    assert of == {
        "delivered": "location", "typed": "location", "member": "location", "key": "identifier",
        "mail": "contact", "age": "demographic", "mean": None,
    }  # fmt: skip
