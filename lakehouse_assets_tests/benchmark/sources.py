"""A million orders from PostgreSQL to bronze, beside connectorx and dlt.

    python -m lakehouse_assets_tests.benchmark.sources [--rows 1000000] [--dlt PYTHON]

The values in bronze are compared with the server's
own text. With the Python of an environment that has `dlt[parquet]`, SQLAlchemy, psycopg and
connectorx, dlt copies the same table into Parquet files, by each of its backends.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
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
# dlt's copy of the same table into Parquet files; says how long it took and what became of it.
DLT = """
import sys, time, decimal
from pathlib import Path
import dlt, pyarrow.compute as pc, pyarrow.parquet as pq
from dlt.sources.sql_database import sql_table
url, folder, backend = sys.argv[1:]
address = url if backend == "connectorx" else url.replace("postgresql://", "postgresql+psycopg://")
began = time.perf_counter()
options = {"return_type": "arrow"} if backend == "connectorx" else {}
table = sql_table(address, "online_sales", backend=backend, chunk_size=65536,
                  backend_kwargs=options, reflection_level="full_with_precision")
goal = dlt.destinations.filesystem(bucket_url=Path(folder).as_uri())
dlt.pipeline("p" + backend, pipelines_dir=folder + "/.dlt", destination=goal, dataset_name="d").run(
    table, loader_file_format="parquet")
seconds = time.perf_counter() - began
parts = [pq.read_table(path) for path in Path(folder, "d", "online_sales").glob("*.parquet")]
print(seconds, sum(map(len, parts)), parts[0].schema.field("revenue").type,
      sum(pc.sum(part["revenue"]).as_py() for part in parts), sep="|")
"""


def measure(rows: int, dlt: str | None) -> None:
    """Fill a server and print the rates."""
    import psycopg

    from lakehouse_assets_tests.sources.servers import running_postgres

    with running_postgres() as url, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL.format(rows=rows).encode())
            expected = connection.execute(FINGERPRINT).fetchone()
        _print("connectorx, read only", rows, _connectorx(url))
        if dlt:
            for backend in ("sqlalchemy", "pyarrow", "connectorx"):
                _print_dlt(dlt, url, Path(folder, backend), backend)
            assert expected is not None
            sys.stdout.write(f"the server's sum of revenue: {expected[1]}\n")
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


def _print_dlt(python: str, url: str, folder: Path, backend: str) -> None:
    folder.mkdir()
    ran = subprocess.run(
        [python, "-c", DLT, url, str(folder), backend], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        sys.stdout.write(f"dlt, {backend}: {ran.stderr.strip().splitlines()[-1]}\n")
        return
    seconds, rows, kind, total = ran.stdout.strip().splitlines()[-1].split("|")
    _print(f"dlt, {backend}", int(rows), float(seconds))
    sys.stdout.write(f"  revenue is {kind} there, and its sum {total}\n")


def _ours(url: str, folder: Path) -> tuple[float, float, tuple[object, ...]]:
    import dagster as dg
    from pydantic import SecretStr

    from lakehouse_assets import clock
    from lakehouse_assets.catalog.sources import source_of
    from lakehouse_assets.domains import SOURCES
    from lakehouse_assets.ingest.landing import LandingZone
    from lakehouse_assets.orchestration.dataset_assets import bronze_assets
    from lakehouse_assets.orchestration.io_manager import DeltaIOManager
    from lakehouse_assets.orchestration.partitions import Calendar
    from lakehouse_assets.orchestration.resources import LakeResource, LandingResource
    from lakehouse_assets.settings import Settings
    from lakehouse_assets.sources.connection import Source
    from lakehouse_assets.sources.extraction import CopyRequest, extract

    declared = source_of(SOURCES, "retail/online_sales")
    settings = Settings(landing=folder / "landing", root=folder / "lake")
    (folder / "landing").mkdir()
    zone, now = LandingZone(folder / "landing"), clock.now()
    began = time.perf_counter()
    copied = extract(zone, Source("shop", SecretStr(url)), declared, CopyRequest(), now)
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
    rows = {"bronze": opened.read(opened.registry["bronze_online_sales"])}
    (found,) = opened.engine.query(BRONZE, rows).read_all().to_pylist()
    return landed - began, ended - landed, tuple(found.values())


def _print(what: str, rows: int, seconds: float) -> None:
    sys.stdout.write(f"{what:30} {seconds:6.1f} s {rows / seconds:10,.0f} rows/s\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dlt", metavar="PYTHON", help="a Python that has dlt, to compare")
    given = parser.parse_args()
    measure(given.rows, given.dlt)
