from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from actsearch.errors import ConfigError
from actsearch.evaluators.tasks import TASKS, ActivationFactory, Splits, Task, load_task
from actsearch.evaluators.tasks.networks import (
    InvertedResidualNet,
    InvertedStage,
    PreactivationResNet,
    ResidualStage,
    SqueezeExcitation,
    unactivated_weights,
)
from actsearch.evaluators.tasks.task import Affine
from actsearch.primitives import Layer, module_of, parse

_ANCHORS = ("resnet", "mobilenet", "efficientnet", "transformer")
_SHAPES = {
    "anchors-mnist1d": (1, 40),
    "anchors-mnist1d-wide": (1, 40),
    "anchors-digits": (1, 8, 8),
    "anchors-digits-wide": (1, 8, 8),
    "anchors-fashion-mnist": (1, 14, 14),
    "anchors-cifar10": (3, 32, 32),
}
_BN_RELU = "relu(gamma[1, channel]*((x - mean_batch(x))/std_batch(x)) + beta[0, channel])"
_EVONORM_S0 = "gamma[1, channel]*(x*sigmoid(v1[1, channel]*x)/std_group(x)) + beta[0, channel]"
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


def _task(name: str, anchors: tuple[str, ...] = ()) -> Task:
    return load_task(name, Path() if name == "anchors-cifar10" else None, anchors)


def _scalar() -> ActivationFactory:
    return ActivationFactory(lambda channels, dim: nn.ReLU())


class _Gated(nn.Module):
    def forward(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return u * v.sigmoid()


def _gated() -> ActivationFactory:
    return ActivationFactory(lambda channels, dim: _Gated(), inputs=2)


def _normalising(formula: str, groups: int = 8) -> ActivationFactory:
    expr = parse(formula)
    return ActivationFactory(
        lambda channels, dim: module_of(expr, channels, dim, groups), normalises=True
    )


def _built(task: Task, anchor: str, activation: ActivationFactory, gain: float = 1.4) -> nn.Module:
    torch.manual_seed(0)
    model = task.build_anchor(anchor, activation)
    task.initialise(model, gain)
    return model


def _inputs(name: str, count: int = 4) -> torch.Tensor:
    return torch.randn(count, *_SHAPES[name], generator=torch.Generator().manual_seed(1))


def _count(model: nn.Module, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


def test_every_anchor_task_is_here():
    assert set(_SHAPES) == {name for name in TASKS if name.startswith("anchors-")}


@pytest.mark.parametrize("anchor", _ANCHORS)
@pytest.mark.parametrize("name", ["anchors-mnist1d", "anchors-digits"])
@pytest.mark.parametrize(
    "activation",
    [_scalar(), _gated(), _normalising(_EVONORM_S0), _normalising(_BN_RELU)],
    ids=["scalar", "gated", "evonorm-s0", "bn-relu"],
)
def test_a_few_steps_learn_a_batch(name, anchor, activation):
    task = _task(name)
    model = _built(task, anchor, activation)
    inputs, targets = _inputs(name, 8), torch.arange(8)
    optimizer = task.optimizer(model.parameters(), 5e-3)
    losses = []
    for _ in range(8):
        outputs = model(inputs)
        assert outputs.shape == (8, 10)
        loss = task.loss(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", _SHAPES)
def test_every_network_of_every_task_maps_its_inputs_to_logits(name):
    task = _task(name)
    assert task.anchors == _ANCHORS
    for anchor in _ANCHORS:
        outputs = _built(task, anchor, _normalising(_EVONORM_S0))(_inputs(name, 2))
        assert outputs.shape == (2, 10) and outputs.isfinite().all()


@pytest.mark.parametrize(
    ("name", "places"),
    [
        # ResNet: 3 a block and 1; inverted residuals: 1 or 2 a block and 2; transformer: 1 a block.
        ("anchors-mnist1d", (7, 5, 5, 2)),
        ("anchors-digits-wide", (13, 11, 11, 4)),
        ("anchors-cifar10", (49, 35, 33, 6)),
    ],
)
def test_places_of_the_candidate(name, places):
    task = _task(name)
    for anchor, count in zip(_ANCHORS, places, strict=True):
        assert _count(task.build_anchor(anchor, _scalar()), nn.ReLU) == count
        model = task.build_anchor(anchor, _normalising(_EVONORM_S0))
        assert _count(model, Layer) == count
        if anchor == "transformer":  # attention and the head keep theirs
            assert _count(model, _NORMS) == count + 1
        else:
            assert _count(model, _NORMS) == 0


def test_a_normalising_candidate_leaves_an_affine_map_at_each_projection():
    task = _task("anchors-cifar10")
    for anchor, blocks in (("mobilenet", 17), ("efficientnet", 16)):
        assert _count(task.build_anchor(anchor, _normalising("x")), Affine) == blocks
        assert _count(task.build_anchor(anchor, _scalar()), Affine) == 0
    squeezed = task.build_anchor("efficientnet", _scalar())
    assert _count(squeezed, SqueezeExcitation) == 16
    assert _count(task.build_anchor("mobilenet", _scalar()), SqueezeExcitation) == 0


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_full_size_networks_have_the_parameters_of_the_originals():
    """Counts as published with torchvision's and timm's weights for 1,000 classes."""
    build = partial(InvertedResidualNet, _scalar(), (3, 224, 224), 1000, stem=32, last=1280)
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    rows += [(6, 160, 3, 2), (6, 320, 1, 1)]
    mobilenet = build(stages=tuple(InvertedStage(*row) for row in rows))
    assert _parameters(mobilenet) == 3_504_872

    rows = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)]
    rows += [(6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]
    efficientnet = build(stages=tuple(InvertedStage(*row) for row in rows), squeeze=0.25)
    assert _parameters(efficientnet) == 5_288_548

    rows = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]
    stages = tuple(ResidualStage(*row) for row in rows)
    resnet = PreactivationResNet(_scalar(), (3, 224, 224), 1000, stages=stages, stem=64)
    seven_by_seven = 3 * 64 * (7 * 7 - 3 * 3)  # the original's first convolution is larger
    assert _parameters(resnet) + seven_by_seven == 25_549_352


def test_the_papers_networks_are_scaled_by_a_quarter_and_a_half():
    task = _task("anchors-cifar10")
    widths = {"resnet": 2048 // 4, "mobilenet": 1280 // 2, "efficientnet": 1280 // 2}
    depths = {"resnet": 3 + 4 + 6 + 3, "mobilenet": 17, "efficientnet": 16}
    for anchor, width in widths.items():
        model = task.build_anchor(anchor, _scalar())
        assert model.head.in_features == width
        assert len(model.blocks) == depths[anchor]
        assert model.blocks(model.stem(_inputs("anchors-cifar10"))).shape[2:] == (4, 4)


@pytest.mark.parametrize("activation", [_scalar(), _normalising(_EVONORM_S0)])
@pytest.mark.parametrize("anchor", ["mobilenet", "efficientnet"])
def test_an_inverted_residual_block_starts_as_the_identity(anchor, activation):
    model = _built(_task("anchors-digits"), anchor, activation)
    kept = [block for block in model.blocks if block.residual]
    assert kept
    for block in kept:
        features = torch.randn(3, 16, 8, 8)
        assert torch.equal(block(features), features)


@pytest.mark.parametrize("anchor", _ANCHORS)
def test_layers_that_read_no_activation_start_with_gain_one(anchor):
    task = _task("anchors-cifar10")
    model = _built(task, anchor, _scalar(), gain=3.0)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    gain_one = {id(layers[0].weight)} | {id(weight) for weight in unactivated_weights(model)}
    for layer in layers:
        expected = (1 if id(layer.weight) in gain_one else 3) / math.sqrt(layer.weight[0].numel())
        tolerance = 5 / math.sqrt(2 * layer.weight.numel())
        assert layer.weight.std().item() == pytest.approx(expected, rel=tolerance)
    assert (
        len(gain_one)
        == {"resnet": 1, "mobilenet": 18, "efficientnet": 33, "transformer": 20}[anchor]
    )


def test_squeeze_excitation_is_the_published_formula():
    torch.manual_seed(0)
    block = SqueezeExcitation(6, 2)
    x = torch.randn(3, 6, 4, 5)
    squeezed = torch.relu(x.mean((2, 3)) @ block.reduce.weight.T + block.reduce.bias)
    gates = torch.sigmoid(squeezed @ block.expand.weight.T + block.expand.bias)
    torch.testing.assert_close(block(x), x * gates[:, :, None, None])


def test_attention_is_that_of_torch():
    model = _built(_task("anchors-digits"), "transformer", _scalar())
    attention = model.blocks[0].attention[1]
    reference = nn.MultiheadAttention(32, attention.heads, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(attention.read.weight)
        reference.in_proj_bias.copy_(attention.read.bias)
        reference.out_proj.weight.copy_(attention.write.weight)
        reference.out_proj.bias.copy_(attention.write.bias)
    tokens = torch.randn(3, 7, 32)
    torch.testing.assert_close(attention(tokens), reference(tokens, tokens, tokens)[0])


def test_gated_depthwise_convolution_gives_u_and_v_of_a_channel_from_that_channel():
    model = _built(_task("anchors-digits"), "mobilenet", _gated())
    depthwise = model.blocks[0].branch[0]
    x = torch.randn(1, 16, 8, 8)
    changed = x.clone()
    changed[:, 3] += 1
    differs = (depthwise(x) != depthwise(changed)).any(3).any(2)[0]
    assert differs.nonzero().flatten().tolist() == [3, 16 + 3]


@pytest.mark.parametrize("anchor", _ANCHORS)
def test_the_loss_has_second_derivatives(anchor):
    """The stability protocol climbs the norm of the gradient."""
    task = _task("anchors-digits")
    model = _built(task, anchor, _normalising(_EVONORM_S0))
    loss = task.loss(model(_inputs("anchors-digits")), torch.arange(4))
    gradients = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
    norm = sum((g.square().sum() for g in gradients), torch.tensor(0.0))
    second = torch.autograd.grad(norm, list(model.parameters()), allow_unused=True)
    assert any(g is not None and g.abs().sum() > 0 for g in second)


def test_chosen_anchors_keep_their_order():
    task = _task("anchors-digits", ("transformer", "resnet"))
    assert task.anchors == ("transformer", "resnet")
    assert type(task.build_model(_scalar())) is type(task.build_anchor("transformer", _scalar()))


@pytest.mark.parametrize(
    ("name", "anchors", "message"),
    [
        (
            "anchors-digits",
            ("vgg",),
            "unknown anchor 'vgg'; anchors are resnet, mobilenet, efficientnet, transformer",
        ),
        ("anchors-digits", ("resnet", "resnet"), "anchors resnet, resnet repeat one"),
        ("digits", ("resnet",), "task digits has no choice of networks, got anchors resnet"),
    ],
)
def test_wrong_anchors_are_refused(name, anchors, message):
    with pytest.raises(ConfigError, match=message):
        load_task(name, anchors=anchors)


def _bytes(splits: Splits) -> list[bytes]:
    parts = (splits.train, splits.validation, splits.final)
    return [t.numpy().tobytes() for part in parts for t in (part.inputs, part.targets)]


@pytest.mark.parametrize("name", ["anchors-digits", "anchors-digits-wide"])
def test_data_are_the_same_at_every_call_and_of_the_tasks_shape(name):
    splits = _task(name).load()
    assert splits.validation.inputs.shape[1:] == _SHAPES[name]
    assert _bytes(splits) == _bytes(_task(name).load())


def test_fashion_mnist_is_halved_by_means_of_four_pixels(fashion_folder):
    halved = load_task("anchors-fashion-mnist", fashion_folder).load()
    whole = load_task("fashion-mnist", fashion_folder).load()
    images = whole.final.inputs
    means = (
        images[..., ::2, ::2]
        + images[..., 1::2, ::2]
        + images[..., ::2, 1::2]
        + images[..., 1::2, 1::2]
    ) / 4
    torch.testing.assert_close(halved.final.inputs, means)
    assert torch.equal(halved.final.targets, whole.final.targets)


def test_cifar10_is_trained_on_windows_and_scored_on_whole_images(cifar_folder):
    task = load_task("anchors-cifar10", cifar_folder)
    splits = task.load()
    windows = task.augment(splits.train.inputs, torch.Generator().manual_seed(0))
    assert windows.shape == (len(splits.train), 3, 24, 24)
    assert splits.validation.inputs.shape[1:] == (3, 32, 32)
    for image, window in zip(splits.train.inputs, windows, strict=True):
        places = image.unfold(1, 24, 1).unfold(2, 24, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        assert (places == window).flatten(1).all(1).any()
    for anchor in _ANCHORS:
        assert _built(task, anchor, _scalar())(windows[:2]).shape == (2, 10)


def test_cifar10_ends_its_schedule_at_zero():
    task = _task("anchors-cifar10")
    optimizer = task.optimizer([nn.Parameter(torch.zeros(1))], 0.1)
    assert optimizer.defaults["nesterov"] and optimizer.defaults["momentum"] == 0.9
    schedule = task.schedule(optimizer, 0.1, 4)
    rates = []
    for _ in range(4):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * k / 4)) for k in (1, 2, 3, 4)])
