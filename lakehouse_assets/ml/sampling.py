"""Fetch the rows that a model is fitted on: all that have its inputs, or a sample of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Final, TypeAlias

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

FloatArray: TypeAlias = "npt.NDArray[np.float64]"

# Hashes of keys are from 0 up to this bound.
_HASHES: Final = 2**60


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that a model is fitted on.

    Attributes:
        rows: The key and the inputs, ordered by key: numbers as doubles, and text.
        total: Number of rows that have all inputs, including those not in the sample.
    """

    rows: pa.Table
    total: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rows, independent of the engine and of the order in which it had them."""
        digest = hashlib.sha256()
        for name in self.rows.column_names:
            values = self.rows[name].to_numpy()
            digest.update(name.encode())
            text = values.dtype == object
            digest.update(repr(values.tolist()).encode() if text else values.tobytes())
        if self.total > self.rows.num_rows:
            digest.update(str(self.total).encode())
        return digest.hexdigest()


def fetch_sample(
    engine: Engine, frame: DataFrame, key: str, columns: Sequence[str], most: int
) -> Sample:
    """Fetch the rows that have values in all columns, or a sample if there are more than `most`.

    The sample is the rows whose keys have the smallest hashes. It depends only on the keys, not on
    the engine or the order of rows, so consecutive months sample mostly the same keys.

    Args:
        engine: The engine of the frame.
        frame: Rows; checkpointed, because they are read twice.
        key: Column that identifies a row.
        columns: Columns in which a row must have a value.
        most: Maximum number of rows.
    """
    import pyarrow as pa

    complete = frame.filter(reduce(lambda a, b: a & b, [F.col(c).isNotNull() for c in columns]))
    total = int(engine.rows(complete.agg(F.count(F.lit(1)).alias("n")))[0]["n"])
    hashed = v.hash_key(F.lit(0), F.col(key)) if total > most else F.lit(0)
    chosen = complete.select(hashed.alias("_hash"), key, *columns)
    if total > most:
        # Hashes are uniform, so few more rows than wanted are below this bound: the margin of six
        # standard deviations makes sure that there are enough.
        share = (most + 6.0 * math.sqrt(most) + 10.0) / total
        chosen = chosen.filter(F.col("_hash") < F.lit(int(min(share, 1.0) * _HASHES)))
    fetched = engine.arrow_stream(chosen).read_all()
    fetched = fetched.sort_by([("_hash", "ascending"), (key, "ascending")]).slice(0, most)
    fetched = fetched.sort_by(key)
    inputs = {name: _plain(fetched[name]) for name in columns}
    return Sample(pa.table({key: fetched[key], **inputs}), total)


def some_rows(count: int, most: int, seed: int = 0) -> npt.NDArray[np.intp]:
    """Return ascending row numbers: all, or a seeded sample if there are more than `most`."""
    import numpy as np

    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def feature_matrix(rows: pa.Table | pa.RecordBatch) -> FloatArray:
    """Return numeric columns of any type as a matrix of doubles (rows by columns); null is NaN."""
    import numpy as np

    features = np.empty((rows.num_rows, rows.num_columns))
    for place, column in enumerate(rows.columns):
        features[:, place] = _plain(column).to_numpy(zero_copy_only=False)
    return features


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return text unchanged, and numbers as doubles."""
    import pyarrow

    if getattr(column, "num_chunks", 0):
        column = column.combine_chunks()
    kind = column.type
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        return column.cast(pyarrow.string())
    # Via text, because a cast from decimal to double does not always round to the nearest.
    if pyarrow.types.is_decimal(kind):
        column = column.cast(pyarrow.string())
    return column.cast(pyarrow.float64(), safe=False)
