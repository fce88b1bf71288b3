"""Spectra of the Fisher information of a network at initialisation, as features of its activation.

After AQuaSurF, Bingham and Miikkulainen 2023, arXiv:2301.05785, section 4: blocks of the empirical
Fisher matrix in Kronecker factors, one for each layer, by the distribution of the logarithms of
their eigenvalues. Departures: the divisor is the number of examples in linear layers too, where
the released code divides by the number of features; and a layer has `BINS` figures from
e^LOWEST to e^HIGHEST, where the paper has one for each hundred weights from e^-100 to e^100.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..primitives import Expr
from .network import activation_of, built_model, network_names
from .tasks import Splits, Task, check_splits
from .tasks.splits import shuffled_batches

BINS = 64
LOWEST, HIGHEST = -44.0, 20.0
SEED = 42
"""Of initial weights and of the batch; the paper's."""
EXAMPLES = 100
"""Most examples in the batch."""

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
# Of the largest eigenvalue: below it lies what rounding leaves of zero.
_SMALLEST = 1e-12


def spectrum_on(task: Task, *, normalises: bool = False) -> Callable[[Expr], np.ndarray]:
    """Spectra of candidates on a task, whose data are loaded when the first is asked for.

    Args:
        normalises: candidates take the place of normalisations too.
    """
    splits = cache(lambda: check_splits(task.load()))
    return lambda expr: fisher_spectrum(task, splits(), expr, normalises=normalises)


def fisher_spectrum(
    task: Task, splits: Splits, expr: Expr, *, normalises: bool = False
) -> np.ndarray:
    """Cumulative distributions of log-eigenvalues of the Fisher blocks, layer after layer.

    Of the network with weights as of the task's initialisation, on one batch of the training split
    with its true labels; both are drawn from `SEED`. Linear and convolution layers count, with
    their biases, but not those of three dimensions or in groups. Anchors follow one another.

    Args:
        task: its loss is taken as a mean over examples.
        splits: of the task, on the CPU.
        expr: of one input.
        normalises: the candidate takes the place of normalisations too.

    Returns:
        float64, (layers * BINS,), rising from 0 to 1 within each layer; NaN for layers where an
        activation or a gradient is not finite.
    """
    generator = torch.Generator().manual_seed(SEED)
    size = min(task.batch_size, EXAMPLES)
    inputs, targets = next(shuffled_batches(splits.train, size, generator))
    activation, rows = activation_of(task, expr, normalises=normalises), []
    with torch.random.fork_rng(devices=[]):
        for name in network_names(task):
            model = built_model(task, name, expr, activation, SEED, "cpu")
            rows += layer_rows(task, model, inputs, targets)
    return np.concatenate(
        [
            _distribution(block_spectrum(layer_inputs, gradients, len(targets)))
            for layer_inputs, gradients in rows
        ]
    )


def layer_rows(
    task: Task, model: nn.Module, inputs: Tensor, targets: Tensor
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What each layer reads at each position, and the gradient of the loss by what it gives.

    Returns:
        For each layer that is used, in the order of `model.modules()`: float64 arrays
        (examples * positions, 1 + fan_in), the first column 1 for the bias, if the layer has one,
        and (examples * positions, outputs), of the loss of that example alone. A linear layer has
        one position; one that is used twice has twice as many.
    """
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    def remember(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        seen.setdefault(layer, []).append((arguments[0].detach(), output))

    layers = [m for m in model.modules() if isinstance(m, _LAYERS) and getattr(m, "groups", 1) == 1]
    hooks = [layer.register_forward_hook(remember) for layer in layers]
    loss = task.loss(model(inputs), targets)
    for hook in hooks:
        hook.remove()
    used = [(layer, *call) for layer in layers for call in seen.get(layer, ())]
    gradients = torch.autograd.grad(
        loss, [output for *_, output in used], allow_unused=True, materialize_grads=True
    )
    rows: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
    for (layer, read, _), gradient in zip(used, gradients, strict=True):
        channels_last = gradient if isinstance(layer, nn.Linear) else gradient.movedim(1, -1)
        by_output = len(targets) * channels_last.flatten(0, -2).double()
        rows.setdefault(layer, []).append((_patches(layer, read).double(), by_output))
    return [
        (torch.cat([a for a, _ in calls]).numpy(), torch.cat([g for _, g in calls]).numpy())
        for calls in rows.values()
    ]


def block_spectrum(layer_inputs: np.ndarray, gradients: np.ndarray, examples: int) -> np.ndarray:
    """Logarithms of the eigenvalues of a layer's block, in no order.

    The block is the Kronecker product of A'A / examples and G'G / (examples * positions)
    (Grosse and Martens 2016, arXiv:1602.01407), so its eigenvalues are all products of an
    eigenvalue of the one and one of the other.

    Args:
        layer_inputs, gradients: A and G as of `layer_rows`.
        examples: in the batch.

    Returns:
        float64 (columns of A * columns of G,); NaN if an entry is not finite.
    """
    factors = (layer_inputs.T @ layer_inputs / examples, gradients.T @ gradients / len(gradients))
    if not all(np.isfinite(factor).all() for factor in factors):
        return np.full(len(factors[0]) * len(factors[1]), np.nan)
    first, second = (_log_eigenvalues(factor) for factor in factors)
    return (first[:, None] + second).ravel()


def _patches(layer: nn.Module, read: Tensor) -> Tensor:
    """The layer's input (positions, fan_in), with a column of ones before it if there is a bias."""
    if isinstance(layer, nn.Linear):
        rows = read.flatten(0, -2)
    else:
        assert isinstance(layer, nn.Conv1d | nn.Conv2d)
        rows = _unfolded(layer, read)
    return rows if layer.bias is None else functional.pad(rows, (1, 0), value=1.0)


def _unfolded(layer: nn.Conv1d | nn.Conv2d, read: Tensor) -> Tensor:
    # Padding first, so that every kind of it is the layer's own.
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(read, layer._reversed_padding_repeated_twice, mode=mode)
    flat = isinstance(layer, nn.Conv1d)
    kernel, stride, dilation = (
        (1, *sizes) if flat else sizes
        for sizes in (layer.kernel_size, layer.stride, layer.dilation)
    )
    columns = functional.unfold(
        padded.unsqueeze(2) if flat else padded, kernel, dilation=dilation, stride=stride
    )
    return columns.movedim(1, -1).flatten(0, 1)


def _log_eigenvalues(factor: np.ndarray) -> np.ndarray:
    values = np.linalg.eigvalsh(factor)
    largest = values[-1]
    return np.log(np.maximum(values, _SMALLEST * largest if largest > 0 else np.exp(LOWEST)))


def _distribution(logarithms: np.ndarray) -> np.ndarray:
    if np.isnan(logarithms).any():
        return np.full(BINS, np.nan)
    within = np.clip(logarithms, LOWEST, HIGHEST)
    counts, _ = np.histogram(within, bins=BINS, range=(LOWEST, HIGHEST))
    return np.cumsum(counts) / counts.sum()
