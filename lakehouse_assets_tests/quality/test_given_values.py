"""No given value is just lost: it is typed, flagged with a check that counts it, or quarantined."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lakehouse_assets.domains.airline import silver as airline
from lakehouse_assets.domains.airline.transforms import silver as members
from lakehouse_assets.domains.retail import silver as retail
from lakehouse_assets.domains.retail.tags import CAMPAIGN_TAGS
from lakehouse_assets.domains.retail.transforms import (
    campaigns,
    customers,
    documents,
    sales,
    tweets,
    website,
)
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.vocabulary import WHITE_SPACE
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.silver_assets import SilverRule
from lakehouse_assets.quality.classify import judge
from lakehouse_assets.quality.fields import Fields
from lakehouse_assets_tests.airline.samples import MEMBER, PURCHASE, bronze
from lakehouse_assets_tests.retail import samples

DOCUMENT = {
    "Name": "a.png", "Extension": "png", "MediaType": "image/png", "Size": "12", "SHA256": "0" * 64
}  # fmt: skip
RULES: dict[str, tuple[SilverRule, Fields, dict[str, Any]]] = {
    "flights": (airline.FLIGHTS, members.FLIGHT_FIELDS, MEMBER),
    "transactions": (airline.TRANSACTIONS, members.TRANSACTION_FIELDS, PURCHASE),
    "campaigns": (retail.CAMPAIGNS, campaigns.FIELDS, samples.RESULT),
    "tweets": (retail.tweets_rule(CAMPAIGN_TAGS), tweets.FIELDS, samples.TWEET),
    "store_sales": (retail.STORE_SALES, sales.STORE_FIELDS, samples.SALE),
    "online_sales": (retail.ONLINE_SALES, sales.ONLINE_FIELDS, samples.ORDER),
    "customers": (retail.CUSTOMERS, customers.FIELDS, samples.CUSTOMER),
    "website": (retail.WEBSITE, website.FIELDS, samples.VISIT),
    "documents": (retail.DOCUMENTS, documents.FIELDS, DOCUMENT),
}
HOSTILE = (
    "1,5", "200%", "(5)", "4 EUR", "0,5", "1.5", "1e400", "9" * 25, "-9" + "9" * 24, "NaN", "inf",
    "12 34", "\u00bd", "\uff11\uff12", "31/31/2021", "2021-02-30", "2021-13-01", "yes", "x", "$5",
    "1'000", "0x1F", "50%", "75003", "SW1A 1AA", "@", "http://t.co/a", "\u6771\u4eac", "maybe",
)  # fmt: skip


def hostile(fields: Fields) -> list[str]:
    """Return texts that stand for something, some of them drawn with a fixed seed."""
    rng = random.Random(20)  # noqa: S311
    signs = "0123456789.,-+/: eE%\u20ac\u00e9\u3042#'\"()ABCxyz\u0661\u2212"
    drawn = ["".join(rng.choices(signs, k=rng.randint(1, 12))) for _ in range(60)]
    texts = [*HOSTILE, *drawn]
    return [t for t in texts if t.strip(WHITE_SPACE) and t.strip().lower() not in fields.nothing]


@pytest.mark.parametrize("name", RULES)
def test_a_given_value_is_typed_flagged_or_quarantined(engine: Engine, name: str) -> None:
    rule, fields, plain = RULES[name]
    base = {field: str(value) for field, value in plain.items()}
    sources, values = rule.dataset.source_names, hostile(fields)
    blanks = [{**base, source: ""} for source in sources]
    rows = [{**base, source: value} for source in sources for value in values]
    found = _outcomes(engine, rule, [base, *blanks, *rows])
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
    columns = () if rule.dataset.documents else rule.table.columns
    required = [c.name for c in columns if not c.nullable]
    unfit = [
        name for typed, reasons, _ in found if not reasons for name in required
        if name in typed and typed[name] is None
    ]  # fmt: skip
    assert unfit == [], "a kept row has no place in the table"


@pytest.mark.parametrize("name", RULES)
def test_every_flag_has_a_check(name: str) -> None:
    rule, fields, _ = RULES[name]
    names = [e.name for e in rule.expectations]
    assert len(set(names)) == len(names)
    assert {e.name for e in fields.expectations} <= set(names)
    assert {f"no_{flag}" for flag in fields.flags} <= set(names)
    assert rule.dataset is fields.dataset
    assert rule.table is fields.table
    assert all(e.description.endswith(".") for e in rule.expectations)


def test_a_flag_that_is_not_declared_is_refused(engine: Engine) -> None:
    typed = engine.from_arrow(_one_row()).select("raw_id", F.lit(True).alias("flag_made_up"))
    with pytest.raises(LakehouseError, match="made_up where  are declared; declare each flag"):
        sales.STORE_FIELDS.flagged(typed)


def _one_row() -> Any:
    import pyarrow as pa

    return pa.table({"raw_id": ["1"]})


def _outcomes(
    engine: Engine, rule: SilverRule, rows: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], list[str], frozenset[str]]]:
    """Return of each row its typed values, its reasons and the checks that report it."""
    lake = cast("Lake", SimpleNamespace(engine=engine))
    judged = judge(rule.transform(bronze(engine, rule.dataset, rows), lake), rule.expectations)
    warnings = [e for e in rule.expectations if e.action != "drop"]
    frame = judged.select(
        *judged.columns,
        *[F.coalesce(e.condition(), F.lit(False)).alias(f"ok_{e.name}") for e in warnings],
    )
    # Hashes of the delivered text differ whatever becomes of it.
    names = [c for c in rule.table.column_names if c not in {rule.key, "_row_number"}]
    if rule.key not in {"result_id", "tweet_id", "visit_id"}:
        names.append(rule.key)
    found = sorted(engine.rows(frame), key=lambda row: row["_row_number"])
    return [
        (
            {name: row[name] for name in names},
            row["reasons"],
            frozenset(e.name for e in warnings if not row[f"ok_{e.name}"]),
        )
        for row in found
    ]
