"""The figure of a sentiment model: confusions, calibration, and the choice of the penalty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.models.sentiment_model import CLASSES
from lakehouse_assets.ml.calibration import BINS
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK: Final = "#333333"
_LINE: Final = "#264653"


def sentiment_figure(
    labels: Any, probabilities: FloatArray, recalls: Mapping[float, float], chosen: float
) -> Figure:
    """Draw the results for tweets that were kept apart.

    Args:
        labels: Places of their labels in `CLASSES`.
        probabilities: Their probabilities, a column for each class.
        recalls: Macro recall on the validation tweets by inverse strength of the penalty.
        chosen: The chosen inverse strength.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 4.4), dpi=90, facecolor="white")
    confusion, calibration, penalties = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.08, right=0.98, top=0.82, bottom=0.14, wspace=0.4)
    figure.suptitle(
        f"Sentiment of {len(labels):,} tweets that the model has not seen",
        x=0.01, ha="left", fontsize=14, fontweight="bold", color=_INK,
    )  # fmt: skip
    _confusion(confusion, labels, probabilities)
    _calibration(calibration, labels, probabilities)
    penalties.plot(list(recalls), list(recalls.values()), marker="o", color=_LINE)
    penalties.plot([chosen], [recalls[chosen]], marker="o", markersize=11, color="#c8553d")
    penalties.set_xscale("log")
    penalties.set_xticks(list(recalls), [f"{penalty:g}" for penalty in recalls])
    penalties.minorticks_off()
    _frame(penalties, "Choice of the penalty", "inverse strength (C)", "macro recall, validation")
    return figure


def _confusion(axes: Axes, labels: Any, probabilities: FloatArray) -> None:
    """Draw how tweets of each label are called, as shares of the label."""
    import numpy as np

    counts = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column, row, f"{share:.0%}\n{counts[row, column]:,}", ha="center", va="center",
            fontsize=9, color="white" if share > 0.55 else _INK,
        )  # fmt: skip
    places = range(len(CLASSES))
    axes.set_xticks(places, CLASSES)
    axes.set_yticks(places, CLASSES)
    _frame(axes, "Confusion matrix", "predicted by the model", "labelled by people")


def _calibration(axes: Axes, labels: Any, probabilities: FloatArray) -> None:
    """Draw how often the likeliest class is right, by its probability."""
    import numpy as np

    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    found = np.bincount(bins, minlength=BINS)
    kept = found > 0
    total = np.maximum(found, 1)
    means = (np.bincount(bins, sure, BINS) / total)[kept]
    shares = (np.bincount(bins, right, BINS) / total)[kept]
    axes.plot([0.3, 1.0], [0.3, 1.0], color="#aaaaaa", linestyle="--", linewidth=1)
    axes.plot(means, shares, color=_LINE)
    axes.scatter(means, shares, s=20 + 400 * found[kept] / len(labels), color=_LINE)
    axes.set_xlim(0.3, 1.03)
    axes.set_ylim(-0.03, 1.05)
    _frame(axes, "Calibration", "probability of the likeliest class", "share that is right")


def _frame(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_INK)
    axes.set_xlabel(across, fontsize=9, color=_INK)
    axes.set_ylabel(up, fontsize=9, color=_INK)
    axes.tick_params(labelsize=9, length=0, colors=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
