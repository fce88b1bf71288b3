"""Strategies: which candidate next. A new one is a class here and a line in `STRATEGIES`."""

from collections.abc import Callable, Mapping

from .evolution import AgingEvolution
from .exhaustive import ExhaustiveSearch
from .random import RandomSearch
from .strategy import Observation, Strategy

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "evolution": AgingEvolution,
    "exhaustive": ExhaustiveSearch,
    "random": RandomSearch,
}
"""Each takes the space and the strategy settings of the configuration."""

__all__ = ["STRATEGIES", "AgingEvolution", "ExhaustiveSearch", "Observation", "RandomSearch", "Strategy"]
