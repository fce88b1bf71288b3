"""The record that says everything about one operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Operator:
    """A scalar function of one or two arguments, applied elementwise.

    Args:
        name: the word in formulas.
        arity: 1 or 2.
        formula: what it computes, for people, with its epsilon if it has one.
        sympy: its meaning; called with the sympy module and sympy arguments.
        value: stable tensor lowering; float32 or float64 in, same shape and dtype out.
        slopes: partial derivatives as formulas over the arguments `x` (and `y`); empty where
            the operator is itself only a derivative and is never differentiated again.
        growth: given d_i with |argument i| = O(|t|^d_i), an upper bound d of the same kind for
            the value; inf where the value can overflow on moderate arguments.
        source: where the definition comes from.
        infix: its sign between two arguments, if it has one.
    """

    name: str
    arity: int
    formula: str
    sympy: Callable[..., Any]
    value: Callable[..., Tensor]
    slopes: tuple[str, ...]
    growth: Callable[..., float]
    source: str
    infix: str = ""

    def __repr__(self) -> str:
        return f"Operator({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        from .operators import operator

        return operator, (self.name,)
