"""Rows of requests: the same columns in every shape; refusals name the field and quote nothing."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.serving.rows import (
    MOST_ROWS,
    BadRequestError,
    Inputs,
    predictions,
)

INPUTS = Inputs(("age", "city", "points"), frozenset({"city"}))
COLUMNS = {"age": [40, None, 2**53 + 1], "city": ["Wien", None, "\u0130\U0001f600"],
           "points": [0.1, -1e308, 7]}  # fmt: skip
NAMES = [*COLUMNS]
ROWS = [list(row) for row in zip(*COLUMNS.values(), strict=True)]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
SPLIT = {"columns": NAMES, "data": ROWS}
TURNED = {"columns": NAMES[::-1], "data": [row[::-1] for row in ROWS], "index": [7, 8, 9]}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT}, {"dataframe_split": TURNED}, {"dataframe_records": RECORDS},
        {"instances": RECORDS}, {"instances": ROWS}, {"inputs": COLUMNS}, {"inputs": ROWS},
        {"inputs": RECORDS}, {"input_data": TURNED}, {"input_data": ROWS}, {"input_data": COLUMNS},
        {"input_data": SPLIT, "params": {}}, {"dataframe_split": SPLIT, "params": None},
    ],
    ids=lambda body: f"{next(iter(body))}-{type(next(iter(body.values()))).__name__}",
)  # fmt: skip
def test_every_documented_shape_gives_the_same_columns(body: dict[str, Any]) -> None:
    assert INPUTS.read(json.dumps(body).encode()) == pa.record_batch(
        {
            "age": pa.array([40.0, None, 2.0**53], pa.float64()),
            "city": pa.array(COLUMNS["city"], pa.string()),
            "points": pa.array([0.1, -1e308, 7.0], pa.float64()),
        }
    )


SECRET = "quoted-never"  # noqa: S105 - a value that no refusal may repeat
GOOD = [1, "x", 2]


def records(**change: Any) -> dict[str, Any]:
    """Return two records, the second of which is changed; None removes a field."""
    record = {**RECORDS[0], **change}
    return {"dataframe_records": [RECORDS[0], {k: v for k, v in record.items() if v != ()}]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (records(age=SECRET), "dataframe_records, column age, row 1: must be a finite number or "
         "null, not text."),
        (records(age=True), "column age, row 1: .* not true or false"),
        (records(age=[SECRET]), "column age, row 1: .* not a list"),
        (records(age={"a": SECRET}), "column age, row 1: .* not an object"),
        (records(age=10**400), "column age, row 1: the number is too large"),
        (records(city=17), "column city, row 1: must be text or null, not a number"),
        (records(city=()), r"dataframe_records\[1\]: lacks city\."),
        (records(city=(), town=SECRET), r"\[1\]: lacks city; unknown column: town\."),
        ({"inputs": {"age": [1], "town": [SECRET]}}, r"inputs: lacks city, points; unknown column: "
         r"town\."),
        (records(town=SECRET, zip=SECRET), r"\[1\]: unknown columns: town, zip\."),
        ({"inputs": {"age": [1, 2], "city": ["x"], "points": [1]}}, "different numbers of values"),
        ({"inputs": {"age": 1, "city": "x", "points": 1}}, "inputs.age: must be a list"),
        ({"instances": [GOOD, [1, SECRET]]}, r"instances\[1\]: has 2 values for 3 columns"),
        ({"instances": [GOOD, SECRET]}, r"instances\[1\]: must be a list, not text"),
        ({"instances": [RECORDS[0], GOOD]}, r"instances\[1\]: must be an object, not a list"),
        ({"instances": []}, "0 rows; send 1 to 10,000"),
        ({"instances": [GOOD] * (MOST_ROWS + 1)}, "10,001 rows; send 1 to 10,000"),
        ({"instances": SECRET}, "instances: must be a list"),
        ({"dataframe_split": ROWS}, "dataframe_split: must be an object"),
        ({"dataframe_split": {"columns": NAMES}}, "an object with columns, data"),
        ({"dataframe_split": {**SPLIT, "columns": ["age", "age", "city"]}}, "distinct names"),
        ({"dataframe_split": {**SPLIT, "columns": [1, 2, 3]}}, "must be a list of distinct names"),
        ({"dataframe_split": SPLIT, "instances": ROWS}, "exactly one of dataframe_split"),
        ({"rows": SECRET}, "unknown fields: rows"),
        ({}, "exactly one of"),
        ({"instances": ROWS, "params": {"a": SECRET}}, "params: the model has no parameters"),
        ([SECRET], "must be a JSON object"),
        (b'{"instances": [[NaN, "quoted-never", 1]]}', "NaN or Infinity"),
        (b'{"instances": [[1e999, "quoted-never", 1]]}', "column age, row 0: .* too large"),
        (b'{"instances": [["quoted-never"', r"not valid JSON \(line 1, column 31\)"),
        (b'{"instances": "\xff quoted-never"}', "not JSON in UTF-8"),
        (b'{"inputs": {"age": [1], "age": [2]}}', "repeated names: age"),
        (b'{"instances": [[1, "\\ud800", 1]]}', "column city, row 0: has an incomplete character"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"instances": [[' + b"9" * 5_000 + b', "x", 1]]}', "number with too many digits"),
        (b"", "not valid JSON"),
    ],
    ids=str,
)  # fmt: skip
def test_a_refusal_names_the_field_and_quotes_no_value(body: Any, message: str) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BadRequestError, match=message) as caught:
        INPUTS.read(text)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_long_names_of_columns_are_not_repeated_whole() -> None:
    many = {f"{n}{'x' * 1000}": [1] for n in range(50)}
    with pytest.raises(BadRequestError, match=r"x\.\.\. and 45 more") as caught:
        INPUTS.read(json.dumps({"inputs": many}).encode())
    assert len(str(caught.value)) < 500


def test_what_is_no_request_is_refused_and_nothing_else_happens() -> None:
    """Bytes of a good request are changed at random: it is read, or refused by its own error."""
    draw = random.Random(1)  # noqa: S311 - seeded on purpose
    text = json.dumps({"dataframe_split": SPLIT, "params": {}}).encode()
    pieces = [b"[", b"]", b"{", b"}", b'"', b",", b"null", b"1e9", b"\\u0000", b"\xc3", b"true"]
    read = 0
    for _ in range(2_000):
        changed = bytearray(text)
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(changed))
            changed[place : place + draw.randint(0, 4)] = draw.choice(pieces)
        with suppress(BadRequestError):
            read += INPUTS.read(bytes(changed)).num_rows > 0
    assert 0 < read < 2_000


def test_scores_are_written_so_that_they_are_read_back_to_the_last_bit() -> None:
    one = pa.record_batch({"p": pa.array([0.1 + 0.2, None, 5e-324], pa.float64())})
    assert json.loads(predictions(one, [3])[0]) == {"predictions": [0.1 + 0.2, None, 5e-324]}
    two = pa.record_batch({"p": pa.array([0.5]), "why": pa.array(["tenure"])})
    assert json.loads(predictions(two, [1])[0]) == {"predictions": [{"p": 0.5, "why": "tenure"}]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        predictions(pa.record_batch({"p": pa.array([float("nan")])}), [1])
