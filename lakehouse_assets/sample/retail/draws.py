"""Drawing values from distributions given by quantiles or shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Knots: TypeAlias = Sequence[tuple[float, float]]
_GRID = (np.arange(20_000) + 0.5) / 20_000


@dataclass(frozen=True)
class Config:
    """What to generate.

    Attributes:
        seed: Seed of every random draw.
        first_week: Monday of the first reported week.
        weeks: Number of weeks; a week is delivered on the Monday after it.
        scale: Rows per week as a multiple of the sample's.
    """

    seed: int = 20210905
    first_week: date = date(2021, 8, 30)
    weeks: int = 8
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.first_week.weekday():
            raise ValueError(f"first_week must be a Monday, got {self.first_week}")
        if self.weeks < 1 or self.scale <= 0:
            raise ValueError(f"weeks and scale must be positive, got {self.weeks}, {self.scale}")

    @property
    def mondays(self) -> list[date]:
        """The Mondays of the reported weeks."""
        return [self.first_week + timedelta(weeks=n) for n in range(self.weeks)]

    def random(self, source: str) -> np.random.Generator:
        """Return a source's own random stream, so that sources do not affect each other."""
        return np.random.default_rng([self.seed, *source.encode()])

    def rows(self, per_week: int) -> int:
        """Return the number of rows per week."""
        return max(1, round(per_week * self.scale))


def spread(scores: Floats, knots: Knots) -> Floats:
    """Convert scores from 0 to 1 to values with the quantiles of the knots."""
    shares, values = zip(*knots, strict=True)
    return np.asarray(np.interp(scores, shares, values), dtype=np.float64)


def bent_to_mean(knots: Knots, mean: float) -> float:
    """Find the power by which scores must be raised for their values to have a given mean."""
    low, high = 0.05, 20.0
    for _ in range(60):
        power = math.sqrt(low * high)
        if spread(_GRID**power, knots).mean() > mean:
            low = power
        else:
            high = power
    return power


def choose(rng: np.random.Generator, shares: Mapping[Any, float], size: int) -> list[Any]:
    """Draw labels by their shares or counts."""
    names = list(shares)
    weights = np.array([shares[name] for name in names], dtype=float)
    picks = rng.choice(len(names), size=size, p=weights / weights.sum())
    return [names[pick] for pick in picks]


def deliver(root: Path, dataset: str, day: date, name: str, content: str | bytes) -> Path:
    """Write a delivered file into its dated folder."""
    path = root / "retail" / dataset / day.isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
