"""The command line: what works says so, what does not is one sentence and exit code 1."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from lakehouse_assets import clock
from lakehouse_assets.cli import main as cli
from lakehouse_assets.cli.terminal import given_reason
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS
from lakehouse_assets.domains.airline.gold import value as gold
from lakehouse_assets.orchestration.planning import plan
from lakehouse_assets_tests.airline.samples import (
    REPOSITORY,
    House,
    Lakehouse,
    SampleRun,
    command,
    member,
    purchase,
    variables_of,
)


def refuses(result: tuple[int, str, str], *parts: str) -> None:
    """Assert exit code 1 and one sentence that holds the parts, without a traceback."""
    code, _, said = result
    assert code == 1, said
    assert said.startswith("Error: ")
    assert len(said.strip().splitlines()) == 1
    assert "Traceback" not in said
    assert said.rstrip().endswith((".", ")"))
    for part in parts:
        assert part in said


def test_databricks_is_refused_before_anything_runs(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_ENGINE", "spark")
    monkeypatch.setenv("LAKEHOUSE_SPARK_DATABRICKS", "serverless")
    refuses(lakehouse("run"), "Databricks cannot read files", "LAKEHOUSE_ENGINE=duckdb")


# --- lakehouse run, end to end --------------------------------------------------------------


def test_run_ends_with_the_lake_and_the_segments(sample: SampleRun) -> None:
    process = sample.process
    assert process.returncode == 0, process.stderr
    assert "Error" not in process.stderr
    for table in REGISTRY:
        line = next(x for x in process.stdout.splitlines() if f" {table.domain}.{table.name} " in x)
        assert f" {sample.house.count(table):,} " in line
    for name in ("Premium Elite Members", "Loyal Frequent Flyers", "Uncategorized"):
        assert name in process.stdout
    assert "March 2014" in process.stdout
    segments = "gold_segment_summary", "month(as_of_month) = 3"
    everyone = sum(row["customer_count"] for row in sample.house.rows(*segments))
    line = next(x for x in process.stdout.splitlines() if x.startswith("│ At-Risk Customers"))
    members, share = (cell.strip() for cell in line.split("│")[2:4])
    assert share == f"{int(members) / everyone:.1%}"
    assert "make ui" in process.stdout


def test_the_readme_shows_what_it_prints(sample: SampleRun) -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    (shown,) = re.findall(r"```text\n(.*?)```", readme, re.DOTALL)
    printed = sample.process.stdout
    lines = [line.strip() for line in shown.splitlines() if line != "…"]
    assert len(lines) >= 5
    for line in lines:
        # Seconds, and what is too long for a page, are left out.
        assert all(part in printed for part in line.split("…")), line


def test_sql_shows_as_many_rows_as_asked_for_and_says_when_there_are_more(
    sample: SampleRun, lakehouse_on: Callable[[House], Lakehouse]
) -> None:
    lakehouse = lakehouse_on(sample.house)
    # A table by its alias, its name, and its name with the domain.
    for table, arguments, shown in (
        ("dim_time", (), 50),
        ("dim_date", ("--limit", "3"), 3),
        ("conformed.dim_date", ("--format", "csv"), 73_049),
    ):
        query = f"select date from {table} order by 1"  # noqa: S608
        code, out, said = lakehouse("sql", query, *arguments)
        days = re.findall(r"\d{4}-\d\d-\d\d", out)
        assert (code, len(days), days[:2]) == (0, shown, ["1900-01-01", "1900-01-02"])
        cut = f"Only the first {shown} rows are shown; --limit shows more.\n"
        assert said == ("" if "csv" in arguments else cut)


def test_sql_takes_its_statement_from_an_argument_a_file_or_stdin(
    lakehouse: Lakehouse, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.settings.root.mkdir()
    file = tmp_path / "question.sql"
    # As Notepad and Excel write it.
    file.write_text("\ufeffselect 'é' as x;\r\n", encoding="utf-8")
    for arguments in (("-f", str(file)), ("-",), ("select 'é' as x",)):
        monkeypatch.setattr(sys, "stdin", io.StringIO("select 'é' as x\n"))
        assert lakehouse("sql", *arguments, "--format", "csv") == (0, "x\né\n", "")
    refuses(lakehouse("sql", "select cast(chr(27) || '[31m' as int)"), r"\x1b[31m")
    (tmp_path / "latin.sql").write_bytes(b"select '\xe9'")
    for arguments, part in (
        ((), "Give a statement"),
        (("select 1", "-f", str(file)), "Give a statement"),
        (("-f", str(tmp_path / "no.sql")), "no.sql"),
        (("-f", str(tmp_path / "latin.sql")), "UTF-8"),
    ):
        refuses(lakehouse("sql", *arguments), part)
    code, _, said = lakehouse("sql", "select 1", "--format", "excel")
    assert code == 2
    assert "'excel' is not one of" in said


def test_sql_without_a_lake_says_so(lakehouse: Lakehouse, house: House) -> None:
    refuses(lakehouse("sql", "select 1"), "There is no lake at", str(house.settings.root))


def test_two_versions_of_a_model_compare_as_they_did_when_it_was_decided(
    sample: SampleRun, lakehouse_on: Callable[[House], Lakehouse]
) -> None:
    lakehouse = lakehouse_on(sample.house)
    (decided,) = sample.house.rows("model_decisions", "model = 'churn' and candidate = 2")
    figures = ("metric", "rows", "out_of_fold_rows", "difference", "low", "high")
    for champion in ((), (str(decided["champion"]),)):
        code, out, err = lakehouse("models", "compare", "churn", "2", *champion, "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert found["other"] == decided["champion"]
        assert [found[name] for name in figures] == [decided[name] for name in figures]
        assert found["holds"] == decided["promoted"]
    code, _, err = lakehouse("models", "compare", "churn", "9")
    assert code == 1
    assert "no version 9; it has 1, 2" in err


def test_a_full_disk_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lakehouse_assets", "home"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    refuses((done.returncode, "", done.stderr), "The disk has no space left")


def test_a_reason_is_recorded_as_plain_text(lakehouse: Lakehouse) -> None:
    refuses(lakehouse("models", "promote", "churn", "2", "--reason", " "), "The reason is empty")
    refuses(lakehouse("forget", "airline", "member", "7", "--reason", ""), "The reason is empty")
    # Bytes that are not UTF-8 reach the program as halves of characters, which no table can hold.
    assert given_reason(" as \udcff Ann\x1b[1m said\n") == r"as \udcff Ann\x1b[1m said"


def test_safe_sql_reads_the_lake_and_nothing_else(sample: SampleRun, tmp_path: Path) -> None:
    def safely(query: str) -> tuple[int, str, str]:
        done = command("sql", "--safe", query, variables=variables_of(sample.house), cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    both = f"from dim_time, read_csv('{tmp_path}/secret.csv')"
    assert safely("select count(*) as n from dim_time") == (0, "    n\n-----\n73049\n", "")
    refuses(safely(f"select * {both}"), "disabled by configuration")
    refuses(safely(f"copy (select 1) to '{sample.house.settings.root}/x.csv'"), "only SELECT")


def test_tables_lists_all_and_describes_one(lakehouse: Lakehouse) -> None:
    code, out, _ = lakehouse("tables")
    assert code == 0
    assert all(table.name[:30] in out for table in REGISTRY)
    code, out, _ = lakehouse("tables", "dim_time")
    assert code == 0
    assert "day_of_week" in out
    assert "Key: date" in out
    refuses(lakehouse("tables", "dim_tim"), "'dim_tim'", "did you mean dim_time")


def test_help_lists_the_commands_in_panels(lakehouse: Lakehouse) -> None:
    code, out, _ = lakehouse("--help")
    assert code == 0
    panels = re.findall(r"─ ([A-Z][a-z ]+) ─", out)
    assert panels[0] == "Options"
    assert "Commands" not in panels, "every command is in a panel"
    for name in cli._commands().commands:
        assert len(re.findall(rf"(?m)^│ {name} ", out)) == 1


def _walk(command_: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command_
    if isinstance(command_, click.Group):
        context = click.Context(command_)
        for name in command_.list_commands(context):
            yield from _walk(command_.get_command(context, name), *path, name)


def test_help_of_every_command_and_parameter_fits_80_columns(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands, paths = cli._commands(), []
    monkeypatch.setattr(cli, "_commands", lambda: commands)
    for path, command_ in _walk(commands):
        code, out, _ = lakehouse(*path, "--help")
        assert code == 0
        assert max(map(len, out.splitlines())) <= 80
        shown = re.sub(r"[\s│]+", " ", out)
        assert (command_.help or "").split(".")[0].split(" ")[0] in shown, path
        first, *_ = (command_.help or "").split("\n")
        assert re.match(r"[A-Z].*[.:]", first), (path, first)
        for parameter in command_.params:
            text = parameter.help
            assert text, (path, parameter.name)
            assert text.endswith("."), (path, parameter.name, text)
            assert text.split(" ")[0] in shown
        paths.append(path)
    assert ("models", "train", "sentiment") in paths
    assert ("serve", "model") in paths


def test_selection_prints_a_line_for_each_family_and_refuses_an_unknown_one(
    lakehouse: Lakehouse,
) -> None:
    code, out, _ = lakehouse("selection", "reference_data", "airline_daily")
    assert code == 0
    calendar, daily = out.splitlines()
    assert "conformed/dim_date" in calendar.split(",")
    assert set(daily.split(",")) == {
        "airline/bronze_transactions", "airline/bronze_transactions_rejects",
        "airline/silver_transactions", "airline/silver_transactions_quarantine",
    }  # fmt: skip
    refuses(lakehouse("selection", "reference_data", "hourly"), "'hourly'", "airline_monthly")
    refuses(lakehouse("selection", "maintenance"), "'maintenance'", "airline_monthly")


# --- landing --------------------------------------------------------------------------------


def test_land_puts_a_file_into_its_dated_folder_once(
    lakehouse: Lakehouse, house: House, tmp_path: Path
) -> None:
    file = tmp_path / "delivery.json"
    file.write_text(json.dumps([purchase("A")]), encoding="utf-8")
    target = house.settings.landing / "airline" / "transactions" / "2014-03-05" / "delivery.json"
    arguments = ("land", "airline/transactions", str(file), "--date", "2014-03-05")
    assert lakehouse(*arguments)[:2] == (0, f"Landed: {target}\n")
    assert lakehouse(*arguments)[:2] == (0, f"Already landed: {target}\n")
    assert target.read_bytes() == file.read_bytes()
    file.write_text("[]", encoding="utf-8")
    refuses(lakehouse(*arguments), "delivery.json", "--replace")
    assert lakehouse(*arguments, "--replace")[0] == 0
    assert target.read_text(encoding="utf-8") == "[]"
    assert [path.name for path in target.parent.iterdir()] == ["delivery.json"]


def test_land_says_that_it_writes_into_the_sample(
    lakehouse: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "lakehouse_assets"\n', "utf-8")
    file = tmp_path / "delivery.json"
    file.write_text(json.dumps([purchase("A")]), encoding="utf-8")
    arguments = ("land", "airline/transactions", str(file), "--date", "2014-03-05")
    assert "sample" not in lakehouse(*arguments)[2]
    monkeypatch.delenv("LAKEHOUSE_LANDING")
    code, said, hint = lakehouse(*arguments)
    target = tmp_path / "data" / "airline" / "transactions" / "2014-03-05" / "delivery.json"
    assert (code, said, target.exists()) == (0, f"Landed: {target}\n", True)
    assert hint.startswith(f"{tmp_path / 'data'} is the sample's landing zone")
    assert "LAKEHOUSE_LANDING" in hint


@pytest.mark.parametrize(
    ("dataset", "name", "day", "parts"),
    [
        ("airline/hotels", "a.csv", "2014-03-05", ("airline/hotels", "airline/flights")),
        ("flights", "a.csv", "2014-03-05", ("airline/flights",)),
        ("airline/flights", "a.csv", "31.03.2014", ("31.03.2014", "YYYY-MM-DD")),
        ("airline/flights", "a.csv", "2014-02-29", ("2014-02-29",)),
        ("airline/flights", "missing.csv", "2014-03-05", ("missing.csv",)),
        ("airline/flights", "a.xlsx", "2014-03-05", ("a.xlsx",)),
    ],
)
def test_land_refuses_what_it_cannot_place(
    lakehouse: Lakehouse, house: House, tmp_path: Path, dataset: str, name: str, day: str,
    parts: tuple[str, ...],
) -> None:  # fmt: skip
    for file in ("a.csv", "a.xlsx"):
        (tmp_path / file).write_text("x", encoding="utf-8")
    refuses(lakehouse("land", dataset, str(tmp_path / name), "--date", day), *parts)
    assert list(house.settings.landing.iterdir()) == []


# --- bad input to run -----------------------------------------------------------------------


def nothing_is_written(house: House) -> None:
    """Assert that no table and no run came into being."""
    assert not house.settings.root.exists() or list(house.settings.root.iterdir()) == []


def test_an_empty_landing_zone_is_refused_with_the_remedy(
    lakehouse: Lakehouse, house: House
) -> None:
    refuses(lakehouse("run"), "holds no deliveries", "lakehouse land")
    nothing_is_written(house)


def test_a_missing_landing_zone_is_refused(lakehouse: Lakehouse, house: House) -> None:
    house.settings.landing.rmdir()
    refuses(lakehouse("run"), "does not exist", "LAKEHOUSE_LANDING")
    nothing_is_written(house)


@pytest.mark.parametrize("folder", ["airline/hotels/2014-03-05", "retail/sales/2014-03-05"])
def test_a_folder_that_nobody_reads_is_refused(
    lakehouse: Lakehouse, house: House, folder: str
) -> None:
    (house.settings.landing / folder).mkdir(parents=True)
    refuses(
        lakehouse("run"),
        "belongs to no dataset",
        folder.split("/")[-2 if "airline" in folder else 0],
    )
    nothing_is_written(house)


@pytest.mark.parametrize("name", ["march", "2014-02-30", "2014-3-5", "."])
def test_what_lies_outside_dated_folders_is_refused(
    lakehouse: Lakehouse, house: House, name: str
) -> None:
    house.deliver_members(name, [member(1)])
    refuses(lakehouse("run"), "flight.csv" if name == "." else name, "YYYY-MM-DD")
    nothing_is_written(house)


def test_what_belongs_to_nothing_is_named_and_the_rest_is_loaded(
    lakehouse: Lakehouse, house: House
) -> None:
    house.deliver_purchases("2014-03-05", [purchase("A")])
    house.deliver("transactions", "2014-03-05/more", "deep.csv", "x")
    house.deliver("transactions", "march", "odd.csv", "x")
    house.deliver("hotels", "2014-03-05", "hotels.csv", "x")
    code, _, said = lakehouse("run")
    assert code == 1
    for part in (
        "deep.csv is too deep, in the folder more; move it to airline/transactions/2014-03-05/.",
        "airline/transactions has folders that are not named by a date: march;",
        "The folder airline/hotels in the landing zone belongs to no dataset;",
    ):
        assert part in said
    assert house.count(SILVER_TRANSACTIONS) == 1
    code, _, told = lakehouse("status")
    assert code == 0
    assert told.count("Not loaded: ") == 3
    assert all(name in told for name in ("deep.csv", "march", "airline/hotels"))


@pytest.mark.parametrize(
    ("dataset", "day", "remedy"),
    [
        ("airline/transactions", "2013-12-31", "LAKEHOUSE_FIRST_PARTITION"),
        ("retail/campaigns", "2020-12-31", "partitions of retail start on 2021-01-01"),
        ("airline/transactions", clock.today() + timedelta(days=2), "in UTC"),
        ("airline/transactions", "2999-01-01", "in UTC"),
        ("airline/flights", (clock.today() + timedelta(days=32)).replace(day=1), "in UTC"),
        ("airline/transactions", "20240131", "YYYY-MM-DD"),
        ("airline/transactions", "2024-02-30", "YYYY-MM-DD"),
    ],
)
def test_land_refuses_what_no_partition_can_hold(
    lakehouse: Lakehouse, house: House, tmp_path: Path, dataset: str, day: date | str, remedy: str
) -> None:
    file = tmp_path / "a.json"
    file.write_text("[]", encoding="utf-8")
    refuses(lakehouse("land", dataset, str(file), "--date", str(day)), str(day), remedy)
    assert list(house.settings.landing.iterdir()) == []


def test_a_delivery_without_a_partition_is_named_and_stops_no_other(
    lakehouse: Lakehouse, house: House
) -> None:
    house.deliver_purchases("2014-03-05", [purchase("A")])
    house.deliver_purchases("2013-12-31", [purchase("B")])
    house.deliver_members("2999-12-31", [member(1)])
    code, _, said = lakehouse("backfill", "airline", "2013-12..2999-12")
    assert code == 1
    told = [line for line in said.splitlines() if line.startswith("Error: ")]
    refused = ["airline/flights/2999-12-31", "airline/transactions/2013-12-31"]
    assert [line.split()[1] for line in told] == refused
    assert [row["transaction_id"] for row in house.rows(gold.FACT_TRANSACTIONS)] == ["A"]
    refuses(lakehouse("backfill", "airline", "2999-12"), "airline/flights/2999-12-31")
    assert [line.split()[0] for line in plan(house.settings).refused] == refused


def test_replay_answers_for_delivered_days_only(lakehouse: Lakehouse, house: House) -> None:
    house.deliver_purchases("2014-03-04", [purchase("A", amount="much"), purchase("D")])
    house.deliver_purchases("2014-03-05", [purchase("B", amount="more"), purchase("C")])
    house.deliver_members("2014-03-31", [member(1)])
    assert house.materialise("reference_data", None).success
    assert house.materialise("airline_daily", "2014-03-04", last="2014-03-05").success
    snapshots = [REGISTRY[f"airline.{name}"] for name in FLIGHTS.loaded_tables]
    assert house.materialise("airline_monthly", "2014-03-01", *snapshots).success
    for dataset, day in (
        ("airline/transactions", "2014-03-06"),
        ("airline/flights", "2014-05-31"),
        ("airline/flights", "2014-03-30"),
        ("retail/tweets", "2021-09-01"),
    ):
        refuses(lakehouse("replay", dataset, "--date", day), dataset, day)
    assert not house.settings.dagster_home.exists()
    code, said, _ = lakehouse("replay", "airline/transactions", "--date", "2014-03-05")
    assert code == 0
    assert house.count(gold.FACT_TRANSACTIONS) == 2
    assert "1 row of airline/transactions (2014-03-05) was quarantined; 1 still is." in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAKEHOUSE_ENGINE", "spork"),
        ("LAKEHOUSE_THREADS", "many"),
        ("LAKEHOUSE_THREADS", "-1"),
        ("LAKEHOUSE_FIRST_PARTITION", "2014-01-15"),
        ("LAKEHOUSE_FIRST_PARTITION", "soon"),
        ("LAKEHOUSE_ROOT", "s3://bucket/lake"),
    ],
)
def test_a_wrong_setting_is_named_but_its_value_is_not(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    result = lakehouse("run")
    refuses(result, name)
    assert value not in result[2] or value == "many"


def test_a_lake_that_cannot_be_written_is_refused_before_anything_starts(
    lakehouse: Lakehouse, house: House
) -> None:
    house.deliver_members("2014-03-31", [member(1)])
    house.settings.root.write_text("a file in its place", encoding="utf-8")
    refuses(lakehouse("run"), str(house.settings.root), "LAKEHOUSE_ROOT")
    assert not house.settings.dagster_home.exists()


def test_a_dagster_home_that_cannot_be_written_is_refused(
    lakehouse: Lakehouse, house: House
) -> None:
    house.deliver_members("2014-03-31", [member(1)])
    house.settings.dagster_home.write_text("a file in its place", encoding="utf-8")
    refuses(lakehouse("run"), str(house.settings.dagster_home), "LAKEHOUSE_DAGSTER_HOME")
    nothing_is_written(house)


def test_wrong_settings_are_one_sentence_even_in_a_fresh_process(
    tmp_path: Path, house: House
) -> None:
    variables = {**variables_of(house), "LAKEHOUSE_FIRST_PARTITION": "2014-01-15"}
    done = command("run", variables=variables, cwd=tmp_path)
    refuses((done.returncode, done.stdout, done.stderr), "LAKEHOUSE_FIRST_PARTITION")
    assert not (REPOSITORY / ".lakehouse" / "probe").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_an_encoding_lacks_is_replaced_and_stops_no_command(tmp_path: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LANG": "C", "LC_ALL": "C"}
    done = command("tables", gold.FACT_FLIGHTS.name, variables=ascii_only, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert " ? dim_" in done.stdout
