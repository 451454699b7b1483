"""The Spark engine: scans, Arrow data in and out, kept frames, and queries."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from lakehouse_assets.engine.base import BATCH_ROWS, SourceColumn
from lakehouse_assets.engine.batches import adding_columns, not_computed
from lakehouse_assets.engine.current import DataFrame
from lakehouse_assets.engine.scoped_resources import ScopedResources
from lakehouse_assets.engine.spark_dialect import SparkDialect
from lakehouse_assets.engine.spark_memory import explain_lack_of_memory
from lakehouse_assets.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.catalog.registry import Column

_Results = TypeVar("_Results")
# Aliases in Spark's plans: those of scans say what they read, those of kept frames are looked up.
_ALIAS = re.compile(r"(?:^|- )SubqueryAlias (\w+)$", re.MULTILINE)
_SCAN = re.compile(r"lakehouse_scan_(\w+)_at_(\d+)")
_KEPT = "lakehouse_kept_"
# The last line of a Python traceback, with the error.
_RAISED = re.compile(r"^(?:\w+\.)*\w+(?:Error|Exception): (.*)$", re.MULTILINE)
_NUMBERS = itertools.count(1)
# Rows of Arrow data that the driver holds before Spark stores them.
_CHUNK_ROWS = 1_000_000


class SparkEngine:
    """One Spark session for the process.

    Args:
        session: Classic or Spark Connect session.

    Attributes:
        session: The session.
        remote: Whether it is a Spark Connect session.
    """

    name = "spark"

    def __init__(self, session: Any) -> None:
        from pyspark.sql import Window, functions

        self.session = session
        self.functions = functions
        self.window = Window
        self.dialect = SparkDialect()
        self.remote = ".connect." in type(session).__module__
        self._origin_versions: dict[str, dict[str, int]] = {}
        self._scoped: ScopedResources[tuple[str, DataFrame]] = ScopedResources(self._free)
        self._views: set[str] = set()
        # Spark or a server has to print each plan, and one write needs it twice.
        self._plans: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def open_store(self, settings: Mapping[str, str]) -> None:
        """Open an object store for reading and writing.

        Args:
            settings: Settings of the store's driver, which may hold secrets.
        """
        for name, value in settings.items():
            self.session.conf.set(name, value)

    def scan_delta(
        self, uri: str, version: int, table: str, columns: Sequence[Column]
    ) -> DataFrame:
        """Read one version of a Delta table lazily; its columns are the declared ones."""
        stored = self.session.read.format("delta").option("versionAsOf", int(version)).load(uri)
        declared = stored.select(*[_quoted(column.name) for column in columns])
        return declared.alias(f"lakehouse_scan_{table}_at_{int(version)}")

    def from_arrow(
        self, data: pa.Table | pa.RecordBatchReader, table: str | None = None
    ) -> DataFrame:
        """Make a frame of Arrow data; its rows are kept until the scope ends.

        A stream is passed to Spark in chunks, so that the driver never holds all of it.
        """
        import pyarrow as pa

        # All nullable, because Spark does not check non-nullable columns for nulls.
        schema = pa.schema([field.with_nullable(True).remove_metadata() for field in data.schema])
        if isinstance(data, pa.Table):
            return self._from_table(data.cast(schema))
        parts = [self._keep(self._from_table(chunk), {}) for chunk in _chunks(data, schema)]
        return self.union(parts) if parts else self._from_table(schema.empty_table())

    def _from_table(self, table: pa.Table) -> DataFrame:
        from pyspark.sql.pandas.types import from_arrow_schema

        schema = from_arrow_schema(table.schema, prefer_timestamp_ntz=True)
        return self.session.createDataFrame(table, schema)

    def checkpoint(self, frame: DataFrame) -> DataFrame:
        """Compute a frame once and keep it until the scope ends.

        Its rows are stored and its plan ends there. Spark's cache would recompute lost rows, which
        could then differ.
        """
        return self._keep(frame, self.versions_read(frame))

    def _keep(self, frame: DataFrame, versions: dict[str, int]) -> DataFrame:
        name = f"{_KEPT}{next(_NUMBERS)}"
        from pyspark import StorageLevel

        # Stores bytes. As objects, Spark's default, the same rows take twice the memory.
        level = StorageLevel.MEMORY_AND_DISK
        with explain_lack_of_memory():
            stored = frame.localCheckpoint(eager=True, storageLevel=level)
        self._scoped.add((name, stored))
        self._origin_versions[name] = versions
        return stored.alias(name)

    def stage(self, frame: DataFrame) -> DataFrame:
        """Return the frame: Spark's plans grow by reference, so cutting them gains nothing."""
        return frame

    def union(self, frames: Sequence[DataFrame]) -> DataFrame:
        """Concatenate frames with the same columns."""
        columns = list(frames[0].columns)
        first, *others = (frame.select(*map(_quoted, columns)) for frame in frames)
        return reduce(type(first).union, others, first)

    def prepared(self, transform: Callable[..., _Results]) -> Callable[..., _Results]:
        """Return the transformation itself, because Spark's plans are cheap to make."""
        return transform

    def add_columns(
        self,
        frame: DataFrame,
        needed: Sequence[str],
        added: pa.Schema,
        compute: Callable[[pa.RecordBatch], pa.RecordBatch],
    ) -> DataFrame:
        """Compute columns in Python, batch by batch, once; they are kept until the scope ends.

        Python runs next to Spark's workers, so that no rows pass through the driver.
        """
        from pyspark.errors import PySparkException
        from pyspark.sql.pandas.types import from_arrow_schema
        from pyspark.sql.types import StructType

        versions = self.versions_read(frame)
        new = from_arrow_schema(added, prefer_timestamp_ntz=True)
        schema = StructType([*frame.schema.fields, *new.fields])
        try:
            with sending_the_package():
                wider = frame.mapInArrow(adding_columns(needed, added, compute), schema)
                return self._keep(wider, versions)
        except PySparkException as error:
            found = _RAISED.findall(str(error))
            if not found:
                raise
            raise not_computed(added, found[-1]) from error

    def scope(self) -> AbstractContextManager[None]:
        """Open a scope; frames that are kept inside are freed when it ends."""
        return self._scoped.scope()

    def _free(self, kept: tuple[str, DataFrame]) -> None:
        name, frame = kept
        if not self.remote:
            # A Connect server frees rows that no client refers to; a classic session does not.
            frame._jdf.queryExecution().analyzed().rdd().unpersist(False)
        self._origin_versions.pop(name, None)

    def arrow_stream(self, frame: DataFrame) -> pa.RecordBatchReader:
        """Run a frame and stream its rows, holding one part at a time in memory."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_schema

        schema = _open(to_arrow_schema(frame.schema, timezone="UTC"))
        batches = self._remote_batches(frame) if self.remote else _batches(frame, schema)
        return pa.RecordBatchReader.from_batches(
            schema, (piece for batch in batches for piece in _pieces(batch, schema))
        )

    def _remote_batches(self, frame: DataFrame) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        plan = frame._plan.to_proto(self.session.client)
        for answer in self.session.client.to_table_as_iterator(plan, frame._plan.observations):
            if isinstance(answer, pa.Table):
                yield from answer.to_batches()

    def rows(self, frame: DataFrame) -> list[dict[str, Any]]:
        """Run a small frame and return its rows."""
        with explain_lack_of_memory():
            return list(frame.toArrow().to_pylist())

    def query(
        self, sql: str, frames: Mapping[str, DataFrame] | None = None
    ) -> pa.RecordBatchReader:
        """Run one SQL statement over named frames and return its rows.

        Args:
            sql: The statement.
            frames: Frames by SQL name: `domain.table` or a plain name.

        Raises:
            QueryError: the statement fails.
        """
        from pyspark.errors import PySparkException

        for name, frame in (frames or {}).items():
            frame.createOrReplaceTempView(_quoted(name))
            self._views.add(name.lower())
        try:
            return self.session.sql(self._with_view_names(sql)).toArrow().to_reader()
        except PySparkException as error:
            said = str(error).strip().partition("\n")[0].rstrip(".")
            table = re.search(r"table or view (\S+) cannot be found", said)
            column = re.search(r"\[UNRESOLVED_COLUMN.*? with name (\S+) cannot", said)
            raise QueryError(
                f"The query does not run: {said}.",
                table=table and table[1].replace("`", ""),
                column=column and column[1].replace("`", "").rpartition(".")[2],
            ) from None

    def _with_view_names(self, sql: str) -> str:
        """Quote two-part names of views as one: Spark's temporary views have no schema."""
        from sqlglot.dialects.spark import Spark
        from sqlglot.errors import TokenError

        try:
            tokens = Spark().tokenize(sql)
        except TokenError:
            # Spark will report the error.
            return sql
        for schema, dot, name in reversed(list(zip(tokens, tokens[1:], tokens[2:], strict=False))):
            full = f"{schema.text}.{name.text}"
            if dot.text == "." and full.lower() in self._views:
                sql = sql[: schema.start] + _quoted(full) + sql[name.end + 1 :]
        return sql

    def lineage(self, frame: DataFrame) -> dict[str, frozenset[SourceColumn]]:
        """Return nothing: lineage follows from the code, and the embedded engine derives it."""
        return {}

    def versions_read(self, frame: DataFrame) -> dict[str, int]:
        """Return the Delta versions that the frame's plan reads, by table name."""
        found: dict[str, int] = {}
        for mark in _ALIAS.findall(self._plan(frame)):
            scan = _SCAN.fullmatch(mark)
            found |= {scan[1]: int(scan[2])} if scan else self._origin_versions.get(mark, {})
        return found

    def _plan(self, frame: DataFrame) -> str:
        """Return the text of the frame's analyzed plan."""
        text = self._plans.get(frame)
        if text is None:
            if self.remote:
                text = frame._explain_string(extended=True)
                text = text.partition("== Analyzed Logical Plan ==\n")[2]
                # The first line is the schema.
                text = text.partition("\n")[2].partition("\n\n== Optimized Logical Plan ==")[0]
            else:
                text = str(frame._jdf.queryExecution().analyzed().toString())
            self._plans[frame] = text
        return text


@contextmanager
def sending_the_package() -> Iterator[None]:
    """Have Spark send the project's code along, so that workers need not have it installed."""
    from pyspark.cloudpickle import register_pickle_by_value, unregister_pickle_by_value

    package = sys.modules[__package__.partition(".")[0]]
    register_pickle_by_value(package)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        # Other functions, such as the parsers of streams, use what cannot be sent.
        unregister_pickle_by_value(package)  # type: ignore[no-untyped-call]


def _batches(frame: DataFrame, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Run a classic frame partition by partition, as Arrow batches that the JVM writes."""
    import pyarrow as pa
    from pyspark.serializers import NoOpSerializer
    from pyspark.util import _local_iterator_from_socket

    stored = frame._jdf.toArrowBatchRdd(BATCH_ROWS, "UTC", False, False)
    jvm = frame.sparkSession.sparkContext._jvm
    # Prefetch: the next partition is computed while this one is read.
    served = jvm.PythonRDD.toLocalIteratorAndServe(stored, True)
    for message in _local_iterator_from_socket(served, NoOpSerializer()):
        yield pa.ipc.read_record_batch(pa.py_buffer(message), schema)


def _open(schema: pa.Schema) -> pa.Schema:
    """Make every field nullable: nullability depends on how a value is computed."""
    import pyarrow as pa

    def kind(given: Any) -> Any:
        return pa.list_(given.value_type) if pa.types.is_list(given) else given

    return pa.schema([pa.field(field.name, kind(field.type)) for field in schema])


def _pieces(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Cut a batch to size; a server chooses sizes of its own."""
    batch = batch.cast(schema) if batch.schema != schema else batch
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)


def _chunks(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    for batch in reader:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= _CHUNK_ROWS:
            yield pa.Table.from_batches(waiting).cast(schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).cast(schema)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
