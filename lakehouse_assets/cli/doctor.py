"""`lakehouse doctor`: finds problems and says how to fix them.

To add a check, write a function that takes the settings and yields results, and add it to
`CHECKS`. It should raise only `LakehouseError`; any other exception is reported as a broken check.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import unquote

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.cli.opening import no_lake
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.errors import LakehouseError, one_line
from lakehouse_assets.lake.delta import check_declaration
from lakehouse_assets.lake.format import check_format
from lakehouse_assets.lake.log import of_each, open_table
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.project import project_folder
from lakehouse_assets.settings import Settings, unknown_variables
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import Location

if TYPE_CHECKING:
    from deltalake import DeltaTable

_PYTHONS = ("3.11", "3.12")
# Packages that were built for one version of duckdb.
_EXTENSIONS = ("duckdb-extensions", "duckdb-extension-delta")

State: TypeAlias = Literal["ok", "warning", "error", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        area: What was checked, such as `lake`.
        check: The step, such as `token`.
        state: `ok`; `warning`, which stops nothing; `error`; or `skipped`, because a previous step
            failed or nothing is configured.
        text: What was found and, unless it is `ok`, how to fix it.
        milliseconds: How long it took; 0 if that has no meaning.
    """

    area: str
    check: str
    state: State
    text: str
    milliseconds: int = 0


# The step, its state, what was found, and the milliseconds that it took if that has a meaning.
Result: TypeAlias = tuple[str, State, str] | tuple[str, State, str, int]
Check: TypeAlias = Callable[[Settings], Iterable[Result]]


def check_lake(settings: Settings) -> Iterator[Result]:
    """Test the lake, which must be readable and writable."""
    yield from _probed(settings.root, settings.identity, writes=True)


def check_landing(settings: Settings) -> Iterator[Result]:
    """Test the landing zone, which runs only read."""
    yield from _probed(settings.landing, settings.zone_identity, writes=False)


def check_artifacts(settings: Settings) -> Iterator[Result]:
    """Test the location of MLflow's artefacts, if one is set."""
    if settings.mlflow_artifacts is not None:
        yield from _probed(settings.mlflow_artifacts, settings.identity, writes=True)


def check_versions(_settings: Settings) -> Iterator[Result]:
    """Check the version of Python, and the packages whose versions must match."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python in _PYTHONS:
        yield "python", "ok", f"Python {python}."
    else:
        text = (
            f"Python {python} is not a tested version ({', '.join(_PYTHONS)}); rebuild the "
            "environment with `make setup`."
        )
        yield "python", "warning", text
    wanted = _installed("duckdb")
    different = [
        f"{n} {_installed(n) or '(missing)'}" for n in _EXTENSIONS if _installed(n) != wanted
    ]
    if wanted is None:
        yield "duckdb", "error", "duckdb is missing; run `make setup`."
    elif different:
        text = (
            f"duckdb is {wanted}, but {', '.join(different)}; the versions must be the same, so "
            "install them with PIP_CONSTRAINT=constraints.txt."
        )
        yield "duckdb", "error", text
    else:
        yield "duckdb", "ok", f"duckdb {wanted} and its extensions."


def check_home(settings: Settings) -> Iterator[Result]:
    """Test Dagster's home and check its settings."""
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"\0" * 4096)
    except OSError as error:
        text = (
            f"{home} is not writable ({error.strerror}); check its permissions and free space, or "
            "set LAKEHOUSE_DAGSTER_HOME."
        )
        yield "home", "error", text
        return
    yield "home", "ok", f"{home} is writable."
    yield "settings", *_home_settings(home)


def fix_home(settings: Settings) -> str | None:
    """Update `dagster.yaml`, and say what was done; None if there was nothing to do.

    Raises:
        LakehouseError: the file cannot be read or written.
    """
    import yaml  # type: ignore[import-untyped]

    from lakehouse_assets.orchestration.instance import bring_up_to_date

    config = settings.dagster_home / "dagster.yaml"
    if not config.is_file():
        return None
    try:
        copy = bring_up_to_date(config)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LakehouseError(
            f"{config} cannot be updated ({one_line(error)}); correct it, or check its permissions."
        ) from None
    return None if copy is None else f"Updated {config}; {copy.name} is the old file."


def _home_settings(home: Path) -> tuple[State, str]:
    """Check that `dagster.yaml` lets one writer per table run and keeps history in the home."""
    import yaml

    from lakehouse_assets.orchestration.instance import missing_settings, names_former_classes

    config = home / "dagster.yaml"
    if not config.is_file():
        return "ok", "The first run creates dagster.yaml."
    try:
        text = config.read_text(encoding="utf-8")
        found = yaml.safe_load(text) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        return "error", (
            f"{config} cannot be read ({one_line(error)}); correct it, or move it away so that the "
            "next run creates it."
        )
    if names_former_classes(text):
        return "error", (
            f"{config} names classes of an earlier version; `lakehouse doctor --fix` updates it "
            "and keeps a copy."
        )
    try:
        limit = found["concurrency"]["pools"]["default_limit"]
    except (KeyError, TypeError):
        limit = None
    if limit not in {None, 1}:
        return "warning", (
            f"{config} sets concurrency.pools.default_limit to {limit}, so writers of one table "
            "may conflict and retry; set it to 1."
        )
    elsewhere = [
        folder
        for storage in found.values()
        if isinstance(storage, dict) and isinstance(storage.get("config"), dict)
        and isinstance(folder := storage["config"].get("base_dir"), str)
        and not Path(folder).is_relative_to(home)
    ]  # fmt: skip
    if elsewhere:
        return "warning", (
            f"{config} keeps history in {' and '.join(elsewhere)}, outside this home, perhaps "
            "because the project was copied; remove base_dir to keep it here."
        )
    if missing := missing_settings(found):
        return "warning", (
            f"{config} lacks the settings {', '.join(missing)} of this version; `lakehouse doctor "
            "--fix` adds them and keeps a copy."
        )
    return "ok", "Writers of a table run one at a time."


def check_settings(_settings: Settings) -> Iterator[Result]:
    """Report the variables that look like settings but are not."""
    unknown = unknown_variables()
    for name in unknown:
        text = f"{name} is not a setting and has no effect; correct its name or remove it."
        yield name, "warning", text
    if not unknown:
        folder = project_folder()
        yield "project", "ok", f"Settings and relative paths belong to {folder}."


def check_tables(settings: Settings) -> Iterator[Result]:
    """Compare each table with its declaration and, in a local lake, its log with its files."""
    root = LakeRoot(settings.root, settings.identity)
    # Names of tables by their problem; one cause, such as a login, may affect them all.
    problems: dict[str, list[str]] = {}
    try:
        check_format(settings.root, settings.identity, REGISTRY)
    except LakehouseError as error:
        problems[str(error)] = ["format"]

    def look(table: Table) -> str | None:
        """Return a table's problem; empty text if it has none, None if there is no table."""
        try:
            found = open_table(root.table(table))
            if found is None:
                return None
            check_declaration(table, found)
        except LakehouseError as error:
            return str(error)
        broken = _broken_files(found, settings.root) if isinstance(settings.root, Path) else []
        if not broken:
            return ""
        return (
            f"Table {table.name} has lost files ({len(broken)}), such as {broken[0]}, which is "
            "missing or truncated; restore them from a backup, or move the table's folder away and "
            "rebuild the table with `lakehouse run`."
        )

    began = time.monotonic()
    looked = of_each(look, REGISTRY)
    for table, problem in zip(REGISTRY, looked, strict=True):
        if problem:
            problems.setdefault(problem, []).append(table.name)
    for text, names in problems.items():
        others = f" and {len(names) - 1} more" * (len(names) > 1)
        yield f"{names[0]}{others}", "error", text
    none = all(problem is None for problem in looked)
    text = no_lake(settings) if none else f"{looked.count('')} tables match their declarations."
    yield "all", "ok", text, _since(began)


def _broken_files(found: DeltaTable, root: Path) -> list[Path]:
    """Return the live files of a table that are missing or have another size."""
    actions = found.get_add_actions(flatten=True)
    folder = root.joinpath(*found.table_uri.rstrip("/").split("/")[-2:])
    paths = [folder / unquote(path) for path in actions["path"].to_pylist()]
    sizes = actions["size_bytes"].to_pylist()
    return [
        path
        for path, size in zip(paths, sizes, strict=True)
        if not path.is_file() or path.stat().st_size != size
    ]


def check_sources(_settings: Settings) -> Iterator[Result]:
    """Look up the tables of each source that has an address; nothing is counted or copied."""
    from lakehouse_assets.domains import SOURCES
    from lakehouse_assets.sources.connection import Source, is_configured, variable_of
    from lakehouse_assets.sources.lookup import Window, look_up

    for declared in SOURCES:
        check = f"{declared.source}.{declared.table}"
        if not is_configured(declared.source):
            text = f"{variable_of(declared.source)} is not set; deliveries come as files."
            yield check, "skipped", text
            continue
        began = time.monotonic()
        try:
            source = Source.named(declared.source)
            with source.connected() as connection:
                found = look_up(connection, source, declared, {}, Window(), counted=False)
        except LakehouseError as error:
            yield check, "error", str(error), _since(began)
            continue
        state: State = "warning" if found.findings else "ok"
        text = " ".join([f"{found.database} answers.", *found.findings])
        yield check, state, text, _since(began)


def check_streams(settings: Settings) -> Iterator[Result]:
    """Look for the topic of each stream that has an address or a folder; nothing is read."""
    from contextlib import closing

    from lakehouse_assets.domains import STREAMS
    from lakehouse_assets.orchestration.stream_reader import open_source, positions_of
    from lakehouse_assets.sources.messages import variable_of

    root = LakeRoot(settings.root, settings.identity)
    for stream in STREAMS:
        began = time.monotonic()
        try:
            source = open_source(stream.source, settings.landing, settings.identity)
            if source is None:
                variable = variable_of(stream.source)
                text = f"{variable} is not set, and the landing zone has no such folder."
                yield stream.path, "skipped", text
                continue
            with closing(source):
                found = positions_of(stream, source, root)
        except LakehouseError as error:
            yield stream.path, "error", str(error), _since(began)
            continue
        left = sum(position.lag for position in found)
        text = f"The topic {stream.topic} answers; new messages: {left:,}."
        yield stream.path, "ok", text, _since(began)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


CHECKS: dict[str, Check] = {
    "lake": check_lake,
    "landing": check_landing,
    "models": check_artifacts,
    "tables": check_tables,
    "sources": check_sources,
    "streams": check_streams,
    "dagster": check_home,
    "settings": check_settings,
    "versions": check_versions,
}


def examine(settings: Settings, checks: dict[str, Check] | None = None) -> list[Finding]:
    """Run every check (by area; `CHECKS` by default), even if others fail."""
    findings: list[Finding] = []
    for area, check in (CHECKS if checks is None else checks).items():
        try:
            findings += (Finding(area, *found) for found in check(settings))
        except LakehouseError as error:
            findings.append(Finding(area, "check", "error", str(error)))
        except Exception as error:  # noqa: BLE001 - the others still run
            # Its text may contain an address with a password.
            text = f"The check failed unexpectedly ({type(error).__name__}); please report it."
            findings.append(Finding(area, "check", "error", text))
    return findings


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def is_well(findings: Iterable[Finding]) -> bool:
    """Say whether no finding is an error."""
    return all(finding.state != "error" for finding in findings)


def _probed(location: Location, identity: Identity, *, writes: bool) -> Iterator[Result]:
    from lakehouse_assets.storage.probe import probe

    states: dict[bool | None, State] = {True: "ok", False: "error", None: "skipped"}
    for step in probe(location, identity, writes=writes):
        yield step.name, states[step.passed], step.text, round(step.seconds * 1000)
