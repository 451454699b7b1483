"""Writes the catalogue as a folder of files that a browser opens from a disk or a web server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from lakehouse_assets.pages.site import check_folder, new_folder, page_of

# A folder with this file was written here and may be replaced.
_MARK = "catalog.json"
# The catalogue shares the pages' colours, header, elements and switch between light and dark.
_OF_PAGES = ("pages.css", "core.js", "theme.js")
_STYLES = ("pages.css", "catalog.css")
_SCRIPTS = ("core.js", "data.js", "theme.js", "search.js", "map.js", "catalog.js")


def write_catalog(catalog: Mapping[str, Any], folder: Path, pages: str | None = None) -> None:
    """Write the catalogue into a folder; an earlier catalogue is replaced.

    Args:
        catalog: What `governance.catalog.describe` returns.
        folder: The folder.
        pages: Address of the folder of the lake's pages, relative to this one; None without pages.

    Raises:
        LakehouseError: the folder holds other files, or cannot be written.
    """
    check_folder(folder, _MARK, "catalogue")
    own, theirs = (
        files(f"lakehouse_assets.{package}") / "assets" for package in ("governance", "pages")
    )
    text = json.dumps(catalog, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    data = f"Pages.catalog={text};\nPages.folder={json.dumps(pages)};\n"
    digest = sha256(data.encode()).hexdigest()[:12]
    scripts = [f"assets/{n}?{digest}" if n == "data.js" else f"assets/{n}" for n in _SCRIPTS]
    html = page_of(
        "Catalogue",
        _STYLES,
        scripts,
        "The catalogue needs JavaScript; catalog.json has the same data.",
    )
    whole = json.dumps(catalog, ensure_ascii=False, indent=1, allow_nan=False)
    with new_folder(folder, "catalogue") as fresh:
        assets = fresh / "assets"
        assets.mkdir(parents=True)
        for name in {*_STYLES, *_SCRIPTS} - {"data.js"}:
            source = (theirs if name in _OF_PAGES else own) / name
            (assets / name).write_bytes(source.read_bytes())
        (assets / "data.js").write_text(data, encoding="ascii")
        (fresh / "index.html").write_text(html, encoding="utf-8")
        (fresh / _MARK).write_text(whole + "\n", encoding="utf-8")
