"""A million orders from PostgreSQL to bronze, beside connectorx, which only reads them.

    python -m lakehouse_assets_tests.benchmark.sources [--rows 1000000]

Belongs here: starting a server, filling it, and timing the three parts: raw connectorx, the copy
into the landing zone, bronze. The values in bronze are compared with the server's own text.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

FILL = """
CREATE TABLE online_sales AS SELECT
  i::bigint AS orderid, timestamptz '2021-09-06' + i * interval '0.1234567 seconds' AS orderedat,
  (i % 90000)::int AS customerid, 'USA'::text AS country, 'City ' || i % 500 AS city,
  'Beach Products'::text AS productcategory, 'Product ' || i % 2000 AS product,
  'Brand' || chr((65 + i % 3)::int) AS brand, (i % 9 + 1)::int AS quantity,
  (i % 99999 / 100.0)::numeric(30,6) AS price,
  (i % 99999 / 100.0 * (i % 9 + 1))::numeric(38,8) AS revenue
FROM generate_series(1, {rows}::bigint) i;
ALTER TABLE online_sales ADD PRIMARY KEY (orderid);
ANALYZE online_sales
"""
# What bronze has to hold, by the server.
FINGERPRINT = """
SELECT count(*), sum(revenue)::text, sum(length(price::text)),
  rtrim(rtrim(max(to_char(orderedat AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')), '0'), '.')
FROM online_sales
"""
BRONZE = """
SELECT count(*), CAST(sum(CAST(revenue AS DECIMAL(38,8))) AS VARCHAR),
  CAST(sum(length(price)) AS BIGINT), max(rtrim(orderedat, 'Z')) FROM bronze
"""


def measure(rows: int) -> None:
    """Fill a server and print the rates."""
    import psycopg

    from lakehouse_assets_tests.sources.servers import running_postgres

    with running_postgres() as url, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL.format(rows=rows).encode())
            expected = connection.execute(FINGERPRINT).fetchone()
        _print("connectorx, read only", rows, _connectorx(url))
        copied, bronze, found = _ours(url, Path(folder))
        _print("copy into the landing zone", rows, copied)
        _print("landing zone to bronze", rows, bronze)
        _print("together", rows, copied + bronze)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(f"peak memory of the process: {peak:,.0f} MB\n")
        if expected is None or tuple(map(str, expected)) != tuple(map(str, found)):
            raise SystemExit(f"bronze differs from the source: {found} instead of {expected}")


def _connectorx(url: str) -> float:
    try:
        import connectorx
    except ImportError:
        sys.stdout.write("connectorx is not installed; pip install connectorx to compare.\n")
        return float("nan")
    began = time.perf_counter()
    for batch in connectorx.read_sql(
        url, "SELECT * FROM online_sales", return_type="arrow_stream", batch_size=65_536
    ):
        batch.validate()
    return time.perf_counter() - began


def _ours(url: str, folder: Path) -> tuple[float, float, tuple[object, ...]]:
    import dagster as dg
    from pydantic import SecretStr

    from lakehouse_assets.ingest.assets import bronze_assets
    from lakehouse_assets.ingest.landing import LandingZone
    from lakehouse_assets.ingest.resource import LandingResource
    from lakehouse_assets.lake.io_manager import DeltaIOManager
    from lakehouse_assets.lake.resource import LakeResource
    from lakehouse_assets.partitions import Calendar
    from lakehouse_assets.settings import Settings
    from lakehouse_assets.sources.connection import Source
    from lakehouse_assets.sources.declaration import source_of
    from lakehouse_assets.sources.extraction import Wanted, extract
    from lakehouse_assets.tables import SOURCES

    declared = source_of(SOURCES, "retail/online_sales")
    settings = Settings(landing=folder / "landing", root=folder / "lake")
    (folder / "landing").mkdir()
    zone, now = LandingZone(folder / "landing"), datetime.now(UTC)
    began = time.perf_counter()
    copied = extract(zone, Source("shop", SecretStr(url)), declared, Wanted(), now)
    landed = time.perf_counter()
    lake = LakeResource.of(settings)
    assets = bronze_assets(declared.dataset, Calendar(settings.first_partition))
    result = dg.materialize(
        [assets],
        partition_key=copied.day.isoformat(),
        resources={
            "lake": lake,
            "landing": LandingResource(root=str(folder / "landing")),
            "io_manager": DeltaIOManager(lake=lake),
        },
    )
    ended = time.perf_counter()
    if not result.success:
        raise SystemExit("bronze failed; its log says why")
    opened = lake.open()
    opened.engine.name_view("bronze", opened.read(opened.registry["bronze_online_sales"]))
    (found,) = opened.engine.query(BRONZE).to_pylist()
    return landed - began, ended - landed, tuple(found.values())


def _print(what: str, rows: int, seconds: float) -> None:
    sys.stdout.write(f"{what:30} {seconds:6.1f} s {rows / seconds:10,.0f} rows/s\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    measure(parser.parse_args().rows)
