"""Digits class after class: the order, and what was forgotten."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from actsearch.errors import TaskError
from actsearch.evaluators.result import Job, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, Split, load_task
from actsearch.evaluators.tasks.digits_continual import (
    DigitsContinual,
    class_accuracies,
    forgetting,
)
from actsearch.evaluators.training import Trainer, full_rungs

TASK = DigitsContinual()
JOB = Job("search/0", "relu(x)", 0, TASK.learning_rate, full_rungs(TASK))
ELEPHANT = "1/(1 + square(square(5.0*x)))"


@pytest.fixture(scope="module")
def batches() -> list[tuple[Tensor, Tensor]]:
    return list(TASK.batches(TASK.load().train, torch.Generator().manual_seed(0)))


def test_classes_come_in_order_each_image_once(batches) -> None:
    assert len(batches) == TASK.steps == 260
    labels = torch.cat([targets for _, targets in batches])
    assert labels.tolist() == sorted(labels.tolist())
    assert torch.bincount(labels).tolist() == [104] * 10
    images = torch.cat([inputs for inputs, _ in batches])
    assert len({image.numpy().tobytes() for image in images}) == 1040
    train = TASK.load().train
    known = {
        (image.numpy().tobytes(), int(label))
        for image, label in zip(train.inputs, train.targets, strict=True)
    }
    assert all(
        (image.numpy().tobytes(), int(label)) in known
        for image, label in zip(images, labels, strict=True)
    )


def test_each_class_has_whole_batches_and_an_order_of_the_generator(batches) -> None:
    assert all(len(targets.unique()) == 1 and len(targets) == 4 for _, targets in batches)
    train = TASK.load().train
    again = list(TASK.batches(train, torch.Generator().manual_seed(0)))
    other = list(TASK.batches(train, torch.Generator().manual_seed(1)))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(batches, again, strict=True))
    assert not all(torch.equal(a, b) for (a, _), (b, _) in zip(batches, other, strict=True))


def test_what_is_scored_is_not_trained_on(batches) -> None:
    seen = {image.numpy().tobytes() for inputs, _ in batches for image in inputs}
    splits = TASK.load()
    for part in (splits.validation, splits.final):
        assert not any(image.numpy().tobytes() in seen for image in part.inputs)


def test_forgetting_by_hand() -> None:
    # Three classes: learned to .9, .8 and 1; at the end .3, .8 and 1.
    accuracies = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.8, 0.2], [0.3, 0.8, 1.0]])
    found = forgetting(accuracies)
    assert found["learned"] == pytest.approx((0.9 + 0.8 + 1) / 3)
    assert found["forgetting"] == pytest.approx((0.6 + 0 + 0) / 3)


def test_forgetting_of_a_pass_that_was_cut_short_is_of_the_classes_so_far() -> None:
    accuracies = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.8, 0.2]])
    assert forgetting(accuracies) == pytest.approx({"learned": 0.85, "forgetting": 0.15})


def test_class_accuracies_and_the_score_weigh_classes_alike() -> None:
    targets = torch.tensor([*range(10), 0, 0, 0])
    outputs = nn.functional.one_hot(torch.tensor([0, 1, 2, *[0] * 7, 0, 1, 2]), 10).float()
    assert class_accuracies(outputs, targets).tolist() == [0.5, 1, 1, *[0] * 7]
    assert TASK.score(outputs, targets) == pytest.approx(0.25)
    assert math.isnan(TASK.score(outputs * math.inf, targets))


def test_measures_compare_the_states_after_each_class_with_the_last() -> None:
    """A learner whose last layer is set by hand: it always answers the class that it saw last."""
    model = TASK.build_model(ActivationFactory(lambda channels, dim: nn.ReLU()))
    TASK.initialise(model, 1.0)
    nn.init.zeros_(model.hidden.weight)
    nn.init.ones_(model.hidden.bias)
    model.train()
    images = torch.zeros(4, 64)
    for step in range(TASK.steps):
        model(images)
        with torch.no_grad():
            model.output.weight.zero_()
            model.output.weight[step // 26] = 1.0
    model.eval()
    split = Split(torch.randn(50, 64), torch.arange(50) % 10)
    # Each class is right after its turn and all but the last are wrong at the end.
    with torch.no_grad():
        assert TASK.measures(model, split) == pytest.approx({"learned": 1, "forgetting": 0.9})
        assert TASK.score(model(split.inputs), split.targets) == pytest.approx(0.1)


def test_hidden_units_see_unit_variance_and_the_outputs_start_at_zero() -> None:
    torch.manual_seed(0)
    model = TASK.build_model(ActivationFactory(lambda channels, dim: nn.Tanh()))
    TASK.initialise(model, 2.0)
    inputs = TASK.load().train.inputs
    with torch.no_grad():
        before = model.hidden(inputs)
        assert before.square().mean().item() == pytest.approx(1, rel=0.1)
        assert torch.equal(model(inputs), torch.zeros(len(inputs), 10))
    assert model.hidden.bias.square().mean().item() == pytest.approx(0.5, rel=0.15)
    assert model.scale.item() == pytest.approx(2 / math.sqrt(512))


def test_relu_forgets_elephant_keeps_and_both_repeat() -> None:
    trainer = Trainer(TASK)
    relu, elephant = (trainer(replace(JOB, formula=text)) for text in (JOB.formula, ELEPHANT))
    assert relu.status is elephant.status is Status.COMPLETE
    assert relu.measures["learned"] > 0.9 and elephant.measures["learned"] > 0.9
    assert relu.measures["forgetting"] > elephant.measures["forgetting"] + 0.2
    assert elephant.score > relu.score + 0.2
    for result in (relu, elephant):
        kept = result.measures["learned"] - result.measures["forgetting"]
        assert result.score == pytest.approx(kept)
    assert replace(trainer(JOB), seconds=0.0) == replace(relu, seconds=0.0)


def test_a_gate_and_trainable_parameters_train() -> None:
    for formula in ("u*sigmoid(v)", "x*sigmoid(beta[1, channel]*x)"):
        result = Trainer(TASK)(replace(JOB, formula=formula))
        assert result.status is Status.COMPLETE and len(result.measures) == 2


def test_a_training_longer_than_the_pass_is_refused() -> None:
    message = r"batches\(\) of task DigitsContinual ended after 260 of 261 steps"
    with pytest.raises(TaskError, match=message):
        Trainer(TASK)(replace(JOB, rungs=(Rung(261),)))


def test_it_is_embedded() -> None:
    assert type(load_task("digits-continual")) is DigitsContinual
