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
# Licences that ask for their notice and no more, as packages spell them.
PERMISSIVE = {
    "0BSD", "3-Clause BSD License", "Apache Software License", "Apache-2.0", "BSD", "BSD 3-Clause",
    "BSD License", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC License (ISCL)", "MIT",
    "MIT License", "MIT-0", "MIT-CMU", "PSF-2.0", "Python Software Foundation License",
    "UPL-1.0", "Unlicense", "Zlib",
}  # fmt: skip
_MPL = "MPL-2.0 covers changes to its own files; it is used unchanged"
_LGPL = "LGPL; imported as a library that anybody can replace, only with the extra"
_TERADATA = "Teradata's own licence; only with the extra `teradata`"
# Every other package, and why it may be used.
REVIEWED = {
    "asttokens": "its LICENSE is Apache-2.0, which it declares in its own spelling",
    "certifi": _MPL,
    "docutils": "public domain and BSD; its Emacs mode, which we do not use, is GPL; extra `docs`",
    "huey": "declares no name; its LICENSE is MIT",
    "hypothesis": f"{_MPL}, by tests only",
    "pathspec": _MPL,
    "psycopg": f"{_LGPL} `sources`",
    "psycopg-binary": f"{_LGPL} `sources`",
    "psycopg2-binary": f"{_LGPL} `postgres`",
    "pymssql": f"{_LGPL} `sources`",
    "regex": "Apache-2.0 and CNRI-Python, both permissive; by tests only",
    "skops": "declares no name; its LICENSE is MIT",
    "teradatasql": _TERADATA,
    "teradatasqlalchemy": _TERADATA,
    "tqdm": _MPL,
}
_HEAD = """\
# Packages and licences

lakehouse_assets is licensed under **Apache-2.0**. Dagster, Delta Lake, Spark, MLflow, Arrow and
Apache ECharts, which is in the wheel, have the same licence, so code can move between them and this
project. It permits commercial use and includes a patent grant, and it is compatible with every
package below: none is under the GPL or AGPL, and the LGPL and proprietary ones are optional and
are not part of the wheel.

What the wheel contains from others is in `NOTICE`: Apache ECharts 6.1.0 (Apache-2.0, with parts of
d3 under BSD-3-Clause) and outlines of countries (world-atlas, ISC; data of Natural Earth, public
domain). `dim_places` and `dim_countries` hold data of GeoNames (CC BY 4.0): keep the attribution
when you pass those tables on.

Licences are as the packages declare them, which is not legal advice. **No list of known
vulnerabilities was consulted**; where the network allows it, `pip-audit -r constraints.txt` does.

## Packages to know about
"""
_LIST = """
## Every pinned package

`make licences` makes this table from `constraints.txt`. `released` is the day of release of that
version. `direct` packages are those that `pyproject.toml` asks for.

| package | version | released | licence | direct |
|---|---|---|---|---|
"""


def is_permissive(licence: str) -> bool:
    """Say whether a declared licence asks for its notice and no more."""
    parts = re.split(r" AND | / ", licence)
    return all(any(one in PERMISSIVE for one in part.split(" OR ")) for part in parts)


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
    known = "".join(f"| {name} | {REVIEWED[name]} |\n" for name in wanted if name in REVIEWED)
    return f"{_HEAD}\n| package | licence |\n|---|---|\n{known}{_LIST}{''.join(rows)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
