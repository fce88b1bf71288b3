"""A task's own order of batches, and its figures beside the score."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator

import pytest
import torch
from tiny_task import AlwaysNan, Tiny
from torch import Tensor, nn

from actsearch.errors import TaskError
from actsearch.evaluators.population import train_population
from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, Split, Task
from actsearch.evaluators.tasks.splits import shuffled_batches
from actsearch.evaluators.training import Trainer, full_rungs

JOB = Job("search/0", "mul(x, sigmoid(x))", 5, 0.02, full_rungs(Tiny()))


class InOrder(Tiny):
    """Batches of four in the order of the data."""

    def batches(self, split: Split, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, 48, 4):
            yield split.inputs[start : start + 4], split.targets[start : start + 4]


class Measured(Tiny):
    """How the model stands when it is asked, and what on."""

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        right = self.score(model(split.inputs), split.targets)
        return {
            "accuracy": right,
            "targets": float(split.targets.sum()),
            "training": model.training,
            "gradients": torch.is_grad_enabled(),
        }


def test_by_default_batches_are_shuffled_ones() -> None:
    split = Tiny().load().train
    own = Tiny().batches(split, torch.Generator().manual_seed(3))
    shuffled = shuffled_batches(split, Tiny.batch_size, torch.Generator().manual_seed(3))
    for _ in range(12):
        for one, other in zip(next(own), next(shuffled), strict=True):
            assert torch.equal(one, other)


def test_a_training_sees_the_batches_of_its_task() -> None:
    seen = []

    class Watched(InOrder):
        def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
            seen.append(inputs)
            return inputs

    job = dataclasses.replace(JOB, rungs=(Rung(5), Rung(12)))
    assert Trainer(Watched())(job).status is Status.COMPLETE
    assert torch.equal(torch.cat(seen), Tiny().load().train.inputs[:48])


def test_batches_that_end_too_early_are_a_mistake_of_the_task() -> None:
    class Short(InOrder):
        def batches(
            self, split: Split, generator: torch.Generator
        ) -> Iterator[tuple[Tensor, Tensor]]:
            yield split.inputs, split.targets

    message = r"batches\(\) of task Short ended after 1 of 12 steps; yield a batch for each step"
    with pytest.raises(TaskError, match=message):
        Trainer(Short())(dataclasses.replace(JOB, rungs=(Rung(12),)))


@pytest.mark.parametrize("split", ["validation", "final"])
def test_measures_are_of_the_scored_split_in_evaluation_mode(split: str) -> None:
    result = Trainer(Measured())(dataclasses.replace(JOB, split=split))
    assert result.measures == {
        "accuracy": result.score,
        "targets": float(getattr(Tiny().load(), split).targets.sum()),
        "training": 0.0,
        "gradients": 0.0,
    }
    assert dataclasses.replace(result, measures={}, seconds=0.0) == dataclasses.replace(
        Trainer(Tiny())(dataclasses.replace(JOB, split=split)), seconds=0.0
    )


def test_measures_are_asked_for_once_and_only_of_a_complete_training() -> None:
    asked = []

    class Counted(Tiny):
        def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
            asked.append(model)
            return {"one": 1}

    job = dataclasses.replace(JOB, rungs=(Rung(5), Rung(12)))
    stopped = Trainer(Counted())(dataclasses.replace(job, thresholds=(1.1,)))
    assert (stopped.status, stopped.measures, asked) == (Status.STOPPED, {}, [])
    assert Trainer(Counted())(job).measures == {"one": 1.0}
    assert len(asked) == 1

    class Lost(AlwaysNan):
        measures = Counted.measures

    assert Trainer(Lost())(JOB).measures == {}
    assert len(asked) == 1


def test_measures_of_several_networks_are_means() -> None:
    class Anchored(Tiny):
        anchors = ("narrow", "wide")

        def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
            width = {"narrow": 4, "wide": 8}[anchor]
            return nn.Sequential(nn.Linear(6, width), activation(width), nn.Linear(width, 3))

        def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
            width = model[0].out_features
            return {"width": width} | ({"only here": 1.0} if width == 4 else {})

    assert Trainer(Anchored())(JOB).measures == {"width": 6.0}


@pytest.mark.parametrize("figure", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_is_left_out(figure: float) -> None:
    class Wild(Tiny):
        def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
            return {"wild": figure, "tame": 2.0}

    assert Trainer(Wild())(JOB).measures == {"tame": 2.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "a dict, got NoneType"),
        ([1.0], "a dict, got list"),
        ({"sparsity": "high"}, "numbers by name, got 'sparsity': 'high'"),
        ({3: 1.0}, "numbers by name, got 3: 1.0"),
    ],
)
def test_what_are_no_numbers_by_name_is_refused(given: object, message: str) -> None:
    class Wrong(Tiny):
        def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
            return given  # type: ignore[return-value]

    with pytest.raises(TaskError) as caught:
        Trainer(Wrong())(JOB)
    assert str(caught.value) == f"measures() of task Wrong must return {message}"


def test_measures_survive_json_and_older_records_have_none() -> None:
    result = Trainer(Measured())(JOB)
    record = json.loads(json.dumps(dataclasses.asdict(result), allow_nan=False))
    assert Result.from_dict(record) == result
    del record["measures"]
    assert Result.from_dict(record) == dataclasses.replace(result, measures={})


@pytest.mark.parametrize("task", [InOrder(), Measured()])
def test_what_a_stack_cannot_do_is_trained_one_at_a_time(task: Task) -> None:
    jobs = [
        Job(f"job/{i}", formula, 5, 0.02, (Rung(12),))
        for i, formula in enumerate(["relu(x)", "tanh(x)"])
    ]
    stacked, single = train_population(task, task.load(), jobs), [Trainer(task)(j) for j in jobs]
    for one, other in zip(stacked, single, strict=True):
        assert dataclasses.replace(one, seconds=0.0) == dataclasses.replace(other, seconds=0.0)
