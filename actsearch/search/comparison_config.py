"""Every setting of a comparison, with its default. Its run directory keeps all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ..errors import ConfigError, RunError
from ..evaluators.tasks import Task
from ..runs.run import COMPARISON
from .config import TaskSettings

HALVING, SWEEP, FINAL = 11, 12, 13
"""What seeds are for. Those of searches have other numbers: the seeds that chose RUN#1 must not
judge it."""


@dataclass(frozen=True)
class Entrant:
    """A function that is compared, and what people call it.

    Args:
        formula: canonical text.
        normalises: it takes the place of the task's normalisations too.
    """

    label: str
    formula: str
    normalises: bool = False


@dataclass(frozen=True)
class Round:
    """A round of successive halving.

    Args:
        steps: of each training, with a learning-rate schedule of its own.
        seeds: fresh ones of the round, the same for every function.
        keep: functions that go on.
    """

    steps: int
    seeds: int
    keep: int


@dataclass(frozen=True)
class ComparisonConfig:
    """A comparison: its results are a function of these settings and nothing else.

    Args:
        entrants: compared from the first to the last stage; the first is the reference.
        members: of the zoo, which must pass the rounds first.
        rounds: of successive halving; none without members.
        merged, left_out: what was named or listed and is not trained by itself, and why.
        learning_rate, steps: the task's.
        learning_rate_factors: rates of the sweep, as multiples of the task's, in rising order.
        widenings: rates that the sweep of a function may add while its best one lies at an edge.
        sweep_seeds: fresh seeds of each rate of the sweep, scored on the validation split.
        seeds: fresh paired seeds of the comparison, scored on the final split.
        confidence: of the intervals; a corrected p below one minus it counts.
        power: chance of success for which the required number of seeds is given.
    """

    entrants: tuple[Entrant, ...]
    task: TaskSettings
    learning_rate: float
    steps: int
    members: tuple[Entrant, ...] = ()
    rounds: tuple[Round, ...] = ()
    merged: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    seeds: int = 10
    sweep_seeds: int = 3
    learning_rate_factors: tuple[float, ...] = (0.5, 1.0, 2.0)
    widenings: int = 4
    confidence: float = 0.95
    power: float = 0.8
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        factors = self.learning_rate_factors
        checks = [
            ("seed", self.seed, self.seed >= 0, "at least 0"),
            ("seeds", self.seeds, self.seeds >= 2, "at least 2"),
            ("sweep_seeds", self.sweep_seeds, self.sweep_seeds >= 1, "at least 1"),
            ("widenings", self.widenings, self.widenings >= 0, "at least 0"),
            (
                "learning_rate_factors",
                factors,
                len(factors) > 1
                and all(0 < factor < math.inf for factor in factors)
                and list(factors) == sorted(set(factors)),
                "two or more different numbers above 0, in rising order",
            ),
            ("confidence", self.confidence, 0 < self.confidence < 1, "between 0 and 1"),
            ("power", self.power, 0 < self.power < 1, "between 0 and 1"),
        ]
        for name, value, good, wanted in checks:
            if not good:
                raise ConfigError(f"{name}={value!r} must be {wanted}")

    @property
    def reference(self) -> str:
        """Label of the function that all others are compared with."""
        return self.entrants[0].label

    def seeds_for(self, *purpose: int, count: int) -> list[int]:
        """Seeds of trainings, others for each purpose."""
        state = np.random.SeedSequence([self.seed, *purpose]).generate_state(count)
        return [int(word) >> 1 for word in state]

    def to_dict(self) -> dict[str, Any]:
        """TOML-ready form."""
        return {"kind": COMPARISON, **_plain(asdict(self))}


def load_comparison(table: Mapping[str, Any]) -> ComparisonConfig:
    """The settings that a run directory keeps.

    Raises:
        RunError: this version does not know one of them.
    """
    settings = {key: value for key, value in table.items() if key != "kind"}
    try:
        return TypeAdapter(ComparisonConfig).validate_python(settings)
    except (ValidationError, TypeError) as error:
        raise RunError(f"not the settings of a comparison: {error}".splitlines()[0]) from None


def halving_rounds(task: Task, members: int, survivors: int) -> tuple[Round, ...]:
    """Rounds that bring so many down to the survivors, each with half as many and twice the work.

    They begin with the task's rungs, which were measured to predict its full training, go on to
    full trainings and then to two, four, ... seeds of them; fewer members begin later.

    Source: Jamieson and Talwalkar 2016, arXiv:1502.07943.
    """
    counts = []
    while members > survivors:
        members = max(survivors, math.ceil(members / 2))
        counts.append(members)
    short = [(rung.steps, 1) for rung in task.rungs]
    work = [*short, *((task.steps, 2**number) for number in range(len(counts)))]
    first = max(0, len(short) + 1 - len(counts))
    return tuple(
        Round(steps, seeds, keep)
        for (steps, seeds), keep in zip(work[first:], counts, strict=False)
    )


def _plain(value: Any) -> Any:
    """Tuples as lists, as TOML and JSON have them."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
