"""Densities measured from a model, against the laws that its pre-activations have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from actsearch.primitives import Activation, ActivationSlot, evaluate, parse
from actsearch.primitives.entropy import Form
from actsearch.primitives.entropy.measured import (
    fitted_density,
    measured_corrections,
    measured_densities,
)


def scaled(weight: float, bias: float) -> nn.Linear:
    """A layer that gives each of 16 numbers the same affine map."""
    layer = nn.Linear(16, 16)
    with torch.no_grad():
        layer.weight.copy_(weight * torch.eye(16))
        layer.bias.fill_(bias)
    return layer


def inputs_of(law, count: int = 2_000) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(law.rvs((count, 16), random_state=rng)).float()


@pytest.mark.parametrize(
    ("law", "family"), [(stats.norm(), "normal"), (stats.logistic(), "logistic")]
)
def test_the_density_of_a_known_law_is_found_with_its_mean_and_scale(law, family: str) -> None:
    model = nn.Sequential(scaled(1.5, 0.4), Activation(parse("relu(x)")), nn.Dropout(0.5))
    found = measured_densities(model, inputs_of(law))
    (measured,) = found.values()
    assert list(found) == ["1"]
    assert measured.density.name.startswith(family)
    assert measured.density.location == pytest.approx(0.4, abs=0.03)
    assert measured.density.scale == pytest.approx(1.5, rel=0.02)
    assert measured.count == 32_000
    assert measured.distance < 0.01
    x = torch.linspace(-5, 5, 41, dtype=torch.float64)
    expected = law.pdf((x.numpy() - 0.4) / 1.5) / 1.5
    np.testing.assert_allclose(evaluate(measured.density.expr, {"x": x}), expected, atol=0.005)
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_heavy_tails_are_fitted_by_students_law() -> None:
    density, distance = fitted_density(inputs_of(stats.t(3)).numpy())
    assert density.name.startswith(("student(3,", "student(4,"))
    assert distance < 0.01


def test_a_law_that_is_none_of_them_shows_in_the_distance() -> None:
    two = np.concatenate([np.linspace(-3.1, -2.9, 500), np.linspace(2.9, 3.1, 500)])
    assert fitted_density(two)[1] > 0.1


def test_the_fit_draws_no_random_numbers() -> None:
    sample = inputs_of(stats.norm()).numpy()
    assert fitted_density(sample) == fitted_density(sample)


def test_corrections_are_of_the_function_and_the_density_of_each_place() -> None:
    model = nn.Sequential(scaled(1.0, 0.0), nn.ReLU(), scaled(2.0, 1.0), nn.Tanh())
    found = measured_corrections(model, [inputs_of(stats.norm()), inputs_of(stats.norm())])
    assert list(found) == ["1", "3"]
    x = torch.linspace(-3, 3, 25, dtype=torch.float64)
    first = evaluate(found["1"].term, {"x": x})
    torch.testing.assert_close(first, x * torch.exp(-(x**2) / 2), atol=0.03, rtol=0)
    assert str(found["3"].base) == "tanh(x)"
    given = measured_corrections(model, inputs_of(stats.norm()), parse("softplus(x)"), Form.REGULAR)
    assert {str(correction.base) for correction in given.values()} == {"softplus(x)"}
    assert {correction.form for correction in given.values()} == {Form.REGULAR}


def test_a_slot_is_measured_and_needs_a_base() -> None:
    model = nn.Sequential(scaled(1.0, 0.0), ActivationSlot(parse("tanh(x)"), 16))
    (measured,) = measured_densities(model, inputs_of(stats.norm())).values()
    assert measured.base is None
    with pytest.raises(ValueError, match="activation '1' is not known; give base="):
        measured_corrections(model, inputs_of(stats.norm()))


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(ValueError, match="no activation module"):
        measured_densities(nn.Sequential(nn.Linear(4, 4), nn.Softmax(1)), torch.zeros(2, 4))
    model = nn.Sequential(scaled(0.0, 1.0), nn.ReLU())
    with pytest.raises(ValueError, match="activation '1': a density needs at least ten finite"):
        measured_densities(model, inputs_of(stats.norm()))
    assert not model[1]._forward_pre_hooks
