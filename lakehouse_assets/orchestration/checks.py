"""Converts checks and their findings to Dagster's check specs and check results."""

from collections.abc import Iterable, Iterator

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.quality.checks import Check, Finding


def check_specs(of: Table | dg.AssetKey, checks: Iterable[Check]) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a table or of another asset."""
    key = _key(of)
    return [
        dg.AssetCheckSpec(
            check.name,
            asset=key,
            blocking=check.blocking,
            description=check.description,
        )
        for check in checks
    ]


def check_results(
    of: Table | dg.AssetKey, findings: Iterable[Finding]
) -> Iterator[dg.AssetCheckResult]:
    """Report findings; only blocking checks and error checks fail as errors, others as warnings."""
    for finding in findings:
        is_error = finding.check.blocking or finding.check.error
        yield dg.AssetCheckResult(
            asset_key=_key(of),
            check_name=finding.check.name,
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
            description=finding.description,
            metadata=finding.metadata,
        )


def _key(of: Table | dg.AssetKey) -> dg.AssetKey:
    return of if isinstance(of, dg.AssetKey) else dg.AssetKey(of.key)
