"""The shape of a function, put together."""

from __future__ import annotations

import time

from ...expr import Expr, inputs
from ...layer_words import layer_words
from ...symbolic import latex
from ..figure import at_initial
from .algebra import made_exact
from .classes import kind_of, operator_class
from .inverse import inverse_of, is_invertible
from .joins import smoothness_of
from .places import extrema, inflections, zero_intervals, zeros
from .record import Shape, readable
from .roots import nearest
from .sizes import asymptotes_of, limits_of, lipschitz_of, range_of
from .survey import survey_of
from .verdicts import convexity, monotone, parity


def shape_of(expr: Expr, seconds: float = 10.0) -> Shape:
    """The shape of f, trainable parameters at their initial values.

    Measured in float64, then made exact where sympy can. Sympy runs in a child process that is
    killed when the time is up; each of its questions has a second of processor time. So how much
    is exact may depend on how busy the machine is, and nothing else does.

    Args:
        expr: of one input; a constant counts as a function too.
        seconds: for all; with 0 nothing is asked of sympy but LaTeX, and only polynomial pieces
            are exact.

    Raises:
        ValueError: the formula reads two inputs, or a word that is a draw or reads a whole layer.
    """
    began = time.monotonic()
    names = inputs(expr)
    if len(names) > 1:
        raise ValueError(
            f"a shape is of a function of one input; this one reads {', '.join(names)}"
        )
    for word in layer_words(expr):
        raise ValueError(
            f"a shape is of a function of one number; '{word.operator.name}' is a draw or reads a "
            "whole layer"
        )
    fixed = at_initial(expr)
    survey = survey_of(fixed)
    direction = monotone(survey)
    left = seconds - (time.monotonic() - began)
    survey = made_exact(survey, left, is_invertible(survey, direction))
    values = range_of(survey)
    kept_zeros, cut_zeros = nearest(zeros(survey))
    kept_extrema, cut_extrema = extrema(survey)
    kept_inflections, cut_inflections = nearest(inflections(survey))
    kinks = survey.kinks
    smoothness = smoothness_of(kinks)
    shape = Shape(
        range=values,
        limits=limits_of(survey),
        asymptotes=asymptotes_of(survey),
        monotone=direction,
        convexity=convexity(survey),
        parity=parity(fixed),
        zeros=tuple(kept_zeros),
        zero_intervals=zero_intervals(survey),
        extrema=kept_extrema,
        inflections=tuple(kept_inflections),
        kinks=kinks,
        smoothness=smoothness,
        lipschitz=lipschitz_of(survey, 1),
        slope_lipschitz=lipschitz_of(survey, 2),
        inverse=inverse_of(survey, direction, values),
        latex=_latex(expr),
        operator_class=operator_class(fixed),
        kind=kind_of(survey.pieces, fixed, smoothness),
        truncated=survey.truncated or cut_zeros or cut_extrema or cut_inflections,
    )
    found: Shape = readable(shape)
    return found


def _latex(expr: Expr) -> str:
    try:
        return latex(expr)
    except ValueError:
        # Sympy does not build it; the formula as text is right at least.
        return rf"\texttt{{{expr.text}}}".replace("_", r"\_")
