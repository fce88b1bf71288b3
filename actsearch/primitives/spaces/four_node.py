"""All functions of four operators: u(u(u(u(x)))), u(b(u, u)), b(u(u), u), b(u, u(u)), n(u, u, u).

The larger space of AQuaSurF (Bingham and Miikkulainen 2023, arXiv:2301.05785). Its number of
functions, 1,023,524 with eight baselines, is the released code's; that these five shapes make
them is our reconstruction, which gives that number exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from ..expr import Apply, Expr, Input, Scope
from ..operators import OPERATORS
from .operator_sets import check_scope, filled, operator_set, with_short_names
from .space import Choose, Space

SHAPES = (
    "u(u(u(u(x))))",
    "u(b(u(x), u(x)))",
    "b(u(u(x)), u(x))",
    "b(u(x), u(u(x)))",
    "n(u(x), u(x), u(x))",
)
# Each is an operator of two arguments, folded over three.
N_ARY: Mapping[str, str] = {"sum_n": "add", "prod_n": "mul", "max_n": "max", "min_n": "min"}


@dataclass(frozen=True)
class FourNode(Space):
    """The space of the five shapes.

    Args:
        operators: the set of unary and binary operators, as of `OPERATOR_SETS`; the paper's is
            `pangaea-2022`. The four operators of three arguments are the same with every set.
        beta_scope: whether a trainable beta is one number per channel or per tensor.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "four-node"
    operators: str = "pangaea-2022"
    beta_scope: str = "channel"

    def __post_init__(self) -> None:
        operator_set(self.operators)
        check_scope(self.beta_scope)

    @property
    def size(self) -> int:
        """unary^4 + 3 binary unary^3 + 4 unary^3."""
        operators = operator_set(self.operators)
        unary, binary = len(operators.unary), len(operators.binary)
        return unary**4 + 3 * binary * unary**3 + len(N_ARY) * unary**3

    def build(self, choose: Choose) -> Expr:
        """Ask for the shape, then for its operators, which are numbered as they are read."""
        operators, scope, x = operator_set(self.operators), Scope(self.beta_scope), Input("x")

        def u(slot: str, argument: Expr = x) -> Expr:
            return filled(choose(slot, operators.unary), slot, scope, argument)

        def b(slot: str, left: Expr, right: Expr) -> Expr:
            return filled(choose(slot, operators.binary), slot, scope, left, right)

        def n(slot: str, *arguments: Expr) -> Expr:
            record = OPERATORS[N_ARY[choose(slot, tuple(N_ARY))]]
            return reduce(lambda left, right: Apply(record, (left, right)), arguments)

        match choose("shape", SHAPES):
            case "u(u(u(u(x))))":
                built = u("node1", u("node2", u("node3", u("node4"))))
            case "u(b(u(x), u(x)))":
                built = u("node1", b("node2", u("node3"), u("node4")))
            case "b(u(u(x)), u(x))":
                built = b("node1", u("node2", u("node3")), u("node4"))
            case "b(u(x), u(u(x)))":
                built = b("node1", u("node2"), u("node3", u("node4")))
            case _:
                built = n("node1", u("node2"), u("node3"), u("node4"))
        return with_short_names(built)
