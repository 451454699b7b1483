"""Microsoft's public JSON schemas of Power BI projects, which lie beside the repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from lakehouse_assets_tests.airline.samples import REPOSITORY

FOLDER = REPOSITORY.parent / "shared" / "schemas" / "powerbi"


def faults_of(files: Mapping[str, str]) -> list[str]:
    """Return what the schemas say against the JSON files of a project."""
    if not FOLDER.is_dir():
        pytest.skip("the public schemas (../shared/schemas/powerbi) are not on this machine")

    def retrieve(address: str) -> Resource[Any]:
        path = FOLDER / address.partition("/json-schemas/")[2]
        return Resource(json.loads(path.read_text("utf-8")), DRAFT7)

    registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]
    faults = []
    for path, text in files.items():
        if path.endswith(".tmdl"):
            continue
        content = json.loads(text)
        if "$schema" not in content:
            # A theme names no schema that is published.
            assert "StaticResources" in path, path
            continue
        schema = registry.get_or_retrieve(content["$schema"]).value.contents
        found = Draft7Validator(schema, registry=registry).iter_errors(content)
        faults += [f"{path}: {error.json_path}: {error.message[:300]}" for error in found]
    return faults
