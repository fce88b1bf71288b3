"""Training in which each neuron chooses its activation from a pool, then keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import nn

from ..errors import TaskError
from ..primitives import Expr
from ..primitives.analysis import initial_gain
from ..primitives.lowering.mixture import Mixing, Mixture, check_pool, frozen
from .network import Ended, Network
from .surroundings import generators_kept
from .tasks import ActivationFactory, Splits, Task


@dataclass(frozen=True)
class Selection:
    """What came of one training with a choice.

    Args:
        mixed: validation score right before the choice, of the network as it was trained; if the
            mixing is hard, the mean over a few draws.
        chosen: validation score right after the choice, nothing trained in between.
        validation, final: scores at the end.
        curve: (steps, training loss).
        layers: for each place, in order, the name that each neuron chose.
        sureness: mean over neurons of the softmax weight of what they chose.
    """

    mixed: float
    chosen: float
    validation: float
    final: float
    curve: tuple[tuple[int, float], ...]
    layers: tuple[tuple[str, ...], ...]
    sureness: float

    @property
    def gap(self) -> float:
        """What the choice itself changed in the score."""
        return self.chosen - self.mixed


@dataclass(frozen=True)
class SelectionSettings:
    """How neurons choose.

    Args:
        mixing: hard, as SmartMixed, or soft, as S-KAN.
        switch: share of the steps after which they keep their choice, in (0, 1); SmartMixed's
            released code switches after 50 of 400 epochs, so it has 0.125.
        temperature: of the softmax; not published.
    """

    mixing: Mixing = Mixing.HARD
    switch: float = 0.125
    temperature: float = 1.0


_DRAWS = 5


def train_selection(
    task: Task,
    splits: Splits,
    pool: Mapping[str, Expr],
    learning_rate: float,
    seed: int,
    settings: SelectionSettings,
    device: str = "cpu",
) -> Selection:
    """Train a network whose neurons choose among the pool; it depends on the arguments alone.

    Initial weights are scaled for the mean square of the pool's functions.

    Args:
        pool: functions of x by name.
        learning_rate: peak.

    Raises:
        TaskError: the task has several networks.
        ValueError: the pool cannot be mixed.
        Ended: the training diverges.
    """
    check_pool(pool)
    if task.anchors:
        raise TaskError(
            f"{type(task).__name__} has {len(task.anchors)} networks; "
            "a choice is made in tasks with one"
        )
    with generators_kept(device):
        torch.manual_seed(seed)
        factory = ActivationFactory(
            lambda channels, dim: Mixture(
                pool, channels, dim, mixing=settings.mixing, temperature=settings.temperature
            )
        )
        model = task.build_model(factory).to(device)
        task.initialise(model, pool_gain(pool, task.groups))
        network = Network(task, "", model, splits.train, learning_rate, seed, task.steps)
        network.advance(min(max(1, round(settings.switch * task.steps)), task.steps - 1))
        draws = _DRAWS if settings.mixing is Mixing.HARD else 1
        mixed = fmean(network.score(splits.validation) for _ in range(draws))
        sureness = _sureness(model)
        layers = tuple(selected.names for selected in frozen(model))
        if not layers:
            raise TaskError(f"{type(task).__name__}.build_model never called activation(channels)")
        chosen = network.score(splits.validation)
        network.advance(task.steps)
        return Selection(
            mixed,
            chosen,
            network.score(splits.validation),
            network.score(splits.final),
            tuple(network.curve),
            layers,
            sureness,
        )


def pool_gain(pool: Mapping[str, Expr], groups: int) -> float:
    """1 / sqrt of the mean of E f^2 over the pool: of a neuron that may be any of them."""
    return 1 / math.sqrt(fmean(1 / initial_gain(expr, groups) ** 2 for expr in pool.values()))


def _sureness(model: nn.Module) -> float:
    mixtures = [module for module in model.modules() if isinstance(module, Mixture)]
    logits = torch.cat([m.logits.detach() / m.temperature for m in mixtures])
    return float(logits.softmax(dim=1).max(dim=1).values.mean())


__all__ = ["Ended", "Selection", "SelectionSettings", "pool_gain", "train_selection"]
