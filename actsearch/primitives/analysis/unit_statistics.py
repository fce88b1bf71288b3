"""A layer as a function of one number: what it does to an entry of a standard normal tensor."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from ..expr import Constant, Expr, inputs, substitute
from ..lowering.eager import evaluate
from ..moments import EPSILON, MOMENTS, Kind, moments
from .gaussian import gaussian_moments


@lru_cache(maxsize=1024)
def at_unit_statistics(expr: Expr) -> Expr:
    """The formula with each moment replaced by its value for standard normal entries of x.

    That is the limit of many entries in each set, where all sets have the same statistics.
    BN-ReLU becomes relu, EvoNorm-S0 becomes silu, but for `EPSILON`. A formula without moments is
    itself. A moment that is not finite becomes the largest number.
    """
    replaced: dict[Expr, Expr] = {}
    for node in moments(expr):
        (argument,) = node.arguments
        value = _moment(MOMENTS[node.operator.name].kind, substitute(argument, replaced))
        replaced[node] = Constant(round(value, 12) if math.isfinite(value) else _LARGEST)
    return substitute(expr, replaced)


_LARGEST = 1e30


def _moment(kind: Kind, argument: Expr) -> float:
    if inputs(argument):
        found = gaussian_moments(argument)
        mean, second = found.mean, found.second
    else:
        mean = float(evaluate(argument, {"": torch.zeros((), dtype=torch.float64)}))
        second = mean**2
    if kind is Kind.MEAN:
        return mean
    spread = second if kind is Kind.RMS else max(0.0, second - mean**2)
    return math.sqrt(spread + EPSILON)
