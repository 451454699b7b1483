"""The tables of the quality log, declared once."""

from __future__ import annotations

from lakehouse_assets.catalog.registry import Column, Table

DOMAIN = "quality"
OWNER = "team:platform"

_TABLE = Column("table_name", "string", "Checked table, as <domain>.<table>.", False)
_PARTITION = Column(
    "partition", "string",
    "Checked partition: a day, the first day of a month, or empty for the whole table.",
    False,
)  # fmt: skip
_RULE = Column("rule", "string", "Name of the expectation, check or figure.", False)
_ACTION = Column(
    "action", "string", "Action for a failing row: warn, drop or fail; null for a check."
)
_ROWS = Column(
    "rows", "bigint", "Rows that were checked or counted; null if not known.", unit="count"
)
_FAILING = Column("failing_rows", "bigint", "Rows that fail; null if not known.", unit="count")

QUALITY_EVENTS = Table(
    domain=DOMAIN,
    name="quality_events",
    layer="gold",
    description=(
        "Results of every run by partition and rule: expectations with their counts, checks, and "
        "the figures of conservation. Rows are only added, once per run."
    ),
    columns=(
        Column("run_id", "string", "Dagster run.", False),
        _TABLE,
        _PARTITION,
        _RULE,
        Column("kind", "string", "`expectation`, `check` or `figure`.", False),
        _ACTION,
        Column("passed", "boolean", "Whether the rule held; null for a figure."),
        _FAILING,
        _ROWS,
        Column("recorded_at", "timestamp", "When the run checked it.", False),
    ),
    keys=("run_id", "table_name", "partition", "rule"),
    owner=OWNER,
    kind="event",
    constraints={"known_kind": "kind IN ('expectation', 'check', 'figure')"},
)

QUALITY_RULES = Table(
    domain=DOMAIN,
    name="quality_rules",
    layer="gold",
    description="The latest verdict of every rule on every partition, with its pass rate.",
    columns=(
        _TABLE,
        _PARTITION,
        _RULE,
        _ACTION,
        Column("passed", "boolean", "Whether the rule held."),
        _FAILING,
        _ROWS,
        Column(
            "pass_rate", "double", "Share of the rows that pass; null without rows.", unit="share"
        ),
        Column("runs", "bigint", "Runs that checked the partition by this rule.", False, "count"),
        Column("recorded_at", "timestamp", "When it was last checked.", False),
    ),
    keys=("table_name", "partition", "rule"),
    owner=OWNER,
    kind="snapshot",
)

QUALITY_DRIFT = Table(
    domain=DOMAIN,
    name="quality_drift",
    layer="gold",
    description=(
        "How far the newest partitions of silver tables and of models' tables are from those "
        "before them: rows against the trailing median, and watched columns, which are inputs and "
        "scores of models, by their population stability index."
    ),
    columns=(
        _TABLE,
        _PARTITION,
        Column("measure", "string", "`rows`, or the column whose distribution is compared.", False),
        Column(
            "value", "double",
            "Rows divided by their trailing median, or the index: up to 0.1 means the same "
            "distribution, above 0.25 another; null if there is too little to compare with.",
            unit="ratio or index",
        ),
        Column(
            "current_rows", "bigint",
            "Rows of the partition; for an index, also of as many days before it as are needed "
            "for 200.",
            False, "count",
        ),
        Column("reference_rows", "bigint", "Rows of the partitions before them.", False, "count"),
        Column(
            "usual", "boolean",
            "Whether it is within bounds: 0.5 to 2 times the rows; an index up to 0.25, for a "
            "model's inputs and scores 0.1, or up to what chance exceeds once in 1,000 times. "
            "Null if there is no verdict.",
        ),
    ),
    keys=("table_name", "partition", "measure"),
    owner=OWNER,
    kind="snapshot",
)  # fmt: skip

TABLES = (QUALITY_EVENTS, QUALITY_RULES, QUALITY_DRIFT)
