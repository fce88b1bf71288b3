"""Functions of two inputs: g(u)*v, and h(u, v) in general.

The layer before gives u and v, half of its outputs each, as in the gated units of Shazeer 2020,
arXiv:2002.05202: GLU, Bilinear, ReGLU, GEGLU and SwiGLU are points of both forms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...errors import ConfigError
from ..expr import Apply, Expr, Input, Scope
from ..operators import OPERATORS
from .operator_sets import check_scope, filled, operator_set, with_short_names
from .space import Choose, Space

UNITS: Mapping[str, tuple[int, int]] = {"product": (0, 1), "general": (1, 2)}
"""Fewest and most core units of each form."""

# The gates of SwiGLU and GEGLU, which a set of elementary operators lacks.
_GATES = ("mul(x, sigmoid(x))", "mul(x, normal_cdf(x))")


@dataclass(frozen=True)
class Gated(Space):
    """The space of functions of u and v.

    Args:
        form: `product` for g(u)*v, where g is an operator or, with `units` 1, a core unit
            b(u1(u), u2(u)); `general` for b(u1(u), u2(v)), and with `units` 2 also for a second
            unit over this one, u and v.
        units: most core units, 0 or 1 for a product, 1 or 2 in general.
        operators: as of `UnaryBinary`; silu and gelu are added to those of one argument.
        beta_scope: whether a trainable beta is one number per channel or per tensor.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "gated"
    inputs: ClassVar[tuple[str, ...]] = ("u", "v")
    form: str = "product"
    units: int = 1
    operators: str = "swish-2017"
    beta_scope: str = "channel"

    def __post_init__(self) -> None:
        if self.form not in UNITS:
            raise ConfigError(f"space form='{self.form}' must be {' or '.join(UNITS)}")
        least, most = UNITS[self.form]
        if not least <= self.units <= most:
            raise ConfigError(
                f"space units={self.units} must be {least} or {most} for form='{self.form}'"
            )
        operator_set(self.operators)
        check_scope(self.beta_scope)

    @property
    def size(self) -> int:
        """With U options for one argument and B for two: U, and U^2 B more with a unit, of a
        product; U^2 B, and 9 (U^2 B)^2 more with a second unit, in general."""
        one_unit = len(self._unary) ** 2 * len(operator_set(self.operators).binary)
        sizes = {0: len(self._unary), 1: one_unit, 2: 9 * one_unit**2}
        return sum(sizes[units] for units in self._counts)

    def build(self, choose: Choose) -> Expr:
        """Ask for the number of units, then for each unit's operators and inputs."""
        u, v = Input("u"), Input("v")
        count = int(choose("units", [str(units) for units in self._counts]))
        if self.form == "product":
            if count:
                gate = self._unit("unit1", {"u": u}, {"u": u}, choose)
            else:
                gate = filled(choose("gate", self._unary), "gate", Scope(self.beta_scope), u)
            return with_short_names(Apply(OPERATORS["mul"], (gate, v)))
        unit = self._unit("unit1", {"u": u}, {"v": v}, choose)
        if count == 2:
            available = {"u": u, "v": v, "unit1": unit}
            unit = self._unit("unit2", available, available, choose)
        return with_short_names(unit)

    @property
    def _counts(self) -> range:
        return range(UNITS[self.form][0], self.units + 1)

    @property
    def _unary(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*operator_set(self.operators).unary, *_GATES)))

    def _unit(
        self, unit: str, left: Mapping[str, Expr], right: Mapping[str, Expr], choose: Choose
    ) -> Expr:
        """b(u1(.), u2(.)), each side over one of what is available to it."""
        scope = Scope(self.beta_scope)
        outer = choose(f"{unit}.binary", operator_set(self.operators).binary)
        sides = []
        for side, available in (("left", left), ("right", right)):
            inner = choose(f"{unit}.{side}", self._unary)
            names = list(available)
            read = choose(f"{unit}.{side}.input", names) if len(names) > 1 else names[0]
            sides.append(filled(inner, f"{unit}_{side}", scope, available[read]))
        return filled(outer, f"{unit}_binary", scope, *sides)
