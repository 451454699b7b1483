"""Figures of customers who left and who stayed: tenure by spend, and correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse_assets.domains.retail.models.churn_model import TEXTS

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

# By whether they left.
_COLOURS = {"No": "#1f6f8b", "Yes": "#222222"}


def spend_figure(rows: pa.Table) -> Figure:
    """Draw total amount by tenure, in the colours of the reference lab.

    Args:
        rows: Customers with `tenure_months`, `total_amount` and `churn`.
    """
    from matplotlib.figure import Figure
    from pyarrow import compute as pc

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for churn, colour in _COLOURS.items():
        some = rows.filter(pc.equal(rows["churn"], churn))
        axes.scatter(
            some["tenure_months"].to_numpy(), some["total_amount"].to_numpy(),
            s=8, alpha=0.6, color=colour, label={"No": "stayed", "Yes": "left"}[churn],
        )  # fmt: skip
    axes.set_title(f"{rows.num_rows:,} customers", loc="left")
    axes.set_xlabel("tenure, months")
    axes.set_ylabel("total amount, US dollars")
    axes.legend(frameon=False)
    return figure


def correlations(rows: pa.Table) -> dict[str, float]:
    """Return the correlation with churn of each value of text, as 0 or 1, in ascending order.

    Args:
        rows: Customers with the columns of text and `churn`; values that all or none of them have
            are left out, and of two values of a column, one.
    """
    import numpy as np
    from pyarrow import compute as pc

    left = pc.equal(rows["churn"], "Yes").to_numpy().astype(float)
    found = {}
    for name in TEXTS:
        column = rows[name].fill_null("Unknown")
        values = sorted(column.unique().to_pylist())
        for value in values[1:] if len(values) == 2 else values:
            has = pc.equal(column, value).to_numpy().astype(float)
            if has.std() and left.std():
                found[f"{name} {value}"] = float(np.corrcoef(has, left)[0, 1])
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def correlation_figure(found: dict[str, float]) -> Figure:
    """Draw the correlations with churn as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.24 * len(found)), layout="constrained")
    axes = figure.subplots()
    colours = ["#c8553d" if value > 0 else "#1f6f8b" for value in found.values()]
    axes.barh(list(found), list(found.values()), color=colours)
    axes.axvline(0.0, color="#333333", linewidth=0.8)
    axes.set_xlabel("correlation with churn")
    axes.margins(y=0.01)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure
