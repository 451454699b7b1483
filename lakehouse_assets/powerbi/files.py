"""What all files of a project share: ids that depend on names only, JSON, and addresses."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid5

SCHEMAS = "https://developer.microsoft.com/json-schemas/fabric"
_NAMESPACE = UUID("0a9d7f8e-6f0c-5d3b-9b1e-2d7b1f6a4c55")


def tag(*parts: str) -> str:
    """Return the id of something in a project, which depends on its names only."""
    return str(uuid5(_NAMESPACE, "/".join(parts)))


def short(*parts: str) -> str:
    """Return an id as pages and visuals have it."""
    return tag(*parts).replace("-", "")[:20]


def as_json(content: Any) -> str:
    """Return JSON as the files have it: two spaces, text as it is."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
