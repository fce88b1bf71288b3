"""Gains of layers against those of the functions that they are on normalised inputs."""

from __future__ import annotations

import math

import pytest

from actsearch.primitives import parse, read_formula
from actsearch.primitives.analysis import gaussian_moments, initial_gain


@pytest.mark.parametrize("name", ["relu", "gelu", "swiglu", "tanh"])
def test_a_formula_without_moments_has_the_exact_gain(name: str) -> None:
    expr = read_formula(name)
    assert initial_gain(expr, 8) == gaussian_moments(expr).gain


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        ("relu((x - mean_batch(x))/std_batch(x))", "relu"),
        ("3*relu((x - mean_batch(x))/std_batch(x))", "3*relu(x)"),
        ("x*sigmoid(v1[1, channel]*x)/std_group(x)", "silu"),
        ("gelu((x - mean_token(x))/std_token(x))", "gelu"),
        ("a[2, channel]*x", "2*x"),
    ],
)
def test_a_layer_has_about_the_gain_of_the_function_that_it_is(layer: str, function: str) -> None:
    expected = gaussian_moments(read_formula(function)).gain
    assert initial_gain(read_formula(layer), 8) == pytest.approx(expected, rel=0.02)


def test_the_number_of_groups_counts() -> None:
    # Within one entry a group has no deviation but EPSILON, so each group's is nearly the whole.
    wide, narrow = (initial_gain(parse("std_token_group(x)"), groups) for groups in (1, 64))
    assert wide == pytest.approx(1, rel=0.02)
    assert narrow == pytest.approx(1 / math.sqrt(1e-5))


@pytest.mark.parametrize(("formula", "gain"), [("2.0", 1), ("std_batch(3)", 1), ("0*x", math.inf)])
def test_what_reads_nothing_and_what_is_zero(formula: str, gain: float) -> None:
    assert initial_gain(parse(formula), 8) == gain


def test_a_layer_that_is_zero_or_overflows_has_no_gain() -> None:
    assert initial_gain(parse("x - x + 0*std_layer(x)"), 8) == math.inf
    assert initial_gain(parse("log(0 - rms_layer(x))"), 8) == math.inf


def test_it_does_not_depend_on_the_global_generator() -> None:
    expr = parse("x/rms_layer(x)")
    first = initial_gain(expr, 4)
    initial_gain.cache_clear()
    assert initial_gain(expr, 4) == first
