"""Declares a gold table: the rule that builds it, its inputs and its checks.

A rule is a pure function. Its parameters are named after the entries of the declaration's `reads`
and the fields of `BuildContext` that it needs. It returns the declared columns in any order; it may
leave out the partition that is built and `load_timestamp`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import cached_property
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lakehouse_assets.catalog.registry import LOADED, Column, Table
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.spec import ModelSpec

Span = Literal["same", "so_far", "latest", "before", "last_days"]
Rule: TypeAlias = Callable[..., DataFrame]
# The parameter of a check that receives the stored rows of the month.
STORED = "stored"


@dataclass(frozen=True)
class BuildContext:
    """What rules may take in addition to frames.

    Attributes:
        month: First day of the month that is built; None unless the table is monthly.
        day: The day that is built; None unless the table is daily and its rule takes it.
        loaded_at: When the run began.
        engine: The engine of the frames.
        week_starts_on: First day of a week (LAKEHOUSE_WEEK_STARTS_ON).
        training_rows: Maximum number of rows fetched to fit a model.
    """

    month: date | None
    day: date | None
    loaded_at: datetime
    engine: Engine
    week_starts_on: v.Weekday
    training_rows: int

    @property
    def partition(self) -> date | None:
        """The month or day that is built; None if a table is built at once."""
        return self.month or self.day


@dataclass(frozen=True)
class Read:
    """The rows of a table that a rule reads; all of them if the table is not partitioned.

    Attributes:
        table: The table.
        span: `same`: rows of the month or day that is built. `so_far`: rows up to its end.
            `latest`: the latest snapshot delivered so far, for silver tables of monthly snapshots.
            `before`: rows of the latest earlier month that has rows; no rows if the month that is
            built has none in the table. `last_days`: rows of the day that is built and of the days
            before it, `days` in all, for daily tables.
        days: Number of days of the span `last_days`.
    """

    table: Table
    span: Span = "same"
    days: int = 1


def so_far(table: Table) -> Read:
    """Read the rows up to the end of the month."""
    return Read(table, "so_far")


def latest(table: Table) -> Read:
    """Read the latest snapshot delivered by the end of the month."""
    return Read(table, "latest")


def before(table: Table) -> Read:
    """Read the rows of the latest earlier month that has any."""
    return Read(table, "before")


def last_days(table: Table, days: int) -> Read:
    """Read the rows of the day that is built and of those before it, `days` (2 or more) in all."""
    return Read(table, "last_days", days)


@dataclass(frozen=True)
class Check:
    """A condition on the stored rows of a month, checked with the inputs of the rule.

    Attributes:
        name: Name of the check.
        description: What must hold.
        broken: Rule that returns the rows that violate it; its parameter `stored` receives the
            stored rows of the month.
        amount: Column of those rows whose total is reported along with their number.
        blocking: Whether violations block downstream tables; if not, they are a warning.
    """

    name: str
    description: str
    broken: Rule
    amount: str | None = None
    blocking: bool = True


@dataclass(frozen=True)
class RowsAlert:
    """An alert when the number of rows in a partition of a table changes.

    Attributes:
        name: Name of the alert; its sensor is alert_<name>.
        title: What happened, such as "Members are newly At-Risk"; the partition is added.
        rows: What the rows are, such as "members".
        but: Boolean column of the rows that are not counted; None counts all of them.
    """

    name: str
    title: str
    rows: str
    but: str | None = None


@dataclass(frozen=True)
class Summary:
    """How `lakehouse run` shows the latest month of a small table.

    Attributes:
        title: Title; the month is added.
        columns: The columns to show, by heading, each with a format such as `,.1f`.
        share_of: Column that is followed by each row's share of its total.
        sorted_by: Column to sort by; rows without a value come last.
        rule: Columns whose texts are shown below the table, as `<first>: <second>`.
    """

    title: str
    columns: Mapping[str, tuple[str, str]]
    share_of: str
    sorted_by: str
    rule: tuple[str, str]


@dataclass(frozen=True)
class GoldTable:
    """A gold table and how it is built.

    Attributes:
        table: The table.
        rule: Builds the rows: of one month for a monthly table; of one day for a daily table whose
            rule takes `day`; of all days of the run for any other daily table, with the day in each
            row; all rows for a table without partitions.
        reads: Inputs of the rule, the totals and the checks, by parameter name: a table, for its
            rows of the same month; a `Read`; or a function that returns reference data as an Arrow
            table.
        triggered_by: Tables that trigger the build of a month but are not read: silver tables with
            any delivery within the month, gold tables with the same month.
        totals: Rules that each return one row, to which the table's columns must add up; a blocking
            check compares them with the stored rows of the month.
        checks: Further conditions on the stored rows.
        rows_each_month: Whether it has rows for each month in which its domain was delivered
            anything; `lakehouse status` reports months without rows as missing.
        alert: Alert about its rows.
        summary: How `lakehouse run` shows it.
        scored_by: Model whose champion adds its predictions and `model_version` to the rule's rows;
            null while there is no champion.
    """

    table: Table
    rule: Rule
    reads: Mapping[str, Table | Read | Callable[[], pa.Table]]
    triggered_by: tuple[Table, ...] = ()
    totals: tuple[Rule, ...] = ()
    checks: tuple[Check, ...] = ()
    rows_each_month: bool = False
    alert: RowsAlert | None = None
    summary: Summary | None = None
    scored_by: ModelSpec | None = None

    def __post_init__(self) -> None:
        """Refuse parameters that nothing supplies, and reads that no rule takes."""
        grain = self.table.partition.grain if self.table.partition else None
        monthly = grain == "month"
        given = {f.name for f in fields(BuildContext)} - ({"month", "day"} - {grain})
        taken: set[str] = set()
        for rule in (self.rule, *self.totals, *(check.broken for check in self.checks)):
            taken |= parameters_of(rule)
        unknown = taken - given - self.reads.keys() - ({STORED} if monthly else set())
        if unknown or self.reads.keys() - taken:
            raise LakehouseError(
                f"Gold table {self.table.name}: its rules take {', '.join(sorted(taken))}, but its "
                f"reads are {', '.join(sorted(self.reads))}; give each read the name of its "
                f"parameter, and take nothing else but {', '.join(sorted(given))}."
            )
        if not monthly and (self.totals or self.checks or self.triggered_by):
            raise LakehouseError(
                f"Gold table {self.table.name} has totals, checks or triggers, which only a "
                "monthly table can have; remove them."
            )
        for read in self.frames.values():
            partition = read.table.partition
            if read.span == "last_days" and (
                not self.by_day or read.days < 2 or partition is None or partition.grain != "day"
            ):
                raise LakehouseError(
                    f"Gold table {self.table.name} reads the last {read.days} days of "
                    f"{read.table.name}; both must be daily, the rule must take `day`, and the "
                    "days must be 2 or more."
                )

    @cached_property
    def frames(self) -> Mapping[str, Read]:
        """The tables among its reads."""
        found = {n: Read(r) if isinstance(r, Table) else r for n, r in self.reads.items()}
        return {name: read for name, read in found.items() if isinstance(read, Read)}

    @cached_property
    def data(self) -> Mapping[str, Callable[[], pa.Table]]:
        """The reference data among its reads."""
        return {n: r for n, r in self.reads.items() if not isinstance(r, Read | Table)}

    @property
    def by_day(self) -> bool:
        """Whether it is a daily table that is built day by day."""
        return "day" in parameters_of(self.rule)


def parameters_of(rule: Rule) -> set[str]:
    """Return the names of a rule's parameters without defaults."""
    return {n for n, p in signature(rule).parameters.items() if p.default is Parameter.empty}


def apply_rule(rule: Rule, frames: Mapping[str, DataFrame], ctx: BuildContext) -> DataFrame:
    """Call a rule with the frames and context fields that its parameters name.

    Args:
        rule: The rule.
        frames: The frames that it may take, by parameter name.
        ctx: The context whose fields it may take.
    """
    taken: dict[str, Any] = {
        name: frames[name] if name in frames else getattr(ctx, name) for name in parameters_of(rule)
    }
    return rule(**taken)


def rows_of_table(gold: GoldTable, frames: Mapping[str, DataFrame], ctx: BuildContext) -> DataFrame:
    """Apply a table's rule; return the declared columns that it has, in their order.

    The partition that is built and `load_timestamp` are added if the rule leaves them out.

    Args:
        gold: The table and its rule.
        frames: The frames that the rule may take, by parameter name.
        ctx: What is built, and when.
    """
    rows = apply_rule(gold.rule, frames, ctx)
    have, wanted = {*rows.columns}, gold.table.column_names
    added = {LOADED.name: F.lit(ctx.loaded_at).cast("timestamp")}
    if gold.table.partition and ctx.partition:
        added[gold.table.partition.column] = F.lit(ctx.partition)
    return rows.select(
        *(
            name if name in have else added[name].alias(name)
            for name in wanted
            if name in have or name in added
        )
    )


def sums(*columns: Column) -> list[Col]:
    """Add up each column exactly, as its declared type: a bigint, or a decimal of 38 digits.

    The sum of no values is 0.
    """
    found = []
    for column in columns:
        name, kind = column.name, column.type
        total = (
            v.total(F.col(name), column.decimal[1]) if column.decimal else F.sum(name).cast(kind)
        )
        found.append(F.coalesce(total, F.lit(0).cast(kind)).alias(name))
    return found
