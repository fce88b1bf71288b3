"""Periodic extrapolation: where the stretches lie, what the functions are, and who goes on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from actsearch.evaluators.result import Job, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, load_task
from actsearch.evaluators.tasks.networks.coordinates import CoordinateNetworks
from actsearch.evaluators.tasks.periodic import Periodic, Waves, draw_waves
from actsearch.evaluators.training import Trainer
from actsearch.primitives import read_formula

TASK = Periodic()
SHORT = Job("search/0", "relu(x)", 0, TASK.learning_rate, (Rung(20),))


def _factory(module: type[nn.Module] = nn.Tanh) -> ActivationFactory:
    return ActivationFactory(lambda channels, dim: module())


def test_what_is_scored_lies_outside_on_both_sides_and_in_stretches_of_its_own() -> None:
    splits = TASK.load()
    train, validation, final = (
        part.inputs[:, 0] for part in (splits.train, splits.validation, splits.final)
    )
    assert train.abs().max() < 1
    for part in (validation, final):
        assert part.abs().min() > 1 and part.abs().max() < 2
        assert (part > 0).sum() == (part < 0).sum() == 50
        near = part.abs() < 1.5
        assert near.sum() == 50  # as much next to what was seen as farther off
    near_in_validation = validation[validation.abs() < 1.5]
    near_in_final = final[final.abs() < 1.5]
    assert (near_in_validation > 0).all() and (near_in_final < 0).all()
    for part in (splits.train, splits.validation, splits.final):
        assert part.inputs.shape == (100, 1) and part.targets.shape == (100, 6)
        assert part.inputs.dtype == part.targets.dtype == torch.float32


def test_targets_are_those_of_a_loop_and_repeat() -> None:
    first, second = TASK.load(), TASK.load()
    waves = draw_waves()
    for part, again in ((first.train, second.train), (first.final, second.final)):
        assert torch.equal(part.inputs, again.inputs) and torch.equal(part.targets, again.targets)
        for row in (0, 57):
            time = float(part.inputs[row, 0])
            for k in range(6):
                wanted = waves.slope[k] * time
                for j in range(2):
                    angle = waves.frequency[k, j] * time + waves.phase[k, j]
                    wanted += waves.amplitude[k, j] * math.sin(angle)
                assert float(part.targets[row, k]) == pytest.approx(wanted, abs=1e-5)


def test_the_sines_of_each_function_have_mean_square_one_over_many_periods() -> None:
    waves = draw_waves()
    level = Waves(waves.amplitude, waves.frequency, waves.phase, 0 * waves.slope)
    square = (level(np.linspace(0, 2000, 400_001)) ** 2).mean(axis=0)
    assert square == pytest.approx(np.ones(6), abs=2e-3)


def test_score_of_the_truth_of_an_error_of_one_and_of_what_is_lost() -> None:
    targets = TASK.load().final.targets
    assert TASK.score(targets, targets) == 1
    assert TASK.score(targets + 1, targets) == pytest.approx(0.5)
    one_lost = targets.clone()
    one_lost[:, 3] = 1e30
    assert TASK.score(one_lost, targets) == pytest.approx(5 / 6)
    assert math.isnan(TASK.score(targets * math.inf, targets))


def test_networks_do_not_see_one_another() -> None:
    torch.manual_seed(0)
    networks = CoordinateNetworks(3, 2, (4, 5), _factory())
    networks.initialise(1.0, 2.0, torch.randn(20, 3, 2))
    places = torch.randn(7, 3, 2)
    outputs = networks(places)
    first, second = networks.linears
    last = networks.output
    for k in range(3):
        hidden = torch.tanh(places[:, k] @ first.weight[k] + first.bias[k]) * networks.scale
        hidden = torch.tanh(hidden @ second.weight[k] + second.bias[k])
        wanted = hidden @ last.weight[k] + last.bias[k]
        torch.testing.assert_close(outputs[:, k], wanted[:, 0])


@pytest.mark.parametrize("function", [torch.sin, torch.relu, torch.square])
def test_initial_outputs_have_size_one_whatever_the_function_and_first_weights_are_alike(
    function,
) -> None:
    class Function(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    places = torch.rand(400, 30, 2) * 2 - 1
    firsts = []
    for module in (Function, nn.Tanh):
        torch.manual_seed(0)
        networks = CoordinateNetworks(30, 2, (256,), _factory(module))
        networks.initialise(99.0, 30.0, places)
        firsts.append(networks.linears[0])
        size = networks(places).square().mean().sqrt().item()
        assert size == pytest.approx(1, rel=0.3)
    weight, bias = firsts[0].weight, firsts[0].bias
    assert torch.equal(weight, firsts[1].weight) and torch.equal(bias, firsts[1].bias)
    # U(-30 / 2, 30 / 2), the first layer of SIREN with its factor of 30.
    assert weight.abs().max().item() == pytest.approx(15, rel=0.01)
    assert weight.std().item() == pytest.approx(15 / math.sqrt(3), rel=0.03)
    assert bias.abs().max().item() == pytest.approx(30 / math.sqrt(2), rel=0.01)


@pytest.mark.parametrize("text", ["relu", "sin(x)", "tanh", "snake(a=3)", "swiglu", "prelu"])
def test_a_short_training_improves_the_fit_and_repeats(text: str) -> None:
    trainer = Trainer(TASK)
    job = replace(SHORT, formula=str(read_formula(text)))
    untrained = trainer(replace(job, rungs=(Rung(1),)))
    result = trainer(job)
    assert result.status is Status.COMPLETE
    assert 0 < result.score < 1
    assert result.measures["inside"] > untrained.measures["inside"]
    assert replace(trainer(job), seconds=0.0) == replace(result, seconds=0.0)


def test_snake_goes_on_where_relu_does_not() -> None:
    trainer = Trainer(TASK)
    relu, snake = (
        trainer(replace(SHORT, formula=str(read_formula(text)), rungs=(Rung(200),)))
        for text in ("relu", "snake(a=3)")
    )
    assert relu.measures["inside"] > 0.8 and snake.measures["inside"] > 0.8
    assert snake.score > relu.score + 0.3


def test_it_is_embedded() -> None:
    assert type(load_task("periodic")) is Periodic
