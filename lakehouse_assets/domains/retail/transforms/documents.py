"""Documents: what was recorded of delivered files to silver."""

from __future__ import annotations

from lakehouse_assets.domains.retail.tables.documents import DOCUMENTS, EXTENSIONS, SILVER_DOCUMENTS
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import lineage_columns, with_text
from lakehouse_assets.quality.fields import Fields

FIELDS = Fields(DOCUMENTS, SILVER_DOCUMENTS, ())


def type_documents(bronze: DataFrame) -> DataFrame:
    """Type documents.

    Args:
        bronze: Rows of `bronze_documents`.

    Returns:
        One row per bronze row: the columns of `silver_documents` and `raw_*` text.
    """
    frame = with_text(bronze, DOCUMENTS)
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        F.col("text_sha256").alias("sha256"),
        F.col("_source_file").alias("path"),
        F.col("text_name").alias("file_name"),
        F.col("text_mediatype").alias("media_type"),
        v.whole_number(F.col("text_size")).alias("size"),
        *lineage_columns(DOCUMENTS),
    )
    return FIELDS.flagged(typed)


def name_fits() -> Col:
    """Say whether the name ends in what files of the media type end in; true if that is unknown."""
    fits = F.lit(True)
    for kind, extensions in EXTENSIONS.items():
        ends = v.is_any(F.col("raw_extension"), extensions)
        other = F.col("media_type") != F.lit(kind)
        fits = fits & F.coalesce(other | F.coalesce(ends, F.lit(False)), F.lit(True))
    return fits
