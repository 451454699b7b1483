"""Seeded generators of the sample deliveries in `data/`."""

from pathlib import Path


def write_source_data(folder: Path) -> list[Path]:
    """Write the files that fill the embedded sample database; return them."""
    from lakehouse_assets.sample.retail.__main__ import generate
    from lakehouse_assets.sample.retail.draws import Config

    return generate(Config(), folder)
