"""The checks of `Protocols` on a candidate in one of its networks.

Both are EvoNorm's, Liu et al. 2020, arXiv:2004.02967.
"""

from __future__ import annotations

import math
import time

import torch
from torch import nn

from .network import Network, of_network
from .result import Check, Protocols
from .stability import gradient_norm_ascent
from .tasks import Split, Task
from .tasks.splits import shuffled_batches

EXAMPLES = 32
"""Most examples in the batch of the ascent."""


def quality_check(protocols: Protocols, network: Network, steps: int, split: Split) -> Check:
    """The score of a network on its way, which then goes on from there.

    Args:
        steps: training steps in all before the score.

    Raises:
        Ended: a loss or the score is not finite.
    """
    started = time.perf_counter()
    network.advance(steps)
    score = network.score(split)
    seconds = time.perf_counter() - started
    passed = score >= protocols.quality_score
    return Check("quality", network.name, score, steps, seconds, passed)


def stability_check(
    protocols: Protocols, task: Task, name: str, model: nn.Module, train: Split, seed: int
) -> Check:
    """How large the gradient's norm becomes when the weights are moved to that end.

    Args:
        name: of the network.
        model: with initial weights; changed in place.
        seed: of the batch, and of what the model draws.
    """
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    batch, targets = next(shuffled_batches(train, min(EXAMPLES, task.batch_size), generator))
    batch = task.augment(batch, generator)
    model.train()
    norm, steps = gradient_norm_ascent(
        lambda: task.loss(model(batch), targets),
        list(model.parameters()),
        protocols.stability_steps,
        protocols.stability_bound,
    )
    figure = norm if math.isfinite(norm) else None
    passed = figure is not None and figure <= protocols.stability_bound
    return Check("stability", name, figure, steps, time.perf_counter() - started, passed)


def reason_of(check: Check, protocols: Protocols) -> str:
    """Why a check that was not passed rejects, with the figure that decided."""
    of = of_network(check.anchor)
    after = f"after {check.steps} steps"
    if check.name == "quality":
        return f"quality: score {check.figure:.4f}{of} below {protocols.quality_score:g} {after}"
    if check.figure is None:
        return f"stability: gradient norm{of} not finite {after}"
    bound = protocols.stability_bound
    return f"stability: gradient norm {check.figure:.3g}{of} above {bound:g} {after}"
