"""The photograph as a function of the place: pixels, score, training."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from actsearch.evaluators.result import Job, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, load_task
from actsearch.evaluators.tasks.image import Image, photograph
from actsearch.evaluators.training import Trainer
from actsearch.primitives import read_formula

TASK = Image()
SHORT = Job("search/0", "relu(x)", 0, TASK.learning_rate, (Rung(15),))


def test_each_pixel_is_in_one_part_and_stands_where_it_belongs() -> None:
    splits = TASK.load()
    parts = [splits.train, splits.validation, splits.final]
    assert [len(part) for part in parts] == [2048, 1024, 1024]
    picture = np.full((64, 64), np.nan)
    for part in parts:
        assert part.inputs.dtype == part.targets.dtype == torch.float32
        # Middles of the pixels, from -63/64 to 63/64.
        places = ((part.inputs.double() + 1) * 32 - 0.5).numpy()
        rows, columns = np.rint(places).astype(int).T
        assert np.abs(places - np.rint(places)).max() < 1e-4
        assert np.isnan(picture[rows, columns]).all()
        picture[rows, columns] = part.targets[:, 0].numpy()
    assert np.abs(picture - photograph()).max() < 1e-6


def test_the_photograph_is_a_square_of_means_of_its_pixels() -> None:
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg")
    small = photograph()
    assert small.shape == (64, 64) and np.abs(small).max() <= 1
    for row, column in ((0, 0), (20, 31), (63, 63)):
        top, left = 21 + 6 * row, 64 + 6 * column
        block = photo[top : top + 6, left : left + 6].reshape(-1, 3).mean(axis=0)
        grey = 0.299 * block[0] + 0.587 * block[1] + 0.114 * block[2]
        assert small[row, column] == pytest.approx(grey / 127.5 - 1, abs=1e-9)


def test_parts_repeat() -> None:
    first, second = TASK.load(), TASK.load()
    for name in ("train", "validation", "final"):
        assert torch.equal(getattr(first, name).inputs, getattr(second, name).inputs)
        assert torch.equal(getattr(first, name).targets, getattr(second, name).targets)


def test_score_is_decibels_of_the_range() -> None:
    targets = torch.zeros(50, 1)
    # An error of a tenth of the range of 2 is 20 dB.
    assert TASK.score(targets + 0.2, targets) == pytest.approx(20)
    assert TASK.score(targets + 0.02, targets) == pytest.approx(40, abs=1e-4)
    assert TASK.score(targets + 1e20, targets) == 0
    assert math.isfinite(TASK.score(targets, targets))
    assert math.isnan(TASK.score(targets * math.nan, targets))


@pytest.mark.parametrize("text", ["relu", "sin(x)", "tanh", "swiglu", "prelu"])
def test_a_short_training_improves_the_fit_and_repeats(text: str) -> None:
    trainer = Trainer(TASK)
    job = replace(SHORT, formula=str(read_formula(text)), learning_rate=3e-3)
    untrained = trainer(replace(job, rungs=(Rung(1),)))
    result = trainer(job)
    assert result.status is Status.COMPLETE
    assert math.isfinite(result.score) and result.score > untrained.score
    assert result.measures["trained"] > untrained.measures["trained"]
    assert replace(trainer(job), seconds=0.0) == replace(result, seconds=0.0)


def test_sine_shows_more_detail_than_relu() -> None:
    trainer = Trainer(TASK)
    relu, sine = (
        trainer(replace(SHORT, formula=formula, rungs=(Rung(150),)))
        for formula in ("relu(x)", "sin(x)")
    )
    assert sine.score > relu.score + 1


def test_with_a_sine_hidden_weights_are_those_of_siren() -> None:
    class Sine(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sin(x)

    torch.manual_seed(0)
    model = TASK.build_model(ActivationFactory(lambda channels, dim: Sine()))
    TASK.initialise(model, 1.5)
    second = model.networks.linears[1]
    # U(-sqrt(6/n), sqrt(6/n)) of the paper over omega_0, times omega_0.
    largest = (model.networks.scale * second.weight).abs().max().item()
    assert largest == pytest.approx(math.sqrt(6 / 64), rel=0.03)
    assert not second.bias.any()


def test_it_is_embedded() -> None:
    assert type(load_task("image")) is Image
