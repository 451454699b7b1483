"""The model card of a version: its data, metrics with intervals, slices, limits and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.ml.comparison import estimates_by_slice
from lakehouse_assets.ml.held_out import LABEL, PREDICTION
from lakehouse_assets.text import markdown

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.decisions import Decision
    from lakehouse_assets.ml.lifecycle import Fitting
    from lakehouse_assets.ml.spec import Fitted, ModelSpec

FILE: Final = "model_card.md"


def model_card(
    fitting: Fitting, fitted: Fitted, decision: Decision, held_out: pa.Table | None
) -> str:
    """Return the card of a version as Markdown.

    Args:
        fitting: What was fitted.
        fitted: The fit.
        decision: The decision about it.
        held_out: Its predictions out of fold.
    """
    spec, sample = fitting.spec, fitting.sample
    fitted_rows = sample.rows.num_rows
    bounded = f", a sample of {sample.total:,}" if fitted_rows < sample.total else ""
    data = ", ".join(f"{name} version {n}" for name, n in sorted(decision.data_versions.items()))
    parts = [
        f"# {spec.name}, version {decision.candidate}",
        decision.verdict[:1].upper() + decision.verdict[1:] + ".",
        "## Data",
        f"{fitted_rows:,} complete rows{bounded}, from partition {decision.partition} of "
        f"{data or 'a file'}.",
        f"Predicts {spec.target or 'groups'} from {', '.join(spec.features)}.",
        "## Metrics",
        _grid(("metric", "value"), ((name, metric_text(value)) for name, value in
                                    fitted.metrics.items())),
        *_estimates(spec, sample.rows, held_out),
        "## Guards",
        _grid(("guard", "result", "figures"), ((g.name, "passed" if g.passed else "failed", g.text)
                                               for g in decision.guards)),
        spec.replaces,
        "## Limits",
        "\n".join(f"- {limit}" for limit in spec.limits) or "None declared.",
        *(["## Rules", "\n".join(_lines(spec.rules))] if spec.rules else []),
        "## Settings and environment",
        "\n".join(_lines({**asdict(fitting.settings), **fitting.libraries})),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _estimates(spec: ModelSpec, rows: pa.Table, held_out: pa.Table | None) -> Iterator[str]:
    """Yield the metric of the comparison with its interval: of all rows, and of each slice."""
    comparison = spec.comparison
    if comparison is None or held_out is None:
        return
    usable = held_out[PREDICTION].is_valid().to_numpy()
    labels, predictions = (held_out[name].to_numpy()[usable] for name in (LABEL, PREDICTION))
    features = [rows[name].to_numpy()[usable] for name in comparison.slices]
    found = estimates_by_slice(comparison, features, labels, predictions)
    yield f"Out-of-fold estimates with 95 % intervals ({int(usable.sum()):,} rows):"
    yield _grid(("rows", comparison.metric), ((name, str(each)) for name, each in found.items()))


def metric_text(value: float) -> str:
    """Return a metric as text; counts, which MLflow stores as floats, have no decimals."""
    return f"{value:.0f}" if value.is_integer() else f"{value:.4f}"


def _grid(heads: Sequence[str], rows: Any) -> str:
    lines = [heads, ["---"] * len(heads), *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _lines(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield nested values as a list."""
    pad = "  " * depth
    if isinstance(value, str):
        value = [value]
    named = value.items() if isinstance(value, Mapping) else enumerate(value, 1)
    for name, item in named:
        nested = isinstance(item, Mapping) or (
            isinstance(item, Sequence) and any(isinstance(each, Mapping) for each in item)
        )
        if nested:
            yield f"{pad}- {name}:"
            yield from _lines(item, depth + 1)
        else:
            yield f"{pad}- {name}: {item}"
