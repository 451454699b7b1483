"""A training beyond the bound on the engine that the settings name, in a process of its own.

A remote session and a
local one do not live in one process, so that `test_cluster.py` runs this as a program.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.clustering import SEGMENT_FEATURES, ClusteringConfig
from lakehouse_assets.ml.training import train_segments
from lakehouse_assets.orchestration.lake_resource import LakeResource
from lakehouse_assets.settings import load_settings

ROWS = 1_500


def figures(engine: Engine) -> dict[str, Any]:
    """Train on five kinds of rows, with a bound of a third of them."""
    rng = np.random.default_rng(1)
    kinds = 60 * rng.integers(0, 5, ROWS)
    features = {name: kinds + rng.integers(0, 9, ROWS) for name in SEGMENT_FEATURES}
    config = ClusteringConfig(n_init=2, sweep=())
    with engine.scope():
        frame = engine.checkpoint(engine.from_arrow(pa.table({"key": range(ROWS), **features})))
        found = train_segments(engine, frame, "key", SEGMENT_FEATURES, config, ROWS // 3)
        labels = engine.arrow_stream(found.labels).read_all().sort_by("labelled_key")
    assert found.segmentation is not None
    model = found.segmentation.result
    return {
        "trained_by": model.trained_by,
        "inertia": model.inertia,
        "silhouettes": [model.silhouette_squared_euclidean, model.silhouette_euclidean],
        "input_digest": found.input_digest,
        "clusters": labels["cluster"].to_pylist(),
    }


if __name__ == "__main__":
    print(json.dumps(figures(LakeResource.of(load_settings()).open().engine)))  # noqa: T201
