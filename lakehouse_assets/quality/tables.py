"""The tables of the quality log, declared once."""

from __future__ import annotations

from lakehouse_assets.catalog.registry import Column, Measure, Table

DOMAIN = "quality"
OWNER = "team:platform"

TABLE_NAME = Column("table_name", "string", "Table, as <domain>.<table>.", False)
_PARTITION = Column(
    "partition", "string",
    "Checked partition: a day, the first day of a month, or empty for the whole table.",
    False,
)  # fmt: skip
_RULE = Column("rule", "string", "Name of the expectation, check or figure.", False)
_ACTION = Column(
    "action", "string", "What happens to rows that fail: warn, drop or fail; null for a check."
)
_ROWS = Column(
    "rows", "bigint", "Number of rows checked or counted; null if unknown.", unit="count"
)
_FAILING = Column(
    "failing_rows", "bigint", "Number of rows that fail; null if unknown.", unit="count"
)

QUALITY_EVENTS = Table(
    domain=DOMAIN,
    name="quality_events",
    layer="gold",
    description=(
        "One row per run, table, partition and rule: results of expectations and checks, and row "
        "counts (figures). Rows are only added."
    ),
    columns=(
        Column("run_id", "string", "Id of the Dagster run.", False),
        TABLE_NAME,
        _PARTITION,
        _RULE,
        Column(
            "kind", "string", "What the row is about: `expectation`, `check` or `figure`.", False
        ),
        _ACTION,
        Column("passed", "boolean", "Whether the rule passed; null for a figure."),
        _FAILING,
        _ROWS,
        Column("recorded_at", "timestamp", "When the run recorded the result.", False),
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
    description="Latest result of every rule on every partition, with its pass rate.",
    columns=(
        TABLE_NAME,
        _PARTITION,
        _RULE,
        _ACTION,
        Column("passed", "boolean", "Whether the rule passed."),
        _FAILING,
        _ROWS,
        Column(
            "pass_rate", "double", "Share of rows that pass; null if there are no rows.",
            unit="share"
        ),
        Column("runs", "bigint", "Number of runs that checked the rule on the partition.", False,
               "count"),
        Column("recorded_at", "timestamp", "When the rule was last checked.", False),
    ),
    keys=("table_name", "partition", "rule"),
    owner=OWNER,
    kind="snapshot",
    measures=(
        Measure("verdicts", "count(*)", "count", "additive",
                "Number of results: one per rule and partition."),
        Measure("failing_verdicts", "count(*) filter (where not passed)", "count", "additive",
                "Number of results that fail."),
        Measure("failing_rows", "sum(coalesce(failing_rows, 0))", "count", "additive",
                "Number of rows that fail a rule."),
        Measure("failing_share", "sum(failing_rows) / nullif(sum(rows), 0)", "share",
                "non_additive", "Share of checked rows that fail."),
    ),
)  # fmt: skip

QUALITY_DRIFT = Table(
    domain=DOMAIN,
    name="quality_drift",
    layer="gold",
    description=(
        "How much the newest partitions of silver tables and model tables differ from earlier "
        "ones: the number of rows against the median of earlier partitions, and the distribution "
        "of watched columns by population stability index (PSI)."
    ),
    columns=(
        TABLE_NAME,
        _PARTITION,
        Column(
            "measure", "string",
            "`rows`; the column whose distribution is compared; or `realised` and a metric of a "
            "model's predictions, computed with labels that arrived later.",
            False,
        ),
        Column(
            "value", "double",
            "For rows, their number divided by the median of earlier partitions. For a column, the "
            "PSI: up to 0.1 means no change, above 0.25 a different distribution. For a realised "
            "metric, its value. Null if there is too little data to compare with.",
            unit="ratio or index",
        ),
        Column(
            "current_rows", "bigint",
            "Number of rows in the partition; for a PSI, also in earlier days, up to 200 rows.",
            False, "count",
        ),
        Column("reference_rows", "bigint", "Number of rows in the earlier partitions.", False,
               "count"),
        Column(
            "usual", "boolean",
            "Whether the value is within bounds: 0.5 to 2 times the rows; a PSI up to 0.25 (0.1 "
            "for inputs and scores of models), or up to what chance exceeds once in 1,000 "
            "comparisons; a realised metric whose interval does not clearly miss the model's "
            "gates. Null if there is too little data.",
        ),
    ),
    keys=("table_name", "partition", "measure"),
    owner=OWNER,
    kind="snapshot",
    measures=(
        Measure("comparisons", "count(*)", "count", "additive", "Number of comparisons."),
        Measure("unusual", "count(*) filter (where not usual)", "count", "additive",
                "Number of comparisons outside the bounds."),
        Measure("largest_value", "max(value)", "ratio or index", "non_additive",
                "Largest ratio or PSI."),
    ),
)  # fmt: skip

MODEL_DECISIONS = Table(
    domain=DOMAIN,
    name="model_decisions",
    layer="gold",
    description=(
        "One row per decision on which version of a model is the champion, made after each fit or "
        "by a person. Rows are only added."
    ),
    columns=(
        Column("decision_id", "string", "Id of the decision, unique across registries.", False),
        Column("model", "string", "Name of the registered model.", False),
        Column("number", "int", "Number of the decision among those on the model.", False, "count"),
        Column("action", "string", "What led to the decision: `fit`, `promote` or `rollback`.",
               False),
        Column("candidate", "int", "Version that the decision is about.", False, "code"),
        Column("champion", "int", "Champion before the decision; null if there was none.",
               unit="code"),
        Column("partition", "string", "Partition that the candidate was fitted on.", False),
        Column("data_versions", "string", "Delta versions that the candidate was fitted on, as "
               "JSON."),
        Column("metric", "string", "Metric of the comparison; null if there was none."),
        Column(
            "difference", "double", "How much better the candidate is; negative if worse.",
            unit="metric",
        ),
        Column("low", "double", "Lower bound of the difference's 95 % interval.", unit="metric"),
        Column("high", "double", "Upper bound of the difference's 95 % interval.", unit="metric"),
        Column("rows", "int", "Number of rows compared.", False, "count"),
        Column(
            "out_of_fold_rows", "int", "Number of compared rows that the champion was also fitted "
            "on.", False, "count"
        ),
        Column(
            "changed_rows", "int",
            "Number of compared rows of which the champion was fitted on an earlier state, which "
            "favours the champion.",
            False, "count",
        ),
        Column("guards", "string", "Guards with their results and figures, as JSON.", False),
        Column("promoted", "boolean", "Whether the candidate became the champion.", False),
        Column("verdict", "string", "Reason for the decision, as a sentence.", False),
        Column("scored_by", "int", "Version that scores the candidate's partition.", False, "code"),
        Column(
            "decided_by", "string", "Who decided: the model's rule, or a person.", False,
            pii="identifier"
        ),
        Column("run_id", "string", "Id of the Dagster run of the fit; empty if a person decided.",
               False),
        Column("decided_at", "timestamp", "When the decision was made.", False),
    ),
    keys=("decision_id",),
    owner=OWNER,
    kind="event",
    measures=(
        Measure("decisions", "count(*)", "count", "additive", "Number of decisions."),
        Measure("promotions", "count(*) filter (where promoted)", "count", "additive",
                "Number of decisions that made a version the champion."),
        Measure("models", "count(distinct model)", "count", "non_additive", "Number of models."),
        Measure("latest_version", "max(candidate)", "code", "non_additive",
                "Highest version with a decision."),
        Measure("gain", "max(difference)", "metric", "non_additive",
                "Largest gain of a candidate over the champion."),
    ),
    constraints={"known_action": "action IN ('fit', 'promote', 'rollback')"},
)  # fmt: skip

AUDIT_LOG = Table(
    domain=DOMAIN,
    name="audit_log",
    layer="gold",
    description=(
        "One row per event: queries of users, changes of data, and changes of grants. Rows are "
        "only added, and removed once they are older than LAKEHOUSE_AUDIT_DAYS."
    ),
    columns=(
        Column("event_id", "string", "Id of the event.", False),
        Column("batch", "string", "Batch in which the event was recorded; prevents duplicates.",
               False),
        Column("at", "timestamp", "When the event happened.", False),
        Column("kind", "string", "Kind of event: `query`, `change` or `grant`.", False),
        Column("user_name", "string", "User who ran the query; null for a change.",
               pii="identifier"),
        Column("role", "string", "Role of the user, or the role whose grant changed."),
        Column(
            "source", "string",
            "For a query, how it was sent: `command`, `postgresql`, `flight`, `python` or `pages`. "
            "For a change, the asset that changed the data.",
        ),
        Column(
            "statement", "string",
            "The query with ? in place of values, the Delta operation, or the grant.",
        ),
        Column("tables", "array<string>", "Tables of the event, as <domain>.<table>."),
        Column("columns", "array<string>", "Columns of the event, as <domain>.<table>.<column>."),
        Column("policy", "string", "Row filter and masks that were applied."),
        Column("rows", "bigint", "Number of rows that the query fetched.", unit="count"),
        Column("milliseconds", "bigint", "Duration of the query.", unit="milliseconds"),
        Column(
            "verdict", "string",
            "Outcome: `answered`, `refused`, `failed` or `cancelled` for a query, `committed` for "
            "a change, `granted` or `revoked` for a grant.",
            False,
        ),
        Column("code", "string", "SQLSTATE of the error; null if there was none."),
        Column("run_id", "string", "Id of the Dagster run that changed the data."),
        Column("version", "bigint", "Table version that the change created.", unit="code"),
    ),
    keys=("event_id",),
    owner=OWNER,
    kind="event",
    measures=(
        Measure("events", "count(*)", "count", "additive", "Number of events."),
        Measure("queries", "count(*) filter (where kind = 'query')", "count", "additive",
                "Number of queries."),
        Measure("refused_queries", "count(*) filter (where verdict = 'refused')", "count",
                "additive", "Number of refused queries."),
        Measure("readers", "count(distinct user_name)", "count", "non_additive",
                "Number of users with a query."),
    ),
    constraints={"known_kind": "kind IN ('query', 'change', 'grant')"},
)  # fmt: skip

TABLES = (QUALITY_EVENTS, QUALITY_RULES, QUALITY_DRIFT, MODEL_DECISIONS, AUDIT_LOG)
