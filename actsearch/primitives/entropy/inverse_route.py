"""The correction by way of the inverse function, as the paper derives it; for comparison only.

Sun et al. 2024, arXiv:2405.12954: with y the inverse of f, the direction in the space of inverses
is eta = -(p(y) y''/|y'| + p'(y) |y'|), and the new function is the inverse of y + delta*eta, which
is f - delta*f'*eta(f) to first order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..analysis.figure import at_initial
from ..expr import Expr
from ..symbolic import to_sympy
from .branches import branches_of
from .densities import Density

_DIGITS = 60


def inverse_direction(base: Expr, density: Density, points: Sequence[float]) -> list[float]:
    """-f'(u) eta(f(u)) at the points: D, found by inverting f numerically to sixty digits.

    Args:
        points: none of them a kink of the base or of the density.

    Raises:
        ValueError: a point lies where f is flat, or outside of the support.
    """
    import mpmath as mp
    import sympy as sp

    branches = branches_of(at_initial(base), density)
    found = []
    with mp.workdps(_DIGITS):
        for point in points:
            branch = next(b for b in branches if b.low < point < b.high)
            if branch.piece.flat:
                raise ValueError(f"'{base}' is flat at {point:g} and has no inverse there")
            x = sp.Symbol("x", real=True)
            f = sp.lambdify(x, to_sympy(branch.piece.expr), "mpmath")
            p = sp.lambdify(x, to_sympy(branch.kernel), "mpmath")
            found.append(density.constant * float(_direction(mp, f, p, mp.mpf(point))))
    return found


def _direction(mp: Any, f: Any, p: Any, point: Any) -> Any:
    def inverse(value: Any) -> Any:
        return mp.findroot(lambda u: f(u) - value, point, tol=mp.mpf(10) ** (-2 * _DIGITS + 20))

    value = f(point)
    first, second = (mp.diff(inverse, value, order) for order in (1, 2))
    size = abs(first)
    eta = -(p(point) * second / size + mp.diff(p, point) * size)
    return -mp.diff(f, point) * eta
