"""AQuaSurF's larger space: its size, its shapes, and the example of its authors."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from actsearch.primitives import evaluate, parse
from actsearch.primitives.spaces import enumerated, four_node, replay
from actsearch.primitives.spaces.four_node import FourNode
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS, OperatorSet


def test_the_size_is_the_published_one_less_eight_baselines() -> None:
    assert FourNode("pangaea-2022").size == 52 * 27**3 == 1_023_524 - 8


@pytest.mark.slow
def test_the_enumeration_has_the_published_size(monkeypatch: pytest.MonkeyPatch) -> None:
    # The questions do not depend on the expressions, and without these take a fifth of the time.
    monkeypatch.setattr(four_node, "filled", lambda option, slot, scope, x, y=None: x)
    monkeypatch.setattr(four_node, "with_short_names", lambda expr: expr)
    assert sum(1 for _ in enumerated(FourNode("pangaea-2022"))) == 1_023_516


def test_the_enumeration_is_all_functions_of_the_five_shapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPERATOR_SETS, "tiny", OperatorSet(("x", "sin(x)"), ("sub(x, y)",)))
    space = FourNode("tiny")

    def expected() -> list[str]:
        wrap = {"x": "{}", "sin": "sin({})"}
        texts = []
        for a, b, c in product(wrap.values(), repeat=3):
            one, two, three = (u.format("x") for u in (a, b, c))
            texts += [wrap[u].format(a.format(b.format(three))) for u in wrap]
            texts.append(a.format(f"sub({two}, {three})"))
            texts.append(f"sub({a.format(two)}, {three})")
            texts.append(f"sub({one}, {b.format(three)})")
            texts += [f"{n}({n}({one}, {two}), {three})" for n in ("add", "mul", "max", "min")]
        return texts

    found = [proposal.expr for proposal in enumerated(space)]
    assert sorted(map(str, found)) == sorted(str(parse(text)) for text in expected())
    assert len(found) == space.size == 2**4 + 3 * 2**3 + 4 * 2**3


def test_the_best_of_the_authors_example_is_in_the_space() -> None:
    found = replay(
        FourNode("pangaea-2022"),
        {
            "shape": "n(u(x), u(x), u(x))",
            "node1": "prod_n",
            "node2": "sigmoid(x)",
            "node3": "neg(x)",
            "node4": "hard_sigmoid_keras2(x)",
        },
    ).expr
    x = torch.linspace(-8, 8, 201, dtype=torch.float64)
    expected = torch.sigmoid(x) * -x * torch.clamp(0.2 * x + 0.5, 0, 1)
    torch.testing.assert_close(evaluate(found, {"x": x}), expected)
