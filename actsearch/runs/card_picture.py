"""The picture of an identity card: a function with its slope and curvature, and its harmonics."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .plots import BASELINE, CANDIDATE, QUIET, STYLE, picture

_CURVATURE = "#009E73"
_TEXT_WIDTH = 62


@picture
def card_picture(
    curve: Mapping[str, Sequence[float]],
    kinks: Sequence[float],
    harmonics: Sequence[float],
) -> Figure:
    """f above, f' and f'' below, and the harmonics of f(cos t).

    Args:
        curve: x, f, f' and f''.
        kinks: places that are marked.
        harmonics: amplitudes, the constant first.
    """
    figure = Figure((7.2, 5.2))
    mosaic = figure.subplot_mosaic([["f", "h"], ["s", "h"]], width_ratios=[2, 1])
    _draw(mosaic, curve, kinks)
    _spectrum(mosaic["h"], harmonics)
    return figure


def card_png(
    title: str,
    curve: Mapping[str, Sequence[float]],
    kinks: Sequence[float],
    harmonics: Sequence[float],
    sections: Sequence[tuple[str, Sequence[tuple[str, str]]]],
) -> bytes:
    """The whole card as one PNG: pictures on the left, lines on the right.

    Args:
        title: name and formula.
        curve, kinks, harmonics: as of `card_picture`; without a curve there are lines alone.
        sections: titles with (name, text) lines.
    """
    with style.context(["default", STYLE]):
        lines = _wrapped(sections)
        least = 6.0 if curve else 0.0
        figure = Figure((12.5 if curve else 8.0, max(least, 0.165 * len(lines) + 0.9)))
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        if curve:
            mosaic = figure.subplot_mosaic(
                [["f", "t"], ["s", "t"], ["h", "t"]], width_ratios=[1, 1.25]
            )
            _draw(mosaic, curve, kinks)
            _spectrum(mosaic["h"], harmonics)
            text = mosaic["t"]
        else:
            text = figure.add_subplot()
        text.axis("off")
        for number, (name, words) in enumerate(lines):
            y = 1 - number / max(len(lines), 30 if curve else 0)
            if not words:
                text.text(0, y, name, transform=text.transAxes, fontweight="bold", va="top")
                continue
            text.text(0, y, name, transform=text.transAxes, color=QUIET, va="top", fontsize=8.5)
            text.text(0.24, y, words, transform=text.transAxes, va="top", fontsize=8.5)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=130, transparent=False, metadata={"Software": None})
    return file.getvalue()


def _draw(
    mosaic: Mapping[str, Axes],
    curve: Mapping[str, Sequence[float]],
    kinks: Sequence[float],
) -> None:
    x = np.asarray(curve["x"])
    value, below = mosaic["f"], mosaic["s"]
    value.plot(x, _readable(curve["f"]), color=CANDIDATE, lw=1.8, label="f")
    below.plot(x, _readable(curve["f'"]), color=BASELINE, lw=1.6, label="f'")
    below.plot(x, _readable(curve["f''"]), color=_CURVATURE, lw=1.3, ls="--", label="f''")
    for axes in (value, below):
        axes.axhline(0, color=QUIET, lw=0.7)
        for place in kinks:
            if x[0] < place < x[-1]:
                axes.axvline(place, color=QUIET, lw=0.8, ls=":")
        axes.legend(loc="best", handlelength=1.6)
        axes.set_xlim(x[0], x[-1])
    below.set_xlabel("x")


def _spectrum(axes: Axes, harmonics: Sequence[float]) -> None:
    sizes = [abs(h) for h in harmonics]
    axes.bar(range(len(sizes)), sizes, color=CANDIDATE, width=0.7)
    axes.set_xlabel("harmonics of f(cos t)")
    axes.grid(axis="x", visible=False)


def _readable(values: Sequence[float]) -> np.ndarray:
    """Without what a steep end or a pole would make of the axis."""
    numbers = np.asarray(values, dtype=float)
    largest = 25.0 * max(1.0, float(np.nanquantile(np.abs(numbers), 0.5)))
    return np.where(np.abs(numbers) <= largest, numbers, np.nan)


def _wrapped(sections: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for title, lines in sections:
        rows.append((title, ""))
        for name, text in lines:
            first, *rest = wrap(text, _TEXT_WIDTH) or [" "]
            rows += [(name, first), *(("", part) for part in rest)]
    return rows
