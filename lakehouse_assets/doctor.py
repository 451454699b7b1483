"""`lakehouse doctor`: what is not as it should be, and what to do about it.

Belongs here: what a finding is, the list of checks, and running them all. Not here: what a check
looks at: each has its home where the thing is (`lake/probe.py` for locations), and printing
(`cli.py`).

To add a check, write a function that takes the settings and yields findings, and name it in
`CHECKS`. It raises nothing but `LakehouseError`; whatever else escapes it is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.settings import Settings

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


CHECKS: dict[str, Check] = {
    "lake": check_lake,
    "landing": check_landing,
    "models": check_artifacts,
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


def is_well(findings: Iterable[Finding]) -> bool:
    """Say whether nothing is an error."""
    return all(finding.state != "error" for finding in findings)


def _probed(area: str, location: Any, identity: Any, *, writes: bool) -> Iterator[Finding]:
    from lakehouse_assets.lake.probe import probe

    states: dict[bool | None, State] = {True: "ok", False: "error", None: "skipped"}
    for step in probe(location, identity, writes=writes):
        milliseconds = round(step.seconds * 1000)
        yield Finding(area, step.name, states[step.passed], step.text, milliseconds)
