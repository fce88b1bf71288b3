"""The ascent of the gradient norm against derivatives written out, and what it tells apart."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from actsearch.evaluators.stability import gradient_norm_ascent
from actsearch.primitives import module_of, read_formula

AFFINE = "*gamma[1, channel] + beta[0, channel]"
STABLE = {
    "BN-ReLU": f"relu((x - mean_batch(x))/std_batch(x){AFFINE})",
    "EvoNorm-S0": f"x*sigmoid(v1[1, channel]*x)/std_group(x){AFFINE}",
    "EvoNorm-B0": f"x/max(std_batch(x), v1[1, channel]*x + std_instance(x)){AFFINE}",
    "GN-SiLU": f"silu((x - mean_group(x))/std_group(x){AFFINE})",
    "LN-GELU": f"gelu((x - mean_token(x))/std_token(x){AFFINE})",
}
UNSTABLE = {
    "reciprocal": f"std_group(x)/x{AFFINE}",
    "exponential": f"exp(square(x)){AFFINE}",
    "tangent": f"sin(x)/cos(x){AFFINE}",
}


def test_on_a_quadratic_each_step_is_what_its_matrices_say() -> None:
    # loss t'At/2 has the gradient At, and its norm the gradient A'At/|At|.
    matrix = torch.tensor([[2.0, 0.5], [0.5, -1.0]], dtype=torch.float64)
    theta = nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.float64))
    expected = theta.detach().clone()
    norms = []
    for _ in range(7):
        gradient = matrix @ expected
        norms.append(float(gradient.norm()))
        expected = expected + 0.05 * matrix @ gradient / gradient.norm()
    largest, steps = gradient_norm_ascent(
        lambda: theta @ matrix @ theta / 2, [theta], 6, 1e8, learning_rate=0.05
    )
    assert steps == 6
    assert largest == pytest.approx(norms[-1], rel=1e-12)
    assert norms == sorted(norms)


def test_on_a_small_layer_network_each_step_is_that_of_its_hessian() -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    targets = torch.tensor([0, 1, 1, 0, 1])
    layer = module_of(read_formula(STABLE["EvoNorm-S0"]), 4, 1, 2)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), layer, nn.Linear(4, 2, bias=False)).double()
    weights = [model[0].weight, layer.v1, layer.gamma, layer.beta, model[2].weight]
    for weight in weights:
        nn.init.normal_(weight, generator=generator)
    sizes, shapes = [weight.numel() for weight in weights], [weight.shape for weight in weights]

    def written_out(flat: torch.Tensor) -> torch.Tensor:
        parts = [p.reshape(s) for p, s in zip(flat.split(sizes), shapes, strict=True)]
        before, v1, gamma, beta, after = parts
        x = points @ before.T
        groups = x.reshape(5, 2, 2)
        deviation = (groups.var(2, correction=0) + 1e-5).sqrt().repeat_interleave(2, dim=1)
        activated = gamma * x * torch.sigmoid(v1 * x) / deviation + beta
        return functional.cross_entropy(activated @ after.T, targets)

    flat = torch.cat([weight.detach().flatten() for weight in weights])
    norms = []
    for _ in range(4):
        gradient = torch.autograd.functional.jacobian(written_out, flat)
        norms.append(float(gradient.norm()))
        hessian = torch.autograd.functional.hessian(written_out, flat)
        flat = flat + 0.02 * hessian @ gradient / gradient.norm()
    largest, steps = gradient_norm_ascent(
        lambda: functional.cross_entropy(model(points), targets), weights, 3, 1e8, 0.02
    )
    assert steps == 3
    assert largest == pytest.approx(max(norms), rel=1e-9)


def test_it_stops_above_the_bound() -> None:
    theta = nn.Parameter(torch.tensor([2.0]))
    # The gradient is 2t and its norm's gradient 2: theta is 2, 3, 4, 5, 6.
    found = gradient_norm_ascent(lambda: theta.square().sum(), [theta], 100, 9.0, 0.5)
    assert found == (10.0, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_it_stops_where_the_gradient_is_not_finite(value: float) -> None:
    theta = nn.Parameter(torch.tensor([1.0]))
    losses = iter([theta.square().sum(), (theta * value).sum()])
    largest, steps = gradient_norm_ascent(lambda: next(losses), [theta], 100, 1e8)
    assert not math.isfinite(largest)
    assert steps == 1


def test_weights_that_do_not_matter_stay_and_do_no_harm() -> None:
    used, unused = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([5.0]))
    found = gradient_norm_ascent(lambda: used.pow(3).sum(), [used, unused], 1, 1e8, 0.1)
    assert found == (pytest.approx(3 * 1.6**2), 1)
    assert float(unused.detach()) == 5
    assert gradient_norm_ascent(lambda: 3 * used.sum(), [used], 4, 1e8) == (3, 0)
    flat = nn.Parameter(torch.zeros(2))
    assert gradient_norm_ascent(lambda: flat.pow(3).sum(), [flat], 4, 1e8) == (0, 4)


def test_attention_has_second_derivatives() -> None:
    generator = torch.Generator().manual_seed(0)
    query = nn.Parameter(torch.randn(1, 2, 5, 4, generator=generator))
    found, _ = gradient_norm_ascent(
        lambda: functional.scaled_dot_product_attention(query, query, query).square().sum(),
        [query],
        2,
        1e8,
    )
    assert math.isfinite(found)


def largest_norm(formula: str) -> tuple[float, int]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs, targets = torch.randn(16, 1, 8), torch.randint(10, (16,))
        expr = read_formula(formula)
        model = nn.Sequential(
            *(nn.Conv1d(1, 8, 3, padding=1), module_of(expr, 8, 1, 4)),
            *(nn.Conv1d(8, 8, 3, padding=1), module_of(expr, 8, 1, 4)),
            *(nn.Conv1d(8, 8, 3, stride=2), module_of(expr, 8, 1, 4)),
            nn.Flatten(),
            nn.Linear(24, 10),
        )
        return gradient_norm_ascent(
            lambda: functional.cross_entropy(model(inputs), targets),
            list(model.parameters()),
            100,
            1e8,
        )


@pytest.mark.parametrize("name", STABLE)
def test_known_layers_stay_within_the_bound(name: str) -> None:
    norm, steps = largest_norm(STABLE[name])
    assert norm < 1e8
    assert steps == 100


@pytest.mark.parametrize("name", UNSTABLE)
def test_layers_that_explode_are_found_soon(name: str) -> None:
    norm, steps = largest_norm(UNSTABLE[name])
    assert not norm <= 1e8
    assert steps <= 20
