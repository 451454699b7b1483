"""The whole airline pipeline on a Spark cluster and through a Spark Connect server.

Real processes on loopback, from pyspark's jars: they take minutes, so that they run only when asked
for (`make test-cluster`, `pytest --cluster`). What they build is compared, row by row and value by
value, with what the embedded engine builds from the same deliveries.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lakehouse_assets.engine.spark_session import (
    check_connect,
    check_java,
    check_versions,
    find_jars,
)
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, command, variables_of
from lakehouse_assets_tests.benchmark.fingerprint import differences, fingerprint
from lakehouse_assets_tests.engine.cluster import SPREAD, Cluster, family

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

# A snapshot and a few days, one in each format.
DELIVERIES = (
    "flights/2014-03-31", "transactions/2014-03-03", "transactions/2014-03-05",
    "transactions/2014-03-07", "transactions/2014-03-14",
)  # fmt: skip
_PATIENCE = 800


@pytest.fixture(scope="module")
def cluster(request, tmp_path_factory) -> Iterator[Cluster]:
    """A master and two workers."""
    folder = os.environ.get("LAKEHOUSE_SPARK_JARS") or REPOSITORY / ".lakehouse" / "spark-jars"
    with insisting(request):
        check_versions()
        check_java()
        jars = find_jars(Path(folder))
    with Cluster(tmp_path_factory.mktemp("cluster"), jars) as started:
        yield started


@pytest.fixture(scope="module")
def landing(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    for delivery in DELIVERIES:
        name = Path("airline") / delivery
        shutil.copytree(REPOSITORY / "data" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, landing):
    """What the embedded engine makes of the deliveries."""
    house = house_on(landing, tmp_path_factory.mktemp("embedded"))
    done = command("run", variables=variables_of(house), cwd=house.settings.root.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return fingerprint(house.settings.root)


@contextmanager
def insisting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Skip where something is missing, or fail if Spark is insisted on."""
    try:
        yield
    except LakehouseError as error:
        if request.config.getoption("--require-spark"):
            pytest.fail(f"--require-spark: {error}")
        pytest.skip(f"No cluster can be had: {error}")


def house_on(landing: Path, folder: Path) -> House:
    house = House.at(folder)
    return House(house.settings.model_copy(update={"landing": landing}))


def run(house: House, cluster: Cluster, **variables: str) -> str:
    """Run `lakehouse run` on Spark; all that it starts ends with it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    spark = {"LAKEHOUSE_ENGINE": "spark", "LAKEHOUSE_SPARK_JARS": str(cluster.jars[0].parent)}
    words = [sys.executable, "-m", "lakehouse_assets", "run"]
    folder = house.settings.root.parent
    with (folder / "output").open("wb") as output:
        settings = {**clean, **variables_of(house), **spark, **variables, "NO_COLOR": "1"}
        with family(words, settings, output) as process:
            code = process.wait(_PATIENCE)
    said = (folder / "output").read_text()
    assert code == 0, f"{said[-3000:]}\n{cluster.log('master')}"
    return said


def test_standalone(cluster, landing, embedded, tmp_path):
    house = house_on(landing, tmp_path)
    options = json.dumps({**SPREAD, "spark.cores.max": "2"})
    said = run(
        house,
        cluster,
        LAKEHOUSE_SPARK_MASTER=cluster.master,
        LAKEHOUSE_SPARK_OPTIONS=options,
        LAKEHOUSE_SPARK_MEMORY="1g",
    )
    assert "WARN" not in said
    assert "ERROR" not in said
    assert differences(fingerprint(house.settings.root), embedded) == []
    # Both workers did something: each was given an executor, which left its log.
    for number in (1, 2):
        assert list((cluster.folder / f"worker-{number}").rglob("stderr"))


def test_spark_connect(request, cluster, landing, embedded, tmp_path):
    with insisting(request):
        check_connect()
    house = house_on(landing, tmp_path)
    token, other = secrets.token_hex(), secrets.token_hex()
    with cluster.connect_server(token) as address:
        stranger = {
            "LAKEHOUSE_ENGINE": "spark",
            "LAKEHOUSE_SPARK_REMOTE": address,
            "LAKEHOUSE_SPARK_TOKEN": other,
        }
        refused = command("sql", "select 1", variables=stranger, cwd=tmp_path)
        said = run(house, cluster, LAKEHOUSE_SPARK_REMOTE=address, LAKEHOUSE_SPARK_TOKEN=token)
    assert refused.returncode == 1
    assert "did not open a session (UNAUTHENTICATED)" in " ".join(refused.stderr.split())
    assert token not in said
    assert other not in refused.stdout + refused.stderr
    assert differences(fingerprint(house.settings.root), embedded) == []
