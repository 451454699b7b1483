"""Facts about the tables and the models, for the pages about the lake itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.domains import MODELS
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.pages.own import EDGES, GUARDS, METRICS, TABLES
from lakehouse_assets.quality.tables import MODEL_DECISIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.tracking import MlflowTracking


def facts(
    lake: Lake,
    reads: Mapping[str, Sequence[str]],
    tracking: MlflowTracking | None = None,
) -> dict[Table, pa.Table]:
    """Return the rows of `OWN_TABLES`, from Delta logs, the log of decisions, and MLflow.

    Args:
        lake: The lake.
        reads: The tables that each table or view reads, by full name; other names are ignored.
        tracking: The MLflow store; None leaves out the models' metrics.

    Raises:
        LakehouseError: the lake or MLflow cannot be read.
    """
    import pyarrow as pa

    decisions = _decisions(lake)
    rows = {
        TABLES: [_table(lake, table) for table in lake.registry],
        EDGES: _edges(lake.registry, reads),
        GUARDS: _guards(decisions),
    }
    if tracking is not None:
        # Only if there are models: MLflow creates its database on first use.
        models = sorted({decision["model"] for decision in decisions})
        rows[METRICS] = [row for model in models for row in _metrics(tracking, model)]
    return {
        table: pa.Table.from_pylist(found, schema=arrow_schema(table))
        for table, found in rows.items()
    }


def _table(lake: Lake, table: Table) -> dict[str, Any]:
    newest = lake.history(table, 1)
    counts = lake.rows_by_partition(table) if newest else {}
    filled = [value for value, rows in counts.items() if rows]
    rows = sum(counts.values())
    state = "built" if rows else "empty" if newest else "not built"
    return {
        "table_name": table.full_name,
        "domain": table.domain,
        "layer": table.layer,
        "kind": table.kind,
        "state": state,
        "newest_partition": max((v for v in filled if isinstance(v, date)), default=None),
        "written_at": (newest[0].written_at or newest[0].committed_at) if newest else None,
        "version": newest[0].number if newest else None,
        "rows": rows if newest else None,
        "column_count": len(table.columns),
        "partitions": len(filled) if table.partition else 0,
    }


def _edges(registry: Registry, reads: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    layers = {table.full_name: table.layer for table in registry}
    return [
        {"from_table": source, "to_table": table, "from_layer": layers[source],
         "to_layer": layers[table]}
        for table, sources in sorted(reads.items())
        for source in sorted({*sources})
        if table in layers and source in layers
    ]  # fmt: skip


def _decisions(lake: Lake) -> list[dict[str, Any]]:
    if lake.version(MODEL_DECISIONS) is None:
        return []
    columns = ("model", "candidate", "guards")
    return lake.engine.rows(lake.read(MODEL_DECISIONS).select(*columns))


def _guards(decisions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = {
        (decision["model"], decision["candidate"], guard["name"]): {
            "model": decision["model"], "candidate": decision["candidate"],
            "guard": guard["name"], "result": guard["text"], "passed": guard["passed"],
        }
        for decision in decisions
        for guard in json.loads(decision["guards"])
    }  # fmt: skip
    return [found[key] for key in sorted(found)]


def _metrics(tracking: MlflowTracking, model: str) -> list[dict[str, Any]]:
    from lakehouse_assets.ml.decisions import PARTITION_TAG, aliases_of, versions_of

    aliases = aliases_of(tracking, model)
    spec = MODELS.get(model)
    deciding = {gate.metric for gate in spec.gates} if spec else set()
    if spec and spec.comparison:
        deciding.add(spec.comparison.metric)
    return [
        {
            "model": model,
            "version": int(version.version),
            "version_name": f"{model} {version.version}",
            "alias": " ".join(a for a, v in sorted(aliases.items()) if v == int(version.version))
            or None,
            "partition": version.tags.get(PARTITION_TAG, ""),
            "metric": metric,
            "decides": metric in deciding,
            "value": value,
        }
        for version in versions_of(tracking, model)
        for metric, value in sorted(tracking.metrics(str(version.run_id)).items())
    ]
