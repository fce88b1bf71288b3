"""Stacked trainings against the same trainings one at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from actsearch.errors import TaskError
from actsearch.evaluators.population import train_population
from actsearch.evaluators.result import Job, Protocols, Rung, Status
from actsearch.evaluators.tasks import Task, load_task
from actsearch.evaluators.training import Trainer

FORMULAS = (
    "relu(x)",
    "x*sigmoid(beta[1, channel]*x)",
    "x*tanh(softplus(x))",
    "sin(x) + g[0.5]*x",
    "0.0*x",
    "erf(x)*b[1, channel] + c[0.1, channel]",
)
RUNGS = (Rung(10), Rung(25))


class WithStatistics(Task):
    """Digits with batch statistics and dropout, which have state and draws of their own."""

    steps, batch_size, learning_rate = 20, 64, 1e-2

    def __init__(self, dropout=0.0):
        self.dropout = dropout

    def load(self):
        return load_task("digits", None).load()

    def build_model(self, activation):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 16),
            nn.BatchNorm1d(16),
            activation(16),
            nn.Dropout(self.dropout),
            nn.Linear(16, 10),
        )

    def augment(self, inputs, generator):
        return inputs + 0.1 * torch.randn(inputs.shape, generator=generator)


def jobs_of(formulas, seeds, thresholds=()):
    return [
        Job(f"job/{i}", formula, seed, 1e-2, RUNGS, thresholds)
        for i, (formula, seed) in enumerate(zip(formulas, seeds, strict=True))
    ]


def assert_equal(stacked, single):
    assert [r.key for r in stacked] == [r.key for r in single]
    for one, other in zip(stacked, single, strict=True):
        assert (one.status, one.reason) == (other.status, other.reason)
        assert one.scores == pytest.approx(other.scores, abs=0.01)
        assert [step for step, _ in one.curve] == [step for step, _ in other.curve]
        losses = [loss for _, loss in one.curve], [loss for _, loss in other.curve]
        assert losses[0] == pytest.approx(losses[1], rel=2e-3)


@pytest.mark.parametrize("seeds", [[7] * 6, [1, 2, 3, 4, 5, 6]], ids=["one seed", "own seeds"])
@pytest.mark.parametrize("name", ["mnist1d-mlp", "digits"])
def test_a_stack_trains_as_one_at_a_time(name, seeds):
    task = load_task(name, None)
    jobs = jobs_of(FORMULAS, seeds)
    trainer = Trainer(task)
    assert_equal(train_population(task, task.load(), jobs), [trainer(job) for job in jobs])


def test_networks_leave_the_stack_at_the_rung_that_stops_them():
    task = load_task("digits", None)
    jobs = jobs_of([*FORMULAS[:4], "tanh(x)", FORMULAS[5]], [7] * 6)
    trainer = Trainer(task)
    at_rung = sorted(trainer(job).scores[0] for job in jobs)
    jobs = [replace(job, thresholds=((at_rung[2] + at_rung[3]) / 2,)) for job in jobs]
    stacked = train_population(task, task.load(), jobs)
    assert sum(result.status is Status.STOPPED for result in stacked) == 3
    assert_equal(stacked, [trainer(job) for job in jobs])


def test_a_network_that_diverges_does_not_touch_the_others():
    task = load_task("digits", None)
    wild = "exp(exp(1 + square(x)))"
    jobs = jobs_of(("relu(x)", wild, "tanh(x)"), [3, 3, 3])
    stacked = train_population(task, task.load(), jobs)
    assert [r.status for r in stacked] == [Status.COMPLETE, Status.DIVERGED, Status.COMPLETE]
    trainer = Trainer(task)
    assert_equal(stacked[::2], [trainer(job) for job in jobs[::2]])


def test_buffers_are_stacked_and_augmentation_is_each_networks_own():
    task = WithStatistics()
    jobs = jobs_of(FORMULAS[:3], [1, 2, 3])
    trainer = Trainer(task)
    assert_equal(train_population(task, task.load(), jobs), [trainer(job) for job in jobs])


def test_dropout_draws_differ_between_networks():
    task = WithStatistics(dropout=0.5)
    jobs = jobs_of(["relu(x)"] * 2, [4, 4])
    first, second = train_population(task, task.load(), jobs)
    assert first.curve != second.curve


def test_the_global_generator_is_left_as_it_was():
    task = load_task("digits", None)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train_population(task, task.load(), jobs_of(FORMULAS[:2], [1, 2]))
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.5}, {"rungs": (Rung(5),)}, {"split": "final"}]
)
def test_jobs_that_do_not_fit_together_are_refused(change):
    task = load_task("digits", None)
    jobs = jobs_of(FORMULAS[:2], [1, 1])
    with pytest.raises(TaskError, match="job job/0 and 1 others cannot be stacked"):
        train_population(task, task.load(), [jobs[0], replace(jobs[1], **change)])


def test_a_gate_is_refused():
    task = load_task("digits", None)
    with pytest.raises(TaskError, match="reads u, v; a stack gives x alone"):
        train_population(task, task.load(), jobs_of(["u*v"], [1]))


def test_layers_anchors_and_protocols_are_refused():
    task, jobs = load_task("digits", None), jobs_of(FORMULAS[:2], [1, 1])
    anchored = load_task("digits", None)
    anchored.anchors = ("first", "second")
    layer = replace(jobs[1], formula="x/std_layer(x)")
    checked = replace(jobs[1], protocols=Protocols(stability_steps=1))
    for of, stack in ((task, [jobs[0], layer]), (anchored, jobs), (task, [jobs[0], checked])):
        with pytest.raises(TaskError, match="no moments, no anchors and no rejection protocols"):
            train_population(of, task.load(), stack)
