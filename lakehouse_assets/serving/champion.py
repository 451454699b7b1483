"""Keeps a model's champion loaded; a new champion replaces the old one once it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.model_registry import FILES_DIGEST_TAG, load_version, required_champion
from lakehouse_assets.ml.spec import ModelSpec
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.serving.rows import Inputs

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow.entities.model_registry import ModelVersion

CURRENT: Final = "current"
"""The loaded version is the registry's champion."""

UNKNOWN: Final = "unknown"
"""The registry does not answer or has no champion."""

REFUSED: Final = "refused"
"""The registry's champion is another version, which cannot be loaded."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A loaded version.

    Attributes:
        version: Its number.
        run_id: The MLflow run that fitted it.
        digest: SHA-256 of its files.
        score: Computes the scores of a batch with a column for each input.
    """

    version: int
    run_id: str
    digest: str
    score: Callable[[pa.RecordBatch], pa.RecordBatch]


class Champion:
    """The champion of a model, as of the last request to the registry.

    A request for scores reads `loaded` once, so that it uses one version from start to end.

    Attributes:
        loaded: The version that scores.
        state: `CURRENT`, `UNKNOWN` or `REFUSED`.
    """

    def __init__(self, spec: ModelSpec, tracking: MlflowTracking) -> None:
        """Load the champion.

        Raises:
            LakehouseError: There is none, its files are refused, or the registry fails.
        """
        self.name = spec.name
        self.inputs = Inputs(spec.features, spec.texts)
        self._spec = spec
        self._tracking = tracking
        self.loaded = self._load(required_champion(tracking, spec.name))
        self.state: str = CURRENT

    def refresh(self) -> str | None:
        """Ask the registry for the champion, and load it if it is another version.

        Returns:
            A message about a change: the new version, or why the loaded one is kept.
        """
        state = UNKNOWN
        try:
            asked = required_champion(self._tracking, self.name)
            state = REFUSED
            if int(asked.version) == self.loaded.version:
                news = None if self.state == CURRENT else "the registry is available again"
            else:
                self.loaded = self._load(asked)
                news = f"now serving version {asked.version}"
            self.state = CURRENT
        except LakehouseError as error:
            news = (
                None
                if self.state == state
                else (f"still serving version {self.loaded.version}: {error}")
            )
            self.state = state
        return news and f"{self.name}: {news}"

    def _load(self, asked: ModelVersion) -> Loaded:
        """Load a version and score a row with it, so that its first request does not wait."""
        number = int(asked.version)
        model = load_version(self._tracking, self._spec, number)
        score = self._spec.scorer(model)
        _try(score, self.inputs, set(self._spec.scored), f"Version {number} of {self.name}")
        return Loaded(number, str(asked.run_id), asked.tags[FILES_DIGEST_TAG], score)


def _try(
    score: Callable[[pa.RecordBatch], pa.RecordBatch],
    inputs: Inputs,
    wanted: set[str],
    what: str,
) -> None:
    """Score a row of nulls, which every model accepts."""
    import pyarrow as pa

    nulls = [pa.nulls(1, pa.string() if n in inputs.texts else pa.float64()) for n in inputs.names]
    try:
        found = set(score(pa.RecordBatch.from_arrays(nulls, names=list(inputs.names))).schema.names)
    except Exception as error:
        raise LakehouseError(
            f"{what} cannot score a row of nulls ({type(error).__name__}); promote another version."
        ) from error
    if found != wanted:
        raise LakehouseError(
            f"{what} returns the columns {', '.join(sorted(found))} instead of "
            f"{', '.join(sorted(wanted))}; promote another version."
        )
