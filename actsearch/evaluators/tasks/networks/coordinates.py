"""Networks of coordinates, such as time or the place in an image: several side by side."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..task import ActivationFactory


class ParallelLinear(nn.Module):
    """`count` independent affine maps, (N, count, inputs) to (N, count, outputs)."""

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.weight = nn.Parameter(torch.zeros(count, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(count, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)


class CoordinateNetworks(nn.Module):
    """`count` independent multilayer perceptrons of one output: (N, count, inputs) to (N, count).

    Args:
        widths: of the hidden layers, the candidate after each.

    Attributes:
        scale: () float32, factor of what the first candidate gives.
    """

    scale: Tensor

    def __init__(
        self, count: int, inputs: int, widths: tuple[int, ...], activation: ActivationFactory
    ) -> None:
        super().__init__()
        before = (inputs, *widths[:-1])
        self.linears = nn.ModuleList(
            ParallelLinear(count, taken, activation.width(given))
            for taken, given in zip(before, widths, strict=True)
        )
        self.activations = nn.ModuleList(activation(width, dim=-1) for width in widths)
        self.output = ParallelLinear(count, widths[-1], 1)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, coordinates: Tensor) -> Tensor:
        features = self._features(coordinates) * self.scale
        for linear, activation in zip(self.linears[1:], self.activations[1:], strict=True):
            features = activation(linear(features))
        return self.output(features).squeeze(-1)

    def _features(self, coordinates: Tensor) -> Tensor:
        return self.activations[0](self.linears[0](coordinates))

    @torch.no_grad()
    def initialise(self, gain: float, frequency: float, coordinates: Tensor) -> None:
        """Initial weights by the rule of SIREN (arXiv:2006.09661), whatever the candidate.

        First layer: weights uniform in +-frequency / inputs, biases in +-frequency /
        sqrt(inputs), so that phases and hyperplanes lie all over. What the candidate gives there
        is no function of standard normals; a fixed factor brings its mean square to 1 on
        `coordinates`, so that a step is as large for each function. Other layers: weights uniform
        of deviation gain / sqrt(fan_in), where the one behind the factor has gain 1; biases 0.

        Args:
            gain: 1 / sqrt(E f^2) of the candidate.
            frequency: omega_0 of the paper for coordinates in [-1, 1], > 0.
            coordinates: (N, count, inputs), where the networks will be trained.
        """
        first, *others = (each for each in self.modules() if isinstance(each, ParallelLinear))
        nn.init.uniform_(first.weight, -frequency / first.inputs, frequency / first.inputs)
        bound = frequency / math.sqrt(first.inputs)
        nn.init.uniform_(first.bias, -bound, bound)
        size = self._features(coordinates.to(first.weight.device)).square().mean().sqrt()
        # A candidate that is 0 or overflows there goes on as it is.
        self.scale.copy_(1 / size if 0 < size < math.inf else torch.ones_like(size))
        for place, layer in enumerate(others):
            bound = (gain if place else 1.0) * math.sqrt(3 / layer.inputs)
            # A candidate without a gain diverges, as it does in every other task.
            if math.isfinite(bound):
                nn.init.uniform_(layer.weight, -bound, bound)
            else:
                nn.init.constant_(layer.weight, math.nan)
            nn.init.zeros_(layer.bias)
