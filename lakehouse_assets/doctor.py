"""`lakehouse doctor`: what is not as it should be, and what to do about it.

Belongs here: what a finding is, the list of checks, and running them all. Not here: what a check
looks at: each has its home where the thing is (`lake/probe.py` for locations), and printing
(`cli.py`).

To add a check, write a function that takes the settings and yields findings, and name it in
`CHECKS`. It raises nothing but `LakehouseError`; whatever else escapes it is a finding of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.settings import Settings

_PYTHONS = ("3.11", "3.12")
# Packages of one version: the first is what the others were built for.
_SAME_VERSION = {"duckdb": ("duckdb-extensions", "duckdb-extension-delta")}

State: TypeAlias = Literal["ok", "warning", "error", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        area: What was looked at, such as `lake`.
        check: What about it, such as `token`.
        state: `ok`; `warning`, which stops nothing; `error`; or `skipped`, for want of one before.
        text: What was found; for what is not `ok`, with its remedy.
        milliseconds: How long it took; 0 where that tells nothing.
    """

    area: str
    check: str
    state: State
    text: str
    milliseconds: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the finding for scripts."""
        return asdict(self)


Check: TypeAlias = Callable[[Settings], Iterable[Finding]]


def check_lake(settings: Settings) -> Iterator[Finding]:
    """Try the lake: it has to be read and written."""
    yield from _probed("lake", settings.root, settings.identity, writes=True)


def check_landing(settings: Settings) -> Iterator[Finding]:
    """Try the landing zone: runs only read it."""
    yield from _probed("landing", settings.landing, settings.zone_identity, writes=False)


def check_artifacts(settings: Settings) -> Iterator[Finding]:
    """Try the place of MLflow's artefacts, if it is one of its own."""
    if settings.mlflow_artifacts is not None:
        yield from _probed("models", settings.mlflow_artifacts, settings.identity, writes=True)


def check_versions(_settings: Settings) -> Iterator[Finding]:
    """Hold the packages against each other that have to fit, whatever else is installed."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python in _PYTHONS:
        yield Finding("versions", "python", "ok", f"Python {python}.")
    else:
        yield Finding(
            "versions", "python", "warning",
            f"Python {python} is not one that this is tested on ({', '.join(_PYTHONS)}); make the "
            "environment anew with `make setup`.",
        )  # fmt: skip
    for first, others in _SAME_VERSION.items():
        wanted = _installed(first)
        if wanted is None:
            yield Finding("versions", first, "error", f"{first} is missing; run `make setup`.")
            continue
        different = [
            f"{n} {_installed(n) or '(missing)'}" for n in others if _installed(n) != wanted
        ]
        if different:
            text = (
                f"{first} is {wanted}, but {', '.join(different)}: their versions must be the "
                "same; install them with PIP_CONSTRAINT=constraints.txt."
            )
            yield Finding("versions", first, "error", text)
        else:
            yield Finding("versions", first, "ok", f"{first} {wanted} and what belongs to it.")


def check_home(settings: Settings) -> Iterator[Finding]:
    """Try Dagster's home, and look whether its settings keep the writers of a table apart."""
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"\0" * 4096)
    except OSError as error:
        yield Finding(
            "dagster", "home", "error",
            f"{home} cannot be written ({error.strerror}); check its rights and free space, or set "
            "LAKEHOUSE_DAGSTER_HOME.",
        )  # fmt: skip
        return
    yield Finding("dagster", "home", "ok", f"{home} can be written.")
    config = home / "dagster.yaml"
    if not config.is_file():
        yield Finding("dagster", "settings", "ok", "dagster.yaml is made by the first run.")
    elif "default_limit: 1" in config.read_text(encoding="utf-8"):
        yield Finding("dagster", "settings", "ok", "Writers of a table run one at a time.")
    else:
        yield Finding(
            "dagster", "settings", "warning",
            f"{config} sets no default_limit: 1 for pools, so that writers of one table may race "
            "and try again; add it, or move the file away and have it made anew.",
        )  # fmt: skip


def check_sources(_settings: Settings) -> Iterator[Finding]:
    """Ask each source that has an address for its tables; nothing is counted or copied."""
    from lakehouse_assets.sources.connection import Source, is_configured, variable_of
    from lakehouse_assets.sources.lookup import Window, look_up
    from lakehouse_assets.tables import SOURCES

    for declared in SOURCES:
        check = f"{declared.source}.{declared.table}"
        if not is_configured(declared.source):
            text = f"{variable_of(declared.source)} is not set; deliveries come as files."
            yield Finding("sources", check, "skipped", text)
            continue
        began = time.monotonic()
        try:
            source = Source.named(declared.source)
            with source.connected() as connection:
                found = look_up(connection, source, declared, {}, Window(), counted=False)
        except LakehouseError as error:
            yield Finding("sources", check, "error", str(error), _since(began))
            continue
        state: State = "warning" if found.findings else "ok"
        text = " ".join([f"{found.database} answers.", *found.findings])
        yield Finding("sources", check, state, text, _since(began))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


CHECKS: dict[str, Check] = {
    "lake": check_lake,
    "landing": check_landing,
    "models": check_artifacts,
    "sources": check_sources,
    "dagster": check_home,
    "versions": check_versions,
}


def examine(settings: Settings, checks: dict[str, Check] | None = None) -> list[Finding]:
    """Run the checks, every one of them whatever the others find.

    Args:
        settings: What is examined.
        checks: Checks by area; all of them if nothing is said.
    """
    findings: list[Finding] = []
    for area, check in (CHECKS if checks is None else checks).items():
        try:
            findings += check(settings)
        except LakehouseError as error:
            findings.append(Finding(area, "check", "error", str(error)))
        except Exception as error:  # noqa: BLE001 - the others still run
            # Its text may repeat an address with a password.
            kind = type(error).__name__
            findings.append(
                Finding(area, "check", "error", f"The check broke off ({kind}); please report it.")
            )
    return findings


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def is_well(findings: Iterable[Finding]) -> bool:
    """Say whether nothing is an error."""
    return all(finding.state != "error" for finding in findings)


def _probed(area: str, location: Any, identity: Any, *, writes: bool) -> Iterator[Finding]:
    from lakehouse_assets.lake.probe import probe

    states: dict[bool | None, State] = {True: "ok", False: "error", None: "skipped"}
    for step in probe(location, identity, writes=writes):
        milliseconds = round(step.seconds * 1000)
        yield Finding(area, step.name, states[step.passed], step.text, milliseconds)
