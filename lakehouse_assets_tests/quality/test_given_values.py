"""No given value is just lost: it is typed, flagged with a check that counts it, or quarantined."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import Dataset, silver_table
from lakehouse_assets.domains import DATASETS
from lakehouse_assets.domains.retail.datasets.store_sales import STORE_SALES
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.vocabulary import WHITE_SPACE
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.quality.classify import apply_expectations
from lakehouse_assets.quality.fields import expectations_of, typed_rows
from lakehouse_assets_tests.airline.samples import MEMBER, PURCHASE, bronze
from lakehouse_assets_tests.retail import samples

DOCUMENT = {
    "Name": "a.png", "Extension": "png", "MediaType": "image/png", "Size": "12", "SHA256": "0" * 64
}  # fmt: skip
PLAIN: dict[str, dict[str, Any]] = {
    "flights": MEMBER,
    "transactions": PURCHASE,
    "campaigns": samples.RESULT,
    "tweets": samples.TWEET,
    "labelled_tweets": samples.LABELLED,
    "store_sales": samples.SALE,
    "online_sales": samples.ORDER,
    "customers": samples.CUSTOMER,
    "website": samples.VISIT,
    "visits": samples.SEEN,
    "documents": DOCUMENT,
    "device_wear": samples.WORN,
}
HOSTILE = (
    "1,5", "200%", "(5)", "4 EUR", "0,5", "1.5", "1e400", "9" * 25, "-9" + "9" * 24, "NaN", "inf",
    "12 34", "\u00bd", "\uff11\uff12", "31/31/2021", "2021-02-30", "2021-13-01", "yes", "x", "$5",
    "1'000", "0x1F", "50%", "75003", "SW1A 1AA", "@", "http://t.co/a", "\u6771\u4eac", "maybe",
)  # fmt: skip


def hostile(dataset: Dataset) -> list[str]:
    """Return texts that stand for something, some of them drawn with a fixed seed."""
    rng = random.Random(20)  # noqa: S311
    signs = "0123456789.,-+/: eE%\u20ac\u00e9\u3042#'\"()ABCxyz\u0661\u2212"
    drawn = ["".join(rng.choices(signs, k=rng.randint(1, 12))) for _ in range(30)]
    texts = [*HOSTILE, *drawn]
    return [t for t in texts if t.strip(WHITE_SPACE) and t.strip().lower() not in dataset.nothing]


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.path)
def test_a_given_value_is_typed_flagged_or_quarantined(engine: Engine, dataset: Dataset) -> None:
    plain = PLAIN[dataset.name]
    base = {field: str(value) for field, value in plain.items()}
    sources, values = dataset.source_names, hostile(dataset)
    blanks = [{**base, source: ""} for source in sources]
    rows = [{**base, source: value} for source in sources for value in values]
    found = _outcomes(engine, dataset, [base, *blanks, *rows])
    assert found[0][1:] == ([], frozenset()), "the plain row is not plain"
    blank = dict(zip(sources, found[1:], strict=False))
    lost = [
        f"{source}={value!r}"
        for (source, value), (typed, reasons, reports) in zip(
            [(s, x) for s in sources for x in values], found[1 + len(sources) :], strict=True
        )
        if not reasons and not reports and typed == blank[source][0]
    ]
    assert lost == []
    # What is recorded of a document is never missing.
    columns = () if dataset.documents else silver_table(dataset).columns
    required = [c.name for c in columns if not c.nullable]
    unfit = [
        name for typed, reasons, _ in found if not reasons for name in required
        if name in typed and typed[name] is None
    ]  # fmt: skip
    assert unfit == [], "a kept row has no place in the table"


def test_rows_without_an_id_are_not_duplicates_of_each_other(engine: Engine) -> None:
    found = {}
    for dataset in DATASETS:
        key = next(c for c in dataset.columns if c.name == dataset.key)
        if key.type == "string" and key.need == "required":
            base = {field: str(value) for field, value in PLAIN[dataset.name].items()}
            rows = [{**base, str(key.source or key.name): text} for text in ("NULL", "n/a", " ")]
            found[key.name] = [reasons for _, reasons, _ in _outcomes(engine, dataset, rows)]
    assert found == {name: [[f"{name}_is_readable"]] * 3 for name in found}
    assert len(found) == 5


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.path)
def test_checks_are_named_once_and_described(dataset: Dataset) -> None:
    expectations = expectations_of(dataset)
    names = [e.name for e in expectations]
    assert len(set(names)) == len(names)
    assert {f"no_{flag.name}" for flag in dataset.flags} <= set(names)
    assert all(e.description.endswith(".") for e in expectations)


def test_a_flag_that_is_not_declared_is_refused(engine: Engine) -> None:
    made_up = replace(
        STORE_SALES, rule=lambda rows, _: rows.withColumn("flag_made_up", F.lit(True))
    )
    with pytest.raises(LakehouseError, match="flags made_up, but its declaration lists none; list"):
        typed_rows(made_up, engine, bronze(engine, STORE_SALES, [samples.SALE]))


@pytest.mark.parametrize("name", ["engine", "spark_engine"])
def test_decimal_commas_are_read_strictly(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(name)
    german = replace(STORE_SALES, decimal_comma=True)
    prices = {
        "1.234,56": "1234.56", "1234,56": "1234.56", "0,5": "0.5", "-7,": "-7", "42": "42",
        "1.234": "1234", "1.234.567,891": "1234567.891", "5.00": None, "12.34,5": None,
        "1,234.56": None, "1.23.456": None, ",5": None, "1,2,3": None, "1e3": None,
    }  # fmt: skip
    plain = {name: str(value) for name, value in samples.SALE.items()}
    rows = bronze(engine, german, [{**plain, "Price": text} for text in prices])
    typed = sorted(engine.rows(typed_rows(german, engine, rows)), key=lambda r: r["_row_number"])
    got = dict(zip(prices, (row["price"] for row in typed), strict=True))
    assert got == {text: value and Decimal(value) for text, value in prices.items()}


def _outcomes(
    engine: Engine, dataset: Dataset, rows: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], list[str], frozenset[str]]]:
    """Return of each row its typed values, its reasons and the checks that report it."""
    expectations = expectations_of(dataset)
    typed = typed_rows(dataset, engine, bronze(engine, dataset, rows))
    evaluated = apply_expectations(typed, expectations)
    warnings = [e for e in expectations if e.action != "drop"]
    frame = evaluated.select(
        *evaluated.columns,
        *[F.coalesce(e.condition(), F.lit(False)).alias(f"ok_{e.name}") for e in warnings],
    )
    # Hashes of the delivered text differ whatever becomes of it.
    names = [c for c in silver_table(dataset).column_names if c not in {dataset.key, "_row_number"}]
    if dataset.key not in {"result_id", "tweet_id", "visit_id"}:
        names.append(dataset.key)
    found = sorted(engine.rows(frame), key=lambda row: row["_row_number"])
    return [
        (
            {name: row[name] for name in names},
            row["reasons"],
            frozenset(e.name for e in warnings if not row[f"ok_{e.name}"]),
        )
        for row in found
    ]
