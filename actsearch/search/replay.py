"""A search on a table: the same strategies, screens, rungs and lookback, but nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ..evaluators.result import Result, Status
from ..evaluators.spectra import spectrum_on
from ..evaluators.table import Table, result_in_table
from ..primitives import Expr, parse
from .candidates import candidates
from .config import Config, load_config, reload_task
from .proposer import Proposer
from .strategies import Observation


@dataclass(frozen=True)
class Replay:
    """One search on a table.

    Args:
        functions: numbers of the functions in the order in which they were trained.
        results: what came of each.
        proposed: proposals, with those that the screens rejected.
    """

    functions: tuple[int, ...]
    results: tuple[Result, ...]
    proposed: int

    def reached(self, table: Table) -> np.ndarray:
        """(evaluations,) the best quality among the functions trained in full so far."""
        seen = [
            table.quality[function] if result.status is Status.COMPLETE else -np.inf
            for function, result in zip(self.functions, self.results, strict=True)
        ]
        return np.maximum.accumulate(np.array(seen))

    def picked(self, table: Table) -> np.ndarray:
        """(evaluations,) quality of the function whose own score is the best so far.

        That is what a user would take home who retrains nothing; it may fall.
        """
        best: tuple[int, float] = (0, -np.inf)
        quality, picked = -np.inf, []
        for function, result in zip(self.functions, self.results, strict=True):
            if result.standing is not None and result.standing > best:
                best, quality = result.standing, table.quality[function]
            picked.append(quality)
        return np.array(picked)


def on_table(table: Table, settings: dict[str, Any]) -> Config:
    """The configuration of a replay: the table's space and task, and these settings.

    Raises:
        ConfigError: they are not valid, or ask for rungs that the table lacks.
    """
    made_by = table.settings
    training = {
        "learning_rate": made_by["training"]["learning_rate"],
        "rungs": made_by["training"]["rungs"],
        **settings.get("training", {}),
    }
    config = load_config(
        {
            **settings,
            "space": made_by["space"],
            "task": made_by["task"],
            "screens": made_by["screens"],
            "training": training,
        }
    )
    table.places(config.training.rungs)
    return config


def replay(table: Table, config: Config, seed: int) -> Replay:
    """A search with this seed; trainings are those of one of the table's seeds, in turn.

    Args:
        table: of the space and task of the configuration.
        config: as of `on_table`.
        seed: of the proposals.
    """
    places = table.places(config.training.rungs)
    column = seed % len(table.seeds)
    config = replace(config, seed=seed)
    strategy = config.make_strategy(_spectrum_of(config))
    for text, scores in zip(table.known_formulas, table.known_scores[:, column], strict=True):
        result = result_in_table(text, scores[places], ())
        strategy.observe(Observation(parse(text), None, result, result.standing))
    proposer = Proposer(strategy, table.screen(), seed, config.search.patience)
    seen: list[tuple[int, Observation]] = []
    for candidate in candidates(config, proposer, lambda index: seen[index][1]):
        expr = candidate.proposal.expr
        function = table.function_of(expr.text)
        result = result_in_table(
            expr.text, table.scores[function, column, places], candidate.thresholds
        )
        observation = Observation(expr, candidate.proposal.decisions, result, result.standing)
        seen.append((function, observation))
    return Replay(
        tuple(function for function, _ in seen),
        tuple(observation.result for _, observation in seen),
        proposer.proposed,
    )


def _spectrum_of(config: Config) -> Callable[[Expr], np.ndarray]:
    """Spectra on the task, which is loaded when the first is asked for; most never ask."""
    on_task = cache(
        lambda: spectrum_on(reload_task(config.task), normalises=config.space.replaces_norm)
    )
    return lambda expr: on_task()(expr)
