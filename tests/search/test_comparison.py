"""A comparison: what is trained at which rate and seed, what is kept, what the table says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tiny_task import NoBatches, Tiny, TinyAnchors

from actsearch.errors import ConfigError, RunError
from actsearch.evaluators.pool import InProcessPool
from actsearch.evaluators.result import Job, Result, Status
from actsearch.evaluators.task_trainers import TaskTrainers
from actsearch.evaluators.tasks import Task
from actsearch.evaluators.training import Trainer
from actsearch.primitives import known_activations, read_formula
from actsearch.runs.comparison_page import comparison_page
from actsearch.runs.comparison_picture import comparison_pictures
from actsearch.runs.journal import FINALS, SEARCH
from actsearch.runs.run import COMPARISON, Run
from actsearch.search.comparison import LAYERS, run_comparison
from actsearch.search.comparison_config import (
    ComparisonConfig,
    Entrant,
    halving_rounds,
    load_comparison,
)
from actsearch.search.comparison_entrants import STANDARD, Entrants, zoo_names
from actsearch.search.comparison_table import comparison_table
from actsearch.search.comparison_terminal import comparison_tables
from actsearch.search.config import TaskSettings
from actsearch.search.trainings import Trainings


def settings(names: tuple[str, ...], task: Task | None = None, **changes: Any) -> ComparisonConfig:
    entrants = Entrants(task or Tiny())
    for name in names:
        entrants.add(name)
    return ComparisonConfig(
        entrants=tuple(entrants.named),
        merged=entrants.merged,
        task=TaskSettings("tiny", anchors=entrants.task.anchors),
        learning_rate=0.02,
        steps=12,
        **{"seeds": 4, "sweep_seeds": 1, "widenings": 1, **changes},
    )


def trained(task: Task) -> Callable[[Job], Result]:
    return TaskTrainers({"": Trainer(task), LAYERS: Trainer(task, normalises=True)})


def compared(
    path: Path,
    config: ComparisonConfig,
    evaluate: Callable[[Job], Result] | None = None,
    pool: Any = None,
) -> dict[str, Any]:
    """The table, of a comparison that is begun or gone on with in that directory."""
    made = InProcessPool(evaluate or trained(Tiny())) if pool is None else pool
    with (
        Run.open(path, writable=True, kinds=(COMPARISON,))
        if path.exists()
        else Run.create(path, config.to_dict())
    ) as run:
        outcome = run_comparison(config, Trainings(run, made, (SEARCH, FINALS), "now"))
    return comparison_table(config, outcome)


def jobs(path: Path, stage: str) -> list[Job]:
    with Run.open(path, kinds=(COMPARISON,)) as run:
        entries = [*run.journal.entries(SEARCH), *run.journal.entries(FINALS)]
    return [entry.job for entry in entries if entry.job.key.startswith(stage)]


def imagined(
    best: float = 0.02, quality: Callable[[str], float] = lambda formula: 0.0
) -> Callable[[Job], Result]:
    """Trainings whose score falls with the distance of the rate from the best one, in octaves."""

    def evaluate(job: Job) -> Result:
        noise = np.random.default_rng(job.seed).normal(0, 1e-3)
        score = quality(job.formula) - 0.1 * abs(math.log2(job.learning_rate / best)) + noise
        return Result(job.key, Status.COMPLETE, (score,), ((6, 2.0), (12, 1.0)))

    return evaluate


class ShuffledPool(InProcessPool):
    """Many workers of very different speed."""

    capacity = 7

    def __init__(self, evaluate: Callable[[Job], Result], seed: int) -> None:
        super().__init__(evaluate)
        self.rng = np.random.default_rng(seed)

    def collect(self, timeout: float | None = None) -> list[Result]:
        self.rng.shuffle(self._queue)
        return [
            result
            for _ in range(int(self.rng.integers(0, 4)))
            for result in InProcessPool.collect(self)
        ]


class StoppedPool(InProcessPool):
    """Ctrl-C after so many trainings."""

    def __init__(self, evaluate: Callable[[Job], Result], after: int) -> None:
        super().__init__(evaluate)
        self.left = after

    def collect(self, timeout: float | None = None) -> list[Result]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().collect()


NAMES = ("relu", "gelu", "x*tanh(softplus(x))", "silu")


def with_members(config: ComparisonConfig) -> ComparisonConfig:
    members = tuple(
        Entrant(name, read_formula(name).text) for name in ("tanh", "elu", "selu", "sigmoid")
    )
    changes = {"members": members, "rounds": halving_rounds(Tiny(), len(members), 1)}
    return ComparisonConfig(**{**config.__dict__, **changes})


def test_neither_workers_nor_interruptions_change_a_byte(tmp_path: Path) -> None:
    config = with_members(settings(NAMES))
    expected = json.dumps(compared(tmp_path / "one", config))
    pool = ShuffledPool(trained(Tiny()), seed=0)
    assert json.dumps(compared(tmp_path / "many", config, pool=pool)) == expected
    stopped = tmp_path / "stopped"
    for after in (0, 7, 12, 20):
        with pytest.raises(KeyboardInterrupt):
            compared(stopped, config, pool=StoppedPool(trained(Tiny()), after))
    assert json.dumps(compared(stopped, config)) == expected
    # Nothing was trained twice.
    keys = [job.key for job in jobs(stopped, "")]
    assert len(keys) == len(set(keys)) == len(jobs(tmp_path / "one", ""))


def test_seeds_are_paired_and_fresh_at_every_stage(tmp_path: Path) -> None:
    config = with_members(settings(NAMES))
    compared(tmp_path / "run", config)
    stages = {}
    for stage in ("round 1", "round 2", "sweep", "final"):
        found = jobs(tmp_path / "run", stage)
        seeds: dict[str, set[int]] = {}
        for job in found:
            seeds.setdefault(job.formula, set()).add(job.seed)
        assert len({frozenset(each) for each in seeds.values()}) == 1, stage
        stages[stage] = next(iter(seeds.values()))
        assert {job.split for job in found} == {"final" if stage == "final" else "validation"}
    assert len(stages["final"]) == 4
    assert len(set.union(*stages.values())) == sum(map(len, stages.values()))
    again = settings(NAMES, seed=1)
    assert not stages["final"] & set(again.seeds_for(13, count=4))


def test_the_table_agrees_with_scipy(tmp_path: Path) -> None:
    table = compared(tmp_path / "run", settings(NAMES, seeds=7))
    scores = {row["label"]: np.array(row["scores"]) for row in table["functions"]}
    assert set(scores) == set(NAMES)
    assert [row["mean"] for row in table["functions"]] == sorted(
        (row["mean"] for row in table["functions"]), reverse=True
    )
    p_values = {}
    for row in table["functions"]:
        own = scores[row["label"]]
        assert row["mean"] == pytest.approx(own.mean())
        assert row["deviation"] == pytest.approx(own.std(ddof=1))
        if row["label"] == "relu":
            assert row["difference"] is None
            continue
        differences = own - scores["relu"]
        found = row["difference"]
        assert found["effect"] == pytest.approx(differences.mean())
        assert found["deviation"] == pytest.approx(differences.std(ddof=1))
        assert found["low"] <= found["effect"] <= found["high"]
        p_values[row["label"]] = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=2**7
        ).pvalue
        assert found["p"] == pytest.approx(p_values[row["label"]])
    smallest = min(p_values, key=lambda name: p_values[name])
    row = next(row for row in table["functions"] if row["label"] == smallest)
    assert row["difference"]["p_holm"] == pytest.approx(min(1, 3 * p_values[smallest]))


def test_a_difference_beyond_chance_is_called_by_its_name(tmp_path: Path) -> None:
    good, bad = read_formula("gelu").text, read_formula("silu").text
    quality = {good: 0.5, bad: -0.5}
    evaluate = imagined(quality=lambda formula: quality.get(formula, 0.0))
    table = compared(tmp_path / "run", settings(("relu", "gelu", "silu"), seeds=8), evaluate)
    says = {r["label"]: r["difference"]["says"] for r in table["functions"] if r["difference"]}
    assert says == {"gelu": "better", "silu": "worse"}
    assert (table["best"], table["tied_with_best"]) == ("gelu", [])
    assert "Highest mean: gelu" in table["verdict"][0]
    assert "1 better (gelu); 1 worse (silu)" in table["verdict"][1]
    few = compared(tmp_path / "few", settings(("relu", "gelu", "silu"), seeds=3), evaluate)
    assert {r["difference"]["says"] for r in few["functions"] if r["difference"]} == {
        "not told apart"
    }
    assert "take --seeds 7 or more" in few["verdict"][2]


@pytest.mark.parametrize(("best", "rates"), [(0.02, 3), (0.0025, 6), (0.32, 7), (1e-9, 7)])
def test_the_sweep_goes_on_beyond_an_edge(tmp_path: Path, best: float, rates: int) -> None:
    table = compared(tmp_path / "run", settings(("relu", "gelu"), widenings=4), imagined(best))
    for row in table["functions"]:
        swept = [one["rate"] for one in row["sweep"]]
        assert len(swept) == rates
        assert swept == sorted(swept)
        nearest = min(swept, key=lambda rate: abs(math.log2(rate / best)))
        assert row["learning_rate"] == nearest
        assert row["at_edge"] is (best == 1e-9)


def test_where_no_rate_trains_lower_ones_are_tried(tmp_path: Path) -> None:
    def evaluate(job: Job) -> Result:
        if job.learning_rate > 0.004:
            return Result(job.key, Status.DIVERGED, reason="loss not finite at step 3")
        return imagined(0.004)(job)

    table = compared(tmp_path / "run", settings(("relu", "gelu"), widenings=4), evaluate)
    for row in table["functions"]:
        assert row["learning_rate"] == pytest.approx(0.0025)
        assert [one["score"] for one in row["sweep"]][-4:] == [None] * 4
        assert len(row["scores"]) == 4


def test_what_diverged_is_listed_last_with_its_reasons_and_not_compared(tmp_path: Path) -> None:
    broken, never = read_formula("gelu").text, read_formula("silu").text

    def evaluate(job: Job) -> Result:
        in_finals = job.key.startswith("final") and job.key.endswith("/2")
        if job.formula == never or (job.formula == broken and in_finals):
            return Result(job.key, Status.DIVERGED, reason="loss not finite at step 3")
        # Where it trains it is far above all others.
        return imagined(quality=lambda formula: 5.0 if formula == broken else 0.0)(job)

    config = settings(("relu", "gelu", "silu", "elu"), seeds=7)
    table = compared(tmp_path / "run", config, evaluate)
    assert [row["label"] for row in table["functions"]][-2:] == ["gelu", "silu"]
    by_label = {row["label"]: row for row in table["functions"]}
    assert by_label["gelu"]["unsound"] == ["seed 3: diverged, loss not finite at step 3"]
    assert len(by_label["gelu"]["scores"]) == 6
    assert by_label["silu"]["unsound"] == ["diverged or failed at every learning rate of the sweep"]
    assert by_label["silu"]["learning_rate"] is None
    assert table["best"] in ("relu", "elu")
    assert by_label["gelu"]["difference"] is None
    assert "not ranked: gelu, silu" in table["verdict"][-1]
    shown(table, config)
    lost = compared(tmp_path / "lost", settings(("silu", "relu", "elu")), evaluate)
    assert "Nothing is compared with silu" in lost["verdict"][1]
    shown(lost, config)
    alone = compared(tmp_path / "alone", settings(("silu", "gelu")), evaluate)
    assert alone["verdict"] == ["No claim: no function trained at every seed."]
    shown(alone, config)


def shown(table: dict[str, Any], config: ComparisonConfig) -> str:
    """The page, after the picture and the tables of the terminal were made too."""
    from rich.console import Console

    svg, png = comparison_pictures(table)
    assert svg.startswith("<svg")
    assert png.startswith(b"\x89PNG")
    console = Console(width=100)
    with console.capture() as captured:
        console.print(comparison_tables(table))
    page = comparison_page("run", table, svg, config.to_dict())
    for row in table["functions"]:
        assert row["label"] in captured.get()
        for reason in row["unsound"]:
            assert reason in " ".join(captured.get().split())
            assert reason in page
    return page


def test_a_failed_training_is_tried_again(tmp_path: Path) -> None:
    config = settings(("relu", "gelu"))

    def failing(job: Job) -> Result:
        if job.key == "final/gelu/0.02/1":
            raise MemoryError("no room")
        return imagined()(job)

    table = compared(tmp_path / "run", config, failing)
    assert "MemoryError" in table["functions"][-1]["unsound"][0]
    mended = compared(tmp_path / "run", config, imagined())
    assert json.dumps(mended) == json.dumps(compared(tmp_path / "whole", config, imagined()))


def test_the_reference_is_compared_with_all_others(tmp_path: Path) -> None:
    table = compared(tmp_path / "run", settings(("silu", "relu", "gelu")))
    against = {row["difference"]["against"] for row in table["functions"] if row["difference"]}
    assert against == {"silu"}
    assert table["reference"] == "silu"


def test_equal_functions_are_trained_once() -> None:
    entrants = Entrants(Tiny())
    names = ["mish", "x*tanh(softplus(x))", "silu", "-2*x*sigmoid(x)", "swish", "mish", "relu"]
    labels = [entrants.add(name) for name in names]
    assert labels == ["mish", "mish", "silu", "silu", "silu", "mish", "relu"]
    assert [entrant.label for entrant in entrants.named] == ["mish", "silu", "relu"]
    assert entrants.merged == {
        "x*tanh(softplus(x))": "mish",
        "-2*x*sigmoid(x)": "silu",
        "swish": "silu",
    }


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("2", "reads no input"),
        ("u*sigmoid(u)", "it reads u; a function reads x, or u and v"),
        ("sofplus(x)", "unknown operator"),
        ("bn_relu", "mixes the examples of a batch"),
    ],
)
def test_what_the_task_cannot_train_is_refused(formula: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as told:
        Entrants(NoBatches()).add(formula)
    assert "\n" not in str(told.value)


def test_a_gate_is_refused_where_the_model_gives_it_no_width() -> None:
    from torch import nn

    class Forgetful(Tiny):
        def build_model(self, activation: Any) -> nn.Module:
            return nn.Sequential(nn.Linear(6, 8), activation(8), nn.Linear(8, 3))

    with pytest.raises(ConfigError, match=r"swiglu cannot be compared: .*activation\.width"):
        Entrants(Forgetful()).add("swiglu")
    assert Entrants(Tiny()).add("swiglu") == "swiglu"


def test_layers_take_the_place_of_norms_and_scalars_stay_behind_them(tmp_path: Path) -> None:
    config = settings(("relu", "evonorm_s0", "bn_relu"), TinyAnchors(), seeds=2)
    assert [entrant.normalises for entrant in config.entrants] == [False, True, True]
    table = compared(tmp_path / "run", config, trained(TinyAnchors()))
    scores = {row["label"]: row["scores"] for row in table["functions"]}
    # The networks have BatchNorm before each activation: relu after it is the layer bn_relu.
    assert scores["relu"] == pytest.approx(scores["bn_relu"], abs=0.06)
    assert scores["relu"] != scores["evonorm_s0"]


def test_functions_of_a_tensor_stay_behind_the_norms() -> None:
    config = settings(("softmax", "polynorm", "gaussian_top_k", "rrelu", "frn_tlu"), TinyAnchors())
    assert [entrant.normalises for entrant in config.entrants] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("members", "survivors", "work"),
    [
        (8, 8, []),
        (9, 8, [(12, 1, 8)]),
        (16, 8, [(12, 1, 8)]),
        (17, 8, [(4, 1, 9), (12, 1, 8)]),
        (100, 8, [(4, 1, 50), (12, 1, 25), (12, 2, 13), (12, 4, 8)]),
    ],
)
def test_rounds_halve_and_double(
    members: int, survivors: int, work: list[tuple[int, int, int]]
) -> None:
    rounds = halving_rounds(Tiny(), members, survivors)
    assert [(r.steps, r.seeds, r.keep) for r in rounds] == work


def test_halving_keeps_the_best_and_lists_what_fell(tmp_path: Path) -> None:
    names = ("elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softplus", "snake")
    members = tuple(Entrant(name, read_formula(name).text) for name in names)
    worth = {member.formula: 0.05 * place for place, member in enumerate(members)}

    def evaluate(job: Job) -> Result:
        if job.formula == members[4].formula:
            return Result(job.key, Status.DIVERGED, reason="loss not finite at step 3")
        return imagined(quality=lambda formula: worth.get(formula, -1.0))(job)

    base = settings(("relu",))
    changes = {"members": members, "rounds": halving_rounds(Tiny(), 9, 2)}
    config = ComparisonConfig(**{**base.__dict__, **changes})
    table = compared(tmp_path / "run", config, evaluate)
    first, second, third = table["halving"]
    assert [row["label"] for row in first["functions"]] == [
        *("snake", "softplus", "sigmoid", "tanh", "silu", "gelu", "selu", "elu", "mish"),
    ]
    assert first["functions"][-1]["score"] is None
    assert [len(each["functions"]) for each in (first, second, third)] == [9, 5, 3]
    assert [row["label"] for row in third["functions"] if row["goes_on"]] == ["snake", "softplus"]
    # What the user named takes part to the end, however bad.
    assert {row["label"] for row in table["functions"]} == {"relu", "snake", "softplus"}
    page = shown(table, config)
    assert "Fell:" in page
    assert "mish (–)" in page


def test_the_zoo_sets_are_names_that_exist() -> None:
    assert len(STANDARD) == len(set(STANDARD)) == 16
    assert set(STANDARD) <= set(known_activations())
    everything = zoo_names("all")
    assert set(STANDARD) <= set(everything)
    assert "swiglu" not in everything
    entrants = Entrants(Tiny())
    entrants.add("x*sigmoid(x)")
    entrants.add_members(STANDARD)
    assert entrants.merged == {"silu": "x*sigmoid(x)"}
    assert len(entrants.members) == 15


def test_measures_of_the_task_become_columns(tmp_path: Path) -> None:
    from dataclasses import replace

    def evaluate(job: Job) -> Result:
        return replace(imagined()(job), measures={"sparsity": job.seed % 100 / 100})

    config = settings(("relu", "gelu"))
    table = compared(tmp_path / "run", config, evaluate)
    expected = np.mean([seed % 100 / 100 for seed in config.seeds_for(13, count=4)])
    for row in table["functions"]:
        assert row["measures"]["sparsity"] == pytest.approx(expected)
    assert "sparsity" in shown(table, config)


def test_curves_are_means_over_the_seeds(tmp_path: Path) -> None:
    config = settings(("relu", "gelu"))
    table = compared(tmp_path / "run", config)
    with Run.open(tmp_path / "run", kinds=(COMPARISON,)) as run:
        entries = [
            entry
            for entry in run.journal.entries(FINALS)
            if entry.label == "gelu" and entry.job.split == "final"
        ]
    losses = np.mean([[loss for _, loss in entry.result.curve] for entry in entries], axis=0)
    row = next(row for row in table["functions"] if row["label"] == "gelu")
    assert [loss for _, loss in row["curve"]] == pytest.approx(losses.tolist())
    assert row["curve"][-1][0] == 12


def test_settings_come_back_from_their_directory_and_strange_ones_are_refused(
    tmp_path: Path,
) -> None:
    config = with_members(settings(NAMES))
    with Run.create(tmp_path / "run", config.to_dict()) as run:
        assert load_comparison(run.config()) == config
    with pytest.raises(RunError, match="not the settings of a comparison"):
        load_comparison({"kind": "comparison", "colour": 3})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": 1}, "seeds=1 must be at least 2"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"learning_rate_factors": (1.0,)}, "learning_rate_factors"),
        ({"learning_rate_factors": (2.0, 1.0)}, "in rising order"),
        ({"confidence": 1.0}, "confidence=1.0"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(("relu", "gelu"), **changes)


def test_a_journal_of_other_code_is_refused(tmp_path: Path) -> None:
    config = settings(("relu", "gelu"))
    compared(tmp_path / "run", config, imagined())
    other = ComparisonConfig(**{**config.__dict__, "steps": 11})
    with pytest.raises(RunError, match="rungs of sweep/relu/"):
        compared(tmp_path / "run", other, imagined())


def test_a_search_cannot_be_opened_as_a_comparison_nor_the_other_way_round(tmp_path: Path) -> None:
    Run.create(tmp_path / "search", {"seed": 0}).close()
    with pytest.raises(RunError, match="holds a search"):
        Run.open(tmp_path / "search", kinds=(COMPARISON,))
    Run.create(tmp_path / "comparison", settings(("relu", "gelu")).to_dict()).close()
    with pytest.raises(RunError, match="holds a comparison, which has no candidates"):
        Run.open(tmp_path / "comparison")
