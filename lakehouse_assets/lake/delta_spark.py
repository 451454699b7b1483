"""Write Delta tables with Spark itself; no rows pass through this process.

Only `DataFrameWriter` is used, because classic sessions, Spark Connect and Databricks Connect all
have it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse_assets.engine import DataFrame
from lakehouse_assets.engine.spark_memory import explain_lack_of_memory
from lakehouse_assets.errors import LakehouseError, one_line
from lakehouse_assets.lake import log
from lakehouse_assets.lake.local_lock import local_lock
from lakehouse_assets.lake.predicate import to_sql
from lakehouse_assets.lake.writer import (
    Change,
    FencedError,
    OvertakenError,
    Written,
    broken_rules,
    foreign_table,
    unwritable,
)

if TYPE_CHECKING:
    import pyarrow as pa

# Errors are recognised by the error condition in their text, because PySpark, Py4J and Spark
# Connect raise the same error in unrelated classes.
_BROKEN = re.compile(
    r"\[DELTA_(VIOLATE_CONSTRAINT_WITH_VALUES|NOT_NULL_CONSTRAINT_VIOLATED|REPLACE_WHERE_MISMATCH)"
)
_OVERTAKEN = re.compile(
    r"\[DELTA_(CONCURRENT_\w+|METADATA_CHANGED|PROTOCOL_CHANGED|MAX_COMMIT_RETRIES_EXCEEDED)"
)
_FOREIGN = re.compile(
    r"\[DELTA_(FEATURES_PROTOCOL_METADATA_MISMATCH|UNSUPPORTED_FEATURES_FOR_\w+)\] (.*)"
)
_UNWRITABLE = re.compile(
    r"(java\.io\.(IOException|FileNotFoundException)|java\.nio\.file\.\w+Exception"
    r"|\w+AccessControlException|org\.apache\.hadoop\.fs\.\w+(Error|Exception)): .*"
)


class SparkWriter:
    """Writes frames of a Spark session into tables."""

    knows_every_feature = True

    def rows_of(self, frame: DataFrame) -> tuple[Any, pa.Schema]:
        """Return the frame, without running it, and its Arrow schema."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_type

        fields = []
        for field in frame.schema.fields:
            kind = to_arrow_type(field.dataType, timezone="UTC")
            if pa.types.is_list(kind):
                # The nullability that Spark's plan infers for elements is not part of the type.
                kind = pa.list_(kind.value_type)
            fields.append(pa.field(field.name, kind))
        return frame, pa.schema(fields)

    def apply(self, change: Change, rows: DataFrame) -> Written:
        """Replace exactly the selected rows, or add rows, in one commit.

        Delta checks each row against the selection and the constraints as it writes.

        Raises:
            LakehouseError: a row is outside the selection or breaks a constraint, the commit
                advances in several sources, or the lake cannot be written. Nothing changes.
        """
        if len(change.progress) > 1:
            raise LakehouseError(
                f"Spark can record the offset of only one source in a commit, but table "
                f"{change.table.name} has {len(change.progress)}; write them one by one."
            )
        # A unique value, by which `_committed` finds this commit.
        metadata = change.commit.as_metadata() | {"write": uuid.uuid4().hex}
        message = json.dumps(metadata, sort_keys=True)
        options = {
            "userMetadata": message,
            # Gather rows by partition: otherwise each task writes a file into every partition.
            "optimizeWrite": "true",
            # Dynamic mode, if set on the session, would not empty partitions that get no rows.
            "partitionOverwriteMode": "static",
        }
        for source, advance in change.progress.items():
            options |= {"txnAppId": source, "txnVersion": str(advance.end)}
        predicate = to_sql(change.selection, "spark") if change.selection else None
        if predicate is not None:
            options["replaceWhere"] = predicate
        mode = "append" if change.selection is None else "overwrite"
        with _explained(change), local_lock(change.path.uri, alone=True):
            rows.write.format("delta").mode(mode).options(**options).save(change.path.uri)
        return _committed(change, message)


def _committed(change: Change, message: str) -> Written:
    """Find the version that was committed; other writers may have committed since."""
    found = log.open_table(change.path) or change.found
    for entry in found.history(max(found.version() - change.found.version(), 1)):
        if entry.get("userMetadata") == message:
            if entry["version"] != found.version():
                found.load_as_version(entry["version"])
            return Written(found)
    # Delta commits nothing if there is nothing to change.
    return Written(found)


@contextmanager
def _explained(change: Change) -> Iterator[None]:
    """Turn Delta's write errors into our own, without the values that its messages preview."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        with explain_lack_of_memory():
            yield
    except OSError as error:
        raise unwritable(change.path, change.table, one_line(error)) from error
    except (Py4JJavaError, PySparkException) as error:
        text = str(error)
        if _BROKEN.search(text):
            # The original message previews values, which may be personal data, so it is dropped.
            count = re.search(r"(\d+) rows? in ", text)
            raise broken_rules(change.table, count[1] if count else "Some") from None
        if "[DELTA_CONCURRENT_TRANSACTION" in text:
            raise FencedError(change.table, " and ".join(change.progress)) from error
        if _OVERTAKEN.search(text):
            raise OvertakenError(change.table) from error
        foreign = _FOREIGN.search(text)
        if foreign:
            features = foreign[2].rstrip(".")
            raise foreign_table(change.table, features, "Spark", "the embedded engine") from error
        failed = _UNWRITABLE.search(text)
        if failed:
            raise unwritable(change.path, change.table, failed[0]) from error
        raise
