"""Private parts of libraries that the product uses: the one list of them, and what keeps it true.

A version of a library that brings something else fails here with the part's name.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

import lakehouse_assets

PACKAGE = Path(lakehouse_assets.__file__).parent


class Part(NamedTuple):
    """A private part of a library.

    Attributes:
        library: The distribution, which has an upper bound in pyproject.toml.
        path: Module, a colon, and the part.
        where: Module of the product that uses it.
        why: What it is used for, and what it gains where it is used for speed.
    """

    library: str
    path: str
    where: str
    why: str


CLASSIC = "pyspark.sql.classic.dataframe:DataFrame"
PARTS = (
    # What is done for speed: plans of the six largest silver tables took 1.16 s of CPU with the
    # three patches and 1.55 s without them; each line says what they took without that one.
    Part("sqlglot", "sqlglot.expressions.core:deepcopy", "engine/sqlframe_patches.py",
         "Replaced: copies the notes of a plan's nodes plainly (1.50 s)."),
    Part("sqlframe", "sqlframe.base.util:dialect_to_string", "engine/sqlframe_patches.py",
         "Replaced: names a dialect without importing all of them (1.45 s)."),
    Part("sqlframe", "sqlframe.base.dataframe:BaseDataFrame.copy", "engine/sqlframe_patches.py",
         "Replaced: does not copy the plan that the copy will not have (1.30 s)."),
    Part("sqlframe", "sqlframe.base.session:_BaseSession._create_table",
         "engine/sqlframe_patches.py",
         "A frame of a view: a third of the CPU of session.table, which remembers it for ever."),
    Part("pyspark", "pyspark.core.context:SparkContext._jvm", "engine/spark_session.py",
         "Looks Java's classes up once, not for each column: a round trip and a search each time."),
    Part("pyspark", "py4j.java_gateway:JVMView.setattr", "engine/spark_session.py",
         "Keeps what was looked up."),
    Part("dagster", "dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage",
         "orchestration/event_log.py",
         "Keeps connections: 54 s of CPU on the sample instead of 111 s with one per event."),
    Part("dagster",
         "dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage._connect",
         "orchestration/event_log.py", "As above."),
    Part("dagster",
         "dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage._initdb",
         "orchestration/event_log.py", "As above."),
    *(
        Part("dagster", f"dagster._core.storage.event_log.sqlite.sqlite_event_log:{name}",
             "orchestration/event_log.py", "As above.")
        for name in ("SqliteEventLogStorage._db_lock", "SqliteEventLogStorage._initialized_dbs")
    ),
    # What no public part does.
    Part("pyspark", f"{CLASSIC}._jdf", "engine/spark.py",
         "Streams Arrow batches, frees checkpointed rows, gives the analysed plan as text."),
    Part("pyspark", "pyspark.core.context:SparkContext._jvm", "engine/spark.py",
         "Serves the batches part by part; toArrow holds all rows."),
    Part("pyspark", "pyspark.util:_local_iterator_from_socket", "engine/spark.py",
         "Reads what is served."),
    Part("pyspark[connect]", "pyspark.sql.connect.dataframe:DataFrame._plan", "engine/spark.py",
         "Streams Arrow batches from a Connect server; toArrow holds all rows."),
    Part("pyspark[connect]", "pyspark.sql.connect.dataframe:DataFrame._explain_string",
         "engine/spark.py", "The analysed plan as text; explain prints it."),
    Part("dagster", "dagster._core.remote_origin:RemoteRepositoryOrigin",
         "orchestration/instance.py", "A run of the command line names its code as the daemon."),
    Part("dagster", "dagster._core.remote_origin:ManagedGrpcPythonEnvCodeLocationOrigin",
         "orchestration/instance.py", "As above."),
    Part("dagster", "dagster._core.types.loadable_target_origin:LoadableTargetOrigin",
         "orchestration/instance.py", "As above."),
    Part("dagster", "dagster._core.instance.ref:InstanceRef", "orchestration/instance.py",
         "An instance whose runs print to the terminal instead of into files."),
    Part("dagster", "dagster._core.storage.noop_compute_log_manager:NoOpComputeLogManager",
         "orchestration/instance.py", "As above."),
    Part("sqlalchemy", "sqlalchemy.sql.sqltypes:_Binary", "sources/dialects.py",
         "The base of every dialect's binary types."),
    Part("pymysql", "pymysql.connections:Connection._result", "sources/streams.py",
         "Leaves a stream of rows without reading the rest of it."),
)  # fmt: skip


class Use(NamedTuple):
    """A private part that the product uses: in which module, and its name."""

    where: str
    name: str


# Underscores keep these methods apart from a tuple's fields; Python documents them.
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}


def uses_in(source: str, where: str) -> Iterator[Use]:
    """Find what is private in what a module imports, reads and replaces."""
    tree = ast.parse(source)
    foreign: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for alias in node.names:
                path = f"{module}.{alias.name}".strip(".").split(".")
                if path[0] not in {*sys.stdlib_module_names, "lakehouse_assets"}:
                    foreign.add((alias.asname or alias.name).partition(".")[0])
                    if any(name.startswith("_") for name in path):
                        yield Use(where, path[-1])
        elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            owner = ast.unparse(node.value)
            if owner not in {"self", "cls", "os"} and node.attr not in NAMED_TUPLE:
                yield Use(where, node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "delattr"}:
            name = node.args[1]
            yield Use(where, str(name.value) if isinstance(name, ast.Constant) else "setattr")
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.Delete):
            for target in node.targets:
                text = ast.unparse(target)
                # A name of a library, or what it holds; not what a call of it returned.
                if re.fullmatch(r"\w+(\.\w+)+", text) and text.partition(".")[0] in foreign:
                    yield Use(where, text.rpartition(".")[2])


def overridden() -> Iterator[Use]:
    """Find private methods of a library's class that a class of the product overrides or calls."""
    for found in pkgutil.walk_packages([str(PACKAGE)], "lakehouse_assets."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for owner in vars(module).values():
            if not inspect.isclass(owner) or owner.__module__ != found.name:
                continue
            bases = [
                base
                for base in owner.__mro__
                if base.__module__.partition(".")[0] not in {*IGNORED, "lakehouse_assets"}
            ]
            used = set(re.findall(r"self\.(_[a-z]\w*)", inspect.getsource(owner))) | set(
                vars(owner)
            )
            for name in used:
                if re.match("_(?!_|abc_)", name) and any(has(base, name) for base in bases):
                    yield Use(found.name.partition(".")[2].replace(".", "/") + ".py", name)


# Of these, a private name is one that Python or pydantic gives to every class.
IGNORED = {*sys.stdlib_module_names, "pydantic", "pydantic_settings", "dagster_shared"}


def test_every_private_part_is_listed_and_nothing_else() -> None:
    found = set(overridden())
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        found |= set(uses_in(path.read_text(encoding="utf-8"), where))
    listed = {Use(part.where, re.split(r"[.:]", part.path)[-1]) for part in PARTS}
    assert found - listed == set(), "private parts that are not in PARTS: remove or list them"
    assert listed - found == set(), "listed in PARTS, but no longer used"


def has(owner: object, name: str) -> bool:
    """Say whether a class or module has a part; a class's text says what its instances have."""
    if hasattr(owner, name) or not inspect.isclass(owner):
        return hasattr(owner, name)
    try:
        source = inspect.getsource(owner)
    except OSError:
        return False  # compiled: it has what Python sees of it
    return bool(re.search(rf"self\.{name}\b.*=", source))


def missing(part: Part) -> str | None:
    """Say that a part is not in the installed version."""
    name = re.match(r"[\w.-]+", part.library)[0]  # type: ignore[index]
    said = (
        f"{name} {metadata.version(name)} has no {part.path}, which {part.where} uses ({part.why}) "
        "Find what took its place, or lower the bound in pyproject.toml."
    )
    module, _, attributes = part.path.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError:
        return said
    for attribute in attributes.split("."):
        if attribute != "setattr" and not has(found, attribute):
            return said
        found = getattr(found, attribute, None)
    return None


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.path} in {part.where}")
def test_a_private_part_is_there_and_its_library_is_bounded(part: Part) -> None:
    assert missing(part) is None, missing(part)
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [
        *project["project"]["dependencies"],
        *chain.from_iterable(project["project"]["optional-dependencies"].values()),
    ]
    name = part.library.partition("[")[0]
    bounds = [Requirement(text) for text in declared if Requirement(text).name == name]
    assert bounds, f"{name} is not in pyproject.toml"
    for bound in bounds:
        assert "<" in str(bound.specifier), f"{bound} has no upper bound in pyproject.toml"
        assert bound.specifier.contains(metadata.version(name)), f"{bound} is not what is installed"


def test_a_part_that_a_version_lacks_is_one_sentence() -> None:
    gone = Part("duckdb", "duckdb:_Gone.part", "engine/duckdb.py", "Nothing.")
    assert str(missing(gone)).startswith(f"duckdb {metadata.version('duckdb')} has no duckdb:_Gone")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from dagster._core import events", ["events"]),
        ("import duckdb._internal", ["_internal"]),
        ("from pyspark.util import _parse_memory", ["_parse_memory"]),
        ("frame._jdf.x()", ["_jdf"]),
        ("import rich.table\nrich.table.Table.add_row = None", ["add_row"]),
        ("from mlflow import client\nclient.retries = 1", ["retries"]),
        ("setattr(duckdb, 'connect', None)", ["connect"]),
        ("super()._connect(1)", ["_connect"]),
        ("self._x = 1", []),
        ("import os\nos._exit(1)", []),
        ("import tempfile\ntempfile.tempdir = 'x'", []),
        ("lake.engine = None", []),
        ("x.__class__", []),
    ],
)
def test_private_access_is_found_and_what_is_public_is_allowed(
    source: str, names: list[str]
) -> None:
    assert [use.name for use in uses_in(source, "m.py")] == names
