"""Writes a semantic model as TMDL, the text format of tabular models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from lakehouse_assets.catalog.pages import words
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.powerbi.dax import column_name, table_name
from lakehouse_assets.powerbi.dax import text as dax_text
from lakehouse_assets.powerbi.files import tag
from lakehouse_assets.powerbi.model import Model, ModelMeasure, ModelRole, ModelTable, SharedTable
from lakehouse_assets.powerbi.sources import RowSource, text

CULTURE = "en-US"
_COMPATIBILITY = {"local": 1567, "sql": 1567, "onelake": 1604}


def quoted(name: str) -> str:
    """Return a name as TMDL writes it."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else table_name(name)


def described(description: str, indent: str = "") -> list[str]:
    """Return a description as the lines before what it describes."""
    return [f"{indent}/// {line}".rstrip() for line in description.splitlines() if line.strip()]


def value(given: str) -> str:
    """Return a text as the value of a property."""
    if given != given.strip() or '"' in given or not given:
        return '"' + given.replace('"', '""') + '"'
    return given


def files_of(model: Model, registry: Registry, source: RowSource) -> dict[str, str]:
    """Return the files of a model's definition, by path in its folder `definition`."""
    files = {
        "database.tmdl": f"database\n\tcompatibilityLevel: {_COMPATIBILITY[source.kind]}\n",
        "model.tmdl": _model(model, source),
        "expressions.tmdl": _expressions(model, source),
        f"cultures/{CULTURE}.tmdl": _culture(model),
    }
    if model.relations:
        files["relationships.tmdl"] = _relationships(model)
    for table in model.tables:
        files[f"tables/{table.name}.tmdl"] = _table(model, table, registry, source)
    for shared in model.shared:
        files[f"tables/{shared.name}.tmdl"] = _shared(model, shared)
    for role in model.roles:
        files[f"roles/{role.name}.tmdl"] = _role(role)
    return files


def _properties(depth: int, **given: str | None) -> list[str]:
    """Return the lines of properties; None leaves one out."""
    indent = "\t" * depth
    return [f"{indent}{name}: {text}" for name, text in given.items() if text is not None]


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _model(model: Model, source: RowSource) -> str:
    tables = [*(table.name for table in model.tables), *(one.name for one in model.shared)]
    order = [*source.parameters, *source.expressions, *(table.name for table in model.tables)]
    return _text(
        [
            "model Model",
            f"\tculture: {CULTURE}",
            "\tdefaultPowerBIDataSourceVersion: powerBI_V3",
            f"\tsourceQueryCulture: {CULTURE}",
            "\tdataAccessOptions",
            "\t\tlegacyRedirects",
            "\t\treturnErrorValuesAsNull",
            "",
            "annotation __PBI_TimeIntelligenceEnabled = 0",
            "",
            f"annotation PBI_QueryOrder = {json.dumps(order, ensure_ascii=False)}",
            "",
            *(f"ref table {quoted(name)}" for name in tables),
            "",
            *(f"ref role {quoted(role.name)}" for role in model.roles),
            "",
            f"ref cultureInfo {CULTURE}",
        ]
    )


def _expressions(model: Model, source: RowSource) -> str:
    lines: list[str] = []
    for name, start in source.parameters.items():
        meta = 'meta [IsParameterQuery=true, Type="Text", IsParameterQueryRequired=true]'
        lines += [f"expression {name} = {text(start)} {meta}", *_tagged(model, name), ""]
    for name, code in source.expressions.items():
        lines += [f"expression {name} =", f"\t\t{code}", *_tagged(model, name), ""]
    return _text(lines[:-1])


def _tagged(model: Model, name: str) -> list[str]:
    return [f"\tlineageTag: {tag(model.domain, 'expression', name)}"]


def _relationships(model: Model) -> str:
    lines: list[str] = []
    for relation in model.relations:
        ends = (relation.table, relation.column, relation.to_table, relation.to_column)
        lines.append(f"relationship {tag(model.domain, 'relation', *ends)}")
        if not relation.active:
            lines.append("\tisActive: false")
        lines += [
            f"\tfromColumn: {quoted(relation.table)}.{quoted(relation.column)}",
            f"\ttoColumn: {quoted(relation.to_table)}.{quoted(relation.to_column)}",
            "",
        ]
    return _text(lines[:-1])


def _table(model: Model, table: ModelTable, registry: Registry, source: RowSource) -> str:
    described_as = table.table.description
    if table.history:
        described_as += " All partitions."
    elif table.latest_only and table.table.partition:
        described_as += f" The latest {table.table.partition.grain} only."
    lines = [
        *described(described_as),
        f"table {quoted(table.name)}",
        f"\tlineageTag: {tag(model.domain, table.name)}",
    ]
    if table.dates:
        lines.append("\tdataCategory: Time")
    for measure in table.measures:
        lines += [
            "",
            *described(
                measure.measure.description
                + (f" Only rows where {measure.where}." if measure.where else ""),
                "\t",
            ),
            f"\tmeasure {quoted(measure.name)} = {measure.dax}",
            f"\t\tformatString: {value(measure.format)}",
            f"\t\tdisplayFolder: {measure.folder}",
            f"\t\tlineageTag: {_measure_tag(model, table, measure)}",
        ]
    for column in table.columns:
        name, sort_by = column.column.name, column.column.sort_by
        unit = f" Unit: {column.column.unit}." if column.column.unit else ""
        lines += [
            "",
            *described(column.column.description + unit, "\t"),
            f"\tcolumn {quoted(name)}",
            f"\t\tdataType: {column.data_type}",
            *["\t\tisHidden"] * column.hidden,
            *["\t\tisKey"] * (table.dates and name in table.table.keys),
            *_properties(
                2,
                formatString=column.format and value(column.format),
                displayFolder=column.folder,
                dataCategory=column.category,
                lineageTag=tag(model.domain, table.name, "column", name),
                summarizeBy=column.summarize,
                sourceColumn=value(name),
                sortByColumn=sort_by and quoted(sort_by),
            ),
            "",
            "\t\tannotation SummarizationSetBy = User",
            *(["", "\t\tannotation UnderlyingDateTimeDataType = Date"]
              if column.column.type == "date" else []),
        ]  # fmt: skip
    for name, levels in table.table.hierarchies.items():
        lines += [
            "",
            f"\thierarchy {quoted(name)}",
            f"\t\tlineageTag: {tag(model.domain, table.name, 'hierarchy', name)}",
        ]
        for level in levels:
            lines += [
                "",
                f"\t\tlevel {quoted(words(level))}",
                f"\t\t\tlineageTag: {tag(model.domain, table.name, 'hierarchy', name, level)}",
                f"\t\t\tcolumn: {quoted(level)}",
            ]
    return _text([*lines, "", *_partition(table, registry, source)])


def _shared(model: Model, shared: SharedTable) -> str:
    name = quoted(shared.name)
    parts = [
        f"SELECTCOLUMNS(DISTINCT({column_name(table, column)}), "
        f"{dax_text(shared.name)}, {column_name(table, column)})"
        for table, column in shared.columns
    ]
    known = f"NOT(ISBLANK([{shared.name}]))"
    return _text(
        [
            *described(
                "Values that several tables share. A slicer on this table filters them all."
            ),
            f"table {name}",
            f"\tlineageTag: {tag(model.domain, 'shared', shared.dimension)}",
            "",
            f"\tcolumn {name}",
            f"\t\tdataType: {shared.data_type}",
            "\t\tisNameInferred",
            f"\t\tlineageTag: {tag(model.domain, 'shared', shared.dimension, 'column')}",
            "\t\tsummarizeBy: none",
            f"\t\tsourceColumn: [{shared.name}]",
            "",
            "\t\tannotation SummarizationSetBy = User",
            "",
            f"\tpartition {name} = calculated",
            "\t\tmode: import",
            "\t\tsource =",
            f"\t\t\t\tDISTINCT(FILTER(UNION({', '.join(parts)}), {known}))",
        ]
    )


def _measure_tag(model: Model, table: ModelTable, measure: ModelMeasure) -> str:
    parts = (measure.measure.name, *filter(None, [measure.where]))
    return tag(model.domain, table.name, "measure", *parts)


def _partition(table: ModelTable, registry: Registry, source: RowSource) -> list[str]:
    if source.direct_lake(table):
        return [
            f"\tpartition {quoted(table.name)} = entity",
            "\t\tmode: directLake",
            "\t\tsource",
            f"\t\t\tentityName: {table.table.name}",
            f"\t\t\tschemaName: {table.table.domain}",
            "\t\t\texpressionSource: DirectLake",
        ]
    return [
        f"\tpartition {quoted(table.name)} = m",
        "\t\tmode: import",
        "\t\tsource =",
        *(f"\t\t\t\t{line}" for line in source.partition(registry, table)),
        "",
        "\tannotation PBI_ResultType = Table",
    ]


def _role(role: ModelRole) -> str:
    lines = [
        *described(role.description),
        f"role {quoted(role.name)}",
        "\tmodelPermission: read",
    ]
    for table in sorted({*role.filters, *role.closed}):
        condition = f" = {role.filters[table]}" if table in role.filters else ""
        lines += ["", f"\ttablePermission {quoted(table)}{condition}"]
        for column in role.closed.get(table, ()):
            lines += [
                "",
                f"\t\tcolumnPermission {quoted(column)}",
                "\t\t\tmetadataPermission: none",
            ]
    return _text(lines)


def _culture(model: Model) -> str:
    """Return the culture with synonyms of tables, columns and measures, for Q&A."""
    entities: dict[str, object] = {}

    def add(words: Iterable[str], **binding: str) -> None:
        terms = list(dict.fromkeys(word.replace("_", " ").lower() for word in words))
        key = ".".join(re.sub(r"\W+", "_", part.lower()) for part in binding.values())
        entities[key] = {
            "Definition": {"Binding": binding},
            "State": "Authored",
            "Terms": [{word: {"Type": "Noun", "State": "Authored"}} for word in terms],
        }

    for table in model.tables:
        add((table.name, *table.table.aliases), ConceptualEntity=table.name)
        for column in table.columns:
            others = (*column.column.aliases, *column.synonyms)
            if others and not column.hidden:
                name = column.column.name
                add((name, *others), ConceptualEntity=table.name, ConceptualProperty=name)
        for measure in table.measures:
            names = (measure.measure.name, measure.name, *measure.synonyms)
            add(names, ConceptualEntity=table.name, ConceptualProperty=measure.name)
    content = {"Version": "2.0.0", "Language": CULTURE, "Entities": entities}
    written = json.dumps(content, indent=2, ensure_ascii=False).splitlines()
    return _text(
        [
            f"cultureInfo {CULTURE}",
            "",
            "\tlinguisticMetadata =",
            *(f"\t\t\t{line}" for line in written),
            "\t\tcontentType: json",
        ]
    )
