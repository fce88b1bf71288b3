"""Regret curves of strategies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .plots import picture

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")


@picture
def regret_picture(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Regret against evaluations, medians with their intervals.

    Args:
        curves: by strategy: of the function with the best score so far, and of the best one that
            was trained, each (3, evaluations) of median, low and high.
    """
    figure = Figure((10.0, 4.2))
    sides = figure.subplots(1, 2, sharey=True)
    titles = ("of the function that scored best", "of the best function trained")
    for side, (axes, title) in enumerate(zip(sides, titles, strict=True)):
        for number, (name, both) in enumerate(curves.items()):
            median, low, high = np.maximum(both[side], 0)
            at = np.arange(1, len(median) + 1)
            colour = _COLOURS[number % len(_COLOURS)]
            dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
            axes.plot(at, median, color=colour, ls=dash, lw=1.6, label=name)
            axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
        axes.set_xscale("log")
        axes.set_xlim(5, len(median))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("evaluations")
        axes.set_title(title, fontsize=9.5, loc="left")
    ends = [both[0][0][min(9, len(both[0][0]) - 1)] for both in curves.values()]
    sides[0].set_ylim(0, 1.1 * max(end for end in ends if np.isfinite(end)))
    sides[0].set_ylabel("regret (median and interval)")
    sides[1].legend(fontsize=8)
    return figure
