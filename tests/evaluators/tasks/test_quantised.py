"""Rounding by hand and by torch, and a network under it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from actsearch.evaluators.result import Job, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, load_task
from actsearch.evaluators.tasks.mnist1d_quantised import Mnist1dQuantised
from actsearch.evaluators.tasks.quantised import (
    EXACT,
    Precision,
    QuantisedModel,
    Site,
    quantised,
    span,
)
from actsearch.evaluators.training import Trainer

TASK = Mnist1dQuantised()
JOB = Job("search/0", "relu(x)", 0, TASK.learning_rate, (Rung(12),))


def _numbers(*values: float) -> Tensor:
    return torch.tensor(values).float()


def test_two_bits_by_hand() -> None:
    # Levels of [-1, 2] at two bits: -1, 0, 1, 2.
    x = _numbers(-5, -1, -0.6, -0.4, 0, 0.4, 0.6, 1.4, 1.6, 9)
    wanted = _numbers(-1, -1, -1, 0, 0, 0, 1, 1, 2, 2)
    assert torch.equal(quantised(x, _numbers(-1)[0], _numbers(2)[0], 2), wanted)


@given(low=st.floats(-9, 0), high=st.floats(0, 9), bits=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_as_torch_rounds(low: float, high: float, bits: int, seed: int) -> None:
    if high - low < 1e-3:
        return
    x = 5 * torch.randn(500, generator=torch.Generator().manual_seed(seed))
    found = quantised(x, torch.tensor(low), torch.tensor(high), bits)
    levels = 2**bits - 1
    step = (high - low) / levels
    zero = round(-low / step)
    fake = torch.fake_quantize_per_tensor_affine(x, step, zero, 0, levels)
    # A value halfway between levels may fall to either side: float32 here, a reciprocal there.
    assert ((found - fake).abs() < 1e-5).float().mean() > 0.99
    assert ((found - fake).abs() <= step * 1.001).all()
    if bits == 8:
        stored = torch.quantize_per_tensor(x, step, zero, torch.quint8).dequantize()
        assert ((found - stored).abs() < 1e-5).float().mean() > 0.99


@given(seed=st.integers(0, 99), bits=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_laws_of_rounding(seed: int, bits: int) -> None:
    x = torch.randn(300, generator=torch.Generator().manual_seed(seed)).double()
    low, high = span(x)
    found = quantised(x, low, high, bits)
    step = (high - low) / (2**bits - 1)
    assert len(found.unique()) <= 2**bits
    # The grid is moved so that 0 is on it: values within the range move by a step at most.
    assert ((found - x).abs() <= step * (1 + 1e-9)).all()
    assert torch.equal(quantised(found, low, high, bits), found)
    assert (quantised(torch.zeros(3).double(), low, high, bits) == 0).all()


def test_a_range_of_nothing_gives_zeros() -> None:
    x = torch.zeros(4)
    assert torch.equal(quantised(x, *span(x), 4), x)


def test_the_range_of_a_site_is_the_running_mean_of_the_batches() -> None:
    site = Site(nn.Identity(), 0, Precision(4))
    for batch in ([-1.0, 3.0], [-2.0, 5.0], [1.0, 2.0]):
        assert torch.equal(site(torch.tensor(batch)), torch.tensor(batch))
    low = (-1 * 0.99 + -2 * 0.01) * 0.99 + 0 * 0.01
    high = (3 * 0.99 + 5 * 0.01) * 0.99 + 2 * 0.01
    assert (site.low.item(), site.high.item()) == pytest.approx((low, high))
    observer = torch.ao.quantization.MovingAverageMinMaxObserver(averaging_constant=0.01)
    for batch in ([-1.0, 3.0], [-2.0, 5.0], [0.0, 2.0]):
        observer(torch.tensor(batch))
    assert site.low.item() == pytest.approx(observer.min_val.item())
    assert site.high.item() == pytest.approx(observer.max_val.item())


def test_noise_has_its_deviation_and_repeats() -> None:
    site = Site(nn.Identity(), 3, Precision(None, noise=0.05))
    site(_numbers(-1, 3))
    site.eval()
    zeros = torch.zeros(100_000)
    assert site(zeros).std().item() == pytest.approx(0.05 * 4, rel=0.02)
    assert torch.equal(site(zeros), site(zeros))
    other = Site(nn.Identity(), 4, Precision(None, noise=0.05))
    other(_numbers(-1, 3))
    assert not torch.equal(other.eval()(zeros), site(zeros))


def _model(activation: ActivationFactory | None = None) -> QuantisedModel:
    def build(activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(
            nn.Linear(3, activation.width(5)), activation(5), nn.Linear(5, 2), activation(2)
        )

    torch.manual_seed(0)
    return QuantisedModel(
        build, activation or ActivationFactory(lambda channels, dim: nn.ReLU()), Precision(3)
    )


def test_a_model_rounds_weights_and_activations_and_not_biases() -> None:
    model, x = _model(), torch.randn(40, 3)
    first, _, last, _ = model.network
    trained = model(x)
    assert torch.equal(trained, last(first(x).relu()).relu())
    model.eval()

    def rounded(layer: nn.Linear, inputs: Tensor) -> Tensor:
        weight = quantised(layer.weight, *span(layer.weight), 3)
        return nn.functional.linear(inputs, weight, layer.bias)

    hidden = quantised(rounded(first, x).relu(), *span(first(x).relu()), 3)
    wanted = quantised(rounded(last, hidden).relu(), *span(trained), 3)
    with torch.no_grad():
        assert torch.allclose(model(x), wanted)
        assert len(first.weight.unique()) > 8  # its own weights stay
        zeros = ((hidden == 0).float().mean() + (wanted == 0).float().mean()) / 2
        assert model.zero_share(x, 3) == pytest.approx(zeros.item())


def test_precision_can_be_changed_for_a_while_even_if_that_fails() -> None:
    model, x = _model(), torch.randn(40, 3)
    trained = model(x)
    model.eval()
    usual = model(x)
    with model.at(EXACT):
        assert torch.equal(model(x), trained)
    with pytest.raises(ZeroDivisionError), model.at(EXACT):
        raise ZeroDivisionError
    assert torch.equal(model(x), usual)
    assert not torch.equal(usual, trained)


def test_many_bits_change_little_and_few_much() -> None:
    model, x = _model(), torch.randn(400, 3)
    exact = model(x)
    model.eval()
    errors = []
    for bits in (16, 8, 4, 2):
        with model.at(Precision(bits)):
            errors.append(float((model(x) - exact).detach().norm() / exact.detach().norm()))
    assert errors == sorted(errors) and errors[0] < 1e-3 and errors[-1] > 0.1


def test_it_trains_as_mnist1d_does() -> None:
    plain = Trainer(load_task("mnist1d"))(JOB)
    ours = Trainer(TASK)(JOB)
    assert ours.curve == plain.curve
    assert ours.measures["exact"] == plain.score


@pytest.mark.parametrize(
    "formula", ["relu(x)", "x*sigmoid(beta[1, channel]*x)", "u*sigmoid(v)", "x/std_group(x)"]
)
def test_any_candidate_runs_and_repeats(formula: str) -> None:
    job = replace(JOB, formula=formula)
    first, second = Trainer(TASK)(job), Trainer(TASK)(job)
    assert first.status is Status.COMPLETE
    assert replace(first, seconds=0.0) == replace(second, seconds=0.0)
    assert set(first.measures) == {"exact", "8_bits", "4_bits", "3_bits", "zero_share"}
    assert all(0 <= figure <= 1 for figure in first.measures.values())


def test_it_is_embedded_without_the_rungs_of_mnist1d() -> None:
    task = load_task("mnist1d-quantised")
    assert type(task) is Mnist1dQuantised and task.rungs == ()
