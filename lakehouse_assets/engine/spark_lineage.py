"""Column lineage read off the text of Spark's analyzed plan.

The text is the one form of a plan that classic sessions and Spark Connect both give. In it every
attribute carries the number of the expression that made it (`name#12L`), so that names that occur
twice do not matter. Relations that the engine knows stand under an alias of its own. Texts inside
expressions are not quoted, so nothing here counts parentheses: an output is told by its number.

Where a plan holds one frame twice, Spark gives the columns of the second copy new numbers, but
prints the arguments of functions that it replaces later (`nullif`, `between`) with the numbers of
the first. Such a number is looked up among the columns that the walk has passed: a copy comes after
what it is a copy of, and its columns have the same origins.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TypeAlias

from lakehouse_assets.engine.base import SourceColumn

Origins: TypeAlias = dict[str, frozenset[SourceColumn]]
_ByNumber: TypeAlias = MutableMapping[str, frozenset[SourceColumn]]
_Known: TypeAlias = Callable[[str], Callable[[str], frozenset[SourceColumn]] | None]

_NODE = re.compile(r"^((?:[: ] {2})*)([:+]- )?(?=[A-Z])")
_ALIAS = re.compile(r" AS ([^#\n]+?)#(\d+)L?(?=, |\]|$)")
_PLAIN = re.compile(r"([^\s,()\[\]#]+)#(\d+)L?(?=, |\]|$)")
_ATTRIBUTE = re.compile(r"#(\d+)L?\b")
_MARK = re.compile(r"^SubqueryAlias (\w+)$")
_JOINS_LEFT = re.compile(r"^Join (LeftSemi|LeftAnti|ExistenceJoin)")
_SETS = ("Union", "Intersect", "Except")
_NOTHING: frozenset[SourceColumn] = frozenset()


@dataclass
class _Node:
    text: str
    children: list[_Node] = field(default_factory=list)


@dataclass(frozen=True)
class _Output:
    """A column of a node: name, number and where it comes from."""

    name: str
    number: str
    origins: frozenset[SourceColumn]


def columns_of_plan(text: str, known: _Known) -> Origins:
    """Say, for each column of a plan, which stored columns it is computed from.

    Args:
        text: The analyzed plan as Spark prints it.
        known: For the name of a marked relation the origins of its columns by name, None for an
            alias that is no mark.

    Returns:
        Output column to the stored columns its expression uses, by the rule of `lineage.py`.
    """
    return {output.name: output.origins for output in _outputs(_tree(text), known, {})}


def marks_of_plan(text: str) -> list[str]:
    """Return the names of all aliases in a plan, marks among them."""
    return re.findall(r"(?:^|- )SubqueryAlias (\w+)$", text, re.MULTILINE)


def _tree(text: str) -> _Node:
    """Read the tree from its indentation; what starts no node continues a text of the one above."""
    stack: list[tuple[int, _Node]] = []
    for line in text.rstrip("\n").split("\n"):
        match = _NODE.match(line)
        if match is None or (stack and not match[2]):
            stack[-1][1].text += "\n" + line
            continue
        depth = len(match[1]) // 3 + bool(match[2])
        node = _Node(line[match.end() :])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            stack[-1][1].children.append(node)
        stack.append((depth, node))
    return stack[0][1]


def _outputs(node: _Node, known: _Known, passed: _ByNumber) -> list[_Output]:
    """Return the columns of a node.

    Args:
        node: Which.
        known: As for `columns_of_plan`.
        passed: Origins by number of the columns of all nodes that were walked before; added to.
    """
    below = [_outputs(child, known, passed) for child in node.children]
    found = _of_node(node, below, known, passed)
    passed.update((output.number, output.origins) for output in found)
    return found


def _of_node(
    node: _Node, below: list[list[_Output]], known: _Known, passed: _ByNumber
) -> list[_Output]:
    flat = [output for outputs in below for output in outputs]
    origins = ChainMap({output.number: output.origins for output in flat}, passed)
    kind = node.text.split(" ", 1)[0].split("(", 1)[0]
    mark = _MARK.match(node.text)
    if mark is not None:
        stored = known(mark[1])
        if stored is not None:
            return [_Output(o.name, o.number, stored(o.name)) for o in flat]
        return flat
    if kind in _SETS:
        first, *others = below
        return [
            _Output(o.name, o.number, o.origins.union(*(other[i].origins for other in others)))
            for i, o in enumerate(first)
        ]
    if _JOINS_LEFT.match(node.text):
        return below[0]
    if kind in {"Project", "Aggregate"}:
        listed = node.text.split(" ", 1)[1]
        # Of an aggregate, what it groups by comes first, if it groups.
        grouped = listed.partition("], [")[2] if kind == "Aggregate" else ""
        return _listed(grouped or listed[1:], origins)
    if kind == "Window":
        return flat + _listed(node.text.split(" ", 1)[1][1:], origins)
    if kind in {"Generate", "Expand"} or kind.startswith("MapIn"):
        # Functions that make rows: each new column may come from any that they take.
        new = _listed(node.text.rpartition("[")[2], {})
        used = _used(node.text, origins)
        made = [_Output(o.name, o.number, used) for o in new]
        return flat + made if kind == "Generate" else made
    if not node.children:
        return _listed(node.text.partition("[")[2], {})
    return flat


def _listed(text: str, origins: _ByNumber) -> list[_Output]:
    """Read a list of attributes and named expressions, up to the bracket that closes it."""
    found: list[_Output] = []
    position = 0
    while True:
        plain = _PLAIN.match(text, position)
        if plain is not None:
            end, name, number = plain.end(), plain[1], plain[2]
            found.append(_Output(name, number, origins.get(number, _NOTHING)))
        else:
            alias = _ALIAS.search(text, position)
            if alias is None:
                return found
            end, name, number = alias.end(), alias[1], alias[2]
            used = _used(text[position : alias.start()], origins)
            found.append(_Output(name, number, used))
        if not text.startswith(", ", end):
            return found
        position = end + 2


def _used(expression: str, origins: _ByNumber) -> frozenset[SourceColumn]:
    return _NOTHING.union(
        *(origins.get(number, _NOTHING) for number in _ATTRIBUTE.findall(expression))
    )
