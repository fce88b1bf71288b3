"""Layers at the statistics of standard normal inputs, against layers on very large tensors."""

from __future__ import annotations

import pytest
import torch

from actsearch.primitives import Layer, evaluate, known_layers, moments, parse, read_formula
from actsearch.primitives.analysis import at_unit_statistics


@pytest.mark.parametrize(
    ("name", "scalar"),
    [
        ("bn_relu", "relu(x)"),
        ("gn_silu", "silu(x)"),
        ("evonorm_s1", "silu(x)"),
        ("evonorm_b0", "x/max(1, x + 1)"),
    ],
)
def test_known_layers_become_known_functions(name: str, scalar: str) -> None:
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    found = evaluate(at_unit_statistics(known_layers()[name].expr), {"x": x})
    # The epsilon of a moment is left.
    assert torch.allclose(found, evaluate(read_formula(scalar), {"x": x}), atol=2e-5)


@pytest.mark.parametrize(
    "formula",
    [
        "x*sigmoid(x)/rms_layer(x*sigmoid(x))",
        "x/std_layer(exp(x/2)) + mean_layer(abs(x))",
        "(x - mean_layer(square(x)))/std_layer(x*mean_layer(relu(x)))",
        "x*std_layer(2 + mean_layer(x*0))",
    ],
)
def test_it_is_the_limit_of_a_large_tensor(formula: str) -> None:
    expr = parse(formula)
    flat = at_unit_statistics(expr)
    assert not moments(flat)
    x = torch.randn(1, 100, 20_000, dtype=torch.float64)
    large, limit = Layer(expr, 100)(x), evaluate(flat, {"x": x})
    assert float((large - limit).abs().mean()) < 5e-3 * float(limit.abs().mean())


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("x*uniform(x, 3)", "x*(0.5*(x + 3))"),
        ("relu(x + normal(0, 1))", "relu(x + 0)"),
        ("x*bernoulli(normal_cdf(x))", "x*normal_cdf(x)"),
    ],
)
def test_a_draw_is_at_its_mean(formula: str, wanted: str) -> None:
    x = torch.randn(50, dtype=torch.float64)
    found, true = at_unit_statistics(parse(formula)), parse(wanted)
    torch.testing.assert_close(*(evaluate(expr, {"x": x}) for expr in (found, true)))


def test_a_cutoff_is_a_quantile_and_what_reads_several_entries_has_none() -> None:
    x = torch.zeros(1, dtype=torch.float64)
    flat = at_unit_statistics(parse("0*x + cutoff_batch(abs(x), 0.3)"))
    # P(|z| > 1.0364) = 0.3
    assert float(evaluate(flat, {"x": x})) == pytest.approx(1.0364, abs=0.02)
    with pytest.raises(ValueError, match=r"'sorted_pairs\(x\)' has no value at unit statistics"):
        at_unit_statistics(parse("sorted_pairs(x)"))


def test_a_function_is_itself() -> None:
    expr = parse("x*sigmoid(x)")
    assert at_unit_statistics(expr) == expr
