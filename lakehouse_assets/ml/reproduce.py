"""Rebuild a registered version from the data versions, parameters and seeds that it names."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.spans import rows_of
from lakehouse_assets.ml.decisions import PARTITION_TAG, version_of
from lakehouse_assets.ml.held_out import PREDICTION, ROW, load_held_out, with_digests
from lakehouse_assets.ml.lifecycle import (
    DELTA_VERSION_TAG,
    LIBRARY_TAG,
    WHOLE,
    fit_sample,
    prepare_sample,
)
from lakehouse_assets.ml.model_registry import INPUT_DIGEST_TAG
from lakehouse_assets.ml.sampling import Sample
from lakehouse_assets.ml.spec import ModelTable
from lakehouse_assets.ml.tracking import MlflowTracking

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow.entities.model_registry import ModelVersion

TOLERANCE: Final = 1e-9


def reproduce(
    model: ModelTable,
    lake: Lake,
    tracking: MlflowTracking,
    number: int,
    rows: pa.Table | None = None,
) -> dict[str, Any]:
    """Fit a version again, and compare its rows, metrics and predictions out of fold.

    Nothing is registered.

    Args:
        model: The model and its table.
        lake: The lake.
        tracking: The MLflow store.
        number: The version.
        rows: The rows of a version that was trained from files.

    Returns:
        What JSON can hold: `same`, whether all agree to 1e-9; `differs`, a sentence for each
        difference; `metrics`, with the registered and the rebuilt value of each.

    Raises:
        LakehouseError: there is no such version, it does not name its data, that data is gone, or
            MLflow fails.
    """
    spec, table = model.spec, model.read.table
    tracking = tracking.in_experiment(spec.experiment)
    version = version_of(tracking, spec.name, number)
    with tracking.plain_errors():
        run = tracking.client().get_run(str(version.run_id)).data
    delta_version = version.tags.get(f"{DELTA_VERSION_TAG}{table.identifier}")
    if delta_version is None and rows is None:
        raise LakehouseError(
            f"Version {number} of {spec.name} was trained from files, which the lake does not "
            f"keep; give them: `lakehouse models reproduce {spec.name} {number} --file train=FILE`."
        )
    if delta_version is not None and rows is not None:
        raise LakehouseError(
            f"Version {number} of {spec.name} was fitted on {table.full_name}, not on files; leave "
            "out --file."
        )
    partition = version.tags[PARTITION_TAG]
    settings = _settings(spec.settings, run.params)
    data: dict[str, Any] = {"files": "as given"}
    if rows is not None:
        sample = Sample(rows.sort_by(spec.key), rows.num_rows)
    else:
        sample = _stored_sample(model, lake, version, run.params)
        data = {"table": table.full_name, "delta_version": delta_version, "partition": partition}
    fitted = fit_sample(spec, settings, sample)
    differs = []
    if sample.digest != version.tags[INPUT_DIGEST_TAG]:
        differs.append("its rows differ from those that were fitted")
    metrics = {
        name: {"registered": run.metrics.get(name, math.nan), "rebuilt": float(value)}
        for name, value in fitted.metrics.items()
    }
    differs += [
        f"{name} is {each['rebuilt']!r}, but was {each['registered']!r}"
        for name, each in metrics.items()
        if not _same(each["rebuilt"], each["registered"])
    ]
    stored = load_held_out(tracking, version)
    if stored is not None and fitted.held_out is not None:
        rebuilt = with_digests(fitted.held_out, sample.rows, spec.key, spec.features)
        if not _same_predictions(stored, rebuilt):
            differs.append("its out-of-fold predictions differ")
    changed = _changed_libraries(version.tags)
    if differs and changed:
        differs.append(f"different versions are installed of {', '.join(changed)}")
    return {
        "model": spec.name,
        "version": number,
        "data": {**data, "rows": sample.total},
        "metrics": metrics,
        "environment": changed or "same",
        "same": not differs,
        "differs": differs,
    }  # fmt: skip


def fitted_rows(
    model: ModelTable, lake: Lake, tracking: MlflowTracking, version: ModelVersion
) -> pa.Table | None:
    """Return the rows that a version was fitted on; None if they came from files.

    Raises:
        LakehouseError: the table's version is gone, or MLflow fails.
    """
    if f"{DELTA_VERSION_TAG}{model.read.table.identifier}" not in version.tags:
        return None
    with tracking.plain_errors():
        run = tracking.client().get_run(str(version.run_id)).data
    return _stored_sample(model, lake, version, run.params).rows


def _stored_sample(
    model: ModelTable, lake: Lake, version: ModelVersion, params: Mapping[str, str]
) -> Sample:
    """Read the rows of a version again, from the version of the table that it names."""
    table, partition = model.read.table, version.tags[PARTITION_TAG]
    delta_version = version.tags[f"{DELTA_VERSION_TAG}{table.identifier}"]
    frame = lake.read(table, version=int(delta_version))
    if partition != WHOLE:
        frame = rows_of(model.read, frame, date.fromisoformat(partition), lake)
    total, fitted = int(params["rows"]), int(params["rows_fitted"])
    _, sample = prepare_sample(model.spec, lake.engine, frame, fitted if fitted < total else total)
    return sample


def _settings(default: Any, params: Mapping[str, str]) -> Any:
    """Return the settings that a run logged.

    Raises:
        LakehouseError: the run has no value for a setting.
    """
    found = {}
    for item in dataclasses.fields(default):
        if item.name not in params:
            raise LakehouseError(
                f"The run of this version has no value for the setting {item.name}, which was "
                "added later; reproduce it with the code that fitted it."
            )
        text = params[item.name]
        found[item.name] = (
            text if isinstance(getattr(default, item.name), str) else ast.literal_eval(text)
        )
    return type(default)(**found)


def _same(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (
        math.isnan(value) and math.isnan(other)
    )


def _same_predictions(stored: pa.Table, rebuilt: pa.Table) -> bool:
    """Say whether predictions of the same rows, in the same order, are equal to 1e-9."""
    if stored[ROW].to_pylist() != rebuilt[ROW].to_pylist():
        return False
    pairs = zip(stored[PREDICTION].to_pylist(), rebuilt[PREDICTION].to_pylist(), strict=True)
    return all(
        _same(one, other) if isinstance(one, float) and isinstance(other, float) else one == other
        for one, other in pairs
    )


def _changed_libraries(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the libraries whose version is another than that of the fit."""
    found = {}
    for tag, then in tags.items():
        name = tag.removeprefix(LIBRARY_TAG)
        if name == tag:
            continue
        try:
            now = installed_version(name)
        except PackageNotFoundError:
            now = "none"
        if now != then:
            found[name] = f"{then} then, {now} now"
    return found
