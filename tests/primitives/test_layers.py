"""Known layers against torch's own modules and the published formulas, and layers as modules."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import actsearch
from actsearch.errors import DerivativeError
from actsearch.primitives import (
    Activation,
    Layer,
    derivative,
    evaluate,
    module_of,
    parameters,
    parse,
    read_formula,
)
from actsearch.primitives.zoo import (
    baselines,
    known_activations,
    known_functions,
    known_layers,
    known_tensor_functions,
)

CHANNELS, GROUPS, EPSILON = 12, 4, 1e-5
# A shape, and its channel axis.
SHAPES = [
    ((6, CHANNELS), 1),
    ((5, CHANNELS, 7), 1),
    ((4, CHANNELS, 3, 5), 1),
    ((5, 7, CHANNELS), -1),
]


class Last(nn.Module):
    """A module of tokens, with the channels last, on (N, C, ...)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.movedim(1, -1)).movedim(-1, 1)


class Published(nn.Module):
    """EvoNorm on (N, C, ...) as in arXiv:2004.02967, written with torch's operations."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        for parameter, start in (("gamma", 1.0), ("beta", 0.0), ("v1", 1.0)):
            self.register_parameter(parameter, nn.Parameter(torch.full((CHANNELS,), start)))
        self.register_buffer("variance", torch.ones(CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        gamma, beta, v = (p.reshape(shape) for p in (self.gamma, self.beta, self.v1))
        points = x.reshape(len(x), CHANNELS, -1)
        grouped = x.reshape(len(x), GROUPS, -1)
        if self.name.startswith("evonorm_b"):
            batch = self._batch(points)
            instance = self._per(points.var(2, correction=0), x)
            power = self._per((points**2).mean(2), x)
            root = {
                "evonorm_b0": v * x + torch.sqrt(instance + EPSILON),
                "evonorm_b1": (x + 1) * torch.sqrt(power + EPSILON),
                "evonorm_b2": torch.sqrt(power + EPSILON) - x,
            }[self.name]
            return x / torch.max(torch.sqrt(batch.reshape(shape) + EPSILON), root) * gamma + beta
        spread = {
            "evonorm_s0": grouped.var(2, correction=0),
            "evonorm_s1": grouped.var(2, correction=0),
            "evonorm_s2": (grouped**2).mean(2),
        }[self.name]
        group = self._per(spread.repeat_interleave(CHANNELS // GROUPS, 1), x)
        gate = torch.sigmoid(v * x if self.name == "evonorm_s0" else x)
        return x * gate / torch.sqrt(group + EPSILON) * gamma + beta

    def _per(self, statistic: Tensor, x: Tensor) -> Tensor:
        """(N, C) as what broadcasts to x."""
        return statistic.reshape(*statistic.shape, *[1] * (x.ndim - 2))

    def _batch(self, points: Tensor) -> Tensor:
        if not self.training:
            return self.variance
        found = points.transpose(0, 1).reshape(CHANNELS, -1)
        count = found.shape[1]
        unbiased = found.var(1, correction=0).detach() * count / (count - 1)
        self.variance.mul_(0.9).add_(0.1 * unbiased)
        return found.var(1, correction=0)


def reference(name: str, rank: int) -> tuple[nn.Module, dict[str, str]]:
    """A module on (N, C, ...), and its parameters by ours."""
    batch_norm = nn.BatchNorm2d if rank == 4 else nn.BatchNorm1d
    norm, activation = {
        "bn_relu": lambda: (batch_norm(CHANNELS), nn.ReLU()),
        "gn_relu": lambda: (nn.GroupNorm(GROUPS, CHANNELS), nn.ReLU()),
        "gn_silu": lambda: (nn.GroupNorm(GROUPS, CHANNELS), nn.SiLU()),
        "ln_gelu": lambda: (Last(nn.LayerNorm(CHANNELS)), nn.GELU()),
        "rms_norm_silu": lambda: (Last(nn.RMSNorm(CHANNELS, eps=EPSILON)), nn.SiLU()),
    }.get(name, lambda: (None, None))()
    if norm is None:
        return Published(name), {"gamma": "gamma", "beta": "beta", "v1": "v1"}
    inner = "0.module" if isinstance(norm, Last) else "0"
    return nn.Sequential(norm, activation), {"gamma": f"{inner}.weight", "beta": f"{inner}.bias"}


def pair(name: str, shape: tuple[int, ...], dim: int) -> tuple[Layer, nn.Module, dict[str, str]]:
    """Our layer and its reference in float64, with the same random parameters."""
    torch.manual_seed(3)
    layer = module_of(known_layers()[name].expr, CHANNELS, dim, GROUPS).double()
    module, names = reference(name, len(shape))
    module.double()
    assert isinstance(layer, Layer)
    with torch.no_grad():
        for own, parameter in layer.named_parameters():
            parameter.copy_(torch.randn(CHANNELS))
            module.get_parameter(names[own]).copy_(parameter)
    return layer, module, names


@pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)
@pytest.mark.parametrize("name", known_layers())
def test_value_and_every_gradient_are_those_of_torch_in_training_and_evaluation(
    name: str, shape: tuple[int, ...], dim: int
) -> None:
    layer, module, names = pair(name, shape, dim)
    for training in (True, True, False):
        x = (3 * torch.randn(shape, dtype=torch.float64) + 1).requires_grad_()
        weights = torch.randn(shape, dtype=torch.float64)
        value = layer.train(training)(x)
        expected = module.train(training)(x.movedim(dim, 1)).movedim(1, dim)
        torch.testing.assert_close(value, expected, rtol=1e-11, atol=1e-12)
        own = [x, *layer.parameters()]
        theirs = [x, *(module.get_parameter(names[n]) for n, _ in layer.named_parameters())]
        torch.testing.assert_close(
            torch.autograd.grad((value * weights).sum(), own),
            torch.autograd.grad((expected * weights).sum(), theirs),
            rtol=1e-10,
            atol=1e-11,
        )


@pytest.mark.parametrize("name", known_layers())
def test_first_and_second_derivatives_are_those_of_finite_differences(name: str) -> None:
    layer, _, _ = pair(name, (3, CHANNELS, 2), 1)
    names = [n for n, _ in layer.named_parameters()]

    def function(x: Tensor, *trained: Tensor) -> Tensor:
        named = dict(zip(names, trained, strict=True))
        return torch.func.functional_call(copy.deepcopy(layer), named, (x,))

    x = torch.randn(3, CHANNELS, 2, dtype=torch.float64, requires_grad=True)
    trained = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(function, (x, *trained), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (x, *trained), fast_mode=True)


def test_batch_moments_of_float32_train_and_evaluate_as_batch_norm_does() -> None:
    torch.manual_seed(0)
    layer = module_of(known_layers()["bn_relu"].expr, CHANNELS)
    norm = nn.Sequential(nn.BatchNorm2d(CHANNELS), nn.ReLU())
    assert isinstance(layer, Layer)
    for number in range(20):
        x = (1 + number) * torch.randn(4, CHANNELS, 3, 3) + number
        torch.testing.assert_close(layer(x), norm(x), rtol=0, atol=1e-6)
    mean, variance = layer.buffers()
    torch.testing.assert_close(mean, norm[0].running_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance, norm[0].running_var, rtol=1e-6, atol=1e-6)
    x = 10 * torch.randn(1, CHANNELS, 3, 3)
    torch.testing.assert_close(layer.eval()(x), norm.eval()(x), rtol=0, atol=1e-6)


def test_running_moments_are_not_changed_by_evaluation() -> None:
    layer = module_of(read_formula("x/rms_batch(x) - mean_batch(x)"), CHANNELS).eval()
    before = [buffer.clone() for buffer in layer.buffers()]
    layer(torch.randn(4, CHANNELS))
    assert len(before) == 2
    torch.testing.assert_close(list(layer.buffers()), before)


@pytest.mark.parametrize("name", known_layers())
def test_in_evaluation_an_example_alone_has_the_value_that_it_has_in_a_batch(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, CHANNELS, 4, 4)
    layer = module_of(known_layers()[name].expr, CHANNELS, groups=GROUPS)
    layer(x)
    layer.eval()
    torch.testing.assert_close(layer(x[:1]), layer(x)[:1])


@pytest.mark.parametrize("name", known_layers())
def test_parameters_train_and_survive_the_state_dict(name: str) -> None:
    torch.manual_seed(1)
    expr = known_layers()[name].expr
    layer = module_of(expr, CHANNELS, groups=GROUPS)
    before = {n: p.detach().clone() for n, p in layer.named_parameters()}
    assert set(before) == {p.name for p in parameters(expr)}
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        x = torch.randn(8, CHANNELS, 4, 4)
        optimizer.zero_grad()
        (layer(x) - x.roll(1, 1)).square().mean().backward()
        optimizer.step()
    for parameter_name, parameter in layer.named_parameters():
        assert (parameter != before[parameter_name]).all(), parameter_name
    loaded = module_of(expr, CHANNELS, groups=GROUPS)
    loaded.load_state_dict(layer.state_dict())
    x = torch.randn(2, CHANNELS, 4, 4)
    torch.testing.assert_close(loaded.eval()(x), layer.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", known_layers())
def test_half_precision_and_autocast_take_moments_in_float32(name: str) -> None:
    torch.manual_seed(2)
    layer = module_of(known_layers()[name].expr, CHANNELS, groups=GROUPS)
    # In bfloat16 the mean of these would have an error as large as their deviation.
    x = (100 + torch.randn(8, CHANNELS, 4, 4)).bfloat16()
    expected = copy.deepcopy(layer)(x.float())
    assert torch.equal(copy.deepcopy(layer)(x), expected.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(copy.deepcopy(layer)(x), expected.bfloat16())
        assert torch.equal(copy.deepcopy(layer)(x.float()), expected)


@pytest.mark.parametrize(
    ("channels", "most", "groups"), [(48, 32, 24), (7, 32, 7), (10, 4, 2), (13, 4, 1), (64, 32, 32)]
)
def test_groups_are_lowered_until_they_divide_the_channels(
    channels: int, most: int, groups: int
) -> None:
    layer = module_of(known_layers()["gn_silu"].expr, channels, groups=most)
    norm = nn.Sequential(nn.GroupNorm(groups, channels), nn.SiLU())
    x = torch.randn(3, channels, 5)
    torch.testing.assert_close(layer(x), norm(x))


def test_layers_without_batch_moments_leave_examples_apart() -> None:
    x = torch.randn(5, CHANNELS, 4)
    changed = torch.cat([x[:1], 9 * torch.randn(4, CHANNELS, 4)])
    apart = {
        name
        for name, known in known_layers().items()
        if torch.equal(*(module_of(known.expr, CHANNELS)(tensor)[0] for tensor in (x, changed)))
    }
    mixing = {"bn_relu", "evonorm_b0", "evonorm_b1", "evonorm_b2"}
    assert apart == set(known_layers()) - mixing


def test_every_layer_has_a_name_of_its_own_that_reads_as_its_formula() -> None:
    names = [name for k in known_functions().values() for name in (k.name, *k.aliases)]
    assert len(names) == len(set(names))
    others = known_tensor_functions()
    assert list(known_functions()) == [*known_activations(), *known_layers(), *others]
    for known in known_layers().values():
        for name in (known.name, *known.aliases):
            assert read_formula(name) == known.expr
        assert parse(known.expr.text) == known.expr


def test_a_layer_may_be_called_in_a_formula() -> None:
    called = module_of(read_formula("0.5*evonorm_s1(2*x)"), CHANNELS, groups=GROUPS)
    layer = module_of(read_formula("evonorm_s1"), CHANNELS, groups=GROUPS)
    x = torch.randn(3, CHANNELS, 5)
    torch.testing.assert_close(called(x), 0.5 * layer(2 * x))


def names_of(**asked: bool) -> list[str]:
    return [known.name for known in baselines(**asked)]


def test_baselines_of_searches_for_layers_are_layers() -> None:
    layers = ["bn_relu", "gn_silu", "ln_gelu", "evonorm_b0", "evonorm_s0"]
    assert names_of(replaces_norm=True) == layers
    assert names_of(replaces_norm=True, batch_statistics=False) == [
        "gn_silu",
        "ln_gelu",
        layers[-1],
    ]


def test_baselines_of_other_searches_are_what_they_were() -> None:
    scalar = names_of()
    assert scalar == names_of(batch_statistics=False)
    assert scalar[0] == "relu" and len(scalar) == 11
    assert [k.name for k in baselines(("u", "v"))][5:] == scalar


def test_a_tensor_without_the_channels_is_refused() -> None:
    layer: Callable[[Tensor], Tensor] = module_of(read_formula("evonorm_s0"), CHANNELS)
    with pytest.raises(ValueError, match="12 channels on axis 1"):
        layer(torch.randn(3, 5, CHANNELS))
    with pytest.raises(ValueError, match="give channels="):
        module_of(read_formula("evonorm_s0"))


def test_a_moment_has_no_value_and_no_slope_at_one_point() -> None:
    expr = parse("x/std_group(x)")
    with pytest.raises(ValueError, match="std_group is a moment of a whole layer"):
        evaluate(expr, {"x": torch.ones(3)})
    with pytest.raises(DerivativeError, match="'std_group' is a moment of a whole layer"):
        derivative(expr)
    with pytest.raises(ValueError, match="make it with module_of"):
        Activation(expr, 4)
    with pytest.raises(ValueError, match="give channels="):
        module_of(expr)
    assert isinstance(actsearch.activation("evonorm_s0", channels=8), Layer)
