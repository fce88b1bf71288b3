"""Core units: sizes of the three forms, published counts, and the share of samples with raw x."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actsearch.errors import ConfigError
from actsearch.evaluators.screens import fingerprint
from actsearch.primitives import Expr, parse, read_formula
from actsearch.primitives.lowering.eager import evaluate
from actsearch.primitives.spaces import Space, UnaryBinary, enumerated, replay
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS, OperatorSet

POINTS = torch.linspace(-4, 4, 81, dtype=torch.float64)

spaces = st.builds(
    UnaryBinary,
    st.sampled_from([1, 3]),
    st.sampled_from(list(OPERATOR_SETS)),
    form=st.sampled_from(["any", "chain", "nested"]),
)
raw_spaces = st.builds(
    UnaryBinary,
    st.integers(1, 3),
    st.sampled_from(list(OPERATOR_SETS)),
    form=st.sampled_from(["any", "chain"]),
    raw_input=st.just(1.0),
)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = OperatorSet(("x", "tanh(x)"), ("sub(x, y)",))
    monkeypatch.setitem(OPERATOR_SETS, "tiny", small)


def texts(space: UnaryBinary) -> list[str]:
    return sorted(proposal.expr.text for proposal in enumerated(space))


# Sizes


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("form", "units"),
    [*product(("any", "chain"), (1, 2, 3)), ("nested", 1), ("nested", 3)],
)
def test_enumeration_has_as_many_different_answers_as_the_size(form: str, units: int) -> None:
    space = UnaryBinary(units, "tiny", form=form)
    found = [tuple(sorted(proposal.decisions.items())) for proposal in enumerated(space)]
    assert len(found) == len(set(found)) == space.size


@pytest.mark.parametrize(
    ("operators", "size"), [("swish-2017", 6_250), ("pangaea-2022", 5_103), ("gecco-2020", 3_456)]
)
@pytest.mark.parametrize("form", ["any", "chain", "nested"])
def test_one_unit_has_the_published_size_in_every_form(
    form: str, operators: str, size: int
) -> None:
    space = UnaryBinary(1, operators, form=form)
    assert space.size == size
    assert sum(1 for _ in enumerated(space)) == size


def test_sizes_of_more_units_have_closed_forms() -> None:
    assert UnaryBinary(2).size == 6_250 + 6_250 * 4 * 6_250
    assert UnaryBinary(3).size == UnaryBinary(2).size + 6_250 * 4 * 6_250 * 9 * 6_250
    chain = UnaryBinary(3, form="chain")
    assert chain.size == 25 * 250 + 25 * 250**2 + 25 * 250**3
    nested = UnaryBinary(3, "gecco-2020", form="nested")
    assert nested.size == 3_456**3 == 41_278_242_816


# Forms


@pytest.mark.usefixtures("tiny")
def test_a_chain_joins_the_previous_unit_with_a_unary_of_x() -> None:
    units = {f"sub({a}, {b})" for a, b in product(("x", "tanh(x)"), repeat=2)}
    longer = {f"sub({unit}, {b})" for unit, b in product(units, ("x", "tanh(x)"))}
    assert texts(UnaryBinary(2, "tiny", form="chain")) == sorted(units | longer)


@pytest.mark.usefixtures("tiny")
def test_the_nested_form_is_a_unit_of_two_units_of_x() -> None:
    units = [f"sub({a}, {b})" for a, b in product(("x", "tanh(x)"), repeat=2)]
    sides = [side for unit in units for side in (unit, f"tanh({unit})")]
    expected = sorted(f"sub({left}, {right})" for left, right in product(sides, repeat=2))
    assert texts(UnaryBinary(3, "tiny", form="nested")) == expected


@given(spaces, seeds)
def test_candidates_of_every_form_vary_and_replay(space: UnaryBinary, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mother, father = space.sample(rng), space.sample(rng)
    for proposal in (
        mother,
        space.mutate(mother.decisions, rng),
        space.crossover(mother.decisions, father.decisions, rng),
    ):
        assert replay(space, proposal.decisions) == proposal
        assert parse(proposal.expr.text) == proposal.expr


# Raw input


@given(raw_spaces, seeds)
def test_a_sample_with_raw_input_has_x_on_one_side_of_its_last_unit(
    space: UnaryBinary, seed: int
) -> None:
    proposal = space.sample(np.random.default_rng(seed))
    decisions = proposal.decisions
    assert replay(space, decisions) == proposal
    last = f"unit{decisions['units']}"
    assert any(
        decisions.get(f"{last}.{side}") == "x" and decisions.get(f"{last}.{side}.input", "x") == "x"
        for side in ("left", "right")
    )


def test_raw_input_is_the_share_of_such_samples_beyond_chance() -> None:
    def raw(space: UnaryBinary) -> list[float]:
        rng = np.random.default_rng(0)
        drawn = [space.sample(rng).decisions for _ in range(4_000)]
        left = [d["unit1.left"] == "x" for d in drawn]
        right = [d["unit1.right"] == "x" for d in drawn]
        return [
            float(np.mean(left)),
            float(np.mean(right)),
            float(np.mean(np.logical_or(left, right))),
        ]

    # By chance a side is x once in 25.
    side, either = 1 / 25, 1 - (24 / 25) ** 2
    assert raw(UnaryBinary(1)) == pytest.approx([side, side, either], abs=0.02)
    one = 0.3 * (1 + side) / 2 + 0.7 * side
    assert raw(UnaryBinary(1, raw_input=0.3)) == pytest.approx(
        [one, one, 0.3 + 0.7 * either], abs=0.03
    )


@given(spaces, seeds)
def test_without_raw_input_every_answer_is_uniform(space: UnaryBinary, seed: int) -> None:
    plain = Space.sample(space, np.random.default_rng(seed))
    assert space.sample(np.random.default_rng(seed)) == plain


# Published functions and counts

ONE_UNIT = [
    "x*sigmoid(beta[1, channel]*x)",
    "max(x, sigmoid(x))",
    "cos(x) - x",
    "min(x, sin(x))",
    "max(x, tanh(x))",
    "sinc(x) + x",
]
TWO_UNITS = ["square(atan(x)) - x", "x*square(asinh(x))"]


def found_in(candidates: list[Expr], values: torch.Tensor, named: str) -> int:
    """How many candidates are the named function, at more than one setting of parameters."""
    sought = read_formula(named)
    value = evaluate(sought, {"x": POINTS})
    equal = torch.isclose(values, value, rtol=1e-9, atol=1e-12).all(dim=1)
    mark = fingerprint(sought)
    return sum(
        bool(np.abs(fingerprint(candidates[row]) - mark).max() < 1e-6)
        for row in torch.nonzero(equal).flatten().tolist()
    )


def test_the_named_functions_of_2017_are_in_the_enumeration() -> None:
    candidates = [proposal.expr for proposal in enumerated(UnaryBinary(1))]
    values = torch.stack([evaluate(expr, {"x": POINTS}) for expr in candidates])
    assert all(found_in(candidates, values, named) for named in ONE_UNIT)
    assert not any(found_in(candidates, values, named) for named in TWO_UNITS)


def test_the_two_that_need_two_units_are_in_that_enumeration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = OperatorSet(("x", "square(x)", "atan(x)", "asinh(x)"), ("sub(x, y)", "mul(x, y)"))
    swish = OPERATOR_SETS["swish-2017"]
    assert {*few.unary, *few.binary} <= {*swish.unary, *swish.binary}
    monkeypatch.setitem(OPERATOR_SETS, "few", few)
    candidates = [proposal.expr for proposal in enumerated(UnaryBinary(2, "few"))]
    values = torch.stack([evaluate(expr, {"x": POINTS}) for expr in candidates])
    # atan(x)^2 as a product of two atans is one unit.
    assert all(found_in(candidates, values, named) for named in TWO_UNITS)


def classes(values: np.ndarray, tolerance: float) -> np.ndarray:
    """The first of each class of rows that agree everywhere to a relative tolerance."""

    def agree(rows: np.ndarray, row: np.ndarray) -> np.ndarray:
        return np.isclose(rows, row, rtol=tolerance, atol=0, equal_nan=True).all(axis=1)

    found, count = np.empty_like(values), 0
    for row in values:
        near = np.flatnonzero(agree(found[:count, :8], row[:8]))
        if not agree(found[near], row).any():
            found[count] = row
            count += 1
    return found[:count]


def test_the_5103_strings_of_act_bench_are_2773_functions() -> None:
    """AQuaSurF (arXiv:2301.05785) counts 2,913, which differ in some digit of float32.

    To a tolerance they are 2,791, of which 2,414 are finite on all inputs. How many the others
    are depends on what is made of inf and nan: 2,773 in all follow if nan counts as inf.
    """
    normal = np.random.RandomState(0).normal(size=1_000)
    x = torch.from_numpy(np.clip(normal, -5, 5))
    proposals = enumerated(UnaryBinary(1, "pangaea-2022"))
    values = np.stack([evaluate(proposal.expr, {"x": x}).numpy() for proposal in proposals])
    assert len(values) == 5_103
    distinct = classes(values, 1e-5)
    assert len(distinct) == 2_791
    assert len(classes(distinct, 1e-3)) == 2_791
    assert np.isfinite(distinct).all(axis=1).sum() == 2_414
    assert len(classes(np.where(np.isnan(distinct), np.inf, distinct), 1e-5)) == 2_773
    assert len(classes(np.where(np.isfinite(distinct), distinct, np.nan), 1e-5)) == 2_769


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="form='tree' must be any, chain or nested"):
        UnaryBinary(1, form="tree")
    with pytest.raises(ConfigError, match="units=2 must be 1 or 3 for form='nested'"):
        UnaryBinary(2, form="nested")
    with pytest.raises(ConfigError, match=r"raw_input=1\.5 must be 0 to 1"):
        UnaryBinary(1, raw_input=1.5)
    with pytest.raises(ConfigError, match=r"raw_input=0\.5 must be 0 for form='nested'"):
        UnaryBinary(3, form="nested", raw_input=0.5)
