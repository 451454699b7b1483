"""Deliveries of documents: a few tiny files, one of which is not what its name says.

Images are stored uncompressed, so that their bytes do not depend on a compression library.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from lakehouse_assets.sample.retail.draws import Config, deliver

_GIF = (
    b"GIF89a\x01\0\x01\0\x80\0\0%b\0\0\0!\xf9\x04\x01\0\0\0\0"
    b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
)
_PDF = b"""%%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d 72]>>endobj
trailer<</Root 1 0 R>>
%%%%EOF
"""


def write_documents(config: Config, root: Path) -> list[Path]:
    """Write the deliveries, all on the first Monday after the first week; return the files."""
    delivered = config.mondays[1] if config.weeks > 1 else config.mondays[0]
    rng = config.random("documents")
    colours = [bytes(rng.integers(0, 256, 3).tolist()) for _ in range(4)]
    files = {
        "go-green.png": _png(16, colours[0]),
        "sustainable-fashion.png": _png(16, colours[1]),
        "spinner.gif": _GIF % colours[2],
        "catalogue.pdf": _PDF % int(rng.integers(72, 7200)),
        # An image that someone named like a PDF document.
        "price-list.pdf": _png(8, colours[3]),
    }
    return [deliver(root, "documents", delivered, name, content) for name, content in files.items()]


def _png(size: int, colour: bytes) -> bytes:
    """Draw a square of one colour."""
    rows = (b"\0" + colour * size) * size
    # One stored block of deflate between zlib's header and checksum.
    stored = struct.pack("<BHH", 1, len(rows), len(rows) ^ 0xFFFF) + rows
    data = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
