"""The calendar: attributes of each day."""

from __future__ import annotations

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Column, Reference, reference_table
from lakehouse_assets.domains.conformed import DOMAIN, OWNER
from lakehouse_assets.domains.conformed.reference import calendar_days
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

DIM_DATE = reference_table(
    DOMAIN,
    "dim_date",
    "Calendar: one row per day from 1900 to 2099.",
    (
        Column("date", "date", "The day.", False),
        Column("year", "int", "Year.", False, "year"),
        Column("month", "int", "Month, 1 to 12.", False, "month"),
        Column("day", "int", "Day of the month.", False, "day"),
        Column("quarter", "int", "Quarter, 1 to 4.", False, "quarter"),
        Column(
            "day_of_week",
            "int",
            "Day of the week: 1 Sunday to 7 Saturday, as in Spark.",
            False,
            "weekday",
        ),
        Column("day_name", "string", "English name of the day.", False, sort_by="day_of_week"),
        Column("month_name", "string", "English name of the month.", False, sort_by="month"),
        Column("year_month", "string", "Year and month, as yyyy-MM.", False),
        Column("iso_year", "int", "Year of the ISO 8601 week.", False, "year"),
        Column(
            "iso_week",
            "int",
            "ISO 8601 week; week 1 has the first Thursday of the year.",
            False,
            "week",
        ),
        Column(
            "week_start",
            "date",
            "First day of the week, as LAKEHOUSE_WEEK_STARTS_ON sets it.",
            False,
        ),
        Column("is_weekend", "boolean", "Whether the day is a Saturday or Sunday.", False),
    ),
    ("date",),
    OWNER,
    aliases=("dim_time",),
    hierarchies={"Calendar": ("year", "quarter", "month_name", "date")},
)


def dim_date(days: DataFrame, week_starts_on: v.Weekday) -> DataFrame:
    """Describe days; columns as declared for `dim_date`.

    Args:
        days: One row per day in `date`.
        week_starts_on: First day of a week; ISO weeks always start on Monday.
    """
    day = F.col("date")
    number = v.day_of_week(day)
    names = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
    months = (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    )  # fmt: skip
    month = F.month(day)
    return days.select(
        "date",
        F.year(day).cast("int").alias("year"),
        month.cast("int").alias("month"),
        F.dayofmonth(day).cast("int").alias("day"),
        F.quarter(day).cast("int").alias("quarter"),
        number.cast("int").alias("day_of_week"),
        _named(number, names).alias("day_name"),
        _named(month, months).alias("month_name"),
        F.substring(day.cast("string"), 1, 7).alias("year_month"),
        F.year(v.add_days(v.week_start(day), F.lit(3))).cast("int").alias("iso_year"),
        F.weekofyear(day).cast("int").alias("iso_week"),
        v.week_start(day, week_starts_on).alias("week_start"),
        number.isin(1, 7).alias("is_weekend"),
    )


def _named(number: Col, names: tuple[str, ...]) -> Col:
    return v.first_of(*((number == F.lit(n), name) for n, name in enumerate(names, start=1)))


GOLD = (GoldTable(DIM_DATE, dim_date, {"days": calendar_days}),)


def dates(column: str) -> Reference:
    """Return a reference to `dim_date`."""
    return Reference((column,), "dim_date", ("date",))
