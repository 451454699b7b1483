"""Documents are known by their content, and stay where and what they were delivered as."""

from __future__ import annotations

import gzip
import struct
import zlib
from datetime import date
from io import FileIO

import pytest

from lakehouse_assets.domains.retail.datasets.documents import DOCUMENTS, EXTENSIONS
from lakehouse_assets.ingest.documents import describe, media_type
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.sample.retail.documents import write_documents
from lakehouse_assets.sample.retail.draws import Config
from lakehouse_assets.storage.files import digest_of
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.retail.samples import deliver

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
PDF = b"%PDF-1.7\n"
DAY = date(2021, 9, 6)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG, "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF87a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"), (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"II*\0", "image/tiff"), (b"BM", "image/bmp"), (PDF, "application/pdf"), (b"", None),
        (b"PK\x03\x04", None), (b"\x89PN", None),
    ],
)  # fmt: skip
def test_first_bytes_say_what_a_file_is(head: bytes, kind: str | None) -> None:
    assert media_type(head) == kind
    assert kind is None or kind in EXTENSIONS


def test_documents_from_landing_to_silver(house: House) -> None:
    files = {
        "a.png": PNG, "B.PDF": PDF, "again.png": PNG, "wrong.pdf": PNG + b"other", "empty.png": b"",
        "letter.docx": b"PK\x03\x04", "no_extension": PDF + b"x",
    }  # fmt: skip
    paths = {
        name: deliver(house, DOCUMENTS, str(DAY), name, content) for name, content in files.items()
    }
    before = {name: path.read_bytes() for name, path in paths.items()}
    outcome = house.run(DOCUMENTS)
    assert outcome.errors == []
    kept = {row["file_name"]: row for row in house.rows("silver_documents")}
    assert kept.keys() == {"a.png", "B.PDF"}
    found = kept["a.png"]
    assert (found["media_type"], found["size"], found["delivered_on"]) == ("image/png", 28, DAY)
    assert found["path"] == f"retail/documents/{DAY}/a.png"
    # The bytes are where the table says, as they were delivered.
    assert digest_of(house.settings.landing / found["path"]) == found["sha256"]
    assert {name: path.read_bytes() for name, path in paths.items()} == before
    aside = {
        row["name"]: (row["disposition"], row["reasons"], row["duplicate_of"])
        for row in house.rows("silver_documents_quarantine")
    }
    first = f"retail/documents/{DAY}/a.png#1"
    assert aside == {
        "again.png": ("duplicate", [], first),
        "wrong.pdf": ("quarantined", ["name_fits_media_type"], None),
        "empty.png": ("quarantined", ["has_content", "media_type_is_known"], None),
        "letter.docx": ("quarantined", ["media_type_is_known"], None),
        "no_extension": ("quarantined", ["name_fits_media_type"], None),
    }
    bronze = house.rows("bronze_documents")
    assert {row["_file_sha256"] == row["sha256"] for row in bronze} == {True}
    assert len(bronze) == len(files)


def described(path):
    with FileIO(path) as file:
        return describe(file, f"x/{path.name}", FileLimits())


def test_a_document_of_any_name_can_be_landed(house: House, tmp_path) -> None:
    packed = tmp_path / "scan.gz"
    packed.write_bytes(gzip.compress(PDF))
    zone = LandingZone(house.settings.landing)
    zone.root.mkdir(parents=True, exist_ok=True)
    _, news = zone.land(DOCUMENTS, packed, DAY)
    assert news
    assert described(packed)[:3] == ("scan.gz", "gz", None)


def test_the_samples_are_what_they_seem(tmp_path) -> None:
    files = {path.name: path for path in write_documents(Config(), tmp_path)}
    kinds = {name: described(path)[2] for name, path in files.items()}
    assert kinds == {
        "go-green.png": "image/png", "sustainable-fashion.png": "image/png",
        "spinner.gif": "image/gif", "catalogue.pdf": "application/pdf",
        "price-list.pdf": "image/png",
    }  # fmt: skip
    content = files["go-green.png"].read_bytes()
    at = content.index(b"IDAT")
    (size,) = struct.unpack(">I", content[at - 4 : at])
    rows = zlib.decompress(content[at + 4 : at + 4 + size])
    assert rows == (b"\0" + rows[1:4] * 16) * 16
