"""Reference pages as Markdown: settings, commands, tables, measures, terms, roles, declarations.

A page in `docs/reference` names a list between `<!-- generated: NAME -->` and `<!-- end -->`;
Sphinx replaces what is between them with the list as the program declares it. Run as a script
(`make reference`), this writes the shorter lists into the pages, where a code host shows them.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, Field, fields
from datetime import date
from itertools import pairwise
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from lakehouse_assets.catalog import (
    access,
    datasets,
    domain,
    expectations,
    gold,
    pages,
    registry,
    sources,
    streams,
    subjects,
)
from lakehouse_assets.catalog import (
    glossary as terms,
)
from lakehouse_assets.catalog.access import RowFilter
from lakehouse_assets.catalog.registry import Column, Table
from lakehouse_assets.cli import main as cli
from lakehouse_assets.domains import DOMAINS, REGISTRY, ROLES
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ml import spec
from lakehouse_assets.settings import Settings

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_PLACE = re.compile(r"<!-- generated: ([\w.]+) -->\n.*?<!-- end -->", re.DOTALL)
_LAYERS = {"segments": "Segments", "gold": "Gold", "silver": "Silver", "bronze": "Bronze"}
_PAGES = Path(__file__).parent / "reference" / "tables"
TABLES = (*REGISTRY, *(view.table for view in REGISTRY.views))
_OF_FILES = "[those of files](file-formats-and-limits.md#limits-of-a-file)"
# Where the value of a setting is not its whole meaning.
_DEFAULTS = {"threads": "all", "campaign_tags": "14 hashtags", "file_limits": _OF_FILES}


def text(value: object) -> str:
    """Return prose for a cell or a paragraph: what Markdown would take for markup is escaped."""
    parts = re.split(r"(`[^`\n]*`)", str(value))
    shown = [
        part if index % 2 else re.sub(r"([\\<*\[\]_#$~])", r"\\\1", part)
        for index, part in enumerate(parts)
    ]
    return "".join(shown).replace("|", "\\|")


def code(value: object) -> str:
    """Return a name or a value as code."""
    return f"`{value}`".replace("|", "\\|")


def rows(header: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown, or nothing if it has no rows."""
    lines = [f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in cells]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *lines]) + "\n"


def meanings_of(of: type) -> dict[str, str]:
    """Return the text below each field of a class.

    Pydantic would read it too, but at each import of the class.
    """
    (declared,) = ast.parse(inspect.getsource(of)).body
    return {
        field.target.id: " ".join(str(below.value.value).split())
        for field, below in pairwise(ast.iter_child_nodes(declared))
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }  # fmt: skip


def settings() -> str:
    """List every setting with its default and its meaning."""
    meanings = meanings_of(Settings)
    return rows(
        ("Variable", "Meaning", "Default"),
        (
            (
                code(f"LAKEHOUSE_{name.upper()}"),
                text(meanings[name]) + (" **A secret.**" if _is_secret(field) else ""),
                _default(name, field),
            )
            for name, field in Settings.model_fields.items()
        ),
    )


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))


def _default(name: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if name in _DEFAULTS:
        return _DEFAULTS[name]
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, PurePath):
        return code(value.as_posix())
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(getattr(value, "kind", value))


def limits() -> str:
    """List the limits on a delivered file."""
    _, meanings = _documented(FileLimits)
    return rows(
        ("Limit", "Default", "Of"),
        (
            (code(field.name), f"{field.default:,}", text(meanings[field.name]))
            for field in fields(FileLimits)
        ),
    )


def commands() -> str:
    """Describe every command: its use, arguments and options, as `--help` does."""
    group: click.Group = cli._commands()
    panels: dict[str, list[tuple[str, click.Command]]] = {}
    for name, command in group.commands.items():
        panel = getattr(command, "rich_help_panel", None)
        panels.setdefault(panel if isinstance(panel, str) else "Others", []).append((name, command))
    return "\n".join(
        part
        for panel, found in panels.items()
        for part in (
            f"## {panel}\n",
            *(p for name, command in found for p in _command(command, f"lakehouse {name}", 3)),
        )
    )


def _command(command: click.Command, name: str, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield f"{'#' * level} {name}\n"
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield "\n\n".join(text(part) for part in (command.help or "").split("\n\n")) + "\n"
    parameters = [found for found in command.params if found.name != "help"]
    yield rows(("Argument or option", "Meaning", "Default"), map(_parameter, parameters))
    if isinstance(command, click.Group):
        for part, found in command.commands.items():
            yield from _command(found, f"{name} {part}", level + 1)


def _parameter(parameter: click.Parameter) -> tuple[str, str, str]:
    default = parameter.default
    if isinstance(parameter, click.Option):
        names = ", ".join(map(code, (*parameter.opts, *parameter.secondary_opts)))
        given = not parameter.is_flag and isinstance(default, (str, int, float, PurePath))
    else:
        names, given = code((parameter.name or "").upper()), False
    shown = code(default) if given else "required" if parameter.required else ""
    return names, text(getattr(parameter, "help", "") or ""), shown


def tables(domain: str) -> str:
    """Describe every table of a domain, the layers that people query first."""
    own = [table for table in TABLES if table.domain == domain]
    return "\n".join(
        part
        for layer, title in _LAYERS.items()
        if (found := [table for table in own if table.layer == layer])
        for part in (f"## {title}\n", *map(_table, found))
    )


def _table(table: Table) -> str:
    facts = [f"**{table.kind}**", f"one row per {', '.join(map(code, table.keys))}"]
    if table.partition:
        facts.append(f"partitioned by {code(table.partition.column)} ({table.partition.grain})")
    if table.aliases:
        facts.append(f"also called {', '.join(map(code, table.aliases))}")
    references = [
        f"{', '.join(map(code, reference.columns))} → "
        f"{code(REGISTRY.meant_by(table, reference.to_table).full_name)}"
        for reference in table.references
    ]
    if references:
        facts.append(f"references {'; '.join(references)}")
    return "\n".join(
        (
            f"### {text(table.name)}\n",
            f"{text(table.full_description)}\n",
            f"{'; '.join(facts)}.\n",
            rows(
                ("Column", "Meaning", "Type", "Unit", "Personal data"), map(_column, table.columns)
            ),
            f"Measures: {', '.join(code(m.name) for m in table.measures)}.\n"
            if table.measures
            else "",
        )
    )


def _column(column: Column) -> tuple[str, ...]:
    kind = column.type if column.nullable else f"{column.type} not null"
    also = f" Also called {', '.join(map(code, column.aliases))}." if column.aliases else ""
    return (
        code(column.name), text(column.description) + also, text(kind), text(column.unit or ""),
        column.pii or "",
    )  # fmt: skip


def overview() -> str:
    """List the tables that people query; a domain without a page of its own has all tables here."""
    return "\n".join(
        f"## {domain}\n\n"
        + rows(
            ("Table", "Description", "Layer", "Kind"),
            (
                (_link(table), text(table.description), table.layer, table.kind)
                for table in TABLES
                if table.domain == domain and table.layer in ("gold", "segments")
            ),
        )
        + ("" if (_PAGES / f"{domain}.md").exists() else re.sub("(?m)^##", "###", tables(domain)))
        for domain in sorted({table.domain for table in TABLES})
    )


def _link(table: Table) -> str:
    own = (_PAGES / f"{table.domain}.md").exists()
    return f"[{text(table.name)}]({table.domain}.md#{table.name})" if own else code(table.name)


def measures() -> str:
    """List every measure by table."""
    return "\n".join(
        f"## {text(table.full_name)}\n\n"
        + rows(
            ("Measure", "Meaning", "Unit", "Additivity", "Expression"),
            (
                (
                    code(measure.name),
                    text(measure.description),
                    text(measure.unit),
                    measure.additivity.replace("_", " "),
                    code(measure.expression),
                )
                for measure in table.measures
            ),
        )
        for table in TABLES
        if table.measures
    )


def glossary() -> str:
    """List the business terms of every domain."""
    return "\n".join(
        f"## {domain.name}\n\n"
        + "\n".join(
            f"### {text(term.name)}\n\n{text(term.definition)}\n"
            + (f"\nAlso called {text(', '.join(term.synonyms))}.\n" if term.synonyms else "")
            + (f"\nSee also {text(', '.join(term.related))}.\n" if term.related else "")
            + f"\nSteward: {code(term.steward or domain.owner)}.\n"
            for term in sorted(domain.terms, key=lambda term: term.name.lower())
        )
        for domain in DOMAINS
        if domain.terms
    )


def roles() -> str:
    """List what each role may read: tables, rows and masks."""
    return "\n".join(
        f"## {text(access.name)}\n\n{text(access.description)}\n\n"
        + rows(
            ("Table", "Rows", "Masked columns"),
            (
                (
                    code(table.full_name),
                    _filter(found.rows),
                    ", ".join(f"{code(name)} ({mask.kind})" for name, mask in found.masks.items()),
                )
                for table, found in access.tables.items()
            ),
        )
        for access in ROLES.values()
    )


def _filter(found: RowFilter | None) -> str:
    if found is None:
        return "all"
    return f"{code(found.column)} is {' or '.join(code(value) for value in found.values)}"


# What people declare with, by subject: classes, and functions that return them.
DECLARATIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Domains": (domain.Domain,),
    "Datasets and streams": (
        datasets.Dataset, datasets.Field, datasets.Flag, datasets.LossLimit, streams.Stream,
        streams.Aggregate, streams.LiveAlarm, sources.SourceTable, datasets.text_field,
    ),
    "Expectations": (
        expectations.Expectation, expectations.present, expectations.unflagged,
        expectations.in_calendar, expectations.not_negative, expectations.known,
    ),
    "Tables": (
        registry.Table, registry.Column, registry.PartitionColumn, registry.Reference,
        registry.Measure, registry.TableView, registry.monthly_table, registry.reference_table,
        registry.same_month,
    ),
    "Gold tables": (
        gold.GoldTable, gold.Read, gold.Check, gold.RowsAlert, gold.Summary, gold.BuildContext,
        gold.so_far, gold.latest, gold.before, gold.last_days, gold.sums,
    ),
    "Models": (spec.ModelTable, spec.ModelSpec, spec.Gate, spec.Agreement, spec.Fitted),
    "Pages": (pages.Page, pages.Source, pages.Visual, pages.Slicer),
    "Terms, roles and people": (
        terms.Term, subjects.Subject, access.Role, access.Grant, access.Mask, access.RowFilter,
    ),
}  # fmt: skip


def declarations() -> str:
    """Describe the classes and functions that people declare with, from their docstrings."""
    return "\n".join(
        part
        for subject, found in DECLARATIONS.items()
        for part in (f"## {subject}\n", *map(_declaration, found))
    )


def _declaration(found: Callable[..., Any]) -> str:
    about, meanings = _documented(found)
    parts = [f"### {text(found.__name__)}\n", f"From {code(found.__module__)}.\n"]
    if isinstance(found, type):
        given = [field for field in fields(found) if field.init]
        attributes = [
            (
                code(field.name), code(_type(field, found)), _value(field),
                text(meanings.get(field.name, "")),
            )
            for field in sorted(given, key=lambda field: not _is_required(field))
        ]  # fmt: skip
        parts += [f"{about}\n", rows(("Argument", "Type", "Default", "Meaning"), attributes)]
    else:
        parts += [f"```text\n{found.__name__}{_signature(found)}\n```\n", f"{about}\n"]
    return "\n".join(parts)


def _documented(found: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return what a docstring says, and its attributes with those of the classes it inherits."""
    meanings: dict[str, str] = {}
    about = ""
    for owner in reversed(found.__mro__ if isinstance(found, type) else (found,)):
        if owner is not object:
            about, _, listed = inspect.cleandoc(owner.__doc__ or "").partition("\nAttributes:\n")
            entries = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", listed, re.MULTILINE)
            meanings |= {name: " ".join(meaning.split()) for name, meaning in entries}
    return "\n\n".join(text(" ".join(part.split())) for part in about.split("\n\n")), meanings


def _signature(found: Callable[..., Any]) -> str:
    return str(inspect.signature(found)).replace("'", "")


def _type(field: Field[Any], owner: type) -> str:
    """Return the type of an argument, with the values that a name such as `Need` stands for."""
    known = vars(sys.modules[owner.__module__])

    def meant(match: re.Match[str]) -> str:
        value = known.get(match[0])
        return " | ".join(map(repr, get_args(value))) if get_origin(value) is Literal else match[0]

    return re.sub(r"\b[A-Z]\w+", meant, str(field.type))


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _value(field: Field[Any]) -> str:
    if _is_required(field):
        return "required"
    value = field.default if field.default_factory is MISSING else field.default_factory()
    if value is None or value in ((), {}, ""):
        return "none"
    if inspect.isroutine(value):
        return "a function"
    return code(value if isinstance(value, date) else repr(value))


LISTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "limits": limits,
    "commands": commands,
    "overview": overview,
    "measures": measures,
    "glossary": glossary,
    "roles": roles,
    "declarations": declarations,
}
# The lists that are also in the repository; the others are long.
COMMITTED = ("settings", "limits", "measures", "glossary", "roles", "declarations")


def fill(source: str) -> str:
    """Return a page with its generated lists; `tables.<domain>` names the tables of a domain."""

    def listed(match: re.Match[str]) -> str:
        name, _, domain = match[1].partition(".")
        return tables(domain) if name == "tables" else LISTS[name]()

    return _PLACE.sub(listed, source)


def committed() -> dict[Path, str]:
    """Return the pages with lists that are also in the repository, as they should be."""

    def listed(match: re.Match[str]) -> str:
        name = match[1]
        if name not in COMMITTED:
            return match[0]
        return f"<!-- generated: {name} -->\n\n{LISTS[name]().strip()}\n\n<!-- end -->"

    found = {}
    for page in sorted(_PAGES.parent.glob("*.md")):
        source = page.read_text("utf-8")
        if set(COMMITTED) & {match[1] for match in _PLACE.finditer(source)}:
            found[page] = _PLACE.sub(listed, source)
    return found


def _on_read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = fill(source[0])


def _outdated(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> list[str]:
    """Name the pages that may change although their files have not."""
    return [name for name in env.found_docs if name.startswith("reference/")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill pages when Sphinx reads them."""
    app.connect("source-read", _on_read)
    app.connect("env-get-outdated", _outdated)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    for written, content in committed().items():
        written.write_text(content, "utf-8")
