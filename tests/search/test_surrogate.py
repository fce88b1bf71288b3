"""The surrogate: its regression, what it learns from, and how fast it finds what is good."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np
import pytest
from delayed_search import observed, search
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from surroundings import surroundings

from actsearch.errors import ConfigError
from actsearch.evaluators.features import function_features
from actsearch.evaluators.result import Result, Status
from actsearch.primitives import Expr, baselines, evaluate, parse
from actsearch.primitives.analysis.gaussian import quadrature
from actsearch.primitives.spaces import SPACES, Choose, Decisions, Gated, Space, enumerated, replay
from actsearch.search.strategies import Observation
from actsearch.search.strategies.candidate_pool import different_functions
from actsearch.search.strategies.comparisons import Comparisons
from actsearch.search.strategies.gaussian_process import GaussianProcess
from actsearch.search.strategies.random import RandomSearch, RandomSettings
from actsearch.search.strategies.surrogate import Surrogate, SurrogateSettings

UNARY = ("x", "neg(x)", "abs(x)", "square(x)", "exp(x)", "sin(x)", "cos(x)", "tanh(x)", "atan(x)")
GATES = (*UNARY, "relu(x)", "sigmoid(x)", "softplus(x)")
BINARY = ("add", "mul", "max")


class Small(Space):
    """324 spellings of 196 functions that are not constant."""

    name: ClassVar[str] = "small"

    @property
    def size(self) -> int:
        return len(UNARY) * len(GATES) * len(BINARY)

    def build(self, choose: Choose) -> Expr:
        outer, left, right = choose("outer", BINARY), choose("left", UNARY), choose("right", GATES)
        return parse(f"{outer}({left}, {right})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Small)

    def __hash__(self) -> int:
        return 0


def values(decisions: Decisions) -> np.ndarray:
    points, _ = quadrature()
    return evaluate(replay(Small(), decisions).expr, {"x": points}).numpy()


def likeness(decisions: Decisions) -> float | None:
    """Cosine with gelu under the normal density; what is steep diverges."""
    return _likeness(tuple(decisions.items()))


@cache
def _likeness(decisions: tuple[tuple[str, str], ...]) -> float | None:
    points, weights = (tensor.numpy() for tensor in quadrature())
    value = values(dict(decisions))
    if np.abs(value[np.abs(points) < 5]).max() > 60:
        return None
    gelu = evaluate(parse("mul(x, normal_cdf(x))"), {"x": quadrature()[0]}).numpy()
    size = np.sqrt((weights @ value**2) * (weights @ gelu**2))
    return float(weights @ (value * gelu) / size) if size > 0 else None


def surrogate(space: Space, **settings: object) -> Surrogate:
    return Surrogate(surroundings(space), SurrogateSettings(**settings))


def after_baselines(strategy: Surrogate) -> Surrogate:
    """What a run tells first: here that x^2 is best and the further from it the worse."""
    for number, baseline in enumerate(baselines()):
        score = 0.9 if baseline.name == "relu_squared" else 0.5 + 0.001 * number
        result = Result("", Status.COMPLETE, (score,))
        strategy.observe(Observation(baseline.expr, None, result, result.standing))
    return strategy


@pytest.mark.parametrize("same_pool", [True, False])
def test_the_process_is_that_of_scikit_learn(same_pool: bool) -> None:
    rng = np.random.default_rng(0)
    points, pool = rng.normal(size=(40, 5)), rng.normal(size=(30, 5))
    process = GaussianProcess(length_scale=1.7, noise=0.2)
    for count in range(1, 41):
        process.add(points[count - 1])
        if count not in (1, 2, 17, 40):
            continue
        targets = rng.normal(size=count)
        reference = GaussianProcessRegressor(Matern(1.7, nu=2.5), alpha=0.2, optimizer=None)
        reference.fit(points[:count], targets)
        asked = pool if same_pool else pool.copy()
        mean, deviation = process.predict(targets, asked)
        expected_mean, expected = reference.predict(pool, return_cov=True)
        np.testing.assert_allclose(mean, expected_mean, atol=1e-9)
        np.testing.assert_allclose(deviation, np.sqrt(np.diag(expected)), atol=1e-9)
        chosen = np.array([4, 0, 29])
        np.testing.assert_allclose(
            process.covariance(asked, chosen), expected[np.ix_(chosen, chosen)], atol=1e-9
        )


def test_candidates_compare_at_the_highest_rung_that_both_reached() -> None:
    rng = np.random.default_rng(1)
    trainings = [tuple(rng.integers(0, 5, rng.integers(0, 4)) / 4) for _ in range(60)]
    comparisons = Comparisons()
    for scores in trainings:
        comparisons.add(scores)
    for one, found in zip(trainings, comparisons.balance, strict=True):
        balance = 0
        for other in trainings:
            rungs = min(len(one), len(other))
            difference = one[rungs - 1] - other[rungs - 1] if rungs else len(one) - len(other)
            balance += int(np.sign(difference))
        assert found == pytest.approx(balance / 59)


def test_a_replay_proposes_the_same() -> None:
    runs = [search(after_baselines(surrogate(Small())), likeness, 40, seed=3) for _ in range(2)]
    first, second = ([p.decisions for p in proposals] for _, proposals in runs)
    assert first == second
    other, _ = search(after_baselines(surrogate(Small())), likeness, 40, seed=4)
    assert [o.decisions for o in other] != first


def test_it_needs_at_most_half_the_evaluations_of_random_search() -> None:
    functions = different_functions(Small())
    known = [likeness(p.decisions) for p in functions]
    bound = sorted(score for score in known if score is not None)[-3]

    def needed(strategy: Surrogate | RandomSearch, seed: int, budget: int) -> int:
        trained, _ = search(strategy, likeness, budget, seed, lookback=8)
        scores = [-1 if o.result.score is None else o.result.score for o in trained]
        found = (number for number, score in enumerate(scores, start=1) if score >= bound)
        return next(found, budget)

    settings = RandomSettings()
    random = [needed(RandomSearch(surroundings(Small()), settings), s, 200) for s in range(20)]
    model = [needed(surrogate(Small()), s, 60) for s in range(10)]
    assert 2 * np.median(model) <= np.median(random)


def test_it_starts_from_the_known_activations() -> None:
    proposal = after_baselines(surrogate(Small(), exploration=0.0)).propose(
        np.random.default_rng(0)
    )
    assert proposal is not None
    target = function_features(parse("square(relu(x))"))
    distances = {
        p.expr.text: np.linalg.norm(function_features(p.expr) - target)
        for p in different_functions(Small())
    }
    assert distances[proposal.expr.text] <= sorted(distances.values())[2]


def test_the_whole_of_a_small_space_is_proposed_once_each_and_then_nothing() -> None:
    trained, proposals = search(surrogate(Small()), likeness, 1000, seed=0)
    texts = [p.expr.text for p in proposals]
    assert len(texts) == len(set(texts))
    assert sorted(texts) == sorted(p.expr.text for p in different_functions(Small()))
    assert len(trained) == len(texts) < Small().size


def test_the_pool_has_one_spelling_of_every_finite_function() -> None:
    spellings = {p.expr.text for p in different_functions(Small())}
    assert len({"add(x, neg(x))", "mul(x, neg(x))"} & spellings) <= 1
    assert ("add(neg(x), relu(x))" in spellings) + ("add(x, relu(neg(x)))" in spellings) <= 1
    vectors = {
        tuple(np.round(values(p.decisions), 9))
        for p in enumerated(Small())
        if np.ptp(values(p.decisions)) > 1e-9
    }
    assert len(spellings) <= len(vectors)


@pytest.mark.parametrize("features", ["outputs", "spectrum", "both"])
@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_space_can_be_searched_whatever_comes_of_its_candidates(
    name: str, features: str
) -> None:
    space = SPACES[name]()
    settings = {"enumerate_up_to": 0, "samples": 6, "mutations": 6, "parents": 2}
    strategy = after_baselines(surrogate(space, features=features, **settings))
    proposals = []
    for number in range(12):
        proposal = strategy.propose(np.random.default_rng(number))
        assert proposal is not None
        assert replay(space, proposal.decisions).expr.text == proposal.expr.text
        proposals.append(proposal)
        status = (Status.STOPPED, Status.DIVERGED, Status.COMPLETE, Status.FAILED)[number % 4]
        scores = ((0.3,), (0.2,), (0.3, 0.1 * number), ())[number % 4]
        result = Result("", status, scores, reason="")
        strategy.observe(Observation(proposal.expr, proposal.decisions, result, result.standing))
    assert len({p.expr.text for p in proposals}) == 12


def test_a_space_of_two_inputs_is_enumerated_too() -> None:
    space = Gated(units=0)
    trained, _ = search(surrogate(space), lambda decisions: len(decisions["gate"]), 100, seed=0)
    assert 15 < len(trained) == len(different_functions(space))


def test_a_cheaper_candidate_of_the_same_score_is_preferred() -> None:
    def cost(decisions: Decisions) -> float:
        return 1.0 if decisions["left"] in ("x", "neg(x)", "abs(x)") else 9.0

    def mean_cost(with_cost: bool) -> float:
        costs = []
        for seed in range(3):
            trained, _ = search(
                surrogate(Small()),
                lambda decisions: 0.5,
                40,
                seed,
                lookback=4,
                cost=cost if with_cost else None,
            )
            costs += [cost(o.decisions) for o in trained[10:] if o.decisions is not None]
        return float(np.mean(costs))

    assert mean_cost(with_cost=True) < mean_cost(with_cost=False) - 1


def test_without_a_process_the_nearest_neighbours_decide() -> None:
    settings = {"regressor": "neighbours", "neighbours": 1, "exploration": 0.0, "initial": 6}
    rngs = [np.random.default_rng(number) for number in range(7)]
    first = surrogate(Small(), **settings)
    known = [p for p in (first.propose(rng) for rng in rngs[:6]) if p is not None]
    pool = {p.expr.text: function_features(p.expr) for p in different_functions(Small())}
    spread = np.array(list(pool.values())).std(axis=0)
    scaled = {text: v / np.where(spread > 0, spread, 1) for text, v in pool.items()}

    def nearest(text: str) -> int:
        return int(np.argmin([np.linalg.norm(scaled[text] - scaled[p.expr.text]) for p in known]))

    rest = [text for text in pool if text not in {p.expr.text for p in known}]
    for winner in {nearest(text) for text in rest}:
        strategy = surrogate(Small(), **settings)
        for number in range(6):
            proposal = strategy.propose(np.random.default_rng(number))
            assert proposal is not None
            strategy.observe(observed(proposal, float(number == winner)))
        proposal = strategy.propose(rngs[6])
        assert proposal is not None
        assert nearest(proposal.expr.text) == winner


def test_a_penalty_for_cost_counts() -> None:
    functions = {p.expr.text: p for p in different_functions(Small())}
    one, other = functions["mul(x, relu(x))"], functions["mul(x, sin(x))"]
    like_one, like_other = functions["mul(x, softplus(x))"], functions["mul(sin(x), sin(x))"]
    result = Result("", Status.COMPLETE, (0.8, 0.9))

    def preferred(dear: object) -> str:
        strategy = surrogate(Small(), exploration=0.0)
        for proposal in (one, other):
            standing = (2, 0.7 if proposal is dear else 0.9)
            strategy.observe(Observation(proposal.expr, proposal.decisions, result, standing))
        asked = (strategy.propose(np.random.default_rng(0)) for _ in functions)
        return next(p.expr.text for p in asked if p and p.expr in (like_one.expr, like_other.expr))

    assert preferred(dear=other) == like_one.expr.text
    assert preferred(dear=one) == like_other.expr.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "inputs"}, "strategy.features='inputs'"),
        ({"regressor": "forest"}, "strategy.regressor='forest'"),
        ({"regressor": "neighbours"}, "strategy.exploration=.*neighbours"),
        ({"noise": 0.0}, "strategy.noise=0.0 must be above 0"),
        ({"samples": 0}, "strategy.samples=0 must be at least 1"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SurrogateSettings(**settings)
