"""Read a user's labelled CSV file for an evaluation."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.ingest.attributes import SEPARATORS
from lakehouse_assets.ingest.csv_records import CsvReader
from lakehouse_assets.ingest.files import Content, opened
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ingest.records import Malformed, Record, listed
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa


def read_csv(path: Path, required: Collection[str], nothing: Collection[str]) -> pa.Table:
    """Read a CSV file, plain or gz, as a table of trimmed text.

    Args:
        path: The file; its first line names the columns, in any order.
        required: Columns that it must have.
        nothing: Texts that mean "not given", in lower case; they become null, as blanks do.

    Returns:
        The columns of the file, in its order and that of its rows; of columns with equal names,
        the first.

    Raises:
        LakehouseError: it does not exist or cannot be read, lacks a column, names one twice, or
            has a malformed line.
    """
    import pyarrow as pa
    from pyarrow import compute as pc

    path = path.expanduser().resolve()
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise LakehouseError(f"{path} {what}; give the path of a CSV file.")
    with opened(path, str(path)) as file:
        reader = CsvReader(Content(file, str(path), FileLimits()))
        names = _header(path, reader.first_line, required)
        places = [str(place) for place in range(len(names))]
        schema = pa.schema([(place, pa.string()) for place in places])
        tables = [schema.empty_table()]
        for part in reader.read(len(names)):
            if isinstance(part, Malformed):
                raise LakehouseError(f"{path}, line {part.line}: {part.reason}; correct the line.")
            if isinstance(part, Record):
                values = [pa.array([value], pa.string()) for value in part.values]
                tables.append(pa.table(values, schema=schema))
            else:
                tables.append(part.select(places).cast(schema))
    blanks = pa.array(["", *nothing])
    text: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(names, pa.concat_tables(tables).columns, strict=True):
        values = pc.utf8_trim_whitespace(column)
        empty = pc.is_in(pc.utf8_lower(values), value_set=blanks)
        text.setdefault(name, pc.if_else(empty, None, values))
    return pa.table(text)


def unusable(path: Path, place: int, name: str, value: str | None, remedy: str) -> LakehouseError:
    """Return the error for a value of a record."""
    given = "empty" if value is None else repr(value)
    return LakehouseError(f"{path}, record {place + 1}: {name} is {given}; {remedy}.")


def numbers_of(
    path: Path,
    text: pa.Table,
    name: str,
    allowed: Callable[[float], bool],
    remedy: str,
    *,
    blanks: bool = False,
) -> FloatArray:
    """Return a column as numbers; NaN where it is empty, if it may be.

    Args:
        path: The file.
        text: Its table.
        name: The column.
        allowed: Returns whether a finite number is allowed.
        remedy: What to do about another value.
        blanks: Whether a value may be missing.

    Raises:
        LakehouseError: a value is something else.
    """
    import numpy as np

    found = np.full(text.num_rows, np.nan)
    for place, value in enumerate(text[name].to_pylist()):
        if value is None and blanks:
            continue
        # Python also reads 1_000 and the digits of other scripts.
        if value and value.isascii() and "_" not in value:
            with suppress(ValueError):
                found[place] = float(value)
        if not (np.isfinite(found[place]) and allowed(float(found[place]))):
            raise unusable(path, place, name, value, remedy)
    return found


def _header(path: Path, line: str, required: Collection[str]) -> list[str]:
    """Return the names of the columns."""
    try:
        names = [name.strip() for name in next(csv.reader([line], strict=True))]
    except (csv.Error, StopIteration):
        names = [line]
    missing = [name for name in required if name not in names]
    if missing:
        for separator, called in SEPARATORS.items():
            found = {name.strip(" \"'") for name in line.split(separator)}
            if separator != "," and len(found.intersection(required)) > len(required) // 2:
                raise LakehouseError(
                    f"{path} is separated by {called}; export it with commas between the columns "
                    "and points in decimal numbers."
                )
        columns = "columns" if len(missing) > 1 else "column"
        close = "" if len(missing) > 1 else did_you_mean(missing[0], names)
        raise LakehouseError(
            f"{path} lacks the {columns} {listed(missing, len(missing))}{close}; name all "
            "columns in its first line, separated by commas."
        )
    twice = [name for name in required if names.count(name) > 1]
    if twice:
        raise LakehouseError(f"{path} names {listed(twice)} twice; remove all but one.")
    return names
