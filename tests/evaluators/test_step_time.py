"""Times of a training step, side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from tiny_task import AlwaysNan, Tiny
from torch import Tensor

from actsearch.evaluators.step_time import step_seconds
from actsearch.evaluators.tasks import Split
from actsearch.primitives import read_formula

FUNCTIONS = [(read_formula(name), False) for name in ("relu", "gelu")]


class Slow(Tiny):
    """Every step computes for three milliseconds more."""

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        end = time.process_time() + 0.003
        while time.process_time() < end:
            pass
        return inputs


class OnePass(Tiny):
    """Has a batch for each step of a training and no more."""

    def batches(self, split: Split, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.steps):
            yield split.inputs[:16], split.targets[:16]


def test_a_step_takes_the_time_that_the_task_takes() -> None:
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    found = step_seconds(Slow(), FUNCTIONS)
    assert len(found) == 2
    assert all(0.003 <= seconds < 0.5 for seconds in found)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_turns_longer_than_a_training_begin_it_again() -> None:
    assert all(0 < seconds < 0.5 for seconds in step_seconds(OnePass(), FUNCTIONS))


def test_what_diverges_has_no_time() -> None:
    assert all(math.isnan(seconds) for seconds in step_seconds(AlwaysNan(), FUNCTIONS))
