"""Roles as Unity Catalog's SQL and OneLake's JSON: complete, well formed, of the same meaning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from typer.testing import CliRunner

from lakehouse_assets.cli.access import access
from lakehouse_assets.domains import REGISTRY, ROLES
from lakehouse_assets.governance.access_export import onelake_roles, unity_catalog

UNITY = unity_catalog(ROLES.values(), REGISTRY, "lake")
NAME = r"`lake`\.`(\w+)`\.`(\w+)`"
FUNCTION = rf"CREATE OR REPLACE FUNCTION {NAME}\((.*?)\) RETURNS (.*)\n  RETURN (.*);"
FUNCTIONS = {found[1]: found[2:] for found in re.findall(FUNCTION, UNITY)}


def test_unity_catalog_grants_what_the_roles_have() -> None:
    for name, role in ROLES.items():
        granted = re.findall(rf"GRANT SELECT ON TABLE {NAME} TO `{name}`;", UNITY)
        wanted = {table.key for table in role.tables if table.kind != "view"}
        assert set(granted) == wanted
        schemas = re.findall(rf"GRANT USE SCHEMA ON SCHEMA `lake`\.`(\w+)` TO `{name}`;", UNITY)
        assert set(schemas) == {domain for domain, _ in wanted} | {"access"}


def test_unity_catalog_has_every_filter_and_every_mask_of_existing_columns() -> None:
    filters = re.findall(rf"ALTER TABLE {NAME} SET ROW FILTER {NAME} ON \((.*)\);", UNITY)
    masks = re.findall(rf"ALTER TABLE {NAME} ALTER COLUMN `(\w+)` SET MASK {NAME};", UNITY)
    policies = [(t, p) for role in ROLES.values() for t, p in role.tables.items()]
    assert {(d, t, c.strip("`")) for d, t, _, _, c in filters} == {
        (*table.key, policy.rows.column) for table, policy in policies if policy.rows
    }
    assert {(d, t, c) for d, t, c, _, _ in masks} == {
        (*table.key, c) for table, policy in policies for c in policy.masks if table.kind != "view"
    }
    used = [found[3] for found in filters] + [found[4] for found in masks]
    assert sorted(used) == sorted(FUNCTIONS)
    for domain, table, column, _, function in masks:
        of = REGISTRY.by_key((domain, table)).column(column).type.upper()
        assert (of, of) == (FUNCTIONS[function][0].removeprefix("value "), FUNCTIONS[function][1])


def of_groups(function: str, groups: set[str], value: str) -> Any:
    """Return what a function returns to a member of the groups, computed by DuckDB."""
    given, _, body = FUNCTIONS[function]
    body = re.sub(
        r"is_account_group_member\('(\w+)'\)", lambda m: str(m[1] in groups).upper(), body
    )
    body = body.replace("secret('lakehouse', 'mask_key')", "'key'")
    body = re.sub(r"pmod\(value, (\d+)\)", r"((value % \1 + \1) % \1)", body)
    body = re.sub(
        r"CAST\(conv\((.*?\), 15\)), 16, 10\) AS BIGINT\)", r"CAST('0x' || \1 AS BIGINT)", body
    )
    body = re.sub(r"sha2\((.*?), 256\)", r"sha256(\1)", body)
    name = given.split()[0].strip("`")
    query = " ".join(["WITH x AS (SELECT", value, "AS", name, ") SELECT", body, "FROM x"])
    found = duckdb.sql(sqlglot.transpile(query, "databricks", "duckdb")[0]).fetchone()
    return found and found[0]


@pytest.mark.parametrize(
    ("function", "groups", "value", "expected"),
    [
        ("mask_airline__dim_customers__age", {"analyst"}, "37", 30),
        ("mask_airline__dim_customers__age", {"analyst", "manager_beijing"}, "37", 37),
        ("mask_airline__dim_customers__age", {"owner"}, "37", 37),
        ("mask_airline__dim_customers__age", set(), "37", None),
        ("mask_airline__dim_customers__city", {"marketing"}, "'beijing'", None),
        ("rows_of_airline__dim_customers", {"manager_beijing"}, "'beijing'", True),
        ("rows_of_airline__dim_customers", {"manager_beijing"}, "'tokyo'", False),
        ("rows_of_airline__dim_customers", {"manager_beijing", "analyst"}, "'tokyo'", True),
        ("rows_of_airline__dim_customers", set(), "'beijing'", False),
        ("rows_of_retail__gold_store_weeks", {"manager_london"}, "6", True),
    ],
)
def test_unity_catalogs_functions_decide_like_the_lake(
    function: str, groups: set[str], value: str, expected: object
) -> None:
    assert of_groups(function, groups, value) == expected


def test_unity_catalogs_hashes_hide_the_value_and_keep_it_apart_from_others() -> None:
    function = "mask_airline__dim_customers__customer_key"
    found = {of_groups(function, {"analyst"}, f"{value}::bigint") for value in (1, 2, 2)}
    assert len(found) == 2
    assert not found & {1, 2}


def test_every_statement_is_one_that_databricks_sql_has() -> None:
    statements = sqlglot.parse(UNITY, read="databricks")
    kinds = {type(statement) for statement in statements}
    assert kinds <= {exp.Create, exp.Grant, exp.Command, exp.Alter}
    assert len(statements) > 300


def test_onelakes_roles_have_its_shape_and_close_masked_columns() -> None:
    body = onelake_roles(ROLES.values(), REGISTRY)
    assert [role["name"] for role in body["value"]] == list(ROLES)
    for role in body["value"]:
        (rule,) = role["decisionRules"]
        assert rule["effect"] == "Permit"
        paths, actions = (item["attributeValueIncludedIn"] for item in rule["permission"])
        assert [item["attributeName"] for item in rule["permission"]] == ["Path", "Action"]
        assert actions == ["Read"]
        assert set(role["members"]) == {"microsoftEntraMembers", "fabricItemMembers"}
        access_of = ROLES[role["name"]].tables
        stored = {f"/Tables/{t.domain}/{t.name}": t for t in access_of if t.kind != "view"}
        assert set(paths) == set(stored)
        closed = {
            (rules["tablePath"], column)
            for rules in rule["constraints"]["columns"]
            for column in set(stored[rules["tablePath"]].column_names) - set(rules["columnNames"])
        }
        assert closed == {(path, c) for path, t in stored.items() for c in access_of[t].masks}
        filtered = {rules["tablePath"]: rules["value"] for rules in rule["constraints"]["rows"]}
        assert set(filtered) == {path for path, t in stored.items() if access_of[t].rows}
        for path, text in filtered.items():
            read = sqlglot.parse_one(text, dialect="tsql")
            assert isinstance(read, exp.Select)
            assert ".".join(path.split("/")[2:]) in text


def test_the_command_shows_and_writes_the_roles(tmp_path: Path) -> None:
    shown = CliRunner().invoke(access, ["--table", "dim_customers"], env={"COLUMNS": "200"})
    assert "manager_beijing" in shown.output
    assert "customer_key (hash)" in shown.output
    file = tmp_path / "roles.json"
    done = CliRunner().invoke(access, ["export", "--fabric", "--to", str(file)])
    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text()) == onelake_roles(ROLES.values(), REGISTRY)
    printed = CliRunner().invoke(access, ["export", "--unity", "--catalog", "lake"])
    assert printed.output == UNITY
    both = CliRunner().invoke(access, ["export", "--unity", "--fabric"])
    assert "Choose what to write" in str(both.exception)
    unknown = CliRunner().invoke(access, ["--role", "analist"])
    assert "did you mean analyst" in str(unknown.exception)
