"""Converts checks and their findings to Dagster's check specs and check results."""

from collections.abc import Iterable, Iterator

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.quality.checks import Check, Finding


def check_specs(table: Table, checks: Iterable[Check]) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a table."""
    return [
        dg.AssetCheckSpec(
            check.name,
            asset=dg.AssetKey(table.key),
            blocking=check.blocking,
            description=check.description,
        )
        for check in checks
    ]


def check_results(table: Table, findings: Iterable[Finding]) -> Iterator[dg.AssetCheckResult]:
    """Report findings; only blocking checks and error checks fail as errors, others as warnings."""
    for finding in findings:
        is_error = finding.check.blocking or finding.check.error
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(table.key),
            check_name=finding.check.name,
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
            description=finding.description,
            metadata=finding.metadata,
        )
