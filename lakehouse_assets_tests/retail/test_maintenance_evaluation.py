"""Remaining life of engines: window features, penalties, protocols, leaks, and refused files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from lakehouse_assets.domains.retail.models import maintenance_evaluation
from lakehouse_assets.domains.retail.models.maintenance_evaluation import (
    LEAST_SEEN,
    MAINTENANCE_EVALUATION,
    MOST_LEFT,
    SENSORS,
    read_engines,
)
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.leaks import units_in_both
from lakehouse_assets.ml.remaining_life import (
    LifeSettings,
    Windows,
    fit_life,
    folds_of,
    phm_score,
    window_features,
)

REAL = Path(__file__).parents[3] / "shared" / "data" / "cmapss" / "train_FD001.txt.gz"
Numbers = npt.NDArray[np.float64]
# Settings as in FD002; FD001 has the first only.
CONDITIONS = np.array([[0.0, 0.0, 100.0], [10.0, 0.25, 100.0], [25.0, 0.62, 60.0]])


def engines(count: int = 12, conditions: int = 1, seed: int = 0) -> Numbers:
    """Make engines that run to failure: wear shows in five sensors, the other 16 do not change."""
    rng = np.random.default_rng(seed)
    found = []
    for unit in range(1, count + 1):
        life = int(rng.integers(100, 180))
        cycle = np.arange(1, life + 1)
        wear = (cycle / life) ** rng.uniform(1.8, 2.4)
        condition = rng.integers(0, conditions, life)
        rows = np.zeros((life, 26))
        rows[:, 0], rows[:, 1] = unit, cycle
        rows[:, 2:5] = CONDITIONS[condition] + rng.normal(0, 0.002, (life, 3))
        rows[:, 5:] = np.arange(1, 22) * 10.0 + condition[:, None] * 7.0
        for sensor in range(5):
            sign = 1 if sensor % 2 else -1
            rows[:, 5 + sensor] += sign * 3.0 * wear + rng.normal(0, 0.3, life)
        found.append(np.round(rows, 4))
    return np.vstack(found)


def cut(rows: Numbers, seed: int = 5) -> tuple[Numbers, list[int]]:
    """Cut engines before they fail; return what is left, too."""
    rng = np.random.default_rng(seed)
    parts, left = [], []
    for unit in np.unique(rows[:, 0]):
        part = rows[rows[:, 0] == unit]
        left.append(int(rng.integers(5, len(part) - 40)))
        parts.append(part[: -left[-1]])
    return np.vstack(parts), left


def written(path: Path, rows: Numbers | list[int]) -> Path:
    """Write rows as the public files are, with blanks at the end of lines."""
    lines = [
        " ".join(
            f"{value:g}" if value != round(value, 2) else f"{value:.2f}".rstrip("0").rstrip(".")
            for value in np.atleast_1d(row)
        )
        + "  \n"
        for row in rows
    ]
    text = "".join(lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def evaluated(train: Path, test: Path | None = None, rul: Path | None = None, **more: Any) -> Any:
    given = {"train": train, "test": test, "rul": rul, "seeds": (0,), "split": "engines", **more}
    return MAINTENANCE_EVALUATION.run(given, lambda _done: None)


def test_features_sum_up_what_is_known_at_the_time(engine: Engine) -> None:
    readings = [("a", time, value) for time, value in enumerate([1.5, 2.5, 4.5, None, 0.5, 8.5], 7)]
    readings += [("b", 3, 5.0), ("b", 5, 9.0)]
    rows = pa.table(dict(zip(("unit", "time", "s"), zip(*readings, strict=True), strict=True)))
    windows = Windows(means=(3,), slope=3, change=2, first=2, age=True)
    with engine.scope():
        frame = window_features(engine.from_arrow(rows), ["unit"], "time", ["s"], windows)
        assert frame.columns == ["unit", "time", *windows.features(["s"])]
        found = engine.arrow_stream(frame).read_all()
    found = found.sort_by([("unit", "ascending"), ("time", "ascending")])
    # By hand: of "a" the fourth reading is missing, of "b" the one at time 4.
    assert found["s_mean_3"].to_pylist() == [
        1.5, 2.0, 8.5 / 3, 3.5, 2.5, 4.5, 5.0, 7.0,
    ]  # fmt: skip
    assert found["s_slope_3"].to_pylist() == [0.0, 1.0, 1.5, 2.0, -2.0, 8.0, 0.0, 2.0]
    assert found["s_change"].to_pylist() == [0.0, 0.0, 1.5, 2.5, -1.5, 2.5, 0.0, 4.0]
    assert found["age"].to_pylist() == [1, 2, 3, 4, 5, 6, 1, 3]


def test_features_do_not_know_the_future(engine: Engine) -> None:
    rows = engines(2)
    windows = Windows(means=(5, 15), slope=30, change=15, age=True)

    def of(some: Numbers) -> list[Any]:
        table = pa.table({"unit": some[:, 0].astype(int), "cycle": some[:, 1].astype(int),
                          "s": some[:, 5]})  # fmt: skip
        with engine.scope():
            frame = window_features(engine.from_arrow(table), ["unit"], "cycle", ["s"], windows)
            found = engine.arrow_stream(frame).read_all()
        return found.sort_by([("unit", "ascending"), ("cycle", "ascending")]).to_pylist()

    whole, early = of(rows), of(rows[rows[:, 1] <= 60])
    assert early == [row for row in whole if row["cycle"] <= 60]


def test_late_predictions_cost_more() -> None:
    left = np.array([50.0, 50.0, 50.0, 0.0])
    predicted = np.array([50.0, 63.0, 37.0, 1e9])
    found = phm_score(left, predicted)
    assert found[:3] == pytest.approx([0.0, np.exp(1.3) - 1, np.exp(1.0) - 1])
    assert np.isfinite(found).all()


def test_a_fit_predicts_engines_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(1)
    units = np.repeat(np.arange(10), 80)
    remaining = np.tile(np.arange(80.0)[::-1], 10)
    worn = np.minimum(remaining, 50.0)
    features = np.column_stack([worn + rng.normal(0, 3, 800) for _ in range(4)])
    settings = LifeSettings(cap=50.0, horizon=10.0, trees=100)
    found = fit_life(features, remaining, units, settings)
    again = fit_life(features, remaining, units, settings)
    assert (found.held_out == again.held_out).all()
    assert found.chosen == again.chosen
    error = np.sqrt(((found.held_out - np.minimum(remaining, 50.0)) ** 2).mean())
    assert error < 4.5
    assert found.chosen["phm"] == min(
        trial["phm"] for trial in found.trials
        if trial["rmse"] <= 1.01 * min(t["rmse"] for t in found.trials)
    )  # fmt: skip
    predicted = found.model.predict(features)
    assert 0.0 <= predicted.min() <= predicted.max() <= 50.0
    soon = found.model.fails_soon(predicted)
    assert soon[remaining <= 3].min() > 0.5 > soon[remaining > 25].max()
    features[0, 1] = np.nan
    assert np.isnan(found.model.predict(features)).tolist() == [True] + [False] * 799


def test_no_engine_is_in_both_parts_of_a_fold_and_a_split_of_rows_is_a_leak() -> None:
    units = np.repeat(np.arange(7), 9)
    held: list[int] = []
    for fitted, asked in folds_of(units, 5, 3):
        assert units_in_both(units[fitted].tolist(), units[asked].tolist(), "engines") == []
        held += asked.tolist()
    assert sorted(held) == list(range(63))
    fitted, asked = next(folds_of(np.arange(63), 5, 3))
    (found,) = units_in_both(units[fitted].tolist(), units[asked].tolist(), "engines")
    assert found.endswith("have rows in the training part, too: split by engines, not by rows")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees, which are enough for made engines."""
    monkeypatch.setattr(
        maintenance_evaluation, "LifeSettings", partial(LifeSettings, trees=75, cap_weights=(1.0,))
    )


@pytest.mark.usefixtures("quick")
def test_engines_are_held_out_and_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "train.txt", engines(6, conditions=3))
    found = evaluated(path)
    assert found["mean"] == {"rmse": found["rmse"], "phm": found["phm"]}
    assert found["by_seed"]["0"]["rmse"] == found["rmse"] < 20.0
    # Five sensors change, the others are those of the condition.
    assert (found["engines_fitted"], found["features"]) == (6, 5 * 6 + 1)
    assert found["uncapped"]["rmse"] >= found["rmse"]
    with pytest.raises(LakehouseError, match="shows a leak: 6 of 6 engines that are held out"):
        evaluated(path, split="rows")


@pytest.mark.usefixtures("quick")
def test_a_test_file_is_judged_by_its_last_rows_as_the_command_prints(
    lakehouse: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    rows, left = cut(engines(6, seed=9))
    train = written(tmp_path / "train.txt.gz", engines())
    files = written(tmp_path / "test.txt", rows), written(tmp_path / "rul.txt", left)
    given = ("--train", str(train), "--test", str(files[0]), "--rul", str(files[1]))
    code, out, said = lakehouse("models", "evaluate", "maintenance", "--json", *given)
    assert code == 0, said
    found = json.loads(out)
    by_engine = [*found["engines"].values()]
    assert [row["left"] for row in by_engine] == left
    late = np.array([row["predicted"] - min(row["left"], 125.0) for row in by_engine])
    assert found["rmse"] == pytest.approx(np.sqrt((late**2).mean()))
    penalties = np.where(late < 0, np.exp(-late / 13), np.exp(late / 10)) - 1
    assert found["phm"] == pytest.approx(penalties.sum())
    assert found["rmse"] < 20.0


@pytest.mark.skipif(not REAL.is_file(), reason="the engines (../shared/data/cmapss) are not here")
def test_public_engines_are_predicted_well(tmp_path: Path) -> None:
    real = read_engines(REAL)
    rows = np.column_stack([real.unit, real.cycle, real.settings, real.sensors])
    held = np.isin(real.unit, np.random.default_rng(0).permutation(100)[:30] + 1)
    parts, left = [], []
    rng = np.random.default_rng(0)
    for unit in np.unique(real.unit[held]):
        part = rows[real.unit == unit]
        left.append(int(rng.integers(7, min(MOST_LEFT, len(part) - LEAST_SEEN))))
        parts.append(part[: -left[-1]])
    files = [
        written(tmp_path / name, content)
        for name, content in (("a", rows[~held]), ("b", np.vstack(parts)), ("c", left))
    ]
    found = evaluated(*files)
    assert found["rmse"] <= 13.5
    assert found["phm"] / 30 <= 3.0


BAD = {
    "a column too few": (lambda rows: rows[:, :25], r"line 1: expected 26 number"),
    "one engine": (lambda rows: rows[rows[:, 0] == 1], r"has 1 engine\(s\); provide at least 5"),
    "rows drawn at random": (
        lambda rows: rows[np.random.default_rng(0).random(len(rows)) < 0.8],
        r"engine 1 has cycle \d+ where \d+ is expected\. Provide whole trajectories",
    ),
    "a cycle twice": (lambda rows: np.vstack([rows, rows[:1]]), "has cycle 1 where 2 is expected"),
    "half an engine": (lambda rows: rows + np.eye(1, 26) / 2, "line 1: engine and cycle"),
    "no sensor changes": (
        lambda rows: np.hstack([rows[:, :5], np.ones((len(rows), 21))]),
        "no sensor ever changes",
    ),
    "not a number": (lambda rows: rows * np.nan, "line 1: expected 26 number"),
    "nothing": (lambda rows: rows[:0], "is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_files_that_cannot_be_evaluated(case: str, tmp_path: Path) -> None:
    change, message = BAD[case]
    path = written(tmp_path / "train.txt", change(engines(6)))
    with pytest.raises(LakehouseError, match=message):
        evaluated(path)


def test_other_files_that_cannot_be_evaluated(tmp_path: Path) -> None:
    train = written(tmp_path / "train.txt", engines(6))
    rows, left = cut(engines(6, seed=9))
    test = written(tmp_path / "test.txt", rows)
    rul = written(tmp_path / "rul.txt", left)
    cases: list[tuple[Path, Path | None, Path | None, str]] = [
        (tmp_path / "none", None, None, "none does not exist"),
        (train, test, None, "--test and --rul belong together"),
        (train, test, written(tmp_path / "short", left[1:]), r"has 5 line\(s\), but .* 6 engine"),
        (train, test, written(tmp_path / "late", [-3, *left[1:]]),
         "line 1: the cycles left cannot"),
        (train, test, train, r"line 1: expected 1 number\(s\)"),
        (train, written(tmp_path / "seen", cut(engines(6))[0]), rul, "shows a leak: .* rows of"),
        (train, written(tmp_path / "hot", rows + 42 * np.eye(1, 26, 2)), rul,
         "has the settings 4[12].*, which no training engine has"),
    ]  # fmt: skip
    (tmp_path / "packed").write_bytes(b"\x1f\x8b\x08broken")
    cases.append((tmp_path / "packed", None, None, "is neither plain text nor gzipped text"))
    for *files, message in cases:
        with pytest.raises(LakehouseError, match=message):
            evaluated(*files)


def test_engines_are_read_in_any_order_of_lines(tmp_path: Path) -> None:
    rows = engines(3)
    mixed = rows[np.random.default_rng(2).permutation(len(rows))]
    found = read_engines(written(tmp_path / "mixed.txt", mixed))
    assert found.sensors == pytest.approx(rows[:, 5:])
    assert found.left[found.ends].tolist() == [0.0, 0.0, 0.0]
    assert found.sensors.shape[1] == len(SENSORS)
