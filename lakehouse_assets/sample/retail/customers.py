"""Monthly deliveries of customers: snapshots of all of them.

Attributes follow logistic models whose weights were fitted to the reference lab's data; the price
is the sum of its parts. OrderStatus, which the lab's data do not have, follows the averages of its
report. The documented defect is an empty TotalAmount in a customer's first month.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.sample.retail.draws import Config, Floats, choose, deliver_csv, spread

Weights: TypeAlias = Mapping[str, float]
Facts: TypeAlias = dict[str, Any]
Codes: TypeAlias = npt.NDArray[np.int64]

NO_CODES: Codes = np.array([], dtype=np.int64)
# A customer number is four digits, a dash and letters; its code is the same as an integer.
_LETTERS = 5
_PLACES = 26 ** np.arange(_LETTERS - 1, -1, -1)
_ALL_CODES = 10_000 * 26**_LETTERS

CUSTOMERS_OF_THE_SAMPLE = 600
CONTRACTS = ("Month-to-month", "One year", "Two year")
# Customers of 7,043 by supply, which shows only in the price, and by contract.
SUPPLIES = {
    ("basic", 0): 1226, ("basic", 1): 569, ("basic", 2): 620, ("fast", 0): 2125, ("fast", 1): 540,
    ("fast", 2): 437, ("none", 0): 524, ("none", 1): 364, ("none", 2): 638,
}  # fmt: skip
# Deciles of the tenure in months, from the lowest to the highest.
TENURES = {
    ("none", 0): (1, 1, 1, 1, 3, 5, 7, 11, 16, 25, 61),
    ("basic", 0): (1, 1, 2, 4, 6, 10, 14, 20, 29, 41, 71),
    ("fast", 0): (1, 1, 3, 7, 11, 16, 23, 30, 39, 52, 72),
    ("none", 1): (0, 7, 12, 17, 22, 26, 33, 39, 48, 56, 72),
    ("basic", 1): (1, 15, 24, 29, 36, 41, 46, 52, 58, 64, 71),
    ("fast", 1): (4, 29, 39, 46, 51, 55, 59, 63, 66, 69, 72),
    ("none", 2): (0, 15, 27, 39, 47, 53, 60, 65, 69, 72, 72),
    ("basic", 2): (0, 35, 49, 57, 62, 66, 68, 70, 72, 72, 72),
    ("fast", 2): (24, 50, 60, 64, 68, 70, 71, 72, 72, 72, 72),
}
LONGEST = 72
UNPAID = 11 / 7043
"""Share of customers in their first month, who have paid nothing yet."""
# Logistic weights of each attribute. `t` is the tenure as a share of the longest, `lt` the same of
# its logarithm, `one` and `two` the contract in years; the empty name is the constant.
YES: Mapping[str, Weights] = {
    "senior": {"": -2.15, "fast": 0.94, "none": -1.01, "one": -0.76, "two": -1.23, "t": 1.06},
    "partner": {"": -1.19, "fast": 0.05, "none": 0.01, "one": 0.23, "two": 0.45, "t": 2.05,
                "senior": 0.13},
    "dependents": {"": -1.98, "fast": -0.44, "none": 0.3, "one": 0.45, "two": 0.64, "t": -0.65,
                   "senior": -1.85, "partner": 2.47},
    "lines": {"": -2.18, "fast": 0.99, "none": -0.83, "one": -0.46, "two": -0.11, "t": 1.76,
              "lt": 1.37, "senior": 0.4},
    "delivery": {"": -1.96, "fast": -0.88, "one": 0.55, "two": 1.15, "t": 0.5, "lt": 1.66,
                 "senior": -0.3, "partner": 0.05, "dependents": 0.21},
    "support": {"": -2.23, "fast": -0.66, "one": 0.85, "two": 2.01, "t": -0.74, "lt": 2.44,
                "senior": -0.45, "partner": -0.08, "dependents": 0.05, "delivery": 0.26},
    "national": {"": -2.14, "fast": 0.94, "one": 0.51, "two": 1.0, "t": 0.19, "lt": 1.58,
                 "senior": 0.08, "partner": 0.14, "delivery": -0.4, "support": 0.33},
    "paperless": {"": 0.09, "fast": 0.78, "none": -1.22, "one": -0.54, "two": -0.82, "t": 0.5,
                  "senior": 0.39, "bought_national": 0.47},
}  # fmt: skip
EXTRAS: Weights = {
    "": -2.16, "fast": 0.3, "one": 0.35, "two": 0.65, "t": 0.65, "lt": 1.16, "senior": 0.13,
    "delivery": -0.1, "support": 0.19, "national": 0.89,
}  # fmt: skip
"""How likely each of four more things is, which cost 5 each and show in the price only."""
PAYMENTS: Mapping[str, Weights] = {
    "Bank transfer (automatic)": {
        "": -1.05, "fast": 0.08, "none": 0.12, "one": 0.02, "two": 0.14, "t": 0.59, "lt": 0.91,
        "senior": 0.07, "paperless": -0.02, "partner": 0.08},
    "Credit card (automatic)": {
        "": -0.99, "fast": -0.01, "none": 0.04, "one": 0.21, "two": 0.41, "t": 0.34, "lt": 0.93,
        "senior": 0.07, "paperless": 0.03, "partner": -0.03},
    "Electronic check": {
        "": 0.88, "fast": 0.66, "none": -0.8, "one": -0.49, "two": -1.14, "t": 0.54, "lt": -1.2,
        "senior": 0.31, "paperless": 0.26, "partner": 0.04},
    "Mailed check": {
        "": 1.16, "fast": -0.73, "none": 0.64, "one": 0.26, "two": 0.6, "t": -1.47, "lt": -0.64,
        "senior": -0.45, "paperless": -0.28, "partner": -0.09},
}  # fmt: skip
CHURN: Weights = {
    "": 0.41, "fast": 0.62, "none": -0.18, "one": -0.98, "two": -2.34, "t": -0.22, "lt": -3.01,
    "fast_lt": -0.07, "one_t": 0.55, "two_t": 0.94, "price": 1.54, "check": 0.33,
    "paperless": 0.35, "senior": 0.24, "dependents": -0.11, "delivered": -0.4, "support": -0.37,
    "bought_national": 0.2, "lines": 0.3, "discount": -0.87,
}  # fmt: skip
DISCOUNT_OF_BASIC = 0.718
PRICES = {"basic": 25, "fast": 50, "none": 0, "discount": 20, "lines": 5, "delivery": 5,
          "support": 5, "national": 10, "extras": 5}  # fmt: skip
NEW_IN_A_MONTH = 0.02
LEAVE_IN_A_MONTH = 0.08
"""Of those whose facts speak for leaving, how many do so within a month."""
# Churn is 37/21 times as high with cancelled orders as without, and there are four times as many
# customers without; the shares below follow from an overall churn of 26.5 %.
CANCELLED = {True: 0.301, False: 0.163}


def write_customers(config: Config, root: Path) -> list[Path]:
    """Write the snapshots, on the first Monday of each month; return the files."""
    rng = config.random("customers")
    size = config.rows(CUSTOMERS_OF_THE_SAMPLE)
    people = new_customers(rng, size)
    files = []
    for number, day in enumerate(snapshot_days(config)):
        if number:
            people = a_month_later(rng, people)
        columns = columns_of(people)
        files.append(deliver_csv(root, CUSTOMERS, day, "CustomerChurnData.csv", columns))
    return files


def snapshot_days(config: Config) -> list[date]:
    """Return the first day of delivery within each month."""
    first: dict[tuple[int, int], date] = {}
    for monday in config.mondays:
        day = monday + timedelta(weeks=1)
        first.setdefault((day.year, day.month), day)
    return list(first.values())


def customer_numbers(config: Config) -> list[str]:
    """Return the customer numbers of the first snapshot without generating the rest."""
    rng = config.random("customers")
    codes = _codes(rng, config.rows(CUSTOMERS_OF_THE_SAMPLE))
    found: list[str] = _written(codes).tolist()
    return found


def new_customers(rng: np.random.Generator, size: int, taken: Codes = NO_CODES) -> Facts:
    """Draw customers, as one array per attribute.

    Args:
        rng: Source of randomness.
        size: Number of customers.
        taken: Codes of existing customers, which new ones do not get.
    """
    codes = _codes(rng, size, taken)
    people: Facts = {"code": codes, "number": _written(codes)}
    pairs = choose(rng, SUPPLIES, size)
    people["supply"] = np.array([supply for supply, _ in pairs])
    people["contract"] = np.array([contract for _, contract in pairs])
    scores, tenure = rng.random(size), np.zeros(size)
    for pair, deciles in TENURES.items():
        here = np.array([found == pair for found in pairs])
        knots = [(place / 10, float(value)) for place, value in enumerate(deciles)]
        tenure[here] = spread(scores[here], knots)
    people["tenure"] = np.round(tenure)
    # The deciles do not show the few customers in their first month.
    people["tenure"] = np.maximum(people["tenure"], 1)
    people["tenure"][rng.random(size) < UNPAID] = 0
    people["male"] = rng.random(size) < 0.5048
    fast, none = people["supply"] == "fast", people["supply"] == "none"
    people["discount"] = fast | none | (rng.random(size) < DISCOUNT_OF_BASIC)
    for name in ("senior", "partner", "dependents", "lines", "delivery", "support", "national"):
        people[name] = rng.random(size) < _share(YES[name], people)
        if name == "lines":
            people[name] &= people["discount"]
        if name in {"delivery", "support", "national"}:
            people[name] &= ~none
    people["extras"] = rng.binomial(4, _share(EXTRAS, people)) * ~none
    people["paperless"] = rng.random(size) < _share(YES["paperless"], people)
    shares = np.array([np.exp(_score(weights, people)) for weights in PAYMENTS.values()])
    ends = np.cumsum(shares / shares.sum(axis=0), axis=0)
    people["payment"] = (rng.random(size) > ends).sum(axis=0).clip(0, len(PAYMENTS) - 1)
    price = sum(PRICES[name] * (people["supply"] == name) for name in ("basic", "fast", "none"))
    price = price + sum(
        PRICES[name] * people[name] for name in PRICES if name not in {"basic", "fast", "none"}
    )
    people["price"] = np.maximum(18, np.round(price + rng.normal(0, 0.9, size)))
    people["paid"] = np.round(
        people["tenure"] * people["price"] * (1 + rng.normal(0, 0.05, size).clip(-0.3, 0.5))
    )
    _let_leave(rng, people)
    return people


def a_month_later(rng: np.random.Generator, people: Facts) -> Facts:
    """Advance a month: customers stay or leave, new ones join, and former ones stay listed."""
    left, leaving = people["churn"], rng.random(len(people["number"])) < _share(CHURN, people)
    leaving = ~left & leaving & (rng.random(len(left)) < LEAVE_IN_A_MONTH)
    older: Facts = dict(people)
    older["tenure"] = np.where(left, people["tenure"], np.minimum(people["tenure"] + 1, LONGEST))
    older["paid"] = np.where(left, people["paid"], people["paid"] + people["price"])
    older["churn"] = left | leaving
    fresh = new_customers(rng, max(1, round(NEW_IN_A_MONTH * len(left))), people["code"])
    fresh["tenure"] = np.minimum(fresh["tenure"], 1)
    fresh["paid"] = fresh["price"]
    fresh["churn"] = np.zeros_like(fresh["churn"])
    return {name: np.concatenate([older[name], fresh[name]]) for name in older}


def columns_of(people: Facts) -> dict[str, list[Any]]:
    """Return the columns of customers as the source writes them, in its order."""
    none = people["supply"] == "none"
    outlet = np.select([~people["discount"], people["lines"]], ["Big", "Small"], "Medium")
    paid = people["paid"].astype(int).astype(object)
    columns = (
        people["number"],
        np.where(people["male"], "Male", "Female"),
        people["senior"].astype(int),
        _yes(people["partner"]),
        _yes(people["dependents"]),
        people["tenure"].astype(int),
        _yes(people["discount"]),
        outlet,
        _yes(people["delivery"] | none),
        np.where(people["cancelled"], "Cancelled", "Shipped"),
        _yes(people["support"]),
        np.where(people["national"] | none, "National", "Local"),
        np.array(CONTRACTS)[people["contract"]],
        _yes(people["paperless"]),
        np.array(list(PAYMENTS))[people["payment"]],
        people["price"].astype(int),
        np.where(people["tenure"] > 0, paid, ""),
        _yes(people["churn"]),
    )
    lists = (column.tolist() for column in columns)
    return dict(zip(CUSTOMERS.source_names, lists, strict=True))


def _let_leave(rng: np.random.Generator, people: Facts) -> None:
    size = len(people["number"])
    # Nobody leaves before the first bill.
    people["churn"] = (rng.random(size) < _share(CHURN, people)) & (people["tenure"] > 0)
    share = np.where(people["churn"], CANCELLED[True], CANCELLED[False])
    people["cancelled"] = rng.random(size) < share


def _share(weights: Weights, people: Facts) -> Floats:
    return np.asarray(1 / (1 + np.exp(-_score(weights, people))), dtype=np.float64)


def _score(weights: Weights, people: Facts) -> Floats:
    """Return the linear score of a logistic model."""
    size = len(people["number"])
    score = np.full(size, weights[""])
    for name, weight in weights.items():
        if name:
            score = score + weight * _feature(name, people)
    return score


def _feature(name: str, people: Facts) -> Floats:
    """Compute a feature by the name of its weight; other names are attributes."""
    tenure = people["tenure"] / LONGEST
    log = np.log1p(people["tenure"]) / np.log1p(LONGEST)
    supply, contract = people["supply"], people["contract"]
    found = {
        "fast": lambda: supply == "fast",
        "none": lambda: supply == "none",
        "one": lambda: contract == 1,
        "two": lambda: contract == 2,
        "t": lambda: tenure,
        "lt": lambda: log,
        "fast_lt": lambda: (supply == "fast") * log,
        "one_t": lambda: (contract == 1) * tenure,
        "two_t": lambda: (contract == 2) * tenure,
        "price": lambda: people["price"] / 100,
        "check": lambda: people["payment"] == list(PAYMENTS).index("Electronic check"),
        "delivered": lambda: people["delivery"] | (supply == "none"),
        "bought_national": lambda: people["national"] | (supply == "none"),
    }.get(name, lambda: people[name])()
    return np.asarray(found, dtype=np.float64)


def _codes(rng: np.random.Generator, size: int, taken: Codes = NO_CODES) -> Codes:
    """Draw codes of customer numbers as in the reference lab: four digits and five letters."""
    digits = rng.integers(0, 10_000, size)
    letters = rng.integers(0, 26, (size, _LETTERS))
    return all_different(digits * 26**_LETTERS + letters @ _PLACES, taken, _ALL_CODES)


def all_different(codes: Codes, taken: Codes, end: int) -> Codes:
    """Replace repeated and taken codes with the next free ones.

    Among millions of codes drawn from 119 billion, some are equal; all others are kept as drawn.

    Args:
        codes: The drawn codes, from 0 to `end` exclusive.
        taken: Distinct codes that must not be used.
        end: Upper bound of codes, exclusive; 0 follows the last one.
    """
    codes = codes.copy()
    while True:
        _, first = np.unique(np.concatenate([taken, codes]), return_index=True)
        again = np.ones(len(taken) + len(codes), dtype=bool)
        again[first] = False
        again = again[len(taken) :]
        if not again.any():
            return codes
        codes[again] = (codes[again] + 1) % end


def _written(codes: Codes) -> npt.NDArray[np.str_]:
    """Format codes as customer numbers."""
    digits = np.strings.zfill((codes // 26**_LETTERS).astype(str), 4)
    letters = (codes[:, np.newaxis] // _PLACES % 26 + ord("A")).astype(np.uint8)
    text = letters.view(f"S{_LETTERS}").ravel().astype(str)
    return np.strings.add(np.strings.add(digits, "-"), text)


def _yes(values: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    return np.where(values, "Yes", "No")
