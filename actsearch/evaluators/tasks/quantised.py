"""A trained network on a device that rounds weights and activations, and adds noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .task import ActivationFactory

_AVERAGING = 0.01
"""Share of a new batch in a running range, as in torch's `MovingAverageMinMaxObserver`."""


@dataclass(frozen=True)
class Precision:
    """What a device does to numbers.

    Args:
        bits: of weights and activations, >= 1; None for no rounding.
        noise: deviation of the Gaussian noise on each activation, as a share of the range that was
            calibrated for it; added after rounding.
    """

    bits: int | None
    noise: float = 0.0


EXACT = Precision(bits=None)


def quantised(x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """x at the nearest of 2^bits evenly spaced levels, one of which is 0.

    Values outside of the range take its ends; halves go to the even level.

    Args:
        x: any shape, floating.
        low: () floating, <= 0.
        high: () floating, >= 0; all becomes 0 if both are 0.
    """
    levels = 2**bits - 1
    step = (high - low) / levels
    safe = torch.where(step > 0, step, torch.ones_like(step))
    zero = torch.round(-low / safe)
    level = torch.clamp(torch.round(x / safe) + zero, 0, levels)
    return (level - zero) * step


def span(x: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest value, and 0 if that is less or larger."""
    return x.amin().clamp_max(0), x.amax().clamp_min(0)


class Site(nn.Module):
    """An activation whose output is rounded and disturbed in evaluation mode.

    In training it gives what the activation gives, and follows its range.

    Attributes:
        low: () running least value; a mean over batches that forgets.
        high: () running largest value.
        precision: used in evaluation mode.
    """

    low: Tensor
    high: Tensor

    def __init__(self, function: nn.Module, seed: int, precision: Precision) -> None:
        super().__init__()
        self.function, self.seed, self.precision = function, seed, precision
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self._calibrated = False

    def forward(self, *inputs: Tensor) -> Tensor:
        values: Tensor = self.function(*inputs)
        if self.training:
            self._follow(values.detach())
            return values
        bits, noise = self.precision.bits, self.precision.noise
        if bits is not None:
            values = self.rounded(values, bits)
        return values + self._noise(values, noise) if noise else values

    def rounded(self, values: Tensor, bits: int) -> Tensor:
        """The activation's values at the levels of its range."""
        return quantised(values, self.low, self.high, bits)

    def _follow(self, values: Tensor) -> None:
        share = _AVERAGING if self._calibrated else 1.0
        for running, new in zip((self.low, self.high), span(values), strict=True):
            running.lerp_(new, share)
        self._calibrated = True

    def _noise(self, values: Tensor, deviation: float) -> Tensor:
        """The same draws at each call, on any device."""
        generator = torch.Generator().manual_seed(self.seed)
        draws = torch.randn(values.shape, generator=generator).to(values)
        return deviation * (self.high - self.low) * draws


class QuantisedModel(nn.Module):
    """A network that trains as ever and infers on the device.

    Weights, which are the parameters of more than one axis, are rounded over their own range;
    activations over the range of the training. Inputs, biases and outputs stay as they are.

    Args:
        build: makes the network.
        activation: what it is made with.
    """

    def __init__(
        self,
        build: Callable[[ActivationFactory], nn.Module],
        activation: ActivationFactory,
        precision: Precision,
    ) -> None:
        super().__init__()
        self.precision = precision
        self.sites: list[Site] = []

        def site(channels: int, dim: int) -> nn.Module:
            made = Site(activation.function(channels, dim), len(self.sites), precision)
            self.sites.append(made)
            return made

        self.network = build(ActivationFactory(site, activation.inputs, activation.normalises))

    def forward(self, inputs: Tensor) -> Tensor:
        bits = self.precision.bits
        if self.training or bits is None:
            return self.network(inputs)
        rounded = {
            name: quantised(weight, *span(weight), bits)
            for name, weight in self.network.named_parameters()
            if weight.ndim > 1
        }
        return functional_call(self.network, rounded, (inputs,))

    @contextmanager
    def at(self, precision: Precision) -> Iterator[None]:
        """Inside, the device is another one."""
        usual = self.precision
        self._set(precision)
        try:
            yield
        finally:
            self._set(usual)

    def _set(self, precision: Precision) -> None:
        self.precision = precision
        for site in self.sites:
            site.precision = precision

    def zero_share(self, inputs: Tensor, bits: int) -> float:
        """Share of the activations that round to 0 without noise, mean over the sites, 0 to 1.

        The quantisation kernel of Liu et al. 2024, CrossQuant, arXiv:2410.07505; zeros of the
        activation itself are in it.
        """
        shares: list[float] = []

        def note(site: nn.Module, _inputs: Any, values: Tensor) -> None:
            shares.append(float((values == 0).double().mean()))

        handles = [site.register_forward_hook(note) for site in self.sites]
        try:
            with self.at(Precision(bits)):
                self(inputs)
        finally:
            for handle in handles:
                handle.remove()
        return sum(shares) / len(shares)
