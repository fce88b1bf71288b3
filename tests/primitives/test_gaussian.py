"""Gaussian moments against values integrated elsewhere to more than twenty digits."""

from __future__ import annotations

import math

import pytest
import torch

from actsearch.primitives import evaluate, read_formula
from actsearch.primitives.analysis import gaussian_moments

# E f, E f^2, gain, E f'^2 under N(0, 1).
EXACT = {
    "relu": (0.39894228, 0.5, 1.41421356, 0.5),
    "gelu": (0.282094792, 0.425221483, 1.53353044, 0.4558509),
    "silu": (0.206620964, 0.35577552, 1.67653247, 0.3794824),
    "mish": (0.240403888, 0.452342192, 1.48684758, 0.4790838),
    "golu": (0.258856123, 0.319634353, 1.76877779, 0.3475001),
    "elu": (0.160520572, 0.644945417, 1.2451983, 0.668102),
    "selu": (0.0, 1.0, 1.0, 1.071575),
    "softplus": (0.806059183, 0.921245909, 1.04186684, 0.293379),
    "sigmoid": (0.5, 0.293379036, 1.84622855, 0.04483624),
    "tanh": (0.0, 0.39429449, 1.59253742, 0.4644029),
    "relu_squared": (0.5, 1.5, 0.816496581, 2.0),
    "snake": (0.432332358, 1.30737429, 0.874580983, 1.499832),
    "x*min(max(x + 3, 0), 6)/6": (0.166216701, 0.331567375, 1.73665721, 0.3585315),
    "1/(1 + x^4)": (0.676762707, 0.574630268, 1.31918514, 0.349608),
}


@pytest.mark.parametrize("formula", EXACT)
def test_moments_agree_with_exact_integrals(formula: str) -> None:
    moments = gaussian_moments(read_formula(formula))
    found = (moments.mean, moments.second, moments.gain, moments.slope_second)
    assert found == pytest.approx(EXACT[formula], rel=1e-6, abs=1e-8)


# E f^2 and E (f_u^2 + f_v^2) for independent u and v: of g(u)*v they are E g^2 and E g^2 + E g'^2.
GATED = {
    "bilinear": (1.0, 2.0),
    "reglu": (0.5, 1.0),
    "glu": (0.293379036, 0.293379036 + 0.04483624),
    "geglu": (0.425221483, 0.425221483 + 0.4558509),
    "swiglu": (0.35577552, 0.35577552 + 0.3794824),
    "sin(u + v)": ((1 - math.exp(-4)) / 2, 1 + math.exp(-4)),
    "exp(-square(u - v))": (1 / 3, 8 * 2 / 27),
}


@pytest.mark.parametrize("formula", GATED)
def test_moments_of_two_inputs_agree_with_exact_integrals(formula: str) -> None:
    moments = gaussian_moments(read_formula(formula))
    assert (moments.second, moments.slope_second) == pytest.approx(GATED[formula], rel=1e-6)


@pytest.mark.parametrize("formula", ["glu", "bilinear", "swiglu", "max(u, v)", "sin(u + 2*v)"])
def test_chi_of_a_gate_is_the_growth_of_gradients_through_a_wide_layer(formula: str) -> None:
    expr, width, generator = read_formula(formula), 400, torch.Generator().manual_seed(3)
    moments = gaussian_moments(expr)
    kinds = {"generator": generator, "dtype": torch.float64}
    sizes, gradients = [], []
    for _ in range(40):
        u, v = torch.randn(2, width, **kinds).requires_grad_().unbind()
        weights = moments.gain / math.sqrt(width) * torch.randn(2 * width, width, **kinds)
        after = weights @ evaluate(expr, {"u": u, "v": v})
        # So large are the gradients of a layer further on.
        slopes = torch.autograd.grad(after @ torch.randn(2 * width, **kinds), (u, v))
        sizes.append(float(after.detach().square().mean()))
        gradients.append(float(torch.cat(slopes).square().mean()))
    assert sum(sizes) / 40 == pytest.approx(1, rel=0.1)
    assert sum(gradients) / 40 == pytest.approx(moments.slope_after_gain, rel=0.1)


def test_chi_is_the_ratio_of_slope_to_value() -> None:
    assert gaussian_moments(read_formula("relu")).slope_after_gain == pytest.approx(1)
