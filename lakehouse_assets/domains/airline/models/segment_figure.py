"""The figure of the segment profile: six panels.

Matplotlib's object interface is used, never pyplot: pyplot keeps every figure in a global list and
picks a backend for the whole process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from lakehouse_assets.domains.airline.models.personas import (
    AT_RISK,
    LOYAL,
    NEW,
    OCCASIONAL,
    PREMIUM,
    UNCATEGORIZED,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERSONA_COLOURS: Final[dict[str, str]] = {
    PREMIUM.name: "#b8860b",
    LOYAL.name: "#1f6f8b",
    NEW.name: "#4c9f70",
    OCCASIONAL.name: "#8d99ae",
    AT_RISK.name: "#c8553d",
    UNCATEGORIZED: "#d0d0d0",
}
"""One colour per segment name, the same in every panel and, by intent, in every report."""

_BAR_PANELS: Final = (
    ("customer_count", "Members", "members", "{:,.0f}"),
    ("avg_flights", "Average flights", "flights per member", "{:,.1f}"),
    ("avg_points", "Average loyalty points", "points per member", "{:,.0f}"),
    ("avg_spent", "Average spend", "source currency per member", "{:,.2f}"),
    ("avg_days_since_flight", "Average days since last flight", "days", "{:,.0f}"),
)
_SCORES: Final = (
    ("avg_recency", "Recency", "o", "#264653"),
    ("avg_frequency", "Frequency", "s", "#2a9d8f"),
    ("avg_monetary", "Monetary", "^", "#e76f51"),
)
_INK: Final = "#333333"
# Leaves room for the value to the right of the longest bar.
_VALUE_ROOM: Final = 1.22


def segment_figure(profile: Sequence[Mapping[str, object]]) -> Figure:
    """Draw the specification's six panels: count, flights, points, spend, RFM, days since flight.

    Args:
        profile: One row per segment of `gold_segment_summary`. A value may be None (segments
            without scores): its bar or point is left out. Rows are drawn in order of segment
            number, those without a number last.

    Returns:
        A figure outside of any global state; save it with `figure.savefig(path)`.
    """
    from matplotlib.figure import Figure

    rows = sorted(profile, key=lambda row: float(str(row["segment"] or math.inf)))
    labels = [_label(row) for row in rows]
    colours = [PERSONA_COLOURS[str(row["segment_name"])] for row in rows]
    figure = Figure(figsize=(16, 4.2 + 0.75 * len(rows)), dpi=90, facecolor="white")
    grid = figure.subplots(2, 3)
    figure.subplots_adjust(left=0.09, right=0.985, top=0.88, bottom=0.09, wspace=0.42, hspace=0.42)
    members = sum(_number(row, "customer_count") for row in rows)
    figure.suptitle(
        f"Member segments: {members:,.0f} members in {len(rows)} segments",
        x=0.01, ha="left", fontsize=15, fontweight="bold", color=_INK,
    )  # fmt: skip
    panels = list(grid.flat)
    rfm = panels.pop(4)
    for axes, (column, title, unit, pattern) in zip(panels, _BAR_PANELS, strict=True):
        values = [_number(row, column) for row in rows]
        _bars(axes, labels, values, colours, pattern)
        _frame(axes, title, unit)
    _score_lines(rfm, rows, labels)
    return figure


def _bars(
    axes: Axes, labels: list[str], values: list[float], colours: list[str], pattern: str
) -> None:
    """Draw horizontal bars, the first on top; long names stay readable."""
    places = range(len(values))
    lengths = [0.0 if math.isnan(value) else value for value in values]
    axes.barh(places, lengths, color=colours, height=0.66)
    longest = max(*lengths, 0.0)
    for place, value, length in zip(places, values, lengths, strict=True):
        text = "no data" if math.isnan(value) else pattern.format(value)
        axes.annotate(
            text, (length, place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=9, color=_INK,
        )  # fmt: skip
    axes.set_xlim(0, longest * _VALUE_ROOM if longest > 0 else 1)
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _score_lines(axes: Axes, rows: list[Mapping[str, object]], labels: list[str]) -> None:
    """Draw the three average scores by segment, each from 1 (low) to 5 (high)."""
    places = range(len(rows))
    for column, name, marker, colour in _SCORES:
        values = [_number(row, column) for row in rows]
        axes.plot(values, places, marker=marker, color=colour, linewidth=2, label=name)
    axes.set_yticks(places, labels)
    # Half a bar of margin, so that segments line up with those of the other panels.
    axes.set_ylim(len(rows) - 0.6, -0.4)
    axes.set_xlim(0.8, 5.2)
    axes.set_xticks(range(1, 6))
    axes.grid(color="#e6e6e6", linewidth=0.8)
    _frame(axes, "RFM scores", "average score, 1 (low) to 5 (high)")
    # The legend is above the panel, where no line can cross it.
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8, frameon=False,
        handlelength=1.4, columnspacing=1.0, borderpad=0.1,
    )  # fmt: skip


def _frame(axes: Axes, title: str, unit: str) -> None:
    """Set a panel's title, unit and frame."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_INK)
    axes.set_xlabel(unit, fontsize=9, color=_INK)
    axes.tick_params(labelsize=9, length=0, colors=_INK)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _label(row: Mapping[str, object]) -> str:
    """Return the segment's name on two lines."""
    return str(row["segment_name"]).replace(" ", "\n", 1)


def _number(row: Mapping[str, object], column: str) -> float:
    """Return a value of the row as a float; NaN for None."""
    value = row[column]
    return math.nan if value is None else float(str(value))
