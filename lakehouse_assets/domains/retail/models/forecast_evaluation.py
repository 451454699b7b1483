"""Evaluates the sales forecast on a folder with the public weekly sales of orange juice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.models.forecast import (
    HORIZONS,
    STATES,
    Features,
    ForecastSettings,
    Panel,
)
from lakehouse_assets.domains.retail.models.forecast_backtest import (
    BASELINES,
    CALIBRATED_WITH,
    Forecasts,
    backtest,
    calibrated,
    choose,
    errors,
    lab_regression,
    trees,
)
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress

if TYPE_CHECKING:
    import pyarrow as pa

ROUNDS: Final = 12
STEP: Final = 2
"""Rounds, and weeks from round to round, of the public protocol."""

FEWEST_WEEKS: Final = 90
_FILE: Final = "orange_juice_weekly.csv"
_COLUMNS: Final = ("store", "brand", "week", "units", "price_per_oz", "deal", "feat")


def read_sales(folder: Path) -> Panel:
    """Read weekly sales from a folder with `orange_juice_weekly.csv`, plain or `.gz`.

    Raises:
        LakehouseError: the file is missing, lacks a column, has a value that cannot be used or two
            rows of a store, brand and week, or too few weeks.
    """
    import numpy as np

    from lakehouse_assets.ml.data_files import numbers_of, read_csv, unusable

    folder = folder.expanduser().resolve()
    path = next((p for p in (folder / _FILE, folder / f"{_FILE}.gz") if p.is_file()), None)
    if path is None:
        raise LakehouseError(
            f"{folder} has no file {_FILE} or {_FILE}.gz; give the folder that has it."
        )
    text = read_csv(path, _COLUMNS, ())
    for name in ("store", "brand"):
        if text[name].null_count:
            raise unusable(path, text[name].to_pylist().index(None), name, None, "write its number")
    numbers = {name: numbers_of(path, text, name, *rule) for name, rule in _ALLOWED.items()}
    week = numbers["week"]
    columns = {
        "store": _by_number(text["store"]),
        "brand": _by_number(text["brand"]),
        "week": week,
        "units": numbers["units"],
        "price": numbers["price_per_oz"],
        "deal": numbers["deal"],
        "feature": numbers["feat"],
    }
    weeks = int(week.max() - week.min()) + 1 if len(week) else 0
    if weeks < FEWEST_WEEKS:
        raise LakehouseError(
            f"{path} has sales of {weeks} weeks; provide at least {FEWEST_WEEKS}, for {ROUNDS} "
            "rounds after a year and a half of history."
        )
    keys = np.rec.fromarrays([columns["store"], columns["brand"], week])
    if len(np.unique(keys)) < len(keys):
        raise LakehouseError(
            f"{path} has several rows for a store, brand and week; add them up to one."
        )
    return Panel.of(columns)


def _by_number(column: pa.ChunkedArray) -> Any:
    """Return names that sort as numbers, if they are numbers."""
    import numpy as np

    values = column.to_numpy().astype(str)
    try:
        return values.astype(np.int64)
    except ValueError:
        return values


_ALLOWED: Final[dict[str, tuple[Callable[[float], bool], str]]] = {
    "week": (lambda week: week.is_integer() and 0 <= week < 1e6, "write a whole number"),
    "units": (
        lambda units: units > 0, "write the units sold, above 0, and leave out weeks without sales"
    ),
    "price_per_oz": (lambda price: price > 0, "write a price above 0"),
    "deal": (lambda deal: deal in (0, 1), "write 0 or 1"),
    "feat": (
        lambda share: 0 <= share <= 1, "write the share of stores that advertised it, from 0 to 1"
    ),
}  # fmt: skip


def evaluate_forecast(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Evaluate the forecast and the simple methods on a folder; see `Evaluation.run`."""
    import time

    import numpy as np
    from threadpoolctl import threadpool_limits

    start = time.process_time()
    panel = read_sales(arguments["data"])
    features = Features(panel)
    last = panel.weeks - 1 - max(HORIZONS)
    rounds = [last - STEP * back for back in reversed(range(ROUNDS))]
    warm = [rounds[0] - STEP * back for back in range(CALIBRATED_WITH, 0, -1)]
    origins = (*warm, *rounds)
    methods = {"trees": trees(ForecastSettings()), **BASELINES}
    with threadpool_limits(limits=1):
        found = {}
        for name, method in methods.items():
            parts = []
            for number, origin in enumerate(origins, 1):
                parts.append(backtest(features, method, [origin]))
                if name == "trees":
                    progress(f"trees: origin {number} of {len(origins)}")
            found[name] = Forecasts.joined(parts)
        leaking = backtest(features, lab_regression(leaks=True), rounds)
    chosen = choose({n: one.where(one.week <= rounds[0]) for n, one in found.items()})
    progress(f"{chosen} is the best method before the first round")
    points, lows, highs = zip(
        *(calibrated(found[chosen], origin) for origin in rounds), strict=True
    )
    refitted = Forecasts.joined(points)
    inside = (refitted.units >= np.concatenate(lows)) & (refitted.units <= np.concatenate(highs))
    return {
        "model": FORECAST_EVALUATION.name,
        **errors(refitted),
        "coverage_80": float(inside.mean()),
        **{
            f"coverage_80_{name}": float(inside[refitted.state == state].mean())
            for state, name in enumerate(STATES)
            if (refitted.state == state).any()
        },
        "chosen": chosen,
        "forecasts": len(refitted.units),
        "rounds": {
            str(panel.first_week + origin): errors(point)
            for origin, point in zip(rounds, points, strict=True)
        },
        "models": {
            "refitted": errors(refitted),
            **{name: errors(one.where(one.origin >= rounds[0])) for name, one in found.items()},
            "lab_regression_with_its_leak": errors(leaking),
        },
        "cpu_seconds": round(time.process_time() - start, 1),
    }


FORECAST_EVALUATION: Final = Evaluation(
    name="forecast",
    description=(
        "Evaluate the sales forecast by the public protocol for weekly orange juice sales: "
        f"{ROUNDS} rounds, {STEP} weeks apart. Each round knows the sales up to a week, and the "
        "price, deal and feature of the weeks that it forecasts, 2 and 3 weeks later. Prints MAPE "
        "(in percent), MASE, WAPE, bias (share of the volume), the coverage of the 80 % intervals, "
        "and the errors of all methods. `refitted` is the best method before the first round."
    ),
    arguments=(
        Argument(
            "data",
            f"Folder with {_FILE}, plain or .gz, with the columns {', '.join(_COLUMNS)}.",
            parse=Path,
        ),
    ),
    run=evaluate_forecast,
)
