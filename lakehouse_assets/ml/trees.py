"""Boosted trees of small depth as plain arrays: scores, and what each column adds to them.

Scoring needs NumPy only, and gives a row the same score in every batch: the values of leaves are
multiples of a small power of two, so their sum is exact in any order.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_DEPTH: Final = 3
# Values are multiples of this; sums of them below 4,096 are exact.
_UNIT: Final = 2.0**-40
# Most rows times trees in one block, which bounds the memory.
_BLOCK: Final = 2**18


@dataclass(frozen=True, eq=False)
class Trees:
    """Complete trees of equal depth: the tests of a tree are a heap, its leaves are in order.

    Attributes:
        tested: Column that each test reads: trees by tests.
        bounds: A row below the bound goes left; trees by tests, single precision as in XGBoost.
        leaves: Each leaf's addition to the margin; trees by outcomes of a tree's tests, whose bits
            are 1 for right, the root's first.
        added: Addition of each test's column, by outcomes of all tests: trees by outcomes by tests.
            These are exact Shapley values that weight branches by the rows fitted.
        base: The margin without trees.
        expected: The mean margin of the rows that were fitted; `added` adds up to what is beyond.
    """

    tested: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.float32]
    leaves: FloatArray
    added: FloatArray
    base: float
    expected: float

    def margins(self, columns: FloatArray) -> FloatArray:
        """Return the margin of each row: the logit of a class, or the number of a regression.

        Args:
            columns: Rows by columns, without gaps.
        """
        import numpy as np

        found = np.full(len(columns), self.base)
        for rows, outcomes in self._outcomes(columns):
            found[rows] += self.leaves.ravel()[outcomes].sum(axis=1)
        return found

    def contributions(self, columns: FloatArray) -> FloatArray:
        """Return what each column adds to the margin of each row, beyond the mean of all rows."""
        import numpy as np

        count = columns.shape[1]
        found = np.zeros((len(columns), count))
        tests = self.tested.shape[1]
        order = np.argsort(self.tested.ravel(), kind="stable")
        used, starts = np.unique(self.tested.ravel()[order], return_index=True)
        table = self.added.reshape(-1, tests)
        for rows, outcomes in self._outcomes(columns):
            single = table[outcomes].reshape(len(outcomes), -1)[:, order]
            found[rows, used] = np.add.reduceat(single, starts, axis=1)
        return found

    def _outcomes(self, columns: FloatArray) -> Any:
        """Yield blocks of rows with the places of their outcomes in the tables of all trees."""
        import numpy as np

        trees, tests = self.tested.shape
        bits = 1 << np.arange(tests)[::-1]
        first = np.arange(trees) << tests
        size = max(1, _BLOCK // trees)
        largest = float(np.finfo(np.float32).max)
        for start in range(0, len(columns), size):
            # Not infinite, which the bounds of unused tests are.
            block = columns[start : start + size].clip(-largest, largest).astype(np.float32)
            right = block[:, self.tested] >= self.bounds
            yield slice(start, start + len(block)), right @ bits + first


def from_xgboost(booster: Any, depth: int) -> Trees:
    """Convert the trees of a booster.

    Args:
        booster: A booster of two classes or of a number, fitted on columns without gaps.
        depth: Its greatest depth, at most `MOST_DEPTH`.

    Raises:
        LakehouseError: the depth is larger.
    """
    import numpy as np

    if not 1 <= depth <= MOST_DEPTH:
        raise LakehouseError(f"Trees of depth {depth} are not supported; use 1 to {MOST_DEPTH}.")
    learner = json.loads(booster.save_raw("json"))["learner"]
    made = [_complete(t, depth) for t in learner["gradient_booster"]["model"]["trees"]]
    share = float(learner["learner_model_param"]["base_score"].strip("[]"))
    linked = learner["objective"]["name"] == "binary:logistic"
    base = math.log(share / (1.0 - share)) if linked else share
    return Trees(
        np.array([tree[0] for tree in made]),
        np.array([tree[1] for tree in made], np.float32),
        np.round(np.array([tree[2] for tree in made]) / _UNIT) * _UNIT,
        np.round(np.array([tree[3] for tree in made]) / _UNIT) * _UNIT,
        round(base / _UNIT) * _UNIT,
        base + sum(tree[4] for tree in made),
    )


def _complete(tree: dict[str, Any], depth: int) -> tuple[Any, ...]:
    """Return a tree's columns, bounds, values and contributions by outcome, and mean value.

    A leaf above the greatest depth is repeated below tests that send every row left.
    """
    tests, leaves = 2**depth - 1, 2**depth
    nodes: list[int | None] = [0] * (tests + leaves)
    columns, bounds, covers = [0] * tests, [math.inf] * tests, [0.0] * (tests + leaves)
    for place in range(tests + leaves):
        node = nodes[place]
        covers[place] = 0.0 if node is None else tree["sum_hessian"][node]
        if place >= tests:
            continue
        left, right = 2 * place + 1, 2 * place + 2
        if node is None or tree["left_children"][node] < 0:
            nodes[left], nodes[right] = node, None
            continue
        columns[place], bounds[place] = tree["split_indices"][node], tree["split_conditions"][node]
        nodes[left], nodes[right] = tree["left_children"][node], tree["right_children"][node]
    values = [0.0 if n is None else tree["split_conditions"][n] for n in nodes[tests:]]
    return columns, bounds, *_by_outcome(columns, covers, values, depth)


def _by_outcome(
    columns: list[int], covers: list[float], values: list[float], depth: int
) -> tuple[FloatArray, FloatArray, float]:
    """Return a tree's values and contributions by the outcomes of all of its tests, and its mean.

    A tree is a sum over its leaves: of a leaf's value, if all tests above it go its way. For such a
    product the Shapley values follow from the columns on the leaf's path alone.
    """
    import numpy as np

    tests = len(columns)
    outcomes = np.array(list(product((0, 1), repeat=tests)))
    reached = np.zeros(len(outcomes))
    added = np.zeros((len(outcomes), tests))
    mean = 0.0
    for leaf, value in enumerate(values):
        ways = [leaf >> (depth - 1 - level) & 1 for level in range(depth)]
        path, share = [0], dict.fromkeys(columns, 1.0)
        for way in ways:
            child = 2 * path[-1] + 1 + way
            share[columns[path[-1]]] *= covers[child] / covers[path[-1]] if value else 0.0
            path.append(child)
        kept = {column: np.ones(len(outcomes), bool) for column in share}
        for place, way in zip(path, ways, strict=False):
            kept[columns[place]] &= outcomes[:, place] == way
        used = list(dict.fromkeys(columns[place] for place in path[:-1]))
        reached += value * np.logical_and.reduce([kept[column] for column in used])
        mean += value * math.prod(share[column] for column in used)
        for column in used:
            others = [other for other in used if other != column]
            for size in range(len(used)):
                for known in combinations(others, size):
                    product_of = [kept[o] if o in known else share[o] for o in others]
                    weight = math.factorial(size) * math.factorial(len(others) - size)
                    added[:, columns.index(column)] += (
                        value * weight / math.factorial(len(used))
                        * math.prod(product_of) * (kept[column] - share[column])
                    )  # fmt: skip
    return reached, added, mean
