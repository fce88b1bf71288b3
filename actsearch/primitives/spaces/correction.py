"""A known activation plus a small trained correction, base + eps*term.

CRReLU is relu(x) + eps*x*exp(-x^2/2), with eps trained from 0.01: A Method on Searching Better
Activation Functions (Sun et al. 2024, arXiv:2405.12954). Its term is the derivative of the
density of the layer's inputs, along which the entropy of a rectifier's outputs changes most. The
sign of eps is open: by our own derivation the paper's aim, a lower entropy, asks for eps < 0.
`entropy` derives the terms.
GELUSine, gelu(x) + 0.1*sin(x), has the same form (Vitvitskyi et al. 2026, arXiv:2602.05688).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from ..entropy import Density, cauchy, correction, logistic, normal, student
from ..expr import Apply, Expr, Input, Parameter, Scope, inputs, parameters
from ..operators import OPERATORS
from ..zoo import baselines
from .operator_sets import check_scope, filled, operator_set, with_short_names
from .space import Choose, Space

STARTS = ("0.01", "-0.01", "0.1", "-0.1")
DENSITIES: Mapping[str, Density] = {
    density.name: density
    for density in (
        normal(),
        normal(0.0, 0.5),
        normal(0.0, 2.0),
        logistic(),
        student(3.0),
        cauchy(),
    )
}
DENSITY_TERMS = tuple(str(density.slope_term) for density in DENSITIES.values())
"""Derivatives of densities, of slope 1 at 0: the corrections of a rectifier."""
_KINDS = ("density", "unary", "unit")


@dataclass(frozen=True)
class Correction(Space):
    """Baselines with a correction: of a density, u(x), or a core unit b(u(x), u(x)).

    The bases are the baselines without a trainable parameter; CRReLU is a correction itself.

    Args:
        operators: the set of unary and binary operators, as of `OPERATOR_SETS`.
        beta_scope: whether a trainable beta of the term is one number per channel or per tensor;
            eps is one per tensor, as in the paper.
        derived: whether the term may also be the base's own correction under one of the densities,
            which is another than theirs unless the base is made of straight lines.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "correction"
    operators: str = "swish-2017"
    beta_scope: str = "channel"
    derived: bool = False

    def __post_init__(self) -> None:
        operator_set(self.operators)
        check_scope(self.beta_scope)

    @property
    def size(self) -> int:
        """bases * starts of eps * (density terms + unary + unary^2 binary + derived terms)."""
        operators = operator_set(self.operators)
        unary = len(operators.unary)
        terms = len(DENSITY_TERMS) + unary + unary**2 * len(operators.binary)
        terms += len(DENSITIES) if self.derived else 0
        return len(bases()) * len(STARTS) * terms

    def build(self, choose: Choose) -> Expr:
        """Ask for the base, the start of eps, and the term."""
        known = bases()
        base_name = choose("base", list(known))
        base = known[base_name]
        eps = Parameter("eps", float(choose("eps", STARTS)))
        term = with_short_names(self._term(choose, base_name))
        return _applied("add", base, _applied("mul", eps, term))

    def _term(self, choose: Choose, base_name: str) -> Expr:
        operators, scope = operator_set(self.operators), Scope(self.beta_scope)

        def part(slot: str, options: Sequence[str], *arguments: Expr) -> Expr:
            return filled(choose(f"term.{slot}", options), slot, scope, *arguments)

        x = Input("x")
        match choose("term.kind", (*_KINDS, "derived") if self.derived else _KINDS):
            case "derived":
                return derived_term(base_name, choose("term.derived", list(DENSITIES)))
            case "density":
                return part("density", DENSITY_TERMS, x)
            case "unary":
                return part("unary", operators.unary, x)
        left, right = (part(side, operators.unary, x) for side in ("left", "right"))
        return part("binary", operators.binary, left, right)


@cache
def bases() -> Mapping[str, Expr]:
    """The baselines of one input and without a trainable parameter, by name."""
    return {
        known.name: known.expr
        for known in baselines()
        if inputs(known.expr) == ("x",) and not parameters(known.expr)
    }


@cache
def derived_term(base: str, density: str) -> Expr:
    """The correction of a base under a density, both by name, without its constant."""
    return correction(bases()[base], DENSITIES[density]).term


def _applied(name: str, *arguments: Expr) -> Expr:
    return Apply(OPERATORS[name], arguments)
