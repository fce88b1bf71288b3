"""One training: what it depends on, and how it ends."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from tiny_task import AlwaysNan, Tiny

from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.evaluators.training import Trainer, full_rungs
from actsearch.primitives import read_formula

JOB = Job("search/0", "mul(x, sigmoid(x))", 5, 0.02, full_rungs(Tiny()))


def outcome(result: Result) -> Result:
    return dataclasses.replace(result, seconds=0.0)


def test_a_result_depends_on_its_job_alone() -> None:
    first = Trainer(Tiny())(JOB)
    other = Trainer(Tiny())
    torch.manual_seed(123)
    other(dataclasses.replace(JOB, formula="tanh(x)", seed=9))
    assert outcome(other(JOB)) == outcome(first)
    assert first.status is Status.COMPLETE
    assert len(first.scores) == 2


def test_the_callers_random_generator_is_left_as_it_was() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    Trainer(Tiny())(JOB)
    assert torch.equal(torch.get_rng_state(), state)


def test_seed_rate_and_formula_matter() -> None:
    base = Trainer(Tiny())(JOB).curve
    for change in ({"seed": 6}, {"learning_rate": 0.05}, {"formula": "relu(x)"}):
        assert Trainer(Tiny())(dataclasses.replace(JOB, **change)).curve != base


def test_a_score_below_the_threshold_stops_there() -> None:
    stopped = Trainer(Tiny())(dataclasses.replace(JOB, thresholds=(1.1,)))
    assert stopped.status is Status.STOPPED
    assert len(stopped.scores) == 1
    assert "below 1.1000 at rung 1" in stopped.reason
    passed = Trainer(Tiny())(dataclasses.replace(JOB, thresholds=(0.0,)))
    assert passed.status is Status.COMPLETE


def test_a_rung_with_its_own_schedule_leaves_the_full_training_untouched() -> None:
    alone = Trainer(Tiny())(dataclasses.replace(JOB, rungs=(Rung(12),)))
    after_rung = Trainer(Tiny())(JOB)
    assert after_rung.scores[-1] == alone.scores[-1]
    assert after_rung.curve == alone.curve


def test_a_rung_on_the_way_scores_the_same_training() -> None:
    on_the_way = Trainer(Tiny())(dataclasses.replace(JOB, rungs=(Rung(5), Rung(12))))
    alone = Trainer(Tiny())(dataclasses.replace(JOB, rungs=(Rung(12),)))
    assert on_the_way.scores[-1] == alone.scores[-1]


def test_a_loss_that_is_not_finite_is_diverged_and_has_no_standing() -> None:
    result = Trainer(AlwaysNan())(JOB)
    assert result.status is Status.DIVERGED
    assert result.standing is None
    assert "not finite" in result.reason


def test_a_score_that_is_not_finite_is_diverged() -> None:
    class NanScore(Tiny):
        def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
            return math.nan

    assert Trainer(NanScore())(JOB).status is Status.DIVERGED


def test_the_final_split_is_scored_only_when_asked_for() -> None:
    class Marked(Tiny):
        def load(self):
            splits = super().load()
            return dataclasses.replace(
                splits,
                final=dataclasses.replace(
                    splits.final, targets=torch.full_like(splits.final.targets, 2)
                ),
            )

        def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
            return float((targets == 2).float().mean())

    assert Trainer(Marked())(JOB).score < 0.6
    final = dataclasses.replace(JOB, split="final")
    assert Trainer(Marked())(final).score == 1


def test_trainable_parameters_train() -> None:
    kept = {}

    class Watched(Tiny):
        def build_model(self, activation):
            kept["model"] = super().build_model(activation)
            return kept["model"]

    formula = "mul(x, sigmoid(mul(beta[1, channel], x)))"
    Trainer(Watched())(dataclasses.replace(JOB, formula=formula))
    beta = dict(kept["model"].named_parameters())["1.beta"]
    assert beta.shape == (8,)
    assert (beta != 1).all()


def test_initial_weights_carry_the_gain_of_the_candidate() -> None:
    stds = {}
    for name in ("relu", "sigmoid"):

        class Wide(Tiny):
            steps, rungs = 1, ()
            learning_rate = 1e-12

            def build_model(self, activation):
                from torch import nn

                self.last = nn.Linear(400, 400)
                return nn.Sequential(
                    nn.Linear(6, 400), activation(400), self.last, nn.Linear(400, 3)
                )

        task = Wide()
        Trainer(task)(
            dataclasses.replace(
                JOB, formula=str(read_formula(name)), rungs=(Rung(1),), learning_rate=1e-12
            )
        )
        stds[name] = float(task.last.weight.detach().std()) * 20
    assert stds == pytest.approx({"relu": math.sqrt(2), "sigmoid": 1.84622855}, rel=0.02)
