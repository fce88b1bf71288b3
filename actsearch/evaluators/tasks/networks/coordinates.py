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
    """

    def __init__(
        self, count: int, inputs: int, widths: tuple[int, ...], activation: ActivationFactory
    ) -> None:
        super().__init__()
        before = (inputs, *widths[:-1])
        self.hidden = nn.ModuleList(
            nn.Sequential(
                ParallelLinear(count, taken, activation.width(given)), activation(given, dim=-1)
            )
            for taken, given in zip(before, widths, strict=True)
        )
        self.output = ParallelLinear(count, widths[-1], 1)

    def forward(self, coordinates: Tensor) -> Tensor:
        for layer in self.hidden:
            coordinates = layer(coordinates)
        return self.output(coordinates).squeeze(-1)

    @torch.no_grad()
    def initialise(self, gain: float, frequency: float, coordinates: Tensor) -> None:
        """Initial weights by the rule of SIREN (arXiv:2006.09661), whatever the candidate.

        First layer: weights uniform in +-frequency / inputs, biases in +-frequency /
        sqrt(inputs), so that phases and hyperplanes lie all over. Others: weights uniform of
        deviation gain / sqrt(fan_in), biases 0; the second has a gain of its own, from what the
        candidate gives on `coordinates` behind the first, since those are no standard normals.

        Args:
            gain: 1 / sqrt(E f^2) of the candidate.
            frequency: omega_0 of the paper for coordinates in [-1, 1], > 0.
            coordinates: (N, count, inputs), where the networks will be trained.
        """
        first, *others = [layer[0] for layer in self.hidden] + [self.output]
        nn.init.uniform_(first.weight, -frequency / first.inputs, frequency / first.inputs)
        bound = frequency / math.sqrt(first.inputs)
        nn.init.uniform_(first.bias, -bound, bound)
        size = float(self.hidden[0](coordinates).square().mean().sqrt())
        gains = [1 / size if 0 < size < math.inf else gain] + [gain] * (len(others) - 1)
        for layer, layer_gain in zip(others, gains, strict=True):
            bound = layer_gain * math.sqrt(3 / layer.inputs)
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
