"""Hermite coefficients, and what they say of correlations: Daniely et al. 2016,
arXiv:1602.05897."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..expr import Expr
from .expectation import FINE_NODES, Samples, compare, samples
from .figure import Figure
from .pointwise import Array

CORRELATIONS = (-0.9, -0.5, 0.0, 0.5, 0.9)
_DEGREES = 128
_ROUNDING = 1e-13


@dataclass(frozen=True)
class DualActivation:
    """Args:
    hermite: E f(z) h_k(z) for k = 0, 1, ..., 127, h_k orthonormal under N(0, 1).
    second: E f^2, the sum of the squares of them all.
    """

    hermite: tuple[Figure, ...]
    second: float

    def correlation(self, before: float) -> Figure | None:
        """E f(u) f(v)/E f^2 of standard normal u and v with this correlation, |c| < 1.

        The sum of a_k^2 c^k (Mehler); what is left out is at most the rest of E f^2 times |c|^128.
        None where f is 0.
        """
        if self.second <= 0:
            return None
        coefficients = np.array([a.value for a in self.hermite])
        squares = coefficients**2
        value = float(np.polynomial.polynomial.polyval(before, squares))
        rest = max(0.0, self.second - float(squares.sum())) * abs(before) ** len(squares)
        powers = abs(before) ** np.arange(len(squares))
        errors = np.array([a.error for a in self.hermite])
        error = rest + 2 * float(np.sum(np.abs(coefficients) * errors * powers))
        return Figure(value / self.second, error=error / self.second)


def dual_activation_of(expr: Expr) -> DualActivation | None:
    """The dual of a function of x without trainable parameters.

    None where E f^2 is not finite.
    """
    coarse, fine = samples(expr), samples(expr, nodes=FINE_NODES)
    second = compare(coarse, fine, lambda s: s.value**2)
    if second is None or math.isinf(second.value):
        return None
    rough, exact = _coefficients(coarse), _coefficients(fine)
    scale = _ROUNDING * math.sqrt(second.value)
    hermite = tuple(
        Figure(float(value), error=float(abs(value - other)) + scale)
        for value, other in zip(exact, rough, strict=True)
    )
    return DualActivation(hermite, second.value)


def _coefficients(at: Samples) -> Array:
    """By the recurrence sqrt(k + 1) h_(k+1) = z h_k - sqrt(k) h_(k-1), times the root density."""
    weighted = at.weights * at.value
    before, now = np.zeros_like(at.root), at.root
    found = []
    for degree in range(_DEGREES):
        found.append(float(weighted @ now))
        after = (at.z * now - math.sqrt(degree) * before) / math.sqrt(degree + 1)
        before, now = now, after
    return np.array(found)


def kernel_class(dual: DualActivation, slope_second: float) -> str | None:
    """Which classifier an infinitely wide and deep network with this function is, trained without
    end: one of "1-nearest neighbour", "majority vote" and "singular kernel".

    The classes are those of Radhakrishnan et al. 2022, arXiv:2204.14126; which one it is follows
    from the tangent kernel of a network whose function has E f^2 = 1, on inputs of one length and
    positive correlations. Let a_k be the coefficients, and the slope's second moment E f'^2.
    a_0 = 0 draws all correlations to 0: with a_1 = 0 faster than any power, so that the nearest
    example outweighs all others; else each layer multiplies them by a_1^2 in the end, and what is
    left is a kernel that is infinite at distance 0.
    a_0 != 0 and E f'^2 >= 1 draws them all to one number, while the kernel of an example with
    itself grows without bound or is a fixed multiple of it: each example has one vote.

    Returns:
        None for what the classes do not cover: E f'^2 < 1, where the kernel becomes constant; a
        linear function; one that is 0, or whose slope has no finite second moment.
    """
    second = dual.second
    if second <= 0 or math.isinf(slope_second):
        return None
    if slope_second / second < 1 - 1e-8:
        return None
    scale = math.sqrt(second)
    constant, linear = (a.value / scale for a in dual.hermite[:2])
    if abs(constant) > 1e-8:
        return "majority vote"
    if abs(linear) < 1e-8:
        return "1-nearest neighbour"
    return "singular kernel" if linear**2 < 1 - 1e-8 else None


def kernel_order(dual: DualActivation, slope_second: float) -> Figure | None:
    """How the kernel of the class "singular kernel" grows near an example: like distance^-order,
    -4 log|a_1|/log E f'^2 for E f^2 = 1.

    On inputs of as many dimensions as the order the classifier is optimal, says the paper (from
    memory). None of other classes.
    """
    if kernel_class(dual, slope_second) != "singular kernel":
        return None
    linear = dual.hermite[1]
    size, growth = abs(linear.value) / math.sqrt(dual.second), slope_second / dual.second
    value = -4 * math.log(size) / math.log(growth)
    error = 4 * linear.error / abs(linear.value) + _ROUNDING * value / growth
    return Figure(value, error=error / math.log(growth))
