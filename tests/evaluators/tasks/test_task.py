from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from actsearch.errors import TaskError
from actsearch.evaluators.tasks import (
    ActivationFactory,
    Split,
    Splits,
    Task,
    check_splits,
    load_task,
)


def _split(count: int = 3, width: int = 2) -> Split:
    return Split(torch.zeros(count, width), torch.zeros(count, dtype=torch.int64))


class _Scaled(nn.Module):
    """An activation with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * torch.relu(x)


def test_initialise_scales_each_layer_by_gain_and_fan_in_but_the_first_by_one():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(8, 256, 3),
        nn.BatchNorm2d(256),
        _Scaled(),
        nn.Conv2d(256, 256, 3, groups=4),
        nn.Conv1d(256, 64, 5),
        nn.Conv3d(64, 32, 3),
        nn.Linear(400, 300),
        nn.Linear(300, 500, bias=False),
    )
    gain = 1.7
    Task().initialise(model, gain)

    expected = {
        "0": 1 / math.sqrt(8 * 9),
        "3": gain / math.sqrt(256 / 4 * 9),
        "4": gain / math.sqrt(256 * 5),
        "5": gain / math.sqrt(64 * 27),
        "6": gain / math.sqrt(400),
        "7": gain / math.sqrt(300),
    }
    for name, deviation in expected.items():
        weight = model.get_submodule(name).weight
        tolerance = 5 / math.sqrt(2 * weight.numel())  # five standard errors of a deviation
        assert weight.std().item() == pytest.approx(deviation, rel=tolerance)
        assert abs(weight.mean().item()) < 5 * deviation / math.sqrt(weight.numel())
    assert all(
        (layer.bias == 0).all()
        for layer in model
        if isinstance(layer, nn.Linear) and layer.out_features == 300
    )
    assert (model[0].bias == 0).all()
    assert (model[1].weight == 1).all() and (model[1].bias == 0).all()
    assert model[2].scale.item() == 3.0


@pytest.mark.parametrize("f", [torch.relu, torch.tanh, torch.square])
def test_initialised_network_keeps_the_size_of_its_signals(f):
    torch.manual_seed(0)
    gain = 1 / f(torch.randn(1_000_000)).square().mean().sqrt().item()
    layers = [nn.Linear(400, 400) for _ in range(4)]
    Task().initialise(nn.Sequential(*layers), gain)
    signal = layers[0](torch.randn(500, 400))
    for layer in layers[1:]:
        signal = layer(f(signal))
    assert signal.square().mean().item() == pytest.approx(1, abs=0.35)


def test_initialise_repeats_under_the_same_seed():
    models = []
    for _ in range(2):
        torch.manual_seed(7)
        models.append(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)))
        Task().initialise(models[-1], 1.3)
    assert all(
        torch.equal(a, b)
        for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True)
    )


def test_score_is_accuracy():
    outputs = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    assert Task().score(outputs, torch.tensor([0, 1, 1])) == 2 / 3


def test_score_is_accuracy_over_positions():
    outputs = torch.tensor([[[2.0, 0.0, 1.0], [1.0, 3.0, 0.0]]])  # (N=1, classes=2, positions=3)
    assert Task().score(outputs, torch.tensor([[0, 1, 1]])) == 2 / 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_score_of_outputs_that_are_not_finite_is_nan(bad):
    outputs = torch.tensor([[2.0, 1.0], [0.0, bad]])
    assert math.isnan(Task().score(outputs, torch.tensor([0, 1])))


def test_default_optimizer_steps_like_plain_adam():
    start = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    ours, plain = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = Task().optimizer(iter([ours]), 0.1), torch.optim.Adam([plain], lr=0.1, fused=False)
    for step in range(5):
        for parameter in (ours, plain):
            parameter.grad = torch.sin(start * (step + 1))
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, plain)


def test_default_optimizer_takes_devices_without_a_fused_adam():
    Task().optimizer([nn.Parameter(torch.zeros(2, device="meta"))], 0.1)


def test_default_schedule_peaks_at_the_learning_rate_and_ends_near_zero():
    optimizer = Task().optimizer([nn.Parameter(torch.zeros(1))], 0.1)
    schedule = Task().schedule(optimizer, 0.1, 50)
    rates = []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] < 1e-4


def test_task_that_overrides_nothing_says_what_to_override():
    class Empty(Task):
        pass

    with pytest.raises(TaskError, match=r"task Empty must override load\(\)"):
        Empty().load()
    with pytest.raises(TaskError, match=r"task Empty must override build_model"):
        Empty().build_model(ActivationFactory(lambda channels, dim: nn.ReLU()))


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(2), "got 3 inputs and 2 targets"),
        (torch.zeros(0, 2), torch.zeros(0), "at least one example"),
        ([1.0], torch.zeros(1), "inputs must be a torch.Tensor, got list"),
        (torch.zeros(1), torch.tensor(1.0), "targets must have a first axis"),
    ],
)
def test_split_refuses(inputs, targets, message):
    with pytest.raises(TaskError, match=message):
        Split(inputs, targets)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ((_split(),) * 3, "load() must return Splits, got tuple"),
        (Splits(_split(), None, _split()), "validation must be a Split, got NoneType"),
        (
            Splits(_split(), _split(), _split(width=5)),
            "final inputs must be like those of train, (N, 2) float32, got (N, 5) float32",
        ),
        (
            Splits(_split(), Split(torch.zeros(1, 2), torch.zeros(1)), _split()),
            "validation targets must be like those of train, (N) int64, got (N) float32",
        ),
        (
            Splits(Split(torch.tensor([[math.nan]]), torch.tensor([0])), _split(), _split()),
            "train inputs hold NaN or infinity",
        ),
    ],
)
def test_check_splits_refuses(splits, message):
    with pytest.raises(TaskError) as caught:
        check_splits(splits)
    assert message in str(caught.value)


def test_check_splits_gives_good_splits_back():
    splits = Splits(_split(), _split(1), _split(7))
    assert check_splits(splits) is splits


@pytest.mark.parametrize("name", ["mnist1d", "mnist1d-mlp", "digits", "fashion-mnist", "cifar10"])
def test_embedded_task_trains(name, train, fashion_folder, cifar_folder):
    task = load_task(name, {"fashion-mnist": fashion_folder, "cifar10": cifar_folder}.get(name))
    splits = check_splits(task.load())
    model, losses = train(task, splits, steps=4)
    assert all(map(math.isfinite, losses))
    with torch.no_grad():
        outputs = model(splits.final.inputs[:20])
    assert outputs.shape == (min(20, len(splits.final)), 10)
    assert 0 <= task.score(outputs, splits.final.targets[:20]) <= 1


@pytest.mark.parametrize(("name", "places"), [("mnist1d", 3), ("mnist1d-mlp", 2), ("digits", 2)])
def test_activation_factory_is_called_with_the_width_that_arrives(name, places):
    task = load_task(name)
    seen: list[tuple[int, int]] = []

    def activation(width: int, dim: int) -> nn.Module:
        module = nn.ReLU()
        module.register_forward_hook(lambda _m, args, _out: seen.append((width, args[0].shape[1])))
        return module

    task.build_model(ActivationFactory(activation))(task.load().train.inputs[:2])
    assert len(seen) == places
    assert all(promised == arrived for promised, arrived in seen)
