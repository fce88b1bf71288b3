"""Conversion of models: what is replaced, what is not, and that the rest computes as before."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import actsearch
from actsearch.errors import ConfigError
from actsearch.evaluators.tasks.task import Affine
from actsearch.primitives import Activation, Layer, read_formula

# Batch normalisation and ReLU, and others, as one layer: the converted model must equal the old.
BN_RELU = "relu(gamma[1, channel]*((x - mean_batch(x))/std_batch(x)) + beta[0, channel])"
LN_GELU = "gelu(gamma[1, channel]*((x - mean_token(x))/std_token(x)) + beta[0, channel])"
GN_SILU = "silu(gamma[1, channel]*((x - mean_group(x))/std_group(x)) + beta[0, channel])"
S0 = "gamma[1, channel]*(x*sigmoid(v1[1, channel]*x)/std_group(x)) + beta[0, channel]"
B0 = (
    "gamma[1, channel]*(x/max(std_batch(x), v1[1, channel]*x + std_instance(x))) + beta[0, channel]"
)


class Vgg(nn.Sequential):
    def __init__(self) -> None:
        act = nn.ReLU(inplace=True)
        super().__init__(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), act, nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), act, nn.AdaptiveAvgPool2d(1)),
            *(nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10)),
        )


class PreActivationBlock(nn.Module):
    """norm, relu, convolution, twice, and the sum; one ReLU module for both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.relu = nn.ReLU()
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.conv1(self.relu(self.norm1(x)))
        return x + self.conv2(self.relu(self.norm2(y)))


class PreActivationNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.blocks = nn.Sequential(PreActivationBlock(8), PreActivationBlock(8))
        self.norm, self.relu, self.head = nn.BatchNorm2d(8), nn.ReLU(), nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.relu(self.norm(self.blocks(self.stem(x)))).mean((2, 3)))


class PostActivationBlock(nn.Module):
    """As in torchvision's ResNet: the same ReLU after a norm and after the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.bn1, self.bn2, self.relu = nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.ReLU()

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        return self.relu(y)


class InvertedResidual(nn.Module):
    """MobileNetV2: the last norm of the branch has no activation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(4, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()),
            *(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.ReLU6()),
            *(nn.Conv2d(16, 4, 1, bias=False), nn.BatchNorm2d(4)),
        )
        nn.init.zeros_(self.body[7].weight)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.head(x + self.body(x))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.Conv1d(6, 3, 1)

    def forward(self, x):
        return functional.relu(self.head(functional.relu(self.norm(self.conv(x)))).relu())


class Dynamic(nn.Module):
    """No tracer follows this forward."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
        self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU()

    def forward(self, x):
        y = self.last(self.body(x))
        return self.relu(self.norm(y)) if y.sum() > -1e9 else y


def trained(model, *size, steps=3):
    """Weights, running statistics and gammas away from where they start; zeros stay zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data += 0.2 * noise * (parameter.data != 0)
    for _ in range(steps):
        model(1 + torch.randn(size, generator=generator))
    return model


def rows(conversion):
    return {row.place: (row.was, row.became) for row in conversion.replacements}


def assert_same(converted, model, *size):
    for training in (False, True):
        x = torch.randn(size)
        wanted = model.train(training)(x.clone())
        got = converted.train(training)(x.clone())
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "size", "layers"),
    [
        (Vgg, (4, 3, 8, 8), 3),
        (PreActivationNet, (4, 3, 8, 8), 5),
        (PostActivationBlock, (4, 3, 6, 6), 1),
        (Functional, (4, 2, 9), 1),
        (Dynamic, (4, 3, 8, 8), 1),
    ],
)
def test_with_its_own_norm_and_activation_a_model_computes_as_before(build, size, layers):
    model = trained(build(), *size)
    conversion = actsearch.convert(model, BN_RELU)
    assert sum(isinstance(m, Layer) for m in conversion.model.modules()) == layers
    assert_same(conversion.model, model, *size)


@pytest.mark.parametrize(
    ("model", "formula", "groups"),
    [
        (nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2)), LN_GELU, 32),
        (nn.Sequential(nn.Linear(6, 8), nn.GroupNorm(4, 8), nn.SiLU()), GN_SILU, 4),
    ],
)
def test_layer_and_group_norms_too(model, formula, groups):
    trained(model, 5, 6)
    conversion = actsearch.convert(model, formula, groups=groups)
    assert [row.became for row in conversion.replacements] == ["layer"]
    assert_same(conversion.model, model, 5, 6)


def test_a_shared_activation_of_a_sequential_goes_everywhere():
    model = Vgg()
    conversion = actsearch.convert(model, "evonorm_s0", groups=8)
    assert isinstance(conversion.model, Vgg) and isinstance(model[1], nn.BatchNorm2d)
    assert rows(conversion) == {
        "1": ("BatchNorm2d, ReLU", "layer"),
        "5": ("BatchNorm2d, ReLU", "layer"),
        "10": ("BatchNorm1d, ReLU", "layer"),
    }
    for place, channels in ((1, 8), (5, 16), (10, 12)):
        layer = conversion.model[place]
        assert isinstance(layer, Layer) and layer.channels == channels
        assert isinstance(conversion.model[place + 1], nn.Identity)
    x = torch.randn(2, 3, 8, 8)
    conversion.model(x).sum().backward()
    assert conversion.model[1].v1.grad.abs().sum() > 0


def test_gamma_of_a_norm_that_began_at_zero_begins_at_zero():
    model = PreActivationNet()
    conversion = actsearch.convert(model, S0)
    assert isinstance(conversion.model, PreActivationNet)
    block = conversion.model.blocks[1]
    assert block.norm2.gamma.tolist() == [0] * 8 and block.norm1.gamma.tolist() == [1] * 8
    (row,) = (r for r in conversion.replacements if r.place == "blocks.1.norm2")
    assert row.reason == "its weight was 0, and so is gamma"
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(block(x), x + block.conv2.bias.reshape(-1, 1, 1))
    lost = actsearch.convert(model, "x*sigmoid(x)/std_group(x)")
    assert "no gamma" in next(r for r in lost.replacements if r.place == "blocks.1.norm2").reason


def test_a_block_that_adds_and_then_activates_keeps_its_last_norm():
    conversion = actsearch.convert(PostActivationBlock(), S0)
    assert rows(conversion) == {
        "bn1": ("BatchNorm2d, ReLU", "layer"),
        "bn2": ("BatchNorm2d", "left"),
        "relu": ("ReLU", "left"),
    }
    assert isinstance(conversion.model, torch.fx.GraphModule)
    assert "GraphModule" in conversion.report and "add before the ReLU" in conversion.report


def test_a_norm_without_an_activation_becomes_affine():
    model = InvertedResidual()
    model.body[7].bias.data.fill_(0.5)
    conversion = actsearch.convert(model, B0)
    assert [row.became for row in conversion.replacements] == ["layer", "layer", "affine"]
    affine = conversion.model.body[7]
    assert isinstance(affine, Affine)
    assert affine.gamma.tolist() == [0] * 4 and affine.beta.tolist() == [0.5] * 4
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(conversion.model(x), model.head(x + 0.5))


def test_a_layer_norm_before_a_linear_layer_stays():
    mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
    conversion = actsearch.convert(mlp, S0)
    assert rows(conversion) == {"0": ("LayerNorm", "left"), "2": ("GELU", "left")}
    assert_same(conversion.model, mlp, 3, 5, 8)


def test_running_statistics_are_those_of_the_norm():
    model = trained(Vgg(), 4, 3, 8, 8)
    layer = actsearch.convert(model, B0).model[1]
    torch.testing.assert_close(layer._running_0, model[1].running_var)
    assert torch.equal(layer.gamma, model[1].weight) and torch.equal(layer.beta, model[1].bias)
    rms = actsearch.convert(model, "x/rms_batch(x) + mean_batch(tanh(x))").model[1]
    wanted = model[1].running_var + model[1].running_mean.square()
    torch.testing.assert_close(rms._running_0, wanted)
    assert rms._running_1.tolist() == [0] * 8


def test_mode_device_and_dtype_are_kept():
    model = Vgg().double().eval()
    converted = actsearch.convert(model, B0).model
    assert not any(module.training for module in converted.modules())
    assert {tensor.dtype for tensor in converted[1].state_dict().values()} == {torch.float64}
    on_meta = actsearch.convert(Vgg().to("meta"), S0).model
    assert on_meta[1].gamma.is_meta and on_meta[1].v1.is_meta
    bare = nn.Sequential(nn.Linear(2, 4).double(), nn.GroupNorm(2, 4, affine=False), nn.ReLU())
    assert actsearch.convert(bare, S0).model[1].gamma.dtype == torch.float64


def test_a_forward_that_cannot_be_traced_is_converted_in_parts():
    conversion = actsearch.convert(Dynamic(), S0)
    assert rows(conversion) == {
        "body.1": ("BatchNorm2d, ReLU", "layer"),
        "last.1": ("BatchNorm2d", "left"),
        "norm": ("BatchNorm2d", "left"),
    }
    assert "the model" in conversion.notes[0]
    reasons = [row.reason for row in conversion.replacements]
    assert reasons[1:] == ["what comes after last was not traced", "no traced forward calls it"]


@pytest.mark.parametrize("case", ["mode", "argument"])
def test_a_forward_that_a_graph_would_fix_is_not_rewritten(case):
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv1d(2, 4, 1), nn.BatchNorm1d(4)

    def by_mode(self, x):
        return functional.dropout(functional.relu(self.norm(self.conv(x))), 0.5, self.training)

    def by_argument(self, x, mask=None):
        y = functional.relu(self.norm(self.conv(x)))
        return y if mask is None else y * mask

    Fixed.forward = by_mode if case == "mode" else by_argument
    model = Fixed()
    conversion = actsearch.convert(model, S0)
    assert rows(conversion)["norm"] == ("BatchNorm1d", "left") and model.training
    assert "not rewritten" in conversion.report
    if case == "argument":
        assert_same(conversion.model, model, 2, 2, 3)


def test_a_formula_without_moments_replaces_activations_and_keeps_norms():
    model = trained(PostActivationBlock(), 4, 3, 6, 6)
    conversion = actsearch.convert(model, "mish")
    assert type(conversion.model) is PostActivationBlock
    assert isinstance(conversion.model.relu, Activation)
    model.relu = nn.Mish()
    assert_same(conversion.model, model, 4, 3, 6, 6)


def test_a_function_with_parameters_has_its_own_in_each_place():
    model = trained(Functional(), 4, 2, 9)
    swish = read_formula("x*sigmoid(beta[1, channel]*x)")
    conversion = actsearch.convert(model, swish)
    functions = [m for m in conversion.model.modules() if isinstance(m, Activation)]
    assert [function.beta.numel() for function in functions] == [6, 3, 3]
    x = torch.randn(4, 2, 9)
    silu = functional.silu
    wanted = silu(silu(model.head(silu(model.norm(model.conv(x))))))
    torch.testing.assert_close(conversion.model(x), wanted)
    shared = actsearch.convert(Vgg(), swish)
    places = [m for m in shared.model.modules() if isinstance(m, Activation)]
    assert [function.beta.numel() for function in places] == [8, 16, 12]


def test_channels_come_from_the_example_where_the_layers_do_not_tell():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Flatten(), nn.ReLU(), nn.Linear(32, 2))
    prelu = "max(x, a[0.25, channel]*x)"
    (row,) = actsearch.convert(model, prelu).replacements
    assert row.became == "left" and "example" in row.reason
    converted = actsearch.convert(model, prelu, example=torch.randn(2, 3, 2, 2)).model
    assert converted[2].a.shape == (32,)
    assert converted(torch.randn(5, 3, 2, 2)).shape == (5, 2)


def test_a_norm_at_the_input_stays():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1))
    (row,) = actsearch.convert(model, S0).replacements
    assert (row.became, row.reason) == ("left", "it normalises the model's input")


def test_a_norm_with_another_reader_stays():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv1d(2, 2, 1), nn.BatchNorm1d(2)

        def forward(self, x):
            y = self.norm(self.conv(x))
            return functional.relu(y) * y

    model = trained(Forked(), 4, 2, 3)
    conversion = actsearch.convert(model, S0)
    assert {row.became for row in conversion.replacements} == {"left"}
    assert_same(conversion.model, model, 4, 2, 3)


def test_the_report_is_a_table():
    lines = actsearch.convert(InvertedResidual(), S0).report.splitlines()
    assert lines[0] == "2 to the layer, 1 affine only"
    assert lines[1].split() == ["place", "was", "became", "reason"]
    assert lines[4] == "body.7  BatchNorm2d         affine  no activation after it"
    assert actsearch.convert(nn.Linear(2, 2), S0).report.startswith("nothing to convert")


def test_a_gate_has_no_place_in_a_model():
    with pytest.raises(ConfigError, match="reads u and v"):
        actsearch.convert(Vgg(), "u*sigmoid(v)")


@pytest.mark.parametrize(
    ("name", "layers", "affine"), [("vgg11_bn", 8, 0), ("mobilenet_v2", 35, 17), ("resnet18", 9, 0)]
)
def test_models_of_torchvision(name, layers, affine):
    models = pytest.importorskip("torchvision.models")
    model = getattr(models, name)(num_classes=3).eval()
    conversion = actsearch.convert(model, S0)
    became = [row.became for row in conversion.replacements]
    assert (became.count("layer"), became.count("affine")) == (layers, affine)
    assert conversion.model(torch.randn(1, 3, 32, 32)).shape == (1, 3)


def test_norms_of_tokens_and_of_instances_are_converted_too() -> None:
    class Tokens(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(6, 8), nn.RMSNorm(8, eps=1e-5), nn.SiLU())

    model = Tokens()
    nn.init.uniform_(model[1].weight)
    conversion = actsearch.convert(model, "silu(gamma[1, channel]*(x/rms_token(x)))")
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(conversion.model(x), model(x))
    images = nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.ReLU())
    instance = "relu((x - mean_instance(x))/std_instance(x))"
    x = torch.randn(2, 3, 7, 7)
    torch.testing.assert_close(actsearch.convert(images, instance).model(x), images(x))
    alone = actsearch.convert(nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8), nn.Linear(8, 8)), S0)
    assert [row.became for row in alone.replacements] == ["left"]


def test_frozen_weights_stay_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).requires_grad_(False)
    layer = actsearch.convert(model, S0).model[1]
    assert not layer.gamma.requires_grad and not layer.beta.requires_grad
    assert layer.v1.requires_grad


def test_bad_arguments_are_one_clear_line() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sigmoid(), nn.ReLU())
    with pytest.raises(ConfigError, match="groups=0 must be at least 1"):
        actsearch.convert(model, S0, groups=0)
    with pytest.raises(ConfigError, match="does not take the example of shape"):
        actsearch.convert(model, "beta[1, channel]*x", example=torch.randn(1, 5))
