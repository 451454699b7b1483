"""What every typing of delivered rows begins with: the delivered text, provenance, identity."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, delivery_columns, provenance_columns
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v


def with_raw(bronze: DataFrame, dataset: Dataset) -> DataFrame:
    """Rename the delivered fields to `raw_<field>`, beside where they came from."""
    return bronze.select(
        *[F.col(c.name).alias(f"raw_{c.name}") for c in dataset.fields],
        *lineage_columns(dataset),
    )


def with_text(bronze: DataFrame, dataset: Dataset) -> DataFrame:
    """Return what `with_raw` does and each field as `text_<field>`: trimmed, null if empty.

    A stage of its own: engines compute a column once, an expression for each of its uses.
    """
    raw = with_raw(bronze, dataset)
    texts = [v.text(F.col(f"raw_{c.name}")).alias(f"text_{c.name}") for c in dataset.fields]
    return v.staged(raw.select(*raw.columns, *texts))


def with_content(frame: DataFrame, dataset: Dataset) -> DataFrame:
    """Add what identifies a row that has no number: its content, and which of equal rows it is.

    A second equal row in a file is another row; the same file delivered again brings none.

    Args:
        frame: Result of `with_raw` or `with_text`.
        dataset: The dataset.

    Returns:
        The frame with `content` and `occurrence`, of which `content_key` makes a key.
    """
    content = v.hash_key(*[F.col(f"raw_{c.name}") for c in dataset.fields])
    hashed = v.staged(frame.select(*frame.columns, content.alias("content")))
    order = W.partitionBy("_source_file", "content").orderBy(F.col("_row_number").asc_nulls_last())
    occurrence = F.row_number().over(order).cast("bigint")
    return v.staged(hashed.select(*hashed.columns, occurrence.alias("occurrence")))


def content_key() -> Col:
    """Make a key of what `with_content` has added."""
    return v.hash_key(F.col("content"), F.col("occurrence"))


def lineage_columns(dataset: Dataset) -> list[str]:
    """Name the columns that lead a row back to its delivery."""
    return [c.name for c in (*provenance_columns(), *delivery_columns(dataset))]
