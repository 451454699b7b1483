"""Records of JSON deliveries: what is read, what is malformed, and that nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakehouse_assets.ingest.records import Malformed, Record
from lakehouse_assets_tests.ingest.samples import (
    FIELDS,
    deliver_bytes,
    deliver_each,
    records_of_json,
)


@pytest.fixture
def split(tmp_path):
    def records(text: str | bytes, name: str = "a.json"):
        path = Path(tmp_path / name)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        # What records say of attributes is tried by itself.
        return [replace(r, undeclared=(), missing=()) for r in records_of_json(path)]

    return records


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
def test_the_content_decides_between_array_and_lines(split, name):
    want = [Record(1, ("1", None)), Record(2, (None, "x"))]
    assert split('[{"a":1},\n {"b":"x"}]', name) == want
    assert split('{"a":1}\n{"b":"x"}\n', name) == want
    assert split('\ufeff  \n [{"a":1}, {"b":"x"}]\n', name) == want
    assert split('\ufeff{"a":1}\r\n\r\n{"b":"x"}', name) == want


@pytest.mark.parametrize(
    "number",
    ["0", "-0", "1250.50", "1e400", "1E-7", "12345678901234567890123456789.123456789012345678901"],
)
def test_numbers_are_kept_digit_by_digit(split, number):
    assert split(f'[{{"a":{number}}}]') == [Record(1, (number, None))]


def test_other_plain_values(split):
    text = '{"a":true,"b":false}\n{"a":null,"b":""}\n{"b":"line\\nbreak \\"q\\" \\u00e9"}'
    assert split(text) == [
        Record(1, ("true", "false")), Record(2, (None, "")), Record(3, (None, 'line\nbreak "q" é')),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ('{"a":1,"a":2}', "attribute a occurs twice"),
        ('{"a":{"x":1}}', "attribute a is not a plain value"),
        ('{"a":[1],"b":{}}', "attribute a, b is not a plain value"),
        ('{"a":1,"z":2,"y":3}', "undeclared attribute y, z"),
        ('{"a":NaN}', "NaN is not a JSON value"),
        ('{"a":-Infinity}', "-Infinity is not a JSON value"),
        ("[1]", "expected an object, found an array"),
        ("null", "expected an object, found null"),
        ("12", "expected an object, found a plain value"),
        ('"x"', "expected an object, found a plain value"),
        ('{"a":"\\ud800"}', "it contains half of a surrogate pair, which is not a character"),
    ],
)
def test_malformed_records(split, element, reason):
    good = '{"a":"ok"}'
    array = split(f"[{good},\n{element},\n{good}]")
    assert array == [
        Record(1, ("ok", None)),
        Malformed(2, element, reason),
        Record(3, ("ok", None)),
    ]
    if not element.startswith("["):
        assert split(f"{good}\n{element}\n{good}") == array


@pytest.mark.parametrize(
    "element",
    [
        "{", "}", "{]", '{"a":}', '{"a" 1}', '{"a":1', '{"a":"x}', "{'a':1}", "xyz", '{"a":1}x',
        '{"a":[1}', '{"a":{"b":1}', '{"a":"tab\there"}', "tru", "-", '{"a":"\\x"}',
    ],
)  # fmt: skip
def test_broken_elements_do_not_take_their_neighbours_with_them(split, element):
    good = '{"a":"ok"}'
    found = split(f"[{good},\n{element},\n{good},\n{good}\n]")
    bad = [record for record in found if isinstance(record, Malformed)]
    # `{]` closes the array; `{"a":1}x` has a readable object before what is broken.
    if element == "{]":
        assert found[0] == Record(1, ("ok", None))
        assert found[-1].reason == "text after the end of the array"
        return
    assert [record.line for record in bad] == [2]
    assert [r.values for r in found if isinstance(r, Record)].count(("ok", None)) == 3
    lines = split(f"{good}\n{element}\n{good}\n")
    assert [type(record) for record in lines] == [Record, Malformed, Record]
    assert (lines[1].line, lines[1].text) == (2, element)


def test_an_array_that_is_cut_off(split):
    found = split('[{"a":1},\n{"a":2},\n{"a":')
    assert found[:2] == [Record(1, ("1", None)), Record(2, ("2", None))]
    assert (found[2].line, found[2].text) == (3, '{"a":')
    assert found[3] == Malformed(3, "", "the array is not closed (truncated?)")
    assert split('[{"a":1}')[1] == Malformed(1, "", "the array is not closed (truncated?)")


def test_text_after_an_array(split):
    assert split('[{"a":1}]\n{"a":2}')[1] == Malformed(
        2, '{"a":2}', "text after the end of the array"
    )


def test_arrays_that_were_put_together(split):
    want = [Record(1, ("1", None)), Record(2, ("2", None)), Record(3, ("3", None))]
    assert split('[{"a":1},\n {"a":2}]\n[\n{"a":3}]\n') == want
    assert split('[{"a":1}][][{"a":2},{"a":3}]') == want
    assert split('[{"a":1}][{"a":2}')[2] == Malformed(1, "", "the array is not closed (truncated?)")


PRETTY = '{\n  "a": 1,\n  "b": "x {\\"y\\"}"\n}'
ONE = ("1", 'x {"y"}')


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (PRETTY, [Record(1, ONE)]),
        ("\ufeff" + PRETTY.replace("\n", "\r\n") + "\r\n", [Record(1, ONE)]),
        (PRETTY + "\n\n" + PRETTY + "\n", [Record(1, ONE), Record(2, ONE)]),
        (f"\ufeff{PRETTY}\n\ufeff{PRETTY}", [Record(1, ONE), Record(2, ONE)]),
        # With nothing between them, in one line and in several.
        (PRETTY * 3, [Record(1, ONE), Record(2, ONE), Record(3, ONE)]),
        ('{"a":1}{"a":2} {"a":3}', [Record(n, (str(n), None)) for n in (1, 2, 3)]),
        ('{"a":1}\n' + PRETTY + '\n{"a":2}', [
            Record(1, ("1", None)), Record(2, ONE), Record(3, ("2", None)),
        ]),
        # A broken one does not take its neighbours with it.
        ('{"a":1}{"a":}\n' + PRETTY, [
            Record(1, ("1", None)), Malformed(1, '{"a":}', "Expecting value (character 6)"),
            Record(3, ONE),
        ]),
        (PRETTY + '\n{\n "a": 1\n "b": 2\n}\n' + PRETTY, [
            Record(1, ONE),
            Malformed(5, '{\n "a": 1\n "b": 2\n}', "Expecting ',' delimiter (character 12)"),
            Record(3, ONE),
        ]),
        # Nested values are one record that is rejected, not one for each line.
        ('{\n "a": [\n  {"x": 1},\n  {"x": 2}\n ],\n "b": 1\n}\n{"a":2}', [
            Malformed(1, '{\n "a": [\n  {"x": 1},\n  {"x": 2}\n ],\n "b": 1\n}',
                      "attribute a is not a plain value"),
            Record(2, ("2", None)),
        ]),
        # What is cut off ends with its line, and the next one is read.
        ('{\n"a": 1,\n{"a":2}', [
            Malformed(1, "{", "Expecting property name enclosed in double quotes (character 2)"),
            Malformed(2, '"a": 1,', "Extra data (character 4)"),
            Record(3, ("2", None)),
        ]),
    ],
)  # fmt: skip
def test_objects_on_several_lines(split, text, records):
    assert split(text) == records


@pytest.mark.parametrize(
    "text",
    ['{"records": [{"a": 1}, {"a": 2}]}', '{\n "n": 2,\n "records": [\n  {"a": 1}\n ]\n}'],
)
def test_an_object_around_the_records_is_refused(engine, tmp_path, text):
    outcome = deliver_bytes(engine, tmp_path, text.encode(), "a.json")
    sentence = (
        "a.json is one object with its records in the attribute records; deliver them as an "
        "array, or one object per line."
    )
    assert (outcome.bad, outcome.rows) == ([(0, None, sentence)], [])


def test_records_name_the_attributes_that_are_new_and_missing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":1,"b":2}\n{"a":1,"z":{"x":1},"y":2}\n')
    first, second = records_of_json(path)
    assert (first.undeclared, first.missing) == ((), ())
    assert (second.undeclared, second.missing) == (("y", "z"), ("b",))
    assert second == Malformed(2, '{"a":1,"z":{"x":1},"y":2}', "undeclared attribute y, z",
                               ("y", "z"), ("b",))  # fmt: skip
    _, second = records_of_json(path, additive=True)
    assert second == Record(2, ("1", None), ("y", "z"), ("b",))


def test_an_empty_array_holds_no_records(split, engine, tmp_path):
    assert split("[ ]") == []
    outcome = deliver_bytes(engine, tmp_path, b"[]", "a.json")
    sentence = "a.json has no records; deliver it again with its rows."
    assert outcome.refused == [f"shop/things/2014-03-31/a.json: {sentence}"]
    assert outcome.bad == [(0, None, sentence)]
    assert (outcome.rows, sum(outcome.delivered.values())) == ([], 0)


hostile = st.one_of(
    st.none(),
    st.sampled_from(["", "\\", '"', "],[", "{", "}", ",", "\n", "\r\n", "\u2028", "\ufeff", "NaN"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
tables = st.lists(st.tuples(hostile, hostile, hostile), min_size=1, max_size=12)
broken = st.sampled_from(["nope", "{'ID':1}", "17", '{"other":1}', '{"ID":{}}'])
# In an array nobody can tell whether a plain value after one belongs to it.
unclosed = st.sampled_from(["{", '{"ID":"'])


@st.composite
def written_files(draw):
    """Draw a JSON file as Python writes it, with its rows and malformed elements."""
    array, ascii_only = draw(st.booleans()), draw(st.booleans())
    elements, want, bad = [], [], []
    for number, row in enumerate(draw(tables), start=1):
        if draw(st.integers(0, 3)) == 0:
            elements.append(draw(broken if array else st.one_of(broken, unclosed)))
            bad.append((number + array, elements[-1]))
        else:
            pairs = {f: v for f, v in zip(FIELDS, row, strict=True) if v is not None}
            elements.append(json.dumps(pairs, ensure_ascii=ascii_only))
            want.append((number, *row))
    text = "[\n" + ",\n".join(elements) + "\n]" if array else "\n".join(elements)
    return text.encode(), want, bad


@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(written_files(), min_size=8, max_size=8))
def test_round_trip(engine, tmp_path, files):
    outcomes = deliver_each(engine, tmp_path, [content for content, _, _ in files], ".json")
    for outcome, (_, want, bad) in zip(outcomes, files, strict=True):
        assert outcome.values == want
        assert [(line, raw) for line, raw, _ in outcome.bad] == bad
        assert outcome.complete
        assert [*outcome.delivered.values()] == [len(want) + len(bad)]
