"""Kinks: where they are, of which kind, and what the engine makes of them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from actsearch.primitives import OPERATORS, inputs, known_activations, moments, parse
from actsearch.primitives.analysis.figure import at_initial
from actsearch.primitives.analysis.shape import shape_of
from actsearch.primitives.analysis.shape.joins import kink_between, smoothness_of
from actsearch.primitives.analysis.shape.pieces import pieces_of
from actsearch.primitives.analysis.shape.switches import SMOOTH, SWITCHES
from actsearch.primitives.expr import Apply, postorder


def kinks(text):
    return shape_of(parse(text), seconds=0).kinks


def test_every_operator_is_known_to_be_smooth_or_to_switch():
    assert set(OPERATORS) == SMOOTH | SWITCHES.keys()
    assert not SMOOTH & SWITCHES.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relu(x)", [(0, "kink", 0, 1, 0.5)]),
        ("min(max(x, 0), 6)", [(0, "kink", 0, 1, 0.5), (6, "kink", 1, 0, 0.5)]),
        ("min(max(x, -1), 1)", [(-1, "kink", 0, 1, 0.5), (1, "kink", 1, 0, 0.5)]),
        ("abs(x)", [(0, "kink", -1, 1, 0)]),
        ("max(x, 0.01*x)", [(0, "kink", 0.01, 1, 0.505)]),
        ("step(x)", [(0, "jump", 0, 1, 0)]),
        ("sign(x - 2)", [(2, "jump", -1, 1, 0)]),
        ("x*min(max(x + 3, 0), 6)/6", [(-3, "kink", 0, -0.5, -0.25), (3, "kink", 1.5, 1, 1.25)]),
        ("softsign(x)", [(0, "C1", 1, 1, 1)]),
        ("square(relu(x))", [(0, "C1", 0, 0, 0)]),
        ("relu(x)*square(x)", [(0, "C2", 0, 0, 0)]),
        ("elu(x)", [(0, "C1", 1, 1, 1)]),
        ("relu(relu(x) - 1)", [(1, "kink", 0, 1, 0.5)]),
        ("relu(2*x - 1)", [(0.5, "kink", 0, 2, 1)]),
        ("abs(square(x) - 4)", [(-2, "kink", -4, 4, 0), (2, "kink", -4, 4, 0)]),
        ("round(min(max(x, 0), 2))", [(0.5, "jump", 0, 1, 0), (1.5, "jump", 1, 2, 0)]),
        ("greater(x, 1)*x", [(1, "jump", 0, 1, 0.5)]),
        ("bessel_i0e(x)", [(0, "kink", 1, -1, 0)]),
        ("hard_sigmoid_keras2(x)", [(-2.5, "kink", 0, 0.2, 0.1), (2.5, "kink", 0.2, 0, 0.1)]),
        ("x*step(abs(x) - 0.5)", [(-0.5, "jump", -0.5, 0, 0.5), (0.5, "jump", 0, 0.5, 0.5)]),
        ("signed_sqrt(x)", [(0, "cusp", math.inf, math.inf, math.inf)]),
    ],
)
def test_kinks(text, expected):
    found = kinks(text)
    assert [k.kind for k in found] == [row[1] for row in expected]
    for kink, (at, _, left, right, used) in zip(found, expected, strict=True):
        figures = (kink.at, kink.left, kink.right)
        for figure, truth in zip(figures, (at, left, right), strict=True):
            assert figure.value == truth or abs(figure.value - truth) <= figure.error + 1e-15
        assert kink.at.exact
        assert kink.used == pytest.approx(used)


def test_the_slopes_of_selu():
    (kink,) = kinks("selu(x)")
    assert kink.left.value == pytest.approx(1.7581, abs=1e-4)
    assert kink.right.value == pytest.approx(1.0507, abs=1e-4)
    assert kink.left.value == pytest.approx(1.0507009873554805 * 1.6732632423543772, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        *("softplus(x)", "x*sigmoid(x)", "0.5*(x + sqrt(square(x) + 4))", "x*tanh(softplus(x))"),
        *("log(1 + exp(x))", "sqrt(square(x) + 1e-6)", "relu(x) - relu(-x)", "square(abs(x))"),
        *(
            "max(x, x)",
            "relu(square(x) + 1)",
            "abs(exp(x))",
            "min(0*x, 0)",
            "cube(x)",
            "log_cosh(x)",
        ),
        *("(x + abs(x)*sign(x))/2", "sinc(x)", "tanh_shrink(x)", "max(x, x - 1)", "abs(x)^2"),
    ],
)
def test_smooth_functions_have_none(text):
    assert kinks(text) == ()


def test_a_kink_at_a_root_without_closed_form():
    (kink,) = kinks("max(x, sigmoid(x))")
    assert kink.at.value == pytest.approx(0.6590460684, abs=1e-9)
    assert not kink.at.exact and kink.at.error < 1e-11
    assert kink.right.value == 1


def test_the_pieces_are_the_function():
    from actsearch.primitives.analysis.shape.curve import evaluated
    from actsearch.primitives.analysis.shape.roots import grid_between

    for text in ("min(max(x, 0), 6)*tanh(x)", "selu(x) + softsign(x - 1)", "round(2*tanh(x))"):
        expr = parse(text)
        pieces, _ = pieces_of(expr)
        for piece in pieces:
            x = grid_between(piece.low.value, piece.high.value)
            assert piece.curve.at(x) == pytest.approx(evaluated(expr, x), rel=1e-12, abs=1e-14)


def scalar_rows():
    return [
        row
        for row in known_activations().values()
        if len(inputs(row.expr)) == 1
        and not moments(row.expr)
        and hasattr(row, "kinks")
        # The zoo lists the kinks of the slope of such a pair too.
        and not any(
            isinstance(n, Apply) and n.operator.name == "surrogate" for n in postorder(row.expr)
        )
    ]


def test_the_kinks_of_the_zoo_are_those_of_its_table():
    for row in scalar_rows():
        expr = at_initial(row.expr)
        pieces, _ = pieces_of(expr)
        joins = [kink_between(expr, left, right) for left, right in pairwise(pieces)]
        found = tuple(k for k in joins if k is not None)
        assert [k.at.value for k in found] == pytest.approx(sorted(row.kinks), abs=1e-9), row.name
        assert smoothness_of(found) == row.smoothness, row.name
