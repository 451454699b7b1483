"""Sorting rows: against a model in plain Python, on rows of any kind and in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.quality.classify import (
    accepted_rows,
    apply_expectations,
    classify,
    duplicates_of_earlier,
    duplicates_within,
    quarantined_rows,
    violations,
)
from lakehouse_assets.quality.fields import expectations_of, typed_rows
from lakehouse_assets_tests.airline.samples import bronze, purchase

EXPECTATIONS = (
    Expectation("id_is_given", "drop", "An id.", lambda: F.col("id").isNotNull()),
    Expectation("amount_is_given", "drop", "An amount.", lambda: F.col("amount").isNotNull()),
    Expectation("amount_is_small", "drop", "Below 10.", lambda: F.col("amount") < F.lit(10)),
    Expectation("amount_is_even", "warn", "Even.", lambda: F.col("amount") % F.lit(2) == F.lit(0)),
    Expectation("amount_is_not_9", "fail", "Not 9.", lambda: F.col("amount") != F.lit(9)),
)
NAMES = [expectation.name for expectation in EXPECTATIONS]
TYPES = {
    "id": pa.int64(), "amount": pa.int64(), "delivered_on": pa.date32(),
    "_source_file": pa.string(), "_row_number": pa.int64(),
}  # fmt: skip

rows_of_any_kind = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(1, 4)),
        st.one_of(st.none(), st.integers(0, 12)),
        st.integers(1, 3),
        st.sampled_from(["a.csv", "b.csv"]),
    ),
    max_size=40,
)


def delivered(drawn: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Give drawn rows a place of their own in their file."""
    return [
        {"id": id_, "amount": amount, "delivered_on": date(2024, 1, day),
         "_source_file": f"{day}/{file}", "_row_number": number}
        for number, (id_, amount, day, file) in enumerate(drawn, start=1)
    ]  # fmt: skip


def frame(engine: Engine, rows: list[dict[str, Any]]) -> Any:
    """Make a frame of typed rows."""
    return engine.from_arrow(
        pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in TYPES.items()})
    )


def address(row: dict[str, Any]) -> str:
    """Return `<file>#<row>`."""
    return f"{row['_source_file']}#{row['_row_number']}"


def model(
    rows: list[dict[str, Any]], *, newest_first: bool, apart: bool
) -> dict[str, tuple[Any, ...]]:
    """Work out disposition, reasons and original of each row with plain Python."""
    found: dict[str, tuple[Any, ...]] = {}
    first: dict[Any, str] = {}
    files = sorted({r["_source_file"] for r in rows}, reverse=newest_first)
    for row in sorted(rows, key=lambda r: (files.index(r["_source_file"]), r["_row_number"])):
        reasons = []
        key = (row["id"], row["delivered_on"] if apart else None)
        if row["id"] is None:
            reasons.append("id_is_given")
        if row["amount"] is None:
            reasons += ["amount_is_given", "amount_is_small"]
        elif row["amount"] >= 10:
            reasons.append("amount_is_small")
        if reasons:
            found[address(row)] = ("quarantined", reasons, None)
        elif key in first:
            found[address(row)] = ("duplicate", [], first[key])
        else:
            first[key] = address(row)
            found[address(row)] = ("accepted", [], None)
    return found


def sorted_out(
    typed: Any,
    expectations: Sequence[Expectation],
    key: str = "id",
    newest_first: bool = False,
    within: str | None = None,
) -> Any:
    """Judge rows and give them their dispositions."""
    evaluated = apply_expectations(typed, expectations)
    return classify(evaluated, duplicates_within(evaluated, key, newest_first, within))


def verdicts(engine: Engine, classified: Any) -> dict[str, tuple[Any, ...]]:
    """Return disposition, reasons and original by address."""
    return {
        address(row): (row["disposition"], row["reasons"], row["duplicate_of"])
        for row in engine.rows(classified)
    }


@given(rows_of_any_kind, st.randoms(use_true_random=False), st.booleans(), st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_row_comes_out_once_with_all_its_reasons_in_whatever_order_rows_come(
    drawn: list[tuple[Any, ...]], random: Any, newest_first: bool, apart: bool
) -> None:
    engine = start_engine()
    rows = delivered(drawn)
    expected = model(rows, newest_first=newest_first, apart=apart)
    random.shuffle(rows)
    with engine.scope():
        within = "delivered_on" if apart else None
        classified = engine.checkpoint(
            sorted_out(frame(engine, rows), EXPECTATIONS, "id", newest_first, within)
        )
        assert verdicts(engine, classified) == expected
        names = list(TYPES)
        aside = engine.rows(
            classified.filter(F.col("disposition") != F.lit("accepted")).select(*names)
        )
        taken = engine.rows(accepted_rows(classified, names))
        found = engine.rows(violations(classified, EXPECTATIONS, "delivered_on"))
        counts = {n: sum(row[n] for row in found) for n in (*NAMES, "all_rows")}
    out = Counter(address(row) for row in [*aside, *taken])
    assert out == Counter(address(row) for row in rows)
    assert counts["all_rows"] == len(rows)
    reasons = Counter(reason for _, found, _ in expected.values() for reason in found)
    for name in ("id_is_given", "amount_is_given", "amount_is_small"):
        assert counts[name] == reasons[name]
    stays = [r["amount"] for r in rows if expected[address(r)][0] == "accepted"]
    assert counts["amount_is_even"] == sum(amount % 2 for amount in stays)
    assert counts["amount_is_not_9"] == stays.count(9)


# Two rows of one key each: delivered on two days, in two files of a day, in one file.
TIES = [
    (1, 2, 1, "b.csv"), (1, 4, 2, "a.csv"), (2, 2, 1, "orders-2.csv"), (2, 4, 1, "orders-1.csv"),
    (3, 2, 1, "a.csv"), (3, 4, 1, "a.csv"), (4, 2, 1, "n-10.csv"), (4, 4, 1, "n-9.csv"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("newest_first", "stays"),
    [(False, {1: 2, 2: 4, 3: 2, 4: 2}), (True, {1: 4, 2: 2, 3: 2, 4: 4})],
    ids=["of_events_the_first", "of_states_the_last"],
)
def test_files_are_in_order_by_day_then_name_and_rows_as_they_stand(
    engine: Engine, newest_first: bool, stays: dict[int, int]
) -> None:
    """Names are compared as text, so that 10 comes before 9."""
    rows = frame(engine, delivered(TIES))
    taken = accepted_rows(
        sorted_out(rows, EXPECTATIONS, newest_first=newest_first), ["id", "amount"]
    )
    assert {row["id"]: row["amount"] for row in engine.rows(taken)} == stays


def test_a_key_of_an_earlier_delivery_names_the_row_that_was_kept_there(engine: Engine) -> None:
    rows = delivered(
        [(1, 2, 2, "a.csv"), (1, 4, 2, "a.csv"), (2, 2, 2, "a.csv"), (3, 99, 2, "a.csv")]
    )
    earlier = delivered([(1, 8, 1, "b.csv"), (3, 8, 1, "b.csv")])
    evaluated = apply_expectations(frame(engine, rows), EXPECTATIONS)
    repeated = duplicates_within(evaluated, "id", newest_delivery_first=False)
    stays = classify(evaluated, repeated).filter(F.col("disposition") == F.lit("accepted"))
    before = duplicates_of_earlier(stays, frame(engine, earlier), "id").drop("last_file")
    found = verdicts(engine, classify(evaluated, engine.union([repeated, before])))
    assert found == {
        "2/a.csv#1": ("duplicate", [], "1/b.csv#1"),
        # It repeats a row of its own file, which repeats the earlier one.
        "2/a.csv#2": ("duplicate", [], "2/a.csv#1"),
        "2/a.csv#3": ("accepted", [], None),
        "2/a.csv#4": ("quarantined", ["amount_is_small"], None),
    }


def test_what_is_set_aside_keeps_the_delivered_text(engine: Engine) -> None:
    text = {**purchase("T1"), "customer_id": " 12x ", "amount": "1,5", "purchase_date": "soon"}
    typed = typed_rows(TRANSACTIONS, engine, bronze(engine, TRANSACTIONS, [text]))
    classified = sorted_out(typed, expectations_of(TRANSACTIONS), "transaction_id")
    (row,) = engine.rows(quarantined_rows(classified, TRANSACTIONS))
    assert {name: row[name] for name in text} == text
    assert row["reasons"] == [
        "customer_id_is_readable", "purchase_date_is_readable", "amount_is_readable",
    ]  # fmt: skip
    assert row["disposition"] == "quarantined"
