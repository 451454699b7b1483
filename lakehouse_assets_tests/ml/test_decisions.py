"""Decisions about models: aliases, interruptions, people, and their table in the lake."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

from lakehouse_assets.cli import main as cli
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml import decisions
from lakehouse_assets.ml.decisions import (
    aliases_of,
    decisions_of,
    promote_by_hand,
    roll_back,
    settle,
    versions_of,
)
from lakehouse_assets.ml.model_registry import register
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.quality.tables import MODEL_DECISIONS
from lakehouse_assets_tests.airline.samples import House, check, variables_of

NAME = SEGMENTS.name
SPEC = dataclasses.replace(
    SEGMENTS,
    features=("a",),
    output="double",
    types=frozenset({"sklearn.linear_model._base.LinearRegression"}),
)
MODEL = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])


def registered(tracking: MlflowTracking, count: int) -> None:
    """Register versions of a model."""
    for number in range(count):
        month = f"2014-0{number + 1}"
        tags = {"partition": month, "input_digest": f"d{number}", "config_digest": "c"}
        with tracking.run("fit", tags) as run_id:
            register(tracking, run_id, SPEC, MODEL, tags)


@pytest.fixture
def tracking(house: House) -> MlflowTracking:
    """A registry with three versions, which the house uses."""
    found = MlflowTracking.of(house.settings)
    registered(found, 3)
    return found


def test_people_promote_and_roll_back_and_there_is_one_champion(tracking: MlflowTracking) -> None:
    def aliases() -> dict[str, int]:
        return aliases_of(tracking, NAME)

    with pytest.raises(LakehouseError, match="no previous champion to roll"):
        roll_back(tracking, NAME, "Ann", "it is bad")
    first = promote_by_hand(tracking, NAME, 1, "Ann", "it is the only one")
    assert (first.number, aliases()) == (1, {"champion": 1})
    promote_by_hand(tracking, NAME, 3, "Ann", "it is newer")
    assert aliases() == {"champion": 3, "previous": 1}
    for champion, previous in ((1, 3), (3, 1)):
        roll_back(tracking, NAME, "Bob", "the other was better")
        assert aliases() == {"champion": champion, "previous": previous}
    with pytest.raises(LakehouseError, match=r"Version 3 of .* is already the champion"):
        promote_by_hand(tracking, NAME, 3, "Ann", "again")
    with pytest.raises(LakehouseError, match="has no version 4; it has 1, 2, 3"):
        promote_by_hand(tracking, NAME, 4, "Ann", "it does not exist")
    made = decisions_of(versions_of(tracking, NAME))
    assert [(d.number, d.action, d.candidate, d.champion, d.decided_by) for d in made] == [
        (1, "promote", 1, None, "Ann"),
        (2, "promote", 3, 1, "Ann"),
        (3, "rollback", 1, 3, "Bob"),
        (4, "rollback", 3, 1, "Bob"),
    ]
    assert made[0].verdict == "promoted by hand: it is the only one"


@pytest.mark.parametrize("calls", [0, 1])
def test_a_decision_that_was_interrupted_is_carried_out_later(
    tracking: MlflowTracking, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    from mlflow import MlflowClient

    promote_by_hand(tracking, NAME, 1, "Ann", "first")
    real, left = MlflowClient.set_registered_model_alias, [calls]

    def broken(self: Any, *given: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", broken)
        with pytest.raises(KeyboardInterrupt):
            promote_by_hand(tracking, NAME, 2, "Ann", "second")
    assert aliases_of(tracking, NAME)["champion"] == 1
    open_ = decisions_of(versions_of(tracking, NAME))
    assert not open_[-1].carried_out
    settle(tracking, open_)
    assert aliases_of(tracking, NAME) == {"champion": 2, "previous": 1}
    # An alias that a person moved afterwards is not moved back.
    tracking.client().set_registered_model_alias(NAME, "champion", "3")
    settle(tracking, decisions_of(versions_of(tracking, NAME)))
    assert aliases_of(tracking, NAME)["champion"] == 3


def test_a_decision_that_mlflow_cannot_store_changes_nothing(tracking: MlflowTracking) -> None:
    with pytest.raises(LakehouseError, match=r"has 5.* characters, but MLflow stores only 5000"):
        promote_by_hand(tracking, NAME, 1, "Ann", "x" * 5_000)
    assert aliases_of(tracking, NAME) == {}


def test_the_lake_has_each_decision_once_and_a_check_compares_the_aliases(
    house: House, tracking: MlflowTracking
) -> None:
    def recorded() -> Any:
        return house.materialise("quality", None, MODEL_DECISIONS)

    promote_by_hand(tracking, NAME, 1, "Ann", "first")
    promote_by_hand(tracking, NAME, 2, "Ann", "second")
    for _ in range(2):
        result = recorded()
        assert result.success
        assert check(result, MODEL_DECISIONS, "champions_are_as_decided").passed
        rows = sorted(house.rows(MODEL_DECISIONS), key=lambda row: row["number"])
        assert [(r["number"], r["candidate"], r["promoted"], r["verdict"]) for r in rows] == [
            (1, 1, True, "promoted by hand: first"),
            (2, 2, True, "promoted by hand: second"),
        ]
    tracking.client().set_registered_model_alias(NAME, "champion", "3")
    found = check(recorded(), MODEL_DECISIONS, "champions_are_as_decided")
    assert not found.passed
    assert "the aliases are previous 1, champion 3, but decision 2 set" in str(found.description)


def test_a_store_that_no_model_has_used_is_not_made(house: House, tmp_path: Path) -> None:
    unused = tmp_path / "unused" / "mlflow.db"
    settings = house.settings.model_copy(update={"mlflow_uri": f"sqlite:///{unused}"})
    assert House(settings).materialise("quality", None, MODEL_DECISIONS).success
    assert not unused.parent.exists()


def test_the_command_line_lists_promotes_and_rolls_back(
    house: House,
    tracking: MlflowTracking,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables_of(house).items():
        monkeypatch.setenv(name, value)

    def lakehouse(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["lakehouse", "models", *arguments])
        try:
            cli.main()
        except SystemExit as stop:
            assert stop.code in (None, 0), capsys.readouterr().err  # noqa: PT017
        return json.loads(capsys.readouterr().out)

    for version in ("1", "2"):
        lakehouse("promote", NAME, version, "--reason", "better by far", "--json")
    back = lakehouse("rollback", NAME, "--reason", "it was not", "--json")
    assert (back["champion"], back["previous"]) == (1, 2)
    (listed,) = (found for name, found in lakehouse("list", "--json")["models"].items()
                 if name == NAME)  # fmt: skip
    assert listed == {
        "versions": 3, "champion": 1, "previous": 2, "challenger": None,
        "newest_decision": "rolled back: it was not",
    }  # fmt: skip
    (first, *_) = versions_of(tracking, NAME)
    tracking.client().log_metric(first.run_id, "undefined", float("nan"))
    shown = lakehouse("show", NAME, "--json")
    assert shown["versions"]["1"]["undefined"] is None
    assert [d["action"] for d in shown["decisions"].values()] == ["promote", "promote", "rollback"]
    assert [v["aliases"] for v in shown["versions"].values()] == ["champion", "previous", ""]
    rows = house.rows(MODEL_DECISIONS)
    assert len(rows) == 3
    assert {row["decided_by"] for row in rows} == {back["decided_by"]}
    assert {row["action"] for row in rows} == {decisions.PROMOTE, decisions.ROLLBACK}
