"""Functions of two inputs: how many there are, that the known gates are among them, and bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from actsearch.errors import ConfigError
from actsearch.primitives import evaluate, inputs, parameters, parse
from actsearch.primitives.spaces import SPACES, Gated, enumerated, replay
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS, OperatorSet

# Table 1 of arXiv:2002.05202, without the matrices.
PUBLISHED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "GLU": lambda u, v: torch.sigmoid(u) * v,
    "Bilinear": lambda u, v: u * v,
    "ReGLU": lambda u, v: torch.relu(u) * v,
    "GEGLU": lambda u, v: functional.gelu(u) * v,
    "SwiGLU": lambda u, v: functional.silu(u) * v,
}
SMALL = [
    Gated("product", 0),
    Gated("product", 1),
    Gated("product", 1, "pangaea-2022"),
    Gated("general", 1),
]
DEEP = [Gated("general", 2), Gated("general", 2, "pangaea-2022"), Gated("product", 1, "gecco-2020")]


@pytest.mark.parametrize(
    ("space", "size"),
    list(zip(SMALL, [27, 27 + 27**2 * 10, 28 + 28**2 * 7, 27**2 * 10], strict=True)),
)
def test_the_enumeration_has_the_size_of_the_space_and_holds_the_published_gates(
    space: Gated, size: int
) -> None:
    u, v = torch.randn(2, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = torch.stack([gate(u, v) for gate in PUBLISHED.values()])
    found: set[str] = set()
    count = 0
    for proposal in enumerated(space):
        count += 1
        if inputs(proposal.expr) == ("u", "v"):
            value = evaluate(proposal.expr, {"u": u, "v": v})
            same = torch.isclose(truth, value, rtol=1e-9, atol=1e-12).all(dim=1)
            found.update(name for name, equal in zip(PUBLISHED, same, strict=True) if equal)
    assert count == space.size == size
    assert found == set(PUBLISHED)


def test_a_second_unit_reads_the_first_and_both_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = OperatorSet(("x", "neg(x)"), ("sub(x, y)",))
    monkeypatch.setitem(OPERATOR_SETS, "tiny", tiny)
    space = Gated("general", 2, "tiny")
    # Two operators and two gates on either side; nine pairs of u, v and the first unit.
    assert space.size == 16 + 16 * 16 * 9
    texts = [str(proposal.expr) for proposal in enumerated(space)]
    assert len(texts) == space.size
    assert "sub(sub(u, neg(v)), v)" in texts
    assert "sub(neg(u), sub(u, v))" in texts


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"form": "sum"}, "form='sum' must be product or general"),
        ({"units": 2}, "units=2 must be 0 or 1 for form='product'"),
        ({"form": "general", "units": 0}, "units=0 must be 1 or 2 for form='general'"),
        ({"operators": "swish"}, "swish-2017"),
        ({"beta_scope": "layer"}, "beta_scope='layer'"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Gated(**settings)


def test_the_space_is_found_by_its_name_and_says_what_its_candidates_read() -> None:
    assert SPACES["gated"] is Gated
    assert Gated.inputs == ("u", "v")
    assert {space.inputs for name, space in SPACES.items() if name != "gated"} == {("x",)}


spaces, seeds = st.sampled_from(SMALL + DEEP), st.integers(0, 2**32 - 1)


@given(spaces, seeds)
def test_candidates_read_u_and_v_alone_and_parse_back(space: Gated, seed: int) -> None:
    proposal = space.sample(np.random.default_rng(seed))
    assert set(inputs(proposal.expr)) <= {"u", "v"}
    assert parse(str(proposal.expr)) == proposal.expr
    assert replay(space, proposal.decisions) == proposal
    for number, parameter in enumerate(parameters(proposal.expr), start=1):
        assert parameter.name == ("beta" if number == 1 else f"beta{number}")


@given(spaces, seeds)
def test_variation_stays_in_the_space(space: Gated, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mother, father = space.sample(rng), space.sample(rng)
    for child in (
        space.mutate(mother.decisions, rng),
        space.crossover(mother.decisions, father.decisions, rng),
    ):
        assert replay(space, child.decisions) == child
