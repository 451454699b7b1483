"""Ids, JSON, and the files that every project has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

SCHEMAS = "https://developer.microsoft.com/json-schemas/fabric"
_NAMESPACE = UUID("0a9d7f8e-6f0c-5d3b-9b1e-2d7b1f6a4c55")


def tag(*parts: str) -> str:
    """Return the id of an object in a project, which depends only on its names."""
    return str(uuid5(_NAMESPACE, "/".join(parts)))


def short(*parts: str) -> str:
    """Return an id in the short form of pages and visuals."""
    return tag(*parts).replace("-", "")[:20]


def as_json(content: Any) -> str:
    """Return JSON with an indent of two spaces and without escapes."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def static(kind: str) -> dict[str, str]:
    """Return the files that every model (`SemanticModel`) or `Report` has, by path."""
    folder = Path(__file__).parent / "static" / kind
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.*"))
    }
