"""`lakehouse extract` as people run it, and as they kill it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from typer.testing import CliRunner

from lakehouse_assets.cli import main as cli
from lakehouse_assets.domains.retail.sources import SOURCES
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.reader import read_delivery
from lakehouse_assets.sources.copy_state import recall
from lakehouse_assets.sources.embedded import embedded
from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.ingest.samples import INGESTED

ONLINE = next(source for source in SOURCES if source.dataset.name == "online_sales")
ROWS = 500


@pytest.fixture
def at_home(monkeypatch, tmp_path):
    """A folder of its own, with an empty landing zone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "landing").mkdir()
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(tmp_path / "landing"))
    return tmp_path


def run(*arguments):
    result = CliRunner().invoke(cli.app, ["extract", *arguments])
    error = None if result.exception is None else str(result.exception)
    return result.output, error


def bronze(dataset, files):
    engine = start_engine()
    with engine.scope():
        found = read_delivery(dataset, files, engine, INGESTED)
        names = [column.name for column in dataset.fields]
        return sorted(
            tuple(row.values()) for row in engine.rows(found.rows.select(*names))
        ), found.refused  # fmt: skip


def test_the_embedded_database_gives_the_bronze_rows_of_the_sample(at_home):
    output, error = run("retail/campaigns", "--demo", "--dry-run")
    assert error is None
    assert "answers: 736 rows of campaigns to copy (full copy)." in output
    zone, sample = LandingZone(at_home / "landing"), LandingZone(REPOSITORY / "data")
    for source in SOURCES:
        dataset = source.dataset
        assert zone.files(dataset) == []
        output, error = run(dataset.path, "--demo")
        assert error is None, output
        assert f"rows to {min(1, len(sample.files(dataset)))} file in " in output
        assert f"{dataset.path}/" in output
        files = sample.files(dataset)
        if dataset.grain == "month" and files:
            # The database holds the state of now.
            files = [file for file in files if file.delivered_on == files[-1].delivered_on]
        assert bronze(dataset, zone.files(dataset)) == bronze(dataset, files)


def test_every_declared_source_is_in_the_embedded_database(tmp_path):
    path = tmp_path / "demo.db"
    embedded(path, SOURCES, lambda folder: None)
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert {name for (name,) in found} == {source.table for source in SOURCES}


def test_mistakes_are_one_sentence(at_home):
    assert run("retail/campaigns")[1].startswith("The source marketing has no address; set LAKE")
    assert run("retail/tweets")[1] == (
        "No source table is declared for 'retail/tweets'; choose one of "
        "retail/campaigns, retail/store_sales, retail/online_sales, retail/customers."
    )


@pytest.fixture
def shop(at_home, monkeypatch):
    """A database with orders."""
    path = at_home / "shop.db"
    names = ONLINE.dataset.source_names
    with closing(sqlite3.connect(path)) as database, database:
        columns = ", ".join(f'"{name}" TEXT' for name in names)
        database.execute(f"CREATE TABLE online_sales ({columns})")
        rows = (
            [f"{n:06}", f"2021-09-06T{n // 250:02}:00:00Z", *["x" * 200] * (len(names) - 2)]
            for n in range(ROWS)
        )
        marks = ", ".join("?" * len(names))
        database.executemany(f"INSERT INTO online_sales VALUES ({marks})", rows)  # noqa: S608
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP", f"sqlite:///{path}")
    return path


# The command, which kills itself before one of its steps: a file that lands, or what is remembered.
KILLED = """
import os, signal
import lakehouse_assets.sources.extraction as extraction
import lakehouse_assets.sources.streams as streams
from lakehouse_assets.cli.main import main
from lakehouse_assets.ingest.landing import LandingZone

left = int(os.environ["STEPS"])

def counted(step):
    def do(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments, **options)
    return do

streams._ROWS = 20
LandingZone.land = counted(LandingZone.land)
extraction.remember = counted(extraction.remember)
main()
"""


def test_a_process_killed_at_any_moment_leaves_nothing_out_and_nothing_twice(shop, at_home):
    """Killed with -9 again and again, the command goes on until everything is there, once."""
    command = [sys.executable, "-c", KILLED, "extract", "retail/online_sales", "--chunk", "20"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    zone, draw = LandingZone(at_home / "landing"), random.Random(7)  # noqa: S311
    kills = 0
    while True:
        environment["STEPS"] = str(draw.randint(3, 19))
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        kills += 1
    assert recall(zone, ONLINE.dataset).open is None
    assert kills >= 3
    rows, refused = bronze(ONLINE.dataset, zone.files(ONLINE.dataset))
    assert refused == []
    assert [row[0] for row in rows] == [f"{n:06}" for n in range(ROWS)]
    output, error = run("retail/online_sales")
    assert error is None
    # The next one begins with the rows of the last moment.
    assert "(changes since 2021-09-06T01:00:00Z)" in output
