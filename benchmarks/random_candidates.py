"""Random candidates that pass the screens of a search, for the benchmarks."""

from __future__ import annotations

from itertools import count, islice

import numpy as np

from actsearch.evaluators.new_functions import NewFunctionScreen
from actsearch.evaluators.verdict import StaticLimits
from actsearch.primitives import Expr
from actsearch.primitives.spaces import Space


def random_candidates(space: Space, number: int, seed: int) -> list[Expr]:
    """So many different functions, as a random search with this seed proposes them."""
    screen = NewFunctionScreen(StaticLimits())
    drawn = (space.sample(np.random.default_rng([seed, n])).expr for n in count())
    return list(islice((expr for expr in drawn if screen(expr).accepted), number))
