"""The segment assets of the airline domain: train, track, assign, summarise.

Belongs here: the assets and their settings in the launchpad. Not here: clustering, personas and
MLflow (`ml/`), or the rules around them (`transforms/segments.py`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

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
from lakehouse_assets.partitions import Calendar
from lakehouse_assets.quality.declared import declared_check_results, declared_check_specs

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.clustering import ClusteringResult
    from lakehouse_assets.ml.tracking import MlflowTracking, TrackedModel

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
        # One month is tracked while the next one trains; a single thread keeps their order.
        with lake.engine.scope(), ThreadPoolExecutor(1, "mlflow") as tracker:
            trained = [
                _segment_month(context, config, lake, kpi, month, tracker)
                for month in months_of(context)
            ]
            frame = lake.engine.union([frame for frame, _ in trained])
            models = {
                str(month): model.result() if model else None
                for month, (_, model) in zip(months_of(context), trained, strict=True)
            }
            yield dg.Output(frame, metadata=_model_metadata(models))
            yield _separation(table, models)
            partitions = calendar.monthly
            selection = dimension_selection(partitions, context.partition_keys, t.MONTH, table.name)
            yield from declared_check_results(table, lake, selection, selection)

    return make(gold_customer_segments_ml)


class _Trained:
    """A month's model and its figures."""

    def __init__(self, model: "TrackedModel", result: "ClusteringResult", promoted: bool) -> None:
        self.model = model
        self.result = result
        self.promoted = promoted


def _segment_month(
    context: dg.AssetExecutionContext,
    config: SegmentationConfig,
    lake: Lake,
    kpi: DataFrame,
    month: date,
    tracker: Executor,
) -> "tuple[DataFrame, Future[_Trained] | None]":
    """Train on a month's customers, assign segments, and hand the model over to be tracked."""
    from lakehouse_assets.ml.clustering import SEGMENT_FEATURES, ClusteringConfig, fit_clusters
    from lakehouse_assets.ml.personas import assign_personas

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
    result = fit_clusters(_matrix(rows, SEGMENT_FEATURES), clustering)
    personas = assign_personas(result.centres)
    labels = _labels(
        lake, rows, result.labels, [p.code for p in personas], [p.name for p in personas]
    )
    assigned = engine.checkpoint(rules.assign(scored, labels))
    profile = engine.rows(rules.summarise(assigned))
    tags = {
        "dagster_run_id": context.run.run_id,
        **{
            f"delta_version.{name}": str(version)
            for name, version in engine.versions_read(scored).items()
        },
    }
    tracking: MlflowTracking = context.resources.mlflow
    digest = _digest(rows)

    def track() -> _Trained:
        from lakehouse_assets.ml.figures import segment_figure
        from lakehouse_assets.ml.tracking import log_segmentation

        model = log_segmentation(
            tracking,
            result,
            clustering,
            personas,
            segment_figure(profile),
            tags=tags,
            partition=month.isoformat(),
            input_digest=digest,
            feature_names=SEGMENT_FEATURES,
        )
        good = result.silhouette_squared_euclidean > LEAST_SILHOUETTE
        promoted = good and tracking.promote(model.model_version, month.isoformat())
        return _Trained(model, result, promoted)

    return assigned, tracker.submit(track)


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


def _model_metadata(models: Mapping[str, _Trained | None]) -> dict[str, Any]:
    last = next((m for m in reversed(list(models.values())) if m is not None), None)
    if last is None:
        return {}
    return {
        "mlflow_run_id": last.model.run_id,
        "mlflow_model": dg.MetadataValue.text(last.model.model_uri),
        "model_version": last.model.model_version,
        "champion": last.promoted,
        "silhouette_squared_euclidean": last.result.silhouette_squared_euclidean,
        "silhouette_euclidean": last.result.silhouette_euclidean,
        "inertia": last.result.inertia,
    }


def _separation(table: Any, models: Mapping[str, _Trained | None]) -> dg.AssetCheckResult:
    """Judge the models by the silhouette that Spark reports; the Euclidean one stands beside it."""
    figures = {
        month: (m.result.silhouette_squared_euclidean, m.result.silhouette_euclidean)
        for month, m in models.items()
        if m is not None
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
    from lakehouse_assets.ml.clustering import cluster_unscaled

    flying = of_month(frames["fact_flights"], now)
    rows = _features(now.lake, flying, SMALL_MODEL_FEATURES)
    clusters = cluster_unscaled(_matrix(rows, SMALL_MODEL_FEATURES), k=5, seed=42)
    labels = _labels(now.lake, rows, clusters, range(5), [""] * 5)
    return flying.join(labels, F.col("customer_key") == F.col("labelled_key"), "inner").select(
        *t.CUSTOMER_SEGMENTS_ML.column_names
    )
