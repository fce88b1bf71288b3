"""Many trainings of one task at a time: K networks stacked, each with its own candidate.

Weights of the networks lie in one tensor with a new first axis, and `torch.vmap` runs all of them
at once. On a GPU, which one small network cannot fill, that is where the throughput is; a CPU
gains nothing (benchmarks/results/population-cpu.md), so the search trains one at a time there.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from ..errors import TaskError
from ..primitives import ActivationSlot, Expr, Scope, inputs, layer_words, parameters, parse
from .network import CURVE_POINTS, SCORED_AT_ONCE, built_model, loss_diverged
from .result import Job, Result, Status
from .surroundings import generators_kept
from .tasks import ActivationFactory, Splits, Task
from .tasks.splits import shuffled_batches
from .training import Trainer, candidate_of, scored_split, standing_after


def train_population(
    task: Task, splits: Splits, jobs: Sequence[Job], device: str = "cpu"
) -> list[Result]:
    """Train the jobs' candidates as one stack; results in the order of the jobs.

    Each is what `Trainer` makes of its job, up to rounding in the stacked matrix products, as long
    as the task's optimiser treats every weight by itself, as Adam and SGD do. A network that a
    threshold stops leaves the stack at its rung. A task with an order of batches or measures of its
    own is trained by `Trainer`, one job after the other: a stack has neither.

    Args:
        splits: on the device.
        jobs: of one learning rate, one list of rungs (none with a schedule of its own), and one
            split.

    Raises:
        TaskError: the jobs do not fit together, or have checks or several networks each; or a
            candidate is a layer, or reads other inputs than x: slots of a stack have one.
    """
    first = jobs[0]
    alike = all(_common(job) == _common(first) for job in jobs)
    if not alike or any(rung.own_schedule for rung in first.rungs):
        raise TaskError(
            f"job {first.key} and {len(jobs) - 1} others cannot be stacked: learning rate, rungs "
            "and split must be the same, and no rung may have a schedule of its own"
        )
    if task.anchors or any(job.protocols or layer_words(parse(job.formula)) for job in jobs):
        raise TaskError(
            f"job {first.key} and {len(jobs) - 1} others cannot be stacked: a stack has no "
            "moments, no anchors and no rejection protocols; train them one at a time"
        )
    if not _stacks(task):
        trainer = Trainer(task, device, _splits=splits)
        return [trainer(job) for job in jobs]
    with generators_kept(device):
        return _Stack(task, splits, jobs, device).train()


def _stacks(task: Task) -> bool:
    """Whether the task leaves to the stack what a stack does in its own way."""
    return type(task).batches is Task.batches and type(task).measures is Task.measures


def _common(job: Job) -> tuple[object, ...]:
    """What must be the same in all jobs of a stack."""
    return job.learning_rate, job.rungs, job.split


class _Stack:
    """The networks that are still trained, and how far they are."""

    def __init__(self, task: Task, splits: Splits, jobs: Sequence[Job], device: str) -> None:
        self.task, self.jobs, self.device = task, jobs, device
        self.started = time.perf_counter()
        self.rungs, self.scored = jobs[0].rungs, scored_split(splits, jobs[0])
        exprs = [candidate_of(job) for job in jobs]
        for expr in exprs:
            if inputs(expr) not in ((), ("x",)):
                raise TaskError(f"'{expr}' reads {', '.join(inputs(expr))}; a stack gives x alone")
        room = _room(exprs)
        models = [self._model(job, expr, room) for job, expr in zip(jobs, exprs, strict=True)]
        self.base = copy.deepcopy(models[0]).to("meta")
        self.parameters, self.buffers = stack_module_state(models)
        rate, total = jobs[0].learning_rate, self.rungs[-1].steps
        self.optimizer = task.optimizer(self.parameters.values(), rate)
        self.schedule = task.schedule(self.optimizer, rate, total)
        self.generators = [torch.Generator().manual_seed(job.seed) for job in jobs]
        # Equal seeds have equal batches: one is drawn for all.
        self.shared = len({job.seed for job in jobs}) == 1
        drawn = jobs[:1] if self.shared else jobs
        self.batches = [
            shuffled_batches(splits.train, task.batch_size, generator)
            for generator, _ in zip(self.generators, drawn, strict=False)
        ]
        self.alive = list(range(len(jobs)))
        self.results: list[Result | None] = [None] * len(jobs)
        self.scores: list[list[float]] = [[] for _ in jobs]
        self.curves: list[list[tuple[int, float]]] = [[] for _ in jobs]
        self.done = 0

    def _model(self, job: Job, expr: Expr, room: dict[str, int]) -> nn.Module:
        def slot(channels: int, dim: int) -> nn.Module:
            return ActivationSlot(expr, channels, dim, **room)

        activation = ActivationFactory(slot)
        return built_model(self.task, "", expr, activation, job.seed, self.device)

    def train(self) -> list[Result]:
        for number, rung in enumerate(self.rungs):
            self._advance(rung.steps)
            if self.alive:
                self._settle(number)
        assert all(self.results)
        return [result for result in self.results if result is not None]

    def _advance(self, steps: int) -> None:
        self.base.train()
        every = max(1, self.rungs[-1].steps // CURVE_POINTS)
        while self.alive and self.done < steps:
            batch, targets = self._next_batch()
            losses = torch.vmap(
                self._loss,
                in_dims=(0, 0, *(None if self.shared else 0,) * 2),
                randomness="different",
            )(self.parameters, self.buffers, batch, targets)
            self.optimizer.zero_grad()
            losses.sum().backward()
            self.optimizer.step()
            self.schedule.step()
            self.done += 1
            if self.done % every == 0 or self.done == steps:
                self._look(losses.detach().tolist())

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        parts = [
            (self.task.augment(batch, generator), targets)
            for (batch, targets), generator in zip(
                (next(batches) for batches in self.batches), self.generators, strict=False
            )
        ]
        if self.shared:
            return parts[0]
        return torch.stack([batch for batch, _ in parts]), torch.stack([t for _, t in parts])

    def _loss(
        self, weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor, targets: Tensor
    ) -> Tensor:
        return self.task.loss(self._outputs(weights, buffers, batch), targets)

    def _look(self, losses: Sequence[float]) -> None:
        for network, loss in zip(list(self.alive), losses, strict=True):
            if math.isfinite(loss):
                self.curves[network].append((self.done, loss))
            else:
                self._end(network, Status.DIVERGED, loss_diverged(self.done))
        self._drop_ended()

    def _settle(self, number: int) -> None:
        """Score a rung, and end what is below its threshold or done."""
        self.base.eval()
        with torch.no_grad():
            parts = [
                torch.vmap(self._outputs, in_dims=(0, 0, None))(self.parameters, self.buffers, part)
                for part in self.scored.inputs.split(SCORED_AT_ONCE)
            ]
        for network, outputs in zip(list(self.alive), torch.cat(parts, dim=1), strict=True):
            score = float(self.task.score(outputs, self.scored.targets))
            status, reason = standing_after(self.jobs[network], number, score, self.done)
            if status is not Status.DIVERGED:
                self.scores[network].append(score)
            if status is not Status.COMPLETE or number == len(self.rungs) - 1:
                self._end(network, status, reason)
        self._drop_ended()

    def _outputs(
        self, weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor
    ) -> Tensor:
        return functional_call(self.base, (weights, buffers), (batch,))

    def _end(self, network: int, status: Status, reason: str) -> None:
        self.results[network] = Result(
            key=self.jobs[network].key,
            status=status,
            scores=tuple(self.scores[network]),
            curve=tuple(self.curves[network]),
            reason=reason,
            seconds=(time.perf_counter() - self.started) / len(self.jobs),
        )

    def _drop_ended(self) -> None:
        kept = [i for i, network in enumerate(self.alive) if self.results[network] is None]
        if len(kept) == len(self.alive):
            return
        if not self.shared:
            self.batches = [self.batches[i] for i in kept]
            self.generators = [self.generators[i] for i in kept]
        self.alive = [self.alive[i] for i in kept]
        smaller = {
            parameter: parameter.detach()[kept].requires_grad_()
            for parameter in self.parameters.values()
        }
        for old, new in smaller.items():
            self.optimizer.state[new] = {
                name: value[kept] if isinstance(value, Tensor) and value.ndim else value
                for name, value in self.optimizer.state.pop(old, {}).items()
            }
        for group in self.optimizer.param_groups:
            group["params"] = [smaller[parameter] for parameter in group["params"]]
        self.parameters = {name: smaller[old] for name, old in self.parameters.items()}
        self.buffers = {name: buffer[kept] for name, buffer in self.buffers.items()}


def _room(exprs: Sequence[Expr]) -> dict[str, int]:
    """Parameters of each scope that a slot needs to hold any of the expressions."""
    return {
        f"{scope}_parameters": max(
            sum(p.scope is scope for p in parameters(expr)) for expr in exprs
        )
        for scope in Scope
    }
