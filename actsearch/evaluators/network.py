"""One network with the candidate in it: its initial weights, its training, its score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

import torch
from torch import Tensor, nn

from ..errors import TaskError
from ..primitives import Expr, inputs, module_of
from ..primitives.analysis import initial_gain
from .result import Status
from .tasks import ActivationFactory, Split, Task

CURVE_POINTS = 30
SCORED_AT_ONCE = 2_000


def network_names(task: Task) -> tuple[str, ...]:
    """The task's anchors; one empty name for the network of a task without."""
    return task.anchors or ("",)


def activation_of(task: Task, expr: Expr, *, normalises: bool = False) -> ActivationFactory:
    """What the task's networks take in place of an activation.

    Args:
        normalises: the candidate takes the place of a normalisation too.
    """
    return ActivationFactory(
        lambda channels, dim: module_of(expr, channels, dim, task.groups),
        inputs=len(inputs(expr)) or 1,
        normalises=normalises,
    )


def built_model(
    task: Task, name: str, expr: Expr, activation: ActivationFactory, seed: int, device: str
) -> nn.Module:
    """A network with initial weights drawn from the seed, for the gain of the expression.

    Args:
        name: as of `network_names`.
        activation: gives the expression's modules.
    """
    torch.manual_seed(seed)
    model = task.build_anchor(name, activation) if name else task.build_model(activation)
    model = model.to(device)
    task.initialise(model, initial_gain(expr, task.groups))
    return model


class Ended(Exception):
    """A training goes no further: how it ended, and why. Caught where jobs are run."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Network:
    """A model on its way through one learning-rate schedule.

    What it draws depends on its seed alone: each network has its own state of the global
    generators, wherever the training of another comes between.

    Args:
        model: with its initial weights, just drawn.
        name: as of `network_names`.
        learning_rate: peak.
        seed: of the order of the data and of augmentation.
        total: steps of the schedule.
    """

    def __init__(
        self,
        task: Task,
        name: str,
        model: nn.Module,
        train: Split,
        learning_rate: float,
        seed: int,
        total: int,
    ) -> None:
        self.task, self.name, self.model, self.total = task, name, model, total
        rate = learning_rate * task.rate_factors.get(name, 1)
        self.optimizer = task.optimizer(self.model.parameters(), rate)
        self.schedule = task.schedule(self.optimizer, rate, total)
        self.generator = torch.Generator().manual_seed(seed)
        self.batches = iter(task.batches(train, self.generator))
        self.device = train.inputs.device
        self.random_state = _random_state(self.device)
        self.done = 0
        self.curve: list[tuple[int, float]] = []

    def advance(self, steps: int) -> None:
        """Train until `steps` are done in all.

        The loss is looked at thirty times in a training, for looking waits for a GPU.

        Raises:
            Ended: a loss that is not finite is seen.
            TaskError: the task's batches end before the training.
        """
        _set_random_state(self.random_state, self.device)
        self.model.train()
        every = max(1, self.total // CURVE_POINTS)
        while self.done < steps:
            batch, targets = self._next_batch()
            batch = self.task.augment(batch, self.generator)
            loss = self.task.loss(self.model(batch), targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.done += 1
            if self.done % every == 0 or self.done == steps:
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise Ended(Status.DIVERGED, loss_diverged(self.done, self.name))
                self.curve.append((self.done, value))
        self.random_state = _random_state(self.device)

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        try:
            return next(self.batches)
        except StopIteration:
            raise TaskError(
                f"batches() of task {type(self.task).__name__} ended after {self.done} of "
                f"{self.total} steps; yield a batch for each step"
            ) from None

    def score(self, split: Split) -> float:
        """The task's score on a split.

        Raises:
            Ended: it is not finite.
        """
        self.model.eval()
        with torch.no_grad():
            outputs = torch.cat([self.model(part) for part in split.inputs.split(SCORED_AT_ONCE)])
        score = float(self.task.score(outputs, split.targets))
        if not math.isfinite(score):
            raise Ended(Status.DIVERGED, score_diverged(self.done, self.name))
        return score

    def measures(self, split: Split) -> dict[str, float]:
        """The task's figures beside the score; those that are not finite are left out.

        Raises:
            TaskError: the task gives something else than numbers by name.
        """
        self.model.eval()
        with torch.no_grad():
            figures = self.task.measures(self.model, split)
        if not isinstance(figures, Mapping):
            raise TaskError(f"{_of_measures(self.task)} a dict, got {type(figures).__name__}")
        for name, figure in figures.items():
            if not isinstance(name, str) or not isinstance(figure, Real):
                raise TaskError(
                    f"{_of_measures(self.task)} numbers by name, got {name!r}: {figure!r}"
                )
        return {name: float(figure) for name, figure in figures.items() if math.isfinite(figure)}


def _of_measures(task: Task) -> str:
    return f"measures() of task {type(task).__name__} must return"


def of_network(name: str) -> str:
    """What a reason adds to say which of the task's networks is meant; nothing if it has one."""
    return f" of {name}" if name else ""


def loss_diverged(steps: int, name: str = "") -> str:
    """The reason of a training whose loss is not finite."""
    return f"loss{of_network(name)} not finite at step {steps}"


def score_diverged(steps: int, name: str = "") -> str:
    """The reason of a training whose score is not finite."""
    return f"score{of_network(name)} not finite at step {steps}"


def _random_state(device: torch.device) -> tuple[Tensor, ...]:
    """The state of the global generators that a model on the device draws from."""
    if device.type == "cpu":
        return (torch.get_rng_state(),)
    return torch.get_rng_state(), torch.cuda.get_rng_state(device)


def _set_random_state(state: tuple[Tensor, ...], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    for of_device in state[1:]:
        torch.cuda.set_rng_state(of_device, device)
