"""Writes what runs read and wrote as OpenLineage events.

Events hold names, versions, counts and verdicts, but no rows, values or error messages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.posting import post_json
from lakehouse_assets.storage.location import CloudLocation, Location

_Json = dict[str, Any]
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_PRODUCER = "https://pypi.org/project/lakehouse-assets"
_JOBS = "lakehouse"
# Versions of the facets, by their names in events.
_FACETS = {
    "parent": "1-2-0/ParentRunFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "ownership": "1-0-1/OwnershipDatasetFacet",
    "documentation": "1-1-0/DocumentationDatasetFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "symlinks": "1-0-1/SymlinksDatasetFacet",
    "datasetType": "1-0-1/DatasetTypeDatasetFacet",
    "tags": "1-0-0/TagsDatasetFacet",
    "columnLineage": "1-2-0/ColumnLineageDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "dataQualityAssertions": "1-1-0/DataQualityAssertionsDatasetFacet",
}


@dataclass(frozen=True)
class Data:
    """What a step read or wrote.

    Attributes:
        name: A table as `<domain>.<table>`, a delivery as `<domain>/<dataset>`, or a model.
        version: Its version; None if it is not recorded, or the step failed.
        rows: Rows written; None if they are not counted.
        size: Bytes of the files written.
        lineage: Tables and columns from which each column is computed.
    """

    name: str
    version: int | None = None
    rows: int | None = None
    size: int | None = None
    lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


class Verdict(NamedTuple):
    """Whether a check of a table passed."""

    table: str
    check: str
    passed: bool


@dataclass(frozen=True)
class Step:
    """A step of a run that has ended.

    Attributes:
        run_id: Id of the run.
        run: Name of the run's job.
        name: Name of the step.
        state: `COMPLETE`, `FAIL` or `ABORT`.
        started: When it started.
        ended: When it ended.
        dagster: Version of Dagster.
        reads: What it read.
        writes: What it wrote.
        verdicts: Results of its checks.
    """

    run_id: str
    run: str
    name: str
    state: str
    started: datetime
    ended: datetime
    dagster: str
    reads: tuple[Data, ...]
    writes: tuple[Data, ...]
    verdicts: tuple[Verdict, ...] = ()


def append_events(path: Path, events: Iterable[_Json]) -> None:
    """Append events to a file that only its owner reads, one JSON object per line, in one write.

    Raises:
        LakehouseError: the file cannot be written.
    """
    lines = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(opened, "ab") as file:
            file.write(lines.encode())
    except OSError as error:
        raise LakehouseError(
            f"Lineage events cannot be written to {path} ({error.strerror}); make it writable, or "
            "set LAKEHOUSE_OPENLINEAGE_FILE to another file."
        ) from error


def post_events(address: str, token: str | None, events: Iterable[_Json]) -> None:
    """Post each event to an address, such as `https://marquez.example.com/api/v1/lineage`.

    Args:
        address: The address; a secret, because it may hold a key.
        token: Bearer token, if the receiver wants one.
        events: The events, in order.

    Raises:
        LakehouseError: an event was not accepted; those before it were.
    """
    for event in events:
        reason = post_json(address, event, token)
        if reason is not None:
            raise LakehouseError(
                f"The receiver did not accept a lineage event ({reason}); check "
                "LAKEHOUSE_OPENLINEAGE_URL. The run's events are sent again next time."
            )


@dataclass(frozen=True)
class Events:
    """Makes the events of steps.

    Args:
        registry: All tables; events hold their descriptions, owners, columns and PII classes.
        root: Root of the lake, which is part of the names of tables.
    """

    _registry: Registry
    _root: Location

    def of(self, step: Step) -> Iterator[_Json]:
        """Yield the events of a step: its start and its end, and those of its checks."""
        written = {one.name for one in step.writes}
        models = [one for one in step.writes if "." not in one.name]
        tables = [one for one in step.writes if "." in one.name]
        if models:
            # Fitting is a job of its own, whose model the scoring job reads.
            data = [read for read in step.reads if read.name not in {m.name for m in models}]
            yield from self._pair(step, ".fit", map(self._dataset, data), map(self._output, models))
        inputs = [self._dataset(read) for read in step.reads if read.name not in written or models]
        yield from self._pair(step, "", inputs, map(self._output, tables))
        for table in dict.fromkeys(verdict.table for verdict in step.verdicts):
            version = next((one.version for one in tables if one.name == table), None)
            found = self._dataset(Data(table, version))
            found["inputFacets"] = _facets(
                dataQualityAssertions={
                    "assertions": [
                        {"assertion": verdict.check, "success": verdict.passed}
                        for verdict in step.verdicts if verdict.table == table
                    ]
                }
            )  # fmt: skip
            yield from self._pair(step, f".checks.{table}", [found], [])

    def _pair(
        self, step: Step, part: str, inputs: Iterable[_Json], outputs: Iterable[_Json]
    ) -> Iterator[_Json]:
        run = {
            "runId": str(uuid5(UUID(step.run_id), f"{step.name}{part}")),
            "facets": _facets(
                parent={
                    "run": {"runId": step.run_id},
                    "job": {"namespace": _JOBS, "name": step.run},
                },
                processing_engine={"name": "Dagster", "version": step.dagster},
            ),
        }
        job = {
            "namespace": _JOBS,
            "name": f"{step.name}{part}",
            "facets": _facets(
                jobType={
                    "processingType": "BATCH", "integration": "DAGSTER",
                    "jobType": "TASK" if not part else part.split(".")[1].upper(),
                }
            ),
        }  # fmt: skip
        read, written = list(inputs), list(outputs)
        for state, at in (("START", step.started), (step.state, step.ended)):
            yield {
                "eventType": state,
                "eventTime": at.astimezone(UTC).isoformat(),
                "producer": _PRODUCER,
                "schemaURL": _EVENT,
                "run": run,
                "job": job,
                # Only the end event has facets.
                "inputs": list(map(_named, read)) if state == "START" else read,
                "outputs": written if state == "COMPLETE" else list(map(_named, written)),
            }

    def _output(self, written: Data) -> _Json:
        found = self._dataset(written)
        if written.lineage:
            fields = {
                column: {"inputFields": [{**self._place(of), "field": name} for of, name in froms]}
                for column, froms in sorted(written.lineage.items())
            }
            found["facets"] |= _facets(columnLineage={"fields": fields})
        counts = {"rowCount": written.rows, "size": written.size}
        known = {name: count for name, count in counts.items() if count is not None}
        if known:
            found["outputFacets"] = _facets(outputStatistics=known)
        return found

    def _dataset(self, data: Data) -> _Json:
        facets: dict[str, _Json] = {}
        if data.version is not None:
            facets["version"] = {"datasetVersion": str(data.version)}
        if "." in data.name:
            facets |= _described(self._registry[data.name])
        else:
            facets["datasetType"] = {"datasetType": "FILE" if "/" in data.name else "MODEL"}
        return {**self._place(data.name), "facets": _facets(**facets)}

    def _place(self, name: str) -> dict[str, str]:
        """Return a dataset's namespace and name, as the specification names files."""
        if "/" in name:
            return {"namespace": f"{_JOBS}/landing", "name": name}
        if "." not in name:
            return {"namespace": f"{_JOBS}/models", "name": name}
        domain, table = name.split(".")
        if isinstance(self._root, CloudLocation):
            scheme, _, rest = str(self._root / domain / table).partition("://")
            host, _, path = rest.partition("/")
            return {"namespace": f"{scheme}://{host}", "name": path}
        return {"namespace": "file", "name": (self._root / domain / table).as_posix()}


def _named(dataset: _Json) -> _Json:
    return {"namespace": dataset["namespace"], "name": dataset["name"]}


def _described(table: Table) -> dict[str, _Json]:
    """Return the facets that follow from a table's declaration."""
    fields = [{"name": c.name, "type": c.type, "description": c.description} for c in table.columns]
    tags = [
        {"key": "pii", "value": column.pii, "field": column.name, "source": "DECLARATION"}
        for column in table.columns if column.pii
    ]  # fmt: skip
    found: dict[str, _Json] = {
        "schema": {"fields": fields},
        "documentation": {"description": table.description},
        "datasetType": {"datasetType": "TABLE"},
        "symlinks": {
            "identifiers": [{"namespace": _JOBS, "name": table.full_name, "type": "TABLE"}]
        },
        "ownership": {"owners": [{"name": table.owner, "type": "OWNER"}]},
    }
    return found | ({"tags": {"tags": tags}} if tags else {})


def _facets(**facets: _Json) -> _Json:
    return {
        name: {
            "_producer": _PRODUCER,
            "_schemaURL": f"{_SPEC}/facets/{_FACETS[name]}.json"
            f"#/$defs/{_FACETS[name].partition('/')[2]}",
            **content,
        }
        for name, content in facets.items()
    }
