"""Any of Optuna's samplers straight on the decisions: each slot is a categorical parameter."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState, create_trial

from ...errors import ConfigError
from ...primitives.operators import did_you_mean
from ...primitives.spaces import Decisions, Proposal, propose
from .reward import as_number
from .strategy import Observation, Surroundings


class _BruteForceSampler(optuna.samplers.BruteForceSampler):
    def after_trial(self, *arguments: Any) -> None:
        """Nothing: at the end of the space it would stop `study.optimize`, and none is running."""


_SAMPLERS: Mapping[str, Callable[..., BaseSampler]] = {
    "bruteforce": _BruteForceSampler,
    "gp": optuna.samplers.GPSampler,
    "nsgaii": optuna.samplers.NSGAIISampler,
    "nsgaiii": optuna.samplers.NSGAIIISampler,
    "qmc": optuna.samplers.QMCSampler,
    "random": optuna.samplers.RandomSampler,
    "tpe": optuna.samplers.TPESampler,
}
_OTHER_SPELLINGS = {"brute-force": "bruteforce", "nsga2": "nsgaii", "nsga3": "nsgaiii"}
_UNFIT = {
    "cmaes": "varies numbers, and decisions are none",
    "grid": "is bruteforce here",
    "partialfixed": "wraps another sampler",
}
# Questions that depend on earlier answers form groups; a proposal under way counts as a bad one,
# else the same is proposed again and again until its result is in.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "tpe": {"multivariate": True, "group": True, "constant_liar": True}
}


@dataclass(frozen=True)
class OptunaSettings:
    """Which sampler.

    Args:
        sampler: tpe, gp, nsgaii (or nsga2), nsgaiii (or nsga3), random, qmc or bruteforce (or
            brute-force).
        options: keyword arguments of the sampler's class, as in Optuna's documentation; `tpe` is
            multivariate, in groups and with a constant liar unless they say otherwise.

    Raises:
        ConfigError: there is no such sampler, it cannot vary decisions, or it refuses an option.
    """

    sampler: str = "tpe"
    options: dict[str, bool | int | float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.sampler
        if name in _UNFIT:
            raise ConfigError(f"setting strategy.sampler='{name}' cannot search: it {_UNFIT[name]}")
        known = (*_SAMPLERS, *_OTHER_SPELLINGS)
        if name not in known:
            raise ConfigError(
                f"unknown sampler '{name}'{did_you_mean(name, known)}; there are: "
                f"{', '.join(known)}"
            )
        self.make(seed=0)

    def make(self, seed: int) -> BaseSampler:
        """The sampler, seeded."""
        name = _OTHER_SPELLINGS.get(self.sampler, self.sampler)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                return _SAMPLERS[name](seed=seed, **{**_OPTIONS.get(name, {}), **self.options})
            except (TypeError, ValueError) as error:
                raise ConfigError(f"setting strategy.options of {name}: {error}") from None


class OptunaSampler:
    """Asks an Optuna study in memory, and tells it what was observed.

    The sampler is seeded once, from the first generator given. A study told of a result learns
    one number in the order of standings, and each cost, negated. A candidate that diverged is
    told as pruned, and so is one that was screened out, which shows when a later one is observed:
    `tpe` ranks pruned ones last, the others learn nothing from them.

    A sampler may ask for the same candidate again. It stays under way like any other until then,
    which turns `tpe` and `gp` away from it.
    """

    def __init__(self, surroundings: Surroundings, settings: OptunaSettings) -> None:
        self.space = surroundings.space
        self.objectives = surroundings.objectives
        self.settings = settings
        self._study: optuna.Study | None = None
        self._under_way: deque[tuple[frozenset[tuple[str, str]], Trial]] = deque()
        self._met: set[frozenset[tuple[str, str]]] = set()

    def propose(self, rng: np.random.Generator) -> Proposal | None:
        with _quiet():
            study = self._started(int(rng.integers(2**32)))
            trial = study.ask()
            proposal = propose(
                self.space,
                lambda slot, options: trial.suggest_categorical(_parameter(slot, options), options),
            )
        key = frozenset(proposal.decisions.items())
        if key in self._met and isinstance(study.sampler, _BruteForceSampler):
            return None
        self._met.add(key)
        self._under_way.append((key, trial))
        return proposal

    def observe(self, observation: Observation) -> None:
        decisions = observation.decisions
        if decisions is None:
            return
        with _quiet():
            study = self._started(seed=0)
            key = frozenset(decisions.items())
            if all(key != other for other, _ in self._under_way):
                self._met.add(key)
                self._add(study, decisions, observation)
                return
            # Results come in the order of proposals: what is older was screened out.
            while True:
                other, trial = self._under_way.popleft()
                if other == key:
                    break
                study.tell(trial, state=TrialState.PRUNED)
            values = _values(observation)
            study.tell(trial, values, None if values else TrialState.PRUNED)

    def _started(self, seed: int) -> optuna.Study:
        if self._study is None:
            directions = [optuna.study.StudyDirection.MAXIMIZE] * self.objectives
            self._study = optuna.create_study(
                sampler=self.settings.make(seed), directions=directions
            )
        return self._study

    def _add(self, study: optuna.Study, decisions: Decisions, observation: Observation) -> None:
        """Tell of a candidate that another strategy proposed."""
        answers: dict[str, str] = {}
        distributions: dict[str, BaseDistribution] = {}

        def given(slot: str, options: Sequence[str]) -> str:
            name = _parameter(slot, options)
            answers[name], distributions[name] = decisions[slot], CategoricalDistribution(options)
            return decisions[slot]

        propose(self.space, given)
        values = _values(observation)
        state = TrialState.COMPLETE if values else TrialState.PRUNED
        study.add_trial(
            create_trial(state=state, values=values, params=answers, distributions=distributions)
        )


def _values(observation: Observation) -> list[float] | None:
    if observation.standing is None:
        return None
    standings = observation.standings
    return [*map(as_number, standings), *observation.objectives[len(standings) :]]


def _parameter(slot: str, options: Sequence[str]) -> str:
    """A parameter has the same options for ever, a slot may have others after other answers."""
    return f"{slot}: {', '.join(options)}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's remarks, such as that some questions are not always asked."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
