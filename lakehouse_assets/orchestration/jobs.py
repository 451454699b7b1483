"""The jobs: one per domain and family of partitions, because one run cannot mix them."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset

# Tables without partitions, of any domain.
UNPARTITIONED = "reference_data"
DAILY = "daily"
MONTHLY = "monthly"
# The quality log's tables, filled after all others.
QUALITY = "quality"

_TEXTS = {
    DAILY: "Daily deliveries of {domain} to bronze and silver, and what is counted by day.",
    MONTHLY: "Monthly snapshots of {domain}, its gold tables and its models.",
}


def job_name(domain: str, family: str) -> str:
    """Name the job of a domain's tables that have daily or monthly partitions."""
    return f"{domain}_{family}"


def job_that_loads(dataset: Dataset) -> str:
    """Name the job that loads a dataset's deliveries."""
    return job_name(dataset.domain, DAILY if dataset.grain == "day" else MONTHLY)


def domain_of(job: str) -> str | None:
    """Return the domain whose partitions a job materialises; None for a job of all domains."""
    domain, _, family = job.rpartition("_")
    return domain if family in {DAILY, MONTHLY} else None


def job_of(definition: dg.AssetsDefinition) -> str:
    """Name the job that materialises an asset."""
    domain = min(definition.keys).path[0]
    if domain == QUALITY:
        return QUALITY
    partitions = definition.partitions_def
    if partitions is None:
        return UNPARTITIONED
    daily = isinstance(partitions, dg.DailyPartitionsDefinition)
    return job_name(domain, DAILY if daily else MONTHLY)


def family_jobs(assets: Iterable[dg.AssetsDefinition]) -> list[dg.UnresolvedAssetJobDefinition]:
    """Make the jobs that materialise all assets of each domain and family of partitions."""
    jobs: dict[str, list[dg.AssetKey]] = {UNPARTITIONED: []}
    texts = {
        UNPARTITIONED: "Tables without partitions, such as the calendar.",
        QUALITY: "The quality log: what the runs so far have found, and drift.",
    }
    for definition in assets:
        name = job_of(definition)
        domain, _, family = name.rpartition("_")
        if family in _TEXTS:
            texts[name] = _TEXTS[family].format(domain=domain)
        jobs.setdefault(name, []).extend(definition.keys)
    return [
        dg.define_asset_job(
            name, selection=dg.AssetSelection.assets(*keys), description=texts[name]
        )
        for name, keys in jobs.items()
        if keys
    ]
