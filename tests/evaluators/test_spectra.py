"""Fisher spectra, against the block written out and against gradients of single examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_task import Tiny
from torch import Tensor, nn

from actsearch.evaluators.spectra import (
    BINS,
    HIGHEST,
    LOWEST,
    block_spectrum,
    fisher_spectrum,
    layer_rows,
)
from actsearch.evaluators.tasks import ActivationFactory, Split, Splits, Task
from actsearch.primitives import parse


class Convolutions(Task):
    """Convolutions of both kinds with every option, and a linear layer that is used twice."""

    batch_size = 7

    def load(self) -> Splits:
        generator = torch.Generator().manual_seed(3)
        inputs = torch.randn(30, 2, 9, 11, generator=generator)
        targets = torch.randint(4, (30,), generator=generator)
        return Splits(*(Split(inputs[i::3], targets[i::3]) for i in range(3)))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return Network(activation)


class Network(nn.Module):
    def __init__(self, activation: ActivationFactory) -> None:
        super().__init__()
        self.plane = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2))
        self.first = activation(3)
        self.line = nn.Conv1d(3, 4, 3, padding="same", padding_mode="circular", bias=False)
        self.grouped = nn.Conv1d(4, 4, 2, groups=2)
        self.second = activation(4)
        self.mixed = nn.Linear(4, 4)
        self.unused = nn.Linear(5, 5)

    def forward(self, images: Tensor) -> Tensor:
        line = self.line(self.first(self.plane(images)).mean(2))
        pooled = self.second(self.grouped(line)).mean(2)
        return self.mixed(self.mixed(pooled))


def gradient_of_one(task: Task, model: nn.Module, layer: nn.Module, one: Split) -> np.ndarray:
    """Of the loss of one example by the layer's bias and weights, (outputs, 1 + fan_in)."""
    model.zero_grad()
    task.loss(model(one.inputs), one.targets).backward()
    parts = [parameter.grad for parameter in (layer.bias, layer.weight) if parameter is not None]
    flat = [
        part.flatten(1) if part.ndim > 1 else part[:, None] for part in parts if part is not None
    ]
    return torch.cat(flat, dim=1).double().numpy()


def test_rows_multiply_to_the_gradients_of_single_examples() -> None:
    task = Convolutions()
    train = task.load().train
    torch.manual_seed(0)
    model = task.build_model(lambda channels: nn.Tanh())
    batch = Split(train.inputs[:5], train.targets[:5])
    rows = layer_rows(task, model, batch.inputs, batch.targets)
    layers = [model.plane, model.line, model.mixed]
    assert [a.shape[1] for a, _ in rows] == [13, 9, 5]
    for layer, (read, by_output) in zip(layers, rows, strict=True):
        uses = 2 if layer is model.mixed else 1
        # (uses, examples, positions, columns)
        a, g = (part.reshape(uses, 5, -1, part.shape[1]) for part in (read, by_output))
        for n in range(5):
            found = np.einsum("upo,upi->oi", g[:, n], a[:, n])
            one = Split(batch.inputs[n : n + 1], batch.targets[n : n + 1])
            expected = gradient_of_one(task, model, layer, one)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_block_of_one_example_is_its_fisher_matrix() -> None:
    rng = np.random.default_rng(0)
    read, by_output = rng.normal(size=(1, 4)), rng.normal(size=(1, 3))
    gradient = (by_output.T @ read).ravel()
    (expected,) = gradient @ gradient[:, None]
    assert block_spectrum(read, by_output, 1).max() == pytest.approx(np.log(expected))


def test_eigenvalues_are_those_of_the_kronecker_product() -> None:
    rng = np.random.default_rng(1)
    examples, positions = 6, 5
    read = rng.normal(size=(examples * positions, 4)) * [1, 2, 0.5, 3]
    by_output = rng.normal(size=(examples * positions, 3)) * [1, 0.1, 2]
    block = np.kron(read.T @ read / examples, by_output.T @ by_output / (examples * positions))
    found = np.sort(block_spectrum(read, by_output, examples))
    np.testing.assert_allclose(found, np.log(np.linalg.eigvalsh(block)), rtol=1e-9, atol=1e-9)


def test_each_layer_has_a_distribution_and_the_first_does_not_see_the_output_scale() -> None:
    task = Tiny()
    splits = task.load()
    found, doubled = (
        fisher_spectrum(task, splits, parse(text)).reshape(2, BINS)
        for text in ("tanh(x)", "mul(2, tanh(x))")
    )
    assert found.dtype == np.float64
    assert (np.diff(found, axis=1) >= 0).all()
    assert (found[:, -1] == 1).all()
    # The gain halves the next weights, so gradients by the first layer's outputs are the same;
    # the second layer reads twice as much.
    np.testing.assert_allclose(doubled[0], found[0], atol=0.02)
    assert (doubled[1] <= found[1] + 1e-9).all()
    assert doubled[1].sum() < found[1].sum() - 0.5


def test_larger_gradients_move_the_distribution_up() -> None:
    class Louder(Tiny):
        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return super().loss(outputs, targets) * float(np.exp(2))

    splits = Tiny().load()
    expr = parse("relu(x)")
    quiet = fisher_spectrum(Tiny(), splits, expr).reshape(2, BINS)
    loud = fisher_spectrum(Louder(), splits, expr).reshape(2, BINS)
    # e^2 in the gradient is e^4 in the eigenvalues, and a bin is a factor of e.
    assert HIGHEST - LOWEST == BINS
    np.testing.assert_allclose(loud[:, 20:], quiet[:, 16:-4], atol=0.02)


def test_it_repeats_and_leaves_the_global_generator_alone() -> None:
    task = Convolutions()
    splits = task.load()
    torch.manual_seed(5)
    first = fisher_spectrum(task, splits, parse("mul(x, sigmoid(mul(beta[1, channel], x)))"))
    state = torch.get_rng_state()
    torch.rand(3)
    second = fisher_spectrum(task, splits, parse("mul(x, sigmoid(mul(beta[1, channel], x)))"))
    np.testing.assert_array_equal(first, second)
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (3 * BINS,)


def test_what_overflows_is_nan() -> None:
    task = Tiny()
    found = fisher_spectrum(task, task.load(), parse("exp(cosh(mul(3, x)))"))
    assert found.shape == (2 * BINS,)
    assert np.isnan(found).any()


def test_spectra_of_anchors_follow_one_another() -> None:
    class Both(Convolutions):
        anchors = ("deep", "shallow")

        def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
            if anchor == "deep":
                return self.build_model(activation)
            return nn.Sequential(nn.Flatten(), activation(198), nn.Linear(198, 4))

    splits, expr = Both().load(), parse("x*sigmoid(x)/std_group(x)")
    found = fisher_spectrum(Both(), splits, expr)
    assert found.shape == (4 * BINS,)
    np.testing.assert_array_equal(found[: 3 * BINS], fisher_spectrum(Convolutions(), splits, expr))
