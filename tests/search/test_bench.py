"""Tables of scores, and replays on them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import assert_one_clear_line, search
from surroundings import values_as_spectrum
from tiny_task import Tiny

from actsearch.errors import ConfigError, RunError
from actsearch.evaluators.pool import InProcessPool
from actsearch.evaluators.result import Job, Result, Status
from actsearch.evaluators.table import Table, load_table, result_in_table
from actsearch.evaluators.training import Trainer
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS, OperatorSet
from actsearch.runs.journal import SEARCH
from actsearch.runs.run import Run
from actsearch.search.config import load_config
from actsearch.search.engine import Engine
from actsearch.search.proxies import proxy_rows
from actsearch.search.replay import on_table, replay
from actsearch.search.strategy_benchmark import median_interval, top_quality
from actsearch.search.tabulate import tabulate

FEW = OperatorSet(
    ("x", "neg(x)", "relu(x)", "sin(x)", "mul(beta[1], x)", "tanh(x)", "exp(x)"),
    ("add(x, y)", "mul(x, y)", "max(x, y)"),
)
SPACE = {"name": "unary-binary", "units": 1, "operators": "few"}
TRAINING = {
    "learning_rate": 0.02,
    "rungs": [{"steps": 3, "own_schedule": True}, {"steps": 6}, {"steps": 12}],
}
EXHAUSTIVE = {
    "budget": 10_000,
    "space": SPACE,
    "strategy": {"name": "exhaustive"},
    "training": {**TRAINING, "keep": 1.0},
    "finals": {"finalists": 0},
}


@pytest.fixture(autouse=True)
def few_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATOR_SETS, "few", FEW)


def trained(path: Path, settings: dict[str, Any]) -> list[str]:
    """Run the engine; the formulas in the order of proposal."""
    config = load_config(settings)
    with Run.create(path, config.to_dict()) as run:
        Engine(config, run, InProcessPool(Trainer(Tiny())), values_as_spectrum).search()
        entries = sorted(run.journal.entries(SEARCH), key=lambda entry: entry.details["index"])
    return [entry.job.formula for entry in entries]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPERATOR_SETS, "few", FEW)
        for seed in (0, 1):
            trained(folder / str(seed), {**EXHAUSTIVE, "seed": seed})
    return [folder / "0", folder / "1"]


@pytest.fixture
def table(runs: list[Path]) -> Table:
    return tabulate(runs)


def test_a_table_holds_every_function_once_and_every_spelling(table: Table) -> None:
    assert len(table.spellings) <= 7 * 7 * 3
    assert len(table.functions) == len(set(table.functions)) == table.scores.shape[0]
    assert table.scores.shape[1:] == (2, 3)
    # Sums and products commute, max too: at most about half of the spellings are functions.
    assert 15 < len(table.functions) < len(table.spellings) / 2
    same = ["max(x, neg(x))", "max(neg(x), x)"]
    assert table.function_of(same[0]) == table.function_of(same[1])
    assert set(np.unique(table.meanings[table.meanings >= 0])) == set(range(len(table.functions)))


def test_a_saved_table_is_the_same_when_loaded(table: Table, tmp_path: Path) -> None:
    table.save(tmp_path / "t.npz")
    loaded = load_table(tmp_path / "t.npz")
    assert loaded.settings == table.settings
    assert loaded.functions == table.functions and loaded.spellings == table.spellings
    np.testing.assert_array_equal(loaded.scores, table.scores)
    np.testing.assert_array_equal(loaded.meanings, table.meanings)
    np.testing.assert_array_equal(loaded.known_scores, table.known_scores)


@pytest.mark.parametrize("strategy", ["random", "evolution"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_replay_is_the_search_that_the_engine_makes(
    table: Table, tmp_path: Path, strategy: str, seed: int
) -> None:
    settings: dict[str, Any] = {
        "budget": 25,
        "strategy": {"name": strategy},
        "search": {"lookback": 3, "patience": 400},
        "training": {
            **TRAINING,
            "rungs": TRAINING["rungs"][1:],
            "keep": 0.4,
            "least_scores": 5,
        },
    }
    if strategy == "evolution":
        settings["strategy"] |= {"population_size": 6, "tournament_size": 3}
    config = load_config({**settings, "space": SPACE, "seed": seed})
    trainer = Trainer(Tiny())

    def first_spelling(job: Job) -> Result:
        # Another spelling of a function may differ from the table's in the last digits.
        text = table.functions[table.function_of(job.formula)] if "search" in job.key else None
        return trainer(replace(job, formula=text or job.formula))

    with Run.create(tmp_path / "run", config.to_dict()) as run:
        Engine(config, run, InProcessPool(first_spelling), values_as_spectrum).search()
        entries = sorted(run.journal.entries(SEARCH), key=lambda entry: entry.details["index"])
    history = replay(table, on_table(table, settings), seed)
    functions = [table.function_of(entry.job.formula) for entry in entries]
    assert list(history.functions) == functions
    assert [r.status for r in history.results] == [entry.result.status for entry in entries]
    stopped = [r for r in history.results if r.status is Status.STOPPED]
    assert stopped
    assert [r.scores for r in history.results] == [entry.result.scores for entry in entries]


def test_a_training_in_a_table_stops_at_a_threshold_and_diverges_where_it_did() -> None:
    scores = np.array([0.3, 0.5, 0.7], np.float32)
    assert result_in_table("k", scores, (0.2, 0.4)).status is Status.COMPLETE
    stopped = result_in_table("k", scores, (0.2, 0.6))
    assert (stopped.status, len(stopped.scores)) == (Status.STOPPED, 2)
    diverged = result_in_table("k", np.array([0.3, np.nan, np.nan]), ())
    assert (diverged.status, diverged.scores) == (Status.DIVERGED, (0.3,))


def test_what_is_reached_rises_and_what_is_picked_follows_the_scores_seen(table: Table) -> None:
    history = replay(table, on_table(table, {"budget": 30, "strategy": {"name": "random"}}), 0)
    reached, picked = history.reached(table), history.picked(table)
    assert (np.diff(reached) >= 0).all()
    complete = [
        (result.scores[-1], table.quality[function])
        for function, result in zip(history.functions, history.results, strict=True)
        if result.status is Status.COMPLETE
    ]
    best = max(score for score, _ in complete)
    assert picked[-1] == next(quality for score, quality in complete if score == best)
    assert reached[-1] == max(quality for _, quality in complete)


def test_the_top_share_counts_functions(table: Table) -> None:
    count = len(table.functions)
    bound = top_quality(table, 3 / count)
    assert (table.quality > bound).sum() < 3 <= (table.quality >= bound).sum()
    assert top_quality(table, 1e-9) == table.quality.max()


def test_the_median_interval_is_that_of_a_plain_bootstrap() -> None:
    generator = np.random.default_rng(3)
    samples = generator.normal(size=(80, 1))
    median, low, high = median_interval(samples)[:, 0]
    drawn = samples[generator.integers(80, size=(20_000, 80)), 0]
    expected = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    assert median == pytest.approx(float(np.median(samples)))
    assert [low, high] == pytest.approx(list(expected), abs=0.05)
    assert np.isinf(median_interval(np.array([[1.0], [np.inf], [np.inf]]))[0, 0])


def test_the_full_score_of_a_seed_predicts_itself_in_the_tables_of_proxies(table: Table) -> None:
    rows = {(row["of"], row["proxy"]): row for row in proxy_rows({"a": table, "b": table})}
    assert rows["a", "task b"]["tau"] == pytest.approx(1.0)
    assert rows["a", "task b"]["recall"] == 1.0
    assert 0 < rows["a", "6 steps"]["tau"] <= 1
    assert rows["a", "3 steps, own schedule"]["steps"] == 3 / 12
    assert -1 < rows["a", "another seed"]["tau"] < 1


def test_unfinished_and_other_runs_make_no_table(runs: list[Path], tmp_path: Path) -> None:
    trained(tmp_path / "short", {**EXHAUSTIVE, "budget": 5})
    with pytest.raises(RunError, match="not finished"):
        tabulate([tmp_path / "short"])
    trained(tmp_path / "random", {**EXHAUSTIVE, "budget": 5, "strategy": {"name": "random"}})
    with pytest.raises(RunError, match="did not train everything"):
        tabulate([tmp_path / "random"])
    trained(tmp_path / "other", {**EXHAUSTIVE, "training": {**TRAINING, "keep": 1.0, "window": 80}})
    with pytest.raises(RunError, match="another training"):
        tabulate([runs[0], tmp_path / "other"])


def test_rungs_that_the_table_lacks_are_refused(table: Table) -> None:
    with pytest.raises(ConfigError, match="no rung at 5 steps"):
        on_table(table, {"training": {"rungs": [{"steps": 5}, {"steps": 12}]}})
    with pytest.raises(ConfigError, match="full training, 12 steps"):
        on_table(table, {"training": {"rungs": [{"steps": 6}]}})


def test_bench_commands_write_tables_records_and_pictures(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.npz"
    code, _, err = search("bench", "table", *runs, "--out", path, capsys=capsys)
    assert code == 0 and "2 seeds, 3 rungs" in err
    code, out, _ = search("bench", "proxies", path, "--json", capsys=capsys)
    assert code == 0 and {row["proxy"] for row in json.loads(out)} >= {"6 steps", "another seed"}
    for damaged in (tmp_path / "none.npz", Path(__file__)):
        assert_one_clear_line(search("bench", "strategies", damaged, capsys=capsys))
