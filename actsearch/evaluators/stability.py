"""How far an adversary who moves the weights can drive the gradient of the loss.

The stability protocol of EvoNorm, Liu et al. 2020, arXiv:2004.02967: layers that can be made to
explode are found in a few steps and need not be trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

STEP_SIZE = 0.01
"""Of the ascent; the paper does not give its own.

In slim networks with normalisation (task `anchors-mnist1d`) BN-ReLU, EvoNorm-S0 and B0, GN-SiLU and
LN-GELU stay a thousand times and more below 1e8 for 100 steps, and layers that explode do so within
2 in one network or other. With 0.1, B0 and B1 are rejected too. A network without normalisation
need not be stable in this sense: that of `mnist1d` passes 1e8 after 20 steps with ReLU, not with
tanh.
"""


def gradient_norm_ascent(
    loss_of: Callable[[], Tensor],
    parameters: Sequence[nn.Parameter],
    steps: int,
    bound: float,
    learning_rate: float = STEP_SIZE,
) -> tuple[float, int]:
    """Gradient ascent on ||d loss / d theta||, the Euclidean norm over all parameters together.

    Each step adds `learning_rate` times the norm's own gradient, which takes second derivatives.

    Args:
        loss_of: the loss at the parameters as they are, always of the same examples.
        parameters: theta; changed in place.
        steps: at most so many.
        bound: a norm above it, or one that is not finite, ends the ascent.

    Returns:
        The largest norm seen, or the first that is not finite, and the steps done.
    """
    largest, done = 0.0, 0
    while True:
        norm = _gradient_norm(loss_of, parameters)
        value = float(norm.detach())
        if not math.isfinite(value):
            return value, done
        largest = max(largest, value)
        # A loss that is linear in theta has a norm that no weight moves.
        if value > bound or done == steps or not norm.requires_grad:
            return largest, done
        uphill = torch.autograd.grad(norm, parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            for parameter, direction in zip(parameters, uphill, strict=True):
                parameter.add_(direction, alpha=learning_rate)
        done += 1


def _gradient_norm(loss_of: Callable[[], Tensor], parameters: Sequence[nn.Parameter]) -> Tensor:
    # Fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        gradients = torch.autograd.grad(
            loss_of(), parameters, create_graph=True, allow_unused=True, materialize_grads=True
        )
    # Its derivative at zero is zero, where that of the root of a sum of squares is not finite.
    return torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients]))
