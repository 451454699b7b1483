"""Writing Delta tables from Spark, by Spark itself: no row comes to this process.

Only SQL and `DataFrameWriter` are used, which a classic session, a Spark Connect server and
Databricks Connect share. What a commit says goes to the writer where it takes options; a MERGE
takes none, so that for its time the session's settings hold them.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.spark_memory import lack_of_memory_told
from lakehouse_assets.lake import log
from lakehouse_assets.lake.commits import SAMPLE_ROWS, Commit
from lakehouse_assets.lake.local_lock import local_lock
from lakehouse_assets.lake.predicate import quoted, to_filter, to_sql
from lakehouse_assets.lake.schema import comment
from lakehouse_assets.lake.writer import (
    Change,
    OvertakenError,
    Target,
    Written,
    ambiguous_rows,
    broken_rules,
    foreign_table,
    rows_outside,
    unwritable,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from lakehouse_assets.engine.spark import SparkEngine

# Settings belong to the session, which the threads of a process share: one writes at a time, or a
# write could say another's words, and be skipped for another's transaction.
_SETTINGS = threading.Lock()
_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_APPLICATION = "spark.databricks.delta.write.txnAppId"
_STEP = "spark.databricks.delta.write.txnVersion"

# Errors are told by their condition in the text: PySpark, Py4J and Spark Connect raise the same
# one in classes that have nothing in common.
_BROKEN = re.compile(
    r"\[DELTA_(VIOLATE_CONSTRAINT_WITH_VALUES|NOT_NULL_CONSTRAINT_VIOLATED|REPLACE_WHERE_MISMATCH"
    r"|NEW_CHECK_CONSTRAINT_VIOLATION)"
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
    """Writes frames of a Spark session into tables.

    Args:
        engine: The engine whose session runs them.
    """

    knows_every_feature = True

    def __init__(self, engine: SparkEngine) -> None:
        self._engine = engine

    def rows_of(self, frame: DataFrame) -> DataFrame:
        """Return the frame; nothing runs yet."""
        return frame

    def schema_of(self, rows: DataFrame) -> pa.Schema:
        """Return a frame's schema in the terms in which declarations are compared."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_type

        fields = []
        for field in rows.schema.fields:
            kind = to_arrow_type(field.dataType, timezone="UTC")
            if pa.types.is_list(kind):
                # Whether a plan can tell that an element is never null is no part of the type.
                kind = pa.list_(kind.value_type)
            fields.append(pa.field(field.name, kind))
        return pa.schema(fields)

    def add_constraints(self, target: Target, rules: Mapping[str, str]) -> None:
        """Add CHECK constraints that the table does not have."""

        def add() -> None:
            fresh = self._newest(target)
            kept = log.stored_constraints(fresh)
            for name, rule in rules.items():
                if name not in kept:
                    with _explained(target):
                        self._engine.session.sql(
                            f"ALTER TABLE {_path(target)} ADD CONSTRAINT {quoted(name, 'spark')} "
                            f"CHECK ({rule})"
                        )

        with _held(target):
            log.retrying(add, OvertakenError)

    def replace(self, target: Target, change: Change) -> Written:
        """Replace exactly the selected rows, in one commit.

        Delta holds each row against the selection and the constraints while it is written.
        """
        said = _said(change.commit)
        options = {
            "userMetadata": said,
            # Rows are gathered by partition, so that a partition is not a file per task.
            "optimizeWrite": "true",
            # A session that overwrites by the partitions it finds would leave an emptied one full.
            "partitionOverwriteMode": "static",
        }
        predicate = to_sql(change.selection, target.table.columns, dialect="spark")
        if predicate is not None:
            options["replaceWhere"] = predicate
        step = change.commit.transaction
        if step is not None:
            options |= {"txnAppId": step.application, "txnVersion": str(step.version)}
        rows = change.rows
        if change.reshapes:
            options["mergeSchema"] = "true"
            rows = self._described(target, rows)
        with _held(target), _SETTINGS, _explained(target):
            rows.write.format("delta").mode("overwrite").options(**options).save(target.uri)
        return self._written(target, change.commit, said)

    def merge(self, target: Target, change: Change, identity: Sequence[str]) -> Written:
        """Insert rows of new identity and update known ones; Spark keeps the rows meanwhile."""
        with self._engine.scope():
            # Rows are judged and merged in several passes, which must see the same ones.
            rows = self._engine.checkpoint(change.rows)
            self._refuse(target.table, rows, change, identity)
            said = _said(change.commit)
            if change.reshapes:
                rows = self._described(target, rows)
            view = f"lakehouse_{uuid.uuid4().hex}"
            rows.createOrReplaceTempView(view)
            statement = _merge_statement(target, change, identity, rows.columns, view)

            def attempt() -> None:
                with _explained(target):
                    self._engine.session.sql(statement)

            try:
                with _held(target), self._settings(change.commit, said):
                    log.retrying(attempt, OvertakenError)
            finally:
                self._engine.session.catalog.dropTempView(view)
            sample = self._engine.rows(rows.limit(SAMPLE_ROWS))
        return self._written(target, change.commit, said, sample)

    def _refuse(
        self, table: Table, rows: DataFrame, change: Change, identity: Sequence[str]
    ) -> None:
        """Count, in one pass, the rows outside the selection and those without one identity."""
        inside = to_filter(change.selection, table.columns)
        outside = F.lit(0) if inside is None else F.when(inside, 0).otherwise(1)
        nulls = sum((F.col(name).isNull().cast("int") for name in identity), F.lit(0))
        groups = (
            rows.select(*identity, outside.alias("_outside"), nulls.alias("_nulls"))
            .groupBy(*identity)
            .agg(
                F.sum("_outside").alias("outside"),
                F.sum("_nulls").alias("nulls"),
                F.when(F.count(F.lit(1)) > 1, 1).otherwise(0).alias("twice"),
            )
        )
        counts = groups.agg(
            *[F.coalesce(F.sum(n), F.lit(0)).alias(n) for n in ("outside", "nulls", "twice")]
        )
        (found,) = self._engine.rows(counts)
        if found["outside"]:
            raise rows_outside(table, found["outside"], to_sql(change.selection, table.columns))
        if found["nulls"] or found["twice"]:
            raise ambiguous_rows(table, identity, found["nulls"], found["twice"])

    def _described(self, target: Target, rows: DataFrame) -> DataFrame:
        """Give declared columns that the table does not have yet their comments."""
        stored = log.stored_schema(target.found).names
        new = {c.name: c for c in target.table.columns if c.name not in stored}
        return rows.select(
            *[
                F.col(name).alias(name, metadata={"comment": comment(new[name])})
                if name in new
                else F.col(name)
                for name in rows.columns
            ]
        )

    def _written(
        self,
        target: Target,
        commit: Commit,
        said: str,
        sample: Sequence[Mapping[str, Any]] | None = None,
    ) -> Written:
        """Find the version that was committed; others may have been since."""
        found = self._newest(target)
        for entry in found.history(max(found.version() - target.found.version(), 1)):
            if entry.get("userMetadata") == said:
                if entry["version"] != found.version():
                    found.load_as_version(entry["version"])
                return Written(found, sample)
        # Delta commits nothing if the transaction is there, or if there is nothing to change.
        return Written(found, sample, skipped=commit.transaction is not None)

    def _newest(self, target: Target) -> DeltaTable:
        return log.open_table(target.folder) or target.found

    @contextmanager
    def _settings(self, commit: Commit, said: str) -> Iterator[None]:
        """Have the session's next commit say something."""
        values = {_USER_METADATA: said}
        if commit.transaction is not None:
            values[_APPLICATION] = commit.transaction.application
            values[_STEP] = str(commit.transaction.version)
        settings = self._engine.session.conf
        with _SETTINGS:
            before = {name: settings.get(name, None) for name in values}
            try:
                for name, value in values.items():
                    settings.set(name, value)
                yield
            finally:
                for name, value in before.items():
                    if value is None:
                        settings.unset(name)
                    else:
                        settings.set(name, value)


def _said(commit: Commit) -> str:
    """Write what a commit says, with a mark by which it is found again."""
    return json.dumps(commit.as_metadata() | {"write": uuid.uuid4().hex}, sort_keys=True)


def _path(target: Target) -> str:
    return f"delta.{quoted(target.uri, 'spark')}"


def _merge_statement(
    target: Target, change: Change, identity: Sequence[str], columns: Sequence[str], view: str
) -> str:
    names = [quoted(name, "spark") for name in columns]
    on = [f"target.{n} = source.{n}" for n in (quoted(name, "spark") for name in identity)]
    where = to_sql(change.selection, target.table.columns, relation="target", dialect="spark")
    if where is not None:
        on.append(f"({where})")
    evolution = "WITH SCHEMA EVOLUTION " if change.reshapes else ""
    return (
        f"MERGE {evolution}INTO {_path(target)} AS target USING {view} AS source "  # noqa: S608 - quoted
        f"ON {' AND '.join(on)} "
        f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{n} = source.{n}' for n in names)} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) "
        f"VALUES ({', '.join(f'source.{n}' for n in names)})"
    )


@contextmanager
def _held(target: Target) -> Iterator[None]:
    try:
        with local_lock(target.uri, alone=True):
            yield
    except OSError as error:
        raise unwritable(target.uri, target.table, log.one_line(error)) from error


@contextmanager
def _explained(target: Target) -> Iterator[None]:
    """Turn Delta's errors on writing into sentences without the values they preview."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        with lack_of_memory_told():
            yield
    except (Py4JJavaError, PySparkException) as error:
        text = str(error)
        if _BROKEN.search(text):
            # The original message previews values, which may be personal data: it is cut off.
            count = re.search(r"(\d+) rows? in ", text)
            raise broken_rules(target.table, count[1] if count else "Some") from None
        if _OVERTAKEN.search(text):
            raise OvertakenError(target.table) from error
        foreign = _FOREIGN.search(text)
        if foreign:
            features = foreign[2].rstrip(".")
            raise foreign_table(target.table, features, "Spark", "the embedded engine") from error
        failed = _UNWRITABLE.search(text)
        if failed:
            raise unwritable(target.uri, target.table, failed[0]) from error
        raise
