"""Training functions of u and v: the layer before is twice as wide, all else is as ever."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from tiny_task import Tiny
from torch import nn
from torch.nn import functional

from actsearch.errors import TaskError
from actsearch.evaluators.population import train_population
from actsearch.evaluators.result import Job, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, load_task
from actsearch.evaluators.training import Trainer, full_rungs
from actsearch.primitives import read_formula

SWIGLU = Job("search/0", str(read_formula("swiglu")), 5, 0.02, full_rungs(Tiny()))


class Forgetful(Tiny):
    """Does not ask for the width, as a task that knows scalar candidates only."""

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), activation(8), nn.Linear(8, 3))


def test_a_swiglu_network_trains_as_one_written_by_hand() -> None:
    result = Trainer(Tiny())(dataclasses.replace(SWIGLU, rungs=(Rung(12),)))

    task = Tiny()
    splits = task.load()
    torch.manual_seed(5)
    before, after = nn.Linear(6, 16), nn.Linear(8, 3)
    # E (silu(u) v)^2 is E silu(u)^2, which is 0.35577552 (tests/primitives/test_gaussian.py).
    nn.init.normal_(before.weight, std=1 / math.sqrt(6))
    nn.init.normal_(after.weight, std=1 / math.sqrt(0.35577552) / math.sqrt(8))
    nn.init.zeros_(before.bias)
    nn.init.zeros_(after.bias)

    def logits(points: torch.Tensor) -> torch.Tensor:
        hidden = before(points)
        return after(functional.silu(hidden[:, :8]) * hidden[:, 8:])

    optimizer = torch.optim.Adam([*before.parameters(), *after.parameters()], lr=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=12)
    generator = torch.Generator().manual_seed(5)
    batches: list[torch.Tensor] = []
    losses = []
    for _ in range(12):
        if not batches:
            order = torch.randperm(80, generator=generator)
            batches = [order[start : start + 16] for start in range(0, 80, 16)]
        chosen = batches.pop(0)
        loss = functional.cross_entropy(
            logits(splits.train.inputs[chosen]), splits.train.targets[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        found = logits(splits.validation.inputs).argmax(dim=1)

    assert [step for step, _ in result.curve] == list(range(1, 13))
    assert [loss for _, loss in result.curve] == pytest.approx(losses, rel=1e-4)
    assert result.score == int((found == splits.validation.targets).sum()) / 80


def test_parameters_of_a_gate_train_per_channel_of_its_output() -> None:
    kept = {}

    class Watched(Tiny):
        def build_model(self, activation: ActivationFactory) -> nn.Module:
            kept["model"] = super().build_model(activation)
            return kept["model"]

    formula = "mul(mul(u, sigmoid(mul(beta[1, channel], u))), v)"
    result = Trainer(Watched())(dataclasses.replace(SWIGLU, formula=formula))
    assert result.status is Status.COMPLETE
    (beta,) = (p for name, p in kept["model"].named_parameters() if name.endswith("beta"))
    assert beta.shape == (8,)
    assert (beta != 1).all()


def test_a_task_that_does_not_ask_for_the_width_says_what_to_change_in_a_gated_run() -> None:
    told = (
        r"a gated candidate that returns 8 channels needs 16, got 8; give the layer before it "
        r"activation.width\(8\) outputs"
    )
    with pytest.raises(TaskError, match=told):
        Trainer(Forgetful())(SWIGLU)


def test_a_task_that_does_not_ask_for_the_width_trains_scalar_candidates_as_ever() -> None:
    job = dataclasses.replace(SWIGLU, formula="mul(x, sigmoid(x))")
    scores = [Trainer(task)(job).scores for task in (Tiny(), Forgetful())]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("formula", ["relu(u)", "square(v)"])
def test_a_formula_of_one_half_is_refused(formula: str) -> None:
    with pytest.raises(TaskError, match="a candidate reads x, or u and v"):
        Trainer(Tiny())(dataclasses.replace(SWIGLU, formula=formula))


def test_a_stack_refuses_a_gated_candidate() -> None:
    job = dataclasses.replace(SWIGLU, rungs=(Rung(12),))
    with pytest.raises(TaskError, match="reads u, v; a stack gives x alone"):
        train_population(Tiny(), Tiny().load(), [job])


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("name", ["mnist1d", "mnist1d-mlp", "digits", "fashion-mnist", "cifar10"])
def test_embedded_tasks_give_each_place_the_width_that_it_needs(
    name: str, inputs: int, tmp_path
) -> None:
    task = load_task(name, tmp_path if name == "cifar10" else None)
    arrived: list[tuple[int, tuple[int, ...]]] = []

    class Noted(nn.Module):
        def __init__(self, channels: int, dim: int) -> None:
            super().__init__()
            self.channels = channels

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            arrived.append((self.channels, tuple(tensor.shape[1] for tensor in tensors)))
            return torch.relu(tensors[0]) * tensors[-1]

    shape = {
        "mnist1d": (1, 40),
        "mnist1d-mlp": (40,),
        "digits": (64,),
        "fashion-mnist": (1, 28, 28),
        "cifar10": (3, 32, 32),
    }[name]
    model = task.build_model(ActivationFactory(Noted, inputs))
    assert model(torch.randn(2, *shape)).shape == (2, 10)
    assert all(each == (channels,) * inputs for channels, each in arrived)
    assert len(arrived) == sum(isinstance(module, Noted) for module in model.modules())


def test_a_gated_resnet_pads_u_and_v_each_with_new_channels(tmp_path) -> None:
    model = load_task("cifar10", tmp_path).build_model(
        ActivationFactory(lambda channels, dim: Product(), inputs=2)
    )
    block = next(b for b in model.eval().blocks if b.stride == 2)
    nn.init.zeros_(block.residual[-1].weight)
    features = torch.randn(2, 32, 8, 8)
    with torch.no_grad():
        u, v = block(features).chunk(2, dim=1)
    for half, given in ((u, features[:, :16]), (v, features[:, 16:])):
        assert torch.equal(half[:, :16], given[:, :, ::2, ::2])
        assert not half[:, 16:].any()


class Product(nn.Module):
    def forward(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return u * v
