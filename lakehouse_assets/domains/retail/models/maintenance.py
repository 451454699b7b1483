"""The device health model: how many hours a device has left, and why.

It is fitted on devices that ran until they failed (dataset `device_wear`) and scores every hour of
every device (`gold_device_health`). `maintenance_evaluation.py` tests the same fit on public data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import so_far
from lakehouse_assets.catalog.registry import MODEL_VERSION, Column
from lakehouse_assets.domains.retail.datasets.device_wear import (
    DEVICE_WEAR,
    SENSORS,
    SILVER_DEVICE_WEAR,
)
from lakehouse_assets.domains.retail.gold.common import gold
from lakehouse_assets.domains.retail.gold.device_hours import (
    FEATURE_COLUMNS,
    FEATURES,
    WINDOWS,
    with_features,
)
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.ml.comparison import by_metric
from lakehouse_assets.ml.model_files import types_of
from lakehouse_assets.ml.remaining_life import LifeModel, LifeSettings, fit_life, folds_of
from lakehouse_assets.ml.sampling import FloatArray, feature_matrix
from lakehouse_assets.ml.spec import CannotFitError, Fitted, Gate, ModelSpec, ModelTable, Variant
from lakehouse_assets.ml.trees import Trees

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

HIGH: Final = 0.5
MEDIUM: Final = 0.1
"""From these probabilities of failing within 24 hours the risk is high, or medium."""

REASONS: Final = 3
FEWEST_DEVICES: Final = 10
TARGET: Final = "hours_left"
UNIT: Final = "device_id"
KEY: Final = "reading_key"
SCORED: Final = {
    "remaining_hours": "double", "fails_within_24h": "double", "risk": "string",
    **{f"reason_{number}": "string" for number in range(1, REASONS + 1)},
}  # fmt: skip
# A device that shares at least this part of its readings with another one is a copy of it.
_COPIED: Final = 0.5
_SLOPE: Final = f"_slope_{WINDOWS.slope}"


def with_wear_features(wear: DataFrame) -> DataFrame:
    """Add the features to rows of `silver_device_wear`."""
    return with_features(wear, (UNIT,), "hour")


def fit(rows: pa.Table, settings: LifeSettings) -> Fitted:
    """Fit the model to hours of devices that failed; see `ModelSpec.fit`.

    Raises:
        CannotFitError: there are too few devices, or all hours are alike.
    """
    import numpy as np
    import pyarrow as pa
    from sklearn.metrics import average_precision_score

    from lakehouse_assets.ml.binary import scores

    units = rows[UNIT].to_numpy()
    count = len(np.unique(units))
    if count < FEWEST_DEVICES:
        raise CannotFitError(
            f"The rows have {count} device(s) that ran until they failed; provide at least "
            f"{FEWEST_DEVICES}, so that the model can be tested on devices that it has not seen."
        )
    features, left = feature_matrix(rows.select([*FEATURES])), rows[TARGET].to_numpy()
    soon = left <= settings.horizon
    if soon.all() or not soon.any():
        raise CannotFitError(
            f"{soon.sum()} of {len(soon)} hours are within {settings.horizon:g} hours of a "
            "failure; provide records that begin earlier and end with the failure."
        )
    leaks = leaks_of(features, units, settings)
    found = fit_life(features, left, units, settings)
    capped = np.minimum(left, settings.cap)
    probability = found.model.fails_soon(found.held_out)
    return Fitted(
        model=found.model,
        run_name="remaining life",
        metrics={
            "rmse": rmse(capped, found.held_out, np.ones(len(left))),
            "phm": found.chosen["phm"],
            **scores(soon.astype(np.int64), probability),
            "pr_auc": float(average_precision_score(soon, probability)),
            "rmse_of_the_mean": float(capped.std()),
            "leaks": float(len(leaks)),
        },
        params={
            "devices": count,
            **{f"chosen_{name}": found.chosen[name] for name in ("trees", "cap_weight", "shift")},
        },
        variants=[
            Variant(
                f"shift {trial['shift']:g}, weight {trial['cap_weight']:g}",
                {name: trial[name] for name in ("trees", "cap_weight", "shift")},
                {name: trial[name] for name in ("rmse", "phm")},
            )
            for trial in found.trials
        ],
        documents={"leaks": leaks},
        held_out=pa.table({"label": capped, "prediction": found.held_out}),
        figures={"remaining_hours": remaining_figure(capped, found.held_out)},
    )


def leaks_of(features: FloatArray, units: Any, settings: LifeSettings) -> list[str]:
    """Return what is wrong with the split of devices, a sentence each: see `ml/leaks.py`."""
    import numpy as np

    from lakehouse_assets.ml.leaks import units_in_both

    found = []
    for fitted, held in folds_of(units, settings.folds, settings.seed):
        found += units_in_both(units[fitted].tolist(), units[held].tolist(), "devices")
        known = {row.tobytes() for row in features[fitted]}
        copied = np.array([row.tobytes() in known for row in features[held]])
        for unit in np.unique(units[held]):
            share = float(copied[units[held] == unit].mean())
            if share >= _COPIED:
                found.append(
                    f"{share:.0%} of the readings of {unit}, which is held out, are also those of "
                    "another device"
                )
    return found


def rmse(left: Any, predicted: Any, counts: Any) -> float:
    """Return the root of the mean squared error, with how often each row is counted."""
    import numpy as np

    return float(np.sqrt(((left - predicted) ** 2 * counts).sum() / counts.sum()))


def remaining_figure(left: FloatArray, predicted: FloatArray) -> Figure:
    """Draw what is predicted out of fold by what is left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(left, predicted, s=4, alpha=0.3, color="#1f6f8b")
    axes.plot([0.0, left.max()], [0.0, left.max()], color="#c8553d", linewidth=1.0)
    axes.set_xlabel("hours left")
    axes.set_ylabel("predicted by a fit on other devices")
    return figure


def maintenance_scorer(model: LifeModel) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that scores a batch of hours; see `ModelSpec.scorer`.

    An hour that lacks a feature is not scored. Reasons are the readings that shorten what is
    predicted most, for hours whose risk is not low.
    """
    names, sensors = [*FEATURES], [*SENSORS]
    member = [[sensor == name for sensor in sensors] for name in FEATURES.values()]

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        features = feature_matrix(batch)
        remaining = model.predict(features)
        known = np.isfinite(remaining)
        soon = model.fails_soon(remaining)
        risk = np.where(soon >= HIGH, "high", np.where(soon >= MEDIUM, "medium", "low"))
        risky = np.flatnonzero(known & (risk != "low"))
        reasons: list[list[str | None]] = [[None] * len(known) for _ in range(REASONS)]
        added = model.trees.contributions(features[risky]) @ np.array(member, np.float64)
        for row, shares in zip(risky, added, strict=True):
            values = dict(zip(names, features[row].tolist(), strict=True))
            ranked = [place for place in np.argsort(shares, kind="stable") if shares[place] < 0.0]
            for reason, place in zip(reasons, ranked, strict=False):
                reason[row] = _reason(sensors[place], values)
        columns = [
            pa.array(remaining, pa.float64(), mask=~known),
            pa.array(soon, pa.float64(), mask=~known),
            pa.array(risk, pa.string(), mask=~known),
            *(pa.array(reason, pa.string()) for reason in reasons),
        ]
        return pa.RecordBatch.from_arrays(columns, names=[*SCORED])

    return score


def _reason(sensor: str, values: Mapping[str, float]) -> str:
    """Say what a reading is and how it changes, such as `battery_avg is 31.5, -0.31 an hour`."""
    return f"{sensor} is {values[sensor]:.4g}, {values[sensor + _SLOPE]:+.2g} an hour"


HEALTH_COLUMNS: Final = (
    Column("remaining_hours", "double", "Hours that the device has left by the model, at most "
           "120; null before the first model.", unit="hours"),
    Column("fails_within_24h", "double", "Probability that the device fails within 24 hours.",
           unit="share"),
    Column("risk", "string", "Risk of failure within 24 hours: high from a probability of "
           f"{HIGH:g}, medium from {MEDIUM:g}, else low."),
    *(
        Column(f"reason_{number}", "string", f"{rank} reason for a medium or high risk: a reading "
               "and its change per hour; null if there is none.")
        for number, rank in enumerate(("Main", "Second", "Third"), 1)
    ),
)  # fmt: skip
DEVICE_WEAR_SCORED: Final = gold(
    "device_wear_scored",
    "Hours of devices that ran until they failed, from everything delivered so far, with the "
    "features and scores of the device health model, which was trained on them.",
    (
        *SILVER_DEVICE_WEAR.pick(KEY, UNIT, "hour", TARGET),
        *FEATURE_COLUMNS,
        *HEALTH_COLUMNS,
        MODEL_VERSION,
    ),
    (KEY,),
    kind="cumulative",
    topic="health",
)
MAINTENANCE: Final = ModelSpec(
    name="maintenance",
    experiment="Device_Health",
    key=KEY,
    features=tuple(FEATURES),
    fitted_with=(UNIT,),
    target=TARGET,
    # A device shows no wear earlier than 120 hours before it fails; "soon" is within a day.
    settings=LifeSettings(
        cap=120.0, horizon=24.0, seed=42, trees=150, cap_weights=(1.0,),
        shifts=(0.0, 1.0, 2.0, 3.0),
    ),
    fit=fit,
    types=types_of(LifeModel, Trees),
    scored=SCORED,
    scorer=maintenance_scorer,
    gates=(
        Gate(
            "remaining_life_is_predicted", "rmse", None, below=25.0,
            description="RMSE of the remaining hours (up to 120) below 25 hours, on devices that "
            "the fit has not seen.",
            also_shown=("phm", "rmse_of_the_mean"),
        ),
        Gate(
            "failures_are_ranked", "pr_auc", 0.8,
            "Area under the precision-recall curve above 0.8 out of fold, for failures within 24 "
            "hours.",
            also_shown=("auc",),
        ),
        Gate(
            "failures_are_calibrated", "ece", None, below=0.05,
            description="Calibration error below 0.05 out of fold: the probability of failure "
            "within 24 hours matches the observed share.",
            also_shown=("brier",),
        ),
        Gate(
            "devices_are_held_out", "leaks", None, below=1.0,
            description="No device, or copy of one, is in both parts of a split. leaks.json of the "
            "MLflow run lists the findings.",
        ),
    ),
    fewest=lambda _settings: 100,
    prepare=with_wear_features,
    finish=lambda rows: rows.select(*DEVICE_WEAR_SCORED.column_names),
    comparison=by_metric("rmse", rmse, "remaining_hours", lower_is_better=True, not_worse_by=1.0),
    limits=(
        "It predicts failures that are preceded by heat, noise, lost readings or a falling "
        "battery, as in the simulation. It does not predict sudden failures.",
        "Remaining lives of more than 120 hours are not distinguished.",
        "It is fitted on simulated devices; train it on real ones before you plan maintenance by "
        "it.",
    ),
    libraries=("scikit-learn", "xgboost-cpu"),
)  # fmt: skip
DEVICE_WEAR_TABLE: Final = ModelTable(
    MAINTENANCE,
    DEVICE_WEAR_SCORED,
    so_far(SILVER_DEVICE_WEAR),
    triggered_by=(quarantine_table(DEVICE_WEAR),),
    gates_block=False,
)
