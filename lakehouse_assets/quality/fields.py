"""Types the bronze rows of a feed, which is a dataset or a stream, as its columns are declared.

A given value is never silently lost: its column holds it, a flag that a check counts reports it, or
its row is quarantined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lakehouse_assets.catalog.datasets import Feed, Field, Flag
from lakehouse_assets.catalog.expectations import (
    Expectation,
    in_calendar,
    known,
    not_negative,
    present,
    unflagged,
)
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError

_FLAG = "flag_"


def typed_rows(feed: Feed, engine: Engine, bronze: DataFrame) -> DataFrame:
    """Type the rows of a feed.

    The feed's rule receives the provenance columns (`_source_file` and so on), the text of each
    delivered field as `raw_<field>`, the trimmed text as `text_<field>`, and each typed column
    under its name, null where the value is missing or impossible. It returns the same rows with the
    derived columns, its corrections, and `flag_<name>` for each flag of the feed.

    Args:
        feed: The feed.
        engine: The engine of the rows.
        bronze: Rows of its bronze table.

    Returns:
        One row per bronze row: the columns of the silver table (null also in required ones, where a
        row will be quarantined), `raw_<field>`, and whatever else the rule adds.

    Raises:
        LakehouseError: the flags that the rule sets are not those that the feed declares, so
            that no check would count them.
    """
    raw = bronze.select(
        *[F.col(c.name).alias(f"raw_{c.name}") for c in feed.fields],
        *(c.name for c in feed.lineage),
        *feed.also_read,
    )
    # Separate stages, because engines compute a column once but an expression for each of its uses.
    texts = [v.text(F.col(f"raw_{c.name}")).alias(f"text_{c.name}") for c in feed.fields]
    text = v.staged(raw.select(*raw.columns, *texts))
    read = [c for c in feed.columns if c.stored and not c.derived]
    typed = text.select(*text.columns, *[_value(feed, c).alias(c.name) for c in read])
    if feed.rule is not None:
        reference = {name: engine.from_arrow(get()) for name, get in feed.reference.items()}
        typed = feed.rule(v.staged(typed), {**feed.options, **reference})
    found = {name.removeprefix(_FLAG) for name in typed.columns if name.startswith(_FLAG)}
    declared = {flag.name for flag in feed.flags}
    if found != declared:
        raise LakehouseError(
            f"The rule of {feed.path} computes the flags {', '.join(sorted(found)) or 'none'}, but "
            f"its declaration lists {', '.join(sorted(declared)) or 'none'}; list each of them."
        )
    staged = v.staged(typed)
    held = {flag.name: condition() for c in read for flag, condition in _flags(feed, c)}
    held |= {flag.name: F.col(f"{_FLAG}{flag.name}") for flag in feed.flags}
    # The null element, which array_compact removes, gives an empty array its type.
    names = [F.when(condition, F.lit(name)) for name, condition in held.items()]
    flags = F.array_compact(F.array(*names, F.lit(None).cast("string")))
    filled = {c.name: c.missing for c in read if c.missing is not None}
    return staged.select(
        *[
            F.coalesce(F.col(name), F.lit(filled[name])).alias(name) if name in filled else name
            for name in typed.columns
            if not name.startswith(("text_", _FLAG))
        ],
        flags.alias("quality_flags"),
    )


def expectations_of(feed: Feed) -> tuple[Expectation, ...]:
    """Return a feed's expectations: those that follow from its columns, then its own."""
    columns = [c for c in feed.columns if c.stored]
    required = [c for c in columns if c.need == "required"]
    required.sort(key=lambda c: c.type != "string")
    return (
        *(present(c.name) for c in required),
        *(_readable_if_given(feed, c) for c in columns if c.need == "fact"),
        *(unflagged(f.name, f.description) for c in columns for f, _ in _flags(feed, c)),
        *(unflagged(flag.name, flag.description) for flag in feed.flags),
        *(_in_range(c) for c in columns if c.not_negative or c.in_calendar),
        *(known(c.name, c.labels) for c in columns if c.labels),
        *feed.expectations,
    )


def with_content_key(frame: DataFrame, feed: Feed, name: str) -> DataFrame:
    """Add a key to rows that have no id.

    The key hashes the row's content and its occurrence among equal rows of the file: a second equal
    row in a file is another row, but the same file delivered again adds none.

    Args:
        frame: The input of a rule, see `typed_rows`.
        feed: The feed.
        name: Name of the key.
    """
    content = v.hash_key(*[F.col(f"raw_{c.name}") for c in feed.fields])
    hashed = v.staged(frame.select(*frame.columns, content.alias("content")))
    order = W.partitionBy("_source_file", "content").orderBy(F.col("_row_number").asc_nulls_last())
    occurrence = F.row_number().over(order).cast("bigint").alias("occurrence")
    numbered = v.staged(hashed.select(*hashed.columns, occurrence))
    key = v.hash_key(F.col("content"), F.col("occurrence")).alias(name)
    return numbered.select(*frame.columns, key)


def _value(feed: Feed, column: Field) -> Col:
    value = _read(feed, column)
    if column.between is not None:
        value = F.when(value.between(*column.between), value)
    return value.cast(column.type) if column.parse else value


def _read(feed: Feed, column: Field) -> Col:
    """Parse the text of a column by its parser or its type."""
    text = F.col(f"text_{column.field}")
    if column.type == "string":
        given = _given(feed, column, text)
        return column.parse(given) if column.parse else given
    if column.parse is not None:
        return column.parse(text)
    decimal = column.silver.decimal
    if feed.decimal_comma and (decimal is not None or column.type in {"bigint", "int", "double"}):
        text = v.decimal_point(text)
    if decimal is not None:
        return v.decimal(text, *decimal)
    readers = {
        "bigint": v.whole_number,
        "int": v.small_number,
        "double": v.real,
        "boolean": v.boolean,
        "date": lambda day: v.parse_date(day, *feed.dates),
        "timestamp": v.parse_timestamp,
    }
    return readers[column.type](text)


def _given(feed: Feed, column: Field, text: Col) -> Col:
    """Return the trimmed text of a column; null if it marks a missing value, in any case."""
    nothing = feed.nothing if column.nothing is None else column.nothing
    return F.when(~v.is_any(v.lower(text), nothing), text) if nothing else text


def _flags(feed: Feed, column: Field) -> Iterator[tuple[Flag, Callable[[], Col]]]:
    """Yield the flags that follow from a column, with the conditions under which they are set."""

    def where_missing(condition: Col) -> Col:
        # Few values are null, and only their text is examined.
        return F.when(F.col(column.name).isNull(), condition)

    def given() -> Col:
        return _given(feed, column, F.col(f"text_{column.field}")).isNotNull()

    def readable() -> Col:
        return _read(feed, column).isNotNull()

    if column.unknown is not None:
        unknown = Flag(f"{column.name}_unknown", column.unknown)
        yield unknown, lambda: F.col(column.name).isNull()
    implausible, lost = column.implausible, column.lost
    if implausible is None and column.between is not None:
        low, high = column.between
        implausible = Flag(
            f"{column.name}_implausible",
            f"{column.name}, if given, is from {low} to {high}; other values became null.",
        )
    if implausible is not None:
        yield implausible, lambda: where_missing(given() & readable())
    derived = column.derived or column.type == "string" or column.need != "optional"
    if lost is None and not derived:
        lost = Flag(
            f"{column.name}_unreadable",
            f"{column.name}, if given, can be read; other values became null.",
        )
    if lost is not None:
        yield (
            lost,
            lambda: where_missing(given() & ~readable() if implausible is not None else given()),
        )


def _readable_if_given(feed: Feed, column: Field) -> Expectation:
    def condition() -> Col:
        given = _given(feed, column, v.text(F.col(f"raw_{column.field}"))).isNotNull()
        return ~F.coalesce(F.when(F.col(column.name).isNull(), given), F.lit(False))

    return Expectation(
        f"{column.name}_is_readable",
        "drop",
        f"{column.name}, if given, can be read; other rows are quarantined.",
        condition,
    )


def _in_range(column: Field) -> Expectation:
    return in_calendar(column.name) if column.in_calendar else not_negative(column.name)
