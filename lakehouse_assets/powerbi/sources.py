"""The source of a semantic model's rows: Power Query (M) and Direct Lake partitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.powerbi.model import ModelColumn, ModelTable
from lakehouse_assets.storage.location import TABLES, CloudLocation, Location, parse_location

Kind = Literal["local", "onelake", "sql"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# The most digits of a decimal that Direct Lake reads.
_DIGITS = 18
_M_TYPES = {
    "string": "type text", "int64": "Int64.Type", "double": "type number",
    "decimal": "Currency.Type", "boolean": "type logical",
}  # fmt: skip
_UTC = (
    "(value) => if value is datetimezone "
    "then DateTimeZone.RemoveZone(DateTimeZone.ToUtc(value)) else value"
)


@dataclass(frozen=True)
class RowSource:
    """The source of a model's rows.

    Attributes:
        kind: `local`, a folder; `onelake`, a lakehouse of Fabric; or `sql`, the SQL endpoint.
        parameters: Parameters of the model by name, with their initial values.
        expressions: Shared M expressions of the model, by name.
    """

    kind: Kind
    parameters: dict[str, str]
    expressions: dict[str, str]

    @classmethod
    def of(cls, kind: Kind, at: str | None, root: Location) -> RowSource:
        """Return the source of a kind.

        Args:
            kind: Its kind.
            at: The location for Power BI, if not `root`: a folder, an address in OneLake, or
                `<host>:<port>/<database>` for SQL.
            root: The root of the lake.

        Raises:
            LakehouseError: the location is not of that kind.
        """
        if kind == "sql":
            found = re.fullmatch(r"([^/\s]+)/([^/\s]+)", at or "localhost:5432/lake")
            if found is None:
                raise LakehouseError(
                    f"{at} is not an address of the SQL endpoint; write --at "
                    "<host>:<port>/<database>."
                )
            return cls(kind, {"Server": found[1], "Database": found[2]}, {"Utc": _UTC})
        if kind == "local":
            if at is None and not isinstance(root, Path):
                raise LakehouseError(
                    f"The lake is at {root}, which is not a folder; give Power BI's folder with "
                    "--at, or choose --source onelake or sql."
                )
            return cls(
                kind,
                {"LakeRoot": at or str(root)},
                {
                    "Delta": "(schema as text, name as text) as table => DeltaLake.Table("
                    'Folder.Contents(Text.Combine({LakeRoot, schema, name}, "\\")))',
                    "Utc": _UTC,
                },
            )
        place = root if at is None else parse_location(at)
        if not isinstance(place, CloudLocation) or not place.is_onelake:
            raise LakehouseError(
                f"{place} is not a lakehouse in OneLake; give one with --at abfss://<workspace>@"
                "onelake.dfs.fabric.microsoft.com/<lakehouse>.Lakehouse/Tables."
            )
        if place.path != f"{place.lakehouse}/{TABLES}":
            raise LakehouseError(
                f"{place} is not the folder {TABLES} of a lakehouse, where Direct Lake looks for "
                f"tables; give {place.lakehouse}/{TABLES} with --at."
            )
        host = place.host.replace(".blob.", ".dfs.", 1)
        address = f"https://{host}/{place.container}/{place.lakehouse}"
        lake = f'AzureStorage.DataLake("{address}", [HierarchicalNavigation = true])'
        delta = (
            "(schema as text, name as text) as table => DeltaLake.Table(AzureStorage.DataLake("
            f'"{address}/{TABLES}/" & schema & "/" & name, [HierarchicalNavigation = true]))'
        )
        return cls(kind, {}, {"DirectLake": lake, "Delta": delta, "Utc": _UTC})

    def direct_lake(self, table: ModelTable) -> bool:
        """Whether Direct Lake reads a table.

        It does in OneLake if the model has all partitions of the table and only types that Direct
        Lake supports; other tables are imported.
        """
        plain = all(
            not c.column.type.startswith("array")
            and (c.column.decimal is None or c.column.decimal[0] <= _DIGITS)
            for c in table.columns
        )
        return self.kind == "onelake" and not table.latest_only and plain

    def partition(self, registry: Registry, table: ModelTable) -> list[str]:
        """Return the M expression that reads a table, by lines."""
        schema, name = table.table.domain, table.table.name
        if self.kind == "sql":
            item = text(f"{name}_history" if table.history else name)
            steps = [
                ("Lake", "PostgreSQL.Database(Server, Database)"),
                ("Rows", f"Lake{{[Schema = {text(schema)}, Item = {item}]}}[Data]"),
            ]
        else:
            steps = [("Rows", _delta(table.table))]
            if table.latest_only and table.table.partition:
                column = identifier(table.table.partition.column)
                other = table.table.latest_with
                dated = _delta(registry.meant_by(table.table, other)) if other else "Rows"
                steps += [
                    ("Latest", f"List.Max(Table.Column({dated}, {text(column[1:-1])}))"),
                    ("Current", f"Table.SelectRows(Rows, each {column} = Latest)"),
                ]
        names = ", ".join(text(c.column.name) for c in table.columns)
        steps.append(("Columns", f"Table.SelectColumns({steps[-1][0]}, {{{names}}})"))
        changed = [
            f"{{{text(c.column.name)}, Utc}}"
            for c in table.columns if c.column.type.startswith("timestamp")
        ] + [
            f'{{{text(c.column.name)}, each if _ is list then Text.Combine(_, ", ") else _}}'
            for c in table.columns if c.column.type.startswith("array")
        ]  # fmt: skip
        if changed:
            steps.append(("Values", f"Table.TransformColumns(Columns, {{{', '.join(changed)}}})"))
        types = ", ".join(f"{{{text(c.column.name)}, {_m_type(c)}}}" for c in table.columns)
        steps.append(("Typed", f"Table.TransformColumnTypes({steps[-1][0]}, {{{types}}})"))
        lines = [f"    {step} = {code}," for step, code in steps]
        return ["let", *lines[:-1], lines[-1].removesuffix(","), "in", f"    {steps[-1][0]}"]


def text(value: str) -> str:
    """Return a text as M writes it."""
    return '"' + value.replace('"', '""').replace("#(", "#(#)(") + '"'


def identifier(name: str) -> str:
    """Return a field of a row as M writes it."""
    return f"[{name}]" if re.fullmatch(r"\w+", name) else f"[#{text(name)}]"


def _delta(table: Table) -> str:
    return f"Delta({text(table.domain)}, {text(table.name)})"


def _m_type(column: ModelColumn) -> str:
    if column.data_type == "dateTime":
        return "type date" if column.column.type == "date" else "type datetime"
    return _M_TYPES[column.data_type]
