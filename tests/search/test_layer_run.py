"""Runs over layers: several networks, rejection protocols, finals on another task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import assert_one_clear_line, search
from surroundings import values_as_spectrum
from tiny_task import NoBatches, Tiny, TinyAnchors

from actsearch.evaluators.pool import InProcessPool
from actsearch.evaluators.result import Status
from actsearch.evaluators.task_trainers import TaskTrainers
from actsearch.evaluators.training import Trainer
from actsearch.primitives import inputs, known_layers, moments, parse, reads_batch
from actsearch.primitives.analysis import at_unit_statistics
from actsearch.primitives.spaces import EvoNorm, replay
from actsearch.runs.journal import BASELINES, FINALS, SEARCH
from actsearch.runs.leaderboard import leaderboard
from actsearch.runs.report import report_html
from actsearch.runs.run import Run
from actsearch.search.config import load_config, reload_task, resolve
from actsearch.search.engine import Engine
from actsearch.search.terminal import leaderboard_table

FILE = Path(__file__).parents[1] / "tiny_task.py"
GROUPS, STEPS = "groups.toml", "steps.toml"
SPACE = EvoNorm(nodes=5, series="B")
TABLE: dict[str, Any] = {
    "budget": 30,
    "seed": 4,
    "space": {"name": "evonorm", "nodes": 5, "series": "B"},
    "strategy": {
        "name": "evolution",
        "population_size": 8,
        "tournament_size": 3,
        "mutations": 2,
        "fresh": 0.5,
        "crossover": 0.0,
    },
    "search": {"lookback": 4, "objectives": ["anchors"]},
    "task": {"name": f"{FILE}:TinyAnchors"},
    "training": {"learning_rate": 0.02, "rungs": [{"steps": 4}, {"steps": 12}]},
    "rejection": {"quality_score": 0.3, "stability_steps": 5},
    "finals": {"contenders": 4, "finalists": 2, "seeds": 2, "learning_rate_factors": [1.0]},
}


def whole(path: Path, table: dict[str, Any], finals_task: Tiny | None = None) -> str:
    config, task = resolve(load_config(table))
    trainers = {"": Trainer(task, normalises=True), FINALS: Trainer(finals_task or task)}
    with Run.create(path, config.to_dict()) as run:
        engine = Engine(config, run, InProcessPool(TaskTrainers(trainers)), values_as_spectrum)
        engine.search()
        engine.finals()
        return report_html(run)


def test_a_run_over_layers_from_the_first_baseline_to_the_page_about_it(tmp_path: Path) -> None:
    page = whole(tmp_path / "run", TABLE)
    with Run.open(tmp_path / "run") as run:
        searched, known = run.journal.entries(SEARCH), run.journal.entries(BASELINES)
        board = leaderboard(run.journal)
    assert len(searched) == 30
    for entry in searched:
        assert replay(SPACE, entry.details["decisions"]).expr == parse(entry.job.formula)
        # A complete training passed both protocols in both networks; a rejected one failed one.
        passed = [check.passed for check in entry.result.checks]
        if entry.result.status is Status.COMPLETE:
            assert passed == [True] * 4 and len(entry.result.parts) == 2
        if entry.result.status is Status.REJECTED:
            assert not passed[-1] and all(passed[:-1]) and entry.result.standing is None
    assert any(entry.result.status is Status.REJECTED for entry in searched)
    marked = [name for name, layer in known_layers().items() if layer.baseline]
    assert [entry.label for entry in known] == marked
    for row in board["candidates"]:
        assert row["score"] == pytest.approx(sum(row["parts"].values()) / 2)
        assert list(row["parts"]) == ["dense", "channels"]
    arms = board["finals"]["arms"]
    assert {arm["label"] for arm in arms if not arm["candidate"]} == set(marked)
    assert {c["against"] for c in board["finals"]["comparisons"]} >= {"bn_relu"}
    assert "Rejection protocols" in page
    drawn = [
        row
        for row in board["candidates"]
        if inputs(at_unit_statistics(parse(row["canonical"]))) == ("x",)
    ]
    assert len(drawn) >= 6 and any(moments(parse(row["canonical"])) for row in drawn)
    assert "all statistics those of standard normal" in page
    assert "turned down: quality" in page
    assert "Transfer" not in page


def test_finals_on_another_task_and_the_table_of_transfer(tmp_path: Path) -> None:
    table = {**TABLE, "finals": {**TABLE["finals"], "task": {"name": f"{FILE}:Tiny"}}}
    page = whole(tmp_path / "run", table, Tiny())
    with Run.open(tmp_path / "run") as run:
        finals = run.journal.entries(FINALS)
        board = leaderboard(run.journal)
    assert {entry.job.task for entry in finals} == {FINALS}
    assert all(entry.result.parts == () for entry in finals)
    # The task's own steps, and the rate of the sweep about its own rate.
    assert {entry.job.rungs[-1].steps for entry in finals} == {Tiny.steps}
    assert {entry.job.learning_rate for entry in finals} == {Tiny.learning_rate}
    assert board["finals_task"].endswith(":Tiny")
    assert "Found on" in page and "measured on" in page


def test_a_task_can_forbid_statistics_of_the_batch(tmp_path: Path) -> None:
    table = {**TABLE, "task": {"name": f"{FILE}:NoBatches"}, "budget": 12}
    config, _ = resolve(load_config(table))
    assert not config.screens.batch_statistics
    whole(tmp_path / "run", table)
    with Run.open(tmp_path / "run") as run:
        entries = [*run.journal.entries(SEARCH), *run.journal.entries(BASELINES)]
        rejected = max(run.journal.entries(SEARCH), key=lambda e: e.details["index"]).details
    assert not any(reads_batch(parse(entry.job.formula)) for entry in entries)
    assert rejected["rejected"]["batch statistics"] > 0
    assert NoBatches().anchors == TinyAnchors().anchors


@pytest.mark.parametrize("strategy", ["evolution", "optuna:nsgaii", "surrogate"])
@pytest.mark.parametrize("objectives", [["anchors"], ["anchors", "complexity"], ["score"]])
def test_strategies_take_each_network_as_an_objective(
    tmp_path: Path, strategy: str, objectives: list[str]
) -> None:
    table = {
        **TABLE,
        "budget": 8,
        "strategy": {"name": strategy},
        "search": {"lookback": 2, "objectives": objectives},
        "rejection": {},
        "finals": {"finalists": 0},
    }
    whole(tmp_path / "run", table)
    with Run.open(tmp_path / "run") as run:
        assert leaderboard(run.journal)["trained"] == 8


def test_finals_on_a_task_that_forbids_statistics_of_the_batch_forbid_them_to_the_search() -> None:
    finals = {**TABLE["finals"], "task": {"name": f"{FILE}:NoBatches"}}
    config, _ = resolve(load_config({**TABLE, "finals": finals}))
    assert not config.screens.batch_statistics


@pytest.mark.parametrize("task", ["OwnAnchors", "Frozen"])
def test_a_task_that_lets_nobody_choose_is_loaded_again(task: str) -> None:
    config, first = resolve(load_config({"task": {"name": f"{FILE}:{task}"}}))
    again = reload_task(load_config(config.to_dict()).task)
    assert again.anchors == first.anchors == config.task.anchors


def test_without_a_candidate_there_are_no_finals(tmp_path: Path) -> None:
    table = {**TABLE, "budget": 3, "rejection": {"quality_score": 2.0}}
    # All are turned down, known layers too, unless they are not asked.
    config, task = resolve(load_config(table))
    with Run.create(tmp_path / "run", config.to_dict()) as run:
        engine = Engine(config, run, InProcessPool(Trainer(task)), values_as_spectrum)
        engine.finals()
        board = leaderboard(run.journal)
        page = report_html(run)
    assert board["finals"]["arms"] == []
    assert board["finals"]["verdict"] == "No claim: no candidate ranks."
    assert "No candidate ranks" in page
    leaderboard_table(board)


def test_finals_of_earlier_versions_are_printed(tmp_path: Path) -> None:
    whole(tmp_path / "run", {**TABLE, "budget": 12})
    with Run.open(tmp_path / "run") as run:
        board = leaderboard(run.journal)
    for arm in board["finals"]["arms"]:
        del arm["parts"]
    assert board["finals"]["arms"] and leaderboard_table(board)


def test_launch_prints_each_network_and_exports_with_the_groups_of_the_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(
        "budget = 14\n[rejection]\nstability_steps = 2\nquality_score = 0.1\n"
        "[finals]\nfinalists = 0\n"
    )
    command = ["launch", "--space", "evonorm", "--task", f"{FILE}:TinyAnchors", "--in-process"]
    out = tmp_path / "run"
    code, shown, _ = search(
        *command, "--config", tmp_path / "run.toml", "--out", out, capsys=capsys
    )
    assert code == 0
    assert "dense" in shown and "channels" in shown
    code, text, _ = search("top", out, "--json", capsys=capsys)
    assert code == 0 and set(json.loads(text)["candidates"][0]["parts"]) == {"dense", "channels"}
    assert search("export", out, capsys=capsys)[0] == 0
    assert "groups: int = 2" in (out / "exports" / "rank_1.py").read_text()


def test_a_flag_forbids_statistics_of_the_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(
        "budget = 4\n[space]\nseries = 'B'\n[rejection]\nstability_steps = 0\n"
        "quality_score = 0.0\n[finals]\nfinalists = 0\n"
    )
    command = ["launch", "--space", "evonorm", "--task", f"{FILE}:TinyAnchors", "--in-process"]
    command += ["--config", tmp_path / "run.toml", "--no-batch-statistics"]
    assert search(*command, "--out", tmp_path / "run", capsys=capsys)[0] == 0
    with Run.open(tmp_path / "run") as run:
        known = {entry.label for entry in run.journal.entries(BASELINES)}
        searched = run.journal.entries(SEARCH)
    assert known == {"gn_silu", "ln_gelu", "evonorm_s0"}
    assert not any(reads_batch(parse(entry.job.formula)) for entry in searched)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--anchors", "resnet,lenet"], ["lenet", "resnet", "transformer"]),
        (["--anchors", "resnet,resnet"], ["resnet"]),
        (["--task", "digits", "--anchors", "resnet"], ["digits", "resnet"]),
        (["--objectives", "anchors,score"], ["search.objectives"]),
        (["--config", GROUPS], ["task.groups", "-1"]),
        (["--config", STEPS], ["rejection.quality_steps", "0"]),
    ],
)
def test_bad_anchors_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    (tmp_path / GROUPS).write_text("[task]\ngroups = -1\n")
    (tmp_path / STEPS).write_text("[rejection]\nquality_steps = 0\n")
    given = [tmp_path / word if word in (GROUPS, STEPS) else word for word in arguments]
    command = ["launch", "--space", "evonorm", *given, "--out", tmp_path / "run"]
    assert_one_clear_line(search(*command, capsys=capsys), *words)
    assert not (tmp_path / "run").exists()
