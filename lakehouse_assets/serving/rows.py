"""Reads the rows of a request into Arrow columns, and writes their scores as JSON.

An error names the field and its problem, and never repeats a value of a row.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES: Final = 4 * 2**20
"""Size in bytes above which a body is refused unread."""

MOST_ROWS: Final = 10_000
"""Number of rows above which a request is refused."""

# Names come from the client, so messages show only a few of them, shortened.
_MOST_NAMES: Final = 5
_MOST_LETTERS: Final = 60
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WRITTEN: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))

Columns: TypeAlias = "Mapping[str, Sequence[Any]]"
"""Values by column; all columns have the same length."""


class BadRequestError(LakehouseError):
    """A malformed request; the message names the field."""


@dataclass(frozen=True)
class Inputs:
    """The columns that a model predicts from.

    Attributes:
        names: All of them, in the model's order.
        texts: The columns of text; the others are numbers.
    """

    names: tuple[str, ...]
    texts: frozenset[str] = frozenset()

    def read(self, body: bytes) -> pa.RecordBatch:
        """Read a request's body as a batch of rows; see `parse` and `batch`."""
        return self.batch([self.parse(body)])

    def parse(self, body: bytes) -> Columns:
        """Read a request's body.

        Args:
            body: JSON in one of the shapes that MLflow documents (`dataframe_split`,
                `dataframe_records`, `instances`, `inputs`) or Azure ML's (`input_data`).

        Returns:
            The values of each input: floats, text or None.

        Raises:
            BadRequestError: The body is not JSON or has another shape, a column is unknown or
                missing, a value has the wrong type, or there are no rows or too many.
        """
        shape, given = _one_shape(_parsed(body))
        columns = _SHAPES[shape](shape, given, self.names)
        unknown, missing = columns.keys() - set(self.names), set(self.names) - columns.keys()
        if unknown or missing:
            raise BadRequestError(f"{shape}: {_difference(missing, unknown)}.")
        counts = {len(values) for values in columns.values()}
        if len(counts) != 1:
            raise BadRequestError(f"{shape}: the columns have different numbers of values.")
        if not 0 < max(counts) <= MOST_ROWS:
            raise BadRequestError(
                f"{shape}: the request has {max(counts):,} rows; send 1 to {MOST_ROWS:,}."
            )
        return {
            name: (_texts if name in self.texts else _numbers)(
                columns[name], f"{shape}, column {name}"
            )
            for name in self.names
        }

    def batch(self, requests: Sequence[Columns]) -> pa.RecordBatch:
        """Return the rows of requests, one after the other.

        Args:
            requests: The result of `parse` for each.

        Returns:
            A column for each input, in the model's order: doubles or strings, with nulls as given.
        """
        import pyarrow as pa

        rows = sum(len(columns[self.names[0]]) for columns in requests)
        arrays: dict[str, pa.Array] = {}
        # One array for all columns of a kind: for a few rows, making them takes most of the time.
        for type_, is_text in ((pa.float64(), False), (pa.string(), True)):
            kind = [name for name in self.names if (name in self.texts) == is_text]
            values = [value for name in kind for columns in requests for value in columns[name]]
            whole = pa.array(values, type_)
            arrays |= {name: whole.slice(n * rows, rows) for n, name in enumerate(kind)}
        return pa.RecordBatch.from_arrays([arrays[n] for n in self.names], list(self.names))


def predictions(scores: pa.RecordBatch, counts: Sequence[int]) -> list[bytes]:
    """Write the scores of requests.

    Args:
        scores: Their scores, one after the other.
        counts: How many rows each request has.

    Returns:
        `{"predictions": [...]}` for each: a value for each row, or an object if there are several
        columns.

    Raises:
        ValueError: A score is not a finite number, which JSON cannot express.
    """
    values = scores.column(0).to_pylist() if scores.num_columns == 1 else scores.to_pylist()
    ends = list(accumulate(counts))
    return [
        _WRITTEN.encode({"predictions": values[end - count : end]}).encode()
        for end, count in zip(ends, counts, strict=True)
    ]


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(
            body.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_object
        )
    except BadRequestError:
        raise
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadRequestError(f"The body is not valid JSON ({place}).") from None
    except (ValueError, RecursionError):
        raise BadRequestError(
            "The body is not JSON in UTF-8, is nested too deeply, or has a number with too many "
            "digits."
        ) from None
    if not isinstance(given, dict):
        raise BadRequestError(f"The body must be a JSON object with one of {', '.join(_SHAPES)}.")
    return given


def _no_number(_text: str) -> Any:
    raise BadRequestError("The body has NaN or Infinity, which are not JSON; use null.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; a repeated name is an error, because a value would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = {name for name in found if names.count(name) > 1}
        raise BadRequestError(f"The body has an object with repeated names: {_named(twice)}.")
    return found


def _one_shape(given: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the name of the field with the rows, and its value."""
    shapes = [name for name in _SHAPES if name in given]
    unknown = given.keys() - _SHAPES.keys() - {"params"}
    if unknown:
        raise BadRequestError(f"The body has unknown fields: {_named(unknown)}.")
    if len(shapes) != 1:
        raise BadRequestError(f"The body must have exactly one of {', '.join(_SHAPES)}.")
    if given.get("params"):
        raise BadRequestError("params: the model has no parameters; leave the field out.")
    return shapes[0], given[shapes[0]]


def _split(place: str, given: Any, _names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Read names of columns, and rows as lists."""
    table = _of(dict, place, given)
    unknown = table.keys() - {"columns", "data", "index"}
    if unknown or not {"columns", "data"} <= table.keys():
        raise BadRequestError(
            f"{place}: must be an object with columns, data and optionally index."
        )
    names = _of(list, f"{place}.columns", table["columns"])
    if not all(isinstance(name, str) for name in names) or len({*names}) < len(names):
        raise BadRequestError(f"{place}.columns: must be a list of distinct names.")
    return _by_column(f"{place}.data", table["data"], names)


def _records(place: str, given: Any, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Read rows as objects, each of which has every column."""
    wanted = set(names)
    records = _of(list, place, given)
    for number, record in enumerate(records):
        where = f"{place}[{number}]"
        found = _of(dict, where, record).keys()
        if found != wanted:
            raise BadRequestError(f"{where}: {_difference(wanted - found, found - wanted)}.")
    return {name: [record[name] for record in records] for name in names}


def _instances(place: str, given: Any, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Read rows as objects, or as lists in the order of the model's columns."""
    rows = _of(list, place, given)
    if rows and isinstance(rows[0], dict):
        return _records(place, rows, names)
    return _by_column(place, rows, names)


def _inputs(place: str, given: Any, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Read an object of columns, or rows."""
    if isinstance(given, dict):
        return {name: _of(list, f"{place}.{_named([name])}", v) for name, v in given.items()}
    return _instances(place, given, names)


def _input_data(place: str, given: Any, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Read what Azure ML documents: columns and data, columns by name, or rows."""
    if isinstance(given, dict) and {"columns", "data"} <= given.keys():
        return _split(place, given, names)
    return _inputs(place, given, names)


_SHAPES: Final[dict[str, Callable[[str, Any, Sequence[str]], dict[str, Sequence[Any]]]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
    "input_data": _input_data,
}


def _by_column(place: str, given: Any, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Turn rows, which are lists of a value for each name, into columns."""
    rows = _of(list, place, given)
    for number, row in enumerate(rows):
        if len(_of(list, f"{place}[{number}]", row)) != len(names):
            raise BadRequestError(
                f"{place}[{number}]: has {len(row)} values for {len(names)} columns."
            )
    return (
        dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    )


def _of(kind: type, place: str, given: Any) -> Any:
    if not isinstance(given, kind):
        raise BadRequestError(f"{place}: must be {_KINDS[kind]}, not {_kind(given)}.")
    return given


def _numbers(values: Sequence[Any], where: str) -> list[float | None]:
    _check_types(values, where, {int, float, type(None)}, "a finite number or null")
    numbers = [None if value is None else _double(value) for value in values]
    for place, number in enumerate(numbers):
        if number is not None and not math.isfinite(number):
            raise BadRequestError(f"{where}, row {place}: the number is too large.")
    return numbers


def _double(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _texts(values: Sequence[Any], where: str) -> list[str | None]:
    _check_types(values, where, {str, type(None)}, "text or null")
    for place, value in enumerate(values):
        # Surrogates are the only characters that UTF-8 lacks.
        if value is not None and not value.isascii() and _SURROGATE.search(value):
            raise BadRequestError(
                f"{where}, row {place}: has an incomplete character (lone surrogate)."
            )
    return list(values)


def _check_types(values: Sequence[Any], where: str, allowed: set[type], wanted: str) -> None:
    # JSON has no subclasses, except that Python counts true and false as numbers.
    if not {type(value) for value in values} <= allowed:
        place, odd = next((n, v) for n, v in enumerate(values) if type(v) not in allowed)
        raise BadRequestError(f"{where}, row {place}: must be {wanted}, not {_kind(odd)}.")


_KINDS: Final[dict[type, str]] = {
    dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number",
    float: "a number", type(None): "null",
}  # fmt: skip


def _kind(value: Any) -> str:
    return _KINDS[type(value)]


def _difference(missing: Collection[str], unknown: Collection[str]) -> str:
    """Name the columns that rows lack, and those that the model does not know."""
    parts = [f"lacks {_named(missing)}"] if missing else []
    if unknown:
        parts.append(f"unknown column{'s' * (len(unknown) > 1)}: {_named(unknown)}")
    return "; ".join(parts)


def _named(names: Iterable[str]) -> str:
    """List names that may come from a client."""
    shown = [name if len(name) <= _MOST_LETTERS else f"{name[:_MOST_LETTERS]}..." for name in names]
    more = len(shown) - _MOST_NAMES
    return ", ".join(sorted(shown)[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
