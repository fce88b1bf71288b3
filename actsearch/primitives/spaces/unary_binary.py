"""Core units b(u1, u2), composed up to three deep.

The last unit's output is the activation. What the first unit reads is x; what a later one reads
is the form: freely x or any earlier unit, as in Searching for Activation Functions (Ramachandran
et al. 2017, arXiv:1710.05941, section 3), a chain, or two units below one (Bingham, Macke and
Miikkulainen 2020, arXiv:2002.07224).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import ConfigError
from ..expr import Expr, Input, Scope
from .operator_sets import check_scope, filled, operator_set, with_short_names
from .space import Choose, Proposal, Space, draw, propose

MAX_UNITS = 3
FORMS = ("any", "chain", "nested")


@dataclass(frozen=True)
class UnaryBinary(Space):
    """The space of up to `units` core units.

    Args:
        units: most core units, 1 to 3; the nested form has exactly 1 (S1 of the 2020 paper) or
            3 (S2).
        operators: `swish-2017` (25 unary, 10 binary), `pangaea-2022` (27 and 7) or `gecco-2020`
            (24 and 6).
        beta_scope: whether a trainable beta is one number per channel, as in the paper, or per
            tensor.
        form: `any`, where each side of a unit reads x or any earlier unit; `chain`, where a unit
            is b(previous unit, u(x)), as in the NNI re-implementation; or `nested`, where the
            third unit reads the first and the second, which read x.
        raw_input: share of samples, 0 to 1, in which one side of the last unit is made x itself.
            The 2017 paper found b(x, g(x)) to be the common shape of its best functions.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "unary-binary"
    units: int = 2
    operators: str = "swish-2017"
    beta_scope: str = "channel"
    form: str = "any"
    raw_input: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.units <= MAX_UNITS:
            raise ConfigError(f"space units={self.units} must be 1 to {MAX_UNITS}")
        operator_set(self.operators)
        check_scope(self.beta_scope)
        if self.form not in FORMS:
            raise ConfigError(f"space form='{self.form}' must be {', '.join(FORMS[:-1])} or nested")
        if not 0 <= self.raw_input <= 1:
            raise ConfigError(f"space raw_input={self.raw_input} must be 0 to 1")
        if self.form == "nested" and self.units == 2:
            raise ConfigError("space units=2 must be 1 or 3 for form='nested'")
        if self.form == "nested" and self.units > 1 and self.raw_input:
            raise ConfigError(
                f"space raw_input={self.raw_input} must be 0 for form='nested', whose last unit "
                "reads other units only"
            )

    @property
    def size(self) -> int:
        """Number of candidates, with u unary and b binary operators and n the number of units.

        `any`: the sum over n of the product over i up to n of i^2 u^2 b. `chain`: the sum over n
        of u (u b)^n. `nested`: (u^2 b)^units.
        """
        operators = operator_set(self.operators)
        unary, binary = len(operators.unary), len(operators.binary)
        counts = range(1, self.units + 1)
        if self.form == "nested":
            return (unary**2 * binary) ** self.units
        if self.form == "chain":
            return sum(unary * (unary * binary) ** n for n in counts)
        return sum(math.prod(i * i * unary**2 * binary for i in range(1, n + 1)) for n in counts)

    def build(self, choose: Choose) -> Expr:
        """Ask for the number of units if it is open, then for each unit's operators and inputs."""
        operators, scope = operator_set(self.operators), Scope(self.beta_scope)
        count = self.units if self.form == "nested" else int(choose("units", self._counts()))
        available: dict[str, Expr] = {"x": Input("x")}
        for i in range(1, count + 1):
            unit = f"unit{i}"
            outer = choose(f"{unit}.binary", operators.binary)
            sides = []
            for side in ("left", "right"):
                if self.form == "chain" and i > 1 and side == "left":
                    sides.append(available[f"unit{i - 1}"])
                    continue
                inner = choose(f"{unit}.{side}", operators.unary)
                readable = self._readable(i, side)
                read = (
                    choose(f"{unit}.{side}.input", readable) if len(readable) > 1 else readable[0]
                )
                sides.append(filled(inner, f"{unit}_{side}", scope, available[read]))
            available[unit] = filled(outer, f"{unit}_binary", scope, *sides)
        return with_short_names(available[f"unit{count}"])

    def sample(self, rng: np.random.Generator) -> Proposal:
        """Every answer drawn uniformly; in a share `raw_input`, one side of the last unit is x."""
        if not self.raw_input or rng.random() >= self.raw_input:
            return super().sample(rng)
        count = draw(self._counts(), rng)
        left_reads_unit = self.form == "chain" and count != "1"
        side = "right" if left_reads_unit else draw(("left", "right"), rng)
        last = f"unit{count}.{side}"
        answers = {"units": count, last: "x", f"{last}.input": "x"}
        return propose(self, lambda slot, options: answers.get(slot) or draw(options, rng))

    def _counts(self) -> list[str]:
        return [str(n) for n in range(1, self.units + 1)]

    def _readable(self, unit: int, side: str) -> list[str]:
        """What a unary operator on that side of a unit can read."""
        if self.form == "any":
            return ["x", *(f"unit{i}" for i in range(1, unit))]
        if self.form == "nested" and unit == MAX_UNITS:
            return ["unit1" if side == "left" else "unit2"]
        return ["x"]
