"""Attributes and columns that a delivery has and its dataset does not declare, or the reverse."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.records import listed

_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}


@dataclass
class Attributes:
    """What was seen of attributes in the records that were read.

    Attributes:
        undeclared: Records by partition and name of an attribute that is not declared.
        missing: Records by partition and name of a declared attribute that they do not have.
    """

    undeclared: Counter[tuple[date, str]] = field(default_factory=Counter)
    missing: Counter[tuple[date, str]] = field(default_factory=Counter)

    def sentences(self, records: Mapping[date, int], additive: bool) -> list[str]:
        """Say what is new and what is gone; gone is what no record of a partition has.

        Args:
            records: Records that were read, by partition.
            additive: Whether records with new attributes were accepted.
        """
        found = [
            f"new attribute {where}"
            + (", of which bronze keeps no value" if additive else ", which are rejected")
            for where in _places(self.undeclared, records)
        ]
        gone = self._gone(records)
        return found + [f"no attribute {where}" for where in _places(gone, records)]

    def differing(self, records: Mapping[date, int]) -> Counter[date]:
        """Count, by partition, the attributes that are new or gone."""
        return Counter(day for day, _ in (*self.undeclared, *self._gone(records)))

    def _gone(self, records: Mapping[date, int]) -> dict[tuple[date, str], int]:
        return {at: n for at, n in self.missing.items() if n == records[at[0]]}


def _places(counts: Mapping[tuple[date, str], int], records: Mapping[date, int]) -> list[str]:
    days: dict[str, list[date]] = {}
    for day, name in sorted(counts):
        days.setdefault(name, []).append(day)
    return [
        f"{name} in {sum(counts[day, name] for day in found):,} of "
        f"{sum(records[day] for day in found):,} records"
        + (f" (since {found[0]})" if len(found) > 1 else f" of {found[0]}")
        for name, found in days.items()
    ]


def check_columns(name: str, have: Sequence[str], declared: Sequence[str], additive: bool) -> None:
    """Make sure that a file has every declared column, and others only if they may be there.

    Raises:
        FileRefusedError: it has not; the message names the columns.
    """
    times = Counter(have)
    twice = sorted(column for column in times if times[column] > 1)
    missing = [column for column in declared if column not in times]
    new = [column for column in have if column not in declared]
    found = []
    if twice:
        found.append(f"has the column {listed(twice)} twice")
    if missing:
        found.append(f"lacks the column {listed(missing)}")
    if new and (missing or not additive):
        found.append(f"has a new column {listed(new)}" + (" (renamed?)" if missing else ""))
    if found:
        raise FileRefusedError(
            f"{name} {' and '.join(found)}; deliver it with the declared columns, "
            f"{listed(declared, len(declared))}, or change the dataset's declaration."
        )


def columns_of_header(
    name: str, first_line: str, declared: Sequence[str], additive: bool
) -> list[str]:
    """Read the names of a CSV file's columns from its first line.

    Raises:
        FileRefusedError: they are not the declared ones in their order; of an additive dataset,
            the declared ones are not among them.
    """
    try:
        found = next(csv.reader([first_line]), [])
    except csv.Error:
        # A carriage return inside, or more text than any header has.
        found = [first_line[:80]]
    have = [column.strip() for column in found]
    if have != [*declared]:
        _check_separator(name, first_line, len(declared), header=True)
        if set(have).isdisjoint(declared):
            # What stands there may be somebody's data.
            raise FileRefusedError(
                f"{name} has no header: its first line names none of the declared columns; "
                f"begin it with {','.join(declared)}, and deliver it again."
            )
        check_columns(name, have, declared, additive)
        if not additive:
            place = next(i for i, column in enumerate(declared) if have[i] != column)
            raise FileRefusedError(
                f"{name} has its columns in another order: column {place + 1} is "
                f"{have[place][:80]} where {declared[place]} is declared; deliver them in the "
                "declared order."
            )
    return have


def check_first_line(name: str, first_line: str, fields: int) -> None:
    """Look at the first record of a CSV file without header.

    Raises:
        FileRefusedError: it has as many fields as are declared, but not between commas.
    """
    if len(first_line.split(",")) != fields:
        _check_separator(name, first_line, fields, header=False)


def _check_separator(name: str, first_line: str, fields: int, header: bool) -> None:
    for separator, called in _SEPARATORS.items():
        split = first_line.count(separator) + 1
        # A new column may have come as well, but no name of a column holds a separator.
        if fields > 1 and (split == fields or (header and split > max(fields // 2, 1))):
            raise FileRefusedError(
                f"{name} looks separated by {called} where commas are expected; export it as "
                "comma-separated text (and decimals with a point), and deliver it again."
            )
