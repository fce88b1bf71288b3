"""What a task is: data, a model that takes the activation, a loss and a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from actsearch.errors import TaskError
from actsearch.evaluators.result import Rung

from .splits import Split, Splits, shuffled_batches

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class ActivationFactory:
    """What a model takes in place of an activation.

    Call it once for each place of the model: a candidate may have parameters or keep statistics.
    A scalar candidate keeps the width of what it is given. A gated one takes twice as many
    channels as it returns, so the layer before it must have `activation.width(channels)` outputs.

    Where a model normalises before it activates, it asks for `normalised`, so that a candidate that
    normalises takes the place of both.

    Args:
        function: takes a number of channels and the channel axis; gives a fresh module of one
            tensor, or of two (u and v).
        inputs: how many tensors the module takes, 1 or 2.
        normalises: the candidate takes the place of a normalisation too.
    """

    function: Callable[[int, int], nn.Module]
    inputs: int = 1
    normalises: bool = False

    def width(self, channels: int) -> int:
        """Channels of the tensor that the activation takes if it is to return so many."""
        return self.inputs * channels

    def __call__(self, channels: int, dim: int = 1) -> nn.Module:
        """A fresh module from (N, width(channels), ...) to (N, channels, ...).

        Args:
            dim: the channel axis, -1 for (N, T, channels).
        """
        function = self.function(channels, dim)
        return function if self.inputs == 1 else _Halves(function, channels, dim)

    def normalised(self, norm: nn.Module, channels: int, dim: int = 1) -> nn.Module:
        """What takes the place of `norm` with an activation after it."""
        function = self(channels, dim)
        return function if self.normalises else nn.Sequential(norm, function)

    def norm(self, norm: nn.Module, channels: int, dim: int = 1) -> nn.Module:
        """What takes the place of `norm` with no activation after it.

        For a candidate that normalises it is an affine map of each channel, as in the authors' code
        of EvoNorm (arXiv:2004.02967).
        """
        return Affine(channels, dim) if self.normalises else norm


class Affine(nn.Module):
    """gamma x + beta, a pair for each channel, which starts as the identity.

    Args:
        dim: the channel axis.
    """

    def __init__(self, channels: int, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        shape = (-1, *[1] * (x.ndim - 1 - self.dim % x.ndim))
        return self.gamma.reshape(shape) * x + self.beta.reshape(shape)


class _Halves(nn.Module):
    """A function of u and v on one tensor: u is the first half of its channels, v the second."""

    def __init__(self, function: nn.Module, channels: int, dim: int) -> None:
        super().__init__()
        self.function, self.channels, self.dim = function, channels, dim

    def forward(self, both: Tensor) -> Tensor:
        if both.shape[self.dim] != 2 * self.channels:
            raise TaskError(
                f"a gated candidate that returns {self.channels} channels needs "
                f"{2 * self.channels}, got {both.shape[self.dim]}; give the layer before it "
                f"activation.width({self.channels}) outputs"
            )
        return self.function(*both.chunk(2, dim=self.dim))


class Task:
    """Data, model, loss and score of one problem; by default classification.

    A task of your own overrides `load` and `build_model`, and whatever else it wants to differ.
    An instance is small and pickles: data are read in `load`, on the worker.

    Attributes:
        steps: optimiser steps of the full training.
        batch_size: examples a step; at most those of the training split.
        learning_rate: peak rate, unless the run asks for another.
        rungs: earlier, cheaper rungs before the full training. Empty means that every candidate
            is trained in full: name a rung only where it was measured to predict the full score.
        anchors: names of the networks that each candidate is trained in, one after the other; the
            score is the mean of theirs. Empty for the one network of `build_model`.
        rate_factors: for an anchor, its learning rate as a multiple of the candidate's; 1 where it
            is not named.
        groups: most groups of a moment over channel groups; narrow networks have fewer than 32, so
            that a group is not one channel.
        batch_statistics: whether a candidate may mix the examples of a batch.
    """

    steps: int = 600
    batch_size: int = 100
    learning_rate: float = 1e-2
    rungs: tuple[Rung, ...] = ()
    anchors: tuple[str, ...] = ()
    rate_factors: Mapping[str, float] = MappingProxyType({})
    groups: int = 32
    batch_statistics: bool = True

    def load(self) -> Splits:
        """Read the data, on the CPU; the same bytes at every call.

        Raises:
            TaskError: the data are missing or damaged.
        """
        raise TaskError(f"task {type(self).__name__} must override load() and return Splits")

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        """A model with `activation(channels)` in each place where the candidate belongs.

        The layer before it has `activation.width(channels)` outputs.
        """
        raise TaskError(
            f"task {type(self).__name__} must override build_model(activation) "
            "and return a torch.nn.Module"
        )

    def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
        """As `build_model`, for the anchor of that name; asked for if there are `anchors`."""
        raise TaskError(f"task {type(self).__name__} has no network '{anchor}'")

    def initialise(self, model: nn.Module, gain: float) -> None:
        """Draw initial weights such that signals keep their size through the candidate.

        Weights of linear and convolution layers are Normal(0, gain / sqrt(fan_in)), biases 0.
        The first such layer, in the order of `model.modules()`, has gain 1: its input is
        standardised data, not an activation's output. All else stays as built. Draws come from
        torch's global generator.

        Args:
            model: changed in place.
            gain: 1 / sqrt(E f^2) of the candidate, whose inputs are independent standard normals;
                > 0.
        """
        layers = (module for module in model.modules() if isinstance(module, _WEIGHTED))
        for place, layer in enumerate(layers):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=(gain if place else 1.0) / math.sqrt(fan_in))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Scalar to minimise: mean cross-entropy of logits (N, classes, ...)."""
        return functional.cross_entropy(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Higher is better: accuracy, 0 to 1; NaN if an output is not finite.

        Args:
            outputs: of a whole split, concatenated, logits (N, classes, ...).
            targets: (N, ...) int64.
        """
        if not torch.isfinite(outputs).all():
            return math.nan
        return int((outputs.argmax(dim=1) == targets).sum()) / targets.numel()

    def optimizer(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Adam; fused where it exists, a third of the time on one CPU thread (40 us for 140)."""
        parameters = list(parameters)
        fused = all(
            parameter.is_floating_point() and parameter.device.type in ("cpu", "cuda")
            for parameter in parameters
        )
        return torch.optim.Adam(parameters, lr=learning_rate, fused=fused)

    def schedule(
        self, optimizer: torch.optim.Optimizer, learning_rate: float, steps: int
    ) -> LRScheduler:
        """Learning rate over `steps`, stepped after each of them: one cycle up and down."""
        return OneCycleLR(optimizer, learning_rate, total_steps=steps)

    def batches(self, split: Split, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, targets) of one step after the other, at least `steps` of them.

        By default batches of `batch_size`, in a new order each epoch; each is then augmented.

        Args:
            split: the training data, on the device where the model is.
            generator: on the CPU; whatever is random comes from it alone.
        """
        return shuffled_batches(split, self.batch_size, generator)

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Figures beside the score, by name; nothing ranks by them. None by default.

        Asked for once, at the end of a complete training.

        Args:
            model: trained, in evaluation mode; no gradients are recorded.
            split: what the score was taken on.
        """
        return {}

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A training batch, changed at random by draws from `generator`; by default unchanged."""
        return inputs
