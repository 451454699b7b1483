"""Takes the pictures of the pages that the README shows: `make pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from lakehouse_assets.cli.opening import open_lake
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.pages_asset import write_pages
from lakehouse_assets.query.session import Sessions
from lakehouse_assets.settings import load_settings
from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.pages.chromium import chromium

# Page, height and whether it is dark.
_PICTURES = (
    ("business", "", 860, False),
    ("loyalty", "#segment_name=At-Risk%20Customers", 860, True),
    ("churn", "", 860, False),
    ("lake", "", 860, False),
)
# Charts have few colours; more would double the files.
_COLOURS = 96


def main() -> None:
    """Write the pages of the settings' lake, and a picture of some into docs/images."""
    images = REPOSITORY / "docs" / "images"
    images.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        settings = load_settings()
        sessions, tracking = Sessions(open_lake(settings)), MlflowTracking.of(settings)
        folder = write_pages(sessions, Path(made) / "pages", tracking=tracking).folder
        with chromium(Path(made) / "profile") as open_tab, open_tab() as tab:
            for page, selection, height, dark in _PICTURES:
                tab.show(1280, height, dark=dark)
                tab.go((folder / f"{page}.html").as_uri() + selection, "Pages.settled")
                tab.drawn()
                file = images / f"{page}.png"
                tab.picture(file)
                with Image.open(file) as taken:
                    small = taken.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
                small.save(file, optimize=True)


if __name__ == "__main__":
    main()
