"""A comparison in one picture: differences from the reference, scores by seed, learning curves."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .plots import BASELINE, CANDIDATE, QUIET, loss_axis, picture, shortened

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")
_SAYS = {
    "better": (CANDIDATE, "o", CANDIDATE),
    "worse": (BASELINE, "v", BASELINE),
    "not told apart": (QUIET, "o", "white"),
}
"""Colour, marker and filling of a difference."""
_WIDTH, _NAME = 10.0, 22


def comparison_pictures(table: Mapping[str, Any]) -> tuple[str, bytes]:
    """SVG text, and the same as PNG on white.

    Args:
        table: as of `search.comparison_table`.
    """
    png = io.BytesIO()

    @picture
    def drawn() -> Figure:
        figure = _drawn(table)
        figure.savefig(png, format="png", dpi=150, transparent=False, facecolor="white")
        return figure

    return drawn(), png.getvalue()


def _drawn(table: Mapping[str, Any]) -> Figure:
    rows = [row for row in table["functions"] if not row["unsound"]]
    lost = [row for row in table["functions"] if row["unsound"]]
    floor = _floor([row["mean"] for row in rows])
    drawn = [row for row in rows if row["mean"] >= floor]
    height = 1.5 + 0.27 * max(1, len(table["functions"]))
    figure = Figure((_WIDTH, height + 3.6))
    panels = figure.subplot_mosaic(
        [["differences", "scores"], ["curves", "curves"]], height_ratios=[height, 3.2]
    )
    names = [shortened(row["label"], _NAME) for row in (*rows, *lost)]
    for axes in (panels["differences"], panels["scores"]):
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.locator_params("x", nbins=6)
    panels["scores"].tick_params(labelleft=False)
    _draw_differences(panels["differences"], drawn, table)
    _draw_scores(panels["scores"], drawn, table)
    for place, row in enumerate(rows[len(drawn) :], len(drawn)):
        found = row["difference"]
        if found:
            _remark(panels["differences"], place, f"← {found['effect']:+.4f}, {found['says']}")
        _remark(panels["scores"], place, f"← {row['mean']:.4f}")
    for place in range(len(rows), len(names)):
        _remark(panels["differences"], place, "no score at some seed")
    _draw_curves(panels["curves"], rows)
    return figure


def _draw_differences(
    axes: Axes, rows: Sequence[Mapping[str, Any]], table: Mapping[str, Any]
) -> None:
    axes.axvline(0, color="#333333", lw=1)
    shown = []
    for place, row in enumerate(rows):
        found = row["difference"]
        if found is None:
            axes.plot([0], [place], "|", color="#333333", ms=9, mew=2)
            continue
        colour, marker, fill = _SAYS[found["says"]]
        axes.plot([found["low"], found["high"]], [place, place], color=colour, lw=2)
        axes.plot([found["effect"]], [place], marker, color=colour, mfc=fill, ms=6)
        shown.append(found["says"])
    for says, (colour, marker, fill) in _SAYS.items():
        if says in shown:
            axes.plot([], [], marker, color=colour, mfc=fill, label=says)
    reference = shortened(table["reference"], _NAME)
    axes.set_xlabel(f"score less {reference}'s, paired; {table['confidence']:.0%} interval")
    _legend(axes, 3)


def _draw_scores(axes: Axes, rows: Sequence[Mapping[str, Any]], table: Mapping[str, Any]) -> None:
    maybe_best = {table["best"], *table["tied_with_best"]}
    for place, row in enumerate(rows):
        colour = CANDIDATE if row["label"] in maybe_best else QUIET
        axes.plot(row["scores"], [place] * len(row["scores"]), "o", color=colour, alpha=0.4, ms=4)
        axes.plot([row["mean"]], [place], "|", color=colour, ms=11, mew=2.2)
    for colour, label in ((CANDIDATE, "may be the best"), (QUIET, "is not")):
        axes.plot([], [], "o", color=colour, label=label)
    axes.set_xlabel("score, a dot for each seed, and the mean")
    _legend(axes, 2)


def _floor(means: Sequence[float]) -> float:
    """Lowest mean drawn to scale: bad functions must not flatten the better half."""
    if not means:
        return -math.inf
    middle, top = float(np.median(means)), max(means)
    far = min(means) < middle - 4 * (top - middle)
    return middle - 2 * (top - middle) if far else min(means)


def _remark(axes: Axes, place: int, text: str) -> None:
    axes.text(0.01, place, text, transform=axes.get_yaxis_transform(), color=QUIET, va="center")


def _draw_curves(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    losses: list[float] = []
    for number, row in enumerate(rows):
        if not row["curve"]:
            continue
        steps, loss = zip(*row["curve"], strict=True)
        losses += loss
        colour = _COLOURS[number % len(_COLOURS)]
        dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
        label = shortened(row["label"], _NAME)
        axes.plot(steps, loss, color=colour, ls=dash, lw=1.5, label=label)
    loss_axis(axes, losses)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("training loss, mean over seeds")
    if losses:
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            handlelength=2.4,
            ncols=1 if len(rows) <= 14 else 2,
        )


def _legend(axes: Axes, columns: int) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2)
