"""What every row of the zoo promises: names, calls, defaults, kinks and smoothness."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from actsearch.errors import DerivativeError
from actsearch.primitives import (
    Apply,
    Input,
    baselines,
    derivative,
    evaluate,
    inputs,
    known_activations,
    known_functions,
    parse,
    read_formula,
    value_and_slopes,
)
from actsearch.primitives.expr import postorder, substitute
from actsearch.primitives.zoo import SECTIONS
from actsearch.search.evaluation import evaluate_at
from actsearch.search.zoo_command import kind_of

KNOWN = known_functions()
ACTIVATIONS = known_activations()


def has_another_slope(row):
    return any(
        isinstance(node, Apply) and node.operator.name == "surrogate"
        for node in postorder(row.expr)
    )


SCALARS = {
    name: row
    for name, row in ACTIVATIONS.items()
    if inputs(row.expr) == ("x",) and not has_another_slope(row)
}
WITH_DEFAULT = {name: row for name, row in ACTIVATIONS.items() if row.function.shorter is not None}


def test_there_are_well_over_two_hundred():
    assert len(KNOWN) > 200
    assert {row.section for row in KNOWN.values()} == set(SECTIONS)


def test_the_page_counts_every_kind():
    page = (Path(__file__).parents[3] / "docs" / "zoo.md").read_text("utf-8")
    found = re.findall(r"^\| ([a-z ]+) \| .* \| (\d+) \|$", page, re.MULTILINE)
    table = {kind: int(count) for kind, count in found}
    doubtful = sum(bool(row.unverified) for row in KNOWN.values())
    assert table.pop("all") == len(KNOWN)
    assert f"of which {doubtful} leave something unverified" in page
    assert table == Counter(kind_of(row).partition(",")[0] for row in KNOWN.values())


def test_every_name_is_an_identifier_and_means_one_row():
    names = [name for row in KNOWN.values() for name in (row.name, *row.aliases)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)


@pytest.mark.parametrize("name", KNOWN)
def test_every_name_reads_back(name):
    row = KNOWN[name]
    call = ", ".join(row.function.inputs)
    for any_name in (row.name, *row.aliases):
        assert read_formula(any_name) == row.expr
        assert read_formula(f"{any_name}({call})") == row.expr
    assert parse(row.expr.text) == row.expr
    assert row.source and row.section in SECTIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_parameter_can_be_changed_in_a_call_and_matters(name):
    row = ACTIVATIONS[name]
    for parameter in row.function.settable:
        trained = read_formula(f"{name}({parameter}=other[0.37])")
        assert trained != row.expr
        assert "other[0.37]" in trained.text
        assert "0.37" in read_formula(f"{name}({parameter}=0.37)").text


@pytest.mark.parametrize("name", WITH_DEFAULT)
def test_the_default_spelling_is_the_formula_at_the_defaults(name):
    row = WITH_DEFAULT[name]
    fixed = ", ".join(f"{n}[{v!r}]" for n, v in row.parameters.items())
    assert fixed, "a default spelling without parameters"
    # As trained parameters, which the engine does not fold.
    values = {Input(n): parse(f"{n}_value[{v!r}]") for n, v in row.parameters.items()}
    general = substitute(row.function.body, values)
    x = torch.linspace(-20, 20, 801, dtype=torch.float64)
    x = x[[all(abs(number - k) > 1e-9 for k in row.kinks) for number in x.tolist()]]
    bindings = dict(zip(inputs(row.expr), (x, x.flip(0)), strict=False))
    ours, expected = (value_and_slopes(e, bindings) for e in (row.expr, general))
    for got, true in zip((ours[0], *ours[1]), (expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(got, true, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", SCALARS)
def test_derivatives_jump_at_the_kinks_and_at_the_order_that_the_row_says(name):
    row = SCALARS[name]
    orders = list(derivatives(row.expr, 4))
    if row.smoothness is None:
        assert not row.kinks
        return
    found = {k: order_of_jump(orders, k) for k in row.kinks}
    assert None not in found.values(), f"nothing jumps: {found}"
    assert min(found.values()) - 1 == row.smoothness, found


@pytest.mark.parametrize("name", SCALARS)
def test_value_and_slope_change_no_faster_than_their_derivatives_between_the_kinks(name):
    row = SCALARS[name]
    step = 0.0005
    x = torch.arange(-10.00013, 10, step, dtype=torch.float64)
    known = [evaluate(e, {"x": x}) for e in derivatives(row.expr, 2)]
    inside = torch.ones(len(x) - 1, dtype=torch.bool)
    for k in row.kinks:
        inside &= (x[:-1] - k).abs() > 3 * step
    for lower, upper in itertools.pairwise(known):
        change = lower.diff().abs()
        rate = torch.maximum(upper[1:].abs(), upper[:-1].abs())
        bad = inside & (change > 4 * step * (rate + 0.01 * rate.clamp(max=1e6).max()) + 1e-7)
        assert not bad.any(), f"near {x[:-1][bad][:3].tolist()}"


def derivatives(expr, highest):
    """The function and its derivatives, as far as operators have slopes in closed form."""
    yield expr
    for _ in range(highest):
        try:
            expr = derivative(expr)
        except DerivativeError:
            return
        yield expr


def order_of_jump(orders, place):
    """The lowest derivative with two sides, 0 for the value; None if none has."""
    x = torch.tensor([place - 1e-6, place + 1e-6], dtype=torch.float64)
    for order, expr in enumerate(orders):
        left, right = evaluate(expr, {"x": x}).tolist()
        if abs(right - left) > 1e-3 * max(abs(left), abs(right)) and abs(right - left) > 2e-4:
            return order
    return None


@pytest.mark.parametrize("name", SCALARS)
def test_search_eval_takes_it(name):
    points = evaluate_at(name, "-1.5,0.25", "float64")["points"]
    assert [point["x"] for point in points] == [-1.5, 0.25]
    assert all(math.isfinite(number) for point in points for number in point.values())


def test_baselines_keep_their_order_and_text():
    assert {row.name: row.expr.text for row in baselines(("u", "v"))} == {
        "glu": "mul(sigmoid(u), v)",
        "bilinear": "mul(u, v)",
        "reglu": "mul(relu(u), v)",
        "geglu": "mul(mul(u, normal_cdf(u)), v)",
        "swiglu": "mul(mul(u, sigmoid(u)), v)",
        "relu": "relu(x)",
        "leaky_relu": "max(x, mul(0.01, x))",
        "elu": "elu(x)",
        "selu": "selu(x)",
        "gelu": "mul(x, normal_cdf(x))",
        "silu": "mul(x, sigmoid(x))",
        "mish": "mul(x, tanh(softplus(x)))",
        "crrelu": "add(relu(x), mul(mul(eps[0.01], x), exp(mul(-0.5, square(x)))))",
        "relu_squared": "square(relu(x))",
        "tanh": "tanh(x)",
        "snake": "add(x, square(sin(x)))",
    }
    assert [row.name for row in baselines()][:3] == ["relu", "leaky_relu", "elu"]
    assert [row.name for row in baselines()][-3:] == ["relu_squared", "tanh", "snake"]
