"""How delivered fields become the columns of a silver table, and what reports a value that cannot.

A value that is given is never just lost: its column holds it, a flag that a check counts names it,
or its row is quarantined. Checks and flags follow from one declaration per dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.expectations import Expectation, present, unflagged
from lakehouse_assets.catalog.registry import Column, Table
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.errors import LakehouseError

_FLAG = "flag_"


@dataclass(frozen=True)
class Flag:
    """Something that typing repaired or removed.

    Attributes:
        description: What is expected of a row, for the check that counts the flagged rows.
        explains: Column whose missing value the flag already explains.
    """

    description: str
    explains: str | None = None


@dataclass(frozen=True)
class Fields:
    """The typed columns of a dataset and what happens to values that cannot be typed.

    A column that is not text and may not be null needs a readable value: its row is quarantined
    otherwise. One that may be null gets the flag `<column>_unreadable`, or is listed in `facts`.

    Attributes:
        dataset: What is delivered.
        table: The silver table. A column belongs to the field of its name, or to `source`.
        nothing: Texts that stand for "not given", in lower case.
        facts: Columns that may be null but whose unreadable value sends the row to quarantine,
            since sums would be wrong without it.
        flags: Other flags of the dataset, by name. The transformation gives each as a boolean
            column `flag_<name>`.
    """

    dataset: Dataset
    table: Table
    nothing: tuple[str, ...]
    facts: tuple[str, ...] = ()
    flags: Mapping[str, Flag] = field(default_factory=dict)

    def given(self, name: str) -> Col:
        """Return the trimmed text of a field of `with_text`; null if it stands for nothing."""
        return given(F.col(f"text_{name}"), self.nothing)

    def flagged(self, typed: DataFrame) -> DataFrame:
        """Replace the columns `flag_<name>` of typed rows by `quality_flags`.

        Args:
            typed: The typed columns, `raw_<field>` and `flag_<name>` for each declared flag.

        Raises:
            LakehouseError: the flags are not the declared ones; no check would count them.
        """
        found = {name.removeprefix(_FLAG) for name in typed.columns if name.startswith(_FLAG)}
        if found != set(self.flags):
            raise LakehouseError(
                f"The flags of {self.table.name} are {', '.join(sorted(found))} where "
                f"{', '.join(sorted(self.flags))} are declared; declare each flag with its check."
            )
        held = {name: F.col(f"{_FLAG}{name}") for name in self.flags}
        for column in self._flagged_columns():
            lost = self._lost(column)
            for name, flag in self.flags.items():
                if flag.explains == column.name:
                    lost = lost & ~F.coalesce(held[name], F.lit(False))
            held[f"{column.name}_unreadable"] = lost
        # An array needs an element to have a type, so there is always one that says nothing.
        names = [F.when(c, F.lit(name)) for name, c in held.items()]
        flags = F.array_compact(F.array(*names, F.lit(None).cast("string")))
        kept = [name for name in typed.columns if not name.startswith(_FLAG)]
        return v.staged(typed).select(*kept, flags.alias("quality_flags"))

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """What follows for the rows: facts can be read, and every flag is counted by a check."""
        return (
            *(present(column.name) for column in self._typed_columns() if not column.nullable),
            *(self._readable_if_given(column) for column in self._typed_columns(self.facts)),
            *(unflagged(name, flag.description) for name, flag in self.flags.items()),
            *(
                unflagged(
                    f"{column.name}_unreadable",
                    f"A given {column.name} can be read and is possible; others became null.",
                )
                for column in self._flagged_columns()
            ),
        )

    def _typed_columns(self, names: Sequence[str] | None = None) -> list[Column]:
        fields = {column.name for column in self.dataset.fields}
        return [
            column
            for column in self.table.columns
            if column.type != "string"
            and _field_of(column) in fields
            and (names is None or column.name in names)
        ]

    def _flagged_columns(self) -> list[Column]:
        return [c for c in self._typed_columns() if c.nullable and c.name not in self.facts]

    def _readable_if_given(self, column: Column) -> Expectation:
        return Expectation(
            f"{column.name}_is_readable",
            "drop",
            f"{column.name.upper()} can be read if it is given; null is legal.",
            lambda: ~self._lost(column),
        )

    def _lost(self, column: Column) -> Col:
        """Say whether a column is null although its field was given; never null."""
        text = v.text(F.col(f"raw_{_field_of(column)}"))
        missing = F.col(column.name).isNull()
        # Few values are null, and only their text is looked at.
        lost = F.when(missing, given(text, self.nothing).isNotNull())
        return F.coalesce(lost, F.lit(False))


def given(text: Col, nothing: Sequence[str]) -> Col:
    """Return text; null if it stands for nothing, in whatever case."""
    return F.when(~v.is_any(v.lower(text), nothing), text)


def _field_of(column: Column) -> str:
    return column.source or column.name
