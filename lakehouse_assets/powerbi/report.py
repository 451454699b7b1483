"""Writes the pages of a domain as a Power BI report (PBIR)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakehouse_assets.catalog.pages import Page, Source, Visual, has_dimension, resolve, words
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.powerbi.files import SCHEMAS, as_json, short, static
from lakehouse_assets.powerbi.model import Model, ModelTable, table_on
from lakehouse_assets.powerbi.visuals import SHOWN

WIDTH, _MARGIN, _GAP, _TITLE, _SLICER = 1280, 24, 12, 64, 64
_HEIGHTS = {"small": 220, "medium": 300, "tall": 420}
_CARD = 110
_DEFINITION = f"{SCHEMAS}/item/report/definition"
_Json = dict[str, Any]


@dataclass(frozen=True)
class _Field:
    """A column or measure of the model, with its label in a visual."""

    table: str
    name: str
    label: str
    kind: str = "Column"

    @property
    def expression(self) -> _Json:
        source = {"Expression": {"SourceRef": {"Entity": self.table}}, "Property": self.name}
        if self.kind == "Average":
            return {"Aggregation": {"Expression": {"Column": source}, "Function": 1}}
        return {self.kind: source}

    def projection(self, *, active: bool) -> _Json:
        """Return the field as a role's projection."""
        name = f"{self.table}.{self.name}"
        found: _Json = {
            "field": self.expression,
            "queryRef": f"Avg({name})" if self.kind == "Average" else name,
            "nativeQueryRef": self.label,
            "displayName": self.label,
        }
        return found | ({"active": True} if active and self.kind == "Column" else {})


def report_of(
    registry: Registry, model: Model, pages: Sequence[Page]
) -> tuple[dict[str, str], list[str]]:
    """Make the report that shows pages of a model.

    Args:
        registry: All tables.
        model: The model.
        pages: The pages, in order.

    Returns:
        Its files by path, none if it has no page; and the visuals and slicers that it lacks, with
        the reasons.
    """
    files: dict[str, str] = {}
    left_out: list[str] = []
    names = []
    for page in pages:
        made = _PageWriter(registry, model, page, left_out)
        visuals = list(made.visuals())
        if not visuals:
            continue
        name = short(model.domain, "page", page.name)
        names.append(name)
        files[f"definition/pages/{name}/page.json"] = as_json(
            {
                "$schema": f"{_DEFINITION}/page/2.1.0/schema.json",
                "name": name,
                "displayName": page.title,
                "displayOption": "FitToWidth",
                "height": made.height,
                "width": WIDTH,
            }
        )
        for visual in visuals:
            path = f"definition/pages/{name}/visuals/{visual['name']}/visual.json"
            files[path] = as_json(visual)
    if names:
        order = {
            "$schema": f"{_DEFINITION}/pagesMetadata/1.1.0/schema.json",
            "pageOrder": names,
            "activePageName": names[0],
        }
        files |= static("Report") | {"definition/pages/pages.json": as_json(order)}
    return files, left_out


@dataclass
class _PageWriter:
    """Writes one page: its heading, slicers and visuals, from top to bottom."""

    registry: Registry
    model: Model
    page: Page
    left_out: list[str]
    order: int = 0
    height: int = 0

    def visuals(self) -> Iterator[_Json]:
        """Yield the page's visuals; afterwards, `height` is the page's."""
        shown = [v for v in self.page.visuals if self._can_show(v)]
        if not shown:
            return
        slicers = [
            (slicer, source)
            for slicer in self.page.slicers
            if (source := self._source_of_slicer(slicer.dimension)) is not None
        ]
        yield self._heading()
        top = _MARGIN + _TITLE
        if slicers:
            width = (WIDTH - 2 * _MARGIN + _GAP) // len(slicers) - _GAP
            for number, (slicer, source) in enumerate(slicers):
                place = (_MARGIN + number * (width + _GAP), top, width, _SLICER)
                yield self._slicer(slicer.dimension, slicer.kind == "range", source, place)
            top += _SLICER + _GAP
        unit = (WIDTH - 2 * _MARGIN + _GAP) / 12
        column = height = 0
        for visual in shown:
            if column + visual.width > 12:
                top, column, height = top + height + _GAP, 0, 0
            high = _CARD if visual.kind == "card" else _HEIGHTS[visual.height]
            left = _MARGIN + round(column * unit)
            yield self._visual(visual, (left, top, round(visual.width * unit) - _GAP, high))
            column, height = column + visual.width, max(height, high)
        self.height = top + height + _MARGIN

    def _can_show(self, visual: Visual) -> bool:
        """Whether the model has all fields of a visual; a missing one is reported."""
        source = self.page.source(visual.source)
        reason = self._missing(source, visual.named_dimensions, visual.measures)
        if source.where and not visual.measures:
            reason = reason or "its source has a condition, which needs a measure"
        if reason:
            self._report(f"visual {visual.title!r}", reason)
        return reason is None

    def _source_of_slicer(self, dimension: str) -> Source | None:
        """Return the first source whose dimension the model has; a missing one is reported."""
        reasons = []
        for source in self.page.sources:
            if self._table_of(source) is None or has_dimension(
                self.registry, self.page, source, dimension
            ):
                reason = self._missing(source, [dimension], [])
                if reason is None:
                    return source
                reasons.append(reason)
        self._report(f"slicer {dimension!r}", next(iter(reasons), "no source has it"))
        return None

    def _report(self, what: str, reason: str) -> None:
        self.left_out.append(f"{what} of page {self.page.name}: {reason}")

    def _missing(
        self, source: Source, dimensions: Iterable[str], measures: Iterable[str]
    ) -> str | None:
        """Return why the model cannot show fields of a source, or None."""
        table = self._table_of(source)
        if table is None:
            return f"{source.table} is not in the model"
        for name in dimensions:
            path = resolve(self.registry, self.page, source, name)
            here = table
            for join in path.joins:
                to = self.model.find(join.table)
                if to is None or not self.model.follows(here, join.reference.columns, to):
                    return f"the relation of {here.name} to {join.table.name} is not active"
                here = to
        for name in measures:
            if self._measure(table, source, name) is None:
                return f"measure {name} is not in the model"
        return None

    def _table_of(self, source: Source) -> ModelTable | None:
        table = table_on(self.registry, self.page, source)
        return self.model.find(table, history=source.history) if table else None

    def _measure(self, table: ModelTable, source: Source, name: str) -> _Field | None:
        wanted = source.where
        for found in table.measures:
            if found.measure.name == name and found.where == wanted:
                return _Field(table.name, found.name, words(name), "Measure")
        return None

    def _dimension(self, source: Source, name: str) -> _Field:
        """Return the column of a dimension.

        All sources should use the same column, so that one slicer or click filters them all: the
        column of the shared values, or else the column of a referenced table that another source
        uses.
        """
        own = self._column(source, name)
        shared_values = self.model.shared_column(name, *own)
        if shared_values:
            return _Field(shared_values.name, shared_values.name, self.page.label(name))
        table = self._table_of(source)
        if table is None or own[0] != table.name or table.history:
            return _Field(*own, self.page.label(name))
        for other in self.page.sources:
            if self._table_of(other) and has_dimension(self.registry, self.page, other, name):
                shared = self._column(other, name)
                if shared[0] in self.model.reached(table.name):
                    return _Field(*shared, self.page.label(name))
        return _Field(*own, self.page.label(name))

    def _column(self, source: Source, name: str) -> tuple[str, str]:
        path = resolve(self.registry, self.page, source, name)
        table = self.model.find(path.table) if path.joins else self._table_of(source)
        if table is None:
            raise KeyError(path.table.full_name)
        return table.name, path.column.name

    def _container(self, name: str, place: Sequence[int], visual: _Json) -> _Json:
        self.order += 1
        left, top, width, height = place
        return {
            "$schema": f"{_DEFINITION}/visualContainer/2.9.0/schema.json",
            "name": short(self.model.domain, "page", self.page.name, name),
            "position": {
                "x": left, "y": top, "z": self.order * 1000, "width": width, "height": height,
                "tabOrder": self.order * 1000,
            },
            "visual": visual,
        }  # fmt: skip

    def _heading(self) -> _Json:
        runs = [
            {"value": self.page.title, "textStyle": {"fontSize": "20pt", "fontWeight": "bold"}},
            {"value": self.page.description, "textStyle": {"fontSize": "10pt"}},
        ]
        paragraphs = [{"textRuns": [run]} for run in runs]
        return self._container(
            "heading",
            (_MARGIN, _MARGIN // 2, WIDTH - 2 * _MARGIN, _TITLE),
            {
                "visualType": "textbox",
                "objects": {"general": [{"properties": {"paragraphs": paragraphs}}]},
            },
        )

    def _slicer(self, dimension: str, ranged: bool, source: Source, place: Sequence[int]) -> _Json:
        found = self._dimension(source, dimension)
        column = resolve(self.registry, self.page, source, dimension).column
        orders = column.type.startswith(("date", "timestamp")) or column.unit is not None
        mode = "Between" if ranged and orders else "Dropdown"
        return self._container(
            f"slicer/{dimension}",
            place,
            {
                "visualType": "slicer",
                "query": {
                    "queryState": {"Values": {"projections": [found.projection(active=True)]}}
                },
                "objects": {"data": [{"properties": {"mode": _literal(mode)}}]},
                "visualContainerObjects": _titled(found.label, None),
                # Slicers of the same column on several pages are synchronised.
                "syncGroup": {
                    "groupName": f"{found.table}.{found.name}",
                    "fieldChanges": True,
                    "filterChanges": True,
                },
            },
        )

    def _visual(self, visual: Visual, place: Sequence[int]) -> _Json:
        source = self.page.source(visual.source)
        table = self._table_of(source)
        shown = SHOWN[visual.kind]
        dimensions = [self._dimension(source, name) for name in visual.dimensions]
        measures = [
            found for name in visual.measures
            if table and (found := self._measure(table, source, name)) is not None
        ]  # fmt: skip
        fields: dict[str, list[_Field]] = {}
        for roles, given in ((shown.dimensions, dimensions), (shown.measures, measures)):
            for number, one in enumerate(given if roles else ()):
                fields.setdefault(roles[min(number, len(roles) - 1)], []).append(one)
        if visual.series:
            fields["Series"] = [self._dimension(source, visual.series)]
        if visual.target and shown.target:
            fields[shown.target] = [self._dimension(source, visual.target[0])]
        for role in shown.numbers:
            fields[role] = [replace(one, kind="Average") for one in fields[role]]
        state = {
            role: {
                "projections": [
                    one.projection(active=not (visual.drill and role == "Category" and number))
                    for number, one in enumerate(given)
                ]
            }
            for role, given in fields.items()
        }
        query: _Json = {"queryState": state}
        by = (
            measures[:1] if visual.sort == "measure" and visual.kind not in {"line", "area"} else []
        )
        order = by or dimensions[:1]
        if order and visual.kind not in {"key_influencers", "top_segments", "map"}:
            direction = "Descending" if by else "Ascending"
            query["sortDefinition"] = {
                "sort": [{"field": order[0].expression, "direction": direction}],
                "isDefaultSort": False,
            }
        made = self._container(
            f"visual/{visual.title}",
            place,
            {
                "visualType": shown.visual,
                "query": query,
                "visualContainerObjects": _titled(visual.title, visual.note),
                "drillFilterOtherVisuals": True,
            },
        )
        if visual.top and dimensions and measures:
            name = short(self.model.domain, "page", self.page.name, "top", visual.title)
            made["filterConfig"] = {"filters": [_top(name, dimensions[0], measures[0], visual.top)]}
        return made


def _top(name: str, column: _Field, measure: _Field, count: int) -> _Json:
    """Return the filter that keeps the groups with the largest values of a measure."""
    # A query names each table once.
    names = {column.table: "c"}
    names.setdefault(measure.table, "m")

    def named(one: _Field) -> _Json:
        reference = {"SourceRef": {"Source": names[one.table]}}
        return {one.kind: {"Expression": reference, "Property": one.name}}

    tables = [{"Name": alias, "Entity": table, "Type": 0} for table, alias in names.items()]
    query = {
        "Version": 2,
        "From": tables,
        "Select": [named(column) | {"Name": "field"}],
        "OrderBy": [{"Direction": 2, "Expression": named(measure)}],
        "Top": count,
    }
    return {
        "name": name,
        "field": column.expression,
        "type": "TopN",
        "filter": {
            "Version": 2,
            "From": [
                {"Name": "top", "Expression": {"Subquery": {"Query": query}}, "Type": 2},
                tables[0],
            ],
            "Where": [
                {
                    "Condition": {
                        "In": {
                            "Expressions": [named(column)],
                            "Table": {"SourceRef": {"Source": "top"}},
                        }
                    }
                }
            ],
        },
    }


def _literal(text: str) -> _Json:
    return {"expr": {"Literal": {"Value": "'" + text.replace("'", "''") + "'"}}}


def _titled(title: str, note: str | None) -> Mapping[str, Any]:
    true = {"expr": {"Literal": {"Value": "true"}}}
    found = {"title": [{"properties": {"show": true, "text": _literal(title)}}]}
    if note:
        found["subTitle"] = [{"properties": {"show": true, "text": _literal(note)}}]
    return found
