"""The scan for personal data, on the sample, on real files and on values that only look like it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pytest
from typer.testing import CliRunner

from lakehouse_assets.catalog.registry import Column, Table
from lakehouse_assets.cli.main import app
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.governance.classify import Suspect, scan
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.quality.tables import QUALITY_EVENTS
from lakehouse_assets_tests.airline.samples import REPOSITORY, SampleRun

DATA = REPOSITORY.parent / "shared" / "data"
_TYPES = {pa.string(): "string", pa.int64(): "bigint", pa.float64(): "double", pa.date32(): "date"}


def scanned(engine: Engine, data: pa.Table) -> dict[str, Suspect]:
    """Scan rows of a table whose columns declare nothing."""
    kinds = {f.name: _TYPES.get(f.type, "string") for f in data.schema}
    kinds |= {f.name: f"decimal({f.type.precision},{f.type.scale})" for f in data.schema
              if pa.types.is_decimal(f.type)}  # fmt: skip
    table = Table(
        domain="any", name="rows", layer="bronze", description="Rows.", keys=(), owner="team:any",
        kind="event", columns=tuple(Column(name.lower(), kind, "") for name, kind in kinds.items()),
    )  # fmt: skip
    rows = data.rename_columns([name.lower() for name in data.column_names])
    rows = rows.cast(pa.schema([pa.field(f.name, f.type) for f in arrow_schema(table)]))
    return {suspect.column: suspect for suspect in scan(engine, table, engine.from_arrow(rows))}


def columns_of(values: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return a table of columns of any length, filled up with nulls."""
    rows = max(map(len, values.values()))
    arrays = {name: pa.array(given) for name, given in values.items()}
    nulls = {name: pa.nulls(rows - len(given), given.type) for name, given in arrays.items()}
    return pa.table({n: pa.chunked_array([arrays[n], nulls[n]]) for n in arrays})


# By name of the column: what is found, and values. Numbers are test numbers of their issuers.
PERSONAL = {
    "col_1": ("e-mail addresses", ["ada@example.com", "B.C@x.co", "d+e@mail.example.org", None]),
    "col_2": ("international telephone numbers", ["+49 30 901820", "+1-202-555-0143", "n/a"]),
    "home_phone": ("telephone numbers", ["(202) 555-0143", "030/901820", "2025550199", "none"]),
    "mobile": ("telephone numbers", [4915112345678, 12025550143, 442071838750]),
    "col_3": ("bank accounts (IBAN)", ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819"]),
    "col_4": ("payment cards", ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005",
                                "6011111111111117", "4012888888881881"] * 3),
    "col_5": ("payment cards", [4111111111111111, 5555555555554444, 6011111111111117] * 4),
    "col_6": ("US social security numbers", ["078-05-1120", "219-09-9999"]),
    "col_7": ("British national insurance numbers", ["AB123456C", "JG 10 37 59 A"]),
    "col_8": ("Italian tax codes", ["RSSMRA85T10A562S", "BNCGNN70A41F205X"]),
    "col_9": ("Spanish identity numbers", ["12345678Z", "00000000T", "87654321X"]),
    "col_10": ("Brazilian tax numbers", ["111.444.777-35", "529.982.247-25", "12345678909",
                                         "935.411.347-80", "111.444.777-35"]),
    "col_11": ("Chinese identity numbers", ["11010519491231002X", "440524188001010014",
                                            "11010519491231002X"]),
    "col_12": ("user handles", ["@ada_l", "@b.c", "@x9"]),
    "client_ip": ("IP addresses", ["192.0.2.7", "198.51.100.23"]),
    "col_13": ("IPv6 addresses", ["2001:db8::7334", "fe80::1", "2001:db8:0:0:0:0:0:1"]),
    "col_14": ("street addresses", ["12 Main Street", "Hauptstraße 5", "221b Baker Street, London",
                                    "Rue de Rivoli 99"]),
    "last_name": ("names of people", ["O'Neill", "Müller-Lüdenscheidt", "李"* 2]),
    "customername": ("names of people", ["Ada Lovelace", "Jean d\u2019Arc"]),
    "username": ("user names", ["ada99", "x_y"]),
    "memberno": ("numbers of people", [17, 18]),
    "passport": ("numbers of papers", ["C01X00T47", "L898902C3"]),
}  # fmt: skip
_DRAWN = random.Random(7)  # noqa: S311 - nothing secret
_SHAPES = [f"{_DRAWN.randrange(10**16):016d}" for _ in range(400)]
# Looks personal at first sight, and is not.
TRAPS = {
    "delivered_on": [f"2014-03-{day:02d}" for day in range(1, 29)],
    "us_date": ["3/31/2014", "12/24/2008"],
    "mobile_date": [f"{day:02d}.05.2021" for day in range(1, 29)],
    "phone_date": ["2021-05-01", "2021-05-02 10:00:00"],
    "cell_amount": ["1250.50", "88.10", "12345678.9"],
    "moment": ["2021-05-01 10:11:12", "2021-05-01T10:11:12Z"],
    "clock": ["10:11:12", "23:59:59"],
    "amount_text": ["4111111111111111.00", "5555555555554444.5"],
    "card_shaped": _SHAPES,
    "card_shaped_numbers": [int("4" + text[1:]) for text in _SHAPES],
    "epoch_ms": [1_622_505_600_000 + 977 * n for n in range(50)],
    "hash": [hashlib.sha256(text.encode()).hexdigest() for text in _SHAPES[:50]],
    "short_hash": [hashlib.md5(text.encode()).hexdigest()[:16] for text in _SHAPES[:50]],  # noqa: S324
    "key": [int(hashlib.sha256(text.encode()).hexdigest()[:15], 16) for text in _SHAPES],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000", "9b2d1f6e-0000-4000-8000-000000000001"],
    "isbn": ["978-3-16-148410-0", "978-0-306-40615-7"],
    "version": ["1.2.3.4", "10.0.0.1"],
    "part_number": ["12345678A", "87654321B", "11111111A", "22222222A"],
    "order_number": [f"{n:011d}" for n in range(50)],
    "iban_shaped": ["DE00370400440532013000", "GB00NWBK60161331926819"],
    "product_name": ["Beach Towel", "Adventure Tent"],
    "brand": ["Local", "National"],
    "city": ["Miami", "Tokyo"],
    "latitude": [25.76, 35.68],
    "age": [41, 42],
    "road_type": ["road", "street", "court of law"],
    "hashtag": ["#beach", "#fashion"],
    "mention_in_text": ["thanks @ada_l for it", "see a@b.example for more words"],
    "week": ["2021-22", "2021-23"],
    "money": [pa.scalar(None, pa.decimal128(18, 2)).as_py()] * 3,
    "nothing": pa.array([None, None], pa.string()),
}


def test_personal_data_is_found(engine: Engine) -> None:
    found = scanned(engine, columns_of({name: values for name, (_, values) in PERSONAL.items()}))
    assert {n: (s.looks_like, s.declared) for n, s in found.items()} == {
        name: (looks_like, None) for name, (looks_like, _) in PERSONAL.items()
    }


def test_what_only_looks_like_it_is_not(engine: Engine) -> None:
    assert scanned(engine, columns_of(TRAPS)) == {}


def test_half_of_the_values_are_not_enough(engine: Engine) -> None:
    for shown, mails in ((set(), 5), ({"mixed"}, 6)):
        values = ["ada@example.com"] * mails + ["none"] * (10 - mails)
        assert scanned(engine, columns_of({"mixed": values})).keys() == shown


def test_what_describes_people_counts_in_rows_about_somebody(engine: Engine) -> None:
    described = {
        "city": ["Miami"], "gender": ["f"], "age": [41], "latitude": [25.7], "date_of_birth": ["x"],
    }  # fmt: skip
    assert scanned(engine, pa.table(described)) == {}
    found = scanned(engine, pa.table({**described, "email": ["ada@example.com"]}))
    assert {name: suspect.pii for name, suspect in found.items()} == {
        "city": "location", "gender": "demographic", "age": "demographic", "latitude": "location",
        "date_of_birth": "demographic", "email": "contact",
    }  # fmt: skip


def real_files() -> Iterator[tuple[str, pa.Table]]:
    """Read the files of others that are beside the project, as text and with guessed types."""
    for name in (
        "airline/flight.csv", "retail/customer_churn.csv", "tweets/validation.csv.gz",
        "oj/orange_juice_weekly.csv.gz", "oj/store_demographics.csv",
    ):  # fmt: skip
        data = pa.csv.read_csv(DATA / name)
        text = [
            c.cast(pa.string()) if pa.types.is_date32(c.type) or pa.types.is_boolean(c.type)
            else c for c in data.columns
        ]  # fmt: skip
        yield name, pa.table(text, data.column_names).slice(0, 20_000)
    rows = json.loads((DATA / "airline" / "customer_transactions.json").read_text("utf-8"))
    rows = [{k: None if v is None else str(v) for k, v in row.items()} for row in rows]
    yield "airline/customer_transactions.json", pa.Table.from_pylist(rows)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"there are no real files in {DATA}")
def test_real_files(engine: Engine) -> None:
    found = {name: {*scanned(engine, data)} for name, data in real_files()}
    assert found == {
        "airline/flight.csv": {"member_no", "gender", "work_city", "age"},
        "retail/customer_churn.csv": {"customerid", "gender"},
        "tweets/validation.csv.gz": set(),
        "oj/orange_juice_weekly.csv.gz": set(),
        "oj/store_demographics.csv": set(),
        "airline/customer_transactions.json": {"customer_id", "customer_name", "email"},
    }


def test_the_sample_declares_what_is_found_in_one_statement_a_table(
    sample: SampleRun, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(sample.house.settings.root, engine, REGISTRY)
    asked: list[str] = []
    query = engine.query
    monkeypatch.setattr(
        engine, "query", lambda sql, frames: (asked.append(sql), query(sql, frames))[1]
    )
    tables = [table for table in REGISTRY if lake.version(table) is not None]
    found = [
        suspect for table in tables for suspect in scan(engine, table, lake.read(table), 1_000)
    ]
    assert [suspect for suspect in found if suspect.declared is None] == []
    assert {"e-mail addresses", "names of people", "numbers of people", "user names"} <= {
        suspect.looks_like for suspect in found
    }
    assert len(asked) <= len(tables)


def test_the_command_fails_where_a_class_is_not_declared(engine: Engine, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path), engine, REGISTRY)
    rows = [
        {"run_id": "ada@example.com", "table_name": "t", "partition": "", "rule": "r",
         "kind": "check", "action": None, "passed": True, "failing_rows": 0, "rows": 1,
         "recorded_at": datetime(2021, 1, 1, tzinfo=UTC)}
    ]  # fmt: skip
    data = engine.from_arrow(pa.Table.from_pylist(rows, arrow_schema(QUALITY_EVENTS)))
    lake.write(QUALITY_EVENTS, data, Everything(), Commit("run", "asset", "", "1"))
    given = {"LAKEHOUSE_ROOT": str(tmp_path)}
    done = CliRunner().invoke(app, ["classify"], env=given)
    assert isinstance(done.exception, LakehouseError)
    said = str(done.exception)
    assert 'not declared: quality.quality_events.run_id (pii="contact"). Add' in said
    assert "1 look like personal data" in done.stdout
    names = ["quality_events", "quality_rules"]
    absent = CliRunner().invoke(app, ["classify", "--json", *names], env=given)
    assert absent.stdout == ""
    assert "No rows of quality.quality_rules are stored in" in str(absent.exception)
