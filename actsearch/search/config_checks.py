"""The ranges of a run's settings, of whatever kinds its space and strategy are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..evaluators.result import Protocols, Rung
from .objectives import ANCHORS, COMPLEXITY, COST, SCORE

if TYPE_CHECKING:
    from .config import Config


def check(config: Config) -> None:
    """Whether every setting is in its range.

    Raises:
        ConfigError: one is not; names it, its value and what it must be.
    """
    search, training, finals = config.search, config.training, config.finals
    screens = config.screens
    checks = [
        ("seed", config.seed, config.seed >= 0, "at least 0"),
        ("budget", config.budget, config.budget >= 1, "at least 1"),
        ("search.lookback", search.lookback, search.lookback >= 1, "at least 1"),
        ("search.patience", search.patience, search.patience >= 1, "at least 1"),
        (
            "search.objectives",
            search.objectives,
            search.objectives[:1] in ((SCORE,), (ANCHORS,))
            and set(search.objectives[1:]) <= {COST, COMPLEXITY}
            and len(set(search.objectives)) == len(search.objectives),
            "score or anchors, and after it cost or complexity or both",
        ),
        (
            "search.cost_weight",
            search.cost_weight,
            0 <= search.cost_weight < float("inf"),
            "at least 0",
        ),
        *(
            (f"costs.{name}", cost, 0 < cost < float("inf"), "above 0, in nanoseconds")
            for name, cost in config.costs.items()
        ),
        (
            "training.learning_rate",
            training.learning_rate,
            0 <= training.learning_rate < float("inf"),
            "above 0, or 0 for the task's own",
        ),
        ("training.keep", training.keep, 0 < training.keep <= 1, "above 0 and at most 1"),
        ("training.least_scores", training.least_scores, training.least_scores >= 1, "at least 1"),
        (
            "training.window",
            training.window,
            training.window >= training.least_scores,
            "at least least_scores",
        ),
        (
            "training.rungs",
            [rung.steps for rung in training.rungs],
            all(rung.steps >= 1 for rung in training.rungs) and _in_order(training.rungs),
            "of at least 1 step each, in rising order, the last without a schedule of its own",
        ),
        *_protocol_checks(config.rejection),
        *(
            (f"{where}.groups", settings.groups, settings.groups >= 0, "at least 1, or 0")
            for where, settings in (("task", config.task), ("finals.task", finals.task))
        ),
        ("finals.steps", finals.steps, finals.steps >= 0, "at least 1, or 0 for the task's own"),
        (
            "finals.learning_rate",
            finals.learning_rate,
            0 <= finals.learning_rate < float("inf"),
            "above 0, or 0 for the task's own",
        ),
        ("finals.finalists", finals.finalists, finals.finalists >= 0, "at least 0"),
        (
            "finals.contenders",
            finals.contenders,
            finals.contenders >= finals.finalists,
            "at least finalists",
        ),
        ("finals.seeds", finals.seeds, finals.seeds >= 2, "at least 2"),
        ("finals.sweep_seeds", finals.sweep_seeds, finals.sweep_seeds >= 1, "at least 1"),
        (
            "finals.learning_rate_factors",
            finals.learning_rate_factors,
            bool(finals.learning_rate_factors)
            and all(0 < factor < float("inf") for factor in finals.learning_rate_factors),
            "a list of numbers above 0",
        ),
        (
            "finals.learning_rate_factors",
            finals.learning_rate_factors,
            len(set(finals.learning_rate_factors)) == len(finals.learning_rate_factors),
            "different numbers",
        ),
        ("screens.largest", screens.largest, screens.largest > 0, "above 0"),
        ("screens.widest", screens.widest, 1 <= screens.widest <= 1e30, "1 to 1e30"),
        (
            "screens.lowest_chi",
            screens.lowest_chi,
            0 <= screens.lowest_chi < screens.highest_chi,
            "at least 0 and below highest_chi",
        ),
        ("finals.confidence", finals.confidence, 0 < finals.confidence < 1, "between 0 and 1"),
    ]
    for name, value, good, wanted in checks:
        if not good:
            raise ConfigError(f"setting {name}={value!r} must be {wanted}")


def _protocol_checks(protocols: Protocols) -> list[tuple[str, Any, bool, str]]:
    bound, ascent = protocols.stability_bound, protocols.stability_steps
    return [
        (
            "rejection.quality_steps",
            protocols.quality_steps,
            protocols.quality_steps >= 1,
            "at least 1",
        ),
        ("rejection.stability_steps", ascent, ascent >= 0, "at least 0"),
        (
            "rejection.quality_score",
            protocols.quality_score,
            abs(protocols.quality_score) < float("inf"),
            "a number; 0 for no such check",
        ),
        ("rejection.stability_bound", bound, bound > 0, "above 0"),
    ]


def _in_order(rungs: tuple[Rung, ...]) -> bool:
    steps = [rung.steps for rung in rungs]
    return not rungs or (steps == sorted(set(steps)) and not rungs[-1].own_schedule)
