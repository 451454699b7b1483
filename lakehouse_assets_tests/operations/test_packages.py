"""Bounds of direct dependencies, the pins within them, and the page of packages."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from lakehouse_assets_tests.operations.licences import (
    PAGE,
    REVIEWED,
    canonical,
    direct,
    is_permissive,
    pins,
)
from lakehouse_assets_tests.operations.services import DEPLOY

# It takes the place of PySpark, so it is never in the environment that is pinned.
NOT_PINNED = {"databricks-connect"}


@pytest.mark.parametrize("line", direct())
def test_a_direct_dependency_has_bounds_and_its_pin_is_within(line: str) -> None:
    asked = Requirement(line)
    assert {"<", ">="} <= {bound.operator for bound in asked.specifier}, f"no bounds: {line}"
    name = canonical(asked.name)
    if name not in NOT_PINNED:
        assert pins()[name] in asked.specifier, f"{name} {pins()[name]} is pinned"


def test_what_must_be_of_one_version_is() -> None:
    found = pins()
    for prefix in ("duckdb", "mlflow", "dagster"):
        family = {n: v for n, v in found.items() if n.split("-")[0] == prefix}
        # Dagster's integrations have numbers of their own.
        versions = {v for v in family.values() if prefix != "dagster" or v.startswith("1.")}
        assert len(versions) == 1, family
    assert len({found[f"sqlglot{c}"] for c in ("", "c")}) == 1


def test_the_page_lists_what_is_pinned() -> None:
    text = PAGE.read_text(encoding="utf-8")
    row = r"^\| (\S+) \| (\S+) \| (\d{4}-\d\d-\d\d) \| ([^|]+) \| (yes)? ?\|$"
    rows = re.findall(row, text, re.MULTILINE)
    assert {name: version for name, version, *_ in rows} == pins(), "run `make licences`"
    asked = {canonical(Requirement(line).name) for line in direct()} - NOT_PINNED
    assert {name for name, *_, marked in rows if marked} == asked, "run `make licences`"
    assert not re.search(r"https?://", text), "the page names no registry"
    unknown = {name: licence for name, _, _, licence, _ in rows if not is_permissive(licence)}
    assert unknown.keys() == REVIEWED.keys(), "review it, and give the reason in licences.py"


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT OR GPL-3.0-only", True),
        ("Apache-2.0 AND MIT", True),
        ("MIT AND LGPL-3.0-only", False),
        ("BSD License / GNU General Public License (GPL)", False),
        ("see the package", False),
    ],
)
def test_a_licence_that_is_copyleft_or_unknown_is_noticed(licence: str, expected: bool) -> None:
    assert is_permissive(licence) is expected


def test_the_wheel_carries_the_licences_of_what_it_contains() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["license"] == "Apache-2.0"
    carried = {
        path for pattern in project["project"]["license-files"]
        for path in DEPLOY.parent.glob(pattern)
    }  # fmt: skip
    vendored = DEPLOY.parent / "lakehouse_assets" / "pages" / "vendor"
    wanted = {path for path in vendored.iterdir() if path.suffix != ".js"}
    assert carried == wanted | {DEPLOY.parent / "LICENSE", DEPLOY.parent / "NOTICE"}
    notice = (DEPLOY.parent / "NOTICE").read_text(encoding="utf-8")
    assert all(path.name in notice for path in vendored.iterdir())
