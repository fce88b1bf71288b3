"""CETT-PPL-p%: how many neurons of feed-forward networks can be left out, for any activation.

Source: Luo et al. 2025, Sparsing Law, arXiv:2411.02335; CETT is of Zhang et al. 2024, ReLU^2 Wins,
arXiv:2402.03804.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_STEPS_OF_CETT = 10
_STEPS_OF_THRESHOLD = 14


def cett_sparsity(
    layers: Sequence[nn.Linear], perplexity: Callable[[], float], rise: float
) -> float:
    """Share of inactive neurons, 0 to 1, mean over tokens and layers, at the largest CETT allowed.

    Each layer has its own threshold, at which its CETT on the tokens of `perplexity` is the common
    one; that is the largest, to 1/1024, with which the perplexity rises by `rise` at most.

    Args:
        layers: the last one of each feed-forward network, without bias; what it takes,
            (..., neurons), are the neurons' values.
        perplexity: of the model that the layers are in; always on the same tokens.
        rise: as a share; 0.01 for CETT-PPL-1%.
    """
    with _recorded(layers) as hidden:
        allowed = (1 + rise) * perplexity()
    weights = [layer.weight.detach() for layer in layers]

    def thresholds(target: float) -> list[float]:
        return [threshold_of(*pair, target) for pair in zip(hidden, weights, strict=True)]

    def is_allowed(target: float) -> bool:
        with _cut(layers, thresholds(target)):
            return perplexity() <= allowed

    largest = 1.0 if is_allowed(1.0) else bisected(is_allowed, 0.0, 1.0, _STEPS_OF_CETT)
    shares = [
        float((sizes(values, weight) < threshold).double().mean())
        for values, weight, threshold in zip(hidden, weights, thresholds(largest), strict=True)
    ]
    return sum(shares) / len(shares)


def sizes(hidden: Tensor, weight: Tensor) -> Tensor:
    """Norms of what each neuron adds to the output, (..., neurons).

    Args:
        hidden: (..., neurons).
        weight: (width, neurons).
    """
    return hidden.abs() * weight.norm(dim=0)


def cett(hidden: Tensor, weight: Tensor, threshold: float) -> float:
    """Norm of what neurons below the threshold add, over the norm of all; mean over tokens.

    Args:
        hidden: (..., neurons).
        weight: (width, neurons).
    """
    inactive = sizes(hidden, weight) < threshold
    tail = (hidden * inactive) @ weight.T
    whole = (hidden @ weight.T).norm(dim=-1).clamp_min(torch.finfo(hidden.dtype).tiny)
    return float((tail.norm(dim=-1) / whole).mean())


def threshold_of(hidden: Tensor, weight: Tensor, target: float) -> float:
    """The largest threshold, to 2^-14 of the largest size, whose CETT is at most the target."""
    largest = float(sizes(hidden, weight).max()) * (1 + 1e-6)

    def is_below(threshold: float) -> bool:
        return cett(hidden, weight, threshold) <= target

    if is_below(largest):
        return largest
    # Neurons that are exactly 0 are inactive at any threshold above 0.
    least = torch.finfo(hidden.dtype).tiny
    return bisected(is_below, least, largest, _STEPS_OF_THRESHOLD)


def bisected(holds: Callable[[float], bool], low: float, high: float, steps: int) -> float:
    """The largest number found for which `holds`, which does at `low` and does not at `high`."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@contextmanager
def _recorded(layers: Sequence[nn.Linear]) -> Iterator[list[Tensor]]:
    """What each layer takes in the one forward pass inside."""
    found: list[Tensor] = []

    def record(_layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0].detach())

    with _hooked([(layer, record) for layer in layers]):
        yield found


@contextmanager
def _cut(layers: Sequence[nn.Linear], thresholds: Sequence[float]) -> Iterator[None]:
    """Inside, neurons below their layer's threshold give 0."""

    def cutting(threshold: float) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Tensor]]:
        def cut(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
            assert isinstance(layer, nn.Linear)
            return (inputs[0] * (sizes(inputs[0], layer.weight) >= threshold),)

        return cut

    with _hooked(list(zip(layers, map(cutting, thresholds), strict=True))):
        yield


@contextmanager
def _hooked(hooks: Sequence[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    handles = [layer.register_forward_pre_hook(hook) for layer, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
