"""What the leaderboard says of complexity, cost and the Pareto front."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actsearch.evaluators.cost_model import ENTRIES, CostModel
from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.primitives import parse
from actsearch.runs.journal import BASELINES, SEARCH, Entry
from actsearch.runs.leaderboard import leaderboard, trade_offs
from actsearch.runs.run import Run
from actsearch.search.terminal import leaderboard_table

RUNGS = (Rung(4, own_schedule=True), Rung(12))
TABLE = {**dict.fromkeys(ENTRIES, 0.1), "exp": 3.0, "tanh": 2.0}


def trained(study: str, index: int, formula: str, *scores: float) -> Entry:
    """A training; with one score it was stopped at the first rung."""
    label = formula.partition("(")[0] if study == BASELINES else f"#{index}"
    job = Job(f"{study}/{label}", parse(formula).text, 1, 0.1, RUNGS)
    status = Status.COMPLETE if len(scores) == len(RUNGS) else Status.STOPPED
    return Entry(job, Result(job.key, status, scores), label, {"index": index, "decisions": {}})


ENTRIES_OF_SEARCH = [
    trained(SEARCH, 0, "mul(x, tanh(x))", 0.1, 0.9),  # 4 nodes
    trained(SEARCH, 1, "mul(x, exp(neg(x)))", 0.1, 0.8),  # 5 nodes, worse than #0 in everything
    trained(SEARCH, 2, "sin(x)", 0.1, 0.5),  # 2 nodes, as few as relu, and a lower score
    trained(SEARCH, 3, "exp(x)", 0.99),  # stopped
    trained(SEARCH, 4, "mul(x, add(x, sin(x)))", 0.1, 0.85),  # 6 nodes, and cheaper than #0
]
ENTRIES_OF_BASELINES = [
    trained(BASELINES, 0, "relu(x)", 0.1, 0.7),
    trained(BASELINES, 1, "tanh(x)", 0.1, 0.7),  # as good as relu, and dearer
]


def board_of(path: Path, costs: dict[str, float] | None = None, count: int | None = None) -> Any:
    config: dict[str, Any] = {"seed": 0, "budget": 5}
    looks_at_cost = {"search": {"objectives": ["score", "cost"]}, "costs": costs}
    with Run.create(path, config if costs is None else config | looks_at_cost) as run:
        for study, entries in ((SEARCH, ENTRIES_OF_SEARCH), (BASELINES, ENTRIES_OF_BASELINES)):
            for entry in entries:
                run.journal.append(study, entry)
        return leaderboard(run.journal, count)


def marked(board: Any) -> set[str]:
    return {
        row["label"] for kind in ("candidates", "baselines") for row in board[kind] if row["front"]
    }


def printed(board: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=200).print(leaderboard_table(board))
    return file.getvalue()


def test_complexity_is_the_number_of_nodes_of_every_row(tmp_path: Path) -> None:
    board = board_of(tmp_path / "run")
    found = {row["label"]: row["complexity"] for row in board["candidates"] + board["baselines"]}
    assert found == {"#0": 4, "#1": 5, "#2": 2, "#3": 2, "#4": 6, "relu": 2, "tanh": 2}
    assert not any("modelled_cost" in row for row in board["candidates"] + board["baselines"])


def test_the_front_holds_what_no_complete_training_beats_and_keeps_ties(tmp_path: Path) -> None:
    board = board_of(tmp_path / "run")
    assert marked(board) == {"#0", "relu", "tanh"}
    assert [(row["label"], row["baseline"]) for row in board["front"]] == [
        ("#0", False),
        ("relu", True),
        ("tanh", True),
    ]


def test_modelled_cost_is_the_sum_of_the_runs_table_and_counts_for_the_front(
    tmp_path: Path,
) -> None:
    board = board_of(tmp_path / "run", TABLE)
    model = CostModel(TABLE)
    for row in board["candidates"] + board["baselines"]:
        assert row["modelled_cost"] == model.cost(parse(row["canonical"]))
    # tanh costs more than relu, and #4 less than #0.
    assert [row["label"] for row in board["front"]] == ["#0", "#4", "relu"]
    assert marked(board) == {"#0", "#4", "relu"}


def test_the_front_is_whole_however_few_candidates_are_listed(tmp_path: Path) -> None:
    board = board_of(tmp_path / "run", TABLE, count=1)
    assert [row["label"] for row in board["candidates"]] == ["#0"]
    assert [(row["label"], row["rank"]) for row in board["front"]] == [
        ("#0", 1),
        ("#4", 2),
        ("relu", 1),
    ]


def test_trade_offs_are_the_complete_trainings_highest_score_first(tmp_path: Path) -> None:
    board_of(tmp_path / "run", TABLE)
    with Run.open(tmp_path / "run") as run:
        found = trade_offs(run.journal)
    assert [one.entry.label for one in found] == ["#0", "#4", "#1", "relu", "tanh", "#2"]
    assert all(one.cost is not None and math.isfinite(one.cost) for one in found)


def test_a_table_of_costs_that_the_search_does_not_look_at_counts_for_nothing(
    tmp_path: Path,
) -> None:
    with Run.create(
        tmp_path / "run", {"search": {"cost_weight": 0.0}, "costs": {"exp": 1.0}}
    ) as run:
        run.journal.append(SEARCH, ENTRIES_OF_SEARCH[0])
        (row,) = leaderboard(run.journal)["front"]
    assert "modelled_cost" not in row


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (json.dumps(board_of(tmp_path / name, TABLE)) for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize(
    ("costs", "said", "unlisted"),
    [(None, "score and nodes", ""), (TABLE, "modelled cost", "* also #4, score 0.8500, 6 nodes")],
)
def test_the_table_marks_the_front_and_names_what_it_does_not_list(
    tmp_path: Path, costs: dict[str, float] | None, said: str, unlisted: str
) -> None:
    text = printed(board_of(tmp_path / "run", costs, count=1))
    assert "* on the Pareto front of score" in text
    assert said in text
    assert unlisted in text
    assert ("* also" in text) == bool(unlisted)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    marks = {row[-2]: row[0] for row in cells if row}
    assert marks == {
        "#0": "1 *",
        "relu": "*",
        "tanh": "" if costs else "*",
    }


def test_a_run_of_no_complete_training_has_no_front(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", {"seed": 0}) as run:
        run.journal.append(SEARCH, ENTRIES_OF_SEARCH[3])
        board = leaderboard(run.journal)
    assert board["front"] == []
    assert "*" not in printed(board)
