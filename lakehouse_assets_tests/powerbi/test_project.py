"""Projects: their files pass the public schemas, and nobody's changes to them are lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse_assets.domains import DOMAINS, REGISTRY, ROLES
from lakehouse_assets.domains import PAGES as DOMAIN_PAGES
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.pages.own import OWN_PAGES
from lakehouse_assets.powerbi.project import WRITTEN, projects, write
from lakehouse_assets.powerbi.sources import RowSource
from lakehouse_assets_tests.powerbi.schemas import faults_of

PAGES = (*DOMAIN_PAGES, *OWN_PAGES)
TERMS = {domain.name: domain.terms for domain in DOMAINS}


def every_file() -> dict[str, str]:
    source = RowSource.of("local", None, Path("/lake"))
    made = list(projects(REGISTRY, source, pages=PAGES, roles=ROLES.values(), terms=TERMS))
    return {path: text for project in made for path, text in project.files.items()}


def test_every_file_passes_its_public_schema() -> None:
    files = every_file()
    assert files == every_file()
    assert faults_of(files) == []


def test_words_of_the_glossary_are_synonyms() -> None:
    (told,) = [
        json.loads(text[text.index("{") : text.rindex("}") + 1])
        for path, text in every_file().items()
        if path == "Airline.SemanticModel/definition/cultures/en-US.tmdl"
    ]
    terms = told["Entities"]["fact_flights.fare_revenue"]["Terms"]
    assert {"fare revenue", "ticket revenue"} <= {word for term in terms for word in term}


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
