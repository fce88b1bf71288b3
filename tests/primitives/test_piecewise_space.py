"""Halves searched apart: the rectifiers are points, and no half sees the other's arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from actsearch.primitives import Expr, evaluate, value_and_slopes
from actsearch.primitives.spaces import enumerated, replay
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS, OperatorSet
from actsearch.primitives.spaces.piecewise import Piecewise

X = torch.linspace(-10, 10, 401, dtype=torch.float64)
SLOPE = "mul(beta[0.25], x)"


def point(positive: str, negative: str, operators: str = "pangaea-2022") -> Expr:
    """Each half from its operators, outermost first: one unary, or a unary of a unary."""
    decisions = {}
    for half, text in (("positive", positive), ("negative", negative)):
        outer, _, inner = text.partition(" of ")
        decisions[f"{half}.form"] = "u(u(x))" if inner else "u(x)"
        decisions |= {f"{half}.inner": inner} if inner else {}
        decisions[f"{half}.outer"] = outer
    return replay(Piecewise(operators), decisions).expr


def test_the_enumeration_on_a_small_set_equals_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATOR_SETS, "tiny", OperatorSet(("x", "sin(x)"), ("sub(x, y)",)))
    space = Piecewise("tiny")
    found = [tuple(proposal.decisions.items()) for proposal in enumerated(space)]
    # "0" and the trained slope join x and sin: four unaries.
    assert len(found) == len(set(found)) == space.size == (4 + 4**2 + 4**2) ** 2


def test_the_size_follows_the_closed_form() -> None:
    # The set of 2022 has "0" already.
    assert Piecewise("pangaea-2022").size == (28 + 28**2 * (1 + 7)) ** 2
    assert Piecewise("swish-2017").size == (27 + 27**2 * (1 + 10)) ** 2


@pytest.mark.parametrize(
    ("found", "values", "expected"),
    [
        (point("x", "0"), {}, torch.relu(X)),
        (point("x", "0", "swish-2017"), {}, torch.relu(X)),
        (point("x", "expm1(x)"), {}, functional.elu(X)),
        (point("x", f"{SLOPE} of expm1(x)"), {"beta": 1.5}, functional.elu(X, 1.5)),
        (point("selu(x)", "selu(x)"), {}, functional.selu(X)),
        (point("x", SLOPE), {}, functional.prelu(X, torch.tensor([0.25], dtype=X.dtype))),
        (point("x", SLOPE, "swish-2017"), {"beta": 0.01}, functional.leaky_relu(X)),
        # With both slopes 1/alpha it is celu up to the factor alpha, as the next layer sees it.
        (
            point(SLOPE, f"expm1(x) of {SLOPE}"),
            {"beta": 0.5, "beta2": 0.5},
            functional.celu(X, 2.0) / 2,
        ),
    ],
    ids=["relu", "relu-2017", "elu", "elu-1.5", "selu", "prelu", "leaky-relu", "celu"],
)
def test_the_rectifiers_are_points(found: Expr, values: dict[str, float], expected: Tensor) -> None:
    bound = {name: X.new_tensor(value) for name, value in values.items()}
    torch.testing.assert_close(evaluate(found, {"x": X, **bound}), expected)


def test_a_flat_half_adds_nothing_to_the_expression() -> None:
    assert str(point("x", "0")) == "max(x, 0)"
    assert str(point("0", "x")) == "min(x, 0)"
    assert str(point("0", "0")) == "0"


def test_what_overflows_on_one_side_stays_out_of_the_other() -> None:
    wide = torch.tensor([1e4, 100.0, -1.0], dtype=torch.float32)
    value, (slope,) = value_and_slopes(point("x", "exp(x) of exp(x)"), {"x": wide})
    e = torch.exp(torch.tensor(1.0))
    inner = torch.exp(torch.tensor(-1.0))
    torch.testing.assert_close(value, torch.stack([1e4 + e, 100 + e, torch.exp(inner)]))
    expected = torch.stack([torch.tensor(1.0), torch.tensor(1.0), torch.exp(inner) * inner])
    torch.testing.assert_close(slope, expected)


def test_at_zero_the_slope_is_the_mean_of_the_halves() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    value, (slope,) = value_and_slopes(point("expm1(x)", SLOPE), {"x": zero})
    assert (float(value), float(slope)) == (0.0, (1 + 0.25) / 2)


@given(st.integers(0, 2**32 - 1))
def test_a_child_has_each_half_whole_from_one_parent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = Piecewise()
    parents = [space.sample(rng).decisions for _ in range(2)]
    child = space.crossover(*parents, rng).decisions

    def half(decisions: dict[str, str], name: str) -> dict[str, str]:
        return {slot: option for slot, option in decisions.items() if slot.startswith(name)}

    for name in ("positive.", "negative."):
        assert half(child, name) in [half(parent, name) for parent in parents]
