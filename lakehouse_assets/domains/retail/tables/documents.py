"""Documents: images and PDF files about campaigns and products, by what they are.

The table holds no content. The bytes are in the landing zone, at `path` below its root.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import DOMAIN, OWNER
from lakehouse_assets.ingest.documents import FIELDS

EXTENSIONS = {
    "image/png": ("png",), "image/jpeg": ("jpg", "jpeg"), "image/gif": ("gif",),
    "image/webp": ("webp",), "image/bmp": ("bmp",), "image/tiff": ("tif", "tiff"),
    "application/pdf": ("pdf",),
}  # fmt: skip
"""Media types that are told by their first bytes, and what names of such files end in."""

DOCUMENTS = Dataset(
    domain=DOMAIN,
    name="documents",
    grain="day",
    description="One delivered image or PDF file.",
    owner=OWNER,
    documents=True,
    fields=FIELDS,
)

SILVER_DOCUMENTS = silver_table(
    DOCUMENTS,
    (
        "One row per document, known by its content: the same bytes under another name are a "
        "duplicate of the first. One whose bytes are not what its name says is quarantined."
    ),
    "sha256",
    (
        Column("sha256", "string", "SHA-256 of the content.", False),
        Column("path", "string", "Where the bytes are, below the landing zone's root.", False),
        Column("file_name", "string", "Name of the file.", False),
        Column("media_type", "string", "What the first bytes say it is.", False),
        Column("size", "bigint", "Size.", False, "bytes"),
    ),
    constraints={"has_content": "size > 0"},
)
