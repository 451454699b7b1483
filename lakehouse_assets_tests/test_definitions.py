"""What Dagster loads: quickly, without warnings, complete, and in line with the registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import yaml

from lakehouse_assets.catalog.domain import built_from_streams
from lakehouse_assets.catalog.streams import stream_tables
from lakehouse_assets.domains import DATASETS, DOMAINS, REGISTRY, STREAMS
from lakehouse_assets.domains.conformed.gold import calendar as gold_calendar
from lakehouse_assets.orchestration.assembly import build_defs
from lakehouse_assets.orchestration.pages_asset import KEY as PAGES_KEY
from lakehouse_assets.orchestration.stream_report import stream_key
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, variables_of

SECRET = "hunter2"  # noqa: S105
HEAVY = (
    "numpy",
    "sqlalchemy",
    "sqlglot",
    "mlflow",
    "sklearn",
    "duckdb",
    "pandas",
    "pyspark",
    "sqlframe",
    "pyarrow",
    "deltalake",
    "matplotlib",
    "xgboost",
)


@pytest.fixture(scope="module")
def definitions(new_house) -> dg.Definitions:
    house: House = new_house("definitions")
    return house.definitions()


def python(code: str, *options: str, **variables: str) -> str:
    """Run code in a fresh interpreter, in the repository as Dagster does, and return its output."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=REPOSITORY,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_definitions_load_in_two_thirds_of_the_time_of_dagster_itself() -> None:
    code = (
        "from time import process_time as cpu; start = cpu(); import dagster; loaded = cpu(); "
        "import lakehouse_assets.definitions; print((cpu() - loaded) / (loaded - start))"
    )
    # From compiled modules, as Dagster's own are, whatever the environment says; the first run
    # compiles them. Processor time of one process, so that a busy machine counts little.
    assert min(float(python(code, PYTHONDONTWRITEBYTECODE="")) for _ in range(6)) < 2 / 3


def test_definitions_load_without_a_warning_and_import_nothing_heavy() -> None:
    code = (
        "import sys, lakehouse_assets.definitions; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert python(code, "-W", "error") == "[]"


def test_what_only_looks_and_what_trains_do_without_dagster() -> None:
    """Its import takes half a second and more: half of `lakehouse status`."""
    modules = (
        "cli.main", "cli.run", "cli.inspect", "cli.admin", "cli.status", "cli.report",
        "cli.doctor", "query.session", "settings", "ingest.landing", "lake.delta_rs",
        "engine.duckdb", "sources.extraction", "ml.lifecycle", "ml.tracking",
        "orchestration.open_lake", "query.deliveries", "notebook",
    )  # fmt: skip
    names = ", ".join(f"lakehouse_assets.{name}" for name in modules)
    assert python(f"import sys, {names}; print('dagster' in sys.modules)") == "False"


def test_definitions_of_other_settings_are_other_definitions(tmp_path: Path) -> None:
    """What settings have nothing to do with is made once."""
    here, there = (
        build_defs(Settings(root=tmp_path / name, first_partition=first))
        for name, first in (("here", None), ("there", date(2015, 1, 1)))
    )
    lakes = [defs.resources["lake"].root for defs in (here, there) if defs.resources]
    assert lakes == [str(tmp_path / "here"), str(tmp_path / "there")]
    starts = {
        name: [
            defs.resolve_assets_def(dg.AssetKey(key)).partitions_def.get_partition_keys()[0]  # type: ignore[union-attr]
            for key in (["airline", "fact_flights"], ["retail", "silver_tweets"])
        ]
        for name, defs in (("here", here), ("there", there))
    }
    # Where each domain's data begin, or where the setting says.
    assert starts == {"here": ["2014-01-01", "2021-01-01"], "there": ["2015-01-01"] * 2}


def test_workspace_and_pyproject_name_the_same_module() -> None:
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))
    (loaded,) = [entry["python_module"] for entry in workspace["load_from"]]
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["tool"]["dg"]["project"]
    assert loaded["module_name"] == project["code_location_target_module"]
    assert loaded["location_name"] == project["code_location_name"]


def test_dg_lists_checks_and_launches(house: House) -> None:
    """`[tool.dg]` in pyproject.toml is what Dagster's own command and `dagster dev` read."""
    variables = {
        **os.environ,
        **variables_of(house),
        "DAGSTER_HOME": str(house.settings.dagster_home),
    }
    house.settings.dagster_home.mkdir(parents=True)

    def dg_command(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("dg")), *arguments]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = json.loads(dg_command("list", "defs", "--json"))
    assert {asset["asset_key"] for asset in listed["assets"]} == {
        *("/".join(table.key) for table in REGISTRY),
        *(stream_key(stream).to_user_string() for stream in STREAMS),
        PAGES_KEY.to_user_string(),
    }
    dg_command("check", "defs")
    dg_command("launch", "--job", "reference_data")
    assert house.rows(gold_calendar.DIM_DATE)


def test_every_table_is_exactly_one_asset_and_says_who_what_and_where(
    definitions: dg.Definitions,
) -> None:
    specs = [*definitions.resolve_all_asset_specs()]
    tables = [dg.AssetKey(table.key) for table in REGISTRY]
    keys = [*tables, *map(stream_key, STREAMS), PAGES_KEY]
    assert Counter(spec.key for spec in specs) == Counter(keys)
    for spec in specs:
        if spec.kinds & {"stream", "html"}:
            assert spec.owners
            assert spec.description
            continue
        table = REGISTRY.by_key(tuple(spec.key.path))
        assert list(spec.owners) == [table.owner]
        assert spec.group_name == table.group
        assert spec.description == table.full_description
        schema = spec.metadata["dagster/column_schema"]
        columns = [(c.name, c.type, c.constraints.nullable) for c in schema.columns]
        assert columns == [(c.name, c.type, c.nullable) for c in table.columns]
        assert all(len(column.description.strip()) > 3 for column in schema.columns)


def test_groups_are_small_enough_to_read(definitions: dg.Definitions) -> None:
    """A group is drawn as one box; bronze and silver have two tables for each dataset."""
    sizes = Counter(spec.group_name for spec in definitions.resolve_all_asset_specs())
    gold = {name: size for name, size in sizes.items() if not name.endswith(("bronze", "silver"))}
    assert max(gold.values()) <= 8, gold
    assert sizes["retail_gold_sales"] == 5


def test_kinds_say_what_runs(tmp_path: Path) -> None:
    for engine in ("duckdb", "spark"):
        definitions = build_defs(Settings(root=tmp_path, engine=engine))
        kinds = {spec.key.path[-1]: spec.kinds for spec in definitions.resolve_all_asset_specs()}
        assert kinds["gold_customer_segments_ml"] == {"deltalake", "mlflow", "scikitlearn"}
        assert kinds["silver_flights"] == {"deltalake", "silver", engine}
        assert kinds["stream_thermostat"] == {"stream"}
        for found in kinds.values():
            assert (engine in found) + len({"mlflow", "stream", "html"} & found) == 1


def test_dagster_can_load_everything_as_its_servers_do(definitions: dg.Definitions) -> None:
    """Jobs of sensors and schedules are put together only when a code server loads them."""
    dg.Definitions.validate_loadable(definitions)
    assert definitions.get_repository_def().get_all_jobs()


def test_jobs_cover_every_asset_exactly_once(definitions: dg.Definitions) -> None:
    covered: Counter[dg.AssetKey] = Counter()
    for found in definitions.jobs or ():
        job = definitions.resolve_job_def(found.name)
        covered.update(job.asset_layer.executable_asset_keys)
    executable = definitions.resolve_asset_graph().executable_asset_keys
    assert covered == Counter(executable)
    # Only a reader of the whole stream can fill its tables.
    assert {dg.AssetKey(table.key) for table in REGISTRY} - executable == {
        dg.AssetKey(table.key) for stream in STREAMS for table in stream_tables(stream)
    }


def test_partitions_follow_the_deliveries(definitions: dg.Definitions) -> None:
    kinds = {
        "/".join(spec.key.path): type(spec.partitions_def).__name__
        for spec in definitions.resolve_all_asset_specs()
    }
    for table in REGISTRY:
        if table.partition is None:
            assert kinds.pop("/".join(table.key)) == "NoneType"
    for key in [*map(stream_key, STREAMS), PAGES_KEY]:
        assert kinds.pop(key.to_user_string()) == "NoneType"
    daily = {name for name, kind in kinds.items() if kind == "DailyPartitionsDefinition"}
    loaded = {
        f"{dataset.domain}/{name}"
        for dataset in DATASETS
        if dataset.grain == "day"
        for name in dataset.loaded_tables
    }
    assert {"airline/silver_transactions", "retail/bronze_campaigns_rejects"} < loaded
    streamed = {table for stream in STREAMS for table in stream_tables(stream) if table.partition}
    live = {"/".join(table.key) for table in streamed | built_from_streams(DOMAINS)}
    # What is counted by day of delivery stays by day.
    assert daily == {*loaded, *live, "retail/tweet_days"}
    assert {kinds[name] for name in kinds.keys() - daily} == {"MonthlyPartitionsDefinition"}


def test_what_must_block_blocks(definitions: dg.Definitions) -> None:
    checks = {
        (spec.asset_key.path[-1], spec.name): spec.blocking
        for definition in definitions.assets or []
        for spec in definition.check_specs
    }
    for key in (
        ("bronze_flights", "delivered_rows_are_conserved"),
        ("bronze_transactions", "delivered_rows_are_conserved"),
        ("stream_thermostat", "events_are_conserved"),
        ("silver_flights", "bronze_rows_are_conserved"),
        ("silver_transactions", "bronze_rows_are_conserved"),
        ("silver_flights", "silver_key_is_positive"),
        ("gold_customer_segments_ml", "segments_are_separated"),
        ("dim_customers", "geo_key_is_in_dim_geography"),
        ("fact_flights", "customer_key_is_in_dim_customers"),
        ("fact_sales", "totals_are_kept"),
        ("sales_test", "weeks_are_apart"),
        ("sales_test", "every_sale_is_on_one_side"),
    ):
        assert checks[key], key
    # One refused file, or a purchase of an unknown member or store, must not stop the others.
    assert not checks["fact_sales", "store_is_in_dim_stores"]
    assert not checks["bronze_flights", "files_are_readable"]
    assert not checks["fact_transactions", "customer_key_is_in_dim_customers"]
    # Minutes are grouped by their keys.
    streamed = {table for stream in STREAMS for table in stream_tables(stream)}
    for table in REGISTRY:
        if table.layer in {"gold", "segments"} and table not in streamed:
            assert checks[table.name, "keys_are_unique"]


def test_no_resource_shows_the_password_of_the_mlflow_store(house: House) -> None:
    uri = f"postgresql://mlflow:{SECRET}@db.example.org/mlflow"
    settings = house.settings.model_copy(update={"mlflow_uri": uri})
    loaded = House(settings).definitions()
    shown = f"{loaded.resources['mlflow']!r} {loaded.resources['mlflow']!s} {loaded.resources!r}"
    assert "db.example.org" in shown
    assert SECRET not in shown


def test_overrides_replace_a_resource(house: House) -> None:
    other = dg.ResourceDefinition.hardcoded_resource(object())
    assert house.definitions(landing=other).resources["landing"] is other
