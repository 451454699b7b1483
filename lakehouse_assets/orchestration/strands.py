"""Dividing planned runs into strands: tables that are made from each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from lakehouse_assets.orchestration.jobs import job_of
from lakehouse_assets.orchestration.planning import PlannedRun


@dataclass(frozen=True)
class Strand:
    """Tables with partitions of one domain, of which none is made from another strand's.

    Attributes:
        tables: Names of the tables by the job that makes them.
        trains: Whether a model is trained for one of them.
    """

    tables: dict[str, frozenset[str]]
    trains: bool = False

    @property
    def size(self) -> int:
        """The number of tables."""
        return sum(map(len, self.tables.values()))

    def joined(self, other: Strand) -> Strand:
        """Return both as one."""
        nothing: frozenset[str] = frozenset()
        tables = {
            job: self.tables.get(job, nothing) | other.tables.get(job, nothing)
            for job in self.tables.keys() | other.tables.keys()
        }
        return Strand(tables, self.trains or other.trains)

    def runs(self, planned: Iterable[PlannedRun]) -> list[PlannedRun]:
        """Return what planned runs make of the strand's tables."""
        narrowed = []
        for run in planned:
            tables = self.tables.get(run.job, frozenset())
            if run.tables:
                tables &= frozenset(run.tables)
            if tables:
                names = tuple(sorted(tables))
                narrowed.append(replace(run, tables=names, part_of=run.part_of or run))
        return narrowed


@dataclass(frozen=True)
class Work:
    """Runs that are made one after the other, in the same process.

    Attributes:
        strand: Whose tables are made.
        runs: The runs.
    """

    strand: Strand
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Divided:
    """Planned runs, divided.

    Attributes:
        before: Runs that all others need.
        beside: What can be made at the same time; who trains models first, then the longest.
        after: Runs that need all others.
    """

    before: tuple[PlannedRun, ...] = ()
    beside: tuple[Work, ...] = ()
    after: tuple[PlannedRun, ...] = ()


def divide(runs: Sequence[PlannedRun], strands: Iterable[Strand]) -> Divided:
    """Divide runs into those before all domains', those of each strand, and those after them."""
    places = [place for place, run in enumerate(runs) if run.domain is not None]
    if not places:
        return Divided(before=tuple(runs))
    first, end = places[0], places[-1] + 1
    middle = runs[first:end]
    if any(run.domain is None for run in middle):
        # A run of all domains between theirs keeps them in order.
        return Divided(before=tuple(runs[:end]), after=tuple(runs[end:]))
    work = [Work(strand, tuple(strand.runs(middle))) for strand in strands]
    beside = sorted(
        (part for part in work if part.runs),
        key=lambda part: (part.strand.trains, sum(len(run.tables) for run in part.runs)),
        reverse=True,
    )
    return Divided(tuple(runs[:first]), tuple(beside), tuple(runs[end:]))


def strands_of(assets: Iterable[dg.AssetsDefinition], most: int) -> list[Strand]:
    """Find the strands of all tables that have partitions.

    Args:
        assets: The assets of all tables.
        most: Strands of a domain; where there are more, the smallest are taken together, because
            every run has costs of its own.
    """
    partitioned = [asset for asset in assets if asset.partitions_def is not None]
    found: dict[str, list[Strand]] = {}
    for group in _connected(partitioned):
        domain = min(group[0].keys).path[0]
        found.setdefault(domain, []).append(_strand(group))
    return [strand for strands in found.values() for strand in _at_most(strands, most)]


def _connected(assets: Sequence[dg.AssetsDefinition]) -> list[list[dg.AssetsDefinition]]:
    """Group assets that need each other, whatever lies between."""
    groups: list[tuple[set[dg.AssetKey], list[dg.AssetsDefinition]]] = []
    partitioned = {key for asset in assets for key in asset.keys}
    for asset in assets:
        keys = {*asset.keys, *(partitioned.intersection(asset.dependency_keys))}
        members = [asset]
        for group in [group for group in groups if not keys.isdisjoint(group[0])]:
            groups.remove(group)
            keys |= group[0]
            members = [*group[1], *members]
        groups.append((keys, members))
    return [members for _, members in groups]


def _strand(assets: Iterable[dg.AssetsDefinition]) -> Strand:
    tables: dict[str, frozenset[str]] = {}
    trains = False
    for asset in assets:
        names = frozenset(key.path[-1] for key in asset.keys)
        tables[job_of(asset)] = tables.get(job_of(asset), frozenset()) | names
        trains |= "mlflow" in asset.required_resource_keys
    return Strand(tables, trains)


def _at_most(strands: Sequence[Strand], most: int) -> list[Strand]:
    """Join the smallest until there are no more than so many."""
    left = sorted(strands, key=lambda strand: strand.size, reverse=True)
    while len(left) > most:
        smallest = left.pop()
        left[-1] = left[-1].joined(smallest)
        left.sort(key=lambda strand: strand.size, reverse=True)
    return left
