"""Strategies: which candidate next. A new one is a file here and a line in `STRATEGIES`."""

from collections.abc import Callable, Mapping
from typing import Any

from .evolution import AgingEvolution, EvolutionSettings
from .exhaustive import ExhaustiveSearch, ExhaustiveSettings
from .genetic import GeneticSearch, GeneticSettings
from .optuna_sampler import OptunaSampler, OptunaSettings
from .random import RandomSearch, RandomSettings
from .reinforce import Reinforce, ReinforceSettings
from .strategy import Observation, Strategy, Surroundings
from .surrogate import Surrogate, SurrogateSettings

STRATEGIES: Mapping[str, tuple[type, Callable[[Surroundings, Any], Strategy]]] = {
    "evolution": (EvolutionSettings, AgingEvolution),
    "exhaustive": (ExhaustiveSettings, ExhaustiveSearch),
    "genetic": (GeneticSettings, GeneticSearch),
    "optuna": (OptunaSettings, OptunaSampler),
    "random": (RandomSettings, RandomSearch),
    "reinforce": (ReinforceSettings, Reinforce),
    "surrogate": (SurrogateSettings, Surrogate),
}
"""By name: a frozen dataclass of settings, and what makes the strategy of them."""

__all__ = ["STRATEGIES", "Observation", "Strategy", "Surroundings"]
