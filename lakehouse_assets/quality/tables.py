"""The tables of the quality log, declared once."""

from __future__ import annotations

from lakehouse_assets.catalog.registry import Column, Measure, Table

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
    measures=(
        Measure("verdicts", "count(*)", "count", "additive", "Rules on partitions."),
        Measure("failing_verdicts", "count(*) filter (where not passed)", "count", "additive",
                "Rules that fail on a partition."),
        Measure("failing_rows", "sum(coalesce(failing_rows, 0))", "count", "additive",
                "Rows that fail a rule."),
        Measure("failing_share", "sum(failing_rows) / nullif(sum(rows), 0)", "share",
                "non_additive", "Share of the checked rows that fail."),
    ),
)  # fmt: skip

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
        Column(
            "measure", "string",
            "`rows`, the column whose distribution is compared, or `realised` and the metric of a "
            "model's predictions, measured by labels that came later.",
            False,
        ),
        Column(
            "value", "double",
            "Rows divided by their trailing median, or the index: up to 0.1 means the same "
            "distribution, above 0.25 another; null if there is too little to compare with. For "
            "a realised metric, its value.",
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
            "model's inputs and scores 0.1, or up to what chance exceeds once in 1,000 times; a "
            "realised metric that passes the model's gates, or may by its interval. "
            "Null if there is no verdict.",
        ),
    ),
    keys=("table_name", "partition", "measure"),
    owner=OWNER,
    kind="snapshot",
    measures=(
        Measure("comparisons", "count(*)", "count", "additive", "Comparisons of partitions."),
        Measure("unusual", "count(*) filter (where not usual)", "count", "additive",
                "Comparisons outside the bounds."),
        Measure("largest_value", "max(value)", "ratio or index", "non_additive",
                "Largest ratio or index."),
    ),
)  # fmt: skip

MODEL_DECISIONS = Table(
    domain=DOMAIN,
    name="model_decisions",
    layer="gold",
    description=(
        "Decisions about which version of a model is the champion: after each fit, and by people. "
        "Rows are only added."
    ),
    columns=(
        Column("decision_id", "string", "Identifies the decision across registries.", False),
        Column("model", "string", "Registered model.", False),
        Column("number", "int", "Its place among the model's decisions.", False, "count"),
        Column("action", "string", "`fit`, `promote` or `rollback`.", False),
        Column("candidate", "int", "Version that the decision is about.", False, "code"),
        Column("champion", "int", "Champion before; null if there was none.", unit="code"),
        Column("partition", "string", "Partition that the candidate was fitted on.", False),
        Column("data_versions", "string", "Delta versions that it was fitted on, as JSON."),
        Column("metric", "string", "Metric of the comparison; null without one."),
        Column(
            "difference", "double", "By how much the candidate is better; negative if worse.",
            unit="metric",
        ),
        Column("low", "double", "Lower bound of its 95 % interval.", unit="metric"),
        Column("high", "double", "Upper bound of its 95 % interval.", unit="metric"),
        Column("rows", "int", "Rows that were compared.", False, "count"),
        Column(
            "out_of_fold_rows", "int", "Those that the champion was fitted on, too.", False, "count"
        ),
        Column(
            "changed_rows", "int",
            "Those that the champion was fitted on in an earlier state, which favours it.",
            False, "count",
        ),
        Column("guards", "string", "Names, results and figures of the guards, as JSON.", False),
        Column("promoted", "boolean", "Whether the candidate became the champion.", False),
        Column("verdict", "string", "Why, in words.", False),
        Column("scored_by", "int", "Version that scores the candidate's partition.", False, "code"),
        Column(
            "decided_by", "string", "The rule of the model, or a person.", False, pii="identifier"
        ),
        Column("run_id", "string", "Dagster run of the fit; empty if a person decided.", False),
        Column("decided_at", "timestamp", "When it was decided.", False),
    ),
    keys=("decision_id",),
    owner=OWNER,
    kind="event",
    measures=(
        Measure("decisions", "count(*)", "count", "additive", "Decisions."),
        Measure("promotions", "count(*) filter (where promoted)", "count", "additive",
                "Decisions that made a version the champion."),
        Measure("models", "count(distinct model)", "count", "non_additive", "Models."),
        Measure("latest_version", "max(candidate)", "code", "non_additive",
                "Highest version that a decision is about."),
        Measure("gain", "max(difference)", "metric", "non_additive",
                "Largest gain of a candidate over its champion."),
    ),
    constraints={"known_action": "action IN ('fit', 'promote', 'rollback')"},
)  # fmt: skip

AUDIT_LOG = Table(
    domain=DOMAIN,
    name="audit_log",
    layer="gold",
    description=(
        "Who asked what of the lake, every change of its data, and every change of what roles may "
        "read. Rows are only added, until they are older than LAKEHOUSE_AUDIT_DAYS."
    ),
    columns=(
        Column("event_id", "string", "Identifies the event.", False),
        Column("batch", "string", "What it was recorded with, for exactly one copy.", False),
        Column("at", "timestamp", "When it happened.", False),
        Column("kind", "string", "`query`, `change` or `grant`.", False),
        Column("user_name", "string", "Who asked; null for a change.", pii="identifier"),
        Column("role", "string", "Role of the user, or whose grant changed."),
        Column(
            "source", "string",
            "What it was asked with: `command`, `postgresql`, `flight`, `python` or `pages`; the "
            "asset that changed the data.",
        ),
        Column(
            "statement", "string",
            "Shape of a query, with ? for values; Delta's operation; the grant.",
        ),
        Column("tables", "array<string>", "Tables, as <domain>.<table>."),
        Column("columns", "array<string>", "Columns, as <domain>.<table>.<column>."),
        Column("policy", "string", "Row filter and masks that applied."),
        Column("rows", "bigint", "Rows that a query fetched.", unit="count"),
        Column("milliseconds", "bigint", "Time that a query took.", unit="milliseconds"),
        Column(
            "verdict", "string",
            "`answered`, `refused`, `failed` or `cancelled`; `granted` or `revoked`; `committed`.",
            False,
        ),
        Column("code", "string", "SQLSTATE of an error."),
        Column("run_id", "string", "Dagster run that changed the data."),
        Column("version", "bigint", "Version of the table that a change made.", unit="code"),
    ),
    keys=("event_id",),
    owner=OWNER,
    kind="event",
    measures=(
        Measure("events", "count(*)", "count", "additive", "Recorded events."),
        Measure("queries", "count(*) filter (where kind = 'query')", "count", "additive",
                "Statements that were asked."),
        Measure("refused_queries", "count(*) filter (where verdict = 'refused')", "count",
                "additive", "Statements that a role was refused."),
        Measure("readers", "count(distinct user_name)", "count", "non_additive",
                "Users who asked something."),
    ),
    constraints={"known_kind": "kind IN ('query', 'change', 'grant')"},
)  # fmt: skip

TABLES = (QUALITY_EVENTS, QUALITY_RULES, QUALITY_DRIFT, MODEL_DECISIONS, AUDIT_LOG)
