"""The command line of the generator: python -m lakehouse_assets.sample.retail --out data."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from lakehouse_assets.sample.retail.campaigns import write_campaigns
from lakehouse_assets.sample.retail.customers import write_customers
from lakehouse_assets.sample.retail.documents import write_documents
from lakehouse_assets.sample.retail.draws import Config
from lakehouse_assets.sample.retail.online_sales import write_online_sales
from lakehouse_assets.sample.retail.store_sales import write_store_sales
from lakehouse_assets.sample.retail.tweets import write_tweets
from lakehouse_assets.sample.retail.website import write_website

SOURCES = (
    write_campaigns,
    write_tweets,
    write_store_sales,
    write_online_sales,
    write_customers,
    write_website,
    write_documents,
)


def generate(config: Config, root: Path) -> list[Path]:
    """Write every source's deliveries below `root`/retail; return the files."""
    return [path for write in SOURCES for path in write(config, root)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lakehouse_assets.sample.retail",
        description="Write a landing zone of the retail domain; equal arguments give equal bytes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    plain = Config()
    parser.add_argument("--out", type=Path, required=True, help="landing zone to write into")
    parser.add_argument("--seed", type=int, default=plain.seed)
    parser.add_argument("--first-week", type=date.fromisoformat, default=plain.first_week)
    parser.add_argument("--weeks", type=int, default=plain.weeks)
    parser.add_argument("--scale", type=float, default=plain.scale, help="rows, 1 for the sample's")
    given = parser.parse_args(arguments)
    config = Config(given.seed, given.first_week, given.weeks, given.scale)
    files = generate(config, given.out)
    size = sum(file.stat().st_size for file in files)
    sys.stdout.write(f"{len(files)} files, {size / 1e6:.2f} MB in {given.out / 'retail'}\n")


if __name__ == "__main__":
    main()
