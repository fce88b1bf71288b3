"""Initial-value problems: the true motion against closed forms, derivatives, and who learns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import ellipj, ellipk
from torch import nn

from actsearch.evaluators.result import Job, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, load_task
from actsearch.evaluators.tasks.initial_value import (
    InitialValue,
    energy_errors,
    trajectory_errors,
)
from actsearch.evaluators.tasks.initial_value_systems import (
    DRAG,
    DURATION,
    GRAVITY,
    PENDULUM,
    START,
    START_VELOCITY,
    STIFFNESS,
    acceleration,
    energies,
    motion,
)
from actsearch.evaluators.training import Trainer
from actsearch.primitives import module_of, read_formula

TASK = InitialValue()
SHORT = Job("search/0", "relu(x)", 0, TASK.learning_rate, (Rung(15),))
TIMES = np.linspace(0, DURATION, 61)


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray]:
    return motion(TIMES)


def _model(text: str = "tanh") -> nn.Module:
    torch.manual_seed(0)
    expr = read_formula(text)
    model = TASK.build_model(ActivationFactory(lambda channels, dim: module_of(expr, channels)))
    TASK.initialise(model, 1.5)
    return model


def test_fall_ends_at_its_terminal_velocity_by_tanh(truth) -> None:
    positions, velocities = truth
    terminal = math.sqrt(GRAVITY / DRAG)
    assert velocities[:, 0] == pytest.approx(
        -terminal * np.tanh(GRAVITY * TIMES / terminal), abs=1e-9
    )
    fallen = np.log(np.cosh(GRAVITY * TIMES / terminal)) / DRAG
    assert positions[:, 0] == pytest.approx(START[0] - fallen, abs=1e-9)


def test_spring_is_a_cosine(truth) -> None:
    assert START_VELOCITY[1] == 0
    wanted = START[1] * np.cos(math.sqrt(STIFFNESS) * TIMES)
    assert truth[0][:, 1] == pytest.approx(wanted, abs=1e-9)


def test_pendulum_is_an_elliptic_sine(truth) -> None:
    # From rest at angle A: sin(angle / 2) = k sn(K - w t, k) with k = sin(A / 2).
    assert START_VELOCITY[2] == 0
    modulus = math.sin(START[2] / 2) ** 2
    sine, *_ = ellipj(ellipk(modulus) - math.sqrt(PENDULUM) * TIMES, modulus)
    wanted = 2 * np.arcsin(math.sqrt(modulus) * sine)
    assert truth[0][:, 2] == pytest.approx(wanted, abs=1e-9)


def test_conservative_systems_keep_their_energy(truth) -> None:
    found = energies(*map(torch.from_numpy, truth))
    assert (found - found[0]).abs().max() < 1e-9
    assert found.shape == (61, 3) and (found > 0.01).all()


def test_henon_heiles_forces_are_the_slope_of_its_energy() -> None:
    position = torch.randn(20, 5, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros_like(position)
    (slope,) = torch.autograd.grad(energies(position, zero).sum(), position)
    found = acceleration(position, zero)
    torch.testing.assert_close(found[:, 1:], -slope[:, 1:])


def test_parts_have_times_of_their_own_true_positions_and_repeat() -> None:
    splits, again = TASK.load(), TASK.load()
    parts = [splits.train, splits.validation, splits.final]
    times = torch.cat([part.inputs[:, 0] for part in parts])
    assert len(times.unique()) == 300 and times.min() >= 0 and times.max() <= DURATION
    for part, same in zip(parts, (again.train, again.validation, again.final), strict=True):
        assert part.inputs.shape == (100, 1) and part.targets.shape == (100, 5)
        assert torch.equal(part.inputs, same.inputs) and torch.equal(part.targets, same.targets)
        wanted = START[1] * torch.cos(math.sqrt(STIFFNESS) * part.inputs[:, 0])
        torch.testing.assert_close(part.targets[:, 1], wanted, atol=1e-5, rtol=0)


def test_a_model_starts_as_the_problem_does() -> None:
    outputs = _model()(torch.zeros(1, 1))
    assert outputs[0, :, 0].tolist() == pytest.approx(START)
    assert outputs[0, :, 1].tolist() == pytest.approx(START_VELOCITY)


@pytest.mark.parametrize("text", ["sin(x)", "tanh", "gelu", "snake(a=3)"])
def test_velocity_and_acceleration_are_the_differences_of_positions(text: str) -> None:
    model = _model(text).double()
    times = torch.linspace(0.2, DURATION - 0.2, 9, dtype=torch.float64)[:, None]
    step = 1e-4
    with torch.no_grad():
        before, now, after = (model(times + shift) for shift in (-step, 0.0, step))
    velocity = (after[..., 0] - before[..., 0]) / (2 * step)
    second = (after[..., 0] - 2 * now[..., 0] + before[..., 0]) / step**2
    torch.testing.assert_close(now[..., 1], velocity, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(now[..., 2], second, rtol=1e-4, atol=1e-4)


def test_gradients_of_the_residual_are_those_of_torchs_own_functions() -> None:
    """Three derivatives of the candidate: of the fused operation, and of torch.sin."""

    class Sine(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sin(x)

    fused = _model("sin(x)")
    torch.manual_seed(0)
    plain = TASK.build_model(ActivationFactory(lambda channels, dim: Sine()))
    TASK.initialise(plain, 1.5)
    train = TASK.load().train
    for model in (fused, plain):
        TASK.loss(model(train.inputs), train.targets).backward()
    pairs = list(zip(fused.named_parameters(), plain.named_parameters(), strict=True))
    compared = 0
    for (name, ours), (other, theirs) in pairs:
        assert name == other
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)
            compared += 1
    assert compared == len(pairs)


def test_outputs_are_the_same_and_detached_where_gradients_are_off() -> None:
    model, times = _model(), TASK.load().validation.inputs
    with torch.no_grad():
        outputs = model(times)
    assert not outputs.requires_grad
    assert model(times).requires_grad
    torch.testing.assert_close(outputs, model(times))


def test_the_truth_has_no_residual_no_error_and_the_most_digits(truth) -> None:
    position, velocity = map(torch.from_numpy, truth)
    outputs = torch.stack([position, velocity, acceleration(position, velocity)], dim=-1)
    assert TASK.loss(outputs, position) == 0
    assert TASK.score(outputs, position) == pytest.approx(9)
    assert energy_errors(outputs).max() < 1e-8
    off = outputs.clone()
    off[:, 2, 0] += 0.1 * position[:, 2].std(correction=0)
    assert trajectory_errors(off, position)[2].item() == pytest.approx(0.1)
    assert TASK.score(off, position) == pytest.approx((4 * 9 + 1) / 5)
    assert TASK.score(1e30 * outputs, position) > -10
    assert math.isnan(TASK.score(outputs * math.nan, position))


def test_targets_are_not_trained_on() -> None:
    outputs, train = _model()(TASK.load().train.inputs), TASK.load().train
    assert TASK.loss(outputs, train.targets) == TASK.loss(outputs, train.targets + 1)


@pytest.mark.parametrize("text", ["relu", "sin(x)", "tanh", "swiglu", "prelu"])
def test_a_short_training_lowers_the_residual_and_repeats(text: str) -> None:
    trainer = Trainer(TASK)
    job = replace(SHORT, formula=str(read_formula(text)), learning_rate=1e-2)
    untrained = trainer(replace(job, rungs=(Rung(1),)))
    result = trainer(job)
    assert result.status is Status.COMPLETE and math.isfinite(result.score)
    assert result.curve[-1][1] < result.curve[0][1]
    assert result.score > untrained.score
    assert set(result.measures) == {"trajectory", "energy"}
    assert replace(trainer(job), seconds=0.0) == replace(result, seconds=0.0)


def test_tanh_finds_the_motion_and_relu_does_not() -> None:
    trainer = Trainer(TASK)
    relu, tanh = (
        trainer(replace(SHORT, formula=formula, rungs=(Rung(60),)))
        for formula in ("relu(x)", "tanh(x)")
    )
    assert tanh.score > relu.score + 0.5


def test_it_is_embedded() -> None:
    assert type(load_task("initial-value")) is InitialValue
