"""What came of runs: time by step, checks that did not pass, and errors as sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from lakehouse_assets.errors import DamagedTableError, SourceNotReadyError

# Every error of this project is a sentence for users.
_OWN_ERROR = re.compile(r"lakehouse_assets(\.\w+)+: ")


@dataclass(frozen=True)
class FailedCheck:
    """An asset check that did not pass.

    Attributes:
        table: Name of the table.
        check: Name of the check.
        run: What the run covered.
        description: What was found.
    """

    table: str
    check: str
    run: str
    description: str


@dataclass
class Outcome:
    """What came of all runs.

    Attributes:
        seconds: Time spent by step.
        warnings: Failed checks that stopped nothing.
        errors: What means that the result is not complete, one sentence each.
        stopped: Whether a step broke, so that runs after it did not start.
        indivisible: Whether what failed fails for every part of a range.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[FailedCheck] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stopped: bool = False
    indivisible: bool = False

    def add(self, other: Outcome) -> None:
        """Put in what came of other runs."""
        for step, seconds in other.seconds.items():
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds
        self.warnings += other.warnings
        self.errors += other.errors
        self.stopped |= other.stopped


def note_checks(label: str, result: dg.ExecuteInProcessResult, outcome: Outcome) -> None:
    """Note the checks of a run that did not pass."""
    for check in result.get_asset_check_evaluations():
        if check.passed:
            continue
        table = check.asset_key.path[-1]
        if check.severity == dg.AssetCheckSeverity.ERROR:
            where = f"{table} ({label})"
            outcome.errors.append(f"{where}: {check.check_name} failed. {check.description}")
        else:
            outcome.warnings.append(
                FailedCheck(table, check.check_name, label, str(check.description))
            )


def note_failures(label: str, result: dg.ExecuteInProcessResult, outcome: Outcome) -> None:
    """Note failed steps, and whether the next run may start."""
    if result.success:
        return
    for event in result.filter_events(lambda e: e.is_step_failure):
        error = _root_cause(event.step_failure_data.error)
        if error is None or error.cls_name == "DagsterAssetCheckFailedError":
            continue
        damaged = error.cls_name == DamagedTableError.__name__
        outcome.indivisible |= damaged
        outcome.stopped |= not damaged and error.cls_name != SourceNotReadyError.__name__
        outcome.errors.append(f"{event.step_key} ({label}): {_plain(error.message)}")
    if not any(result.filter_events(lambda e: e.is_step_failure)):
        # The run ended before its first step: a resource did not open.
        outcome.stopped = True
        for event in result.filter_events(lambda e: e.is_run_failure):
            error = _root_cause(event.job_failure_data.error)
            if error is not None:
                outcome.errors.append(f"{label}: {_plain(error.message)}")
    if not outcome.errors:
        outcome.errors.append(f"{label} failed; open the Dagster UI (make ui) for its log.")


def _root_cause(error: Any) -> Any:
    """Return our own error in a chain of causes, or else what it all began with."""
    while error is not None and error.cause is not None:
        if _OWN_ERROR.match(error.message):
            return error
        error = error.cause
    return error


def _plain(message: str) -> str:
    """Return an error's message as one line, without the name of our own error class."""
    return _OWN_ERROR.sub("", " ".join(message.split()), count=1)
