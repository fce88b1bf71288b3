"""A task that trains in about ten milliseconds, and variants of it that go wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from actsearch.evaluators.result import Rung
from actsearch.evaluators.tasks import ActivationFactory, Split, Splits, Task


class Tiny(Task):
    """Three classes of noisy points in six dimensions, a network of eight hidden units."""

    steps = 12
    batch_size = 16
    learning_rate = 2e-2
    rungs = (Rung(4, own_schedule=True),)

    def load(self) -> Splits:
        generator = torch.Generator().manual_seed(7)
        targets = torch.randint(3, (240,), generator=generator)
        centres = torch.randn(3, 6, generator=generator)
        points = centres[targets] + torch.randn(240, 6, generator=generator)
        parts = [Split(points[i::3], targets[i::3].clone()) for i in range(3)]
        return Splits(*parts)

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(nn.Linear(6, activation.width(8)), activation(8), nn.Linear(8, 3))


class TinyAnchors(Tiny):
    """Two networks with a norm before each activation, on vectors and on two channels of three."""

    groups = 2

    def __init__(self, anchors: tuple[str, ...] = ()) -> None:
        self.anchors = anchors or ("dense", "channels")

    def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
        if anchor == "dense":
            norm = activation.normalised(nn.BatchNorm1d(activation.width(8)), 8)
            return nn.Sequential(nn.Linear(6, activation.width(8)), norm, nn.Linear(8, 3))
        return nn.Sequential(
            nn.Unflatten(1, (2, 3)),
            nn.Conv1d(2, activation.width(8), 1),
            activation.normalised(nn.BatchNorm1d(activation.width(8)), 8),
            nn.Flatten(),
            nn.Linear(24, 3),
        )


class OwnAnchors(Tiny):
    """Names its networks without letting anybody choose."""

    anchors = ("one", "two")

    def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
        return self.build_model(activation)


@dataclass(frozen=True)
class Frozen(Tiny):
    """Its attributes cannot be set."""

    noise: float = 0.0


class NoBatches(TinyAnchors):
    """Forbids candidates to mix the examples of a batch."""

    batch_statistics = False


class BrokenModel(Tiny):
    def build_model(self, activation: ActivationFactory) -> nn.Module:
        raise ValueError("no such layer")


class BrokenMidway(Tiny):
    """Raises at the third step of every training."""

    def augment(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls % 3 == 0:
            raise RuntimeError("lost the data")
        return inputs


class SometimesBroken(Tiny):
    """Raises for every candidate with an exponential in it, and for no baseline but crrelu."""

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        if "exp(" in str(activation(8)):
            raise RuntimeError("no exponentials here")
        return super().build_model(activation)


class AlwaysNan(Tiny):
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return super().loss(outputs, targets) * float("nan")
