"""Lineage of every column, and the classes of personal data that follow it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import dagster as dg
import pytest
from typer.testing import CliRunner

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.cli.main import app
from lakehouse_assets.domains import DOMAINS, REGISTRY
from lakehouse_assets.engine.base import SourceColumn
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.governance.lineage import Lineage, find_column, walk
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets_tests.airline.samples import SampleRun

TABLES = (*REGISTRY, *(view.table for view in REGISTRY.views))
# What the run knows and no column has: where and when something was read, what is built, by whom.
OF_THE_RUN = {
    "_source_file", "_row_number", "_file_sha256", "_ingested_at", "_file_version", "_file_records",
    "_source", "_topic", "_partition", "_offset", "_index", "_enqueued_at", "line_number", "reason",
    "delivered_on", "snapshot_month", "event_date", "as_of_month", "load_timestamp",
    "model_version",
}  # fmt: skip
# Constants of a rule. Numbers of rows, whose unit is `count`, have no sources either.
CONSTANT = {
    "airline.gold_segment_migration": {"share"},
    "airline.silver_flights": {"work_country"},
    "retail.events_ingested": {"stream"},
    "retail.fact_sales": {"channel", "period"},
    "retail.gold_crowd_heat": {"lag_minutes"},
    "retail.gold_store_weeks": {"weeks_ahead"},
    "retail.gold_threshold_violations": {"measure", "minutes_out"},
    "retail.occupancy_anomalies": {"measure"},
    "retail.silver_documents": {"quality_flags"},
    "retail.silver_labelled_tweets": {"quality_flags"},
}
# Made of data that comes with the code, and of what runs did.
WITHOUT_SOURCES = {
    "conformed.dim_countries", "conformed.dim_date", "conformed.dim_places", "retail.dim_devices",
    "retail.dim_stores", "quality.audit_log", "quality.model_decisions", "quality.quality_drift",
    "quality.quality_events",
}  # fmt: skip
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


@pytest.fixture(scope="module")
def lineage() -> Lineage:
    return Lineage(DOMAINS, start_engine())


def test_no_column_has_lost_its_lineage(lineage: Lineage) -> None:
    lost = [
        f"{table.full_name}.{name}"
        for table in TABLES
        for name in table.column_names
        if not lineage.of(table.full_name).get(name)
        and table.full_name not in WITHOUT_SOURCES
        and table.column(name).unit != "count"
        and name not in OF_THE_RUN | CONSTANT.get(table.full_name, set())
    ]
    assert lost == []
    gained = [
        f"{table}.{name}"
        for table, names in CONSTANT.items()
        for name in names
        if lineage.of(table).get(name)
    ]
    assert gained == [], "these have sources after all"


def test_lineage_names_declared_columns_and_delivered_fields(lineage: Lineage) -> None:
    fields = {
        SourceColumn(feed.path, str(field.source))
        for domain in DOMAINS
        for feed in (*domain.datasets, *domain.streams)
        for field in feed.fields
    }
    columns = {SourceColumn(table.full_name, n) for table in TABLES for n in table.column_names}
    sources = {
        source
        for table in TABLES
        for of_column in lineage.of(table.full_name).values()
        for source in of_column
    }
    assert sources <= fields | columns
    unread = {f for f in fields if not lineage.downstream(f)}
    assert unread == set()


def test_runs_record_the_lineage_that_the_code_has(lineage: Lineage, sample: SampleRun) -> None:
    differing, compared = [], 0
    with dagster_instance(sample.house.settings) as instance:
        for table in REGISTRY:
            event = instance.get_latest_materialization_event(dg.AssetKey(table.key))
            if event is None or event.asset_materialization is None:
                continue
            found = event.asset_materialization.metadata.get("dagster/column_lineage")
            recorded = {} if found is None else found.value.deps_by_column
            # Streams are read by a plan that is made once, which records nothing.
            if table.writer is not None:
                continue
            for name in table.column_names:
                compared += 1
                # A later run also reads what its own step has written, as to find duplicates.
                of = {
                    (".".join(dep.asset_key.path), dep.column_name)
                    for dep in recorded.get(name, ())
                    if REGISTRY.by_key(tuple(dep.asset_key.path)).step != table.step
                }
                derived = {
                    (source.table, source.column)
                    for source in lineage.of(table.full_name).get(name, ())
                    if "/" not in source.table and REGISTRY[source.table].step != table.step
                }
                if of != derived:
                    differing.append(f"{table.full_name}.{name}: {of ^ derived}")
    assert differing == []
    assert compared > 1_000


def test_models_learn_from_the_columns_of_their_features(lineage: Lineage) -> None:
    assert set(lineage.models) == {model.spec.name for d in DOMAINS for model in d.models}
    of = {name: {source.column for source in lineage.learnt_from(name)} for name in lineage.models}
    assert {"tenure_months", "total_amount", "churn"} <= of["churn"]
    assert "twitter_text" in of["sentiment"]
    assert all(of.values())


def test_the_way_from_a_figure_to_the_fields_of_a_file(lineage: Lineage) -> None:
    at = find_column(REGISTRY, "gold_segment_summary.avg_age")
    ends = {is_ for _, is_ in walk(at, lineage.upstream) if "/" in is_.table}
    assert {str(end) for end in ends} == {"airline/flights.AGE"}
    (field,) = ends
    assert at in {is_ for _, is_ in walk(field, lineage.downstream)}


def test_the_command_shows_both_ways_and_json() -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["lineage", *arguments], env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result.output

    drawn = run("dim_customers.age_group")
    assert "airline/flights.AGE" in drawn
    assert "airline.dim_customers.age_group (demographic) is used for" in drawn
    assert "gold_customer_segments_ml.age_group (demographic)" in drawn
    shown = json.loads(run("gold_churn_features.tenure_months", "--json", "--up"))
    assert shown["models"] == ["churn"]
    assert "downstream" not in shown
    assert shown["upstream"][0]["of"] == "retail.gold_churn_features.tenure_months"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dim_customers.agegroup", "has no column 'agegroup'; did you mean age_group"),
        ("dim_customer.age", "No table is called 'dim_customer'; did you mean dim_customers"),
        ("age", "'age' is not a column; write <table>.<column>."),
    ],
)
def test_a_column_that_there_is_not_is_named(name: str, said: str) -> None:
    with pytest.raises(LakehouseError) as raised:
        find_column(REGISTRY, name)
    assert said in str(raised.value)


def identifies(table: Table) -> bool:
    """Say whether rows of a table tell whom they are about."""
    return any(column.pii == "identifier" for column in table.columns)


def _classes_of_sources(lineage: Lineage, table: Table) -> Iterator[tuple[str, set[str]]]:
    for name, sources in lineage.of(table.full_name).items():
        stored = [source for source in sources if "/" not in source.table]
        classes = {REGISTRY[s.table].column(s.column).pii for s in stored}
        yield name, {pii for pii in classes if pii}


def test_classes_follow_the_lineage_from_bronze_to_gold(lineage: Lineage) -> None:
    lost, followed = [], 0
    for table in TABLES:
        for name, of in _classes_of_sources(lineage, table):
            if name in QUALITY or (table.name, name) in PUBLIC:
                continue
            mine = table.column(name).pii
            followed += bool(of)
            tells = of & {"identifier", "contact"}
            if (tells and mine not in tells) or (of and identifies(table) and not mine):
                lost.append(f"{table.full_name}.{name} is {mine} and made of {sorted(of)}")
    assert lost == []
    assert followed > 100


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
