"""The pages about the lake itself: its models, and its tables with their quality and lineage."""

from __future__ import annotations

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.catalog.registry import Column, Measure, Table
from lakehouse_assets.quality.tables import OWNER, TABLE_NAME

DOMAIN = "lake"
_LAYER = Column("layer", "string", "Layer.", False)

TABLES = Table(
    domain=DOMAIN,
    name="tables",
    layer="gold",
    description="One row per declared table, from its Delta log.",
    columns=(
        TABLE_NAME,
        Column("domain", "string", "Domain.", False),
        _LAYER,
        Column("kind", "string", "Kind of table, such as `event` or `snapshot`.", False),
        Column("state", "string", "`built`, `empty` or `not built`.", False),
        Column("newest_partition", "date", "Newest partition with rows; null without partitions."),
        Column("written_at", "timestamp", "When its rows were last written; null if never."),
        Column("version", "bigint", "Delta version; null if it was not built.", unit="code"),
        Column("rows", "bigint", "Rows; null if it was not built.", unit="count"),
        Column("column_count", "int", "Declared columns.", False, "count"),
        Column("partitions", "int", "Partitions with rows.", False, "count"),
    ),
    keys=("table_name",),
    owner=OWNER,
    kind="snapshot",
    measures=(
        Measure("tables", "count(*)", "count", "additive", "Declared tables."),
        Measure("built_tables", "count(version)", "count", "additive", "Tables that were built."),
        Measure("rows", "sum(rows)", "count", "additive", "Rows of all tables."),
        Measure("columns", "sum(column_count)", "count", "additive", "Declared columns."),
        Measure("partitions", "sum(partitions)", "count", "additive", "Partitions with rows."),
        Measure("latest_version", "max(version)", "code", "non_additive", "Delta version."),
    ),
)  # fmt: skip

EDGES = Table(
    domain=DOMAIN,
    name="edges",
    layer="gold",
    description="One row per table and table that is computed from it.",
    columns=(
        Column("from_table", "string", "Table that is read, as <domain>.<table>.", False),
        Column("to_table", "string", "Table that is computed from it.", False),
        Column("from_layer", "string", "Layer of the first.", False),
        Column("to_layer", "string", "Layer of the second.", False),
    ),
    keys=("from_table", "to_table"),
    owner=OWNER,
    kind="snapshot",
    measures=(Measure("edges", "count(*)", "count", "additive", "Pairs of tables."),),
)

GUARDS = Table(
    domain=DOMAIN,
    name="guards",
    layer="gold",
    description="One row per guard of a decision: a condition that the candidate must meet.",
    columns=(
        Column("model", "string", "Registered model.", False),
        Column("candidate", "int", "Version that the decision is about.", False, "code"),
        Column("guard", "string", "Name of the guard.", False),
        Column("result", "string", "The measured and the required value.", False),
        Column("passed", "boolean", "Whether the candidate passed.", False),
    ),
    keys=("model", "candidate", "guard"),
    owner=OWNER,
    kind="event",
    measures=(
        Measure("guards", "count(*)", "count", "additive", "Guards that were checked."),
        Measure("failed_guards", "count(*) filter (where not passed)", "count", "additive",
                "Guards that a candidate failed."),
    ),
)  # fmt: skip

METRICS = Table(
    domain=DOMAIN,
    name="metrics",
    layer="gold",
    description="One row per metric of a version of a registered model, from MLflow.",
    columns=(
        Column("model", "string", "Registered model.", False),
        Column("version", "int", "Version.", False, "code"),
        Column("version_name", "string", "Model and version.", False),
        Column("alias", "string", "`champion`, `challenger` or `previous`; null for none."),
        Column("partition", "string", "Partition that the version was fitted on.", False),
        Column("metric", "string", "Name of the metric.", False),
        Column("decides", "boolean", "Whether a gate or the comparison with the champion uses it.",
               False),
        Column("value", "double", "Its value.", unit="metric"),
    ),
    keys=("model", "version", "metric"),
    owner=OWNER,
    kind="snapshot",
    measures=(
        Measure("versions", "count(distinct version_name)", "count", "non_additive",
                "Versions of models."),
        Measure("metric_value", "avg(value)", "metric", "non_additive", "Value of the metric."),
    ),
)  # fmt: skip

OWN_TABLES = (TABLES, EDGES, GUARDS, METRICS)

MODELS_PAGE = Page(
    "models",
    "Machine learning",
    "quality",
    "Versions of the models, the conditions they had to meet, and drift in their data.",
    sources=(
        Source("model_decisions", "decisions"),
        Source("lake.guards", "guards"),
        Source("lake.metrics", "metrics"),
        Source("lake.metrics", "deciding", where="decides"),
        Source("quality_drift", "drift"),
    ),
    labels={"table_name": "Table", "decided_at": "Decided (UTC)", "measure": "Column",
            "candidate": "Version"},
    slicers=(Slicer("model"), Slicer("table_name")),
    visuals=(
        Visual("card", "Models", measures=("models",), width=3),
        Visual("card", "Decisions", measures=("decisions",), width=3),
        Visual("card", "Promotions", measures=("promotions",), width=3),
        Visual("card", "Unusual comparisons", source="drift", measures=("unusual",), width=3),
        Visual("matrix", "Deciding metrics by version", source="deciding", width=12,
               dimensions=("version_name", "metric"), measures=("metric_value",),
               sort="dimension",
            options={"totals": False},
            note="Metrics used by gates and by the comparison with the champion"),
        Visual("bar", "Decisions and promotions by model", dimensions=("model",),
               measures=("decisions", "promotions"), width=5),
        Visual("table", "All metrics", source="metrics", width=7, sort="dimension",
               dimensions=("version_name", "alias", "metric"), measures=("metric_value",)),
        Visual("table", "Guards", source="guards", width=12,
               dimensions=("model", "candidate", "guard", "result", "passed")),
        Visual("table", "Decisions by version", width=12,
               dimensions=("model", "number", "candidate", "partition", "action", "promoted",
                           "verdict", "metric", "decided_at"),
               measures=("gain",), sort="dimension"),
        Visual("bar", "Drift by column", source="drift", dimensions=("measure",),
               measures=("largest_value",), top=15, width=6, height="tall",
               note="Population stability index, or rows divided by their median; an index above "
                    "0.25 means another distribution"),
        Visual("bar", "Comparisons by table", source="drift", dimensions=("table_name",),
               measures=("comparisons", "unusual"), width=6, height="tall", top=15),
    ),
)  # fmt: skip

LAKE_PAGE = Page(
    "lake",
    "Lake",
    DOMAIN,
    "Every table: its size, freshness, check results and lineage.",
    sources=(
        Source("lake.tables", "tables"),
        Source("quality.quality_rules", "rules"),
        Source("lake.edges", "edges"),
    ),
    labels={"table_name": "Table", "written_at": "Written (UTC)",
            "newest_partition": "Newest partition"},
    slicers=(Slicer("domain"), Slicer("layer"), Slicer("table_name")),
    visuals=(
        Visual("card", "Tables", measures=("built_tables",), width=3),
        Visual("card", "Rows", measures=("rows",), width=3),
        Visual("card", "Failing rules", source="rules", measures=("failing_verdicts",), width=3),
        Visual("card", "Failing share", source="rules", measures=("failing_share",), width=3),
        Visual("stacked_column", "Tables by domain and layer", dimensions=("domain",),
               series="layer", measures=("tables",), width=4),
        Visual("bar", "Largest tables", dimensions=("table_name",), measures=("rows",), top=12,
               width=8),
        Visual("bar", "Rows failing rules", source="rules", dimensions=("table_name", "rule"),
               drill=True, measures=("failing_rows",), top=12, width=6),
        Visual("table", "Rules", source="rules", width=6,
               dimensions=("table_name", "rule", "action"),
               measures=("failing_rows", "failing_share", "verdicts"), top=200),
        Visual("table", "Freshness", dimensions=("table_name", "layer", "state",
                                                 "newest_partition", "written_at"),
               measures=("latest_version", "rows", "partitions"), width=12, height="tall",
               sort="dimension"),
        Visual("lineage", "Lineage", source="edges", width=12, height="tall",
               dimensions=("from_table", "to_table", "from_layer", "to_layer")),
    ),
)  # fmt: skip

OWN_PAGES = (MODELS_PAGE, LAKE_PAGE)
