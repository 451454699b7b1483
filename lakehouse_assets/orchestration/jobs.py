"""The jobs: one per domain and kind of partitions, because one run cannot mix partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TypeAlias

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.domain import built_from_streams
from lakehouse_assets.domains import DOMAINS

Job: TypeAlias = "dg.UnresolvedAssetJobDefinition"
Jobs: TypeAlias = Mapping[str, Job]

# Kind of the assets that read streams.
STREAM = "stream"
# Tables without partitions, of any domain.
UNPARTITIONED = "reference_data"
DAILY = "daily"
MONTHLY = "monthly"
# What reads streams, and what is built by day from them.
STREAMS = "streams"
LIVE = "live"
# The quality log's tables, filled after all others.
QUALITY = "quality"

_TEXTS = {
    DAILY: "Loads daily deliveries of {domain} into bronze and silver; builds its daily tables.",
    MONTHLY: "Loads monthly snapshots of {domain}, and builds its gold tables and models.",
    STREAMS: "Reads new messages from the streams of {domain}.",
    LIVE: "Builds the daily tables of {domain} that read streams.",
}


def job_name(domain: str, family: str) -> str:
    """Name the job of a domain's tables of a family: `daily`, `monthly`, `streams` or `live`."""
    return f"{domain}_{family}"


def job_that_loads(dataset: Dataset) -> str:
    """Name the job that loads a dataset's deliveries."""
    return job_name(dataset.domain, DAILY if dataset.grain == "day" else MONTHLY)


def domain_of(job: str) -> str | None:
    """Return the domain whose partitions a job materialises; None for a job of all domains."""
    domain, _, family = job.rpartition("_")
    return domain if family in _TEXTS else None


def job_of(definition: dg.AssetsDefinition) -> str:
    """Name the job that materialises an asset."""
    domain = min(definition.keys).path[0]
    if domain == QUALITY:
        return QUALITY
    if any(STREAM in spec.kinds for spec in definition.specs):
        return job_name(domain, STREAMS)
    partitions = definition.partitions_def
    if partitions is None:
        return UNPARTITIONED
    if not isinstance(partitions, dg.DailyPartitionsDefinition):
        return job_name(domain, MONTHLY)
    return job_name(domain, LIVE if live_keys() & definition.keys else DAILY)


@cache
def live_keys() -> frozenset[dg.AssetKey]:
    """Return the keys of the tables that are built from streams."""
    return frozenset(dg.AssetKey(table.key) for table in built_from_streams(DOMAINS))


def family_jobs(assets: Iterable[dg.AssetsDefinition]) -> dict[str, Job]:
    """Make the jobs that materialise all assets of each domain and family of partitions."""
    jobs: dict[str, list[dg.AssetKey]] = {UNPARTITIONED: []}
    texts = {
        UNPARTITIONED: "Builds tables without partitions, such as the calendar.",
        QUALITY: "Adds check results to the quality log, and measures drift.",
    }
    for definition in assets:
        if not definition.is_executable:
            continue
        name = job_of(definition)
        domain, _, family = name.rpartition("_")
        if family in _TEXTS:
            texts[name] = _TEXTS[family].format(domain=domain)
        jobs.setdefault(name, []).extend(definition.keys)
    return {
        name: dg.define_asset_job(
            name, selection=dg.AssetSelection.assets(*keys), description=texts[name]
        )
        for name, keys in jobs.items()
        if keys
    }
