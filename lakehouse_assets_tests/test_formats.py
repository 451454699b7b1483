"""Rows as text: each value as it is stored, under its own column, and fit for where it goes."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.cli.formats import Format, lines_of, rows_of

NAMES = ["id", "id", "text", "amount"]
ROWS: list[tuple[Any, ...]] = [
    (1, 2**53 + 1, "[video] :x: [/b]", Decimal("12.50")),
    (None, -7, 'a "b", c\nd\x1b[31m|', Decimal("12345678901234567890.12")),
    (3, 4, "", None),
]


def text_of(form: Format, rows: Any = ROWS, names: Any = NAMES, width: int | None = None) -> str:
    """Return all lines."""
    return "\n".join(lines_of(form, names, rows, width))


def test_csv_is_exact_and_tells_null_from_nothing() -> None:
    said = text_of("csv")
    assert said == (
        "id,id,text,amount\n"
        "1,9007199254740993,[video] :x: [/b],12.50\n"
        ',-7,"a ""b"", c\nd\x1b[31m|",12345678901234567890.12\n'
        '3,4,"",'
    )
    assert list(csv.reader(io.StringIO(said)))[2][2] == ROWS[1][2]
    assert text_of("csv", [(None,), ("a",)], ["x"]) == 'x\n""\na'
    assert "\x1b" not in text_of("csv", width=80)


def test_json_is_exact_and_numbers_equal_names() -> None:
    found = json.loads(text_of("json"), parse_float=Decimal)
    assert [tuple(row.values()) for row in found] == ROWS
    assert list(found[0]) == ["id", "id_2", "text", "amount"]
    assert "\x1b" not in text_of("json")
    assert list(json.loads(text_of("json", [(1, 2, 3)], ["a", "a", "a_2"]))[0]) == [
        "a", "a_3", "a_2",
    ]  # fmt: skip
    assert json.loads(text_of("json", [])) == []


def test_markdown_keeps_its_columns() -> None:
    assert text_of("markdown", ROWS[1:2]).splitlines() == [
        "| id | id | text | amount |",
        "| --- | --- | --- | --- |",
        r'| NULL | -7 | a "b", c\\nd\\x1b\[31m\| | 12345678901234567890.12 |',
    ]


def test_a_table_keeps_to_the_terminal_and_is_whole_elsewhere() -> None:
    assert text_of("table", [(1, 20, "日本", None)], NAMES, 80) == (
        "id  id  text  amount\n"
        "--  --  ----  ------\n"
        " 1  20  日本    NULL"
    )  # fmt: skip
    long = "words " * 15 + "end"
    assert text_of("table", [(1, 20, long, None)], NAMES, 50) == (
        "-- row 1\nid      1\nid      20\n"
        "text    words words words words words words words\n"
        "        words words words words words words words\n"
        "        words end\n"
        "amount  NULL"
    )
    assert text_of("table", [(1, long)], ["id", "text"], 50).splitlines()[2:] == [
        " 1  words words words words words words words",
        "    words words words words words words words",
        "    words end",
    ]
    assert long in text_of("table", [(1, 20, long, None)], NAMES).splitlines()[2]
    assert text_of("table", [], ["a", "b"], 80) == "a  b\n-  -"


@pytest.mark.parametrize(
    ("value", "kind", "csv_text", "json_text"),
    [
        (Decimal("0E-10"), pa.decimal128(38, 10), "0.0000000000", "0.0000000000"),
        (0.1, pa.float64(), "0.1", "0.1"),
        (float("nan"), pa.float64(), "NaN", '"NaN"'),
        (float("-inf"), pa.float64(), "-Infinity", '"-Infinity"'),
        (True, pa.bool_(), "true", "true"),
        (date(2024, 2, 29), pa.date32(), "2024-02-29", '"2024-02-29"'),
        (datetime(2024, 2, 29, 1, 2, 3, 4, UTC), pa.timestamp("us", "UTC"),
         "2024-02-29 01:02:03.000004+00:00", '"2024-02-29 01:02:03.000004+00:00"'),
        (4_000_000, pa.date32(), "12921-08-18", '"12921-08-18"'),
        (-735_160, pa.date32(), "-0043-03-15", '"-0043-03-15"'),
        (2**31 - 1, pa.date32(), "infinity", '"infinity"'),
        (1 - 2**63, pa.timestamp("us", "UTC"), "-infinity", '"-infinity"'),
        (9_089_348_860_800_000_001, pa.timestamp("us", "UTC"),
         "290000-01-01 00:00:00.000001+00:00", '"290000-01-01 00:00:00.000001+00:00"'),
        ([{"a": 4_000_000}, None], pa.list_(pa.struct([("a", pa.date32())])),
         '"[{""a"": ""12921-08-18""}, null]"', '[{"a": "12921-08-18"}, null]'),
        ([(1, 4_000_000), (2, None)], pa.map_(pa.int32(), pa.date32()),
         '"{""1"": ""12921-08-18"", ""2"": null}"', '{"1": "12921-08-18", "2": null}'),
        ([("b", [Decimal("1.50")])], pa.map_(pa.string(), pa.list_(pa.decimal128(9, 2))),
         '"{""b"": [1.50]}"', '{"b": [1.50]}'),
        (b"\x00\xff", pa.binary(), "00ff", '"00ff"'),
        (["a", None], pa.list_(pa.string()), '"[""a"", null]"', '["a", null]'),
        ({"a": Decimal("1.0")}, pa.struct([("a", pa.decimal128(3, 1))]), '"{""a"": 1.0}"',
         '{"a": 1.0}'),
        (pa.MonthDayNano([1, 2, 500_000_000]), pa.month_day_nano_interval(), "P1M2DT0.5S",
         '"P1M2DT0.5S"'),
        ("\u202eabc", pa.string(), "\u202eabc", '"\\u202eabc"'),
    ],
)  # fmt: skip
def test_each_type_is_written_with_all_its_digits(
    value: Any, kind: pa.DataType, csv_text: str, json_text: str
) -> None:
    batch = pa.record_batch([pa.array([value], kind)], names=["x"])
    rows = list(rows_of(pa.RecordBatchReader.from_batches(batch.schema, [batch])))
    assert text_of("csv", rows, ["x"]) == f"x\n{csv_text}"
    assert text_of("json", rows, ["x"]) == f'[{{"x": {json_text}}}\n]'
