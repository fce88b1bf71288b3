"""Which functions the neurons of each layer chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure

from .plots import INCHES, legend, picture


@picture
def choice_picture(layers: Sequence[Mapping[str, float]]) -> Figure:
    """A bar for each layer, divided into the shares of the functions.

    Args:
        layers: for each, neurons by the name of what they chose.
    """
    figure = Figure((INCHES, 1.0 + 0.42 * max(1, len(layers))))
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["tab10"].colors  # type: ignore[attr-defined]
    rows = [f"layer {number}" for number in range(1, len(layers) + 1)]
    start = [0.0] * len(layers)
    for number, name in enumerate(layers[0] if layers else ()):
        shares = [layer[name] / sum(layer.values()) for layer in layers]
        axes.barh(rows, shares, left=start, color=colours[number % 10], label=name, height=0.7)
        start = [a + b for a, b in zip(start, shares, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the neurons")
    axes.grid(axis="y", visible=False)
    legend(axes, 5)
    return figure
