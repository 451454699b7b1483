"""warn keeps and reports, drop sets aside and reports, fail stops what is downstream."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets_tests.airline.samples import House, check, member, numbers, steps, tables_of

MONTH = "2014-03-01"
ASIDE = quarantine_table(FLIGHTS)


def clean(house: House) -> dg.ExecuteInProcessResult:
    """Run members from their files to their first gold table."""
    return house.materialise(
        "airline_monthly", MONTH, *tables_of(FLIGHTS), gold_customers.DIM_GEOGRAPHY
    )


@pytest.fixture(scope="module")
def mixed(new_house: Callable[..., House]) -> tuple[House, dg.ExecuteInProcessResult]:
    """Members of which some warn and some have to go."""
    house = new_house("expectations")
    house.deliver_members(
        "2014-03-31",
        [
            member(1),
            member(2, AGE="110"),
            member(3, LAST_TO_END="12"),
            member(4, AVG_INTERVAL="99"),
            member(5, FFP_DATE="4/1/2014"),
            member(6, WORK_COUNTRY="??x"),
            member("x7"),
            member("", FFP_DATE="never", FLIGHT_COUNT="many"),
            member(9, SEG_KM_SUM="-1"),
            member(10, SUM_YR_1="1,000"),
            member(11, FFP_DATE="1/1/1899"),
            member(12, SUM_YR_1="", SUM_YR_2=""),
        ],
    )
    return house, clean(house)


def test_rows_that_only_warn_stay_and_are_counted(
    mixed: tuple[House, dg.ExecuteInProcessResult],
) -> None:
    house, result = mixed
    kept = [row["member_no"] for row in house.rows(SILVER_FLIGHTS, order="member_no")]
    assert kept == [1, 2, 3, 4, 5, 6, 12]
    for name in (
        "no_age_implausible", "last_to_end_agrees_with_last_flight_date",
        "avg_interval_is_at_most_max_interval", "joined_before_window_end", "no_country_unknown",
    ):  # fmt: skip
        found = check(result, SILVER_FLIGHTS, name)
        assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert numbers(found) == {"failing_rows": 1, "rows": 12, "action": "warn"}


def test_rows_without_facts_go_to_quarantine_with_all_reasons(
    mixed: tuple[House, dg.ExecuteInProcessResult],
) -> None:
    house, result = mixed
    rows = {row["_row_number"]: row["reasons"] for row in house.rows(ASIDE)}
    assert rows == {
        7: ["member_no_is_readable"],
        8: ["member_no_is_readable", "ffp_date_is_readable", "flight_count_is_readable",
            "dates_are_in_the_calendar"],
        9: ["measures_are_not_negative"],
        10: ["sum_yr_1_is_readable"],
        11: ["dates_are_in_the_calendar"],
    }  # fmt: skip
    found = check(result, SILVER_FLIGHTS, "member_no_is_readable")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert numbers(found) == {"failing_rows": 2, "rows": 12, "action": "drop"}


def test_warnings_and_drops_stop_nothing(mixed: tuple[House, dg.ExecuteInProcessResult]) -> None:
    _, result = mixed
    assert result.success
    assert "dim_geography" in steps(result, "SUCCESS")


def test_a_failed_expectation_stops_everything_downstream(house: House) -> None:
    house.deliver_members("2014-03-31", [member(1), member(0), member(-5)])
    result = clean(house)
    found = check(result, SILVER_FLIGHTS, "silver_key_is_positive")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert numbers(found) == {"failing_rows": 2, "rows": 3, "action": "fail"}
    assert not result.success
    assert "dim_geography" not in steps(result, "START")
