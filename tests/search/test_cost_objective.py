"""A search that weighs cost: what it prefers, and what stays as it was."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import SETTINGS, TASK, assert_one_clear_line, search
from surroundings import surroundings, values_as_spectrum
from tiny_task import Tiny

from actsearch.evaluators.cost_model import ENTRIES, CostModel
from actsearch.evaluators.pool import InProcessPool
from actsearch.evaluators.result import Job, Result, Status
from actsearch.evaluators.training import Trainer
from actsearch.primitives import parse
from actsearch.primitives.spaces import Proposal, UnaryBinary
from actsearch.runs.journal import BASELINES, FINALS, SEARCH
from actsearch.runs.leaderboard import leaderboard, standings
from actsearch.runs.run import Run
from actsearch.search.config import load_config
from actsearch.search.engine import Engine
from actsearch.search.strategies import Observation
from actsearch.search.strategies.evolution import AgingEvolution, EvolutionSettings

RUN: dict[str, Any] = {
    "budget": 60,
    "strategy": {"name": "evolution", "population_size": 12, "tournament_size": 4},
    "search": {"lookback": 5},
    "training": {
        "learning_rate": 0.02,
        "rungs": [{"steps": 4, "own_schedule": True}, {"steps": 12}],
    },
    "finals": {"contenders": 4, "finalists": 2, "seeds": 3, "learning_rate_factors": [1.0]},
}
TABLE = {**dict.fromkeys(ENTRIES, 0.1), "exp": 3.0, "erf": 5.0, "sinc": 8.0, "asinh": 2.0}


def equal_scores(job: Job) -> Result:
    """Every candidate scores the same on its way and at the end; only the curves differ."""
    chance = zlib.crc32(job.key.encode())
    score = 0.5 + 1e-9 * chance / 2**32 if job.key.startswith("final/") else 0.5
    return Result(
        job.key, Status.COMPLETE, (0.5,) * (len(job.rungs) - 1) + (score,), ((1, float(chance)),)
    )


def run_whole(path: Path, evaluate: Any, weight: float | None, **changes: Any) -> dict[str, Any]:
    table = {**RUN, **changes}
    if weight is not None:
        table["search"] = {**RUN["search"], "cost_weight": weight}
        table["costs"] = TABLE
    settings = load_config(table)
    with Run.create(path, settings.to_dict()) as run:
        engine = Engine(settings, run, InProcessPool(evaluate), values_as_spectrum)
        engine.search()
        engine.finals()
        return leaderboard(run.journal)


def test_of_two_that_score_the_same_the_cheap_one_has_the_children() -> None:
    space = UnaryBinary()
    strategy = AgingEvolution(
        surroundings(space),
        EvolutionSettings(population_size=2, tournament_size=2, crossover=0, fresh=0),
    )
    rng = np.random.default_rng(0)
    dear, cheap = (space.sample(rng) for _ in range(2))
    result = Result("", Status.COMPLETE, (0.5,))
    strategy.observe(Observation(dear.expr, dear.decisions, result, (1, 0.5 - 0.1)))
    strategy.observe(Observation(cheap.expr, cheap.decisions, result, (1, 0.5 - 0.01)))

    def shared(child: Proposal, parent: Proposal) -> int:
        return sum(parent.decisions.get(name) == made for name, made in child.decisions.items())

    children = [strategy.propose(np.random.default_rng(seed)) for seed in range(30)]
    assert all(shared(child, cheap) > shared(child, dear) for child in children)


def test_a_search_that_weighs_cost_breeds_ranks_and_chooses_cheap_candidates(
    tmp_path: Path,
) -> None:
    model = CostModel(TABLE)
    boards = {w: run_whole(tmp_path / str(w), equal_scores, w, budget=150) for w in (0.0, 0.1)}

    def costs(board: dict[str, Any]) -> list[float]:
        return [model.cost(parse(row["canonical"])) for row in board["candidates"]]

    # Of equal scores, those that were proposed first lead; weighed, those that are cheap.
    assert [row["label"] for row in boards[0.0]["candidates"]] == [f"#{i}" for i in range(150)]
    relu = model.cost(parse("relu(x)"))
    priced = [max(cost, relu) for cost in costs(boards[0.1])]
    assert priced == sorted(priced)
    assert np.mean(costs(boards[0.1])) < 0.8 * np.mean(costs(boards[0.0]))
    with Run.open(tmp_path / "0.1") as run:
        swept = {e.label for e in run.journal.entries(FINALS) if e.job.key.startswith("sweep/#")}
        searched = run.journal.entries(SEARCH)
    assert swept == {row["label"] for row in boards[0.1]["candidates"][:4]}
    # Thresholds are quantiles of the scores, from which nothing was taken.
    assert {t for e in searched for t in e.job.thresholds} == {float("-inf"), 0.5}


def test_the_objective_is_the_score_less_the_penalty(tmp_path: Path) -> None:
    board = run_whole(tmp_path / "run", Trainer(Tiny()), 0.05, budget=30)
    model = CostModel(TABLE)
    for row in (*board["candidates"], *board["baselines"]):
        doublings = np.log2(model.cost(parse(row["canonical"])) / model.cost(parse("relu(x)")))
        assert row["objective"] == pytest.approx(row["score"] - 0.05 * max(0.0, doublings))
    for stage in {len(row["rungs"]) for row in board["candidates"]}:
        objectives = [row["objective"] for row in standings(board) if len(row["rungs"]) == stage]
        assert objectives == sorted(objectives, reverse=True)
    with Run.open(tmp_path / "run") as run:
        final = [e for e in run.journal.entries(FINALS) if e.job.key.startswith("final/")]
    for arm in board["finals"]["arms"]:
        scores = [e.result.score for e in final if e.label == arm["label"]]
        assert arm["mean"] == pytest.approx(np.mean(scores))


def test_without_the_option_nothing_is_new(tmp_path: Path) -> None:
    plain = run_whole(tmp_path / "plain", Trainer(Tiny()), None)
    off = run_whole(tmp_path / "off", Trainer(Tiny()), 0.0)
    assert json.dumps(plain) == json.dumps(off)
    row_names = {
        *("rank", "label", "formula", "canonical", "score", "rungs", "complete", "known"),
        *("complexity", "front", "parts"),
    }
    assert all(set(row) == row_names for row in (*plain["candidates"], *plain["baselines"]))
    with Run.open(tmp_path / "plain") as run:
        details = [e.details for e in run.journal.entries(SEARCH)]
        baseline_details = [e.details for e in run.journal.entries(BASELINES)]
    names = {"index", "decisions", "known", "proposed", "rejected"}
    assert all(set(detail) == names for detail in details)
    assert all(set(detail) == {"index"} for detail in baseline_details)
    assert "[costs]" not in (tmp_path / "plain" / "config.toml").read_text()


def test_launch_measures_once_and_resume_reads_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def measure(device: str) -> dict[str, float]:
        measured.append(device)
        return TABLE

    monkeypatch.setattr("actsearch.search.cost.measure_operators", measure)
    (tmp_path / "settings.toml").write_text(SETTINGS)
    options = ("--task", f"{TASK}:Tiny", "--in-process", "--config", tmp_path / "settings.toml")
    run = tmp_path / "run"
    code, out, err = search("launch", *options, "--cost-weight", 0.05, "--out", run, capsys=capsys)
    assert code == 0, err
    assert measured == ["cpu"]
    assert "measured on this machine" in err
    assert "less cost" in out
    expected = search("top", run, "--json", capsys=capsys)
    # Cut the run short in the middle of its search.
    journal = run / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert search("resume", run, "--in-process", capsys=capsys)[0] == 0
    assert search("top", run, "--json", capsys=capsys) == expected
    assert search("report", run, capsys=capsys)[0] == 0
    assert "less cost" in (run / "report.html").read_text()
    # A copied configuration brings its table along.
    copied = ("--in-process", "--config", run / "config.toml", "--out", tmp_path / "copy")
    code, _, err = search("launch", *copied, capsys=capsys)
    assert code == 0
    assert "taken from the table [costs]" in err
    assert search("top", tmp_path / "copy", "--json", capsys=capsys) == expected
    assert measured == ["cpu"]


def test_launch_without_the_option_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actsearch.search.cost.measure_operators", None)
    (tmp_path / "settings.toml").write_text(SETTINGS.replace("budget = 20", "budget = 2"))
    options = ("--task", f"{TASK}:Tiny", "--in-process", "--config", tmp_path / "settings.toml")
    code, out, _ = search("launch", *options, "--out", tmp_path / "run", capsys=capsys)
    assert code == 0
    assert "less cost" not in out


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"exp": 1.0}, ["no entry 'forward_pass'", "remove the table"]),
        ({**TABLE, "epx": 1.0}, ["unknown setting 'costs.epx'", "did you mean 'exp'?"]),
    ],
)
def test_a_bad_table_of_costs_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: dict[str, float],
    words: list[str],
) -> None:
    lines = [f"{name} = {cost}" for name, cost in table.items()]
    text = "\n".join(["[search]", "cost_weight = 0.1", "[costs]", *lines])
    (tmp_path / "bad.toml").write_text(text)
    arguments = ("launch", "--config", tmp_path / "bad.toml", "--out", tmp_path / "run")
    assert_one_clear_line(search(*arguments, capsys=capsys), *words)
    assert not (tmp_path / "run").exists()
