"""The loop: what it proposes depends on configuration and seed alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_task
from surroundings import values_as_spectrum
from tiny_task import Tiny

from actsearch.errors import RunError, TaskError
from actsearch.evaluators.pool import InProcessPool
from actsearch.evaluators.result import Job, Result, Status
from actsearch.evaluators.screens import DuplicateScreen, fingerprint
from actsearch.evaluators.tasks import Task
from actsearch.evaluators.training import Trainer
from actsearch.primitives import parse
from actsearch.primitives.spaces import UnaryBinary, replay
from actsearch.runs.journal import BASELINES, FINALS, SEARCH
from actsearch.runs.leaderboard import leaderboard
from actsearch.runs.run import Run
from actsearch.search.config import Config, load_config
from actsearch.search.engine import Engine

SETTINGS: dict[str, Any] = {
    "budget": 60,
    "strategy": {"name": "evolution", "population_size": 12, "tournament_size": 4},
    "search": {"lookback": 5},
    "training": {
        "learning_rate": 0.02,
        "rungs": [{"steps": 4, "own_schedule": True}, {"steps": 12}],
    },
    "finals": {"contenders": 4, "finalists": 2, "seeds": 3, "learning_rate_factors": [1.0]},
}


def config(**changes: Any) -> Config:
    return load_config({**SETTINGS, **changes})


class ShuffledPool(InProcessPool):
    """Many workers of very different speed: results come in any order, some much later."""

    capacity = 7

    def __init__(self, evaluate: Callable[[Job], Result], seed: int) -> None:
        super().__init__(evaluate)
        self.rng = np.random.default_rng(seed)

    def collect(self, timeout: float | None = None) -> list[Result]:
        if timeout == 0 and self.rng.random() < 0.6:
            return []
        self.rng.shuffle(self._queue)
        count = int(self.rng.integers(1, 4))
        return [result for _ in range(count) for result in InProcessPool.collect(self)]


def run_whole(
    path: Path, settings: Config, task: Task | None = None, pool: Any = None
) -> dict[str, Any]:
    with Run.create(path, settings.to_dict()) as run:
        engine = Engine(
            settings, run, pool or InProcessPool(Trainer(task or Tiny())), values_as_spectrum
        )
        engine.search()
        engine.finals()
        return leaderboard(run.journal)


def test_results_do_not_depend_on_the_order_in_which_they_arrive(tmp_path: Path) -> None:
    expected = json.dumps(run_whole(tmp_path / "one", config()))
    for seed in range(3):
        pool = ShuffledPool(Trainer(Tiny()), seed)
        assert json.dumps(run_whole(tmp_path / f"many{seed}", config(), pool=pool)) == expected


@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_another_seed_gives_another_run_and_the_same_seed_the_same(
    tmp_path: Path, strategy: str
) -> None:
    settings = {"strategy": {"name": strategy}, "budget": 30}
    boards = [
        run_whole(tmp_path / str(i), config(seed=seed, **settings))
        for i, seed in enumerate((0, 0, 1))
    ]
    assert boards[0] == boards[1]
    assert boards[0]["candidates"] != boards[2]["candidates"]


def test_no_function_is_trained_twice_and_every_candidate_replays(tmp_path: Path) -> None:
    settings = config(budget=80)
    run_whole(tmp_path / "run", settings)
    seen = DuplicateScreen()
    with Run.open(tmp_path / "run") as run:
        entries = run.journal.entries(SEARCH)
    assert len(entries) == 80
    for entry in sorted(entries, key=lambda e: e.details["index"]):
        expr = replay(UnaryBinary(2), entry.details["decisions"]).expr
        assert str(expr) == entry.job.formula
        mark = fingerprint(expr)
        assert seen.find(mark) is None
        seen.remember(mark, entry.job.formula)


def test_thresholds_are_quantiles_of_what_was_known_when_proposed(tmp_path: Path) -> None:
    settings = config(
        training={**SETTINGS["training"], "keep": 0.25, "least_scores": 6, "window": 20}
    )
    run_whole(tmp_path / "run", settings)
    with Run.open(tmp_path / "run") as run:
        entries = sorted(run.journal.entries(SEARCH), key=lambda e: e.details["index"])
    first_scores = [e.result.scores[0] if e.result.scores else None for e in entries]
    stopped = 0
    for index, entry in enumerate(entries):
        known = [s for s in first_scores[: max(0, index - 5 + 1)] if s is not None]
        expected = np.quantile(known[-20:], 0.75) if len(known) >= 6 else float("-inf")
        assert entry.job.thresholds == (pytest.approx(expected),)
        if entry.result.status is Status.STOPPED:
            stopped += 1
            assert entry.result.scores[0] < entry.job.thresholds[0]
    assert stopped > 10


def test_an_exhausted_space_ends_the_run_and_says_so(tmp_path: Path) -> None:
    class TwoFunctions(UnaryBinary):
        def build(self, choose):
            return parse(choose("f", ["tanh(x)", "relu(x)", "neg(tanh(x))", "x"]))

    settings = config(budget=50, search={"lookback": 5, "patience": 40})
    with Run.create(tmp_path / "run", settings.to_dict()) as run:
        engine = Engine(settings, run, InProcessPool(Trainer(Tiny())), values_as_spectrum)
        object.__setattr__(settings, "space", TwoFunctions())
        engine.search()
        summary = run.journal.attribute("search")
    assert summary["exhausted"]
    assert summary["trained"] == 2
    assert summary["rejected"]["duplicate"] + summary["rejected"]["affine"] >= 40


def test_finals_use_fresh_paired_seeds_on_the_final_split(tmp_path: Path) -> None:
    board = run_whole(tmp_path / "run", config())
    with Run.open(tmp_path / "run") as run:
        searched = [*run.journal.entries(SEARCH), *run.journal.entries(BASELINES)]
        finals = run.journal.entries(FINALS)
    sweep = [e.job for e in finals if e.job.key.startswith("sweep/")]
    final = [e.job for e in finals if e.job.key.startswith("final/")]
    assert {job.split for job in sweep} == {"validation"} == {e.job.split for e in searched}
    assert {job.split for job in final} == {"final"}
    seeds = [{e.job.seed for e in searched}, {j.seed for j in sweep}, {j.seed for j in final}]
    assert [len(s) for s in seeds] == [1, 1, 3]
    assert not (seeds[0] & seeds[1] | seeds[1] & seeds[2] | seeds[0] & seeds[2])
    by_arm: dict[str, list[int]] = {}
    for job in final:
        by_arm.setdefault(job.formula, []).append(job.seed)
    assert len({tuple(s) for s in by_arm.values()}) == 1
    table = board["finals"]
    assert len([arm for arm in table["arms"] if not arm["candidate"]]) == 11
    assert len([arm for arm in table["arms"] if arm["candidate"]]) == 2
    assert table["verdict"]


def test_a_candidate_that_always_raises_costs_its_own_job_only(tmp_path: Path) -> None:
    board = run_whole(tmp_path / "run", config(budget=30), tiny_task.SometimesBroken())
    with Run.open(tmp_path / "run") as run:
        failed = [e for e in run.journal.entries(SEARCH) if e.result.status is Status.FAILED]
    assert 0 < len(failed) < 30
    assert all("no exponentials here" in e.result.reason for e in failed)
    assert board["trained"] == 30
    assert not {e.label for e in failed} & {row["label"] for row in board["candidates"]}


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (tiny_task.BrokenModel(), "ValueError: no such layer"),
        (tiny_task.BrokenMidway(), "RuntimeError: lost the data"),
        (tiny_task.AlwaysNan(), "loss not finite"),
    ],
)
def test_a_task_that_trains_no_baseline_ends_the_run_at_once(
    tmp_path: Path, task: Task, reason: str
) -> None:
    with pytest.raises(TaskError, match=reason):
        run_whole(tmp_path / "run", config(), task)
    with Run.open(tmp_path / "run") as run:
        assert run.journal.entries(SEARCH) == []


def test_a_journal_made_by_other_code_is_refused(tmp_path: Path) -> None:
    settings = config(budget=10)
    run_whole(tmp_path / "run", settings)
    other = config(budget=10, seed=1)
    with Run.open(tmp_path / "run", writable=True) as run:
        engine = Engine(other, run, InProcessPool(Trainer(Tiny())), values_as_spectrum)
        with pytest.raises(RunError, match="made by other code"):
            engine.search()


def test_what_failed_outside_the_search_is_tried_again_on_resume(tmp_path: Path) -> None:
    settings = config(budget=12)
    expected = run_whole(tmp_path / "whole", settings)
    flaky = Trainer(Tiny())

    def out_of_memory(job: Job) -> Result:
        if job.key.startswith("final/") and job.key.endswith("/1"):
            return Result(job.key, Status.FAILED, reason="worker died: out of memory")
        return flaky(job)

    path = tmp_path / "run"
    first = run_whole(path, settings, pool=InProcessPool(out_of_memory))
    assert "No claim" in first["finals"]["verdict"]
    with Run.open(path, writable=True) as run:
        engine = Engine(settings, run, InProcessPool(Trainer(Tiny())), values_as_spectrum)
        engine.search()
        engine.finals()
        assert leaderboard(run.journal) == expected


def test_a_share_of_one_lets_everything_through(tmp_path: Path) -> None:
    settings = config(budget=40, training={**SETTINGS["training"], "keep": 1.0, "least_scores": 2})
    run_whole(tmp_path / "run", settings)
    with Run.open(tmp_path / "run") as run:
        assert not [e for e in run.journal.entries(SEARCH) if e.result.status is Status.STOPPED]
