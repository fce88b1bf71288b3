"""Core units b(u1, u2) composed up to three deep, of Searching for Activation Functions.

The first unit reads x twice; a later one reads, on each side, x or any earlier unit. The last
unit's output is the activation. Ramachandran et al. 2017, arXiv:1710.05941, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...errors import ConfigError
from ..expr import Expr, Input, Scope
from .operator_sets import check_scope, filled, operator_set, with_short_names
from .space import Choose, Space

MAX_UNITS = 3


@dataclass(frozen=True)
class UnaryBinary(Space):
    """The space of up to `units` core units.

    Args:
        units: most core units, 1 to 3.
        operators: `swish-2017` (25 unary, 10 binary), `pangaea-2022` (27 and 7) or `gecco-2020`
            (24 and 6).
        beta_scope: whether a trainable beta is one number per channel, as in the paper, or per
            tensor.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "unary-binary"
    units: int = 2
    operators: str = "swish-2017"
    beta_scope: str = "channel"

    def __post_init__(self) -> None:
        if not 1 <= self.units <= MAX_UNITS:
            raise ConfigError(f"space units={self.units} must be 1 to {MAX_UNITS}")
        operator_set(self.operators)
        check_scope(self.beta_scope)

    @property
    def size(self) -> int:
        """Sum over n up to `units` of the product over i up to n of i^2 unary^2 binary."""
        operators = operator_set(self.operators)
        one_unit = len(operators.unary) ** 2 * len(operators.binary)
        return sum(
            math.prod(i * i * one_unit for i in range(1, n + 1)) for n in range(1, self.units + 1)
        )

    def build(self, choose: Choose) -> Expr:
        """Ask for the number of units, then for each unit's operators and inputs."""
        operators, scope = operator_set(self.operators), Scope(self.beta_scope)
        count = int(choose("units", [str(n) for n in range(1, self.units + 1)]))
        available: dict[str, Expr] = {"x": Input("x")}
        for i in range(1, count + 1):
            unit = f"unit{i}"
            outer = choose(f"{unit}.binary", operators.binary)
            sides = []
            for side in ("left", "right"):
                inner = choose(f"{unit}.{side}", operators.unary)
                read = choose(f"{unit}.{side}.input", list(available)) if i > 1 else "x"
                sides.append(filled(inner, f"{unit}_{side}", scope, available[read]))
            available[unit] = filled(outer, f"{unit}_binary", scope, *sides)
        return with_short_names(available[f"unit{count}"])
