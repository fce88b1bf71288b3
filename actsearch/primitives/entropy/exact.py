"""Figures of an entropy by sympy, within a limit of time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from ..analysis.figure import Figure, at_initial
from ..expr import Expr
from ..symbolic import to_sympy
from .algebra import plus
from .branches import Branch, branches_of
from .correction import Correction
from .densities import Density
from .functional import entropy, first_order
from .slopes import logarithm, slope

Result = TypeVar("Result")
_AGREEMENT = 1e-7


def within(seconds: float, compute: Callable[[], Result]) -> Result | None:
    """What it computes; None if that takes longer, fails, or this is not the main thread."""
    if threading.current_thread() is not threading.main_thread() or seconds <= 0:
        return None

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return compute()
    except Exception:
        # Sympy gives up in many ways, and the numeric figure stands in any case.
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def exact_entropy(expr: Expr, density: Density, seconds: float = 5.0) -> Figure:
    """`entropy`, exact where sympy finds E ln|f'| in time; otherwise the numeric figure."""
    numeric = entropy(expr, density)
    branches = branches_of(at_initial(expr), density)
    if any(branch.piece.flat for branch in branches):
        return numeric

    def stretched(sp: Any, branch: Branch) -> Any:
        return _exact(sp, logarithm(branch.piece.slope)) - _exact(
            sp, plus(logarithm(branch.kernel))
        )

    def whole() -> Any:
        import sympy as sp

        mean, mass = _mean(sp, branches, stretched)
        return sp.simplify(mean + sp.log(mass))

    return _checked(within(seconds, whole), numeric)


def exact_first_order(found: Correction, seconds: float = 5.0) -> Figure:
    """`first_order`, exact where sympy finds the integral in time; otherwise the numeric figure."""
    numeric = first_order(found)
    branches = [
        branch
        for branch in branches_of(at_initial(found.base), found.density)
        if not branch.piece.flat
    ]
    # Windows and principal values are beyond what sympy does in seconds.
    if found.vanishes or found.windows or found.zeros:
        return numeric
    terms = {part.branch: part.term for part in found.parts}

    def ratio(sp: Any, branch: Branch) -> Any:
        return _exact(sp, slope(terms[branch])) / _exact(sp, branch.piece.slope)

    def whole() -> Any:
        import sympy as sp

        mean, _ = _mean(sp, branches, ratio)
        return sp.simplify(mean)

    return _checked(within(seconds, whole), numeric)


def _mean(sp: Any, branches: Any, of: Callable[[Any, Branch], Any]) -> tuple[Any, Any]:
    """Mean over the branches, weighted with the kernel, and the kernel's integral."""
    x = sp.Symbol("x", real=True)
    total = mass = sp.Integer(0)
    for branch in branches:
        kernel = _exact(sp, branch.kernel)
        ends = (x, _end(sp, branch.low), _end(sp, branch.high))
        mass += sp.integrate(kernel, ends)
        total += sp.integrate(sp.expand(kernel * of(sp, branch)), ends)
    return total / mass, mass


def _exact(sp: Any, expr: Expr) -> Any:
    return sp.nsimplify(to_sympy(expr), rational=True)


def _end(sp: Any, value: float) -> Any:
    return sp.nsimplify(value, rational=True) if abs(value) < float("inf") else sp.oo * value


def _checked(value: Any, numeric: Figure) -> Figure:
    """The exact figure where it is a closed form that agrees with the numeric one."""
    import sympy as sp

    if value is None or value.has(sp.Integral):
        return numeric
    number = float(value.evalf(20)) if value.is_number and value.is_real else float("nan")
    if not abs(number - numeric.value) <= _AGREEMENT * (1 + abs(number)):
        return numeric
    return Figure(number, exact=True, text=str(value))
