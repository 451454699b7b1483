"""Decisions about which version of a model is the champion, and the aliases that follow from them.

A decision is first recorded, as a tag of the version that it is about, and then carried out by
moving aliases. If the process is killed in between, the next one carries it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets import clock
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.comparison import Interval
from lakehouse_assets.ml.tracking import MlflowTracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION: Final = "champion"
"""Alias of the version that scores."""

CHALLENGER: Final = "challenger"
"""Alias of the newest version that passed its guards but was not shown to be good enough."""

PREVIOUS: Final = "previous"
"""Alias of the version that was the champion before; a rollback swaps the two."""

PARTITION_TAG: Final = "partition"
FIT: Final = "fit"
PROMOTE: Final = "promote"
ROLLBACK: Final = "rollback"

_TAG: Final = "decision."
# Longest value of a tag in MLflow.
_MOST_CHARACTERS: Final = 5_000
# In this order, a process that is killed on the way leaves one champion and loses none.
_ALIASES: Final = (PREVIOUS, CHAMPION, CHALLENGER)


@dataclass(frozen=True)
class Guard:
    """A condition on a fit, whether it holds, and the figures in words."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True)
class Decision:
    """A decision about a version.

    Attributes:
        model: Name of the registered model.
        action: `fit` if it follows a fit, `promote` or `rollback` if a person decided.
        candidate: The version that it is about.
        champion: The champion before; None if there was none.
        partition: Partition of the candidate.
        promoted: Whether the candidate is the champion afterwards.
        verdict: Why, in words.
        scoring: The version that scores the rows of the candidate's partition.
        aliases: All aliases afterwards.
        decided_by: The person or rule that decided.
        metric: Metric of the comparison, if there was one.
        difference: By how much the candidate is better.
        rows: Rows that were compared.
        out_of_fold_rows: Compared rows that the champion was fitted on; its out-of-fold
            predictions count for them.
        changed_rows: Compared rows whose key the champion was fitted on with other features.
        guards: The guards.
        data_versions: Delta versions that the candidate was fitted on, by table.
        run_id: The Dagster run that fitted it.
        decided_at: When, in UTC, as ISO text.
        number: Its place among the decisions about the model, from 1.
        carried_out: Whether the aliases were moved.
    """

    model: str
    action: str
    candidate: int
    champion: int | None
    partition: str
    promoted: bool
    verdict: str
    scoring: int
    aliases: Mapping[str, int]
    decided_by: str
    metric: str | None = None
    difference: Interval | None = None
    rows: int = 0
    out_of_fold_rows: int = 0
    changed_rows: int = 0
    guards: Sequence[Guard] = ()
    data_versions: Mapping[str, int] = field(default_factory=dict)
    run_id: str = ""
    decided_at: str = ""
    number: int = 0
    carried_out: bool = False

    def as_tag(self) -> str:
        """Return it as the text of a tag.

        Raises:
            LakehouseError: it is too long for MLflow.
        """
        text = json.dumps(asdict(self))
        if len(text) > _MOST_CHARACTERS:
            raise LakehouseError(
                f"The decision about {self.model} has {len(text)} characters, but MLflow stores "
                f"only {_MOST_CHARACTERS}; give a shorter reason, or declare fewer guards."
            )
        return text

    def as_row(self, registered_as: str) -> dict[str, Any]:
        """Return it as a row of `model_decisions`.

        Args:
            registered_as: The MLflow run of the candidate, which identifies it across registries.
        """
        identity = f"{registered_as} {self.number} {self.decided_at}"
        found = self.difference
        return {
            **asdict(self),
            "decision_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
            "data_versions": json.dumps(self.data_versions),
            "difference": found and found.value,
            "low": found and found.low,
            "high": found and found.high,
            "guards": json.dumps([asdict(guard) for guard in self.guards]),
            "scored_by": self.scoring,
            "decided_at": datetime.fromisoformat(self.decided_at),
        }

    @classmethod
    def of_tag(cls, text: str) -> Decision:
        """Read the text of a tag."""
        found: dict[str, Any] = json.loads(text)
        found["guards"] = tuple(Guard(**guard) for guard in found["guards"])
        if found["difference"] is not None:
            found["difference"] = Interval(**found["difference"])
        return cls(**found)


def aliases_of(tracking: MlflowTracking, name: str) -> dict[str, int]:
    """Return the versions of a model's three aliases; none if the model does not exist."""
    client = tracking.client()
    from mlflow.exceptions import MlflowException

    with tracking.plain_errors():
        try:
            found = client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
    return {alias: int(found[alias]) for alias in _ALIASES if alias in found}


def versions_of(tracking: MlflowTracking, name: str) -> list[ModelVersion]:
    """Return all versions of a model, oldest first."""
    found: list[ModelVersion] = []
    token = None
    with tracking.plain_errors():
        while True:
            page = tracking.client().search_model_versions(f"name = '{name}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda version: int(version.version))


def version_of(tracking: MlflowTracking, name: str, number: int) -> ModelVersion:
    """Return a version of a model.

    Raises:
        LakehouseError: there is no such version, or MLflow fails.
    """
    known = {int(found.version): found for found in versions_of(tracking, name)}
    if number not in known:
        listed = ", ".join(map(str, known)) or "none"
        raise LakehouseError(f"The model {name} has no version {number}; it has {listed}.")
    return known[number]


def decisions_of(versions: Sequence[ModelVersion]) -> list[Decision]:
    """Return the decisions about a model's versions, oldest first."""
    found = [
        Decision.of_tag(text)
        for version in versions
        for tag, text in version.tags.items()
        if tag.startswith(_TAG)
    ]
    return sorted(found, key=lambda decision: (decision.number, decision.decided_at))


def contradiction(decisions: Sequence[Decision], aliases: Mapping[str, int]) -> str | None:
    """Say how a model's aliases differ from the newest decision; None if they agree."""
    if not decisions or decisions[-1].aliases == aliases:
        return None
    wanted, found = (
        ", ".join(f"{alias} {version}" for alias, version in each.items()) or "none"
        for each in (decisions[-1].aliases, aliases)
    )
    return (
        f"{decisions[-1].model}: the aliases are {found}, but decision {decisions[-1].number} set "
        f"them to {wanted}; promote a version with `lakehouse models promote`, which records it"
    )


def record(tracking: MlflowTracking, decision: Decision) -> Decision:
    """Record a decision and carry it out; return it with its number and time.

    Raises:
        LakehouseError: it is too long, or MLflow fails.
    """
    number = 1 + max((d.number for d in decisions_of(versions_of(tracking, decision.model))),
                     default=0)  # fmt: skip
    decision = replace(decision, number=number, decided_at=clock.now().isoformat())
    _write(tracking, decision)
    return _carry_out(tracking, decision)


def settle(tracking: MlflowTracking, decisions: Sequence[Decision]) -> None:
    """Carry out the newest decision about a model if a killed process recorded it only."""
    if decisions and not decisions[-1].carried_out:
        _carry_out(tracking, decisions[-1])


def after_promotion(aliases: Mapping[str, int], version: int) -> dict[str, int]:
    """Return the aliases once a version has become the champion; there is no challenger then."""
    champion = aliases.get(CHAMPION)
    previous = aliases.get(PREVIOUS) if champion in (None, version) else champion
    return {CHAMPION: version, **({} if previous in (None, version) else {PREVIOUS: previous})}


def promote_by_hand(
    tracking: MlflowTracking, name: str, version: int, by: str, why: str
) -> Decision:
    """Make a version the champion by a person's decision.

    Raises:
        LakehouseError: there is no such version, or it is the champion already.
    """
    found = version_of(tracking, name, version)
    if _settled_aliases(tracking, name).get(CHAMPION) == version:
        raise LakehouseError(f"Version {version} of {name} is already the champion.")
    return _by_a_person(tracking, PROMOTE, found, by, f"promoted by hand: {why}")


def roll_back(tracking: MlflowTracking, name: str, by: str, why: str) -> Decision:
    """Swap the champion and the version that was the champion before.

    Raises:
        LakehouseError: there is no previous champion.
    """
    previous = _settled_aliases(tracking, name).get(PREVIOUS)
    if previous is None:
        raise LakehouseError(
            f"The model {name} has no previous champion to roll back to; promote a version with "
            f"`lakehouse models promote {name} VERSION`."
        )
    found = version_of(tracking, name, previous)
    return _by_a_person(tracking, ROLLBACK, found, by, f"rolled back: {why}")


def _settled_aliases(tracking: MlflowTracking, name: str) -> dict[str, int]:
    """Carry out an open decision, and return a model's aliases."""
    settle(tracking, decisions_of(versions_of(tracking, name)))
    return aliases_of(tracking, name)


def _by_a_person(
    tracking: MlflowTracking, action: str, version: ModelVersion, by: str, verdict: str
) -> Decision:
    """Record that a person made a version the champion."""
    number, aliases = int(version.version), aliases_of(tracking, version.name)
    return record(
        tracking,
        Decision(
            model=version.name, action=action, candidate=number, champion=aliases.get(CHAMPION),
            partition=version.tags.get(PARTITION_TAG, ""), promoted=True, verdict=verdict,
            scoring=number, aliases=after_promotion(aliases, number), decided_by=by,
        ),
    )  # fmt: skip


def _write(tracking: MlflowTracking, decision: Decision) -> None:
    with tracking.plain_errors():
        tracking.client().set_model_version_tag(
            decision.model, str(decision.candidate), f"{_TAG}{decision.number}", decision.as_tag()
        )


def _carry_out(tracking: MlflowTracking, decision: Decision) -> Decision:
    """Move the aliases to where a decision wants them, and note that this was done."""
    present, client = aliases_of(tracking, decision.model), tracking.client()
    with tracking.plain_errors():
        for alias in _ALIASES:
            wanted = decision.aliases.get(alias)
            if wanted is None and alias in present:
                client.delete_registered_model_alias(decision.model, alias)
            elif wanted is not None and present.get(alias) != wanted:
                client.set_registered_model_alias(decision.model, alias, str(wanted))
    decision = replace(decision, carried_out=True)
    _write(tracking, decision)
    return decision
