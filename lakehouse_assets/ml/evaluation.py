"""Declarations of how a model is evaluated on, or trained from, a user's files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.spec import ModelSpec

Progress: TypeAlias = Callable[[str], None]
"""Reports what an evaluation is doing, in one sentence."""

_MOST_SEEDS: Final = 1_000
_LARGEST_SEED: Final = 2**32 - 1


@dataclass(frozen=True)
class Argument:
    """An argument of an evaluation or a training.

    Attributes:
        name: Its name, as in `--name`.
        help: Description of the value, for `--help`.
        default: Its value if it is not given; an argument without one is required.
        parse: Converts the given text; raises LakehouseError with a remedy.
    """

    name: str
    help: str
    default: str | None = None
    parse: Callable[[str], Any] = str


@dataclass(frozen=True)
class Evaluation:
    """How a model is evaluated.

    Attributes:
        name: Short name of the model, unique in the lake.
        description: Description of the protocol, for `--help`.
        arguments: Its arguments.
        run: Evaluates, given the arguments by name and a reporter of progress, and returns what
            JSON can hold: the headline metrics in `mean`, and whatever else the protocol has.
            Raises LakehouseError if the files cannot be evaluated or the result is a leak.
    """

    name: str
    description: str
    arguments: tuple[Argument, ...]
    run: Callable[[Mapping[str, Any], Progress], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Training:
    """How a model is trained from a user's files.

    Attributes:
        spec: The model.
        domain: Its domain.
        description: Description of the files, for `--help`.
        arguments: The arguments; the first is a file, after which the run is named.
        rows: Reads the rows to fit, given the arguments by name: the key, the features, and
            whatever else the fit needs. Raises LakehouseError if the files cannot be used.
    """

    spec: ModelSpec
    domain: str
    description: str
    arguments: tuple[Argument, ...]
    rows: Callable[[Mapping[str, Any]], pa.Table]

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.spec.name


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds, such as `0-4` or `0,3,7` or both; each counts once, in the given order.

    Raises:
        LakehouseError: the text says something else, or too many or too large seeds.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", part, re.ASCII)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last <= _LARGEST_SEED:
            raise LakehouseError(
                f"--seeds {text} cannot be read; give whole numbers up to {_LARGEST_SEED} and "
                "rising ranges, such as 0-4 or 0,3,7."
            )
        if len(seeds) + last - first >= _MOST_SEEDS:
            raise LakehouseError(f"--seeds {text} are more than {_MOST_SEEDS} seeds; give fewer.")
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return tuple(seeds)
