"""Known random functions: evaluated against torch, drawn against their statistics."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from tiny_task import Tiny
from torch import Tensor, nn
from torch.nn import functional

import actsearch
from actsearch.evaluators.result import Job, Status
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.training import Trainer, full_rungs
from actsearch.primitives import Layer, read_formula
from actsearch.primitives.zoo import known_tensor_functions

CHANNELS = 10
ROWS = {n: row for n, row in known_tensor_functions().items() if row.section == "stochastic"}
SIGMAS = 6


def layer(name: str) -> nn.Module:
    return actsearch.activation(name, CHANNELS).double()


def standard(count: int = 2000) -> Tensor:
    return torch.randn(count, CHANNELS, dtype=torch.float64, requires_grad=True)


EVALUATED: dict[str, Callable[[Tensor], Tensor]] = {
    "rrelu": lambda x: functional.rrelu(x, training=False),
    "rrelu(lower=0.1, upper=0.5)": lambda x: functional.rrelu(x, 0.1, 0.5, training=False),
    "stochastic_silu_relu": lambda x: x.relu() + 0.5 * functional.silu(-(-x).relu()),
    "stochastic_silu_relu(p=1)": lambda x: torch.where(x > 0, x, functional.silu(x)),
    "stochastic_silu_relu(p=0)": torch.relu,
    "noisy_relu": torch.relu,
    "probact": torch.relu,
    "gumbel_softmax": lambda x: x.softmax(1),
    "gumbel_softmax(temperature=2)": lambda x: (x / 2).softmax(1),
    "erelu": torch.relu,
    "rt_relu": torch.relu,
    "gelu_as_expectation": functional.gelu,
    "bernoulli_sigmoid": torch.sigmoid,
    "bernoulli_sigmoid(slope=3)": lambda x: torch.sigmoid(3 * x),
}


def test_every_row_has_a_reference() -> None:
    assert {name.partition("(")[0] for name in EVALUATED} == set(ROWS)


@pytest.mark.parametrize("name", EVALUATED)
def test_in_evaluation_mode_value_and_gradient_are_those_of_the_mean(name: str) -> None:
    x, made = standard(50), layer(name).eval()
    value, wanted = made(x), EVALUATED[name](x)
    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(value, made(x), rtol=0, atol=0)
    weights = torch.randn(50, CHANNELS, dtype=torch.float64)
    slopes = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (value, wanted)]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-10)


def ratios(name: str, x: Tensor, where: Tensor) -> Tensor:
    found: Tensor = (layer(name)(x) / x)[where].detach()
    return found


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    assert values.min() >= low - 1e-12 and values.max() <= high + 1e-12
    ordered = ((values - low) / (high - low)).sort().values
    steps = torch.linspace(0, 1, len(values), dtype=torch.float64)
    # Kolmogorov and Smirnov: beyond 2/sqrt(n) by chance once in 1,500.
    assert float((ordered - steps).abs().max()) < 2 / math.sqrt(len(values))


def test_rrelu_draws_the_slopes_that_torch_draws() -> None:
    x = standard()
    negative = x < 0
    assert_uniform(ratios("rrelu", x, negative), 1 / 8, 1 / 3)
    torch.manual_seed(0)
    assert_uniform((functional.rrelu(x, training=True) / x)[negative].detach(), 1 / 8, 1 / 3)
    assert ratios("rrelu", x, ~negative).eq(1).all()
    value = layer("rrelu")(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(slope, (value / x).detach())


def test_erelu_draws_slopes_on_the_positive_side() -> None:
    x = standard()
    assert_uniform(ratios("erelu", x, x > 0), 0.5, 1.5)
    assert_uniform(ratios("erelu(a=0.2)", x, x > 0), 0.8, 1.2)
    assert not layer("erelu")(x)[x < 0].any()


def test_stochastic_silu_relu_is_one_of_the_two_where_x_is_negative() -> None:
    x = standard()
    value, silu = layer("stochastic_silu_relu(p=0.3)")(x), functional.silu(x)
    torch.testing.assert_close(value[x > 0], x[x > 0])
    below = value[x < 0]
    is_silu = torch.isclose(below, silu[x < 0], rtol=1e-12)
    assert (is_silu | (below == 0)).all()
    share = float(is_silu.double().mean())
    assert abs(share - 0.3) < SIGMAS * math.sqrt(0.3 * 0.7 / len(below))


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("noisy_relu", lambda x: x.sigmoid().sqrt()),
        ("rt_relu", lambda x: 0.75 + 0 * x),
        ("rt_relu(sigma=2)", lambda x: 2 + 0 * x),
    ],
)
def test_noise_before_relu_has_the_rectified_normals_mean(
    name: str, deviation: Callable[[Tensor], Tensor]
) -> None:
    for point in (-1.0, 0.0, 0.5, 2.0):
        x = torch.full((20_000, CHANNELS), point, dtype=torch.float64)
        s = float(deviation(x)[0, 0])
        a = point / s
        density = math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        below = 0.5 * (1 + math.erf(a / math.sqrt(2)))
        mean = point * below + s * density
        second = (point**2 + s**2) * below + point * s * density
        found = float(layer(name)(x).mean())
        assert abs(found - mean) < SIGMAS * math.sqrt((second - mean**2) / x.numel())


def test_probact_adds_noise_whose_size_is_trained() -> None:
    x, made = standard(), layer("probact")
    noise = made(x) - x.relu()
    assert float(noise.detach().std()) == pytest.approx(0.05, rel=SIGMAS / math.sqrt(2 * x.numel()))
    (slope,) = torch.autograd.grad(noise.sum(), made.sigma)
    torch.testing.assert_close(slope, noise.sum().detach() / made.sigma.detach())


def test_gumbel_softmax_chooses_as_softmax_does() -> None:
    logits = torch.linspace(-1, 1, CHANNELS, dtype=torch.float64)
    drawn = layer("gumbel_softmax(temperature=0.5)")(logits.expand(40_000, CHANNELS))
    torch.testing.assert_close(drawn.sum(1), torch.ones(40_000, dtype=torch.float64))
    torch.manual_seed(1)
    torchs = functional.gumbel_softmax(logits.expand(40_000, CHANNELS), tau=0.5)
    chance = logits.softmax(0)
    error = SIGMAS * (chance * (1 - chance) / 40_000).sqrt()
    for sample in (drawn, torchs):
        shares = torch.bincount(sample.argmax(1), minlength=CHANNELS) / 40_000
        assert ((shares - chance).abs() < error).all()
    spread = torchs.std(0) / math.sqrt(40_000)
    assert ((drawn.mean(0) - torchs.mean(0)).abs() < SIGMAS * math.sqrt(2) * spread).all()


def test_masks_are_drawn_with_the_probability_of_the_gate() -> None:
    x = torch.full((30_000, CHANNELS), 0.4, dtype=torch.float64, requires_grad=True)
    for name, gate in (
        ("gelu_as_expectation", 0.5 * (1 + math.erf(0.4 / math.sqrt(2)))),
        ("bernoulli_sigmoid", 1 / (1 + math.exp(-0.4))),
    ):
        value = layer(name)(x)
        mask = value / 0.4 if name == "gelu_as_expectation" else value
        torch.testing.assert_close(mask, mask.round())
        share = float(mask.detach().mean())
        assert abs(share - gate) < SIGMAS * math.sqrt(gate * (1 - gate) / x.numel())
    (slope,) = torch.autograd.grad(layer("bernoulli_sigmoid")(x).sum(), x)
    torch.testing.assert_close(slope, (x.sigmoid() * (1 - x.sigmoid())).detach())


@pytest.mark.parametrize("name", ROWS)
def test_training_mode_draws_and_evaluation_mode_does_not(name: str) -> None:
    made, x = layer(name), standard(20)
    assert not torch.equal(made(x), made(x))
    made.eval()
    assert torch.equal(made(x), made(x))


def outcome(formula: str, task: object = None) -> tuple[object, ...]:
    job = Job("search/0", str(read_formula(formula)), 5, 0.02, full_rungs(Tiny()))
    result = Trainer(task or Tiny())(job)  # type: ignore[arg-type]
    return result.status, result.scores, result.curve


FAMILIES = ["rrelu", "gumbel_softmax", "top_k", "cats", "gdn", "sparsemax", "polynorm", "maxmin"]


@pytest.mark.parametrize("name", [*ROWS, *FAMILIES])
def test_a_training_repeats_bit_for_bit(name: str) -> None:
    torch.manual_seed(1)
    first = outcome(name)
    torch.manual_seed(2)
    assert outcome(name) == first
    assert first[0] is Status.COMPLETE


@pytest.mark.parametrize("name", ["rrelu", "top_k", "cats", "gdn", "funnel_relu", "softmax"])
def test_trains_on_mnist1d(name: str) -> None:
    task = load_task("mnist1d")
    rungs = (dataclasses.replace(full_rungs(task)[-1], steps=6),)
    job = Job("search/0", str(read_formula(name)), 5, 0.02, rungs)
    trainer = Trainer(task)
    first, second = (trainer(job) for _ in range(2))
    assert first.status is Status.COMPLETE
    assert (first.scores, first.curve) == (second.scores, second.curve)
    assert first.curve[-1][1] != first.curve[0][1]


def test_a_model_is_converted_to_a_random_function_in_place_of_its_activations() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8 * 36, 5), nn.ReLU()),
    )
    for name in ("rrelu", "polynorm", "softmax", "cats", "rt_relu(sigma=0.5)"):
        conversion = actsearch.convert(model, name)
        layers = [m for m in conversion.model.modules() if isinstance(m, Layer)]
        assert [made.channels for made in layers] == [8, 5], conversion.report
        assert any(isinstance(m, nn.BatchNorm2d) for m in conversion.model.modules())
        assert conversion.model(torch.randn(2, 3, 8, 8)).shape == (2, 5)
    normalised = actsearch.convert(model, "frn_tlu").model
    assert not any(isinstance(m, nn.BatchNorm2d) for m in normalised.modules())
