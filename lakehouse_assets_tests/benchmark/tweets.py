"""Millions of tweets from JSON files to counts by hashtag and city, through Dagster.

python -m lakehouse_assets_tests.benchmark.tweets [--tweets 5000000] [--memory 2GB]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.retail.datasets.tweets import SILVER_TWEETS, TWEETS
from lakehouse_assets.domains.retail.gold import tweets as gold
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.sample.retail.campaigns import write_campaigns
from lakehouse_assets.sample.retail.draws import Config
from lakehouse_assets.sample.retail.tweets import PER_WEEK, write_tweets
from lakehouse_assets_tests.benchmark.measure import measured

_PIPELINE = "lakehouse_assets_tests.benchmark.pipeline"


def main() -> int:
    """Generate, run, compare; 1 if the counts are not those of the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=int, default=5_000_000, help="delivered, replays aside")
    parser.add_argument(
        "--memory", default="2GB", help="of the engine: what a domain has when two are at work"
    )
    parser.add_argument("--work", type=Path, help="folder for everything (default: temporary)")
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="lakehouse-tweets-", dir=given.work))
    try:
        os.environ["LAKEHOUSE_MEMORY_LIMIT"] = given.memory
        return _benchmark(work, given.tweets)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _benchmark(work: Path, tweets: int) -> int:
    config = Config()
    began = time.perf_counter()
    landing = work / "landing"
    write_campaigns(config, landing)
    scaled = Config(scale=tweets / (PER_WEEK * config.weeks))
    files = write_tweets(scaled, landing)
    size = sum(file.stat().st_size for file in files)
    delivered = sum(file.read_bytes().count(b'{"time":') for file in files)
    _say(
        f"{delivered:,} tweets in {len(files)} files, {size / 1e9:.2f} GB, generated in "
        f"{time.perf_counter() - began:.0f} s"
    )
    timings = work / "timings.json"
    places = ["--landing", landing, "--folder", work, "--timings", timings]
    used = measured(_PIPELINE, [str(place) for place in places], timings)
    _say(
        f"pipeline: {used.wall:.1f} s, {used.cpu:.1f} s of CPU, peak {used.peak / 1e9:.2f} GB, "
        f"{delivered / used.wall:,.0f} tweets/s"
    )
    longest = sorted(used.timings.steps.items(), key=lambda step: -step[1])[:6]
    _say(", ".join(f"{name} {seconds:.1f} s" for name, seconds in longest))
    return _compare(work / "lake", delivered)


def _compare(root: Path, delivered: int) -> int:
    """Hold what is stored against the files, and the counts against silver."""
    lake = Lake(str(root), start_engine(), REGISTRY)
    rows = {
        table.name: sum(lake.rows_by_partition(table).values())
        for table in (bronze_table(TWEETS), SILVER_TWEETS, quarantine_table(TWEETS))
    }
    bronze, silver, aside = rows.values()
    with lake.engine.scope():
        newest = max(lake.rows_by_partition(gold.TWEETS_BY_CITY_AND_HASHTAG))
        pairs = lake.read(gold.TWEETS_BY_CITY_AND_HASHTAG, None, ["as_of_month", "tweets"])
        counted = sum(r["tweets"] for r in lake.engine.rows(pairs) if r["as_of_month"] == newest)
    _say(json.dumps({**rows, "counted": counted}))
    right = bronze == delivered == silver + aside and counted == silver
    _say("The counts are those of the files." if right else "The counts DIFFER from the files.")
    return 0 if right else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
