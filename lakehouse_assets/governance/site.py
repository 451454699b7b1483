"""Writes the catalogue as a folder of files that a browser opens from a disk or a web server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from lakehouse_assets.errors import LakehouseError

# A folder with this file was written here and may be replaced.
_MARK = "catalog.json"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
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
    fresh = folder.with_name(f"{folder.name}.new")
    try:
        if folder.exists() and not (folder / _MARK).is_file() and [*folder.iterdir()]:
            raise LakehouseError(
                f"The folder {folder} holds other files, which the catalogue would replace; name "
                "an empty folder."
            )
        shutil.rmtree(fresh, ignore_errors=True)
        _write(catalog, fresh, pages)
        # The new folder is complete before it replaces the old one.
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise LakehouseError(
            f"The catalogue cannot be written to {folder} ({error.strerror}); name another folder."
        ) from None


def _write(catalog: Mapping[str, Any], folder: Path, pages: str | None) -> None:
    own, theirs = (files(f"lakehouse_assets.{package}") / "assets"
                   for package in ("governance", "pages"))  # fmt: skip
    assets = folder / "assets"
    assets.mkdir(parents=True)
    text = json.dumps(catalog, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    data = f"Pages.catalog={text};\nPages.folder={json.dumps(pages)};\n"
    for name in {*_STYLES, *_SCRIPTS} - {"data.js"}:
        source = (theirs if name in _OF_PAGES else own) / name
        (assets / name).write_bytes(source.read_bytes())
    (assets / "data.js").write_text(data, encoding="ascii")
    digest = sha256(data.encode()).hexdigest()[:12]
    links = "\n".join(f'<link rel="stylesheet" href="assets/{name}">' for name in _STYLES)
    scripts = "\n".join(
        f'<script defer src="assets/{name}{f"?{digest}" if name == "data.js" else ""}"></script>'
        for name in _SCRIPTS
    )
    (folder / "index.html").write_text(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Catalogue | Lakehouse</title>
<link rel="icon" href="data:,">
{links}
{scripts}
</head>
<body>
<main><noscript>The catalogue needs JavaScript; catalog.json has the same data.</noscript></main>
</body>
</html>
""",
        encoding="utf-8",
    )
    whole = json.dumps(catalog, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / _MARK).write_text(whole + "\n", encoding="utf-8")
