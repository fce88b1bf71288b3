"""Which functions take a normalisation's place too: as their sources use them, docs/layers.md."""

from __future__ import annotations

import pytest

from actsearch.primitives import (
    known_activations,
    known_layers,
    read_formula,
    takes_norms_place,
)


@pytest.mark.parametrize("name", known_layers())
def test_every_known_layer_does(name: str) -> None:
    assert takes_norms_place(read_formula(name))


@pytest.mark.parametrize(
    "formula",
    [
        "frn_tlu",
        "silu(x)/std_group(x)",
        "relu(x - mean_token(x))",
        "x/rms_token(x) + square(x)",
        "tanh(x)*uniform(0.5, 1)/rms_layer(x)",
    ],
)
def test_formulas_with_moments_do(formula: str) -> None:
    assert takes_norms_place(read_formula(formula))


@pytest.mark.parametrize(
    "formula",
    [
        "polynorm",
        "polynorm(x)",
        "polynorm(a1=1)",
        "polynorm(a1=2, a3=0)",
        "gaussian_top_k",
        "gaussian_top_k(deviations=0.5)",
        "softmax",
        "rrelu",
        "gdn",
        "cats",
        "relu",
        "swiglu",
    ],
)
def test_what_its_authors_put_in_an_activations_place_does_not(formula: str) -> None:
    assert not takes_norms_place(read_formula(formula))


def test_no_scalar_function_does() -> None:
    assert not any(takes_norms_place(row.expr) for row in known_activations().values())
