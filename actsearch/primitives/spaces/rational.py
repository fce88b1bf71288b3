"""Rational functions that cannot divide by zero: P(x) / (1 + |Q(x)|).

Q has no constant term. Safe Pade activation units, Molina, Schramowski and Kersting 2019,
arXiv:1907.06732, whose degrees are 5 and 4. There the coefficients are trained from a fit to a
known activation; here the search chooses where they start, and which powers there are.

A coefficient of 0 leaves its power out, from training too: with all of Q at 0 none of its
coefficients would ever have a gradient, because |Q| is flat there, and the functions stay short.

Candidates are too large at |x| = 10 where the degree of P is well above that of Q. With at most two
more in the settings, most samples pass the static screen: 85 % with 5 and 4, 68 % with 6 and 4 or
with 8 and 8; but 42 % with 7 and 4, and 2 % with 9 and 1. So no candidate's own degrees are bound
to each other. The power 9 is the highest that is within float32 at |x| = 1e4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import ConfigError
from ..expr import Apply, Constant, Expr, Input, Parameter, Scope
from ..operators import OPERATORS
from .space import Choose, Decisions, Proposal, Space, draw, propose

MAX_DEGREE = 9
FROZEN = "frozen"
COEFFICIENTS = ("-1", "-0.5", "-0.25", "0", "0.25", "0.5", "1")
_CHANCE_OF_ZERO = 0.5


@dataclass(frozen=True)
class Rational(Space):
    """Rational functions by the starting values of their coefficients.

    Args:
        numerator: highest power of P, 1 to 9.
        denominator: highest power of Q, 1 to 9.
        coefficients: `tensor` for one trained value per tensor, as in the paper; `channel` for
            one per channel; `frozen` for constants.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "rational"
    numerator: int = 5
    denominator: int = 4
    coefficients: str = "tensor"

    def __post_init__(self) -> None:
        for setting in ("numerator", "denominator"):
            degree = getattr(self, setting)
            if not 1 <= degree <= MAX_DEGREE:
                raise ConfigError(f"space {setting}={degree} must be 1 to {MAX_DEGREE}")
        kinds = (*Scope, FROZEN)
        if self.coefficients not in kinds:
            raise ConfigError(f"coefficients='{self.coefficients}' must be {', '.join(kinds)}")

    @property
    def size(self) -> int:
        """7^(numerator + 1 + denominator)."""
        return len(COEFFICIENTS) ** (self.numerator + 1 + self.denominator)

    def build(self, choose: Choose) -> Expr:
        """Ask for every coefficient, those of P from the constant up and then those of Q."""
        above = self._polynomial("a", range(self.numerator + 1), choose)
        below = self._polynomial("b", range(1, self.denominator + 1), choose)
        if below == _ZERO:
            return above
        return _applied("div", above, _applied("add", _ONE, _applied("abs", below)))

    def sample(self, rng: np.random.Generator) -> Proposal:
        """A candidate with each coefficient at 0 with probability 1/2.

        At the default degrees the median function has 28 nodes; it has 36 if all values are
        equally likely, and about as many pass the static screen.
        """

        def answer(slot: str, options: Sequence[str]) -> str:
            if rng.random() < _CHANCE_OF_ZERO:
                return "0"
            return draw([option for option in options if option != "0"], rng)

        return propose(self, answer)

    def mutate(self, parent: Decisions, rng: np.random.Generator) -> Proposal:
        """The parent with one coefficient moved to a neighbouring value."""
        changed = draw(list(parent), rng)

        def answer(slot: str, options: Sequence[str]) -> str:
            if slot != changed:
                return parent[slot]
            place = options.index(parent[slot])
            return draw([*options[max(0, place - 1) : place], *options[place + 1 : place + 2]], rng)

        return propose(self, answer)

    def _polynomial(self, letter: str, powers: range, choose: Choose) -> Expr:
        """By Horner's rule, from the highest power that is there down to the constant."""
        starts = {power: float(choose(f"{letter}{power}", COEFFICIENTS)) for power in powers}
        value: Expr = _ZERO
        for power in range(powers[-1], -1, -1):
            if value != _ZERO:
                value = _applied("mul", value, Input("x"))
            start = starts.get(power, 0.0)
            if start:
                term = self._coefficient(f"{letter}{power}", start)
                value = term if value == _ZERO else _applied("add", value, term)
        return value

    def _coefficient(self, name: str, start: float) -> Expr:
        if self.coefficients == FROZEN:
            return Constant(start)
        return Parameter(name, start, Scope(self.coefficients))


_ZERO, _ONE = Constant(0.0), Constant(1.0)


def _applied(name: str, *arguments: Expr) -> Expr:
    return Apply(OPERATORS[name], arguments)
