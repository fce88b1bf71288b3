"""Gaussian moments against values integrated elsewhere to more than twenty digits."""

from __future__ import annotations

import pytest

from actsearch.primitives import read_formula
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


def test_chi_is_the_ratio_of_slope_to_value() -> None:
    assert gaussian_moments(read_formula("relu")).slope_after_gain == pytest.approx(1)
