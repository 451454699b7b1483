"""Differences between the columns or attributes of a delivery and those its dataset declares."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.records import listed

SEPARATORS = {",": "commas", ";": "';'", "\t": "tabs", "|": "'|'"}


@dataclass
class Attributes:
    """Counts of records with undeclared or missing attributes.

    Attributes:
        undeclared: Number of records by partition and undeclared attribute.
        missing: Number of records by partition and declared attribute that they lack.
    """

    undeclared: Counter[tuple[date, str]] = field(default_factory=Counter)
    missing: Counter[tuple[date, str]] = field(default_factory=Counter)

    def sentences(self, records: Mapping[date, int], additive: bool) -> list[str]:
        """Describe new attributes, and attributes that no record of a partition has.

        Args:
            records: Number of records that were read, by partition.
            additive: Whether records with new attributes were accepted.
        """
        found = [
            f"new attribute {where}"
            + (", whose values bronze does not store" if additive else ", which are rejected")
            for where in _places(self.undeclared, records)
        ]
        gone = self._gone(records)
        return found + [f"missing attribute {where}" for where in _places(gone, records)]

    def differing(self, records: Mapping[date, int]) -> Counter[date]:
        """Count, by partition, the attributes that are new or that no record has."""
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
    """Check that a file has every declared column, and others only if the dataset is additive.

    Raises:
        FileRefusedError: columns are missing, new or repeated; the message names them.
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
    name: str, first_line: str, declared: Sequence[str], additive: bool, separator: str = ","
) -> list[str]:
    """Read a CSV file's column names from its first line.

    Raises:
        FileRefusedError: they are not the declared columns in the declared order; for an additive
            dataset, they do not include all declared columns.
    """
    try:
        found = next(csv.reader([first_line], delimiter=separator), [])
    except csv.Error:
        # The line has a lone carriage return, or more text than any header.
        found = [first_line[:80]]
    have = [column.strip() for column in found]
    if have != [*declared]:
        _check_separator(name, first_line, len(declared), separator, header=True)
        if set(have).isdisjoint(declared):
            # The line is not quoted, because it may be personal data.
            raise FileRefusedError(
                f"{name} has no header: its first line has none of the declared columns; "
                f"begin the file with the header {separator.join(declared)} and deliver it again."
            )
        check_columns(name, have, declared, additive)
        if not additive:
            place = next(i for i, column in enumerate(declared) if have[i] != column)
            raise FileRefusedError(
                f"{name} has its columns in a different order: column {place + 1} is "
                f"{have[place][:80]} instead of {declared[place]}; deliver them in the declared "
                "order."
            )
    return have


def check_first_line(name: str, first_line: str, fields: int, separator: str = ",") -> None:
    """Check the separator in the first record of a CSV file without a header.

    Raises:
        FileRefusedError: the record has the declared number of fields with a separator other than
            the dataset's, or up to a carriage return.
    """
    if len(first_line.split(separator)) != fields:
        _check_separator(name, first_line, fields, separator, header=False)


def _check_separator(name: str, first_line: str, fields: int, separator: str, header: bool) -> None:
    first, *others = first_line.split("\r")
    if others and first.count(separator) + 1 == fields and not first.count('"') % 2:
        raise FileRefusedError(
            f"{name} ends its lines with carriage returns alone; export it with line feeds (LF or "
            "CRLF), and deliver it again."
        )
    for other, called in SEPARATORS.items():
        if other == separator:
            continue
        split = first_line.count(other) + 1
        # A header may have a new column as well, but column names contain no separators.
        if fields > 1 and (split == fields or (header and split > max(fields // 2, 1))):
            raise FileRefusedError(
                f"{name} seems to be separated by {called} instead of {SEPARATORS[separator]}; "
                f"declare separator={other!r} in its dataset (and decimal_comma=True for numbers "
                "like 1.234,56), or export it as declared, and deliver it again."
            )
