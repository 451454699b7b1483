"""Python functions on Arrow batches, for every engine; Spark runs them on its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa


def adding_columns(
    needed: Sequence[str],
    added: pa.Schema,
    compute: Callable[[pa.RecordBatch], pa.RecordBatch],
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Make a function that adds columns to batches; see `Engine.add_columns`.

    The function raises a ValueError if `compute` returns other columns or another number of rows.
    """
    names = list(needed)

    def add(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow

        for batch in batches:
            found = compute(batch.select(names))
            if not found.schema.equals(added) or found.num_rows != batch.num_rows:
                wanted, got = (", ".join(map(str, s)) for s in (added, found.schema))
                raise ValueError(
                    f"expected {wanted} for {batch.num_rows} rows, got {got} for {found.num_rows}"
                )
            schema = pyarrow.schema([*batch.schema, *found.schema])
            yield pyarrow.RecordBatch.from_arrays([*batch.columns, *found.columns], schema=schema)

    return add


def not_computed(added: pa.Schema, reason: str) -> LakehouseError:
    """Return the error for columns that could not be computed."""
    return LakehouseError(
        f"The columns {', '.join(added.names)} could not be computed ({reason}); correct the "
        "function that computes them, or the rows it is given."
    )
