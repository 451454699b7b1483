"""`lakehouse models evaluate maintenance`: remaining life on files in C-MAPSS format.

The public data of turbofan engines (NASA, 2008) tests the device health model on other machines:
features, fit and choices are those of `ml/remaining_life.py`, in cycles instead of hours.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress, parse_seeds
from lakehouse_assets.ml.remaining_life import (
    FittedLife,
    LifeSettings,
    Windows,
    fit_life,
    folds_of,
    phm_score,
    window_features,
)
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

CAP: Final = 125.0
"""The convention for these engines: they show no wear before, so more cycles count as these."""

HORIZON: Final = 30.0
"""Cycles within which an engine fails "soon"."""

LEAST_SEEN: Final = 30
MOST_LEFT: Final = 145
"""Where engines of the public test set are cut: they have run this long, and have no more left."""

WINDOWS: Final = Windows(means=(5, 15, 30), slope=30, change=15, first=10, age=True)
SETTINGS: Final = tuple(f"setting_{number}" for number in range(1, 4))
SENSORS: Final = tuple(f"sensor_{number}" for number in range(1, 22))
CUTS: Final = 10
"""How often each held-out engine is cut; its penalty counts as the mean of these."""

FOLDS: Final = 5
FEWEST_ENGINES: Final = FOLDS
SPLITS: Final = ("engines", "rows")

_GZIP: Final = b"\x1f\x8b"
_COLUMNS: Final = 2 + len(SETTINGS) + len(SENSORS)
# No reading is larger.
_MOST: Final = 1e9


@dataclass(frozen=True, eq=False)
class Engines:
    """Trajectories of engines, by engine and cycle.

    Attributes:
        unit: The engine of each row.
        cycle: The cycle, from 1.
        settings: Operational settings, rows by `SETTINGS`.
        sensors: Measurements, rows by `SENSORS`.
    """

    unit: Ints
    cycle: Ints
    settings: FloatArray
    sensors: FloatArray

    @property
    def ends(self) -> Ints:
        """The place of each engine's last row."""
        import numpy as np

        return np.flatnonzero(np.append(self.unit[1:] != self.unit[:-1], True))

    @property
    def left(self) -> FloatArray:
        """How many cycles each row is before the engine's last one."""
        import numpy as np

        ends = self.ends
        lengths = np.diff(np.append(-1, ends))
        return np.repeat(self.cycle[ends], lengths).astype(np.float64) - self.cycle

    def take(self, rows: Ints) -> Engines:
        """Return some of the rows."""
        return Engines(self.unit[rows], self.cycle[rows], self.settings[rows], self.sensors[rows])


def read_engines(path: Path) -> Engines:
    """Read a file of trajectories, in C-MAPSS' form.

    Args:
        path: Text, plain or gz, without a header: engine, cycle, three settings and 21 sensors,
            separated by blanks.

    Raises:
        LakehouseError: the file cannot be read, a line has something else, or an engine's cycles
            are not 1, 2, 3 and so on: rows that were drawn at random are a leak.
    """
    import numpy as np

    numbers = _numbers(path, _COLUMNS, "an engine, a cycle, 3 settings and 21 sensors")
    ids = numbers[:, :2]
    wrong = np.flatnonzero((ids != np.round(ids)).any(axis=1) | (ids < 1).any(axis=1))
    if len(wrong):
        raise LakehouseError(
            f"{path}, line {wrong[0] + 1}: engine and cycle must be whole numbers from 1; correct "
            "the line."
        )
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    unit, cycle = ids[order].astype(np.int64).T
    first = np.append(True, unit[1:] != unit[:-1])
    expected = np.where(first, 1, np.append(0, cycle[:-1]) + 1)
    if (cycle != expected).any():
        place = int(np.flatnonzero(cycle != expected)[0])
        raise LakehouseError(
            f"{path}: engine {unit[place]} has cycle {cycle[place]} where {expected[place]} is "
            "expected. Provide whole trajectories with each cycle once; rows that were drawn at "
            "random leak, because the model has seen their neighbours."
        )
    sensors = 2 + len(SETTINGS)
    return Engines(unit, cycle, numbers[order, 2:sensors], numbers[order, sensors:])


def _numbers(path: Path, columns: int, what: str) -> FloatArray:
    """Read lines of so many numbers.

    Raises:
        LakehouseError: the file cannot be read, or a line has something else.
    """
    import numpy as np

    from lakehouse_assets.ingest.files import opened

    path = path.expanduser().resolve()
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise LakehouseError(f"{path} {what}; give the path of a text file.")
    with opened(path, str(path)) as file:
        content = file.readall()
    try:
        text = (gzip.decompress(content) if content.startswith(_GZIP) else content).decode("ascii")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise LakehouseError(
            f"{path} is neither plain text nor gzipped text ({error}). Provide lines of numbers "
            f"separated by spaces: {what}."
        ) from None
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if row or line.strip():
            if len(row) != columns or not all(abs(value) <= _MOST for value in row):
                raise LakehouseError(
                    f"{path}, line {number}: expected {columns} number(s) separated by spaces "
                    f"({what}); correct the line."
                )
            rows.append(row)
    if not rows:
        raise LakehouseError(f"{path} is empty; provide {what} on each line.")
    return np.array(rows)


class _Scale:
    """Sensors as their distance from the mean of the operating condition, in deviations.

    A condition is the three settings as whole numbers: FD001 has one, FD002 has six.
    """

    def __init__(self, trained: Engines) -> None:
        import numpy as np

        self.conditions, codes = np.unique(np.round(trained.settings), axis=0, return_inverse=True)
        codes = codes.ravel()
        of = [trained.sensors[codes == code] for code in range(len(self.conditions))]
        self.means = np.array([rows.mean(axis=0) for rows in of])
        deviations = np.array([rows.std(axis=0) for rows in of])
        steady = deviations <= 1e-6 * np.maximum(np.abs(self.means), 1e-3)
        self.deviations = np.where(steady, np.inf, deviations)
        self.useful = [name for name, flat in zip(SENSORS, steady.all(axis=0), strict=True)
                       if not flat]  # fmt: skip

    def __call__(self, engines: Engines, path: Path) -> FloatArray:
        import numpy as np

        settings = np.round(engines.settings)
        distance = np.abs(settings[:, None, :] - self.conditions).sum(axis=2)
        nearest = distance.argmin(axis=1)
        unknown = np.flatnonzero(distance.min(axis=1) > 0)
        if len(unknown):
            values = ", ".join(f"{value:g}" for value in engines.settings[unknown[0]])
            raise LakehouseError(
                f"{path}: engine {engines.unit[unknown[0]]} has the settings {values}, which no "
                "training engine has; provide files with the same operating conditions."
            )
        return np.asarray((engines.sensors - self.means[nearest]) / self.deviations[nearest])


def _features(engines: Engines, scaled: FloatArray, useful: list[str]) -> FloatArray:
    """Return the window features of all rows."""
    import numpy as np
    import pyarrow as pa

    from lakehouse_assets.engine.start import start_engine
    from lakehouse_assets.ml.sampling import feature_matrix

    engine = start_engine()
    columns = {name: scaled[:, SENSORS.index(name)] for name in useful}
    rows = pa.table({"unit": engines.unit, "cycle": engines.cycle, **columns})
    with engine.scope():
        frame = window_features(engine.from_arrow(rows), ["unit"], "cycle", useful, WINDOWS)
        found = engine.arrow_stream(frame).read_all()
    found = found.sort_by([("unit", "ascending"), ("cycle", "ascending")])
    return np.asarray(feature_matrix(found.select([*WINDOWS.features(useful)])))


def _cuttable(engines: Engines) -> npt.NDArray[np.bool_]:
    """Return the rows at which an engine may be cut, as in the public test; all if there are none.

    Its engines are cut so late that they have run for a while, and cannot have more left than some.
    """
    import numpy as np

    left = engines.left
    found = (engines.cycle >= LEAST_SEEN) & (left >= 1) & (left <= MOST_LEFT)
    some = np.isin(engines.unit, engines.unit[found])
    return np.where(some, found, True)


def _fit(engines: Engines, features: FloatArray, rows: Ints, seed: int) -> FittedLife:
    """Fit on some rows; the choices are judged where engines may be cut, each engine equally."""
    import numpy as np

    part = engines.take(rows)
    cuttable = _cuttable(part)
    places = np.unique(part.unit, return_inverse=True)[1]
    weights = cuttable / np.bincount(places, cuttable)[places]
    settings = LifeSettings(cap=CAP, horizon=HORIZON, seed=seed)
    return fit_life(features[rows], part.left, part.unit, settings, weights)


def _scores(left: FloatArray, predicted: FloatArray) -> dict[str, float]:
    """Return the error, and the penalty of all engines, which are the rows."""
    import numpy as np

    return {
        "rmse": float(np.sqrt(((predicted - left) ** 2).mean())),
        "phm": float(phm_score(left, predicted).mean() * len(left)),
    }


def _judged(left: FloatArray, predicted: FloatArray) -> dict[str, dict[str, float]]:
    """Judge by what is left up to the cap, which is the convention, and by all of it."""
    import numpy as np

    return {
        "capped": _scores(np.minimum(left, CAP), predicted),
        "uncapped": _scores(left, predicted),
    }


def _result(judged: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    return {**judged["capped"], "mean": judged["capped"], "uncapped": judged["uncapped"]}


def _by_folds(
    engines: Engines, features: FloatArray, arguments: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Judge on held-out engines, each of which is cut at random cycles."""
    import numpy as np

    from lakehouse_assets.ml.binary import refuse
    from lakehouse_assets.ml.leaks import units_in_both

    by_seed: dict[str, dict[str, dict[str, float]]] = {}
    split_by = engines.unit if arguments["split"] == "engines" else np.arange(len(engines.unit))
    for seed in arguments["seeds"]:
        random = np.random.default_rng(seed)
        left, predicted = [], []
        for number, (fitted, held) in enumerate(folds_of(split_by, FOLDS, seed), 1):
            refuse(units_in_both(
                engines.unit[fitted].tolist(), engines.unit[held].tolist(), "engines"
            ))  # fmt: skip
            found = _fit(engines, features, fitted, seed)
            part = engines.take(held)
            cuttable = np.flatnonzero(_cuttable(part))
            cuts = np.array([
                random.choice(cuttable[part.unit[cuttable] == unit], CUTS)
                for unit in np.unique(part.unit)
            ])  # fmt: skip
            left.append(part.left[cuts])
            guesses = found.model.predict(features[held[cuts.ravel()]])
            predicted.append(guesses.reshape(cuts.shape))
            progress(f"seed {seed}, fold {number} of {FOLDS}: {_words(found)}")
        by_seed[str(seed)] = _judged(np.concatenate(left), np.concatenate(predicted))
    mean = {
        kind: {
            name: float(np.mean([found[kind][name] for found in by_seed.values()]))
            for name in ("rmse", "phm")
        }
        for kind in ("capped", "uncapped")
    }
    return {
        **_result(mean),
        "by_seed": {seed: found["capped"] for seed, found in by_seed.items()},
    }


def _on_test(
    engines: Engines,
    features: FloatArray,
    test: Engines,
    asked: FloatArray,
    left: FloatArray,
    progress: Progress,
) -> dict[str, Any]:
    """Judge on the last row of each engine of a test file."""
    import numpy as np

    found = _fit(engines, features, np.arange(len(engines.unit)), 0)
    progress(_words(found))
    predicted = found.model.predict(asked[test.ends])
    return {
        **_result(_judged(left, predicted)),
        "chosen": found.chosen,
        "engines": {
            str(unit): {"left": float(truth), "predicted": float(guess)}
            for unit, truth, guess in zip(test.unit[test.ends], left, predicted, strict=True)
        },
    }


def _words(found: FittedLife) -> str:
    chosen = found.chosen
    return (
        f"{chosen['trees']:.0f} trees, weight {chosen['cap_weight']:g} at the cap and a shift of "
        f"{chosen['shift']:g} have RMSE {chosen['rmse']:.2f} out of fold"
    )


def evaluate_maintenance(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Evaluate the model on files of trajectories; see `Evaluation.run`."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    path, test_path, rul_path = (arguments[name] for name in ("train", "test", "rul"))
    if (test_path is None) != (rul_path is None):
        raise LakehouseError("--test and --rul belong together; give both or neither.")
    engines = read_engines(path)
    count = len(engines.ends)
    if count < FEWEST_ENGINES:
        raise LakehouseError(
            f"{path} has {count} engine(s); provide at least {FEWEST_ENGINES}, so that the model "
            "can be tested on engines that it has not seen."
        )
    scale = _Scale(engines)
    if not scale.useful:
        raise LakehouseError(f"{path}: no sensor ever changes; provide readings that vary.")
    progress(
        f"{count} engines, {len(engines.unit)} cycles, {len(scale.conditions)} operating "
        f"condition(s), {len(scale.useful)} sensors that change"
    )
    features = _features(engines, scale(engines, path), scale.useful)
    with threadpool_limits(limits=1):
        if test_path is None:
            result = _by_folds(engines, features, arguments, progress)
        else:
            test, left = _read_test(engines, test_path, rul_path)
            asked = _features(test, scale(test, test_path), scale.useful)
            result = _on_test(engines, features, test, asked, left, progress)
    return {
        "model": MAINTENANCE_EVALUATION.name,
        "engines_fitted": count,
        "features": int(np.shape(features)[1]),
        "cap": CAP,
        **result,
    }


def _read_test(trained: Engines, path: Path, rul: Path) -> tuple[Engines, FloatArray]:
    """Read a test file, and what each of its engines has left.

    Raises:
        LakehouseError: they have other numbers of engines, or rows to learn from are among them.
    """
    import numpy as np

    from lakehouse_assets.ml.binary import refuse

    test = read_engines(path)
    left = _numbers(rul, 1, "the cycles that an engine has left")[:, 0]
    if len(left) != len(test.ends):
        raise LakehouseError(
            f"{rul} has {len(left)} line(s), but {path} has {len(test.ends)} engine(s); provide "
            "one line per engine, in the same order."
        )
    if (left < 0).any():
        raise LakehouseError(
            f"{rul}, line {np.flatnonzero(left < 0)[0] + 1}: the cycles left cannot be negative; "
            "correct the line."
        )
    known = {row.tobytes() for row in np.hstack([trained.settings, trained.sensors])}
    rows = np.hstack([test.settings, test.sensors])
    copies = sum(row.tobytes() in known for row in rows)
    # Two engines may have a row in common by chance, but no more.
    if copies > len(rows) * 0.01:
        refuse([f"{copies} of {len(rows)} rows of {path} are also in the training file"])
    return test, left


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _split(text: str) -> str:
    if text not in SPLITS:
        raise LakehouseError(f"--split {text} is not valid; give {' or '.join(SPLITS)}.")
    return text


MAINTENANCE_EVALUATION: Final = Evaluation(
    name="maintenance",
    description=(
        "Evaluate the remaining-life model on machines that ran to failure, in the format of "
        "NASA's C-MAPSS files: engine, cycle, 3 settings and 21 sensors, separated by spaces. "
        "Prints the root mean squared error (rmse) and the summed penalty of the PHM08 data "
        "challenge (phm). By convention, cycles left are capped at 125; `uncapped` has both "
        "figures without the cap. Without a test file, five folds of engines are held out in turn, "
        "and each engine is cut at ten random cycles, as in the public test set: after cycle "
        f"{LEAST_SEEN} and with at most {MOST_LEFT} cycles left. Number of trees, weights and "
        "shift are chosen on the training part."
    ),
    arguments=(
        Argument("train", "File of engines that ran to failure, plain or .gz.", parse=Path),
        Argument("test", "File of engines that end before they fail.", "", _file),
        Argument("rul", "File with the cycles that each of these has left, one number per line.",
                 "", _file),
        Argument("seeds", "Seeds of folds and cuts if there is no test file, such as 0-4.", "0",
                 parse_seeds),
        Argument("split", "What to split by: engines, or rows (a leak, which is refused).",
                 "engines",
                 _split),
    ),
    run=evaluate_maintenance,
)  # fmt: skip
