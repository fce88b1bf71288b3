"""Words that draw: their distributions, their slopes, and that they repeat."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from actsearch.evaluators.layer_screens import layer_fingerprint, layer_screen
from actsearch.evaluators.verdict import StaticLimits
from actsearch.primitives import Layer, module_of, parse
from actsearch.primitives.analysis import initial_gain

CHANNELS = 8
SHAPE = (500, CHANNELS, 25)
COUNT = math.prod(SHAPE)
# Six standard deviations of an estimate: by chance one test in 10^8 fails, at a fixed seed none.
SIGMAS = 6


def layer(formula: str) -> Layer:
    made = module_of(parse(formula), CHANNELS)
    assert isinstance(made, Layer)
    return made.double()


def drawn(formula: str, x: Tensor | None = None) -> Tensor:
    torch.manual_seed(0)
    read = torch.zeros(SHAPE, dtype=torch.float64) if x is None else x
    return layer(formula)(read).detach()


def assert_moments(values: Tensor, mean: float, variance: float, fourth: float) -> None:
    """Sample mean and variance are those given; `fourth` is the fourth central moment."""
    found = float(values.mean())
    assert abs(found - mean) <= SIGMAS * math.sqrt(variance / values.numel())
    spread = float(values.var())
    error = math.sqrt((fourth - variance**2) / values.numel())
    assert abs(spread - variance) <= SIGMAS * error + variance / values.numel()


def test_uniform_has_the_moments_of_a_uniform_number() -> None:
    values = drawn("uniform(-1, 3) + 0*x")
    assert values.min() >= -1 and values.max() < 3
    assert_moments(values, 1.0, 16 / 12, 256 / 80)


def test_normal_has_the_moments_of_a_normal_number() -> None:
    assert_moments(drawn("normal(2, 0.5) + 0*x"), 2.0, 0.25, 3 * 0.25**2)


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 1.0])
def test_bernoulli_is_0_or_1_with_its_probability(probability: float) -> None:
    values = drawn(f"bernoulli({probability}) + 0*x")
    assert set(values.unique().tolist()) <= {0.0, 1.0}
    share, rest = probability, 1 - probability
    fourth = share * rest * (rest**3 + share**3)
    assert_moments(values, share, share * rest, fourth)


def test_each_entry_has_a_draw_of_its_own() -> None:
    values = drawn("normal(0, 1) + 0*x")
    assert len(values.unique()) > 0.999 * COUNT
    for axis in range(3):
        moved = values.roll(1, axis)
        assert abs(float((values * moved).mean())) < SIGMAS / math.sqrt(COUNT)


def test_equal_calls_in_a_formula_are_one_draw() -> None:
    assert not drawn("normal(0, 1) - normal(0, 1) + 0*x").any()
    assert drawn("normal(0, 1) - normal(0, 2) + 0*x").all()


def test_arguments_may_be_formulas_of_x() -> None:
    x = torch.linspace(-2, 2, COUNT, dtype=torch.float64).reshape(SHAPE)
    noise = (drawn("normal(x, exp(x))", x) - x) / x.exp()
    assert_moments(noise, 0.0, 1.0, 3.0)
    between = (drawn("uniform(x, 2*x + 5)", x) - x) / (x + 5)
    assert_moments(between, 0.5, 1 / 12, 1 / 80)


@pytest.mark.parametrize(
    ("formula", "mean"),
    [
        ("uniform(x, 3)", lambda x: (x + 3) / 2),
        ("normal(tanh(x), 2)", torch.tanh),
        ("bernoulli(sigmoid(x))", torch.sigmoid),
    ],
)
def test_in_evaluation_mode_a_draw_is_its_mean(formula: str, mean: object) -> None:
    x = torch.randn(4, CHANNELS, 3, dtype=torch.float64)
    made = layer(formula).eval()
    state = torch.get_rng_state()
    torch.testing.assert_close(made(x), mean(x))  # type: ignore[operator]
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("formula", ["uniform(x, 2)", "normal(x, x)", "bernoulli(sigmoid(x))"])
def test_a_seed_repeats_a_draw_and_the_next_is_another(formula: str) -> None:
    made, x = layer(formula), torch.rand(4, CHANNELS, 3, dtype=torch.float64)
    torch.manual_seed(5)
    first, second = made(x), made(x)
    torch.manual_seed(5)
    assert torch.equal(made(x), first)
    assert torch.equal(made(x), second)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("formula", ["uniform(x, 2*x)", "normal(tanh(x), a[0.5]*x)"])
def test_slopes_go_through_uniform_and_normal_as_if_the_noise_were_data(formula: str) -> None:
    made = layer(formula)

    def function(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return made(x)

    x = torch.randn(2, CHANNELS, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def test_the_slope_of_bernoulli_is_that_of_its_probability() -> None:
    x = torch.randn(3, CHANNELS, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, CHANNELS, 2, dtype=torch.float64)
    (slope,) = torch.autograd.grad((layer("bernoulli(sigmoid(x))")(x) * weights).sum(), x)
    (wanted,) = torch.autograd.grad((x.sigmoid() * weights).sum(), x)
    torch.testing.assert_close(slope, wanted)


def test_what_is_not_a_number_stays_so() -> None:
    x = torch.full((2, CHANNELS), math.nan)
    for formula in ("bernoulli(x)", "uniform(x, 1)", "normal(0, x)"):
        assert layer(formula)(x.double()).isnan().all()


def test_screens_and_gains_are_the_same_every_time_and_draw_from_nobody() -> None:
    expr = parse("relu(x + normal(0, 0.75)) + bernoulli(0.3)*min(x, 0)")
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        initial_gain.cache_clear()
        found.append((initial_gain(expr, 4), layer_fingerprint(expr).tolist()))
        assert layer_screen(expr, StaticLimits()).accepted
        assert torch.equal(torch.get_rng_state(), state)
    assert found[0] == found[1]


def test_a_gain_is_that_of_the_drawn_function() -> None:
    # E (x + n)^2 = 1 + 0.75^2
    wanted = 1 / math.sqrt(1 + 0.75**2)
    assert initial_gain(parse("x + normal(0, 0.75)"), 4) == pytest.approx(wanted, rel=0.02)


def test_fingerprints_tell_noise_from_none_and_from_more() -> None:
    marks = [
        layer_fingerprint(parse(text))
        for text in ("relu(x + normal(0, 1))", "relu(x + normal(0, 2))", "relu(x) + normal(0, 0)")
    ]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert abs(marks[first] - marks[second]).max() > 0.1
