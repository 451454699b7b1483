"""Declares a domain: its datasets, streams, tables, models, sources, roles, pages and terms."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from lakehouse_assets.catalog.access import Role
from lakehouse_assets.catalog.datasets import Dataset, dataset_tables
from lakehouse_assets.catalog.glossary import Term
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.pages import Page
from lakehouse_assets.catalog.registry import Table, TableView
from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.catalog.streams import LiveAlarm, Stream, stream_tables
from lakehouse_assets.catalog.subjects import Subject

if TYPE_CHECKING:
    from lakehouse_assets.ml.evaluation import Evaluation, Training
    from lakehouse_assets.ml.spec import ModelTable

_Kind = TypeVar("_Kind")


def declared_in(package: ModuleType, kind: type[_Kind]) -> tuple[_Kind, ...]:
    """Return the objects of a type that a package's modules declare, in the order of module names.

    Args:
        package: A package with one module per dataset, topic of gold tables or model.
        kind: The type; a module may hold such objects directly or in a tuple.
    """
    found: list[_Kind] = []
    for module in sorted(pkgutil.iter_modules(package.__path__, f"{package.__name__}."),
                         key=lambda module: module.name):  # fmt: skip
        for value in vars(import_module(module.name)).values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, kind) and not any(item is known for known in found):
                    found.append(item)
    return tuple(found)


@dataclass(frozen=True)
class Domain:
    """A domain of the lake.

    Attributes:
        name: Its name, the first part of its asset keys.
        owner: Owner, as Dagster shows it.
        datasets: The delivered datasets.
        streams: The streams of events.
        gold: The gold tables.
        views: The views of tables.
        alarms: Alarms that `lakehouse stream` shows.
        models: The models, with the tables of their results.
        evaluations: How models are evaluated on a user's files.
        trainings: How models are trained from a user's files.
        sources: Database tables that are delivered as datasets.
        roles: What groups of people may read.
        pages: Pages that show its tables.
        subjects: The kinds of people whose records can be removed on request.
        terms: Its glossary.
        first_partition: First day of the first month that can be delivered, unless a setting
            overrides it.
    """

    name: str
    owner: str
    datasets: tuple[Dataset, ...] = ()
    streams: tuple[Stream, ...] = ()
    gold: tuple[GoldTable, ...] = ()
    views: tuple[TableView, ...] = ()
    alarms: tuple[LiveAlarm, ...] = ()
    models: tuple[ModelTable, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    trainings: tuple[Training, ...] = ()
    sources: tuple[SourceTable, ...] = ()
    roles: tuple[Role, ...] = ()
    pages: tuple[Page, ...] = ()
    subjects: tuple[Subject, ...] = ()
    terms: tuple[Term, ...] = ()
    first_partition: date = date(2020, 1, 1)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the domain, from bronze to gold."""
        return (
            *(table for dataset in self.datasets for table in dataset_tables(dataset)),
            *(table for stream in self.streams for table in stream_tables(stream)),
            *(gold.table for gold in self.gold),
            *(model.table for model in self.models),
        )


def built_from_streams(domains: Iterable[Domain]) -> frozenset[Table]:
    """Return the gold tables and models' tables that read streams' tables, directly or not."""
    domains = tuple(domains)
    streams = [stream for domain in domains for stream in domain.streams]
    return built_from((t for stream in streams for t in stream_tables(stream)), domains)


def built_from(tables: Iterable[Table], domains: Iterable[Domain]) -> frozenset[Table]:
    """Return the gold tables and models' tables of domains that read some tables, directly or not.

    Args:
        tables: The tables to start from, which are not among the result.
        domains: The domains.
    """
    reads: dict[Table, set[Table]] = {}
    for domain in domains:
        for gold in domain.gold:
            reads[gold.table] = {read.table for read in gold.frames.values()}
        for model in domain.models:
            reads[model.table] = {model.read.table}
    known = {*tables}
    found: set[Table] = set()
    while new := {table for table, sources in reads.items() if sources & known} - found:
        found |= new
        known |= new
    return frozenset(found)
