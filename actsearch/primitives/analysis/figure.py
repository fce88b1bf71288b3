"""A number that says how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

from ..expr import Constant, Expr, parameters, substitute


@dataclass(frozen=True)
class Figure:
    """A figure of a function: exact, or numeric with an error.

    Args:
        value: as a float; infinite where the figure is.
        exact: found by algebra, so that `value` is right to its last digit.
        error: of a numeric figure, the estimated |value - truth|; 0 for an exact one.
        text: the closed form of an exact figure, such as `sqrt(2)`; empty where there is none.
    """

    value: float
    exact: bool = False
    error: float = 0.0
    text: str = ""


def at_initial(expr: Expr) -> Expr:
    """The expression with each trainable parameter at its initial value, as a constant."""
    return substitute(expr, {p: Constant(p.initial) for p in parameters(expr)})
