"""Pictures of a report: plain data in, SVG text out that a page holds as it is.

Equal data give equal bytes. Text stays text, so that it can be searched and read aloud; labels
may hold any sign, `$` and `<` too. Colours are those of Okabe and Ito, which colour-blind people
tell apart, and marker or dash says the same as the colour.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

CANDIDATE, BASELINE, QUIET = "#0072B2", "#D55E00", "#767676"
_TOP = (CANDIDATE, "#009E73", "#CC79A7")
_REFERENCES = ((BASELINE, "--"), ("#B07800", ":"))
_BARS = {"flow": CANDIDATE, "rejected": BASELINE, "lost": "#E69F00"}
_PLANES, _LEVELS = (CANDIDATE, BASELINE), (-8, -4, -2, -1, -0.3, 0, 0.3, 1, 2, 4, 8)
INCHES = 5.0
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "actsearch",
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "axes.formatter.useoffset": False,
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.transparent": True,
}

Curve = tuple[np.ndarray, np.ndarray]


def picture(draw: Callable[..., Figure]) -> Callable[..., str]:
    """Draw in one style, whatever the user's matplotlibrc says, and give the SVG text."""

    @wraps(draw)
    def drawn(*args: Any, **options: Any) -> str:
        with style.context(["default", STYLE]):
            file = io.StringIO()
            draw(*args, **options).savefig(
                file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
            )
        text = file.getvalue()
        # A page with several pictures must not repeat the ids of their groups.
        return re.sub(r'<g id="[^"]*"', "<g", text[text.index("<svg") :])

    return drawn


@picture
def means_picture(arms: Sequence[Mapping[str, Any]], lowest: float | None) -> Figure:
    """Mean and interval of every arm, the scores of its seeds behind.

    Args:
        arms: of the finals with their `interval`, a pair or None; drawn from the top down.
        lowest: left end of the axis; an arm with its mean below it is given in figures.
    """
    figure, axes = _rows([shortened(arm["label"], 16) for arm in arms], 0.26)
    for colour, marker, name in ((CANDIDATE, "o", "finalist"), (BASELINE, "s", "baseline")):
        axes.plot([], [], marker, color=colour, label=name)
    axes.plot([], [], "|", color=QUIET, label="one seed")
    for row, arm in enumerate(arms):
        colour, marker = (CANDIDATE, "o") if arm["candidate"] else (BASELINE, "s")
        mean = arm["mean"]
        if mean is None:
            _remark(axes, row, "trained at no seed")
            continue
        if lowest is not None and mean < lowest:
            _remark(axes, row, f"← {mean:.4f}, left of the picture")
            continue
        axes.plot(arm["scores"], [row] * len(arm["scores"]), "|", color=colour, alpha=0.45, ms=7)
        if arm["interval"]:
            axes.plot(arm["interval"], [row, row], color=colour, lw=2)
        fill = "white" if arm["unsound"] else colour
        axes.plot([mean], [row], marker, color=colour, mfc=fill, ms=6)
    if lowest is not None:
        highest = max(
            value for arm in arms for value in (lowest, *arm["scores"], *(arm["interval"] or ()))
        )
        margin = 0.04 * (highest - lowest) or 0.01
        axes.set_xlim(lowest - margin, highest + margin)
    axes.locator_params("x", nbins=6)
    axes.set_xlabel("score in the finals (higher is better)")
    legend(axes, 3)
    return figure


@picture
def effects_picture(comparisons: Sequence[Mapping[str, Any]]) -> Figure:
    """Paired difference of each finalist to each reference, with its interval."""
    names = list(dict.fromkeys(c["name"] for c in comparisons))
    references = list(dict.fromkeys(c["against"] for c in comparisons))
    figure, axes = _rows([shortened(name, 16) for name in names], 0.42)
    axes.axvline(0, color="#333333", lw=1)
    for number, reference in enumerate(references):
        shift = (number - (len(references) - 1) / 2) * 0.3
        colour, marker = ((CANDIDATE, "o"), ("#009E73", "D"))[number % 2]
        for c in (c for c in comparisons if c["against"] == reference):
            row = names.index(c["name"]) + shift
            axes.plot([c["low"], c["high"]], [row, row], color=colour, lw=2)
            fill = colour if c["better"] else "white"
            axes.plot([c["effect"]], [row], marker, color=colour, mfc=fill, ms=6)
        axes.plot(
            [], [], marker, color=colour, mfc="white", label=f"minus {shortened(reference, 20)}"
        )
    axes.locator_params("x", nbins=5)
    axes.set_xlabel("difference of scores on the same seeds")
    legend(axes, 2)
    return figure


@picture
def shape_picture(points: np.ndarray, candidate: Curve, references: Mapping[str, Curve]) -> Figure:
    """Value on the left, slope on the right; references thin behind.

    Args:
        points: where the functions were evaluated.
        candidate, references: value and slope there; what is not finite leaves a gap.
    """
    figure = Figure((INCHES, 2.1))
    for side, (title, least, most) in enumerate((("f(x)", -1.0, 4.0), ("f'(x)", -0.5, 1.5))):
        axes = figure.add_subplot(1, 2, side + 1)
        for (colour, dash), curve in zip(_REFERENCES, references.values(), strict=False):
            axes.plot(points, curve[side], color=colour, ls=dash, lw=1.3)
        with np.errstate(invalid="ignore"):
            values = np.where(np.isfinite(candidate[side]), candidate[side], np.nan)
        axes.plot(points, np.clip(values, -100, 100), color=CANDIDATE, lw=2)
        low, high = np.nanmin([*values, least]), np.nanmax([*values, most])
        axes.set_ylim(max(low, 2 * least - most) - 0.2, min(high, 2 * most - least) + 0.2)
        axes.set_xlim(points[0], points[-1])
        axes.set_title(title, fontsize=9.5, loc="left")
    return figure


@picture
def plane_picture(points: np.ndarray, planes: Mapping[str, np.ndarray]) -> Figure:
    """Contours of functions of u and v, side by side at the same levels, dashed below 0.

    Args:
        points: (n,) values of u, and of v.
        planes: two functions by title, (n, n) each, the first axis u; what is not finite leaves a
            gap.
    """
    figure = Figure((INCHES, 2.5))
    first = figure.add_subplot(1, 2, 1)
    for axes, colour, (title, values) in zip(
        (first, figure.add_subplot(1, 2, 2, sharey=first)), _PLANES, planes.items(), strict=True
    ):
        finite = np.ma.masked_invalid(values.T)
        lines = axes.contour(points, points, finite, _LEVELS, colors=colour, linewidths=1.2)
        axes.clabel(lines, fmt="%g", fontsize=7)
        axes.set_title(shortened(title, 16), fontsize=9.5, loc="left")
        axes.set_xlabel("u")
    first.set_ylabel("v")
    return figure


@picture
def progress_picture(
    points: Sequence[tuple[int, float, bool]],
    unranked: Sequence[int],
    references: Mapping[str, float],
) -> Figure:
    """Score of each candidate in the order of proposal.

    Args:
        points: (index, score at the last rung reached, whether complete).
        unranked: indices of candidates that were turned down, diverged or failed.
        references: scores of known activations, as lines across.
    """
    figure = Figure((INCHES, 3.5))
    axes = figure.add_subplot()
    scores = [score for _, score, _ in points]
    floor = _floor(scores)
    across = axes.get_xaxis_transform()
    for ended, name, look in (
        (False, "stopped", {"color": QUIET, "mfc": "none"}),
        (True, "complete", {"color": CANDIDATE, "alpha": 0.75, "mew": 0}),
    ):
        drawn = [(i, s) for i, s, complete in points if complete is ended and s >= floor]
        below = [i for i, s, complete in points if complete is ended and s < floor]
        if drawn:
            axes.plot(*zip(*drawn, strict=True), "o", ms=4, label=name, **look)
        if below:
            heights, label = [0.02] * len(below), f"{name}, far below"
            axes.plot(below, heights, "v", ms=4.5, transform=across, label=label, **look)
    complete = sorted((i, s) for i, s, complete in points if complete)
    if complete:
        at, best = zip(*complete, strict=True)
        running = np.maximum.accumulate([*best, best[-1]])
        ends = [*at, max(i for i, _, _ in points)]
        axes.step(ends, running, where="post", color=CANDIDATE, lw=1.5, label="best so far")
    if unranked:
        heights, label = [0.02] * len(unranked), "without a score"
        axes.plot(unranked, heights, "x", color="k", ms=5, transform=across, label=label)
    for (colour, dash), (name, score) in zip(_REFERENCES, references.items(), strict=False):
        axes.axhline(score, color=colour, ls=dash, lw=1.6, label=name)
    last = max([*unranked, *(i for i, _, _ in points)], default=0)
    axes.set_xlim(-0.5 - 0.02 * last, last + 0.5 + 0.02 * last)
    axes.set_xlabel("candidate, in the order of proposal")
    axes.set_ylabel("score at the last rung reached")
    axes.locator_params("x", integer=True)
    legend(axes, 3)
    return figure


@picture
def funnel_picture(stages: Sequence[tuple[str, int, str]]) -> Figure:
    """Counts as bars.

    Args:
        stages: (name, count, kind), where the kind is `flow`, `rejected` or `lost`.
    """
    figure, axes = _rows([shortened(name, 30) for name, _, _ in stages], 0.25)
    largest = max((count for _, count, _ in stages), default=0)
    for row, (_, count, kind) in enumerate(stages):
        axes.barh(row, count, height=0.7, color=_BARS[kind])
        axes.annotate(
            f"{count:,}", (count, row), (3, 0), textcoords="offset points", va="center_baseline"
        )
    axes.set_xlim(0, 1.14 * max(largest, 1))
    axes.locator_params("x", integer=True, nbins=6)
    axes.set_xlabel("candidates")
    return figure


@picture
def curves_picture(
    candidates: Mapping[str, Sequence[tuple[int, float]]],
    references: Mapping[str, Sequence[tuple[int, float]]],
) -> Figure:
    """Training loss by step; the loss axis is logarithmic unless a loss is not positive."""
    figure = Figure((INCHES, 3.3))
    axes = figure.add_subplot()
    drawn = [
        *zip(((colour, "-") for colour in _TOP), candidates.items(), strict=False),
        *zip(_REFERENCES, references.items(), strict=False),
    ]
    for (colour, dash), (name, curve) in drawn:
        axes.plot(
            *zip(*curve, strict=True), color=colour, ls=dash, lw=1.6, label=shortened(name, 16)
        )
    losses = [loss for _, (_, curve) in drawn for _, loss in curve]
    loss_axis(axes, losses)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("training loss")
    legend(axes, 5)
    return figure


def _rows(names: Sequence[str], inches: float) -> tuple[Figure, Axes]:
    """Axes with one named row for each thing, the first on top."""
    figure = Figure((INCHES, 0.95 + inches * max(len(names), 1)))
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    return figure, axes


def _remark(axes: Axes, row: int, text: str) -> None:
    axes.text(0.01, row, text, transform=axes.get_yaxis_transform(), color=QUIET, va="center")


def loss_axis(axes: Axes, losses: Sequence[float]) -> None:
    """Make the axis of these losses logarithmic, where all are above 0."""
    if losses and min(losses) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        # Within a decade or so the powers of ten alone would leave the axis almost bare.
        narrow = max(losses) < 15 * min(losses)
        axes.yaxis.set_minor_formatter("{x:g}" if narrow else NullFormatter())


def legend(axes: Axes, columns: int) -> None:
    """Above the axes, where no data can be."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=columns,
            borderaxespad=0.2,
            handlelength=1.8,
            columnspacing=1.4,
        )


def _floor(scores: Sequence[float]) -> float:
    """Lowest score that is drawn to scale; a few far outliers must not flatten all others."""
    if not scores:
        return -np.inf
    median, fifth = np.quantile(scores, [0.5, 0.2])
    return float(min(fifth, median - 8 * (max(scores) - median)))


def shortened(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
