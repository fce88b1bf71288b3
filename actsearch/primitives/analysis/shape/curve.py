"""A smooth expression of one input with its derivatives, evaluated in float64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from ....errors import DerivativeError
from ...differentiate import derivative
from ...expr import Apply, Constant, Expr, inputs, postorder
from ...lowering.eager import evaluate
from ...rewrite import stable
from .polynomial import Polynomial, polynomial_of, slope_of
from .switches import SWITCHES

Points = npt.NDArray[np.float64]
_MOST_NODES = 600
_STEP = 2e-3


@dataclass(frozen=True)
class Curve:
    """A smooth expression."""

    expr: Expr

    @property
    def polynomial(self) -> Polynomial | None:
        return _polynomial(self.expr)

    def at(self, points: Points | float, order: int = 0) -> Points:
        """The derivative of that order at the points; not finite where it has no number.

        From order 2 on by differences, with an error of about 1e-9, where an operator has no
        derivative in closed form or the formula grows past 600 nodes.
        """
        x = np.atleast_1d(np.asarray(points, dtype=np.float64))
        formula = derivative_of(self.expr, order)
        if formula is None:
            return self._by_differences(x, order)
        return evaluated(formula, x)

    def number(self, x: float, order: int = 0) -> float:
        return float(self.at(x, order)[0])

    def is_differenced(self, order: int) -> bool:
        """Whether the derivative of that order is taken by differences."""
        return derivative_of(self.expr, order) is None

    def _by_differences(self, x: Points, order: int) -> Points:
        step = difference_step(x)
        far = self.at(x + 2 * step, order - 1) - self.at(x - 2 * step, order - 1)
        near = self.at(x + step, order - 1) - self.at(x - step, order - 1)
        return np.asarray((8 * near - far) / (12 * step))


def difference_step(x: Points) -> Points:
    """Distance between the points of a difference."""
    return np.asarray(_STEP + 1e-6 * np.abs(x))


def evaluated(expr: Expr, x: Points) -> Points:
    """The value at the points, by the engine."""
    if isinstance(expr, Constant):
        return np.full(x.shape, expr.value)
    names = inputs(expr)
    tensor = torch.from_numpy(np.ascontiguousarray(x))
    with torch.no_grad():
        value = evaluate(expr, {names[0] if names else "x": tensor})
    return np.asarray(value.numpy())


@lru_cache(maxsize=4096)
def derivative_of(expr: Expr, order: int) -> Expr | None:
    """The derivative in a spelling to differentiate on; None where there is none of moderate size.

    The stable one, unless it switches where the expression does not: the engine's second
    derivative of |x| is 0, also where the stable spelling of a smooth function has an |x|.
    """
    if order == 0:
        return _smoothly_stable(expr)
    below = derivative_of(expr, order - 1)
    if below is None:
        return None
    try:
        found = derivative(below, *inputs(below))
    except DerivativeError:
        return None
    if sum(isinstance(node, Apply) for node in postorder(found)) > _MOST_NODES:
        return None
    return _smoothly_stable(found)


def _smoothly_stable(expr: Expr) -> Expr:
    better = stable(expr)
    return better if _switching(better) <= _switching(expr) else expr


def _switching(expr: Expr) -> set[str]:
    names = {node.operator.name for node in postorder(expr) if isinstance(node, Apply)}
    return names & SWITCHES.keys()


@lru_cache(maxsize=4096)
def _polynomial(expr: Expr) -> Polynomial | None:
    return polynomial_of(expr)


def polynomial_derivative(curve: Curve, order: int) -> Polynomial | None:
    """Of a polynomial curve, the derivative of that order; None of any other curve."""
    found = curve.polynomial
    for _ in range(order):
        found = None if found is None else slope_of(found)
    return found
