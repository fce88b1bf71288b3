"""A function of u and v beside a known one, in contours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .plots import BASELINE, CANDIDATE, INCHES, picture, shortened

_LEVELS = (-8, -4, -2, -1, -0.3, 0, 0.3, 1, 2, 4, 8)


@picture
def plane_picture(points: np.ndarray, planes: Mapping[str, np.ndarray]) -> Figure:
    """Contours side by side at the same levels, dashed below 0.

    Args:
        points: (n,) values of u, and of v.
        planes: two functions by title, the candidate first, (n, n) each, the first axis u; what
            is not finite leaves a gap.
    """
    figure = Figure((INCHES, 2.5))
    left = figure.add_subplot(1, 2, 1)
    sides = (left, figure.add_subplot(1, 2, 2, sharey=left))
    for axes, colour, (title, values) in zip(
        sides, (CANDIDATE, BASELINE), planes.items(), strict=True
    ):
        finite = np.ma.masked_invalid(values.T)
        lines = axes.contour(points, points, finite, _LEVELS, colors=colour, linewidths=1.2)
        axes.clabel(lines, fmt="%g", fontsize=7)
        axes.set_title(shortened(title, 16), fontsize=9.5, loc="left")
        axes.set_xlabel("u")
    left.set_ylabel("v")
    return figure
