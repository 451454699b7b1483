"""Documents: metadata of images and PDF files about campaigns and products.

The table holds no content. The files stay in the landing zone, at `path` below its root.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse_assets.catalog.datasets import DOCUMENT_FIELDS, Dataset, Field, text_field
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

EXTENSIONS = {
    "image/png": ("png",), "image/jpeg": ("jpg", "jpeg"), "image/gif": ("gif",),
    "image/webp": ("webp",), "image/bmp": ("bmp",), "image/tiff": ("tif", "tiff"),
    "application/pdf": ("pdf",),
}  # fmt: skip
"""Media types recognised by a file's first bytes, with their file extensions."""


def with_path(documents: DataFrame, _given: Mapping[str, Any]) -> DataFrame:
    """Add the path of the file."""
    return documents.select(*documents.columns, F.col("_source_file").alias("path"))


def _name_fits() -> Col:
    """Say whether the file extension fits the media type; true if the type is unknown."""
    fits = F.lit(True)
    for kind, extensions in EXTENSIONS.items():
        ends = v.is_any(F.col("raw_extension"), extensions)
        other = F.col("media_type") != F.lit(kind)
        fits = fits & F.coalesce(other | F.coalesce(ends, F.lit(False)), F.lit(True))
    return fits


DOCUMENTS = Dataset(
    domain=DOMAIN,
    name="documents",
    grain="day",
    description="One delivered image or PDF file.",
    owner=OWNER,
    documents=True,
    rows=(
        "One row per document, identified by its content: the same bytes under another name are a "
        "duplicate of the first delivery. A document whose bytes do not match its extension is "
        "quarantined."
    ),
    key="sha256",
    columns=(
        # Derived from the file itself, so never missing.
        Field("sha256", "string", "SHA-256 of the content.", "SHA256", need="checked"),
        Field("path", "string", "Path of the file in the landing zone.",
              need="checked", derived=True),
        Field("file_name", "string", "Name of the file.", "Name", need="checked"),
        Field("media_type", "string", "Media type, recognised by the first bytes.", "MediaType",
              need="checked", delivered="Media type, recognised by the first bytes; null if "
              "not recognised."),
        Field("size", "bigint", "Size of the file.", "Size", need="required", unit="bytes"),
        text_field("Extension", "Extension of the file name, in lower case; null if there is "
                   "none."),
    ),
    delivered_order=DOCUMENT_FIELDS,
    rule=with_path,
    expectations=(
        Expectation("has_content", "drop", "The document is not empty; empty ones are quarantined.",
                    lambda: F.col("size") > F.lit(0)),
        Expectation("media_type_is_known", "drop",
                    "The first bytes are those of an image or PDF file; others are quarantined.",
                    lambda: F.col("media_type").isNotNull()),
        Expectation("name_fits_media_type", "drop",
                    "The extension matches the first bytes; other documents are quarantined.",
                    _name_fits),
    ),
    constraints={"has_content": "size > 0"},
)  # fmt: skip
