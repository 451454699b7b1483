"""Maintains every table, never while one of its writers runs."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.local_lock import claim
from lakehouse_assets.orchestration.retries import retry_transient

JOB = "maintenance"


@cache
def maintenance_job() -> dg.JobDefinition:
    """Make the job that maintains all tables, with an op for each step that writes some.

    An op can be in one pool only, and a table's pool is that of the step that writes it.
    """
    steps: dict[str, list[Table]] = {}
    for table in REGISTRY:
        steps.setdefault(table.step, []).append(table)
    return dg.GraphDefinition(
        JOB,
        description="Compacts and sorts tables, deletes old files and writes checkpoints.",
        node_defs=[_op(step, found) for step, found in steps.items()],
    ).to_job()


def _op(step: str, tables: Sequence[Table]) -> dg.OpDefinition:
    def maintain_tables(context: dg.OpExecutionContext) -> None:
        from lakehouse_assets.lake.maintenance import maintain

        lake: Lake = context.resources.lake.open()
        with retry_transient(context.retry_number), ExitStack() as claims:
            if tables[0].writer and lake.version(tables[0]) is not None:
                # A claim on bronze covers all tables of the stream.
                reader = claims.enter_context(claim(lake.uri(tables[0]), "the maintenance"))
                if reader is not None:
                    context.log.info(
                        f"Skipped, because the stream's reader maintains its tables: {reader}."
                    )
                    return
            for table in tables:
                figures = maintain(lake, table)
                if figures is not None:
                    context.log_event(
                        dg.AssetObservation(
                            dg.AssetKey(table.key),
                            description="Files and bytes before and after maintenance.",
                            metadata=figures,
                        )
                    )

    names = ", ".join(table.name for table in tables)
    return dg.op(
        name=f"maintain_{step}",
        description=f"Maintains {names}; the page of each table shows the result.",
        ins={},
        out=dg.Out(dg.Nothing),
        required_resource_keys={"lake"},
        pool=step,
    )(maintain_tables)
