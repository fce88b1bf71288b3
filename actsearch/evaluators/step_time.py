"""What a training step costs with each of several functions, measured side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from ..primitives import Expr
from .network import Ended, Network, activation_of, built_model, network_names
from .surroundings import generators_kept, one_thread
from .tasks import Split, Task, check_splits
from .training import on_device

TURNS = 60
_TURN_SECONDS, _TRIED_STEPS = 0.01, 5
"""Short turns, of which some pass between two turns of other processes."""
_SMALL_RATE = 1e-4
"""Of the task's learning rate: weights stay about where they start, so that none diverges."""


def step_seconds(
    task: Task, functions: Sequence[tuple[Expr, bool]], device: str = "cpu"
) -> list[float]:
    """Seconds of a training step, all networks of the task together, one thread of a CPU.

    In each turn every function trains a few steps, one function after the other, so that what else
    the machine does falls on all of them; as that only adds time, the least of the turns counts. On
    a CPU seconds are those of this process, without its waits for others.

    Args:
        functions: with whether each takes the place of normalisations too.

    Returns:
        for each function; NaN where it diverged even so.
    """
    splits = on_device(check_splits(task.load()), device)
    with one_thread(), generators_kept(device):
        runners = [_Runner(task, splits.train, *function, device) for function in functions]
        steps = [runner.steps_of_a_turn() for runner in runners]
        turns = [
            [runner.time(count) for runner, count in zip(runners, steps, strict=True)]
            for _ in range(TURNS)
        ]
    # `min` would pass over a turn without a time.
    return [
        math.nan if any(map(math.isnan, times)) else min(times)
        for times in zip(*turns, strict=True)
    ]


class _Runner:
    """The task's networks with one function in them, trained again and again from the start."""

    def __init__(self, task: Task, train: Split, expr: Expr, normalises: bool, device: str) -> None:
        self.task, self.train, self.expr, self.device = task, train, expr, device
        self.activation = activation_of(task, expr, normalises=normalises)
        self.clock = time.process_time if device == "cpu" else time.perf_counter
        self.diverged = False
        self.networks: list[Network] = []

    def steps_of_a_turn(self) -> int:
        once = min(self.time(1) for _ in range(_TRIED_STEPS))
        most = self.task.steps
        return most if not once > 0 else max(1, min(most, round(_TURN_SECONDS / once)))

    def time(self, steps: int) -> float:
        """Seconds of one step; NaN if it diverged."""
        if self.diverged:
            return math.nan
        if not self.networks or self.networks[0].done + steps > self.task.steps:
            self._begin()
        self._wait()
        started = self.clock()
        try:
            for network in self.networks:
                network.advance(network.done + steps)
        except Ended:
            self.diverged = True
            return math.nan
        self._wait()
        return (self.clock() - started) / steps

    def _begin(self) -> None:
        rate = self.task.learning_rate * _SMALL_RATE
        self.networks = [
            Network(
                self.task,
                name,
                built_model(self.task, name, self.expr, self.activation, 0, self.device),
                self.train,
                rate,
                0,
                self.task.steps,
            )
            for name in network_names(self.task)
        ]

    def _wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)
