"""Features of functions, against their definition and the symmetries of a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from actsearch.evaluators.features import FAR_WEIGHT, SCALE_WEIGHT, function_features
from actsearch.primitives import Input, parse
from actsearch.primitives.expr import substitute

FUNCTIONS = [
    ("relu(x)", ("x",)),
    ("mul(x, sigmoid(x))", ("x",)),
    ("add(cube(x), mul(-3, square(x)))", ("x",)),
    ("sin(add(x, 1))", ("x",)),
    ("mul(relu(u), v)", ("u", "v")),
    ("add(relu(u), mul(v, u))", ("u", "v")),
    ("sin(add(u, mul(2, add(v, 1))))", ("u", "v")),
]


def features(text: str, names: tuple[str, ...] = ("x",)) -> np.ndarray:
    return function_features(parse(text, input_names=names), names)


@pytest.mark.parametrize(("text", "names"), FUNCTIONS)
def test_mirrored_and_negated_functions_have_the_same_features(
    text: str, names: tuple[str, ...]
) -> None:
    expected = features(text, names)
    assert np.isfinite(expected).all()
    for mirrored in product((False, True), repeat=len(names)):
        flips = {
            Input(name): parse(f"neg({name})", input_names=names)
            for name, flip in zip(names, mirrored, strict=True)
            if flip
        }
        expr = substitute(parse(text, input_names=names), flips)
        negated = parse(f"neg({expr})", input_names=names)
        for other in (expr, negated):
            np.testing.assert_allclose(function_features(other, names), expected, atol=1e-12)


def test_distances_are_root_mean_squares_under_the_normal_density() -> None:
    def mean(function: Callable[[float], float]) -> float:
        return quad(lambda x: function(x) * norm.pdf(x), -8, 8)[0]

    def scaled_by(function: Callable[[float], float], slope: Callable[[float], float]) -> list:
        second = mean(lambda x: function(x) ** 2)
        root = math.sqrt(second)
        return [
            lambda x: function(x) / root,
            lambda x: math.asinh(slope(x) / root),
            np.log([second, mean(lambda x: slope(x) ** 2) / second]),
        ]

    exp = scaled_by(math.exp, math.exp)
    square = scaled_by(lambda x: (x + 1) ** 2, lambda x: 2 * (x + 1))
    expected = (
        mean(lambda x: (exp[0](x) - square[0](x)) ** 2)
        + mean(lambda x: (exp[1](x) - square[1](x)) ** 2)
        + SCALE_WEIGHT**2 * np.sum((exp[2] - square[2]) ** 2)
        + FAR_WEIGHT**2
        * sum((math.asinh(exp[0](x)) - math.asinh(square[0](x))) ** 2 for x in (-9, -4.5, 4.5, 9))
    )
    found = np.sum((features("exp(x)") - features("square(add(x, 1))")) ** 2)
    assert found == pytest.approx(expected, rel=1e-3)


def test_an_output_scale_shows_in_the_first_scale_alone() -> None:
    once, twice = features("tanh(x)"), features("mul(2, tanh(x))")
    np.testing.assert_allclose(np.delete(twice, -2), np.delete(once, -2), atol=1e-12)
    assert twice[-2] - once[-2] == pytest.approx(SCALE_WEIGHT * math.log(4))


def test_the_length_depends_on_the_number_of_inputs_alone() -> None:
    assert len({features(text).shape for text in ("x", "relu(x)", "exp(exp(exp(x)))")}) == 1
    assert features("u", ("u", "v")).shape == features("mul(u, v)", ("u", "v")).shape


@pytest.mark.parametrize("text", ["exp(exp(exp(x)))", "reciprocal(sub(x, 4.5))", "0", "3"])
def test_what_is_not_finite_or_has_no_slope_is_nan(text: str) -> None:
    assert np.isnan(features(text)).all()


def test_slopes_that_are_infinite_at_0_alone_are_usable() -> None:
    assert np.isfinite(features("signed_sqrt(x)")).all()


def test_what_is_remembered_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        features("relu(x)")[0] = 1
