"""Motion that obeys an equation, found by networks of time that are shown nothing but it.

The task is that of Solving physics-based initial value problems with unsupervised machine
learning, by the systems that it names: fall, spring, pendulum, Henon-Heiles. All else is our own.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from .initial_value_systems import (
    DURATION,
    START,
    START_VELOCITY,
    acceleration,
    energies,
    motion,
)
from .networks.coordinates import CoordinateNetworks
from .splits import Split, Splits
from .task import ActivationFactory, Task

_COUNT = len(START)
_POINTS, _WIDTH, _SEED = 100, 32, 0
_FREQUENCY = 2.0
_LEAST_ERROR, _LARGEST_ERROR = 1e-9, 1e9


class InitialValue(Task):
    """Initial-value problems of five coordinates, by a network 1-32-32-1 for each.

    A coordinate is q(t) = q0 + v0 t + t^2 N(t) with the network N, so the start is exact. Trained
    is q'' alone, to be what the equations make of q and q', at 100 times in [0, 3]; true positions
    are for the score. The residual holds the candidate's second derivative, and its gradient the
    third: of a piecewise linear one, N'' is 0 in all of training. No rungs: none was measured.
    Figures: docs/tasks.md.
    """

    steps = 400
    batch_size = _POINTS
    learning_rate = 3e-2
    # A moment over the batch would make the derivative by one time that by all.
    batch_statistics = False

    def load(self) -> Splits:
        """inputs (100, 1) float32, times; targets (100, 5) float32, positions."""
        times = np.random.RandomState(_SEED).uniform(0, DURATION, 3 * _POINTS).astype(np.float32)
        positions, _ = motion(times.astype(np.float64))
        inputs, targets = torch.from_numpy(times[:, None]), torch.from_numpy(positions).float()
        return Splits(*map(Split, inputs.split(_POINTS), targets.split(_POINTS)))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return Motion(activation)

    def initialise(self, model: nn.Module, gain: float) -> None:
        """As of `CoordinateNetworks`, over the whole duration."""
        assert isinstance(model, Motion)
        times = torch.linspace(-1, 1, _POINTS)
        model.networks.initialise(gain, _FREQUENCY, times[:, None, None].expand(-1, _COUNT, -1))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean square of what the acceleration lacks of that of the equations; no target."""
        position, velocity, found = outputs.unbind(-1)
        return (found - acceleration(position, velocity)).square().mean()

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Right decimal digits of the positions: the mean of -log10 of their relative errors.

        An error is the root mean square over the times, relative to the deviation of the true
        coordinate, and taken as at least 1e-9. NaN if an output is not finite.
        """
        if not torch.isfinite(outputs).all():
            return math.nan
        return float(-trajectory_errors(outputs, targets).log10().mean())

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Relative errors: `trajectory`, mean over the coordinates, and `energy`.

        The latter is the root mean square over the times of E / E(0) - 1, mean over spring,
        pendulum and Henon-Heiles, which keep their energy.
        """
        outputs = model(split.inputs)
        return {
            "trajectory": float(trajectory_errors(outputs, split.targets).mean()),
            "energy": float(energy_errors(outputs).mean()),
        }


def trajectory_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """(5,) float64, of outputs (N, 5, 3) and true positions (N, 5); in [1e-9, 1e9]."""
    truth = targets.double()
    square = (outputs[..., 0].double() - truth).square().mean(dim=0)
    relative = (square / truth.var(dim=0, correction=0)).sqrt()
    return relative.clamp(_LEAST_ERROR, _LARGEST_ERROR)


def energy_errors(outputs: Tensor) -> Tensor:
    """(3,) float64, of outputs (N, 5, 3)."""
    position, velocity, _ = outputs.double().unbind(-1)
    start = energies(position.new_tensor(START), position.new_tensor(START_VELOCITY))
    return (energies(position, velocity) / start - 1).square().mean(dim=0).sqrt()


class Motion(nn.Module):
    """(N, 1) to (N, 5, 3): position, velocity and acceleration of each coordinate.

    The derivatives are the automatic ones of the network, also where gradients are off.
    """

    start: Tensor
    start_velocity: Tensor

    def __init__(self, activation: ActivationFactory) -> None:
        super().__init__()
        self.networks = CoordinateNetworks(_COUNT, 1, (_WIDTH, _WIDTH), activation)
        self.register_buffer("start", torch.tensor(START))
        self.register_buffer("start_velocity", torch.tensor(START_VELOCITY))

    def forward(self, times: Tensor) -> Tensor:
        trained = torch.is_grad_enabled()
        with torch.enable_grad():
            # A time of its own for each coordinate: then one gradient of the sum has all slopes.
            own = times.detach().repeat(1, _COUNT).requires_grad_()
            bend = self.networks((2 * own / DURATION - 1)[..., None])
            position = self.start + self.start_velocity * own + own.square() * bend
            (velocity,) = torch.autograd.grad(position.sum(), own, create_graph=True)
            (second,) = torch.autograd.grad(velocity.sum(), own, create_graph=trained)
        outputs = torch.stack([position, velocity, second], dim=-1)
        return outputs if trained else outputs.detach()
