"""Projects: their files pass the public schemas, and nobody's changes to them are lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse_assets.domains import PAGES, REGISTRY, ROLES
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.pages.own import OWN_PAGES
from lakehouse_assets.powerbi.project import WRITTEN, projects, write
from lakehouse_assets.powerbi.sources import RowSource
from lakehouse_assets_tests.powerbi.schemas import faults_of


def every_file() -> dict[str, str]:
    source = RowSource.of("local", None, Path("/lake"))
    made = list(projects(REGISTRY, (*PAGES, *OWN_PAGES), ROLES.values(), source))
    return {path: text for project in made for path, text in project.files.items()}


def test_every_file_passes_its_public_schema() -> None:
    files = every_file()
    assert files == every_file()
    assert faults_of(files) == []


def contents(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != WRITTEN)
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in found}


def test_files_are_written_again_but_changes_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"a/b.json": "1\n", "c": "2\n"})
    write(tmp_path, {"a/b.json": "3\n"})
    assert contents(tmp_path) == {"a/b.json": "3\n"}
    (tmp_path / "a/b.json").write_text("changed", "utf-8")
    (tmp_path / "own").write_text("kept", "utf-8")
    with pytest.raises(LakehouseError, match=r"b\.json was changed .* --overwrite"):
        write(tmp_path, {"a/b.json": "4\n"})
    with pytest.raises(LakehouseError, match=r"b\.json was changed"):
        write(tmp_path, {"c": "4\n"})
    assert contents(tmp_path) == {"a/b.json": "changed", "own": "kept"}
    write(tmp_path, {"a/b.json": "4\n"}, overwrite=True)
    with pytest.raises(LakehouseError, match="own was changed"):
        write(tmp_path, {"own": "5\n"})
    assert contents(tmp_path) == {"a/b.json": "4\n", "own": "kept"}
