"""What must hold of the shape of any function."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import SMOOTH, exprs

from actsearch.primitives import Constant, value_and_slopes
from actsearch.primitives.analysis.shape import shape_of

TAME = (*SMOOTH, "abs", "relu", "max", "min", "softsign", "elu", "selu", "hard_sigmoid_keras2")
WILD = (*TAME, "step", "sign", "round", "div", "reciprocal", "sqrt", "log", "exp", "signed_sqrt")
SMALL = st.builds(Constant, st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 0.1, 1.702]))
# Without 0, where one kink may meet another: there the engine may have neither slope.
NEAR = np.linspace(-20, 20, 1236)
POINTS = torch.from_numpy(np.concatenate([NEAR, np.linspace(-300, 300, 97)]))


def values_and_slope(expr):
    value, slopes = value_and_slopes(expr, {"x": POINTS})
    slope = slopes[0] if slopes else torch.zeros_like(value)
    return value.numpy(), slope.numpy()


@settings(max_examples=60)
@given(exprs(operators=TAME, numbers=SMALL, max_leaves=6))
def test_samples_are_within_range_and_slopes_within_the_bound(expr):
    began = time.process_time()
    shape = shape_of(expr, seconds=0)
    assert time.process_time() - began < 5
    value, slope = values_and_slope(expr)
    assume(np.isfinite(value).all() and np.abs(value).max() < 1e12)
    slack = 1e-9 * (1 + np.abs(value).max())
    assert value.min() >= shape.range.low.value - shape.range.low.error - slack
    assert value.max() <= shape.range.high.value + shape.range.high.error + slack
    bound = shape.lipschitz.value + shape.lipschitz.error
    # The engine's slope at a kink inside a kink may lie outside of both sides.
    away = np.ones_like(slope, dtype=bool)
    for kink in shape.kinks:
        away &= np.abs(POINTS.numpy() - kink.at.value) > 1e-9
    assert np.abs(slope[away]).max() <= bound * (1 + 1e-9) + 1e-9


@settings(max_examples=60)
@given(exprs(operators=TAME, numbers=SMALL, max_leaves=6))
def test_verdicts_agree_with_samples(expr):
    shape = shape_of(expr, seconds=0)
    value, _ = values_and_slope(expr)
    value = value[: len(NEAR)]
    assume(np.isfinite(value).all() and np.abs(value).max() < 1e9)
    slack = 1e-9 * (1 + np.abs(value).max())
    steps = np.diff(value)
    if shape.monotone in ("increasing", "non-decreasing"):
        assert steps.min() >= -slack
    elif shape.monotone in ("decreasing", "non-increasing"):
        assert steps.max() <= slack
    curvature = np.diff(value, 2)
    if shape.convexity in ("convex", "affine"):
        assert curvature.min() >= -slack
    if shape.convexity in ("concave", "affine"):
        assert curvature.max() <= slack
    if shape.parity is not None:
        sign = 1 if shape.parity == "even" else -1
        assert np.abs(value - sign * value[::-1]).max() <= slack
    for extremum in shape.extrema:
        assert abs(extremum.at.value) <= 1e5
        assert shape.range.low.value - slack <= extremum.value.value


@settings(max_examples=80)
@given(exprs(operators=WILD, max_leaves=8))
def test_any_function_has_a_shape_in_bounded_time(expr):
    began = time.process_time()
    shape = shape_of(expr, seconds=0)
    assert time.process_time() - began < 10
    assert len(shape.zeros) <= 24 and len(shape.extrema) <= 24 and len(shape.inflections) <= 24
    assert shape.latex
    for figure in (shape.range.low, shape.range.high, shape.lipschitz):
        assert figure.error >= 0 and not math.isnan(figure.error)
    assert not shape.lipschitz.value < 0
