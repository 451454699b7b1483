"""The segment assets of the airline domain: train, track, assign, summarise.

Belongs here: the assets and their settings in the launchpad. Not here: clustering, personas and
MLflow (`ml/`), or the rules around them (`transforms/segments.py`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg
from pydantic import Field

from lakehouse_assets.airline import tables as t
from lakehouse_assets.airline.gold import of_month
from lakehouse_assets.airline.transforms import segments as rules
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.assets import (
    MakeAsset,
    Moment,
    asset_attributes,
    monthly_asset,
    months_of,
)
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.io_manager import dimension_selection
from lakehouse_assets.lake.registry import Table
from lakehouse_assets.ml import worker
from lakehouse_assets.ml.clustering import SEGMENT_FEATURES, ClusteringConfig, cluster_unscaled
from lakehouse_assets.ml.segmentation import Segmentation, Store, Tracked, track, train
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.partitions import Calendar
from lakehouse_assets.quality.declared import declared_check_results, declared_check_specs

if TYPE_CHECKING:
    import pyarrow as pa

# A month's training and its tracked model; None where there were too few customers.
Models: TypeAlias = Mapping[str, tuple[Segmentation, Tracked] | None]

SEPARATED = "segments_are_separated"
LEAST_SILHOUETTE = 0.3
SMALL_MODEL_FEATURES = ("total_flights", "total_loyalty_points")
# Clustering fetches its features into memory: ten doubles a row, so about 1 GB at this bound.
MOST_TRAINING_ROWS = 10_000_000


class SegmentationConfig(dg.Config):
    """Settings of the clustering, as the launchpad shows them.

    Attributes:
        k: Number of segments.
        seed: Seed of k-means' starts.
        n_init: Starts, at least 10 by the specification.
        max_iter: Iterations per start.
        sweep: Numbers of clusters to compare in child runs.
    """

    k: int = 5
    seed: int = 42
    n_init: int = 10
    max_iter: int = 300
    sweep: list[int] = Field(default_factory=lambda: [3, 4, 5, 6, 7])


def segment_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the segment assets."""
    return (
        _gold_customer_segments_ml(calendar),
        monthly_asset(
            t.GOLD_SEGMENT_SUMMARY,
            lambda now, f: rules.summarise(of_month(f["gold_customer_segments_ml"], now)),
            calendar.monthly,
            {t.GOLD_CUSTOMER_SEGMENTS_ML: None},
        ),
        monthly_asset(
            t.CUSTOMER_SEGMENTS_ML, _small_model, calendar.monthly, {t.FACT_FLIGHTS: None}
        ),
    )


def _gold_customer_segments_ml(calendar: Calendar) -> dg.AssetsDefinition:
    table = t.GOLD_CUSTOMER_SEGMENTS_ML
    attributes = asset_attributes(table)

    make: MakeAsset = dg.asset(
        **{**attributes, "kinds": {"deltalake", "mlflow", "scikitlearn"}},
        ins={"kpi": dg.AssetIn(key=t.KPI_CUSTOMER_VALUE.asset_key)},
        partitions_def=calendar.monthly,
        check_specs=[
            dg.AssetCheckSpec(
                SEPARATED,
                asset=table.asset_key,
                blocking=True,
                description=(
                    f"The squared-Euclidean silhouette, as Spark reports it, exceeds "
                    f"{LEAST_SILHOUETTE} (specification, section 5)."
                ),
            ),
            *declared_check_specs(table),
        ],
        required_resource_keys={"lake", "mlflow"},
    )

    def gold_customer_segments_ml(
        context: dg.AssetExecutionContext, config: SegmentationConfig, kpi: Any
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        with lake.engine.scope():
            months = months_of(context)
            trained = [_segment_month(context, config, lake, kpi, month) for month in months]
            frame = lake.engine.union([frame for frame, _ in trained])
            models = {
                str(month): (model[0], worker.result_of(model[1])) if model else None
                for month, (_, model) in zip(months, trained, strict=True)
            }
            yield dg.Output(frame, metadata=_model_metadata(models))
            yield _separation(table, models)
            partitions = calendar.monthly
            selection = dimension_selection(partitions, context.partition_keys, t.MONTH, table.name)
            yield from declared_check_results(table, lake, selection, selection)

    return make(gold_customer_segments_ml)


def _segment_month(
    context: dg.AssetExecutionContext,
    config: SegmentationConfig,
    lake: Lake,
    kpi: DataFrame,
    month: date,
) -> tuple[DataFrame, tuple[Segmentation, Future[Tracked]] | None]:
    """Train on a month's customers, assign segments, and let the worker track the model."""
    engine = lake.engine
    now = Moment(month, datetime.now(UTC), lake)
    scored = engine.checkpoint(rules.with_scores(of_month(kpi, now)))
    rows = _features(lake, scored, SEGMENT_FEATURES)
    if rows.num_rows < config.k:
        context.log.warning(
            f"{month:%Y-%m}: {rows.num_rows} customers have all features, too few for {config.k} "
            "segments; all stay Uncategorized."
        )
        return rules.assign(scored, _labels(lake, rows.slice(0, 0), [], [], [])), None
    clustering = ClusteringConfig(
        k=config.k,
        seed=config.seed,
        n_init=config.n_init,
        max_iter=config.max_iter,
        sweep=tuple(config.sweep),
    )
    found = worker.result_of(
        worker.submit(train, _matrix(rows, SEGMENT_FEATURES), SEGMENT_FEATURES, clustering)
    )
    codes, names = [p.code for p in found.personas], [p.name for p in found.personas]
    labels = _labels(lake, rows, found.labels, codes, names)
    assigned = engine.checkpoint(rules.assign(scored, labels))
    tracking: MlflowTracking = context.resources.mlflow
    versions = engine.versions_read(scored)
    tracked = worker.submit(
        track,
        found,
        Store(tracking.tracking_uri, tracking.experiment, tracking.artifact_root),
        profile=engine.rows(rules.summarise(assigned)),
        tags={
            "dagster_run_id": context.run.run_id,
            **{f"delta_version.{name}": str(version) for name, version in versions.items()},
        },
        partition=month.isoformat(),
        input_digest=_digest(rows),
        promote=found.silhouette_squared_euclidean > LEAST_SILHOUETTE,
    )
    return assigned, (found, tracked)


def _features(lake: Lake, scored: DataFrame, names: Sequence[str]) -> "pa.Table":
    """Fetch the customers that have every feature, in the order of their keys."""
    complete = F.lit(True)
    for name in names:
        complete = complete & F.col(name).isNotNull()
    frame = scored.filter(complete).select(
        "customer_key", *[F.col(name).cast("double").alias(name) for name in names]
    )
    number = int(lake.engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])
    if number > MOST_TRAINING_ROWS:
        raise LakehouseError(
            f"{number:,} customers are more than this machine trains on ({MOST_TRAINING_ROWS:,}); "
            "train on a cluster, or on a sample."
        )
    return lake.engine.arrow_stream(frame).read_all().sort_by("customer_key")


def _matrix(rows: "pa.Table", names: Sequence[str]) -> Any:
    import numpy as np

    return np.column_stack([rows[name].to_numpy() for name in names]).astype(np.float64)


def _labels(
    lake: Lake,
    rows: "pa.Table",
    clusters: Any,
    codes: Sequence[int],
    names: Sequence[str],
) -> DataFrame:
    """Label customers, given the cluster of each and the code and name of each cluster."""
    import pyarrow as pa

    places = pa.array(clusters, pa.int32())
    return lake.engine.from_arrow(
        pa.table(
            {
                "labelled_key": rows["customer_key"],
                "segment": pa.array(codes, pa.int32()).take(places),
                "segment_name": pa.array(names, pa.string()).take(places),
            }
        )
    )


def _digest(rows: "pa.Table") -> str:
    """Hash the training rows: keys and features in order."""
    digest = hashlib.sha256()
    for name in rows.column_names:
        digest.update(name.encode())
        digest.update(rows[name].to_numpy().tobytes())
    return digest.hexdigest()


def _model_metadata(models: Models) -> dict[str, Any]:
    last = next((m for m in reversed(list(models.values())) if m is not None), None)
    if last is None:
        return {}
    found, tracked = last
    return {
        "mlflow_run_id": tracked.model.run_id,
        "mlflow_model": dg.MetadataValue.text(tracked.model.model_uri),
        "model_version": tracked.model.model_version,
        "champion": tracked.promoted,
        "silhouette_squared_euclidean": found.silhouette_squared_euclidean,
        "silhouette_euclidean": found.silhouette_euclidean,
        "inertia": found.inertia,
    }


def _separation(table: Table, models: Models) -> dg.AssetCheckResult:
    """Judge the models by the silhouette that Spark reports; the Euclidean one stands beside it."""
    figures = {
        month: (model[0].silhouette_squared_euclidean, model[0].silhouette_euclidean)
        for month, model in models.items()
        if model is not None
    }
    worst = min((squared for squared, _ in figures.values()), default=None)
    lines = [
        f"{month}: {squared:.4f} squared Euclidean, {plain:.4f} Euclidean"
        for month, (squared, plain) in figures.items()
    ]
    return dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=SEPARATED,
        passed=worst is None or worst > LEAST_SILHOUETTE,
        description="; ".join(lines) or "Too few customers to cluster; nothing to judge.",
        metadata={} if worst is None else {"lowest_silhouette_squared_euclidean": worst},
    )


def _small_model(now: Moment, frames: Mapping[str, DataFrame]) -> DataFrame:
    """Cluster on flights and points alone, unscaled, as the lab's first version does."""
    flying = of_month(frames["fact_flights"], now)
    rows = _features(now.lake, flying, SMALL_MODEL_FEATURES)
    clusters = worker.result_of(
        worker.submit(cluster_unscaled, _matrix(rows, SMALL_MODEL_FEATURES), k=5, seed=42)
    )
    labels = _labels(now.lake, rows, clusters, range(5), [""] * 5)
    return flying.join(labels, F.col("customer_key") == F.col("labelled_key"), "inner").select(
        *t.CUSTOMER_SEGMENTS_ML.column_names
    )
