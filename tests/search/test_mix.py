"""The comparison of a mixed network with single functions, and the command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from command_line import TASK, assert_one_clear_line, search
from tiny_task import Tiny

from actsearch.errors import ConfigError
from actsearch.evaluators.result import Job, Rung
from actsearch.evaluators.selection import SelectionSettings
from actsearch.evaluators.training import Trainer
from actsearch.search.mix import MIXED, MixSettings, _best_rate, pool_named, run_mix, trainings_of

TINY = f"{TASK}:Tiny"


@pytest.fixture(scope="module")
def found():
    mixing, pool = pool_named("relu, max(x, 0.5*x), tanh")
    settings = MixSettings(pool, SelectionSettings(mixing), seeds=3)
    told = []
    report = run_mix(Tiny(), settings, told=lambda label, score: told.append(label))
    return settings, report, told


def test_trains_all_alike(found):
    settings, report, told = found
    assert {arm["label"] for arm in report["arms"]} == {MIXED, *settings.pool}
    assert all(len(arm["scores"]) == 3 for arm in report["arms"])
    # The rest are rates beyond the edge of a sweep, at most four for each network.
    beyond = len(told) - trainings_of(settings)
    assert 0 <= beyond <= 4 * len(report["arms"])
    assert [c["against"] for c in report["comparisons"]] == list(settings.pool)


@pytest.mark.parametrize(
    ("peak", "found"),
    [(1.0, 1.0), (2.0, 2.0), (6.0, 8.0), (0.2, 0.25), (1000.0, 32.0), (0.001, 0.03125)],
)
def test_a_sweep_goes_on_beyond_its_edge(peak, found):
    tried = []

    def score_at(rate):
        tried.append(rate)
        return -abs(math.log2(rate / peak))

    assert _best_rate([0.5, 1.0, 2.0], score_at) == found
    assert len(tried) == len(set(tried)) <= 7


def test_lower_rates_are_tried_where_none_trains():
    assert _best_rate([0.5, 1.0], lambda rate: rate if rate < 0.2 else None) == 0.125
    assert _best_rate([0.5, 1.0], lambda rate: None) is None


def test_a_single_function_scores_as_in_a_search(found):
    _, report, _ = found
    arm = next(arm for arm in report["arms"] if arm["label"] == "relu")
    seeds = json.loads(json.dumps(arm["scores"]))
    trainer = Trainer(Tiny())
    words = np.random.SeedSequence(0).generate_state(4)[1:]
    again = [
        trainer(
            Job("k", "relu(x)", int(s), arm["learning_rate"], (Rung(Tiny.steps),), split="final")
        )
        for s in words
    ]
    assert seeds == [result.score for result in again]


def test_layers_add_up_to_the_neurons(found):
    _, report, _ = found
    assert [sum(layer.values()) for layer in report["layers"]] == pytest.approx([8])


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        ("relu", "at least two different"),
        ("relu,relu", "at least two different"),
        ("relu,swiglu", "'swiglu' is not a function of one number"),
        ("relu,bn_relu", "'bn_relu' is not a function of one number"),
        ("relu,softmax", "'softmax' is not a function of one number"),
        ("relu,rrelu", "'rrelu' is not a function of one number"),
    ],
)
def test_refuses_pools(pool, problem):
    with pytest.raises(ConfigError, match=problem):
        pool_named(pool)


def test_command_prints_tables_and_draws(tmp_path, capsys):
    picture = tmp_path / "choices.svg"
    flags = ("--pool", "relu,tanh", "--seeds", "2", "--picture", picture)
    code, out, err = search("mix", "--task", TINY, *flags, capsys=capsys)
    assert code == 0, err
    assert "gap" in out
    assert "Neurons by choice" in out
    assert picture.read_text().startswith("<svg")


def test_command_prints_json(capsys):
    flags = ("--pool", "relu,tanh", "--seeds", "2", "--json")
    _, out, _ = search("mix", "--task", TINY, *flags, capsys=capsys)
    assert json.loads(out)["gap"]["mean"] is not None


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--seeds", "1"), "needs at least two"),
        (("--switch", "1"), "between 0 and 1"),
        (("--pool", "nosuch,relu"), "nosuch"),
        (("--task", "nosuch"), "nosuch"),
    ],
)
def test_command_refuses_in_one_line(flags, problem, capsys):
    assert_one_clear_line(search("mix", *flags, capsys=capsys), problem)
