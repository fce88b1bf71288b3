"""One training of one candidate on one task, from a job to a result."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from statistics import fmean

from torch import nn

from ..errors import TaskError
from ..primitives import Expr, inputs, parse
from .network import (
    Ended,
    Network,
    activation_of,
    built_model,
    network_names,
    score_diverged,
)
from .protocols import quality_check, reason_of, stability_check
from .result import Check, Job, Protocols, Result, Rung, Status
from .surroundings import generators_kept
from .tasks import Split, Splits, Task, check_splits


@dataclass
class Trainer:
    """Trains jobs on a task; data are loaded once, at the first job.

    Args:
        task: the problem.
        device: where to train, as torch names it.
        normalises: candidates take the place of normalisations too.
    """

    task: Task
    device: str = "cpu"
    normalises: bool = False
    _splits: Splits | None = field(default=None, repr=False)

    def __call__(self, job: Job) -> Result:
        """Train the job's candidate rung by rung until a threshold stops it or it is done.

        On a task with anchors each rung takes all of them, one after the other, and its score is
        the mean of theirs. A loss or score that is not finite ends it as diverged, a protocol as
        rejected; an exception of the task passes through. The result depends on the job alone: all
        randomness comes from its seed, and the global generators are left as they were.
        """
        with generators_kept(self.device):
            return self._train(job)

    def _train(self, job: Job) -> Result:
        started = time.perf_counter()
        if self._splits is None:
            self._splits = on_device(check_splits(self.task.load()), self.device)
        attempt = _Attempt(self, self._splits, job)
        status, reason = Status.COMPLETE, ""
        try:
            attempt.run()
        except Ended as ended:
            status, reason = ended.status, ended.reason
        return Result(
            key=job.key,
            status=status,
            scores=tuple(attempt.scores),
            curve=attempt.curve(),
            reason=reason,
            seconds=time.perf_counter() - started,
            checks=tuple(attempt.checks),
            parts=attempt.parts if self.task.anchors else (),
            measures=attempt.measures,
        )


class _Attempt:
    """A job on its way: the networks in training, and what was found so far."""

    def __init__(self, trainer: Trainer, splits: Splits, job: Job) -> None:
        self.task, self.device, self.splits, self.job = trainer.task, trainer.device, splits, job
        self.expr = candidate_of(job)
        self.activation = activation_of(self.task, self.expr, normalises=trainer.normalises)
        self.networks: list[Network] = []
        self.scores: list[float] = []
        self.parts: tuple[float, ...] = ()
        self.checks: list[Check] = []
        self.measures: dict[str, float] = {}

    def run(self) -> None:
        """Climb the rungs.

        Raises:
            Ended: it does not reach the top.
        """
        for number, rung in enumerate(self.job.rungs):
            if number == 0 or self.job.rungs[number - 1].own_schedule:
                self._begin(rung.steps if rung.own_schedule else self.job.rungs[-1].steps)
            if number == 0 and self.job.protocols is not None:
                self._check(self.job.protocols)
            self._climb(number, rung)
        self.measures = self._measured()

    def _begin(self, total: int) -> None:
        """All networks at their initial weights, before a schedule of so many steps."""
        self.networks = [
            Network(
                self.task,
                name,
                self._model(name),
                self.splits.train,
                self.job.learning_rate,
                self.job.seed,
                total,
            )
            for name in network_names(self.task)
        ]

    def _model(self, name: str) -> nn.Module:
        return built_model(self.task, name, self.expr, self.activation, self.job.seed, self.device)

    def _check(self, protocols: Protocols) -> None:
        """Quality in all networks, then stability: steps of training are kept, ascents are not.

        With 100 steps of each this order takes 1.4 s of CPU for a random layer, the other 1.8 s;
        with 10 steps of ascent they would take 1.2 s and 0.7 s (115 layers of `evonorm`, two
        networks of `anchors-mnist1d`).
        """
        if protocols.quality_score:
            steps = min(protocols.quality_steps, self.job.rungs[0].steps)
            for network in self.networks:
                self._note(quality_check(protocols, network, steps, self.splits.validation))
        if protocols.stability_steps:
            for name in network_names(self.task):
                model, train = self._model(name), self.splits.train
                self._note(stability_check(protocols, self.task, name, model, train, self.job.seed))

    def _note(self, check: Check) -> None:
        self.checks.append(check)
        if not check.passed:
            assert self.job.protocols is not None
            raise Ended(Status.REJECTED, reason_of(check, self.job.protocols))

    def _climb(self, number: int, rung: Rung) -> None:
        scored = scored_split(self.splits, self.job)
        parts = []
        for network in self.networks:
            network.advance(rung.steps)
            parts.append(network.score(scored))
        score, self.parts = fmean(parts), tuple(parts)
        self.scores.append(score)
        status, reason = standing_after(self.job, number, score, rung.steps)
        if status is not Status.COMPLETE:
            raise Ended(status, reason)

    def _measured(self) -> dict[str, float]:
        """The task's measures; of several networks the means of those that all have."""
        scored = scored_split(self.splits, self.job)
        first, *others = [network.measures(scored) for network in self.networks]
        return {
            name: fmean([figure, *(other[name] for other in others)])
            for name, figure in first.items()
            if all(name in other for other in others)
        }

    def curve(self) -> tuple[tuple[int, float], ...]:
        """(steps, training loss), as far as all networks got; the mean of theirs."""
        return tuple(
            (points[0][0], fmean(loss for _, loss in points))
            for points in zip(*(network.curve for network in self.networks), strict=False)
        )


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


def standing_after(job: Job, number: int, score: float, steps: int) -> tuple[Status, str]:
    """How a job stands when rung `number` is scored after so many steps, and why.

    COMPLETE where nothing stops it there.
    """
    if not math.isfinite(score):
        return Status.DIVERGED, score_diverged(steps)
    if number < len(job.thresholds) and score < job.thresholds[number]:
        return Status.STOPPED, f"score below {job.thresholds[number]:.4f} at rung {number + 1}"
    return Status.COMPLETE, ""


def on_device(splits: Splits, device: str) -> Splits:
    """The splits in the memory of a device."""

    def moved(split: Split) -> Split:
        return Split(split.inputs.to(device), split.targets.to(device))

    return Splits(moved(splits.train), moved(splits.validation), moved(splits.final))


def full_rungs(task: Task) -> tuple[Rung, ...]:
    """The task's rungs with the full training as the last."""
    return (*task.rungs, Rung(task.steps))
