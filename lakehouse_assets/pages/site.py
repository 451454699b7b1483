"""Writes pages as a folder of files that a browser opens from a disk or from any web server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.pages import Page, Source, check_page, table_of, tables_of
from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.errors import LakehouseError, QueryError
from lakehouse_assets.pages.cube import Ask, TooManyRowsError, load

# Marks a folder that was written here, and so may be replaced.
_MARK = "pages.json"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
# The first scripts of a page, in loading order; what visuals share and the visuals follow.
_RUNTIME = ("core", "theme", "format", "data", "filters", "tables", "slicers", "layout")
_LAST = "start.js"
_STYLES = ("pages.css", "visuals.css")


@dataclass(frozen=True)
class Version:
    """The version of a table that pages were made from.

    Attributes:
        table: Full name of the table.
        version: Its Delta version; None for facts about the lake, which no table holds.
        written: When its rows were written, in UTC.
    """

    table: str
    version: int | None
    written: str | None


@dataclass(frozen=True)
class Reader:
    """Reads rows for pages.

    Attributes:
        ask: Runs a statement.
        version: Returns the version of a table that statements read; None if it is not built.
        missing: Says how to build a table that is not built.
    """

    ask: Ask
    version: Callable[[Table], Version | None]
    missing: Callable[[Table], str] = lambda table: f"{table.full_name} is not built."


@dataclass(frozen=True)
class Site:
    """The pages that were written.

    Attributes:
        folder: Where they are.
        rows: Number of rows by page and source; None for a source that is not shown.
        missing: Why a source is not shown, by page and source.
        versions: The versions of the tables.
        pages: Number of pages.
        digest: Identifies the files' contents.
    """

    folder: Path
    rows: Mapping[tuple[str, str], int | None]
    missing: Mapping[tuple[str, str], str]
    versions: tuple[Version, ...]
    pages: int
    digest: str


def write_site(
    registry: Registry,
    pages: Sequence[Page],
    reader: Reader,
    folder: Path,
    *,
    identifiers: bool = False,
    made_from: Mapping[str, Any] | None = None,
) -> Site:
    """Write pages and their index into a folder, replacing pages that were written there before.

    The same versions of the tables give the same bytes.

    Args:
        registry: The tables that pages show.
        pages: The pages, in the order of their links.
        reader: Reads the rows.
        folder: The folder.
        identifiers: Whether the files may hold values that identify people or how to contact them.
            If not, running numbers replace these values.
        made_from: State of the inputs, kept in the folder for a later comparison.

    Raises:
        LakehouseError: a page does not match the registry, or the folder holds other files.
    """
    check_folder(folder, _MARK, "pages")
    models: dict[str, dict[str, Any]] = {}
    rows: dict[tuple[str, str], int | None] = {}
    missing: dict[tuple[str, str], str] = {}
    every: dict[str, Version] = {}
    for page in pages:
        check_page(registry, page)
        sources: list[dict[str, Any]] = []
        used: dict[str, Version] = {}
        for source in page.sources:
            found, versions = _source(registry, page, source, reader, identifiers)
            sources.append(found)
            used |= versions
            rows[page.name, source.name] = found.get("rows")
            if "missing" in found:
                missing[page.name, source.name] = found["missing"]
        models[page.name] = _model(page, sources, used)
        every |= used
    links = [{"name": p.name, "title": p.title, "description": p.description} for p in pages]
    index: dict[str, Any] = {
        "name": "index", "title": "Pages", "visuals": None, "slicers": [], "sources": [],
        "description": "Reports on the business, the models and the lake itself.",
    }  # fmt: skip
    models["index"] = index | _stamped(every)
    with new_folder(folder, "pages") as fresh:
        digest = _write(fresh, models, links)
        read = tuple(every[name] for name in sorted(every) if every[name].version is not None)
        mark = {
            "pages": links, "versions": [asdict(version) for version in read], "digest": digest,
            "made_from": made_from,
        }  # fmt: skip
        (fresh / _MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    return Site(folder, rows, missing, read, len(pages), digest)


def mark_of(folder: Path) -> dict[str, Any]:
    """Return what `write_site` noted in a folder: links, versions, digest and `made_from`."""
    try:
        return dict(json.loads((folder / _MARK).read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def check_folder(folder: Path, mark: str, what: str) -> None:
    """Check that a folder can be replaced.

    Args:
        folder: The folder, which need not exist.
        mark: Name of the file by which a folder that was written here is known.
        what: What would replace it, for messages.

    Raises:
        LakehouseError: it holds other files, or cannot be read.
    """
    try:
        others = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise LakehouseError(f"The folder {folder} cannot be read ({error.strerror}).") from None
    if others and not (folder / mark).is_file():
        raise LakehouseError(
            f"The folder {folder} holds other files, which the {what} would replace; choose an "
            "empty folder."
        )


@contextmanager
def new_folder(folder: Path, what: str) -> Iterator[Path]:
    """Yield a folder to write, which replaces `folder` once it is complete.

    Raises:
        LakehouseError: it cannot be written.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        yield fresh
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise LakehouseError(
            f"The {what} cannot be written to {folder} ({error.strerror}); choose another folder."
        ) from None


def _source(
    registry: Registry, page: Page, source: Source, reader: Reader, identifiers: bool
) -> tuple[dict[str, Any], dict[str, Version]]:
    """Load a source and the versions that it was read from, or the reason why it is not shown."""
    found = {table: reader.version(table) for table in tables_of(registry, page, source)}
    absent = [table for table, version in found.items() if version is None]
    name = table_of(registry, page, source).full_name
    if absent:
        missing = reader.missing(absent[0])
        return {"name": source.name, "table": name, "missing": missing}, {}
    versions = {table.full_name: version for table, version in found.items() if version}
    try:
        return load(registry, page, source, reader.ask, identifiers=identifiers), versions
    except (QueryError, TooManyRowsError) as error:
        # A role may not read it, or it has too many rows. The other sources are shown.
        return {"name": source.name, "table": name, "missing": str(error)}, {}


def _model(
    page: Page, sources: list[dict[str, Any]], versions: Mapping[str, Version]
) -> dict[str, Any]:
    """Return a page as its script holds it."""
    return {
        "name": page.name,
        "title": page.title,
        "description": page.description,
        "slicers": [asdict(slicer) for slicer in page.slicers],
        "visuals": [
            asdict(visual) | {"source": page.source(visual.source).name} for visual in page.visuals
        ],
        "sources": sources,
    } | _stamped(versions)


def _stamped(versions: Mapping[str, Version]) -> dict[str, Any]:
    listed = [versions[name] for name in sorted(versions)]
    newest = max(filter(None, (version.written for version in listed)), default=None)
    return {
        "stamp": f"Data as of {newest} UTC" if newest else "No data yet",
        "versions": [asdict(version) for version in listed if version.version is not None],
    }


def _write(folder: Path, models: Mapping[str, dict[str, Any]], links: list[dict[str, str]]) -> str:
    """Write the files, and return a digest of the data."""
    digests = []
    scripts = _copy_assets(folder)
    for name, model in models.items():
        # Valid as JSON and as JavaScript; `<` would be harmless in a file of its own.
        text = json.dumps(
            model | {"pages": links}, ensure_ascii=True, separators=(",", ":"), allow_nan=False
        )
        data = f"Pages.page={text};\n"
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / f"{name}.js").write_text(data, encoding="ascii")
        digest = sha256(data.encode()).hexdigest()[:12]
        digests.append(digest)
        loaded = [*scripts[:-1], f"data/{name}.js?{digest}", scripts[-1]]
        html = page_of(
            model["title"],
            _STYLES,
            loaded,
            "These pages need JavaScript, which this browser does not run.",
        )
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return sha256("".join(digests).encode()).hexdigest()[:16]


def _copy_assets(folder: Path) -> list[str]:
    """Copy scripts, styles and libraries; return the scripts in loading order."""
    package = Path(__file__).parent
    for source in (*package.glob("assets/**/*.*"), *package.glob("vendor/*.*")):
        copy = folder / source.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    vendored = sorted(path.name for path in (folder / "vendor").glob("*.js"))
    first = [f"{name}.js" for name in _RUNTIME]
    others = sorted(path.name for path in (folder / "assets").glob("*.js"))
    visuals = sorted(path.name for path in (folder / "assets" / "visuals").glob("*.js"))
    return [
        f"assets/{first[0]}",
        *(f"vendor/{name}" for name in vendored),
        *(f"assets/{name}" for name in first[1:]),
        *(f"assets/{name}" for name in others if name not in {*first, _LAST}),
        *(f"assets/visuals/{name}" for name in visuals),
        f"assets/{_LAST}",
    ]


def page_of(title: str, styles: Iterable[str], scripts: Iterable[str], without: str) -> str:
    """Return a page of HTML.

    Args:
        title: Its title.
        styles: Its style sheets, in the folder `assets`.
        scripts: Addresses of its scripts, in loading order.
        without: What a browser without JavaScript shows.
    """
    links = "\n".join(f'<link rel="stylesheet" href="assets/{name}">' for name in styles)
    loaded = "\n".join(f'<script defer src="{script}"></script>' for script in scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} | Lakehouse</title>
<link rel="icon" href="data:,">
{links}
{loaded}
</head>
<body>
<main><noscript>{without}</noscript></main>
</body>
</html>
"""
