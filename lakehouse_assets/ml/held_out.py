"""Predictions out of fold: made when a model is fitted, stored with its run, used to judge it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from mlflow.entities.model_registry import ModelVersion

    from lakehouse_assets.ml.tracking import MlflowTracking

LABEL: Final = "label"
PREDICTION: Final = "prediction"
KEY: Final = "key"
ROW: Final = "row"
FILE: Final = "held_out.parquet"
DIGEST_TAG: Final = "held_out_digest"
"""Digest of the file, written with the version and compared before the file is read."""


def digests(rows: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return 63 bits of a hash of each row's values in the columns, the same on every run."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute as pc

    texts = [rows[name].cast(pa.string()) for name in columns]
    # Lengths keep adjacent values apart, whatever they contain.
    parts = [pc.binary_join_element_wise(pc.binary_length(t).cast(pa.string()), t, ":",
                                         null_handling="replace", null_replacement="-")
             for t in texts]  # fmt: skip
    joined = pc.binary_join_element_wise(*parts, "")
    found = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
        for text in joined.to_pylist()
    ]
    return np.array(found, np.int64)


def with_digests(held_out: pa.Table, rows: pa.Table, key: str, features: Sequence[str]) -> pa.Table:
    """Add what identifies each row later: digests of its key, and of its key and features.

    Args:
        held_out: `label`, and the `prediction` out of fold, null where there is none.
        rows: The fitted rows, in the same order.
        key: Column that identifies a row.
        features: Columns that the model predicts from.

    Raises:
        LakehouseError: there are other columns, or another number of rows.
    """
    import pyarrow as pa

    if set(held_out.column_names) != {LABEL, PREDICTION} or held_out.num_rows != rows.num_rows:
        raise LakehouseError(
            f"Out-of-fold predictions have the columns {', '.join(held_out.column_names)} and "
            f"{held_out.num_rows} rows; the fit must return {LABEL} and {PREDICTION} for each of "
            f"its {rows.num_rows} rows, in their order."
        )
    marks = {KEY: digests(rows, [key]), ROW: digests(rows, [key, *features])}
    return pa.table({**marks, **{name: held_out[name] for name in (LABEL, PREDICTION)}})


def store_held_out(held_out: pa.Table, folder: Path) -> str:
    """Write the file into a folder; return its digest."""
    from pyarrow import parquet

    path = folder / FILE
    parquet.write_table(held_out, path, compression="zstd")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_held_out(tracking: MlflowTracking, version: ModelVersion) -> pa.Table | None:
    """Return a version's predictions out of fold, with the digests; None if it has none.

    Raises:
        LakehouseError: the file is not the one that was stored, or MLflow fails.
    """
    from pyarrow import parquet

    digest = version.tags.get(DIGEST_TAG)
    if digest is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = tracking.fetch_file(str(version.run_id), FILE, Path(scratch))
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise LakehouseError(
                f"{FILE} of version {version.version} of {version.name} was changed after it was "
                "stored; restore it from a copy, or delete the version and run its asset again."
            )
        return parquet.read_table(path)
