"""The asset of the static pages, rebuilt after the quality log, which is filled last."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import AutomationCondition as When

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.pages import Page, table_of, tables_of
from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.code_version import code_version
from lakehouse_assets.domains import DOMAINS, PAGES, REGISTRY
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.partitions import accepting_beta
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.pages.own import OWN_PAGES, OWN_TABLES
from lakehouse_assets.quality.tables import MODEL_DECISIONS, QUALITY_DRIFT, QUALITY_RULES

if TYPE_CHECKING:
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.pages.site import Site
    from lakehouse_assets.query.session import Sessions

JOB = "pages"
KEY = dg.AssetKey(["pages", "site"])
EVERY_PAGE = (*PAGES, *OWN_PAGES)
_REGISTRY = Registry((*REGISTRY, *OWN_TABLES), REGISTRY.views)
# These tables are filled last, so pages are rebuilt once and not after every table.
_LAST = (QUALITY_RULES, QUALITY_DRIFT, MODEL_DECISIONS)


def write_pages(
    sessions: "Sessions",
    folder: Path,
    access: Access | None = None,
    *,
    tracking: "MlflowTracking | None" = None,
    identifiers: bool = False,
    made_from: Mapping[str, Any] | None = None,
) -> "Site":
    """Write every page of the domains, and for the owner those about the lake, into a folder.

    Args:
        sessions: Sessions on the lake.
        folder: The folder; pages that were written there before are replaced.
        access: The role that the pages are for; None for the owner.
        tracking: The MLflow store, for the models' metrics.
        identifiers: Whether the files may hold values that identify people.
        made_from: State of the inputs, kept in the folder for a later comparison.

    Raises:
        LakehouseError: see `write_site`.
    """
    from lakehouse_assets.governance.lineage import Lineage
    from lakehouse_assets.pages.reader import lake_reader
    from lakehouse_assets.pages.site import write_site

    reader = lake_reader(sessions, Lineage(DOMAINS, sessions.lake.engine).reads, access, tracking)
    pages = EVERY_PAGE if access is None else [page for page in PAGES if _may_read(access, page)]
    return write_site(
        _REGISTRY, pages, reader, folder, identifiers=identifiers, made_from=made_from
    )


def _may_read(access: Access, page: Page) -> bool:
    """Whether a role may read some source of a page."""
    return any(table_of(_REGISTRY, page, source) in access.tables for source in page.sources)


def tables_of_pages() -> list[Table]:
    """Return the stored tables that pages read, in the order of the registry."""
    read = {
        table
        for page in EVERY_PAGE
        for source in page.sources
        for table in tables_of(_REGISTRY, page, source)
    }
    return [table for table in REGISTRY if table in read]


def _made_from(lake: Lake) -> dict[str, Any]:
    """Return the code and the data that pages are made from.

    The tables of the quality log are left out: each run adds to them, also one without new data.
    """
    versions = {table.full_name: lake.version(table) for table in tables_of_pages()}
    decisions = sum(lake.rows_by_partition(MODEL_DECISIONS).values())
    for table in _LAST:
        del versions[table.full_name]
    return {"code": code_version(), "versions": versions, "decisions": decisions}


@accepting_beta()
def pages_asset(folder: Path) -> dg.AssetsDefinition:
    """Make the asset that writes the pages into a folder."""
    newest = dg.LastPartitionMapping()
    deps = [
        dg.AssetDep(dg.AssetKey(t.key), partition_mapping=newest if t.partition else None)
        for t in tables_of_pages()
    ]
    last = dg.AssetSelection.assets(*(dg.AssetKey(table.key) for table in _LAST))
    condition = (
        When.any_deps_match(When.newly_updated())
        .allow(last)
        .since(When.newly_requested() | When.newly_updated())
        & ~When.in_progress()
        & ~When.any_deps_in_progress().allow(last)
    )

    @dg.asset(
        key=KEY,
        deps=deps,
        group_name=JOB,
        kinds={"html"},
        owners=["team:platform"],
        description="Static pages of the domains' measures, the models and the lake itself.",
        automation_condition=condition.with_label("when the quality log changes"),
        required_resource_keys={"lake", "mlflow"},
        pool=JOB,
    )
    @retries_transient
    def site(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        from lakehouse_assets.pages.site import mark_of
        from lakehouse_assets.query.audit import AuditFolder
        from lakehouse_assets.query.session import Sessions

        resource: LakeResource = context.resources.lake
        # Pages query the embedded engine, whichever engine builds the tables.
        lake = resource.model_copy(update={"engine": "duckdb"}).open()
        made_from, before = _made_from(lake), mark_of(folder)
        if before.get("made_from") == made_from:
            index = dg.MetadataValue.path(str(folder / "index.html"))
            yield dg.MaterializeResult(
                metadata={"index": index, "unchanged": True},
                data_version=dg.DataVersion(before["digest"]),
            )
            return
        sessions = Sessions(lake, audit=AuditFolder(Path(resource.audit)).add)
        written = write_pages(
            sessions, folder, tracking=context.resources.mlflow.open(), made_from=made_from
        )
        lines = ["| table | version | written (UTC) |", "|---|---|---|"]
        lines += [f"| {v.table} | {v.version} | {v.written} |" for v in written.versions]
        missing = {".".join(name): reason for name, reason in written.missing.items()}
        yield dg.MaterializeResult(
            metadata={
                "index": dg.MetadataValue.path(str(folder / "index.html")),
                "pages": written.pages,
                "rows": sum(rows or 0 for rows in written.rows.values()),
                "versions": dg.MetadataValue.md("\n".join(lines)),
                **({"not_shown": missing} if missing else {}),
            },
            data_version=dg.DataVersion(written.digest),
        )

    return site


def pages_job() -> "dg.UnresolvedAssetJobDefinition":
    """Make the job that writes the pages."""
    return dg.define_asset_job(
        JOB, selection=dg.AssetSelection.assets(KEY), description="Writes the static pages."
    )
