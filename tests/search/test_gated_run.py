"""Runs over functions of u and v, from the first baseline to the page about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from surroundings import values_as_spectrum
from tiny_task import Tiny
from torch import nn

from actsearch.errors import TaskError
from actsearch.evaluators.pool import InProcessPool
from actsearch.evaluators.tasks import ActivationFactory, Task
from actsearch.evaluators.training import Trainer
from actsearch.primitives import baselines, inputs, parse
from actsearch.primitives.spaces import Gated, replay
from actsearch.runs.journal import BASELINES, SEARCH
from actsearch.runs.leaderboard import leaderboard
from actsearch.runs.report import report_html
from actsearch.runs.run import Run
from actsearch.search.config import load_config
from actsearch.search.engine import Engine

CONFIG = load_config(
    {
        "budget": 40,
        "space": {"name": "gated"},
        "strategy": {"name": "evolution", "population_size": 12, "tournament_size": 4},
        "search": {"lookback": 5},
        "training": {"learning_rate": 0.02, "rungs": [{"steps": 4}, {"steps": 12}]},
        "finals": {"contenders": 4, "finalists": 2, "seeds": 2, "learning_rate_factors": [1.0]},
    }
)


class Forgetful(Tiny):
    """Does not ask for the width, as a task that knows scalar candidates only."""

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), activation(8), nn.Linear(8, 3))


def whole(path: Path, task: Task) -> str:
    with Run.create(path, CONFIG.to_dict()) as run:
        engine = Engine(CONFIG, run, InProcessPool(Trainer(task)), values_as_spectrum)
        engine.search()
        engine.finals()
        return report_html(run)


def test_a_gated_run_trains_gates_and_is_compared_with_known_gates_and_scalars(
    tmp_path: Path,
) -> None:
    page = whole(tmp_path / "run", Tiny())
    with Run.open(tmp_path / "run") as run:
        searched, known = run.journal.entries(SEARCH), run.journal.entries(BASELINES)
        board = leaderboard(run.journal)
    assert len(searched) == 40
    for entry in searched:
        assert replay(Gated(), entry.details["decisions"]).expr.text == entry.job.formula
        assert inputs(parse(entry.job.formula)) == ("u", "v")
    gates = ["glu", "bilinear", "reglu", "geglu", "swiglu"]
    names = [*gates, *(scalar.name for scalar in baselines())]
    assert [entry.label for entry in known] == names
    arms = board["finals"]["arms"]
    assert {arm["label"] for arm in arms if not arm["candidate"]} == set(names)
    assert len([arm for arm in arms if arm["candidate"]]) == 2
    assert "contours of the value for u and v" in page
    assert page.count("Contours of ") == 6


def test_a_candidate_that_is_a_known_gate_is_named_and_no_finalist(tmp_path: Path) -> None:
    settings = load_config(
        {
            **CONFIG.to_dict(),
            "budget": 27,
            "space": {"name": "gated", "units": 0},
            "strategy": {"name": "exhaustive"},
        }
    )
    with Run.create(tmp_path / "run", settings.to_dict()) as run:
        engine = Engine(settings, run, InProcessPool(Trainer(Tiny())), values_as_spectrum)
        engine.search()
        engine.finals()
        known = {entry.details["known"] for entry in run.journal.entries(SEARCH)}
        arms = leaderboard(run.journal)["finals"]["arms"]
    gates = {"glu", "bilinear", "reglu", "geglu", "swiglu"}
    assert gates <= known
    formulas = {gate.expr.text for gate in baselines(("u", "v"))}
    assert not formulas & {arm["formula"] for arm in arms if arm["candidate"]}


def test_a_task_that_gives_no_gate_its_width_ends_the_run_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="known activations of u and v: TaskError: a gated") as told:
        whole(tmp_path / "run", Forgetful())
    assert "activation.width(8) outputs" in str(told.value)
    assert "\n" not in str(told.value)
