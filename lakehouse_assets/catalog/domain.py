"""The declaration of a domain: everything that the lake has of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.datasets import Dataset, dataset_tables
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.sources import SourceTable

if TYPE_CHECKING:
    from lakehouse_assets.ml.lifecycle import ModelTable


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
