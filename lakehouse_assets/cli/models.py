"""`lakehouse models evaluate`: a command for each model that declares an evaluation."""

from __future__ import annotations

import json
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer
from rich.table import Table as Grid
from typer.core import TyperGroup

from lakehouse_assets.cli.terminal import console, errors
from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.ml.evaluation import Evaluation

_JSON = "Print one JSON object, for scripts."


class _Evaluations(TyperGroup):
    """The evaluations that the domains declare, which are imported only when one is named."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the models."""
        from lakehouse_assets.domains import EVALUATIONS

        return sorted(EVALUATIONS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a model.

        Raises:
            LakehouseError: no model of this name declares an evaluation.
        """
        from lakehouse_assets.domains import EVALUATIONS

        if cmd_name not in EVALUATIONS:
            close = did_you_mean(cmd_name, EVALUATIONS) or "."
            raise LakehouseError(
                f"No model to evaluate is called {cmd_name}{close} There are: "
                f"{', '.join(sorted(EVALUATIONS))}."
            )
        return _command(EVALUATIONS[cmd_name])


models = typer.Typer(no_args_is_help=True, help="Evaluate models on files.")
models.add_typer(
    typer.Typer(),
    name="evaluate",
    cls=_Evaluations,
    no_args_is_help=True,
    help="Evaluate a model on labelled files; nothing is registered. "
    "`lakehouse models evaluate <model> --help` lists a model's arguments.",
)


def _command(evaluation: Evaluation) -> Any:
    """Build a model's command from the arguments that it declares."""

    def run(**given: Any) -> None:
        as_json = given.pop("as_json")
        parsed = {a.name: a.parse(given[a.name]) for a in evaluation.arguments}
        result = evaluation.run(parsed, lambda done: errors.print(done, style="dim"))
        if as_json:
            print(json.dumps(result, allow_nan=False))  # noqa: T201 - as it is, without Rich
        else:
            _print_result(result)

    texts = {argument.name: argument for argument in evaluation.arguments}
    hints: dict[str, Any] = {
        name: Annotated[str, typer.Option(f"--{name}", help=argument.help)]
        for name, argument in texts.items()
    }
    hints["as_json"] = Annotated[bool, typer.Option("--json", help=_JSON)]
    defaults = {name: Parameter.empty if a.default is None else a.default
                for name, a in texts.items()} | {"as_json": False}  # fmt: skip
    run.__signature__ = Signature([  # type: ignore[attr-defined]
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint, default=defaults[name])
        for name, hint in hints.items()
    ])  # fmt: skip
    run.__annotations__ = hints
    app = typer.Typer(add_completion=False)
    app.command(
        evaluation.name,
        help=evaluation.description,
        context_settings={"help_option_names": ["-h", "--help"]},
    )(run)
    return typer.main.get_command(app)


def _print_result(result: dict[str, Any]) -> None:
    """Print the values of an evaluation, and each table of values as a grid."""
    for name, value in result.items():
        rows = value if isinstance(value, dict) else {}
        if not all(isinstance(row, dict) for row in rows.values()) or not rows:
            shown = ", ".join(f"{k} {_shown(v)}" for k, v in rows.items()) or _shown(value)
            console.print(f"{name}: {shown}", highlight=False)
            continue
        grid = Grid(header_style="bold")
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        for column in (name, *columns):
            grid.add_column(column)
        for key, row in rows.items():
            grid.add_row(key, *(_shown(row.get(column, "")) for column in columns))
        console.print(grid)


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
