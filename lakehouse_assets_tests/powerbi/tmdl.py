"""Reads TMDL strictly: what it does not know, or what is indented otherwise, is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_NAME = r"'(?:[^']|'')+'|[A-Za-z_]\w*|[\w-]+"
_OBJECT = re.compile(rf"(?:(ref) )?([a-z]\w*)(?: ({_NAME}))?(?: =(?: (.+))?)?", re.ASCII)
_PROPERTY = re.compile(r"([a-z]\w*):(?: (.*))?")
# Objects and properties by what they belong to; others are unknown. Flags stand alone.
OBJECTS = {
    "": {"database", "model", "table", "relationship", "expression", "cultureInfo", "role",
         "annotation"},
    "model": {"dataAccessOptions"},
    "table": {"measure", "column", "hierarchy", "partition", "annotation"},
    "column": {"annotation"},
    "hierarchy": {"level"},
    "partition": {"source"},
    "cultureInfo": {"linguisticMetadata"},
    "role": {"tablePermission"},
    "tablePermission": {"columnPermission"},
}  # fmt: skip
PROPERTIES = {
    "database": {"compatibilityLevel"},
    "model": {"culture", "defaultPowerBIDataSourceVersion", "sourceQueryCulture"},
    "dataAccessOptions": {"legacyRedirects", "returnErrorValuesAsNull"},
    "table": {"lineageTag", "dataCategory"},
    "measure": {"formatString", "displayFolder", "lineageTag"},
    "column": {"dataType", "isHidden", "isKey", "isNameInferred", "formatString", "displayFolder",
               "dataCategory", "lineageTag", "summarizeBy", "sourceColumn", "sortByColumn"},
    "hierarchy": {"lineageTag"},
    "level": {"lineageTag", "column"},
    "partition": {"mode"},
    "source": {"entityName", "schemaName", "expressionSource"},
    "expression": {"lineageTag"},
    "relationship": {"isActive", "fromColumn", "toColumn"},
    "linguisticMetadata": {"contentType"},
    "role": {"modelPermission"},
    "columnPermission": {"metadataPermission"},
}  # fmt: skip
FLAGS = {"isHidden", "isKey", "isNameInferred", "legacyRedirects", "returnErrorValuesAsNull"}
WITH_EXPRESSION = {"measure", "partition", "expression", "source", "annotation", "tablePermission",
                   "linguisticMetadata"}  # fmt: skip


@dataclass
class Object:
    """An object of a model: its kind, name, expression, description, properties and parts."""

    kind: str
    name: str
    expression: str | None = None
    description: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    parts: list[Object] = field(default_factory=list)

    def all(self, kind: str) -> dict[str, Object]:
        """Return the parts of a kind by name; two of the same name are an error."""
        found: dict[str, Object] = {}
        for part in self.parts:
            if part.kind == kind:
                assert part.name.lower() not in {n.lower() for n in found}, part.name
                found[part.name] = part
        return found


def plain(name: str) -> str:
    """Return a name without its quotes."""
    return name[1:-1].replace("''", "'") if name.startswith("'") else name


def ends(reference: str) -> tuple[str, str]:
    """Return table and column of a reference such as `'a b'.c`."""
    found = re.fullmatch(rf"({_NAME})\.({_NAME})", reference)
    assert found, reference
    return plain(found[1]), plain(found[2])


def read(files: Mapping[str, str]) -> Object:
    """Read a definition's files; the result holds everything, `ref`s checked and left out."""
    root = Object("", "")
    references: list[tuple[str, str]] = []
    for path, text in files.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert "\r" not in text, path
        _Reader(path, text, root, references).objects(root, 0)
    for kind, name in references:
        assert name in root.all(kind), f"ref {kind} {name}"
    for kind in ("table", "role", "cultureInfo"):
        assert {n for k, n in references if k == kind} == {*root.all(kind)}
    return root


class _Reader:
    def __init__(self, path: str, text: str, root: Object, references: list[tuple[str, str]]):
        self.path, self.lines = path, text.split("\n")[:-1]
        self.at, self.root, self.references = 0, root, references

    def depth(self) -> int:
        line = self.lines[self.at]
        found = len(line) - len(line.lstrip("\t"))
        assert line == line.rstrip(), f"{self.path}: blanks at the end of {line!r}"
        assert not line[found:].startswith(" "), f"{self.path}: indented by blanks: {line!r}"
        return found

    def objects(self, owner: Object, depth: int) -> None:
        """Read the properties and parts of an object, which are all at one depth."""
        description: list[str] = []
        while self.at < len(self.lines):
            if not self.lines[self.at]:
                assert not description, f"{self.path}: nothing after a description"
                self.at += 1
                continue
            found = self.depth()
            if found < depth:
                break
            assert found == depth, f"{self.path}: too deep: {self.lines[self.at]!r}"
            line = self.lines[self.at].strip("\t")
            self.at += 1
            if line.startswith("///"):
                description.append(line.removeprefix("///").strip())
                continue
            if not self._property(owner, line, described=bool(description)):
                self._object(owner, line, depth, "\n".join(description))
            description = []
        assert not description, f"{self.path}: nothing after a description"

    def _property(self, owner: Object, line: str, *, described: bool) -> bool:
        found = _PROPERTY.fullmatch(line)
        name = found[1] if found else line
        if not (found or line in FLAGS) or name not in PROPERTIES.get(owner.kind, set()):
            return False
        assert not described, f"{self.path}: a description of {line!r}"
        assert name not in owner.properties, f"{self.path}: twice {line!r}"
        assert bool(found) != (line in FLAGS), line
        assert not owner.parts, f"{self.path}: {line!r} after a part of {owner.name}"
        text = (found[2] or "") if found else "true"
        if text.startswith('"'):
            assert re.fullmatch(r'"(?:[^"]|"")*"', text), text
            text = text[1:-1].replace('""', '"')
        else:
            assert '"' not in text, f"{self.path}: quotes in {line!r}"
            assert text, line
        owner.properties[name] = text
        return True

    def _object(self, owner: Object, line: str, depth: int, description: str) -> None:
        found = _OBJECT.fullmatch(line)
        assert found, f"{self.path}: {line!r} is neither a property nor an object"
        kind, name = found[2], plain(found[3] or "")
        if found[1]:
            self.references.append((kind, name))
            return
        # In model.tmdl, the model's annotations are at its own depth.
        assert kind in OBJECTS.get(owner.kind, set()), f"{self.path}: {kind} in {owner.kind}"
        made = Object(kind, name, found[4], description)
        owner.parts.append(made)
        assert not (" =" in line and kind not in WITH_EXPRESSION), line
        if line.endswith(" ="):
            made.expression = self._block(depth + 2)
            assert made.expression, f"{self.path}: nothing after {line!r}"
        self.objects(made, depth + 1)

    def _block(self, depth: int) -> str:
        """Return an expression of several lines, deeper than the properties of its object."""
        taken = []
        while self.at < len(self.lines) and self.lines[self.at].startswith("\t" * depth):
            taken.append(self.lines[self.at][depth:])
            self.at += 1
        return "\n".join(taken)


def every_id(model: Object) -> Iterator[str]:
    """Yield all lineage tags, and the names of relations, which are ids too."""
    for part in model.parts:
        if part.kind == "relationship":
            yield part.name
        if "lineageTag" in part.properties:
            yield part.properties["lineageTag"]
        yield from every_id(part)
