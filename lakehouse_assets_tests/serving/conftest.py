"""A model store with two versions of the toy model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ml.decisions import CHAMPION
from lakehouse_assets.ml.lifecycle import run_model
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets_tests.ml.toy import POINTS, PointsSettings


def members(count: int) -> pa.Table:
    """Return members, one in seven of whom lacks the number of flights."""
    draw = np.random.default_rng(3)
    flights = draw.integers(1, 200, count)
    km = flights * draw.integers(500, 3000, count)
    return pa.table(
        {
            "member": pa.array(range(count), pa.int64()),
            "flights": pa.array(flights, pa.int32(), mask=np.arange(count) % 7 == 0),
            "km": pa.array(km, pa.int64()),
            "points": km * 1.5 + draw.normal(scale=1000, size=count),
        }
    )


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> MlflowTracking:
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(empty_store, folder / "mlflow.db")
    tracking = MlflowTracking(f"sqlite:///{folder}/mlflow.db", POINTS.experiment)
    engine = start_engine()
    with engine.scope():
        for month, alpha in enumerate((1.0, 1e6), start=1):
            run_model(
                POINTS, engine, engine.from_arrow(members(700)), tracking,
                partition=f"2014-0{month}", run_id="run", most_rows=1_000,
                settings=PointsSettings(alpha=alpha, others=()),
            )  # fmt: skip
    return tracking


@pytest.fixture
def tracking(two_versions: MlflowTracking) -> MlflowTracking:
    """The store, whose first version is the champion."""
    move(two_versions, 1)
    return two_versions


def move(tracking: MlflowTracking, version: int) -> None:
    """Make a version the champion."""
    tracking.client().set_registered_model_alias(POINTS.name, CHAMPION, str(version))
