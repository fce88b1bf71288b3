"""Every strategy and every space, end to end: what was stopped goes on as if it never had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from surroundings import values_as_spectrum
from tiny_task import Tiny

from actsearch.evaluators.pool import InProcessPool
from actsearch.evaluators.result import Result
from actsearch.evaluators.training import Trainer
from actsearch.primitives.spaces import SPACES
from actsearch.runs.leaderboard import leaderboard
from actsearch.runs.run import Run
from actsearch.search.config import load_config
from actsearch.search.engine import Engine
from actsearch.search.presets import preset_table, presets
from actsearch.search.strategies import STRATEGIES

# Clusters of two workers each: one at a time.
pytestmark = pytest.mark.xdist_group("ray")

CLI = [sys.executable, "-m", "actsearch.search.cli"]
TASK = f"{Path(__file__).parents[1] / 'tiny_task.py'}:Tiny"
# Small enough that each begins to learn within the budget.
STRATEGY_SETTINGS: dict[str, dict[str, Any]] = {
    "evolution": {"population_size": 4, "tournament_size": 2},
    "genetic": {"population_size": 4, "newcomers": 1},
    "reinforce": {"batch_size": 4},
}
NAMES = [*(name for name in STRATEGIES if name != "optuna"), "optuna:tpe", "optuna:nsgaii"]
# Each strategy on one space, each space with one strategy; exhaustive wants one that begins well.
PAIRS = [
    *((name, "correction" if name == "exhaustive" else "unary-binary") for name in NAMES),
    *(("evolution", name) for name in SPACES if name != "unary-binary"),
    ("surrogate", "tree"),
    ("reinforce", "gated"),
]
ON_RAY = [
    ("reinforce", "piecewise"),
    ("surrogate", "tree"),
    ("optuna:tpe", "gated"),
    ("evolution", "evonorm"),
]


def settings(strategy: str, space: str, budget: int = 16) -> dict[str, Any]:
    return {
        "budget": budget,
        "space": {"name": space},
        "strategy": {"name": strategy, **STRATEGY_SETTINGS.get(strategy, {})},
        "search": {"lookback": 3},
        "finals": {"finalists": 0},
    }


class StoppedPool(InProcessPool):
    """Stands for a process that is killed after so many trainings."""

    def __init__(self, trainings: int) -> None:
        super().__init__(Trainer(Tiny()))
        self.left = trainings

    def collect(self, timeout: float | None = None) -> list[Result]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().collect(timeout)


def board(path: Path, table: dict[str, Any], stop_after: int | None = None) -> str:
    """The leaderboard of a search; of one that is stopped on its way and resumed, if asked for."""
    config = load_config({**table, "training": {"rungs": [{"steps": 4}, {"steps": 8}]}})
    if stop_after is not None:
        with Run.create(path, config.to_dict()) as run, pytest.raises(KeyboardInterrupt):
            Engine(config, run, StoppedPool(stop_after), values_as_spectrum).search()
    opened = Run.open(path, writable=True) if stop_after else Run.create(path, config.to_dict())
    with opened as run:
        Engine(config, run, InProcessPool(Trainer(Tiny())), values_as_spectrum).search()
        return json.dumps(leaderboard(run.journal))


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "space"), PAIRS)
def test_every_strategy_and_every_space_resumes_to_equal_bytes(
    tmp_path: Path, strategy: str, space: str
) -> None:
    table = settings(strategy, space)
    whole = board(tmp_path / "whole", table)
    assert len(json.loads(whole)["candidates"]) > 8
    assert board(tmp_path / "stopped", table, stop_after=20) == whole


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_search_that_runs(tmp_path: Path, name: str) -> None:
    table = {**preset_table(name), "budget": 6, "finals": {"finalists": 0}}
    table["training"] = {**table.get("training", {}), "rungs": [{"steps": 8}]}
    config = load_config(table)
    with Run.create(tmp_path / "run", config.to_dict()) as run:
        Engine(config, run, InProcessPool(Trainer(Tiny())), values_as_spectrum).search()
        assert leaderboard(run.journal)["trained"] == 6


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "space"), ON_RAY)
def test_on_ray_a_killed_search_resumes_to_the_bytes_of_one_without_workers(
    tmp_path: Path, strategy: str, space: str
) -> None:
    lines = ["budget = 30", "[search]", "lookback = 4", "[finals]", "finalists = 0", "[strategy]"]
    lines += [f"name = '{strategy}'"]
    lines += [f"{key} = {value}" for key, value in STRATEGY_SETTINGS.get(strategy, {}).items()]
    (tmp_path / "settings.toml").write_text("\n".join(lines))
    launch = [*CLI, "launch", "--task", TASK, "--space", space]
    launch += ["--config", str(tmp_path / "settings.toml"), "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*launch, str(whole), "--in-process"], check=True, capture_output=True)
    process = subprocess.Popen(
        [*launch, str(killed), "--workers", "2"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_candidates(killed / "journal.log", 8)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    resumed = [*CLI, "resume", str(killed), "--workers", "2"]
    subprocess.run(resumed, check=True, capture_output=True, timeout=120)
    boards = [
        subprocess.run(
            [*CLI, "top", str(run), "--json", "-n", "100"], check=True, capture_output=True
        ).stdout
        for run in (whole, killed)
    ]
    assert boards[0] == boards[1]


def wait_for_candidates(journal: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if journal.exists() and journal.read_bytes().count(b"search/") >= count:
            return
        time.sleep(0.05)
    raise AssertionError("no candidate was trained in two minutes")
