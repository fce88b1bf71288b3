"""A model of the score proposes the candidate that promises most.

As in AQuaSurF, Bingham and Miikkulainen 2023, arXiv:2301.05785, the model sees a candidate by its
function and by the Fisher spectrum of its network. That paper regresses by nearest neighbours on an
embedding and takes the highest prediction; the default here is a Gaussian process, which knows how
little it knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from sklearn.neighbors import KNeighborsRegressor
from threadpoolctl import ThreadpoolController

from ...evaluators.features import candidate_features
from ...primitives import Expr, inputs
from ...primitives.spaces import Decisions, Proposal
from .candidate_pool import DrawnCandidates, Pool, WholeSpace
from .comparisons import Comparisons
from .gaussian_process import GaussianProcess
from .reward import undominated_shares
from .settings import check_settings
from .strategy import Observation, Surroundings

_FEATURES = ("outputs", "spectrum", "both")
_REGRESSORS = ("gaussian-process", "neighbours")
# Members of the pool, best bounds first, at which a function is drawn.
_DRAWN_AT = 200
_BOUND = 2.0


@dataclass(frozen=True)
class SurrogateSettings:
    """What the model sees, how it predicts, and how it chooses.

    Args:
        features: `outputs` of the function, `spectrum` of the network, or `both`.
        regressor: `gaussian-process`, or the mean of the nearest `neighbours` on features of
            equal variance, as near to AQuaSurF as may be: its UMAP of all candidates is another
            dependency, takes seconds, and moves every point when it is fitted again.
        exploration: how far a draw from the posterior departs from its mean, as a factor: 1 is
            Thompson sampling, 0 takes the highest prediction.
        length_scale: distance of features at which targets are hardly related.
        noise: variance of a target about the model, where targets have variance 1.
        spectrum_weight: of the spectrum beside the outputs, where features are both.
        neighbours: how many of them; AQuaSurF's 3.
        initial: proposals drawn at random before the model is asked.
        enumerate_up_to: sequences of answers up to which the whole space is the pool.
        samples, mutations: pool of a larger space, drawn anew for each proposal; mutations are of
            the best `parents`.

    Raises:
        ConfigError: a setting is out of range.
    """

    features: str = "outputs"
    regressor: str = "gaussian-process"
    exploration: float = 0.6
    length_scale: float = 0.5
    noise: float = 0.03
    spectrum_weight: float = 0.3
    neighbours: int = 3
    initial: int = 0
    enumerate_up_to: int = 10_000
    samples: int = 32
    mutations: int = 32
    parents: int = 10

    def __post_init__(self) -> None:
        conditions = (
            ("features", self.features in _FEATURES, " or ".join(_FEATURES)),
            ("regressor", self.regressor in _REGRESSORS, " or ".join(_REGRESSORS)),
            ("exploration", 0 <= self.exploration < math.inf, "at least 0"),
            (
                "exploration",
                self.exploration == 0 or self.regressor != "neighbours",
                "0 for regressor='neighbours', which does not tell its error",
            ),
            ("length_scale", 0 < self.length_scale < math.inf, "above 0"),
            ("noise", 0 < self.noise < math.inf, "above 0"),
            ("spectrum_weight", 0 < self.spectrum_weight < math.inf, "above 0"),
            ("neighbours", self.neighbours >= 1, "at least 1"),
            ("initial", self.initial >= 0, "at least 0"),
            ("enumerate_up_to", self.enumerate_up_to >= 0, "at least 0"),
            ("samples", self.samples >= 1, "at least 1"),
            ("mutations", self.mutations >= 0, "at least 0"),
            ("parents", self.parents >= 1, "at least 1"),
        )
        check_settings(self, conditions)


class Surrogate:
    """Regression of standings on features, over a pool of candidates.

    A target is the share of known candidates that a candidate beats, as a normal score; each pair
    is compared at the highest rung that both reached. So a stopped training teaches what it showed
    until then, a diverged one is below all others, and scores may have any scale. With further
    objectives it is the share of candidates that do not dominate it.

    Known activations are observed before the first proposal, so the model needs no random start.
    Each proposal is the best of another function drawn from the posterior, so that proposals
    between two results differ.
    """

    def __init__(self, surroundings: Surroundings, settings: SurrogateSettings) -> None:
        self.space, self.spectrum = surroundings.space, surroundings.spectrum
        self.settings = settings
        self._candidates: WholeSpace | DrawnCandidates | None = None
        self._proposed = 0
        self._known: list[np.ndarray] = []
        self._decisions: list[Decisions | None] = []
        self._costs: list[tuple[float, ...]] = []
        self._comparisons = Comparisons()
        self._process = GaussianProcess(settings.length_scale, settings.noise)
        self._libraries = ThreadpoolController()

    def propose(self, rng: np.random.Generator) -> Proposal | None:
        # The number of threads changes last digits, and workers have the other cores.
        with self._libraries.limit(limits=1, user_api="blas"):
            return self._proposal(rng)

    def observe(self, observation: Observation) -> None:
        expr = observation.expr
        vector = self._vector(expr) if set(inputs(expr)) <= set(self.space.inputs) else None
        if vector is None:
            return
        self._known.append(vector)
        with self._libraries.limit(limits=1, user_api="blas"):
            self._process.add(vector)
        self._decisions.append(observation.decisions)
        self._costs.append(observation.costs)
        self._comparisons.add(_comparable_scores(observation))

    def _proposal(self, rng: np.random.Generator) -> Proposal | None:
        if self._candidates is None:
            self._candidates = self._all_candidates()
        targets = self._targets()
        pool = self._candidates.pool(self._best(targets), rng)
        if not pool.fresh.any():
            return None if isinstance(self._candidates, WholeSpace) else self.space.sample(rng)
        if self._proposed < self.settings.initial or not self._known:
            worth = rng.random(len(pool.fresh))
        else:
            worth = self._worth(pool, targets, rng)
        proposal = pool.proposals[int(np.where(pool.fresh, worth, -np.inf).argmax())]
        self._proposed += 1
        self._candidates.remove(proposal.expr.text)
        return proposal

    def _all_candidates(self) -> WholeSpace | DrawnCandidates:
        settings = self.settings
        if self.space.size <= settings.enumerate_up_to:
            return WholeSpace(self.space, self._vector)
        return DrawnCandidates(self.space, self._vector, settings.samples, settings.mutations)

    def _vector(self, expr: Expr) -> np.ndarray | None:
        """Features of an expression of the space's inputs; None if they are not finite."""
        outputs = candidate_features(expr, self.space)
        # Then it is no usable activation, and need not be given to a network.
        if not np.isfinite(outputs).all():
            return None
        if self.settings.features == "outputs":
            return outputs
        spectrum = self.spectrum(expr)
        if self.settings.features == "both":
            spectrum = np.concatenate([outputs, self.settings.spectrum_weight * spectrum])
        return spectrum if np.isfinite(spectrum).all() else None

    def _targets(self) -> np.ndarray:
        if not self._known:
            return np.empty(0)
        costs = np.array(self._costs).reshape(len(self._known), -1)
        objectives = np.column_stack([self._comparisons.balance, -costs])
        shares = undominated_shares(objectives, objectives)
        return ndtri(shares - 0.5 / len(shares))

    def _best(self, targets: np.ndarray) -> list[Decisions]:
        """Answers of the best candidates; known activations have none."""
        order = np.argsort(-targets, kind="stable")
        found = [decisions for i in order if (decisions := self._decisions[i]) is not None]
        return found[: self.settings.parents]

    def _worth(self, pool: Pool, targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A value for each member of the pool; the highest is proposed."""
        settings = self.settings
        if settings.regressor == "neighbours":
            return _nearest_mean(self._known, targets, pool.features, settings.neighbours)
        mean, deviation = self._process.predict(targets, pool.features)
        if settings.exploration == 0:
            return mean
        hopeful = np.where(pool.fresh, mean + _BOUND * deviation, -np.inf)
        chosen = np.argsort(-hopeful, kind="stable")[:_DRAWN_AT]
        covariance = self._process.covariance(pool.features, chosen)
        # Twins make it singular.
        covariance[np.diag_indices_from(covariance)] += 1e-6
        departure = np.linalg.cholesky(covariance) @ rng.standard_normal(len(chosen))
        worth = np.full(len(mean), -np.inf)
        worth[chosen] = mean[chosen] + settings.exploration * departure
        return worth


def _comparable_scores(observation: Observation) -> tuple[float, ...]:
    """Scores less the penalty for cost, at each rung; none for what never ranks."""
    if observation.standing is None:
        return ()
    scores = observation.result.scores
    penalty = scores[-1] - observation.standing[1]
    return tuple(score - penalty for score in scores)


def _nearest_mean(
    known: Sequence[np.ndarray], targets: np.ndarray, pool: np.ndarray, neighbours: int
) -> np.ndarray:
    spread = pool.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    regressor = KNeighborsRegressor(min(neighbours, len(known)), algorithm="brute")
    return regressor.fit(np.array(known) / scale, targets).predict(pool / scale)
