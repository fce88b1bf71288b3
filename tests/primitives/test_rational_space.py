"""Safe Pade units: the value is that of the coefficients, samples are sane, mutations are small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actsearch.errors import ConfigError
from actsearch.evaluators.screens import static_screen
from actsearch.evaluators.verdict import StaticLimits
from actsearch.primitives import Scope, evaluate, node_count, parameters
from actsearch.primitives.spaces import Proposal, enumerated, replay
from actsearch.primitives.spaces.rational import COEFFICIENTS, Rational

X = torch.linspace(-3, 3, 121, dtype=torch.float64)
seeds = st.integers(0, 2**32 - 1)


def value_of(proposal: Proposal) -> np.ndarray:
    """P/(1 + |Q|) from the answers alone."""
    x = X.numpy()
    above, below = np.zeros_like(x), np.zeros_like(x)
    for slot, answer in proposal.decisions.items():
        term = float(answer) * x ** int(slot[1:])
        if slot[0] == "a":
            above += term
        else:
            below += term
    return above / (1 + np.abs(below))


def point(space: Rational, **coefficients: str) -> Proposal:
    slots = [f"a{k}" for k in range(space.numerator + 1)]
    slots += [f"b{k}" for k in range(1, space.denominator + 1)]
    return replay(space, {slot: coefficients.get(slot, "0") for slot in slots})


def test_the_enumeration_has_every_pair_of_polynomials_once() -> None:
    space = Rational(1, 1)
    found = list(enumerated(space))
    assert len(found) == space.size == 7**3
    assert len({tuple(proposal.decisions.values()) for proposal in found}) == 7**3
    for proposal in found:
        ours = evaluate(proposal.expr, {"x": X}).expand(X.shape)
        np.testing.assert_allclose(ours.numpy(), value_of(proposal), rtol=1e-12, atol=1e-12)


def test_the_size_at_the_degrees_of_the_paper() -> None:
    assert Rational().size == 7 ** (6 + 4)


@given(st.sampled_from(["tensor", "channel", "frozen"]), seeds)
def test_the_value_is_that_of_the_coefficients(trained: str, seed: int) -> None:
    proposal = Rational(5, 4, trained).sample(np.random.default_rng(seed))
    ours = evaluate(proposal.expr, {"x": X}).expand(X.shape)
    np.testing.assert_allclose(ours.numpy(), value_of(proposal), rtol=1e-9, atol=1e-9)


@given(seeds)
def test_every_coefficient_but_0_is_trained_from_its_answer(seed: int) -> None:
    decisions = Rational(5, 4).sample(np.random.default_rng(seed)).decisions
    expected = {slot: float(answer) for slot, answer in decisions.items() if answer != "0"}
    for trained in Scope:
        found = parameters(replay(Rational(5, 4, trained), decisions).expr)
        assert {p.name: p.initial for p in found} == expected
        assert all(p.scope is trained for p in found)
    assert not parameters(replay(Rational(5, 4, "frozen"), decisions).expr)


def test_softsign_and_the_identity_are_points() -> None:
    softsign = point(Rational(), a1="1", b1="1").expr
    expected = torch.nn.functional.softsign(X)
    torch.testing.assert_close(evaluate(softsign, {"x": X}), expected)
    assert str(point(Rational(coefficients="frozen"), a1="1").expr) == "mul(1, x)"


def test_a_start_close_to_swish_and_one_close_to_relu_are_points() -> None:
    swish = dict(a1="0.25", a2="-0.25", a3="1", a4="1", a5="0.25", b2="1", b3="0.5", b4="0.5")
    relu = dict(a1="0.25", a2="1", a3="1", a4="0.25", b1="1", b2="0.25", b3="0.5")
    for coefficients, known in ((swish, torch.nn.functional.silu), (relu, torch.relu)):
        found = point(Rational(), **coefficients).expr
        away = evaluate(found, {"x": X}) - known(X)
        assert float(away.square().mean().sqrt()) < 0.1


@pytest.mark.parametrize(("degrees", "least"), [((5, 4), 0.75), ((6, 4), 0.55)])
def test_a_good_share_of_samples_passes_the_static_screen(
    degrees: tuple[int, int], least: float
) -> None:
    space = Rational(*degrees)
    samples = [space.sample(np.random.default_rng(seed)).expr for seed in range(100)]
    accepted = sum(static_screen(expr, StaticLimits()).accepted for expr in samples)
    assert accepted / 100 >= least


def test_samples_are_sparse() -> None:
    samples = [Rational().sample(np.random.default_rng(seed)) for seed in range(400)]
    answers = [answer for sample in samples for answer in sample.decisions.values()]
    assert abs(answers.count("0") / len(answers) - 0.5) < 0.03
    assert set(answers) == set(COEFFICIENTS)
    assert np.median([node_count(sample.expr) for sample in samples]) < 30


@given(seeds)
def test_a_mutation_moves_one_coefficient_to_a_neighbour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parent = Rational().sample(rng).decisions
    child = Rational().mutate(parent, rng).decisions
    steps = [
        abs(COEFFICIENTS.index(parent[slot]) - COEFFICIENTS.index(child[slot])) for slot in parent
    ]
    assert sorted(steps) == [0] * 9 + [1]


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="numerator=10"):
        Rational(numerator=10)
    with pytest.raises(ConfigError, match="denominator=0"):
        Rational(denominator=0)
    with pytest.raises(ConfigError, match="coefficients='layer'"):
        Rational(coefficients="layer")
