"""The declaration of a gold table: its rule, what the rule reads, and what must hold of its rows.

A rule is a pure function. It takes by name what it needs: the frames of the declaration's `reads`,
and fields of `BuildContext`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa

Span = Literal["same", "so_far", "latest", "before"]
Rule: TypeAlias = Callable[..., DataFrame]
# Name of the parameter of a check that takes the stored rows of the month.
STORED = "stored"


@dataclass(frozen=True)
class BuildContext:
    """What rules may take beside frames.

    Attributes:
        month: The month that rows are built for, as its first day; monthly tables only.
        loaded_at: When the run began.
        engine: The engine of the frames.
        week_starts_on: First day of a week (LAKEHOUSE_WEEK_STARTS_ON).
        training_rows: Most rows that are fetched to fit a model.
    """

    month: date | None
    loaded_at: datetime
    engine: Engine
    week_starts_on: Weekday
    training_rows: int


@dataclass(frozen=True)
class Read:
    """The rows of a table that a rule takes; without partitions, those are all of them.

    Attributes:
        table: The table.
        span: `same`: those of the month, or day, that is built. `so_far`: those up to its end.
            `latest`: of a silver table of monthly snapshots, the latest one delivered so far.
            `before`: those of the latest earlier month that has any; none if the month itself has
            none.
    """

    table: Table
    span: Span = "same"


def so_far(table: Table) -> Read:
    """Read the rows up to the end of the month."""
    return Read(table, "so_far")


def latest(table: Table) -> Read:
    """Read the latest snapshot delivered by the end of the month."""
    return Read(table, "latest")


def before(table: Table) -> Read:
    """Read the rows of the latest earlier month that has any."""
    return Read(table, "before")


@dataclass(frozen=True)
class Check:
    """Something that must hold of a month's stored rows beside what the rule reads.

    Attributes:
        name: Name of the check.
        description: What must hold.
        broken: Rule that gives the rows which break it; `stored` are the month's stored rows.
        amount: Column of those rows whose total is reported beside their number.
        blocking: Whether rows that break it stop what is downstream; otherwise they are a warning.
    """

    name: str
    description: str
    broken: Rule
    amount: str | None = None
    blocking: bool = True


@dataclass(frozen=True)
class GoldTable:
    """A gold table and how it is built.

    Attributes:
        table: The table.
        rule: Builds the rows of a month; of a daily table those of all days of a run, which say
            themselves which day they belong to; of a table without partitions all of them.
        reads: What the rule, its totals and its checks take, by the names of their parameters: a
            table, for its rows of the same month; a `Read`; or a function that gives reference
            data as an Arrow table.
        triggered_by: Tables of which any partition within a month means that the month is
            delivered. They are not read.
        totals: What the table's columns must add up to, as frames of one row each: a blocking check
            compares them with the stored rows of the month.
        checks: What else must hold of the stored rows.
    """

    table: Table
    rule: Rule
    reads: Mapping[str, Table | Read | Callable[[], pa.Table]]
    triggered_by: tuple[Table, ...] = ()
    totals: tuple[Rule, ...] = ()
    checks: tuple[Check, ...] = ()
    frames: Mapping[str, Read] = field(init=False)
    data: Mapping[str, Callable[[], pa.Table]] = field(init=False)

    def __post_init__(self) -> None:
        """Refuse a rule that takes what it is not given, and a read that nothing takes."""
        tables = {n: r if isinstance(r, Read) else Read(r) for n, r in self.reads.items()
                  if isinstance(r, Read | Table)}  # fmt: skip
        data = {n: r for n, r in self.reads.items() if not isinstance(r, Read | Table)}
        object.__setattr__(self, "frames", tables)
        object.__setattr__(self, "data", data)
        monthly = self.table.partition is not None and self.table.partition.grain == "month"
        given = {f.name for f in fields(BuildContext)} - (set() if monthly else {"month"})
        taken: set[str] = set()
        for rule in (self.rule, *self.totals, *(check.broken for check in self.checks)):
            taken |= parameters_of(rule)
        unknown = taken - given - self.reads.keys() - ({STORED} if monthly else set())
        if unknown or self.reads.keys() - taken:
            raise LakehouseError(
                f"Gold table {self.table.name}: its rules take {', '.join(sorted(taken))}, its "
                f"reads are {', '.join(sorted(self.reads))}; name each read as the parameter that "
                f"takes it, and take nothing else but {', '.join(sorted(given))}."
            )
        if not monthly and (self.totals or self.checks or self.triggered_by):
            raise LakehouseError(
                f"Gold table {self.table.name} has totals, checks or triggers, which only a "
                "monthly table can have; remove them."
            )


def parameters_of(rule: Rule) -> set[str]:
    """Return the names of the parameters that a rule must be given."""
    return {n for n, p in signature(rule).parameters.items() if p.default is Parameter.empty}


def apply_rule(rule: Rule, frames: Mapping[str, DataFrame], ctx: BuildContext) -> DataFrame:
    """Call a rule with what it takes.

    Args:
        rule: The rule.
        frames: The frames that it may take, by the names of its parameters.
        ctx: What it may take beside them.
    """
    taken: dict[str, Any] = {
        name: frames[name] if name in frames else getattr(ctx, name) for name in parameters_of(rule)
    }
    return rule(**taken)
