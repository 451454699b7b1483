"""The sentiment model's life: from labelled tweets to the sentiment of every tweet and its sums."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from lakehouse_assets.domains import MODEL_TABLES, REGISTRY
from lakehouse_assets.domains.retail.datasets.labelled_tweets import LABELLED_TWEETS
from lakehouse_assets.domains.retail.datasets.tweets import TWEETS
from lakehouse_assets.domains.retail.gold import tweets as gold
from lakehouse_assets.domains.retail.gold.product import CAMPAIGN_TWEETS
from lakehouse_assets.domains.retail.models.sentiment import (
    LABELLED_TWEETS_SCORED,
    SENTIMENT_MODEL,
    SENTIMENT_TRAINING,
    SentimentSettings,
    fit_tweets,
)
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.ml.decisions import versions_of
from lakehouse_assets.ml.lifecycle import score_rows, train, with_digest
from lakehouse_assets.ml.reproduce import reproduce
from lakehouse_assets.ml.spec import CannotFitError
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, check
from lakehouse_assets_tests.lake.samples import on_both_engines
from lakehouse_assets_tests.retail.samples import deliver, quoted_csv, tweet
from lakehouse_assets_tests.retail.test_sentiment import tweets, written

SAMPLE = REPOSITORY / "data" / "retail" / "labelled_tweets" / "2021-09-06"
MONTHLY = (
    LABELLED_TWEETS_SCORED, gold.GOLD_TWEETS, gold.TWEET_SENTIMENTS,
    gold.TWEETS_BY_CITY_AND_HASHTAG, gold.TWEET_TOTALS,
)  # fmt: skip
TWEETS_LOADED, LABELS_LOADED = (
    [REGISTRY[name] for name in dataset.loaded_tables] for dataset in (TWEETS, LABELLED_TWEETS)
)
COUNTS = ("negative_tweets", "neutral_tweets", "positive_tweets")
MORE = [
    tweet(username="a", tweet="I love it, what a wonderful day", city="Berlin"),
    tweet(username="b", tweet="I love it, what a wonderful day", city="Paris"),
    tweet(username="c", tweet="I hate it, what a terrible day", city="Berlin"),
    tweet(username="d", tweet="\u6f22\u5b57", city="Berlin", hashtag="#beach"),
]


def labelled(rows: list[tuple[str, str]]) -> str:
    given = [{"twitter_text": text, "sentiment": label} for text, label in rows]
    return quoted_csv(LABELLED_TWEETS, given)


@pytest.fixture(scope="module")
def trained(new_house: Callable[..., House]) -> House:
    """The sample's labelled tweets, and tweets in two months; only to be read."""
    house: House = new_house("trained")
    for path in SAMPLE.iterdir():
        deliver(house, LABELLED_TWEETS, "2021-09-06", path.name, path.read_bytes())
    deliver(house, TWEETS, "2021-09-06", "a.json", json.dumps(MORE))
    later = [tweet(time="2021-10-02T01:00:00Z", username="e", tweet="It opens at nine today")]
    deliver(house, TWEETS, "2021-10-04", "b.json", json.dumps(later))
    tables = [made.table for made in gold.GOLD]
    outcome = house.run(
        TWEETS, LABELLED_TWEETS, gold=[LABELLED_TWEETS_SCORED, CAMPAIGN_TWEETS, *tables]
    )
    assert outcome.errors == []
    return house


def test_the_champion_gives_each_tweet_a_sentiment(trained: House) -> None:
    rows = {row["username"]: row for row in trained.rows(gold.GOLD_TWEETS)}
    assert {name: row["ml_sentiment"] for name, row in rows.items()} == {
        "a": "Positive", "b": "Positive", "c": "Negative", "d": None, "e": "Neutral",
    }  # fmt: skip
    assert rows["a"]["ml_sentiment_probability"] == rows["b"]["ml_sentiment_probability"] > 0.5
    assert rows["d"]["twitter_text"] is None
    assert rows["d"]["ml_sentiment_probability"] is None
    # A month without new labels has the same version.
    assert {row["model_version"] for row in rows.values()} == {1}


def test_sums_by_hashtag_and_city_and_the_product_carry_the_sentiment(trained: House) -> None:
    def counts(table: Any, *keys: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        return {
            tuple(row[key] for key in keys): tuple(row[n] for n in (*COUNTS, "positive_share"))
            for row in trained.rows(table, "month(as_of_month) = 10")
        }

    pairs = {
        ("#GoGreen", "Berlin"): (1, 0, 1, 0.5), ("#GoGreen", "Paris"): (0, 0, 1, 1.0),
        ("#beach", "Berlin"): (0, 0, 0, None), ("#GoGreen", "New York"): (0, 1, 0, 0.0),
    }  # fmt: skip
    assert counts(gold.TWEETS_BY_CITY_AND_HASHTAG, "hashtag", "city") == pairs
    assert counts(CAMPAIGN_TWEETS, "hashtag", "city") == pairs
    assert counts(gold.TWEETS_BY_HASHTAG, "hashtag") == {
        ("#GoGreen",): (1, 1, 2, 0.5), ("#beach",): (0, 0, 0, None),
    }  # fmt: skip
    assert counts(gold.TWEETS_BY_CITY, "city")["Berlin",] == (1, 0, 1, 0.5)
    assert counts(gold.TWEET_TOTALS) == {(): (1, 1, 2, 0.5)}


def test_labelled_tweets_show_what_the_model_makes_of_them(trained: House) -> None:
    rows = trained.rows(LABELLED_TWEETS_SCORED, "month(as_of_month) = 9")
    right = Counter(row["part"] for row in rows if row["sentiment"] == row["ml_sentiment"])
    every = Counter(row["part"] for row in rows)
    assert right["train"] > 0.97 * every["train"]
    assert 0.75 < right["test"] / every["test"] < 0.97


def test_the_run_has_baselines_and_the_sweep_as_child_runs(trained: House) -> None:
    tracking = MlflowTracking(trained.settings.mlflow_uri, SENTIMENT_MODEL.experiment)
    client, experiment = tracking.client(), tracking.experiment_id()
    (version,) = client.search_model_versions(f"name = '{SENTIMENT_MODEL.name}'")
    run = client.get_run(version.run_id)
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{version.run_id}'")
    found = {child.info.run_name.rpartition(" ")[2]: child.data.metrics for child in children}
    penalties = {f"penalty_{penalty:g}" for penalty in SentimentSettings().penalties}
    assert found.keys() == {"xgboost_tfidf_1024", "vader"} | penalties
    assert run.data.metrics["macro_recall"] >= found["vader"]["macro_recall"] + 0.03
    assert run.data.params["tested_on"] == "test"
    files = {file.path for file in client.list_artifacts(version.run_id)}
    assert {"sentiment.png", "weightiest_words.json", "held_out.parquet"} <= files


def test_without_a_champion_there_is_no_sentiment_and_a_later_file_is_scored_alone(
    new_house: Callable[..., House],
) -> None:
    house: House = new_house("later")
    deliver(house, TWEETS, "2021-09-06", "a.json", json.dumps(MORE[:2]))
    assert house.materialise("reference_data", None).success
    assert house.materialise("retail_daily", "2021-09-06", *TWEETS_LOADED, *LABELS_LOADED).success
    done = house.materialise("retail_monthly", "2021-09-01", *MONTHLY)
    assert done.success
    found = check(done, gold.GOLD_TWEETS, "model_has_champion")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "The model sentiment has no champion yet" in str(found.description)
    assert {row["ml_sentiment"] for row in house.rows(gold.GOLD_TWEETS)} == {None}
    (total,) = house.rows(gold.TWEET_TOTALS)
    assert [total[name] for name in (*COUNTS, "positive_share")] == [0, 0, 0, None]

    deliver(house, LABELLED_TWEETS, "2021-09-06", "labels.csv", labelled(tweets(300, 1)))
    assert house.materialise("retail_daily", "2021-09-06", *LABELS_LOADED).success
    assert house.materialise("retail_monthly", "2021-09-01", LABELLED_TWEETS_SCORED).success
    instance = dg.DagsterInstance.ephemeral()

    def scored_now(*files: str) -> int:
        for name in files:
            deliver(house, TWEETS, "2021-09-06", name, json.dumps(MORE))
            assert house.materialise("retail_daily", "2021-09-06", *TWEETS_LOADED).success
        done = house.materialise(
            "retail_monthly", "2021-09-01", gold.GOLD_TWEETS, instance=instance
        )
        assert done.success
        event = instance.get_latest_materialization_event(dg.AssetKey(gold.GOLD_TWEETS.key))
        assert event is not None
        assert event.asset_materialization is not None
        return int(str(event.asset_materialization.metadata["inputs_scored"].value))

    # Two tweets with one text; then one new text, and one tweet without words.
    assert [scored_now(), scored_now("b.json"), scored_now()] == [1, 2, 0]


@on_both_engines
def test_both_engines_give_the_same_sentiments(engine: Engine) -> None:
    rows = pa.table({
        "tweet_key": range(302),
        "twitter_text": [text for text, _ in tweets(300, 1)] + ["a", "b"],
        "sentiment": [label for _, label in tweets(300, 1)] + ["Neutral"] * 2,
        "part": ["train"] * 302,
    })  # fmt: skip
    model = fit_tweets(rows, SentimentSettings(penalties=(0.1,))).model
    texts = [text for text, _ in tweets(50, 2)] * 2 + [None, ""]
    wanted = SENTIMENT_MODEL.scorer(model)(
        pa.RecordBatch.from_pydict({"twitter_text": pa.array(texts, pa.string())})
    )
    frame = engine.from_arrow(pa.table({"id": range(102), "twitter_text": texts}))
    frame = engine.checkpoint(with_digest(SENTIMENT_MODEL, frame))
    scored, count = score_rows(SENTIMENT_MODEL, engine, frame, model, 3)
    found = sorted(engine.rows(scored), key=lambda row: row["id"])
    assert count == 52
    assert [row["ml_sentiment"] for row in found] == wanted.column(0).to_pylist()
    assert [row["ml_sentiment_probability"] for row in found] == wanted.column(1).to_pylist()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows[:20], "for training and validation; provide at least 20 of each"),
        (lambda rows: [(text, "Positive") for text, _ in rows], "There are 0 Negative, 0 Neut"),
        (lambda rows: [(f"{text} {label}!", label) for text, label in rows],
         "Negative tweets contain the word Negative, so their texts seem to contain"),
        (lambda rows: [("", label) for _, label in rows], "have no words in common"),
    ],
)  # fmt: skip
def test_tweets_that_cannot_be_learnt_from_are_refused_in_one_sentence(
    change: Any, sentence: str
) -> None:
    rows = change(tweets(300, 1))
    table = pa.table({
        "tweet_key": range(len(rows)), "twitter_text": [text for text, _ in rows],
        "sentiment": [label for _, label in rows], "part": ["train"] * len(rows),
    })  # fmt: skip
    with pytest.raises(CannotFitError, match=sentence):
        fit_tweets(table, SentimentSettings())


def test_a_users_file_trains_a_version_and_a_bad_one_registers_nothing(
    engine: Engine, empty_store: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    tracking = MlflowTracking(f"sqlite:///{tmp_path}/mlflow.db")

    def trained(rows: list[tuple[str, str]]) -> tuple[int, str]:
        path = written(tmp_path / "labels.csv.gz", rows)
        table = SENTIMENT_TRAINING.rows({"train": path, "validation": None})
        version, decision, _ = train(SENTIMENT_MODEL, tracking, table, "retail sentiment labels")
        return version.model_version, decision.verdict

    leaking = [(f"{text} {label}", label) for text, label in tweets(300, 1)]
    for bad in (tweets(20, 1), leaking):
        with pytest.raises(
            LakehouseError, match=r"provide at least 20 of each|contain their labels"
        ):
            trained(bad)
    both = written(tmp_path / "both.csv", tweets(300, 1))
    table = SENTIMENT_TRAINING.rows({"train": both, "validation": both})
    with pytest.raises(LakehouseError, match="There are 0 Negative, 0 Neutral, 0 Positive tweets"):
        train(SENTIMENT_MODEL, tracking, table, "retail sentiment both")
    assert versions_of(tracking, SENTIMENT_MODEL.name) == []
    # Copies of a tweet are one tweet.
    rows = tweets(300, 1)
    assert trained(rows) == trained([*rows, *rows[:50]]) == (1, "champion: the first version")
    lake = Lake(str(tmp_path / "lake"), engine, REGISTRY)
    with pytest.raises(LakehouseError, match=r"was trained from files, .* --file"):
        reproduce(MODEL_TABLES[SENTIMENT_MODEL.name], lake, tracking, 1)
    for given, same in ((rows, True), (rows[:-1], False)):
        path = written(tmp_path / "labels.csv.gz", given)
        table = SENTIMENT_TRAINING.rows({"train": path, "validation": None})
        found = reproduce(MODEL_TABLES[SENTIMENT_MODEL.name], lake, tracking, 1, table)
        assert found["same"] == same, found["differs"]
        assert found["environment"] == "same"
