"""What Dagster says was loaded of a dataset, and from which files."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.orchestration.loads import content_recorded, newest


def loaded_from(
    instance: dg.DagsterInstance, dataset: Dataset, partitions: Collection[date]
) -> dict[date, str]:
    """Say which files partitions were loaded from, as `content_of` names them.

    A partition counts once silver was made after bronze: a run that failed between the two has
    loaded nothing that tables further down could follow.
    """
    bronze, _, silver, _ = dataset.loaded_tables
    loads = newest(instance, dg.AssetKey([dataset.domain, bronze]), partitions)
    cleans = newest(instance, dg.AssetKey([dataset.domain, silver]), loads)
    found = {}
    for partition, record in loads.items():
        cleaned, content = cleans.get(partition), content_recorded(record)
        if content is not None and cleaned and cleaned.storage_id > record.storage_id:
            found[partition] = content
    return found
