"""Relatives against identities that are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from actsearch.primitives import evaluate, known_activations, read_formula
from actsearch.primitives.analysis.figure import at_initial
from actsearch.primitives.analysis.relatives import relatives_of


def by_name(relatives):
    return {relative.name: relative for relative in relatives}


def test_a_function_is_equal_to_itself_in_another_spelling():
    assert "silu" in relatives_of(read_formula("x/(1 + exp(-x))")).equal
    assert "gelu" in relatives_of(read_formula("0.5*x*(1 + erf(x*0.7071067811865476))")).equal


def test_equal_means_further_out_and_in_the_slope_too():
    # gelu_10 is clipped at 10; lrp_gelu has another slope.
    assert not {"gelu_10", "lrp_gelu"} & set(relatives_of(read_formula("gelu")).equal)
    assert "sugar" not in relatives_of(read_formula("relu")).equal
    assert "xgelu" in relatives_of(read_formula("gelu")).equal


@pytest.mark.parametrize(
    ("text", "name", "factor", "scale", "slope"),
    [
        ("x*sigmoid(1.702*x)", "silu", 1 / 1.702, 1.702, 0.0),
        ("-x*tanh(x)", "silu", -1.0, 2.0, 1.0),
        ("x*erf(x)", "gelu", math.sqrt(2), math.sqrt(2), -1.0),
        ("leaky_relu", "relu", 0.99, 1.0, 0.01),
        ("sigmoid", "tanh", 0.5, 0.5, 0.0),
        ("x + square(sin(x))", "cos", -0.5, 2.0, 1.0),
    ],
)
def test_scales_and_lines_of_identities(text, name, factor, scale, slope):
    found = by_name(relatives_of(read_formula(text)).equal_up_to_scale)[name]
    assert found.factor == pytest.approx(factor, abs=1e-5)
    assert abs(found.scale) == pytest.approx(scale, abs=1e-5)
    assert found.slope == pytest.approx(slope, abs=1e-5)


def test_what_is_said_of_a_relative_rebuilds_the_function():
    expr = read_formula("3*tanh(2*x + 0.25) - 1")
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)
    relatives = relatives_of(expr)
    assert relatives.equal_up_to_scale
    for relative in relatives.equal_up_to_scale:
        known = at_initial(known_activations()[relative.name].expr)
        inner = evaluate(known, {"x": relative.scale * x + relative.shift})
        rebuilt = relative.factor * inner + relative.slope * x + relative.offset
        torch.testing.assert_close(rebuilt, evaluate(expr, {"x": x}), rtol=0, atol=1e-4)


def test_nearest_come_in_order_and_are_not_equal():
    relatives = relatives_of(read_formula("gelu"))
    distances = [relative.distance.value for relative in relatives.nearest]
    assert distances == sorted(distances)
    assert 0 < distances[0] < 1e-3
    assert relatives.nearest[0].name == "gelu_tanh"
    assert not {r.name for r in relatives.nearest} & set(relatives.equal)


def test_a_line_has_no_relatives_but_itself():
    relatives = relatives_of(read_formula("x"))
    assert "identity" in relatives.equal
    assert relatives.nearest == ()


def test_what_is_not_finite_has_none():
    assert relatives_of(read_formula("log(x)")).nearest == ()


def test_refuses_gates():
    with pytest.raises(ValueError, match="reads u, v"):
        relatives_of(read_formula("swiglu"))
