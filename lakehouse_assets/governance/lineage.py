"""Column lineage of all tables, derived from the declared rules without data.

Each table's rule is applied to empty frames on the embedded engine, and the lineage is read from
the plan. It depends only on the code, so it is complete before the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeAlias

import pyarrow as pa

from lakehouse_assets.catalog.datasets import Dataset, dataset_tables
from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.catalog.gold import BuildContext, GoldTable, rows_of_table
from lakehouse_assets.catalog.registry import INPUTS_DIGEST, Registry, Table, TableView
from lakehouse_assets.catalog.streams import Stream, stream_tables
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine, SourceColumn
from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.ml.lifecycle import unscored, with_digest
from lakehouse_assets.ml.spec import ModelSpec, ModelTable
from lakehouse_assets.quality.classify import (
    accepted_rows,
    apply_expectations,
    classify,
    duplicates_within,
    final_versions,
    quarantined_rows,
)
from lakehouse_assets.quality.fields import expectations_of, typed_rows
from lakehouse_assets.quality.log import latest_verdicts
from lakehouse_assets.quality.silver import VERSION, with_version
from lakehouse_assets.quality.tables import QUALITY_EVENTS, QUALITY_RULES
from lakehouse_assets.streams.events import (
    accepted_events,
    classify_events,
    minute_rows,
    other_events,
)

# The source columns of each column. Tables are named `<domain>.<table>`, deliveries
# `<domain>/<dataset or stream>`, with the names of their fields.
Origins: TypeAlias = Mapping[str, frozenset[SourceColumn]]
# Any month and limit will do, because plans do not depend on them.
_MONTH = date(2021, 6, 1)
_MOST_ROWS = 1_000


class Lineage:
    """The columns that each column of some domains' tables and views is computed from.

    A table's rule is applied when its lineage is first needed. Constants, and columns that only
    filter, join or sort rows, do not count.

    Args:
        domains: The domains.
        engine: The embedded engine, active.
    """

    def __init__(self, domains: Iterable[Domain], engine: Engine) -> None:
        self._engine = engine
        # By table, a function that returns its rows and those of tables made in the same step.
        self._rules: dict[str, Callable[[], Mapping[Table, DataFrame]]] = {}
        self._found: dict[str, Origins] = {}
        self.reads: dict[str, tuple[str, ...]] = {}
        """Names of the tables and deliveries that each table or view reads."""
        self.models: dict[str, tuple[ModelSpec, Table]] = {}
        """The models that learn from a table of the lake, with that table, by name."""
        for domain in domains:
            for dataset in domain.datasets:
                self._add_dataset(dataset)
            for stream in domain.streams:
                self._add_stream(stream)
            for gold in domain.gold:
                tables = [read.table for read in gold.frames.values()]
                self._add(gold.table, tables, partial(self._gold, gold))
            for model in domain.models:
                self.models[model.spec.name] = (model.spec, model.read.table)
                self._add(model.table, [model.read.table], partial(self._model, model))
            for view in domain.views:
                self._add(view.table, view.reads.values(), partial(self._view, view))
        self._add(
            QUALITY_RULES, [QUALITY_EVENTS], lambda: latest_verdicts(self._empty(QUALITY_EVENTS))
        )

    def of(self, table: str) -> Origins:
        """Return the direct sources of a table's columns; columns without sources are left out."""
        if table not in self._found and table in self._rules:
            with self._engine.scope():
                for made, frame in self._rules[table]().items():
                    self._found[made.full_name] = self._engine.lineage(frame)
        return self._found.get(table, {})

    def upstream(self, at: SourceColumn) -> list[SourceColumn]:
        """Return the columns that a column is computed from directly, in order."""
        return sorted(self.of(at.table).get(at.column, frozenset()) - {at})

    def downstream(self, at: SourceColumn) -> list[SourceColumn]:
        """Return the columns that are computed from a column directly, in order."""
        return sorted(
            found
            for table, reads in self.reads.items()
            if at.table in reads
            for column, sources in self.of(table).items()
            if at in sources and (found := SourceColumn(table, column)) != at
        )

    def learnt_from(self, model: str) -> frozenset[SourceColumn]:
        """Return the columns that a model's features, its target and its weights come from."""
        spec, source = self.models[model]
        if model not in self._found:
            with self._engine.scope():
                self._found[model] = self._engine.lineage(spec.prepare(self._empty(source)))
        names = {*spec.features, *spec.fitted_with, *([spec.target] if spec.target else [])}
        return frozenset[SourceColumn]().union(
            *(sources for name, sources in self._found[model].items() if name in names)
        )

    def _add(self, table: Table, reads: Iterable[Table], rule: Callable[[], DataFrame]) -> None:
        self._add_together((table,), reads, lambda: {table: rule()})

    def _add_together(
        self,
        tables: Iterable[Table],
        reads: Iterable[Table],
        rule: Callable[[], Mapping[Table, DataFrame]],
    ) -> None:
        names = tuple(dict.fromkeys(read.full_name for read in reads))
        for table in tables:
            self.reads[table.full_name] = names
            self._rules[table.full_name] = rule

    def _add_delivered(self, feed: Dataset | Stream, rows: Table, rejects: Table) -> None:
        """Add bronze, which has each delivered field, and rejects, which may hold any of them."""
        fields = {
            field.name: frozenset({SourceColumn(feed.path, str(field.source))})
            for field in feed.fields
        }
        self._found[rows.full_name] = fields
        self._found[rejects.full_name] = {"raw_text": frozenset().union(*fields.values())}
        self.reads |= dict.fromkeys((rows.full_name, rejects.full_name), (feed.path,))

    def _add_dataset(self, dataset: Dataset) -> None:
        bronze, rejects, silver, quarantine = dataset_tables(dataset)
        self._add_delivered(dataset, bronze, rejects)

        def cleaned() -> Mapping[Table, DataFrame]:
            typed = typed_rows(dataset, self._engine, self._empty(bronze))
            if dataset.counts == "corrected":
                typed = with_version(dataset, typed)
            rows = self._engine.stage(apply_expectations(typed, expectations_of(dataset)))
            key, partition, counts = dataset.key, dataset.partition.column, dataset.counts
            if counts == "corrected":
                repeated = final_versions(rows, key, VERSION, partition).drop(partition, "address")
            else:
                latest = counts == "latest"
                repeated = duplicates_within(rows, key, latest, partition if latest else None)
            classified = self._engine.stage(classify(rows, repeated))
            return {
                silver: accepted_rows(classified, silver.column_names),
                quarantine: quarantined_rows(classified, dataset),
            }

        self._add_together((silver, quarantine), [bronze], cleaned)

    def _add_stream(self, stream: Stream) -> None:
        bronze, rejects, silver, quarantine, minutes = stream_tables(stream)
        self._add_delivered(stream, bronze, rejects)

        def cleaned() -> Mapping[Table, DataFrame]:
            frames = self._empty(bronze), self._empty(silver)
            classified = self._engine.stage(classify_events(stream, self._engine, *frames))
            return {
                silver: accepted_events(stream, classified),
                quarantine: other_events(stream, classified),
            }

        def by_minute() -> DataFrame:
            closed = pa.table({"closed_before": pa.array([None], pa.timestamp("us", "UTC"))})
            frames = self._empty(silver), self._empty(minutes), self._engine.from_arrow(closed)
            return minute_rows(stream, *frames)

        self._add_together((silver, quarantine), [bronze], cleaned)
        self._add(minutes, [silver], by_minute)

    def _gold(self, gold: GoldTable) -> DataFrame:
        monthly = gold.table.partition is not None and gold.table.partition.grain == "month"
        ctx = BuildContext(
            month=_MONTH if monthly else None,
            day=None if monthly else _MONTH,
            loaded_at=datetime(_MONTH.year, _MONTH.month, _MONTH.day, tzinfo=UTC),
            engine=self._engine,
            week_starts_on="monday",
            training_rows=_MOST_ROWS,
        )
        frames = {name: self._empty(read.table) for name, read in gold.frames.items()}
        data = {name: self._engine.from_arrow(get()) for name, get in gold.data.items()}
        rows = rows_of_table(gold, {**data, **frames}, ctx)
        return self._scored(gold.scored_by, rows, gold.table) if gold.scored_by else rows

    def _model(self, model: ModelTable) -> DataFrame:
        rows, partition = self._empty(model.read.table), model.table.partition
        if partition and partition.column not in rows.columns:
            rows = rows.withColumn(partition.column, F.lit(_MONTH))
        return model.spec.finish(self._scored(model.spec, model.spec.prepare(rows), model.table))

    def _scored(self, spec: ModelSpec, rows: DataFrame, table: Table) -> DataFrame:
        """Add the columns of a model's scores; each depends on every feature."""
        if INPUTS_DIGEST.name in table.column_names:
            rows = with_digest(spec, rows)
        features = F.concat(*[F.col(name).cast("string") for name in spec.features])
        scores = {
            name: F.when(features.isNull(), F.lit(None)).cast(kind)
            for name, kind in spec.scored.items()
        }
        return unscored(spec, rows).withColumns(scores)

    def _view(self, view: TableView) -> DataFrame:
        return view.rule(**{name: self._empty(table) for name, table in view.reads.items()})

    def _empty(self, table: Table) -> DataFrame:
        return self._engine.from_arrow(arrow_schema(table).empty_table(), table.full_name)


def walk(
    at: SourceColumn, step: Callable[[SourceColumn], list[SourceColumn]]
) -> list[tuple[SourceColumn, SourceColumn]]:
    """Return all steps from a column, such as `Lineage.upstream`, each once and nearest first."""
    found: dict[tuple[SourceColumn, SourceColumn], None] = {}
    seen, queue = {at}, [at]
    for column in queue:
        for other in step(column):
            found[column, other] = None
            if other not in seen:
                seen.add(other)
                queue.append(other)
    return [*found]


def find_column(registry: Registry, name: str) -> SourceColumn:
    """Find a column by `<table>.<column>`; the table may be an alias or have its domain before it.

    Raises:
        LakehouseError: the registry has no such table or column.
    """
    of, _, column = name.rpartition(".")
    if not of:
        raise LakehouseError(f"{name!r} is not a column; write <table>.<column>.")
    table = registry[of]
    if column not in table.column_names:
        close = did_you_mean(column, table.column_names) or "."
        raise LakehouseError(
            f"Table {table.full_name} has no column {column!r}{close} `lakehouse tables "
            f"{table.full_name}` lists them all."
        )
    return SourceColumn(table.full_name, column)
