"""A space whose candidates tell how they were made, to test what a strategy asks of it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from actsearch.evaluators.result import Result, Status
from actsearch.primitives import Expr, Input
from actsearch.primitives.spaces import Choose, Decisions, Proposal, Space
from actsearch.search.strategies import Observation


def person(name: str) -> Proposal:
    return Proposal(Input("x"), {"name": name})


class Family(Space):
    """Decisions hold one name: that of a parent, or `new`, `child of A`, `A and B`."""

    name: ClassVar[str] = "family"

    @property
    def size(self) -> int:
        raise NotImplementedError

    def build(self, choose: Choose) -> Expr:
        raise NotImplementedError

    def sample(self, rng: np.random.Generator) -> Proposal:
        return person("new")

    def mutate(self, parent: Decisions, rng: np.random.Generator) -> Proposal:
        return person(f"child of {parent['name']}")

    def crossover(self, mother: Decisions, father: Decisions, rng: np.random.Generator) -> Proposal:
        return person(f"{mother['name']} and {father['name']}")


def seen(name: str, score: float, *costs: float, rungs: int = 1) -> Observation:
    """A parent of that name, whose training reached so many rungs."""
    result = Result("", Status.COMPLETE, (0.0,) * (rungs - 1) + (score,))
    made = person(name)
    return Observation(made.expr, made.decisions, result, result.standing, costs)


def never_ranks() -> list[Observation]:
    """What cannot be a parent: a training that diverged, one that failed, a known activation."""
    made = person("unusable")
    diverged, failed = (Result("", status, (0.9,)) for status in (Status.DIVERGED, Status.FAILED))
    return [
        *(Observation(made.expr, made.decisions, result, None) for result in (diverged, failed)),
        Observation(made.expr, None, Result("", Status.COMPLETE, (0.9,)), (1, 0.9)),
    ]
