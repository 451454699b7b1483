"""`make licences`: the page of pinned packages, with each one's licence and date of release.

Licences are those that the packages declare. Dates are what the package index says of the files, as
uv writes them into a lock file; its addresses are left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from lakehouse_assets_tests.airline.samples import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "packages.md"
_HEAD = """\
# Packages

Every pinned package of `constraints.txt`, made by `make licences`: the licence that it declares,
and the day on which that version was released. `direct` are those that `pyproject.toml` asks for,
within bounds; the others come with them.

**No list of known vulnerabilities has been consulted**: that needs the network at the moment of
asking. Where there is one, `pip-audit -r constraints.txt` asks for it; the dates here only show
what is old. Licences are as declared, which is no legal advice.

Beside them, `lakehouse_assets/pages/vendor` holds Apache ECharts 6.1.0 (Apache-2.0, with parts
of d3 under BSD-3-Clause) and outlines of countries made from world-atlas (ISC; data of Natural
Earth, in the public domain), each with its licence.

| package | version | released | licence | direct |
|---|---|---|---|---|
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Return the version of each pinned package."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {canonical(name): version for name, _, version in found}


def direct() -> list[str]:
    """Return what `pyproject.toml` asks for, of the package and of every extra."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(line for extra in extras for line in extra)]


def licence(found: Distribution) -> str:
    """Return the licence that a package declares, as short as it does."""
    meta = found.metadata
    classes = [text for text in meta.get_all("Classifier") or [] if text.startswith("License")]
    text = (meta.get("License") or "").strip().partition("\n")[0].strip()
    named = [
        text.rpartition(" :: ")[2] for text in classes if not text.lower().endswith("approved")
    ]
    whole = text if len(text) <= 40 and "Copyright" not in text else ""
    return meta.get("License-Expression") or " / ".join(named) or whole or "see the package"


def _installed(folder: str, wanted: Mapping[str, str]) -> dict[str, Distribution]:
    """Return the pinned packages, fetching those that the environment has not."""
    found = {canonical(d.name): d for d in distributions()}
    missing = [f"{n}=={v}" for n, v in wanted.items() if n not in found or found[n].version != v]
    if missing:
        _uv("install", "--no-deps", "--target", folder, *missing)
    return found | {canonical(d.name): d for d in distributions(path=[folder])}


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "pip", *arguments, "--quiet"], check=True, cwd=REPOSITORY)


def page() -> str:
    """Write the page."""
    wanted = pins()
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "pylock.toml"
        pinned = Path(folder) / "pins.txt"
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in wanted.items()))
        _uv("compile", "--no-deps", "--format", "pylock.toml", "-o", str(lock), str(pinned))
        dates = {}
        for package in tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]:
            files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
            dates[canonical(package["name"])] = min(file["upload-time"] for file in files).date()
        found = _installed(folder, wanted)
        asked = {canonical(re.split(r"[\[<>=!~; ]", line)[0]) for line in direct()}
        rows = [
            f"| {name} | {version} | {dates[name]} | {licence(found[name])} | "
            f"{'yes' if name in asked else ''} |\n"
            for name, version in sorted(wanted.items())
        ]
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
