"""Mixed networks beside networks of one function: does a choice for each neuron pay?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ..errors import ConfigError, ParseError
from ..evaluators.network import Ended
from ..evaluators.result import Job, Result, Rung
from ..evaluators.selection import Selection, SelectionSettings, train_selection
from ..evaluators.statistics import compare
from ..evaluators.tasks import Splits, Task, check_splits
from ..evaluators.training import Trainer
from ..primitives import Expr, inputs, layer_words, read_formula
from ..primitives.lowering.mixture import Mixing

POOLS: Mapping[str, tuple[Mixing, tuple[str, ...]]] = {
    "smartmixed": (Mixing.HARD, ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "selu")),
    "s-kan": (Mixing.SOFT, ("silu", "kan_b_spline", "fastkan", "chebyshev", "wavelet_kan")),
}
"""Published pools: SmartMixed's (arXiv:2510.22450), and bases as of S-KAN's (arXiv:2408.08338)."""
MIXED = "mixed"
"""Label of the network whose neurons choose."""
RATE_FACTORS = (0.5, 1.0, 2.0)
"""Learning rates of the sweep, as multiples of the task's."""
_FURTHER = 4


@dataclass(frozen=True)
class MixSettings:
    """One comparison of a mixed network with networks of one function.

    Args:
        pool: functions of x by name.
        selection: how neurons choose.
        seeds: fresh paired seeds, at least two.
        seed: of the whole.
    """

    pool: Mapping[str, Expr]
    selection: SelectionSettings
    seeds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise ConfigError(f"--seeds {self.seeds}: an interval needs at least two")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed} must not be negative")
        if not 0 < self.selection.switch < 1:
            raise ConfigError(
                f"--switch {self.selection.switch} must be between 0 and 1, a share of the steps"
            )


def pool_named(text: str) -> tuple[Mixing, dict[str, Expr]]:
    """A published pool, or names and formulas with commas between them, which mix hard.

    Raises:
        ConfigError: a formula cannot be read; fewer than two functions, one twice, or one that is
            not of x alone.
    """
    mixing, names = POOLS.get(text.strip(), (Mixing.HARD, tuple(_split(text))))
    try:
        pool = {name: read_formula(name) for name in names}
    except ParseError as error:
        raise ConfigError(
            f"--pool '{text}': {error}; there are the pools {' and '.join(POOLS)}"
        ) from None
    if len(pool) < max(2, len(names)):
        raise ConfigError(
            f"--pool {text} must name at least two different functions, or be one of "
            f"{', '.join(POOLS)}"
        )
    for name, expr in pool.items():
        if inputs(expr) != ("x",) or layer_words(expr):
            raise ConfigError(f"--pool: '{name}' is not a function of one number x")
    return mixing, pool


def trainings_of(settings: MixSettings) -> int:
    """How many networks `run_mix` trains, if no best rate lies at an edge of the sweep."""
    return (1 + len(settings.pool)) * (len(RATE_FACTORS) + settings.seeds)


def run_mix(
    task: Task,
    settings: MixSettings,
    device: str = "cpu",
    told: Callable[[str, float | None], None] = lambda label, score: None,
) -> dict[str, Any]:
    """Train the mixed network and one of each function of the pool alike; JSON-ready.

    Each has the same sweep of learning rates with one seed on the validation split, widened where
    the best lies at its edge, then the same fresh seeds at its best rate, scored on the final
    split. One that diverges at a seed is listed and not compared.

    Args:
        told: called after each training with the label and the score, None if it diverged.

    Raises:
        TaskError: the task has several networks, or fails.
        ConfigError: the mixed network diverges at every rate.
    """
    trainer = Trainer(task, device)
    splits = check_splits(task.load())
    sweep_seed, *seeds = (
        int(word)
        for word in np.random.SeedSequence(settings.seed).generate_state(1 + settings.seeds)
    )
    rates = [task.learning_rate * factor for factor in RATE_FACTORS]
    mixed = _mixed(task, splits, settings, rates, sweep_seed, seeds, device, told)
    arms = [mixed.row()]
    for name, expr in settings.pool.items():
        arms.append(_single(trainer, name, expr, rates, sweep_seed, seeds, told))
    arms.sort(key=lambda arm: -arm["mean"] if arm["mean"] is not None else np.inf)
    sound = {arm["label"]: arm["scores"] for arm in arms if arm["unsound"] == 0}
    pairs = [(MIXED, name) for name in settings.pool if name in sound] if MIXED in sound else []
    return {
        "task": task.__class__.__name__,
        "pool": {name: expr.text for name, expr in settings.pool.items()},
        "mixing": str(settings.selection.mixing),
        "switch": settings.selection.switch,
        "temperature": settings.selection.temperature,
        "seeds": settings.seeds,
        "arms": arms,
        "comparisons": [asdict(comparison) for comparison in compare(sound, pairs)],
        **mixed.facts(settings.pool),
    }


@dataclass(frozen=True)
class _Mixed:
    rate: float
    selections: Sequence[Selection | None]

    def row(self) -> dict[str, Any]:
        scores = [s.final for s in self.selections if s is not None]
        return _row(MIXED, self.rate, scores, len(self.selections) - len(scores))

    def facts(self, pool: Mapping[str, Expr]) -> dict[str, Any]:
        """What the choice did, over the seeds that went well."""
        sound = [s for s in self.selections if s is not None]
        if not sound:
            return {"gap": None, "layers": []}
        gaps = [s.gap for s in sound]
        return {
            "gap": {
                "mixed": fmean(s.mixed for s in sound),
                "chosen": fmean(s.chosen for s in sound),
                "mean": fmean(gaps),
                "deviation": stdev(gaps) if len(gaps) > 1 else None,
                "scores": gaps,
            },
            "end": fmean(s.validation for s in sound),
            "sureness": fmean(s.sureness for s in sound),
            "layers": [
                {
                    name: sum(s.layers[place].count(name) for s in sound) / len(sound)
                    for name in pool
                }
                for place in range(len(sound[0].layers))
            ],
            "curve": _mean_curve([s.curve for s in sound]),
        }


def _mixed(
    task: Task,
    splits: Splits,
    settings: MixSettings,
    rates: Sequence[float],
    sweep_seed: int,
    seeds: Sequence[int],
    device: str,
    told: Callable[[str, float | None], None],
) -> _Mixed:
    def trained(rate: float, seed: int) -> Selection | None:
        try:
            made = train_selection(
                task, splits, settings.pool, rate, seed, settings.selection, device
            )
        except Ended:
            told(MIXED, None)
            return None
        told(MIXED, made.validation)
        return made

    def validation(rate: float) -> float | None:
        made = trained(rate, sweep_seed)
        return None if made is None else made.validation

    rate = _best_rate(rates, validation)
    if rate is None:
        raise ConfigError(f"the mixed network diverges at every rate, {_listed(rates)} and below")
    return _Mixed(rate, [trained(rate, seed) for seed in seeds])


def _single(
    trainer: Trainer,
    name: str,
    expr: Expr,
    rates: Sequence[float],
    sweep_seed: int,
    seeds: Sequence[int],
    told: Callable[[str, float | None], None],
) -> dict[str, Any]:
    def trained(rate: float, seed: int, split: str) -> float | None:
        rungs = (Rung(trainer.task.steps),)
        result: Result = trainer(Job(f"{name}/{seed}", expr.text, seed, rate, rungs, split=split))
        score = result.score if result.standing is not None else None
        told(name, score)
        return score

    rate = _best_rate(rates, lambda rate: trained(rate, sweep_seed, "validation"))
    if rate is None:
        return _row(name, None, [], len(seeds))
    found = [trained(rate, seed, "final") for seed in seeds]
    scores = [score for score in found if score is not None]
    return _row(name, rate, scores, len(found) - len(scores))


def _best_rate(rates: Sequence[float], score_at: Callable[[float], float | None]) -> float | None:
    """The rate of the best score, the lower of equals; None if none has a score.

    Where it is the lowest or highest that was tried, one beyond it is tried, up to four times;
    where no rate trains, lower ones.
    """
    scores = {rate: score_at(rate) for rate in rates}
    for further in range(_FURTHER + 1):
        sound = {rate: score for rate, score in sorted(scores.items()) if score is not None}
        best = max(sound, key=lambda rate: sound[rate]) if sound else min(scores)
        if further == _FURTHER or best not in (min(scores), max(scores)):
            break
        beyond = best / 2 if best == min(scores) else best * 2
        scores[beyond] = score_at(beyond)
    return best if sound else None


def _row(label: str, rate: float | None, scores: Sequence[float], unsound: int) -> dict[str, Any]:
    return {
        "label": label,
        "learning_rate": rate,
        "mean": fmean(scores) if scores else None,
        "deviation": stdev(scores) if len(scores) > 1 else None,
        "scores": list(scores),
        "unsound": unsound,
    }


def _mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> list[list[float]]:
    return [
        [points[0][0], fmean(loss for _, loss in points)] for points in zip(*curves, strict=False)
    ]


def _split(text: str) -> list[str]:
    """At commas outside of brackets, for a formula has its own."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _listed(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
