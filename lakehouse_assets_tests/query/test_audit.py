"""The audit log: statements, changes of data and of grants, each once and without values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets import clock
from lakehouse_assets.catalog.access import RowFilter, TableAccess
from lakehouse_assets.domains import REGISTRY, ROLES
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.audit_log import grant_events
from lakehouse_assets.orchestration.jobs import QUALITY
from lakehouse_assets.quality.tables import AUDIT_LOG
from lakehouse_assets.query.audit import Asked, AuditFolder, Reader, records
from lakehouse_assets.query.session import Sessions
from lakehouse_assets_tests.airline.samples import House, purchase

ADDRESS = "ann.lee@example.org"


@pytest.fixture(scope="module")
def bought(new_house: Any) -> House:
    """A lake with three purchases."""
    house: House = new_house("bought")
    rows = [purchase(f"T{n}", customer_id=n, amount=n) for n in (1, 2, 3)]
    house.deliver_purchases("2014-01-15", rows)
    assert house.materialise("airline_daily", "2014-01-15").success
    return house


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def sessions(bought: House, folder: Path, engine: Engine) -> Iterator[Sessions]:
    """Sessions that record what they are asked."""
    found = Sessions(bought.lake, audit=AuditFolder(folder).add)
    yield found
    found.close()


def asked(folder: Path) -> list[Asked]:
    return [record for path in sorted(folder.glob("*.jsonl")) for record in records(path)]


def test_a_statement_is_recorded_with_its_shape_and_columns_and_without_values(
    sessions: Sessions, folder: Path
) -> None:
    session = sessions.open(reader=Reader("ann", "postgresql"))
    text = (
        f"select email, sum(amount) as total from silver_transactions t -- {ADDRESS}\n"  # noqa: S608
        f"where email = '{ADDRESS}' and customer_id in (1, 2, 3) group by 1"
    )
    assert session.run(text).rows.read_all().num_rows == 1
    (found,) = asked(folder)
    assert (found.user, found.role, found.source) == ("ann", "owner", "postgresql")
    assert found.tables == ("airline.silver_transactions",)
    assert found.columns == tuple(
        f"airline.silver_transactions.{name}" for name in ("amount", "customer_id", "email")
    )
    assert found.statement == (
        "SELECT email, SUM(amount) AS total FROM silver_transactions AS t "
        "WHERE email = ? AND customer_id IN (?, ?, ?) GROUP BY ?"
    )
    assert (found.rows, found.verdict, found.code, found.policy) == (1, "answered", "", "")
    assert found.milliseconds >= 0
    assert ADDRESS not in (folder / next(folder.iterdir()).name).read_text()


def test_a_shape_is_found_without_a_word_in_the_log(
    sessions: Sessions, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "select to_char(transacted_at, 'YYYY') from silver_transactions"
    with pytest.raises(LakehouseError, match=r"to_char is not allowed here; use strftime"):
        sessions.open(guarded=True).run(text)
    (found,) = asked(folder)
    assert found.statement.endswith("FROM silver_transactions")
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "verdict", "code", "rows"),
    [
        ("select * from silver_transactions", "answered", "", 3),
        ("select nothing from silver_transactions", "failed", "42703", 0),
        ("select cast(email as int) from silver_transactions", "failed", None, 0),
        ("create table x (a int)", None, None, 0),
        ("show tables", "answered", "", None),
    ],
)
def test_every_outcome_is_recorded_once(
    sessions: Sessions, folder: Path, text: str, verdict: str | None, code: str | None,
    rows: int | None,
) -> None:  # fmt: skip
    session = sessions.open(guarded=True)
    with contextlib.suppress(LakehouseError):
        session.run(text).rows.read_all()
    (found,) = asked(folder)
    assert found.verdict == (verdict or "refused")
    assert code is None or found.code == code
    assert rows is None or found.rows == rows
    assert ADDRESS not in json.dumps(found.statement)


def test_rows_that_nobody_fetched_are_a_cancelled_answer(sessions: Sessions, folder: Path) -> None:
    answer = sessions.open().run("select * from silver_transactions", batch_rows=1)
    answer.rows.close()
    del answer
    assert [(found.verdict, found.rows) for found in asked(folder)] == [("cancelled", 0)]


def test_a_role_is_recorded_with_the_policy_that_applied(sessions: Sessions, folder: Path) -> None:
    table = REGISTRY["airline.silver_transactions"]
    role = next(iter(ROLES.values()))
    policy = TableAccess(RowFilter("customer_id", (1, 2)), {})
    narrow = replace(role, tables={table: policy})
    session = sessions.open(narrow, reader=Reader("bob", "flight"))
    session.run("select transaction_id from silver_transactions").rows.read_all()
    with pytest.raises(LakehouseError):
        session.run("select * from airline.fact_transactions")
    answered, refused = asked(folder)
    assert (answered.role, answered.rows, answered.verdict) == (role.name, 2, "answered")
    assert answered.policy == 'airline.silver_transactions: "customer_id" IN (1, 2)'
    assert answered.columns == ("airline.silver_transactions.transaction_id",)
    assert (refused.tables, refused.verdict) == (("airline.fact_transactions",), "refused")


def test_a_folder_that_cannot_be_written_stops_the_answer(
    bought: House, tmp_path: Path, engine: Engine
) -> None:
    (tmp_path / "file").touch()
    sessions = Sessions(bought.lake, audit=AuditFolder(tmp_path / "file").add)
    with pytest.raises(LakehouseError, match="LAKEHOUSE_AUDIT"):
        sessions.open().run("select * from silver_transactions").rows.read_all()


def test_the_log_has_each_event_once_and_forgets_after_its_time(bought: House) -> None:
    house, folder = bought, bought.settings.audit
    add = AuditFolder(folder).add
    now = clock.now()
    record = Asked(
        now.isoformat(), "ann", "owner", "command", "", "SELECT 1",
        ("airline.dim_customers",), ("airline.dim_customers.age",), 1, 2, "answered", "",
    )  # fmt: skip
    old = replace(record, at=(now - timedelta(days=500)).isoformat(), user="eve")
    for _ in range(3):
        add(record)
    add(old)
    assert house.materialise(QUALITY, None, AUDIT_LOG).success
    add(record)
    with next(folder.glob(f"{now:%Y-%m-%d}*")).open("a") as begun:
        begun.write('{"at": "half a li')
    for _ in range(2):
        assert house.materialise(QUALITY, None, AUDIT_LOG).success
    rows = house.rows(AUDIT_LOG)
    assert len({row["event_id"] for row in rows}) == len(rows)
    queries = [row["user_name"] for row in rows if row["kind"] == "query"]
    assert queries == ["ann"] * 4
    assert [path.name[:10] for path in folder.iterdir()] == [f"{now:%Y-%m-%d}"]
    # Each version of each table, with the run that made it.
    changes = {(*row["tables"], row["version"]): row for row in rows if row["kind"] == "change"}
    (first,) = [v for k, v in changes.items() if k == ("airline.silver_transactions", 1)]
    assert first["source"] == "airline/silver_transactions"
    assert first["run_id"]
    granted = {(row["role"], *row["tables"]) for row in rows if row["kind"] == "grant"}
    assert granted == {(r.name, t.full_name) for r in ROLES.values() for t in r.tables}
    # Who saw members' data last month is one query.
    (seen,) = house.sql(
        "select distinct user_name from {log} where kind = 'query' "
        "and list_contains(tables, 'airline.dim_customers')", log=AUDIT_LOG,
    )  # fmt: skip
    assert seen == {"user_name": "ann"}


def test_changed_and_closed_grants_are_events(bought: House) -> None:
    assert bought.materialise(QUALITY, None, AUDIT_LOG).success
    lake = bought.lake
    with lake.engine.scope():
        assert [*grant_events(lake, ROLES)] == []
        name, role = next(iter(ROLES.items()))
        table, policy = next(iter(role.tables.items()))
        fewer = {k: v for k, v in role.tables.items() if k is not table}
        changed = {**ROLES, name: replace(role, tables=fewer)}
        (closed,) = grant_events(lake, changed)
        assert (closed["verdict"], closed["role"], closed["tables"]) == (
            "revoked", name, [table.full_name],
        )  # fmt: skip
        other = {**fewer, table: replace(policy, rows=RowFilter("region", ("X",)))}
        changed = {**ROLES, name: replace(role, tables=other)}
        assert [event["verdict"] for event in grant_events(lake, changed)] == ["revoked", "granted"]
