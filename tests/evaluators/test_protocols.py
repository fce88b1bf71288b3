"""Rejection early in a training: what is looked at, when, and what is left as it was."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from tiny_task import Tiny
from torch import nn

from actsearch.evaluators.network import activation_of, built_model
from actsearch.evaluators.result import Check, Job, Protocols, Result, Rung, Status
from actsearch.evaluators.stability import gradient_norm_ascent
from actsearch.evaluators.tasks import ActivationFactory
from actsearch.evaluators.training import Trainer
from actsearch.primitives import parse

QUALITY = Protocols(quality_steps=6, quality_score=0.2)
STABILITY = Protocols(stability_steps=5)
BOTH = Protocols(quality_steps=6, quality_score=0.2, stability_steps=5)
JOB = Job("search/0", "x*sigmoid(x)", 5, 0.02, (Rung(8), Rung(12)))


class Blind(nn.Module):
    """Sees nothing of its input: its outputs are the same for all examples."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0


class Anchored(Tiny):
    """A narrow network, and a wide one with statistics of the batch and draws of its own."""

    anchors = ("narrow", "wide")

    def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
        if anchor == "narrow":
            return self.build_model(activation)
        return nn.Sequential(
            nn.Linear(6, 16),
            activation.normalised(nn.BatchNorm1d(16), 16),
            nn.Dropout(0.5),
            nn.Linear(16, 3),
        )


class OneBlind(Anchored):
    def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
        model = super().build_anchor(anchor, activation)
        return nn.Sequential(Blind(), model) if anchor == "wide" else model


def test_a_candidate_that_learns_nothing_in_one_network_is_rejected() -> None:
    protocols = dataclasses.replace(QUALITY, quality_score=0.5)
    fast = dataclasses.replace(JOB, learning_rate=0.2, protocols=protocols)
    result = Trainer(OneBlind())(fast)
    narrow, wide = result.checks
    assert result.status is Status.REJECTED
    assert (narrow.name, narrow.anchor, narrow.steps, narrow.passed) == (
        *("quality", "narrow", 6, True),
    )
    assert (wide.name, wide.anchor, wide.steps, wide.passed) == ("quality", "wide", 6, False)
    assert narrow.figure is not None and narrow.figure >= 0.5
    assert wide.figure is not None and wide.figure < 0.5
    assert result.reason == f"quality: score {wide.figure:.4f} of wide below 0.5 after 6 steps"
    assert (result.scores, result.parts, result.standing) == ((), (), None)


def test_the_score_that_decides_is_that_of_a_training_of_so_many_steps() -> None:
    quality = Trainer(Tiny())(dataclasses.replace(JOB, protocols=QUALITY)).checks
    on_the_way = Trainer(Tiny())(dataclasses.replace(JOB, rungs=(Rung(6), Rung(12))))
    assert [check.figure for check in quality] == [on_the_way.scores[0]]


def test_the_final_split_is_not_looked_at_for_quality() -> None:
    def checked(split: str) -> Result:
        return Trainer(Tiny())(dataclasses.replace(JOB, protocols=QUALITY, split=split))

    assert checked("final").checks == checked("validation").checks
    assert checked("final").scores != checked("validation").scores


def test_quality_is_looked_at_on_the_way_to_the_first_rung() -> None:
    late = Protocols(quality_steps=100, quality_score=0.01)
    rungs = (Rung(3, own_schedule=True), Rung(12))
    result = Trainer(Tiny())(dataclasses.replace(JOB, rungs=rungs, protocols=late))
    (check,) = result.checks
    assert (check.steps, check.figure) == (3, result.scores[0])


@pytest.mark.parametrize("protocols", [QUALITY, STABILITY, BOTH])
def test_checks_that_are_passed_leave_the_training_as_it_was(protocols: Protocols) -> None:
    plain = Trainer(Anchored())(JOB)
    checked = Trainer(Anchored())(dataclasses.replace(JOB, protocols=protocols))
    assert checked.status is Status.COMPLETE
    assert all(check.passed for check in checked.checks)
    assert (checked.scores, checked.parts) == (plain.scores, plain.parts)
    assert set(plain.curve) <= set(checked.curve)


def test_quality_in_all_networks_comes_before_stability() -> None:
    checked = Trainer(Anchored())(dataclasses.replace(JOB, protocols=BOTH))
    assert [(check.name, check.anchor) for check in checked.checks] == [
        ("quality", "narrow"),
        ("quality", "wide"),
        ("stability", "narrow"),
        ("stability", "wide"),
    ]


def test_the_norm_that_decides_is_that_of_the_initial_weights_and_one_batch() -> None:
    task, expr = Tiny(), parse(JOB.formula)
    result = Trainer(task)(dataclasses.replace(JOB, protocols=STABILITY))
    with torch.random.fork_rng(devices=[]):
        model = built_model(task, "", expr, activation_of(task, expr), JOB.seed, "cpu")
    train = task.load().train
    chosen = torch.randperm(80, generator=torch.Generator().manual_seed(JOB.seed))[:16]
    expected = gradient_norm_ascent(
        lambda: task.loss(model(train.inputs[chosen]), train.targets[chosen]),
        list(model.parameters()),
        5,
        1e8,
    )
    (check,) = result.checks
    assert (check.figure, check.steps) == expected


def test_a_gradient_norm_above_the_bound_is_rejected() -> None:
    protocols = dataclasses.replace(STABILITY, stability_bound=1e-3)
    result = Trainer(Anchored())(dataclasses.replace(JOB, protocols=protocols))
    (check,) = result.checks
    assert result.status is Status.REJECTED
    assert (check.steps, check.passed) == (0, False)
    assert result.reason == (
        f"stability: gradient norm {check.figure:.3g} of narrow above 0.001 after 0 steps"
    )


def test_a_gradient_that_is_not_finite_is_rejected_and_the_record_is_strict_json() -> None:
    wild = dataclasses.replace(JOB, formula="exp(exp(5 + square(x)))", protocols=BOTH)
    stability = dataclasses.replace(wild, protocols=STABILITY)
    result = Trainer(Tiny())(stability)
    assert result.status is Status.REJECTED
    assert result.checks == (Check("stability", "", None, 0, 0.0, False),)
    assert result.reason == "stability: gradient norm not finite after 0 steps"
    text = json.dumps(dataclasses.asdict(result), allow_nan=False)
    assert Result.from_dict(json.loads(text)) == result
    # On the way to the check of quality it is a divergence, as it is without.
    assert Trainer(Tiny())(wild).status is Status.DIVERGED


def test_a_divergence_before_the_score_names_the_network() -> None:
    class Lost(Anchored):
        def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
            return float("nan")

    result = Trainer(Lost())(dataclasses.replace(JOB, protocols=QUALITY))
    assert (result.status, result.reason) == (
        Status.DIVERGED,
        "score of narrow not finite at step 6",
    )


def test_equal_jobs_have_equal_checks_whatever_the_time() -> None:
    job = dataclasses.replace(JOB, protocols=BOTH)
    first, second = Trainer(Anchored())(job), Trainer(Anchored())(job)
    assert first.checks == second.checks
    assert first.checks[0] == dataclasses.replace(first.checks[0], seconds=1e9)
    assert all(check.seconds > 0 for check in first.checks)


def test_jobs_and_results_survive_json() -> None:
    job = dataclasses.replace(JOB, protocols=BOTH, thresholds=(0.1,))
    result = Trainer(Anchored())(job)
    assert len(result.parts) == 2
    for record in (job, result):
        text = json.dumps(dataclasses.asdict(record), allow_nan=False)
        assert type(record).from_dict(json.loads(text)) == record


def test_records_from_before_the_protocols_are_read() -> None:
    job, result = dataclasses.asdict(JOB), dataclasses.asdict(Trainer(Tiny())(JOB))
    without = {key: value for key, value in job.items() if key != "protocols"}
    assert Job.from_dict(without) == JOB
    older = {key: value for key, value in result.items() if key not in ("checks", "parts")}
    assert (Result.from_dict(older).checks, Result.from_dict(older).parts) == ((), ())


def test_a_rejected_result_never_ranks() -> None:
    assert Result("k", Status.REJECTED, (0.9,)).standing is None
