"""Corrections of known activations: CRReLU and GELUSine are points, terms are what they claim."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from actsearch.primitives import evaluate, parse, read_formula, value_and_slopes
from actsearch.primitives.spaces import enumerated, replay
from actsearch.primitives.spaces.correction import (
    DENSITIES,
    DENSITY_TERMS,
    STARTS,
    Correction,
    bases,
)
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS, OperatorSet

X = torch.linspace(-10, 10, 401, dtype=torch.float64)


def test_the_enumeration_is_every_base_with_every_start_and_term(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPERATOR_SETS, "tiny", OperatorSet(("x", "sin(x)"), ("sub(x, y)",)))
    space = Correction("tiny")
    units = [f"sub({left}, {right})" for left, right in product(("x", "sin(x)"), repeat=2)]
    expected = [
        str(parse(f"add({base}, mul(eps[{start}], {term}))"))
        for base in bases().values()
        for start in STARTS
        for term in (*DENSITY_TERMS, "x", "sin(x)", *units)
    ]
    assert sorted(str(proposal.expr) for proposal in enumerated(space)) == sorted(expected)
    assert space.size == len(expected)


def test_the_size_with_the_set_of_2017_follows_the_closed_form() -> None:
    assert Correction("swish-2017").size == len(bases()) * 4 * (6 + 25 + 6_250)


def test_derived_terms_are_one_more_kind_and_leave_the_other_answers_as_they_were() -> None:
    plain, derived = Correction(), Correction(derived=True)
    assert derived.size == plain.size + len(bases()) * 4 * 6
    for seed in range(20):
        proposal = plain.sample(np.random.default_rng(seed))
        assert replay(derived, proposal.decisions).expr == proposal.expr
    for base, density in product(bases(), DENSITIES):
        answers = {"term.kind": "derived", "term.derived": density}
        term = replay(derived, {"base": base, "eps": "0.1", **answers}).expr
        assert torch.isfinite(evaluate(term, {"x": X})).all()
        assert str(term) != str(bases()[base])


def test_the_derived_term_of_tanh_has_its_closed_form() -> None:
    found = replay(
        Correction(derived=True),
        {"base": "tanh", "eps": "-0.01", "term.kind": "derived", "term.derived": "normal(0, 1)"},
    ).expr
    expected = torch.tanh(X) - 0.01 * (X - 2 * torch.tanh(X)) * torch.exp(-(X**2) / 2)
    torch.testing.assert_close(evaluate(found, {"x": X}), expected)


def test_bases_are_the_baselines_without_a_parameter() -> None:
    assert {"relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh"} <= set(bases())
    assert "crrelu" not in bases()


def test_crrelu_is_a_point_in_value_and_slope() -> None:
    normal = "mul(x, exp(mul(-0.5, square(x))))"
    found = replay(
        Correction(),
        {"base": "relu", "eps": "0.01", "term.kind": "density", "term.density": normal},
    ).expr
    ours, (our_slope,) = value_and_slopes(found, {"x": X})
    known, (known_slope,) = value_and_slopes(read_formula("crrelu"), {"x": X})
    torch.testing.assert_close(ours, known)
    torch.testing.assert_close(our_slope, known_slope)
    by_torch = torch.relu(X) + 0.01 * X * torch.exp(-(X**2) / 2)
    torch.testing.assert_close(ours, by_torch)


def test_gelusine_is_a_point() -> None:
    found = replay(
        Correction("swish-2017"),
        {"base": "gelu", "eps": "0.1", "term.kind": "unary", "term.unary": "sin(x)"},
    ).expr
    expected = torch.nn.functional.gelu(X) + 0.1 * torch.sin(X)
    torch.testing.assert_close(evaluate(found, {"x": X}), expected)


@pytest.mark.parametrize(
    ("term", "density"),
    list(
        zip(
            DENSITY_TERMS,
            [
                stats.norm(),
                stats.norm(scale=0.5),
                stats.norm(scale=2),
                stats.logistic(),
                stats.t(3),
                stats.cauchy(),
            ],
            strict=True,
        )
    ),
)
def test_a_density_term_is_the_derivative_of_its_density(
    term: str, density: stats.distributions.rv_frozen
) -> None:
    x, h = X.numpy(), 1e-4
    derivative = (density.pdf(x + h) - density.pdf(x - h)) / (2 * h)
    curvature_at_0 = (density.pdf(h) - 2 * density.pdf(0) + density.pdf(-h)) / h**2
    ours = evaluate(parse(term), {"x": X}).numpy()
    np.testing.assert_allclose(ours, derivative / curvature_at_0, atol=1e-6)
