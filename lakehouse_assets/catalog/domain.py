"""The declaration of a domain: everything that the lake has of it."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from lakehouse_assets.catalog.datasets import Dataset, dataset_tables
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.sources import SourceTable

if TYPE_CHECKING:
    from lakehouse_assets.ml.lifecycle import ModelTable

_Kind = TypeVar("_Kind")


def declared_in(package: ModuleType, kind: type[_Kind]) -> tuple[_Kind, ...]:
    """Return what the modules of a package declare of a kind, by the names of the modules.

    Args:
        package: A package with a module for each dataset, topic of gold tables or model.
        kind: What to look for among the names of a module, alone or in a tuple.
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
        owner: Who answers for it, as Dagster shows it.
        datasets: What is delivered.
        gold: What is built from them.
        models: Models, and the tables of what they say.
        sources: Tables of databases that are delivered as datasets.
        first_partition: First day of the first month that can be delivered, unless the setting
            names another.
    """

    name: str
    owner: str
    datasets: tuple[Dataset, ...] = ()
    gold: tuple[GoldTable, ...] = ()
    models: tuple[ModelTable, ...] = ()
    sources: tuple[SourceTable, ...] = ()
    first_partition: date = date(2020, 1, 1)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the domain, from bronze to gold."""
        return (
            *(table for dataset in self.datasets for table in dataset_tables(dataset)),
            *(gold.table for gold in self.gold),
            *(model.table for model in self.models),
        )
