"""One training of one candidate on one task, from a job to a result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..errors import TaskError
from ..primitives import Activation, Expr, inputs, parse
from ..primitives.analysis import gaussian_moments
from .result import Job, Result, Rung, Status
from .tasks import ActivationFactory, Split, Splits, Task, check_splits

CURVE_POINTS = 30
SCORED_AT_ONCE = 2_000


@dataclass
class Trainer:
    """Trains jobs on a task; data are loaded once, at the first job.

    Args:
        task: the problem.
        device: where to train, as torch names it.
    """

    task: Task
    device: str = "cpu"
    _splits: Splits | None = field(default=None, repr=False)

    def __call__(self, job: Job) -> Result:
        """Train the job's candidate rung by rung until a threshold stops it or it is done.

        A loss or score that is not finite ends it as diverged; an exception of the task passes
        through. The result depends on the job alone: all randomness comes from its seed, and
        the global generators are left as they were.
        """
        devices = [] if self.device == "cpu" else [torch.device(self.device)]
        with torch.random.fork_rng(devices=devices):
            return self._train(job)

    def _train(self, job: Job) -> Result:
        started = time.perf_counter()
        if self._splits is None:
            self._splits = on_device(check_splits(self.task.load()), self.device)
        expr = candidate_of(job)
        scored = scored_split(self._splits, job)
        scores: list[float] = []
        training: _Training | None = None
        status, reason = Status.COMPLETE, ""
        for number, rung in enumerate(job.rungs):
            if training is None or job.rungs[number - 1].own_schedule:
                total = rung.steps if rung.own_schedule else job.rungs[-1].steps
                training = _Training(self.task, expr, job, self._splits.train, total, self.device)
            if not training.advance(rung.steps):
                status, reason = Status.DIVERGED, loss_diverged(training.done)
                break
            score = _score(self.task, training.model, scored)
            status, reason = standing_after(job, number, score, training.done)
            if status is not Status.DIVERGED:
                scores.append(score)
            if status is not Status.COMPLETE:
                break
        return Result(
            key=job.key,
            status=status,
            scores=tuple(scores),
            curve=tuple(training.curve) if training else (),
            reason=reason,
            seconds=time.perf_counter() - started,
        )


class _Training:
    """A model on its way through one learning-rate schedule."""

    def __init__(
        self, task: Task, expr: Expr, job: Job, train: Split, total: int, device: str
    ) -> None:
        self.task, self.total = task, total
        self.model = built_model(
            task, expr, job.seed, device, lambda channels: Activation(expr, channels)
        )
        self.optimizer = task.optimizer(self.model.parameters(), job.learning_rate)
        self.schedule = task.schedule(self.optimizer, job.learning_rate, total)
        self.generator = torch.Generator().manual_seed(job.seed)
        self.batches = shuffled_batches(train, task.batch_size, self.generator)
        self.done = 0
        self.curve: list[tuple[int, float]] = []

    def advance(self, steps: int) -> bool:
        """Train until `steps` are done in all; False once a loss is seen that is not finite.

        The loss is looked at thirty times in a training, for looking waits for a GPU.
        """
        self.model.train()
        every = max(1, self.total // CURVE_POINTS)
        while self.done < steps:
            batch, targets = next(self.batches)
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
                    return False
                self.curve.append((self.done, value))
        return True


def candidate_of(job: Job) -> Expr:
    """The job's expression.

    Raises:
        TaskError: it reads neither x nor both u and v.
    """
    expr = parse(job.formula)
    if inputs(expr) not in ((), ("x",), ("u", "v")):
        raise TaskError(
            f"'{expr}' takes the input {', '.join(inputs(expr))}; a candidate reads x, or u and v"
        )
    return expr


def scored_split(splits: Splits, job: Job) -> Split:
    """The part of the data that the job is scored on."""
    return splits.final if job.split == "final" else splits.validation


def built_model(
    task: Task, expr: Expr, seed: int, device: str, function: Callable[[int], nn.Module]
) -> nn.Module:
    """The task's model with initial weights drawn from the seed, for the gain of the expression.

    Args:
        function: gives the expression's module for a number of channels.
    """
    torch.manual_seed(seed)
    activation = ActivationFactory(function, inputs=len(inputs(expr)) or 1)
    model = task.build_model(activation).to(device)
    task.initialise(model, gaussian_moments(expr).gain if inputs(expr) else 1.0)
    return model


def standing_after(job: Job, number: int, score: float, steps: int) -> tuple[Status, str]:
    """How a job stands when rung `number` is scored after so many steps, and why.

    COMPLETE where nothing stops it there.
    """
    if not math.isfinite(score):
        return Status.DIVERGED, f"score not finite at step {steps}"
    if number < len(job.thresholds) and score < job.thresholds[number]:
        return Status.STOPPED, f"score below {job.thresholds[number]:.4f} at rung {number + 1}"
    return Status.COMPLETE, ""


def loss_diverged(steps: int) -> str:
    """The reason of a training whose loss is not finite."""
    return f"loss not finite at step {steps}"


def shuffled_batches(
    split: Split, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one size for ever, in a new order each epoch; a short rest is dropped."""
    count = len(split.targets)
    size = min(batch_size, count)
    while True:
        order = torch.randperm(count, generator=generator).to(split.inputs.device)
        for start in range(0, count - size + 1, size):
            chosen = order[start : start + size]
            yield split.inputs[chosen], split.targets[chosen]


def _score(task: Task, model: nn.Module, split: Split) -> float:
    model.eval()
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in split.inputs.split(SCORED_AT_ONCE)])
    return float(task.score(outputs, split.targets))


def on_device(splits: Splits, device: str) -> Splits:
    """The splits in the memory of a device."""

    def moved(split: Split) -> Split:
        return Split(split.inputs.to(device), split.targets.to(device))

    return Splits(moved(splits.train), moved(splits.validation), moved(splits.final))


def full_rungs(task: Task) -> tuple[Rung, ...]:
    """The task's rungs with the full training as the last."""
    return (*task.rungs, Rung(task.steps))
