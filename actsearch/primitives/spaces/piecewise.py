"""Negative and positive halves searched apart: p(max(x, 0)) + n(min(x, 0)).

Neither half sees the other's arguments, so what overflows or is undefined there does not matter.
For x > 0 the function is p(x) + n(0), for x < 0 it is p(0) + n(x): continuous wherever the halves
are, with the value p(0) + n(0) and the mean of the halves' slopes at 0.

Learning Task-specific Activation Functions using Genetic Programming (Basirat and Roth 2019)
evolves the halves apart and recombines them, from memory; the slots of a half share the part
before the first dot, so crossover does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..expr import Apply, Constant, Expr, Input, Scope
from ..operators import OPERATORS
from .operator_sets import check_scope, filled, operator_set, with_short_names
from .space import Choose, Space

# What rectifiers are made of, and most sets lack: the flat half of ReLU, and the slope of PReLU,
# which starts at 1/4 (He et al. 2015, arXiv:1502.01852).
RECTIFIER_PARTS = ("0", "mul(beta[0.25], x)")
FORMS = ("u(x)", "u(u(x))", "b(u(x), u(x))")


@dataclass(frozen=True)
class Piecewise(Space):
    """Functions of two halves, each one unary, a unary of a unary, or a binary of two unaries.

    Args:
        operators: the set of unary and binary operators, as of `OPERATOR_SETS`; the parts of
            rectifiers join its unary ones.
        beta_scope: whether a trainable beta is one number per channel, as in PReLU, or per
            tensor.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "piecewise"
    operators: str = "pangaea-2022"
    beta_scope: str = "channel"

    def __post_init__(self) -> None:
        operator_set(self.operators)
        check_scope(self.beta_scope)

    @property
    def unary(self) -> tuple[str, ...]:
        """Options of one argument."""
        return tuple(dict.fromkeys((*RECTIFIER_PARTS, *operator_set(self.operators).unary)))

    @property
    def size(self) -> int:
        """Square of unary + unary^2 + unary^2 binary."""
        unary, binary = len(self.unary), len(operator_set(self.operators).binary)
        return (unary + unary**2 + unary**2 * binary) ** 2

    def build(self, choose: Choose) -> Expr:
        """Ask for the positive half, then for the negative one."""
        x = Input("x")
        positive = self._half("positive", _applied("max", x, _ZERO), choose)
        negative = self._half("negative", _applied("min", x, _ZERO), choose)
        if _ZERO in (positive, negative):
            return with_short_names(negative if positive == _ZERO else positive)
        return with_short_names(_applied("add", positive, negative))

    def _half(self, half: str, x: Expr, choose: Choose) -> Expr:
        scope = Scope(self.beta_scope)

        def unary(place: str, argument: Expr) -> Expr:
            option = choose(f"{half}.{place}", self.unary)
            return filled(option, f"{half}_{place}", scope, argument)

        match choose(f"{half}.form", FORMS):
            case "u(x)":
                return unary("outer", x)
            case "u(u(x))":
                return unary("outer", unary("inner", x))
        binary = choose(f"{half}.binary", operator_set(self.operators).binary)
        return filled(binary, f"{half}_binary", scope, unary("left", x), unary("right", x))


_ZERO = Constant(0.0)


def _applied(name: str, *arguments: Expr) -> Expr:
    return Apply(OPERATORS[name], arguments)
