"""Views made by users: named statements that are stored in the lake.

A view is read with the rights of the user who queries it, never with those of its author.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.lake.views import shared_names, views
from lakehouse_assets.query.statements import Statement, read_statement

if TYPE_CHECKING:
    from lakehouse_assets.catalog.registry import Registry
    from lakehouse_assets.lake.delta import Lake
    from lakehouse_assets.storage.files import Files

FILE = ".views.json"
SCHEMA = "views"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class UserViews(Mapping[str, Statement]):
    """The views of a lake by SQL name, `views.<name>` and `<name>`, as statements.

    Args:
        texts: Text of each view by name.
        registry: The declared tables.
    """

    def __init__(self, texts: Mapping[str, str], registry: Registry) -> None:
        self._texts = {f"{SCHEMA}.{name}": text for name, text in texts.items()}
        self._texts |= texts
        self._registry = registry
        self._read: dict[str, Statement] = {}
        self._reading: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __getitem__(self, name: str) -> Statement:
        """Return the statement of a view.

        Raises:
            LakehouseError: the view reads itself.
        """
        if name in self._reading:
            raise LakehouseError(f"The view {name} reads itself; replace or drop it.")
        if name not in self._read:
            self._reading.append(name)
            try:
                self._read[name] = read_statement(
                    self._texts[name], self._registry, "duckdb", users=self
                )
            finally:
                self._reading.pop()
        return self._read[name]


def read_views(lake: Lake) -> dict[str, str]:
    """Return the text of each view of a lake by name.

    Raises:
        LakehouseError: the lake cannot be read.
    """
    return {} if lake.files is None else _texts(lake.files.read(FILE))


def create_view(lake: Lake, name: str, text: str, *, replace: bool = False) -> None:
    """Store a statement as a view, if it can be read.

    Args:
        lake: The lake, on the embedded engine.
        name: The view's name.
        text: One SELECT over tables and views of the lake.
        replace: Whether a view of that name may be replaced.

    Raises:
        LakehouseError: the name is taken or cannot be one, or the text is no such SELECT.
    """
    from lakehouse_assets.query.session import Sessions

    if not _NAME.fullmatch(name):
        raise LakehouseError(
            f"{name!r} cannot be the name of a view; use lower-case letters, digits and _."
        )
    if name in views(lake.registry) or name in shared_names(lake.registry):
        raise LakehouseError(f"There is a table called {name}; choose another name.")

    def changed(content: bytes | None) -> bytes:
        before = _texts(content)
        if name in before and not replace:
            raise LakehouseError(f"The view {name} exists already; replace it with --replace.")
        found = {other: of for other, of in before.items() if other != name} | {name: text.strip()}
        # Read through the new view, so that one that reads itself is found.
        sessions = Sessions(lake, views=UserViews(found, lake.registry))
        sessions.open(guarded=True).describe(f"SELECT * FROM {SCHEMA}.{name}")  # noqa: S608
        return _content(found)

    _files(lake).update(FILE, changed)


def drop_view(lake: Lake, name: str) -> list[str]:
    """Remove a view, and return the names of the views that read it and now fail.

    Raises:
        LakehouseError: there is no such view.
    """
    readers: list[str] = []

    def changed(content: bytes | None) -> bytes:
        before = _texts(content)
        if name not in before:
            close = did_you_mean(name, before) or "."
            raise LakehouseError(
                f"There is no view {name}{close} `lakehouse views list` lists the views."
            )
        known = UserViews(before, lake.registry)
        own = {name, f"{SCHEMA}.{name}"}
        readers[:] = [other for other in before if other != name and own & {*known[other].views}]
        del before[name]
        return _content(before)

    _files(lake).update(FILE, changed)
    return readers


def _texts(content: bytes | None) -> dict[str, str]:
    return {} if content is None else dict(json.loads(content))


def _content(views: Mapping[str, str]) -> bytes:
    return json.dumps(views, indent=1, ensure_ascii=False).encode()


def _files(lake: Lake) -> Files:
    if lake.files is None:
        raise LakehouseError("Views cannot be kept in a lake that Unity Catalog governs.")
    return lake.files
