"""Hand-made deliveries, lakes in temporary folders, and reading them back on a way of our own."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg
import pyarrow as pa
import pytest

from lakehouse_assets.catalog.datasets import (
    Dataset,
    bronze_table,
    quarantine_table,
    rejects_table,
    silver_table,
)
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.shared import DOMAIN
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything, Selection, between
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.orchestration.assembly import build_defs, every_asset
from lakehouse_assets.orchestration.jobs import QUALITY, UNPARTITIONED, job_of
from lakehouse_assets.orchestration.planning import PlannedRun, plan, with_follow_ups
from lakehouse_assets.orchestration.run import RunSummary, execute
from lakehouse_assets.quality.checks import BY_PARTITION, FIGURES
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets.settings import Settings

REPOSITORY = Path(__file__).parents[2]
COMMIT = Commit(run_id="test", asset="test", partition="", code_version="")

# A plausible member: 31 March 2014 is the window's last day, so LAST_TO_END is 31 - 21 + 1.
MEMBER = {
    "MEMBER_NO": "7", "FFP_DATE": "2/1/2007", "FIRST_FLIGHT_DATE": "8/30/2007", "GENDER": "Male",
    "FFP_TIER": "6", "WORK_CITY": "beijing", "WORK_PROVINCE": "beijing", "WORK_COUNTRY": "CN",
    "AGE": "40", "LOAD_TIME": "3/31/2014", "FLIGHT_COUNT": "135", "BP_SUM": "351159",
    "SUM_YR_1": "163618", "SUM_YR_2": "164982.5", "SEG_KM_SUM": "283712",
    "LAST_FLIGHT_DATE": "3/21/2014", "LAST_TO_END": "11", "AVG_INTERVAL": "5.298507463",
    "MAX_INTERVAL": "18", "EXCHANGE_COUNT": "20", "avg_discount": "1.254675516",
    "Points_Sum": "406361", "Point_NotFlight": "39",
}  # fmt: skip

PURCHASE = {
    "transaction_id": "T1", "customer_id": 7, "customer_name": "Ann Lee",
    "email": "ann.lee@example.org", "purchase_date": "2014-03-05", "amount": 12.5,
    "status": "completed", "payment_method": "credit_card", "region": "North",
}  # fmt: skip


def member(number: int | str, **fields: Any) -> dict[str, Any]:
    """Return a member as delivered."""
    return {**MEMBER, "MEMBER_NO": str(number), **fields}


def purchase(name: str, **fields: Any) -> dict[str, Any]:
    """Return a purchase as delivered."""
    return {**PURCHASE, "transaction_id": name, **fields}


def bronze(
    engine: Engine,
    dataset: Dataset,
    rows: Sequence[Mapping[str, str | None]],
    delivered_on: date = date(2014, 3, 31),
) -> Any:
    """Make a bronze frame of text rows; a row may name its own provenance columns."""
    provenance = {
        "_source_file": "file.csv",
        "_file_sha256": "0" * 64,
        "_ingested_at": datetime(2014, 4, 1, tzinfo=UTC),
        "_file_version": "0" * 12,
        "_file_records": len(rows),
        "delivered_on": delivered_on,
        "snapshot_month": delivered_on.replace(day=1),
    }
    names = {c.name: c.source or c.name for c in dataset.fields}
    data = [
        {
            **provenance,
            "_row_number": number,
            **{name: row.get(source) for name, source in names.items()},
            **{name: value for name, value in row.items() if name in {*provenance, "_row_number"}},
        }
        for number, row in enumerate(rows, start=1)
    ]
    schema = arrow_schema(bronze_table(dataset))
    return engine.from_arrow(
        pa.table({f.name: pa.array([row[f.name] for row in data], f.type) for f in schema})
    )


def frame(engine: Engine, table: Table, *rows: Mapping[str, Any]) -> Any:
    """Make rows of a declared table; what is not named is null."""
    schema = arrow_schema(table)
    return engine.from_arrow(
        pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema})
    )


def declared_rows(engine: Engine, frame: Any, table: Table) -> list[dict[str, Any]]:
    """Return a frame's rows; those of its columns that a table declares must have their types."""
    found = engine.arrow_stream(frame).read_all()
    different = {}
    for field in arrow_schema(table):
        if field.name in found.column_names:
            kind = found.schema.field(field.name).type
            # UTC has two names, and what an engine calls the items of a list is its own affair.
            text = str(kind).replace("Etc/UTC", "UTC")
            if kind != field.type and text != str(field.type):
                different[field.name] = f"{kind} instead of {field.type}"
    assert different == {}
    return list(found.to_pylist())


def typed(engine: Engine, dataset: Dataset, *rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Type rows as delivered; they come back in the order they were given."""
    texts = [
        {k: str(x) if k in dataset.source_names and x is not None else x for k, x in row.items()}
        for row in rows
    ]
    made = typed_rows(dataset, engine, bronze(engine, dataset, texts))
    found = declared_rows(engine, made, silver_table(dataset))
    return sorted(found, key=lambda row: (row["_source_file"], row["_row_number"]))


@lru_cache(maxsize=1)
def _reader() -> Any:
    import duckdb
    import duckdb_extensions

    connection = duckdb.connect(config={"threads": 2})
    duckdb_extensions.import_extension("delta", con=connection)
    connection.execute("LOAD delta")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def ask(query: str, **places: Path) -> list[dict[str, Any]]:
    """Run SQL in a DuckDB session of the tests; `{name}` stands for the Delta table in a folder."""
    scans = {name: f"delta_scan('{path.as_posix()}')" for name, path in places.items()}
    return _reader().execute(query.format(**scans)).to_arrow_table().to_pylist()


@dataclass(frozen=True)
class House:
    """A small lakehouse in a folder of its own."""

    settings: Settings

    @classmethod
    def at(cls, folder: Path, mlflow: str | None = None) -> House:
        """Make one whose landing zone, lake, models and Dagster home lie in a folder."""
        (folder / "landing").mkdir(parents=True, exist_ok=True)
        return cls(
            Settings(
                landing=folder / "landing",
                root=folder / "lake",
                mlflow_uri=mlflow or f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
                dagster_home=folder / "dagster",
                audit=folder / "audit",
            )
        )

    def deliver(self, dataset: str, day: str, name: str, content: bytes | str) -> Path:
        """Put a file into a dated landing folder."""
        path = self.settings.landing / "airline" / dataset / day / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def deliver_members(
        self, day: str, rows: Iterable[Mapping[str, Any]], name: str = "flight.csv"
    ) -> Path:
        """Deliver a snapshot of members as CSV."""
        return self.deliver("flights", day, name, csv_text(list(MEMBER), rows))

    def deliver_purchases(
        self, day: str, rows: Sequence[Mapping[str, Any]], name: str = "transactions.json"
    ) -> Path:
        """Deliver purchases in the format that the file's name says."""
        if name.removesuffix(".gz").endswith(".csv"):
            text = csv_text(list(PURCHASE), rows)
        elif name.removesuffix(".gz").endswith(".jsonl"):
            text = "".join(json.dumps(row) + "\n" for row in rows)
        else:
            text = json.dumps(list(rows))
        data = text.encode()
        return self.deliver(
            "transactions", day, name, gzip.compress(data, mtime=0) if name[-3:] == ".gz" else data
        )

    def definitions(self, **overrides: Any) -> dg.Definitions:
        """Return the project's definitions on this house."""
        return build_defs(self.settings, **overrides) if overrides else self._definitions

    @cached_property
    def _definitions(self) -> dg.Definitions:
        """Built once: it takes half a second, and tests materialise many times."""
        return build_defs(self.settings)

    def materialise(
        self,
        job: str,
        partition: str | None,
        *tables: Table,
        last: str | None = None,
        run_config: Mapping[str, Any] | None = None,
        instance: dg.DagsterInstance | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialise tables (default: all of the job) for a partition or a range of them."""
        tags = dict(tags or {})
        if partition is not None:
            tags |= {
                "dagster/asset_partition_range_start": partition,
                "dagster/asset_partition_range_end": last or partition,
            }
        return (
            self.definitions()
            .resolve_job_def(job)
            .execute_in_process(
                tags=tags,
                asset_selection=[dg.AssetKey(table.key) for table in tables] or None,
                run_config=dict(run_config or {}),
                instance=instance,
                raise_on_error=False,
            )
        )

    def planned(self, *datasets: Dataset) -> list[PlannedRun]:
        """Plan what the landing zone holds, as `lakehouse run` does.

        Given datasets, only what has to do with them is made: empty tables take as long as others.
        The quality log, which is about all tables, is left out then.
        """
        runs = plan(self.settings).runs
        if not datasets:
            return runs
        bronze = [dg.AssetKey(bronze_table(dataset).key) for dataset in datasets]
        assets = every_asset(self.settings)
        log = [key for asset in assets if job_of(asset) == QUALITY for key in asset.keys]
        # What is made of them, and what else that is made of; the log is made of every table.
        made = dg.AssetSelection.assets(*bronze).downstream() - dg.AssetSelection.assets(*log)
        wanted = made.upstream().required_multi_asset_neighbors().resolve(assets)
        jobs = {
            key.path[-1]: job_of(asset) for asset in assets for key in asset.keys if key in wanted
        }
        planned = []
        for run in runs:
            names = tuple(sorted(name for name, job in jobs.items() if job == run.job))
            if run.job == UNPARTITIONED:
                planned.append(run)
            elif names and run.job != QUALITY:
                planned.append(replace(run, tables=names))
        return planned

    def run(self, *datasets: Dataset, gold: Iterable[Table] | None = None) -> RunSummary:
        """Run everything that the landing zone holds, or what has to do with some datasets.

        Given gold tables, no other ones are made of the datasets: models and what is made of other
        datasets take minutes.
        """
        planned = self.planned(*datasets)
        if not datasets:
            return execute(self.settings, planned)
        tables = {run.job: run.tables for run in planned}
        if gold is not None:
            names = {table.name for table in gold}.union(*(x.loaded_tables for x in datasets))
            kept = {job: tuple(n for n in made if n in names) for job, made in tables.items()}
            tables = {job: made for job, made in kept.items() if made or job == UNPARTITIONED}
        return execute_only(self.settings, planned, tables)

    @property
    def lake(self) -> Lake:
        """The lake through the project's own eyes, for arranging what tests need."""
        return Lake(self.settings.root, start_engine(), REGISTRY)

    def put(
        self, table: Table, rows: Sequence[Mapping[str, Any]], month: date | None = None
    ) -> None:
        """Store rows as if a run had: what is not named is null."""
        lake = self.lake
        selection: Selection = Everything()
        if table.partition is not None:
            assert month is not None
            following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
            selection = between(table.partition, month, following)
        schema = arrow_schema(table)
        data = {f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}
        with lake.engine.scope():
            lake.write(table, lake.engine.from_arrow(pa.table(data)), selection, COMMIT)

    def path(self, table: str | Table) -> Path:
        """Return where a table lies."""
        declared = REGISTRY[table] if isinstance(table, str) else table
        return self.settings.root / declared.domain / declared.name

    def sql(self, query: str, **tables: Table) -> list[dict[str, Any]]:
        """Run SQL over tables; `{t}` stands for the table given as `t`."""
        return ask(query, **{name: self.path(table) for name, table in tables.items()})

    def rows(
        self, table: str | Table, where: str = "true", order: str = "all"
    ) -> list[dict[str, Any]]:
        """Read a table as dictionaries in a fixed order."""
        query = f"SELECT * FROM {{t}} WHERE {where} ORDER BY {order}"  # noqa: S608
        return ask(query, t=self.path(table))

    def lake_rows(self, table: str | Table) -> list[dict[str, Any]]:
        """Read a table through the project's own eyes, wherever it lies, in a fixed order."""
        declared = REGISTRY[table] if isinstance(table, str) else table
        lake = self.lake
        with lake.engine.scope():
            return sorted(lake.engine.rows(lake.read(declared)), key=str)

    def count(self, table: str | Table, where: str = "true") -> int:
        """Count rows."""
        query = f"SELECT count(*) AS n FROM {{t}} WHERE {where}"  # noqa: S608
        return int(ask(query, t=self.path(table))[0]["n"])

    def commits(self, table: str | Table) -> dict[str, bytes]:
        """Return a table's Delta log by file, which shows whether anything was written."""
        log = self.path(table) / "_delta_log"
        return {path.name: path.read_bytes() for path in sorted(log.glob("*.json"))}


def execute_only(
    settings: Settings, runs: Iterable[PlannedRun], tables: Mapping[str, Sequence[str]]
) -> RunSummary:
    """Execute runs and what follows of them, of some tables of each job; other jobs are left out.

    Days that a run puts out of date are run again whole, with every model of their domain.
    """

    def limited(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
        return [replace(r, tables=tuple(tables[r.job])) for r in runs if r.job in tables]

    def follow_ups(*given: Any) -> list[PlannedRun]:
        return limited(with_follow_ups(*given))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lakehouse_assets.orchestration.run.with_follow_ups", follow_ups)
        return execute(settings, limited(runs))


def tables_of(dataset: Dataset) -> list[Table]:
    """Return the tables of bronze and silver that a dataset's files become."""
    makers = (bronze_table, rejects_table, silver_table, quarantine_table)
    return [make(dataset) for make in makers]


def midnight(day: date) -> datetime:
    """Return a day's first moment in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def csv_text(header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as CSV; what is None is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def members_of(path: Path) -> list[dict[str, str]]:
    """Read a delivered CSV file with nothing but Python."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def check(result: dg.ExecuteInProcessResult, table: Table, name: str) -> dg.AssetCheckEvaluation:
    """Return the one evaluation of a check in a run."""
    (found,) = [
        c
        for c in result.get_asset_check_evaluations()
        if c.asset_key == dg.AssetKey(table.key) and c.check_name == name
    ]
    return found


def numbers(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """Return a check's numbers as plain values, without what it says of each partition."""
    apart = {BY_PARTITION, FIGURES}
    return {n: value.value for n, value in evaluation.metadata.items() if n not in apart}


def steps(result: dg.ExecuteInProcessResult, kind: str) -> set[str]:
    """Return the steps with an event such as `START` or `FAILURE`, without the domain."""
    return {
        str(event.step_key).removeprefix(f"{DOMAIN}__")
        for event in result.all_events
        if event.event_type_value == f"STEP_{kind}"
    }


def command(
    *arguments: str, variables: Mapping[str, str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run `lakehouse` as people do, with no settings but the given ones."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-m", "lakehouse_assets", *arguments],
        env={**clean, "NO_COLOR": "1", **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=480,
    )


def variables_of(house: House) -> dict[str, str]:
    """Return a house's settings as environment variables."""
    settings = house.settings
    return {
        "LAKEHOUSE_LANDING": str(settings.landing),
        "LAKEHOUSE_ROOT": str(settings.root),
        "LAKEHOUSE_MLFLOW_URI": settings.mlflow_uri,
        "LAKEHOUSE_DAGSTER_HOME": str(settings.dagster_home),
        "LAKEHOUSE_AUDIT": str(settings.audit),
    }


# Runs a command in this process; returns the exit code, the output and the errors.
Lakehouse: TypeAlias = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class SampleRun:
    """The repository's sample after `lakehouse run`.

    Attributes:
        house: Where it all lies; its landing zone is the repository's `data`.
        process: What the command printed and returned.
    """

    house: House
    process: subprocess.CompletedProcess[str]
