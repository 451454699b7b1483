"""Writes Power BI projects (PBIP): a semantic model and a report for each domain."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.glossary import Term
from lakehouse_assets.catalog.pages import Page
from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.powerbi import tmdl
from lakehouse_assets.powerbi.files import SCHEMAS, as_json, static, tag
from lakehouse_assets.powerbi.model import Model, model_of, table_on
from lakehouse_assets.powerbi.report import report_of
from lakehouse_assets.powerbi.sources import RowSource

# Lists the written files, so that later changes to them are not overwritten.
WRITTEN = ".lakehouse-powerbi.json"


@dataclass(frozen=True)
class Project:
    """A project.

    Attributes:
        model: Its semantic model.
        pages: Pages of its report.
        files: Its files by path.
        left_out: Parts that the model and the report lack, with the reasons.
    """

    model: Model
    pages: tuple[Page, ...]
    files: Mapping[str, str]
    left_out: tuple[str, ...]


def projects(
    registry: Registry,
    source: RowSource,
    *,
    pages: Iterable[Page] = (),
    roles: Collection[Access] = (),
    terms: Mapping[str, Iterable[Term]] = MappingProxyType({}),
) -> Iterator[Project]:
    """Yield a project for each domain that has measures or pages.

    Args:
        registry: All tables.
        source: The source of the models' rows.
        pages: The pages. A page belongs to the domain of its first source in the registry.
        roles: The roles of the lake.
        terms: The glossary, by domain.
    """
    belong: dict[str, list[Page]] = {t.domain: [] for t in registry if t.measures}
    for page in pages:
        tables = (table_on(registry, page, one) for one in page.sources)
        domain = next((table.domain for table in tables if table), None)
        if domain is not None:
            belong.setdefault(domain, []).append(page)
    for domain, own in belong.items():
        computed = source.kind == "sql"
        model = model_of(
            registry, domain, computed=computed, pages=own, roles=roles,
            synonyms=_synonyms(registry, terms),
        )  # fmt: skip
        report, left_out = report_of(registry, model, own)
        files = files_of(model, registry, source, report)
        yield Project(model, tuple(own), files, (*model.left_out, *left_out))


def _synonyms(
    registry: Registry, terms: Mapping[str, Iterable[Term]]
) -> dict[tuple[Table, str], tuple[str, ...]]:
    """Return the glossary's terms for columns and measures, by table and name."""
    found: dict[tuple[Table, str], tuple[str, ...]] = {}
    every = [*registry, *(view.table for view in registry.views)]
    for domain, own in terms.items():
        tables = [table for table in every if table.domain == domain]
        for term in own:
            bound = [(table, column.name) for table, column in term.columns_of(tables)]
            bound += [(table, measure.name) for table, measure in term.measures_of(tables)]
            for key in bound:
                found[key] = (*found.get(key, ()), term.name, *term.synonyms)
    return found


def files_of(
    model: Model, registry: Registry, source: RowSource, report: dict[str, str]
) -> dict[str, str]:
    """Return the files of a project, by path.

    Args:
        model: The model.
        registry: All tables.
        source: The source of the model's rows.
        report: Files of the report's definition, by path in its folder.
    """
    name = model.name
    files = {
        **{f"{name}.SemanticModel/{path}": text for path, text in static("SemanticModel").items()},
        f"{name}.SemanticModel/.platform": _platform(model, "SemanticModel"),
        **{
            f"{name}.SemanticModel/definition/{path}": content
            for path, content in tmdl.files_of(model, registry, source).items()
        },
    }
    if report:
        files |= {
            f"{name}.pbip": as_json(
                {
                    "$schema": f"{SCHEMAS}/pbip/pbipProperties/1.0.0/schema.json",
                    "version": "1.0",
                    "artifacts": [{"report": {"path": f"{name}.Report"}}],
                    "settings": {"enableAutoRecovery": True},
                }
            ),
            f"{name}.Report/definition.pbir": as_json(
                {
                    "$schema": f"{SCHEMAS}/item/report/definitionProperties/2.0.0/schema.json",
                    "version": "4.0",
                    "datasetReference": {"byPath": {"path": f"../{name}.SemanticModel"}},
                }
            ),
            f"{name}.Report/.platform": _platform(model, "Report"),
            **{f"{name}.Report/{path}": content for path, content in report.items()},
        }
    return files


def _platform(model: Model, kind: str) -> str:
    return as_json(
        {
            "$schema": f"{SCHEMAS}/gitIntegration/platformProperties/2.0.0/schema.json",
            "metadata": {"type": kind, "displayName": model.name},
            "config": {"version": "2.0", "logicalId": tag(model.domain, kind)},
        }
    )


def write(folder: Path, files: Mapping[str, str], *, overwrite: bool = False) -> None:
    """Write files into a folder, with a list of them, and remove files of the last time.

    Args:
        folder: The folder; it is created if it does not exist.
        files: Their content by path.
        overwrite: Whether to replace files that were changed or written by others.

    Raises:
        LakehouseError: a file that would be replaced or removed was changed or written by others.
    """
    record = folder / WRITTEN
    try:
        before: dict[str, str] = json.loads(record.read_text("utf-8")) if record.exists() else {}
    except ValueError:
        before = {}
    for path in sorted({*before, *files}):
        found = folder / path
        if overwrite or not found.is_file():
            continue
        digest = sha256(found.read_bytes()).hexdigest()
        if digest not in {before.get(path), _digest(files.get(path, ""))}:
            raise LakehouseError(
                f"{found} was changed after it was written, for example in Power BI Desktop; "
                "choose another folder, or discard the changes with --overwrite."
            )
    for path in before.keys() - files.keys():
        (folder / path).unlink(missing_ok=True)
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode())
    record.write_bytes(as_json({path: _digest(files[path]) for path in sorted(files)}).encode())


def _digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()
