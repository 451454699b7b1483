"""The command line of the generator: python -m lakehouse_assets.sample.retail --out data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lakehouse_assets.sample.command import command
from lakehouse_assets.sample.retail.campaigns import write_campaigns
from lakehouse_assets.sample.retail.customers import write_customers
from lakehouse_assets.sample.retail.device_wear import write_device_wear
from lakehouse_assets.sample.retail.documents import write_documents
from lakehouse_assets.sample.retail.draws import Config
from lakehouse_assets.sample.retail.labelled_tweets import write_labelled_tweets
from lakehouse_assets.sample.retail.online_sales import write_online_sales
from lakehouse_assets.sample.retail.store_sales import write_store_sales
from lakehouse_assets.sample.retail.tweets import write_tweets
from lakehouse_assets.sample.retail.visits import write_visits
from lakehouse_assets.sample.retail.website import write_website

SOURCES = (
    write_campaigns,
    write_tweets,
    write_labelled_tweets,
    write_store_sales,
    write_online_sales,
    write_customers,
    write_website,
    write_visits,
    write_documents,
    write_device_wear,
)


def generate(config: Config, root: Path) -> list[Path]:
    """Write every source's deliveries below `root`/retail; return the files."""
    return [path for write in SOURCES for path in write(config, root)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate from the command line."""

    def generated(out: Path, config: Config) -> str:
        files = generate(config, out)
        size = sum(file.stat().st_size for file in files)
        return f"{len(files)} files, {size / 1e6:.2f} MB in {out / 'retail'}"

    command("lakehouse_assets.sample.retail", Config, generated, arguments)


if __name__ == "__main__":
    main()
