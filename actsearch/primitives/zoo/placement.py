"""Whether a function takes an activation's place in a network, or a normalisation's too."""

from __future__ import annotations

from functools import cache

from ..expr import Constant, Expr, parameters, postorder, substitute
from ..moments import moments
from .rows import rows


def takes_norms_place(expr: Expr) -> bool:
    """Whether it takes the place of a normalisation and of the activation after it in one.

    Formulas with moments do. Not so the zoo's functions of a tensor, such as polynorm, with these
    or other numbers: their authors put them where an activation was.
    """
    return bool(moments(expr)) and _without_numbers(expr) not in _in_activations_place()


@cache
def _in_activations_place() -> frozenset[Expr]:
    return frozenset(
        _without_numbers(row.expr)
        for row in rows("tensor").values()
        if row.section != "layers" and moments(row.expr)
    )


def _without_numbers(expr: Expr) -> Expr:
    """The formula with every number, also a trained one, at 0."""
    numbers = [node for node in postorder(expr) if isinstance(node, Constant)]
    return substitute(expr, dict.fromkeys([*numbers, *parameters(expr)], Constant(0.0)))
