"""The presets of the paper's two searches for layers."""

from __future__ import annotations

from dataclasses import fields

import pytest

from actsearch.primitives.spaces import EvoNorm
from actsearch.search.config import Config, load_config
from actsearch.search.presets import preset_table
from actsearch.search.strategies.evolution import EvolutionSettings

pytestmark = pytest.mark.skipif(
    "rejection" not in {field.name for field in fields(Config)},
    reason="there are no rejection protocols yet",
)


@pytest.mark.parametrize(("series", "steps"), [("s", 5000), ("b", 2000)])
def test_the_presets_are_the_paper(series: str, steps: int) -> None:
    config = load_config(preset_table(f"evonorm-{series}-2020"))
    assert config.space == EvoNorm(10, series.upper(), False, "evonorm-2020")
    assert config.strategy == EvolutionSettings(
        population_size=2500, tournament_size=125, mutations=2, crossover=0.0, fresh=0.5
    )
    assert [rung.steps for rung in config.training.rungs] == [steps]
    assert config.rejection.stability_bound == 1e8
    assert len(config.task.anchors) == 3
