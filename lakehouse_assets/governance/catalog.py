"""Collects the entries of the catalogue: tables, terms, deliveries, models and pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.datasets import Dataset, Feed, bronze_table, silver_table
from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.catalog.pages import Page, measure_of, resolve, table_of
from lakehouse_assets.catalog.registry import Column, Registry, Table
from lakehouse_assets.catalog.streams import bronze_events
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import SourceColumn
from lakehouse_assets.errors import DamagedTableError, LakehouseError
from lakehouse_assets.governance.lineage import Lineage
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.snapshot import Snapshot
from lakehouse_assets.lake.views import View
from lakehouse_assets.ml.spec import ModelSpec
from lakehouse_assets.quality.tables import QUALITY_EVENTS, QUALITY_RULES

FORMAT = 1
"""Version of the shape of `catalog.json`, see docs/how-to/govern.md."""

MASKED = "•••"
_SAMPLE_ROWS = 5
_VERSIONS = 12
_RUNS = 30
_LONGEST = 80
_RULES = """
    SELECT table_name, rule, any_value(action) AS action, count(*) AS partitions,
        count_if(NOT passed) AS failing_partitions, sum(failing_rows) AS failing_rows,
        sum(rows) AS rows, max(recorded_at) AS recorded_at
    FROM catalog_rules GROUP BY ALL ORDER BY ALL
"""
_HISTORY = """
    SELECT table_name, run_id, max(recorded_at) AS recorded_at, count(*) AS checked,
        count_if(NOT passed) AS failing, sum(failing_rows) AS failing_rows
    FROM catalog_events WHERE kind <> 'figure' GROUP BY ALL ORDER BY table_name, recorded_at, run_id
"""
Entry: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Ages:
    """The ages, in seconds, at which a table is due for data and at which it is late."""

    due: float
    late: float


def describe(
    domains: Sequence[Domain],
    lake: Lake,
    lineage: Lineage,
    roles: Mapping[str, Access],
    ages: Mapping[Table, Ages],
    pages_of_lake: Sequence[Page] = (),
    facts: Sequence[Table] = (),
) -> Entry:
    """Return the content of `catalog.json`; the same lake gives the same content.

    Args:
        domains: The domains.
        lake: The lake, on the embedded engine; tables that are not built have no sample.
        lineage: The lineage of the domains.
        roles: What each role may read.
        ages: The ages at which tables are due and late.
        pages_of_lake: Pages about the lake itself, which belong to no domain.
        facts: Tables that only those pages have.
    """
    registry = lake.registry
    tables = [*registry, *(view.table for view in registry.views)]
    labels = _labels(domains)
    models = _models(domains, lineage)
    shown = Registry((*registry, *facts), registry.views)
    every = (*(page for domain in domains for page in domain.pages), *pages_of_lake)
    pages = [_page(shown, page, facts) for page in every]
    terms = [
        {
            "name": term.name,
            "domain": domain.name,
            "definition": term.definition,
            "steward": term.steward or domain.owner,
            "synonyms": [*term.synonyms],
            "columns": [f"{t.full_name}.{c.name}" for t, c in term.columns_of(_tables(domain))],
            "measures": [f"{t.full_name}.{m.name}" for t, m in term.measures_of(_tables(domain))],
            "related": [*term.related],
        }
        for domain in domains
        for term in domain.terms
    ]
    quality = _quality(lake)
    deliveries = [_delivery(feed, domain) for domain in domains
                  for feed in (*domain.datasets, *domain.streams)]  # fmt: skip
    return {
        "format": FORMAT,
        "tables": [
            _table(table, lake, lineage, labels)
            | {
                "roles": _roles(table, roles),
                "quality": quality.get(table.full_name, {"rules": [], "runs": []}),
                "ages": vars(ages[table]) if table in ages else None,
            }
            for table in tables
        ],
        "deliveries": deliveries,
        "models": models,
        "pages": pages,
        "terms": sorted(terms, key=lambda term: (term["name"].lower(), term["domain"])),
        "roles": [{"name": r.name, "description": r.description} for r in roles.values()],
        "collections": _collections(deliveries, tables, models, pages),
    }


def _tables(domain: Domain) -> list[Table]:
    return [*domain.tables, *(view.table for view in domain.views)]


def _table(
    table: Table, lake: Lake, lineage: Lineage, labels: Mapping[SourceColumn, Sequence[str]]
) -> Entry:
    origins = lineage.of(table.full_name)
    shown = View(table).name
    return {
        "name": table.full_name,
        "domain": table.domain,
        "layer": table.layer,
        "kind": table.kind,
        "topic": table.topic,
        "description": table.full_description,
        "owner": table.owner,
        "keys": [*table.keys],
        "partition": vars(table.partition) if table.partition else None,
        "aliases": [*table.aliases],
        "history": f"{table.full_name}_history" if table.holds_states else None,
        "reads": [*lineage.reads.get(table.full_name, ())],
        "references": [
            {
                "columns": [*reference.columns],
                "table": lake.registry.meant_by(table, reference.to_table).full_name,
                "to_columns": [*reference.to_columns],
                "required": reference.required,
            }
            for reference in table.references
        ],
        "constraints": dict(table.constraints),
        "measures": [vars(measure) for measure in table.measures],
        "columns": [
            _column(table, column, origins.get(column.name, frozenset()), labels)
            for column in table.columns
        ],
        "sql": f"select * from {table.domain}.{shown} limit 5",  # noqa: S608 - to copy, not to run
        "python": f'lakehouse_assets.table("{table.domain}.{shown}")',
        **_stored(table, lake),
    }


def _column(
    table: Table,
    column: Column,
    sources: frozenset[SourceColumn],
    labels: Mapping[SourceColumn, Sequence[str]],
) -> Entry:
    at = SourceColumn(table.full_name, column.name)
    others = sorted(sources - {at})
    allowed = labels.get(at)
    if allowed is None and len(others) == 1 and others[0].column == column.name:
        # A column that is only copied has the values of its source.
        allowed = labels.get(others[0])
    return {
        "name": column.name,
        "type": column.type,
        "nullable": column.nullable,
        "description": column.description,
        "unit": column.unit,
        "pii": column.pii,
        "aliases": [*column.aliases, *filter(None, [column.source])],
        "allowed": [*allowed] if allowed else [],
        "sources": [str(source) for source in others],
    }


def _labels(domains: Iterable[Domain]) -> dict[SourceColumn, Sequence[str]]:
    """Return the documented values of silver columns."""
    return {
        SourceColumn(f"{feed.domain}.silver_{feed.name}", field.name): field.labels
        for domain in domains
        for feed in (*domain.datasets, *domain.streams)
        for field in feed.columns
        if field.labels
    }


def _stored(table: Table, lake: Lake) -> Entry:
    """Return the version, rows, history and masked sample of a table."""
    computed = next((view for view in lake.registry.views if view.table == table), None)
    nothing: Entry = {"stored": None, "versions": [], "sample": []}
    try:
        if computed is not None:
            return nothing | {"sample": _sample(lake, View(table, False, computed))}
        history = lake.history(table, _VERSIONS)
        if not history:
            return nothing
        counts = lake.rows_by_partition(table)
        sample = _sample(lake, View(table, history=True), counts)
    except DamagedTableError as error:
        return nothing | {"stored": {"damaged": str(error)}}
    except LakehouseError:
        # A view of tables that are not built.
        return nothing
    return {
        "stored": {
            "version": history[0].number,
            "rows": sum(counts.values()),
            "partitions": sum(1 for rows in counts.values() if rows) if table.partition else None,
            "written_at": _moment(history[0].written_at or history[0].committed_at),
        },
        "versions": [
            {
                "version": version.number,
                "committed_at": _moment(version.committed_at),
                "operation": version.operation,
                "run": version.commit.run_id if version.commit else None,
                "partition": version.commit.partition if version.commit else None,
                "code_version": version.commit.code_version if version.commit else None,
            }
            for version in history
        ],
        "sample": sample,
    }


def _sample(lake: Lake, view: View, counts: Mapping[Any, int] | None = None) -> list[list[str]]:
    """Return the first rows by key, from the newest partition; PII is masked."""
    table = view.table
    filled = [value for value, rows in (counts or {}).items() if rows and value is not None]
    shown = [column.name for column in table.columns if column.pii is None]
    if not shown:
        return []
    order = [F.col(name).asc_nulls_last() for name in table.keys]
    frame = Snapshot(lake).frame(view)
    if table.partition and filled:
        frame = frame.filter(F.col(table.partition.column) == F.lit(max(filled)))
    first = frame.select(*dict.fromkeys((*table.keys, *shown))).orderBy(*order)
    rows = lake.engine.rows(first.limit(_SAMPLE_ROWS))
    return [[MASKED if c.pii else _text(row[c.name]) for c in table.columns] for row in rows]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _moment(value)
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _moment(value: datetime) -> str:
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _quality(lake: Lake) -> dict[str, Entry]:
    """Return, for each table, the latest verdict of each rule and the last runs that checked it."""
    found: dict[str, Entry] = {}
    for table, name, key, statement in (
        (QUALITY_RULES, "catalog_rules", "rules", _RULES),
        (QUALITY_EVENTS, "catalog_events", "runs", _HISTORY),
    ):
        if lake.version(table) is None:
            continue
        rows = lake.engine.query(statement, {name: lake.read(table)}).read_all()
        for row in rows.to_pylist():
            of = found.setdefault(row.pop("table_name"), {"rules": [], "runs": []})
            # DuckDB returns sums as decimals.
            numbers = {n: int(value) for n, value in row.items() if isinstance(value, Decimal)}
            of[key].append(row | numbers | {"recorded_at": _moment(row["recorded_at"])})
    for of in found.values():
        del of["runs"][:-_RUNS]
    return found


def _roles(table: Table, roles: Mapping[str, Access]) -> list[Entry]:
    return [
        {
            "name": role.name,
            "rows": f"{granted.rows.column} is {' or '.join(map(str, granted.rows.values))}"
            if granted.rows
            else None,
            "masked": sorted(granted.masks),
        }
        for role in roles.values()
        if (granted := role.tables.get(table)) is not None
    ]


def _delivery(feed: Feed, domain: Domain) -> Entry:
    """Return a dataset or a stream as it is delivered."""
    system, place = "Files", f"landing zone, {feed.path}/<day>/"
    source = next((s for s in domain.sources if s.dataset.path == feed.path), None)
    if source is not None:
        system, place = source.system, f"database {source.source}, table {source.full_name}"
    if isinstance(feed, Dataset):
        bronze = bronze_table(feed)
        silver = silver_table(feed).full_name if feed.key else None
    else:
        system, place = "Event hub", f"{feed.source}, topic {feed.topic}"  # type: ignore[attr-defined]  # a stream
        bronze, silver = bronze_events(feed), silver_table(feed).full_name  # type: ignore[arg-type]  # a stream
    return {
        "name": feed.path,
        "domain": feed.domain,
        "system": system,
        "place": place,
        "description": feed.description,
        "owner": feed.owner,
        "bronze": bronze.full_name,
        "silver": silver,
        "fields": [
            {
                "name": str(field.source),
                "description": field.description,
                "unit": field.unit,
                "pii": field.pii,
            }
            for field in feed.fields
        ],
    }


def _models(domains: Iterable[Domain], lineage: Lineage) -> list[Entry]:
    specs: dict[str, tuple[ModelSpec, list[str]]] = {}
    for domain in domains:
        for model in domain.models:
            specs.setdefault(model.spec.name, (model.spec, []))[1].append(model.table.full_name)
    for domain in domains:
        for gold in domain.gold:
            if gold.scored_by is not None and gold.scored_by.name in specs:
                specs[gold.scored_by.name][1].append(gold.table.full_name)
    return [
        {
            "name": name,
            "features": [*spec.features],
            "target": spec.target,
            "scores": dict(spec.scored),
            "tables": tables,
            "learns_from": lineage.models[name][1].full_name,
            "sources": [str(source) for source in sorted(lineage.learnt_from(name))],
            "gates": [{"name": gate.name, "description": gate.description} for gate in spec.gates],
            "limits": [*spec.limits],
        }
        for name, (spec, tables) in sorted(specs.items())
    ]


def _page(registry: Registry, page: Page, facts: Sequence[Table]) -> Entry:
    columns: dict[str, None] = {}
    measures: dict[str, None] = {}
    for visual in page.visuals:
        source = page.source(visual.source)
        for name in visual.named_dimensions:
            path = resolve(registry, page, source, name)
            if path.table not in facts:
                columns[f"{path.table.full_name}.{path.column.name}"] = None
        table = table_of(registry, page, source)
        for name in visual.measures if table not in facts else ():
            measures[f"{table.full_name}.{measure_of(registry, page, source, name).name}"] = None
    return {
        "name": page.name,
        "title": page.title,
        "domain": page.domain,
        "description": page.description,
        "tables": sorted(
            table.full_name
            for table in {table_of(registry, page, source) for source in page.sources}
            if table not in facts
        ),
        "columns": [*columns],
        "measures": [*measures],
    }


def _collections(
    deliveries: Sequence[Entry],
    tables: Sequence[Table],
    models: Sequence[Entry],
    pages: Sequence[Entry],
) -> list[Entry]:
    """Group everything by the system that holds it, from the sources to the reports."""
    found: dict[tuple[str, str], list[Entry]] = {}
    order = {"Files": 0, "Event hub": 2}
    for one in sorted(deliveries, key=lambda d: (order.get(d["system"], 1), d["system"])):
        entry = {"kind": "delivery", "name": one["name"]}
        found.setdefault(("Sources", one["system"]), []).append(entry)
    for table in tables:
        lake = ("Lake", f"{table.domain} {table.layer}")
        found.setdefault(lake, []).append({"kind": "table", "name": table.full_name})
    found["Models", "MLflow"] = [{"kind": "model", "name": model["name"]} for model in models]
    found["BI", "Pages and Power BI"] = [{"kind": "page", "name": page["name"]} for page in pages]
    return [
        {"group": group, "name": name, "entries": entries}
        for (group, name), entries in found.items()
        if entries
    ]
