"""The segment figure: six panels, every label drawn and none over another."""

from __future__ import annotations

import io
import itertools
import sys

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lakehouse_assets.domains.airline.models.personas import PERSONAS, UNCATEGORIZED
from lakehouse_assets.domains.airline.models.segment_figure import PERSONA_COLOURS, segment_figure


def _row(code: int | None, name: str, **values: object) -> dict[str, object]:
    scale = float(code or 3)
    return {
        "segment": code,
        "segment_name": name,
        "customer_count": int(12_345 / scale),
        "avg_flights": 41.3 / scale,
        "avg_points": 51_234.0 / scale,
        "avg_spent": 1_523.5 / scale,
        "avg_days_since_flight": 40.0 * scale,
        "avg_recency": 5.0 / scale,
        "avg_frequency": 4.0 / scale + 0.5,
        "avg_monetary": 4.0 / scale,
        **values,
    }


def _profile() -> list[dict[str, object]]:
    uncategorized = _row(
        None, UNCATEGORIZED, avg_recency=None, avg_frequency=None, avg_monetary=None
    )
    return [uncategorized, *(_row(p.code, p.name) for p in reversed(PERSONAS))]


def _tick_names(axes) -> list[str]:
    return [" ".join(tick.get_text().split("\n")) for tick in axes.get_yticklabels()]


@pytest.fixture(scope="module")
def figure() -> Figure:
    return segment_figure(_profile())


def test_six_panels_show_every_segment_in_the_order_of_its_code(figure):
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "Members", "Average flights", "Average loyalty points", "Average spend", "RFM scores",
        "Average days since last flight",
    ]  # fmt: skip
    names = [*(p.name for p in PERSONAS), UNCATEGORIZED]
    for axes in figure.axes:
        assert _tick_names(axes) == names
        assert axes.get_xlabel()
    assert [line.get_label() for line in figure.axes[4].lines] == [
        "Recency", "Frequency", "Monetary",
    ]  # fmt: skip
    assert [bar.get_width() for bar in figure.axes[1].patches] == pytest.approx(
        [41.3 / c for c in (1, 2, 3, 4, 5, 3)]
    )
    for axes in (figure.axes[i] for i in (0, 1, 2, 3, 5)):
        assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [
            PERSONA_COLOURS[name] for name in names
        ]


def test_missing_values_say_so():
    figure = segment_figure([_row(4, "Occasional Travelers", avg_spent=None)])
    assert [text.get_text() for text in figure.axes[3].texts] == ["no data"]


def test_no_label_covers_another_or_leaves_the_picture(figure):
    figure.draw_without_rendering()
    texts = [figure._suptitle]
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label]
        low, high = axes.get_xlim()
        ticks = [*axes.xaxis.get_major_ticks()]
        texts += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
        texts += axes.get_yticklabels()
        if axes.get_legend() is not None:
            texts += axes.get_legend().get_texts()
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert not one.overlaps(other), (first, second)


def test_drawing_leaves_no_global_state(figure):
    picture = io.BytesIO()
    figure.savefig(picture)
    assert picture.getvalue().startswith(b"\x89PNG")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
