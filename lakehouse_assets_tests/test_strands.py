"""Strands: what can be made beside what, and planned runs divided by it."""

from __future__ import annotations

import dagster as dg
import pytest

from lakehouse_assets.orchestration.assembly import every_asset
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets.orchestration.strands import Strand, divide, strands_of
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import House

CALENDAR, QUALITY = PlannedRun("calendar"), PlannedRun("quality")
MEMBERS = Strand({"airline_monthly": frozenset({"members", "segments"})}, trains=True)
SALES = Strand({"retail_daily": frozenset({"sales"}), "retail_monthly": frozenset({"weeks", "x"})})
TWEETS = Strand({"retail_daily": frozenset({"tweets"})})
DAILY, MONTHLY = PlannedRun("retail_daily", "a", "b"), PlannedRun("retail_monthly", "a", "b")


def project_strands(most: int) -> list[Strand]:
    settings = Settings()
    return strands_of(every_asset(Calendar(settings.first_partition), settings), most)


@pytest.mark.parametrize("most", [1, 3, 99])
def test_no_strand_is_built_from_another_ones_tables(house: House, most: int) -> None:
    """What lets strands run beside each other at all."""
    graph = house.definitions().resolve_asset_graph()
    strand_of = {
        table: number
        for number, strand in enumerate(project_strands(most))
        for tables in strand.tables.values()
        for table in tables
    }
    for key in graph.materializable_asset_keys:
        partitioned = graph.get(key).partitions_def is not None
        assert partitioned == (key.path[-1] in strand_of), key
        if not partitioned:
            continue
        for parent in graph.get(key).parent_keys:
            if graph.get(parent).partitions_def is None:
                assert parent.path[0] in {"conformed", "retail"}, key
            else:
                assert strand_of[parent.path[-1]] == strand_of[key.path[-1]], (key, parent)


def test_tables_of_one_asset_and_its_job_are_of_one_strand(house: House) -> None:
    definitions = house.definitions()
    for strand in project_strands(99):
        for job, tables in strand.tables.items():
            layer = definitions.resolve_job_def(job).asset_layer
            assert tables <= {key.path[-1] for key in layer.selected_asset_keys}
    for asset in definitions.assets or ():
        if isinstance(asset, dg.AssetsDefinition) and asset.partitions_def is not None:
            names = {key.path[-1] for key in asset.keys}
            held = [names & set().union(*s.tables.values()) for s in project_strands(99)]
            assert [part for part in held if part] == [names]


def test_a_domain_has_no_more_strands_than_are_wanted() -> None:
    found = project_strands(99)
    retail = [strand for strand in found if "retail_daily" in strand.tables]
    assert len(retail) > 3
    assert [strand.trains for strand in found].count(True) == 1
    for most in (1, 2, 3):
        fewer = [strand for strand in project_strands(most) if "retail_daily" in strand.tables]
        assert len(fewer) == most
        assert sum(strand.size for strand in fewer) == sum(strand.size for strand in retail)


def test_runs_are_divided_into_those_all_need_those_of_strands_and_those_that_need_all() -> None:
    members = PlannedRun("airline_monthly", "a", "b")
    divided = divide([CALENDAR, members, DAILY, MONTHLY, QUALITY], [TWEETS, SALES, MEMBERS])
    assert (divided.before, divided.after) == ((CALENDAR,), (QUALITY,))
    # What trains begins first, then the longest.
    assert [work.strand for work in divided.beside] == [MEMBERS, SALES, TWEETS]
    assert divided.beside[1].runs == (
        PlannedRun("retail_daily", "a", "b", ("sales",), DAILY),
        PlannedRun("retail_monthly", "a", "b", ("weeks", "x"), MONTHLY),
    )
    assert divided.beside[2].runs == (PlannedRun("retail_daily", "a", "b", ("tweets",), DAILY),)


def test_a_strand_without_planned_tables_has_nothing_to_do() -> None:
    only = PlannedRun("retail_daily", "a", "b", ("tweets",))
    divided = divide([only], [TWEETS, SALES, MEMBERS])
    assert [work.strand for work in divided.beside] == [TWEETS]


def test_a_run_of_all_domains_between_theirs_keeps_all_in_order() -> None:
    divided = divide([DAILY, CALENDAR, MONTHLY, QUALITY], [SALES, TWEETS])
    assert (divided.before, divided.beside) == ((DAILY, CALENDAR, MONTHLY), ())
    assert divide([CALENDAR, QUALITY], [SALES]).before == (CALENDAR, QUALITY)


def test_runs_that_follow_on_a_part_are_parts_too() -> None:
    (part,) = TWEETS.runs([DAILY, MONTHLY])
    late = PlannedRun("retail_daily", "z", "z")
    assert TWEETS.runs([part, late, PlannedRun("retail_monthly", "z", "z")]) == [
        part,
        PlannedRun("retail_daily", "z", "z", ("tweets",), late),
    ]
