"""A space is a decision program; whoever answers its questions is the strategy.

A space builds a candidate by asking `choose(slot, options)` again and again. Slots are named by
position, so that the answers recorded for one candidate stay meaningful when one of them changes:
that is all that mutation and crossover need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from ..expr import Expr

Choose = Callable[[str, Sequence[str]], str]
Decisions = Mapping[str, str]


@dataclass(frozen=True)
class Proposal:
    """A candidate and the answers that led to it, `slot -> option` in the order asked."""

    expr: Expr
    decisions: Decisions


class Space(Protocol):
    """Which candidates exist.

    A space is a frozen dataclass whose fields are its settings. It says how many candidates there
    are and builds one from answers; how to vary one is by default the same for all spaces.
    """

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    """What its candidates read."""
    replaces_norm: ClassVar[bool] = False
    """Its candidates take the place of a normalisation and the activation after it."""
    references: ClassVar[tuple[str, ...]] = ("relu", "gelu")
    """Known activations that results are shown beside; finals compare with the first one."""

    @property
    def size(self) -> int:
        """Number of different sequences of answers."""
        ...

    def build(self, choose: Choose) -> Expr:
        """Ask for every decision and return the candidate; deterministic given the answers."""
        ...

    def decisions_of(self, expr: Expr) -> Decisions | None:
        """Answers that build a candidate equal to the expression, where the space can tell.

        Equal up to what the candidates of the space all have, such as a last affine map.
        """
        return None

    def sample(self, rng: np.random.Generator) -> Proposal:
        """A candidate with every answer drawn uniformly."""
        return propose(self, lambda slot, options: draw(options, rng))

    def mutate(self, parent: Decisions, rng: np.random.Generator) -> Proposal:
        """The parent's answers with one of them changed; new slots are answered at random."""
        slots = list(parent)
        changed = slots[rng.integers(len(slots))]

        def answer(slot: str, options: Sequence[str]) -> str:
            if slot == changed:
                others = [option for option in options if option != parent[slot]]
                return draw(others or options, rng)
            return _inherited(parent.get(slot), options, rng)

        return propose(self, answer)

    def crossover(self, mother: Decisions, father: Decisions, rng: np.random.Generator) -> Proposal:
        """Answers of two parents; slots with the same part before the first dot stay together."""
        from_mother: dict[str, bool] = {}

        def answer(slot: str, options: Sequence[str]) -> str:
            group = slot.partition(".")[0]
            if group not in from_mother:
                from_mother[group] = bool(rng.integers(2))
            first, second = (mother, father) if from_mother[group] else (father, mother)
            return _inherited(first.get(slot, second.get(slot)), options, rng)

        return propose(self, answer)


def propose(space: Space, answer: Choose) -> Proposal:
    """Run the decision program and record what was answered.

    Raises:
        ValueError: the answer to a slot is not one of its options, or a slot is asked twice.
    """
    recorded: dict[str, str] = {}

    def choose(slot: str, options: Sequence[str]) -> str:
        option = answer(slot, options)
        if option not in options:
            raise ValueError(f"slot '{slot}' has no option '{option}'; it has {', '.join(options)}")
        if slot in recorded:
            raise ValueError(f"space '{space.name}' asks for slot '{slot}' twice")
        recorded[slot] = option
        return option

    return Proposal(space.build(choose), recorded)


def replay(space: Space, decisions: Decisions) -> Proposal:
    """The candidate of recorded answers.

    Raises:
        ValueError: an answer is missing or is not an option.
    """

    def answer(slot: str, options: Sequence[str]) -> str:
        if slot not in decisions:
            raise ValueError(f"no answer for slot '{slot}' of space '{space.name}'")
        return decisions[slot]

    return propose(space, answer)


def enumerated(space: Space) -> Iterator[Proposal]:
    """Every candidate of the space, in the order of its options, the last question fastest.

    Sequences of answers that give the same expression come each for itself.
    """
    path: list[tuple[Sequence[str], int]] = []
    while True:
        answers = iter(range(len(path)))

        def answer(slot: str, options: Sequence[str], answers: Iterator[int] = answers) -> str:
            number = next(answers, None)
            if number is None:
                path.append((tuple(options), 0))
                number = len(path) - 1
            known, chosen = path[number]
            return known[chosen]

        yield propose(space, answer)
        while path and path[-1][1] + 1 == len(path[-1][0]):
            path.pop()
        if not path:
            return
        options, chosen = path[-1]
        path[-1] = (options, chosen + 1)


def _inherited(option: str | None, options: Sequence[str], rng: np.random.Generator) -> str:
    return option if option is not None and option in options else draw(options, rng)


def draw(options: Sequence[str], rng: np.random.Generator) -> str:
    """One of the options, uniformly."""
    return options[int(rng.integers(len(options)))]
