"""`lakehouse models`: lists, compares, promotes, trains and evaluates models."""

from __future__ import annotations

import json
import math
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table as Grid
from typer.core import TyperGroup

from lakehouse_assets.cli.opening import load_settings, open_lake, open_tracking
from lakehouse_assets.cli.terminal import AsJson, ModelName, console, errors, given_reason
from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.ml.evaluation import Evaluation, Training

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.decisions import Decision
    from lakehouse_assets.ml.spec import ModelSpec


def _declared(verb: str, names: str) -> type[TyperGroup]:
    """Return a group of the commands that domains declare, imported only when one is named."""

    def declared() -> dict[str, Any]:
        from lakehouse_assets import domains

        return dict(getattr(domains, names))

    class Declared(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return sorted(declared())

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            found = declared()
            if cmd_name not in found:
                close = did_you_mean(cmd_name, found) or "."
                raise LakehouseError(
                    f"There is no model {cmd_name} to {verb}{close} Models to {verb}: "
                    f"{', '.join(sorted(found))}."
                )
            return _command(found[cmd_name])

    return Declared


models = typer.Typer(
    no_args_is_help=True, help="List, compare, promote, train and evaluate models."
)
models.add_typer(
    typer.Typer(),
    name="evaluate",
    cls=_declared("evaluate", "EVALUATIONS"),
    no_args_is_help=True,
    help="Evaluate a model on labelled files, without registering it. "
    "`lakehouse models evaluate <model> --help` lists the options of a model.",
)
models.add_typer(
    typer.Typer(),
    name="train",
    cls=_declared("train", "TRAININGS"),
    no_args_is_help=True,
    help="Train a model from labelled files, register it, and compare it with the champion. "
    "`lakehouse models train <model> --help` lists the options of a model.",
)


_Why = Annotated[
    str,
    typer.Option(
        "--reason", callback=given_reason, help="Reason, which is recorded with your user name."
    ),
]


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models with their champion, challenger and latest decision."""
    from lakehouse_assets.domains import MODELS
    from lakehouse_assets.ml.decisions import aliases_of, decisions_of, versions_of

    tracking, found = open_tracking(), {}
    for name in sorted(MODELS):
        versions = versions_of(tracking, name)
        decisions = decisions_of(versions)
        found[name] = {
            "versions": len(versions),
            **dict.fromkeys(("champion", "challenger", "previous")),
            **aliases_of(tracking, name),
            "newest_decision": decisions[-1].verdict if decisions else None,
        }
    _print({"models": found}, as_json)


@models.command()
def show(name: ModelName, as_json: AsJson = False) -> None:
    """Show the versions of a model with their metrics, and the decisions about them."""
    from lakehouse_assets.ml.decisions import PARTITION_TAG, aliases_of, decisions_of, versions_of

    tracking, spec = open_tracking(), spec_of(name)
    versions, aliases = versions_of(tracking, name), aliases_of(tracking, name)
    result = {
        "model": name,
        "rule": spec.comparison.rule if spec.comparison else "every fit that passes its guards",
        "versions": {
            str(version.version): {
                "aliases": " ".join(a for a, v in aliases.items() if v == int(version.version)),
                "partition": version.tags.get(PARTITION_TAG, ""),
                **{
                    metric: value
                    for metric, value in tracking.metrics(str(version.run_id)).items()
                    if not metric.startswith("size_")
                },
            }
            for version in versions
        },
        "decisions": {
            str(decision.number): {
                "at": decision.decided_at[:19],
                "action": decision.action,
                "version": decision.candidate,
                "by": decision.decided_by,
                "verdict": decision.verdict,
            }
            for decision in decisions_of(versions)
        },
    }
    _print(result, as_json)


@models.command()
def compare(
    name: ModelName,
    version: Annotated[int, typer.Argument(help="Version to compare.")],
    other: Annotated[
        int | None, typer.Argument(help="Version to compare it with. Default: the champion.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions of a model on rows that neither was fitted on.

    The rows are those of the first version, by its predictions out of fold. The other version
    scores them; for rows that it was fitted on, its own predictions out of fold count.
    """
    from lakehouse_assets.domains import MODEL_TABLES
    from lakehouse_assets.ml.challenge import compare_versions
    from lakehouse_assets.ml.decisions import version_of
    from lakehouse_assets.ml.model_registry import required_champion
    from lakehouse_assets.ml.reproduce import fitted_rows

    tracking, spec = open_tracking(), spec_of(name)
    first = version_of(tracking, name, version)
    second = (
        required_champion(tracking, name) if other is None else version_of(tracking, name, other)
    )
    lake = open_lake(load_settings())
    with lake.engine.scope():
        rows = fitted_rows(MODEL_TABLES[name], lake, tracking, first)
    found = compare_versions(spec, tracking, first, second, rows)
    difference, comparison = found.difference, spec.comparison
    if difference is None or comparison is None:
        return
    result = {
        "model": name,
        "version": version,
        "other": int(second.version),
        "metric": comparison.metric,
        "rows": found.rows,
        "out_of_fold_rows": found.out_of_fold_rows,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "rule": comparison.rule,
        "holds": difference.low > comparison.bound,
    }
    _print(result, as_json)


@models.command()
def promote(
    name: ModelName,
    version: Annotated[int, typer.Argument(help="Version to promote.")],
    reason: _Why,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion, even against the model's rule, and record the reason."""
    from lakehouse_assets.ml.decisions import promote_by_hand
    from lakehouse_assets.query.audit import Reader

    spec_of(name)
    user = Reader.here().user
    _decided(promote_by_hand(open_tracking(), name, version, user, reason), as_json)


@models.command()
def rollback(name: ModelName, reason: _Why, as_json: AsJson = False) -> None:
    """Swap the champion with the previous champion, and record the reason."""
    from lakehouse_assets.ml.decisions import roll_back
    from lakehouse_assets.query.audit import Reader

    spec_of(name)
    _decided(roll_back(open_tracking(), name, Reader.here().user, reason), as_json)


@models.command()
def reproduce(
    name: ModelName,
    version: Annotated[int, typer.Argument(help="Version to train again.")],
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            help="File that the version was trained on, named by its option of `lakehouse models "
            "train`, such as train=labelled.csv; repeat for each file.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a version again from its recorded data versions, parameters and seeds.

    Nothing is registered. A version that was trained on files needs the same files. The exit code
    is 1 if rows, metrics or out-of-fold predictions differ by more than 1e-9.
    """
    from lakehouse_assets.domains import MODEL_TABLES
    from lakehouse_assets.ml.reproduce import reproduce as rebuild

    spec_of(name)
    rows = _rows_of_files(name, files) if files else None
    lake = open_lake(load_settings())
    with lake.engine.scope():
        result = rebuild(MODEL_TABLES[name], lake, open_tracking(), version, rows)
    _print(result, as_json)
    if not result["same"]:
        raise typer.Exit(1)


def _rows_of_files(name: str, files: list[str]) -> pa.Table:
    """Read the rows that a model is trained on from files, given as `name=file`.

    Raises:
        LakehouseError: the model is not trained from files, or not from these.
    """
    from lakehouse_assets.domains import TRAININGS

    if name not in TRAININGS:
        raise LakehouseError(f"The model {name} is not trained on files; omit --file.")
    arguments = TRAININGS[name].arguments
    given = dict(file.partition("=")[::2] for file in files)
    needed = {argument.name for argument in arguments if argument.default is None}
    if not needed <= given.keys() <= {argument.name for argument in arguments}:
        listed = ", ".join(f"{a.name}=FILE" for a in arguments)
        raise LakehouseError(
            f"--file {', '.join(files)} does not match; name the files as in `lakehouse models "
            f"train {name}`: {listed}."
        )
    return TRAININGS[name].rows(
        {a.name: a.parse(given.get(a.name, a.default or "")) for a in arguments}
    )


def spec_of(name: str) -> ModelSpec:
    """Return a model's declaration.

    Raises:
        LakehouseError: there is no such model.
    """
    from lakehouse_assets.domains import MODELS

    if name not in MODELS:
        close = did_you_mean(name, MODELS) or "."
        raise LakehouseError(
            f"There is no model {name}{close} Models: {', '.join(sorted(MODELS))}."
        )
    return MODELS[name]


def _decided(decision: Decision, as_json: bool) -> None:
    """Copy a person's decision to the lake, and print it."""
    from lakehouse_assets.lake.commits import Commit
    from lakehouse_assets.orchestration.model_decisions import copy_decisions
    from lakehouse_assets.quality.tables import MODEL_DECISIONS

    lake = open_lake(load_settings())
    copy_decisions(
        lake,
        open_tracking(),
        decision.model,
        Commit(decision.action, "/".join(MODEL_DECISIONS.key)),
    )
    result = {
        "model": decision.model,
        "decision": decision.number,
        **dict(decision.aliases),
        "verdict": decision.verdict,
        "decided_by": decision.decided_by,
    }
    _print(result, as_json)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        text = json.dumps(_finite(result), allow_nan=False)
        print(text)  # noqa: T201 - as it is, without Rich
    else:
        _print_result(result)


def _finite(value: Any) -> Any:
    """Return a result with null for numbers that JSON lacks: NaN and the infinities."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _command(declared: Evaluation | Training) -> Any:
    """Build a model's command from the arguments that it declares."""

    def run(**given: Any) -> None:
        as_json = given.pop("as_json")
        parsed = {a.name: a.parse(given[a.name]) for a in declared.arguments}
        if isinstance(declared, Evaluation):
            result = declared.run(parsed, lambda done: errors.print(done, style="dim"))
        else:
            result = _train(declared, parsed)
        _print(result, as_json)

    texts = {argument.name: argument for argument in declared.arguments}
    hints: dict[str, Any] = {
        name: Annotated[str, typer.Option(f"--{name}", help=argument.help)]
        for name, argument in texts.items()
    }
    hints["as_json"] = AsJson
    defaults = {name: Parameter.empty if a.default is None else a.default
                for name, a in texts.items()} | {"as_json": False}  # fmt: skip
    run.__signature__ = Signature([  # type: ignore[attr-defined]
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint, default=defaults[name])
        for name, hint in hints.items()
    ])  # fmt: skip
    run.__annotations__ = hints
    # The first sentence alone is shown in the list of commands.
    first, _, rest = declared.description.partition(". ")
    app = typer.Typer(add_completion=False)
    app.command(
        declared.name,
        help=f"{first}.\n\n{rest}" if rest else declared.description,
        context_settings={"help_option_names": ["-h", "--help"]},
    )(run)
    return typer.main.get_command(app)


def _train(training: Training, arguments: dict[str, Any]) -> dict[str, Any]:
    """Train a model from files; return what to print."""
    from lakehouse_assets.ml.lifecycle import title_of, train

    spec, rows = training.spec, training.rows(arguments)
    title = title_of(spec, training.domain, arguments[training.arguments[0].name].name)
    version, decision, metrics = train(spec, open_tracking(), rows, title)
    return {
        "model": spec.name,
        "version": version.model_version,
        "rows": rows.num_rows,
        "metrics": dict(metrics),
        "decision": decision.verdict,
    }


def _print_result(result: dict[str, Any]) -> None:
    """Print the values of an evaluation, and each table of values as a grid."""
    for name, value in result.items():
        rows = value if isinstance(value, dict) else {}
        if not all(isinstance(row, dict) for row in rows.values()) or not rows:
            shown = ", ".join(f"{k} {_shown(v)}" for k, v in rows.items()) or _shown(value)
            console.print(f"{name}: {shown}", highlight=False)
            continue
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        grid = Grid(name, *columns, header_style="bold")
        for key, row in rows.items():
            grid.add_row(key, *(_shown(row.get(column, "")) for column in columns))
        console.print(grid)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        # Counts are metrics too, and MLflow has only floats.
        return f"{value:.0f}" if value.is_integer() else f"{value:.4f}"
    return "" if value is None else str(value)
