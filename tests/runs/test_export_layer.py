"""An exported layer needs torch alone and agrees with the engine's, step after step."""

from __future__ import annotations

import ast
import copy
import importlib.util
import itertools
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actsearch.errors import ConfigError
from actsearch.primitives import Apply, Constant, Expr, Input, Layer, Parameter, Scope, parse
from actsearch.primitives.moments import MOMENTS
from actsearch.primitives.operators import WORDS
from actsearch.runs.export_layer import layer_module_source
from actsearch.search.exporting import source_of_formula

AFFINE = "gamma[1, channel]*({}) + beta[0, channel]"
LAYERS = {
    "bn-relu": "relu(" + AFFINE.format("(x - mean_batch(x))/std_batch(x)") + ")",
    "b0": AFFINE.format("x/max(std_batch(x), v1[1, channel]*x + std_instance(x))"),
    "b1": AFFINE.format("x/max(std_batch(x), (x + 1)*rms_instance(x))"),
    "b2": AFFINE.format("x/max(std_batch(x), rms_instance(x) - x)"),
    "s0": AFFINE.format("x*sigmoid(v1[1, channel]*x)/std_group(x)"),
    "s1": AFFINE.format("x*sigmoid(x)/std_group(x)"),
    "s2": AFFINE.format("x*sigmoid(x)/rms_group(x)"),
}
OTHERS = {
    "layer": "(x - mean_layer(x))/std_layer(x) + rms_layer(x)",
    "token": "softplus((x - mean_token(x))/std_token(x)) + rms_token(x)",
    "token groups": "(x - mean_token_group(x))/std_token_group(x) + rms_token_group(x)",
    "instance": "tanh(x - mean_instance(x))/std_instance(x)",
    "group": "x - mean_group(x)",
    "batch": "x/rms_batch(x)",
    "nested": "x/std_group(x - mean_batch(2*x)*a[0.5, channel])*rms_batch(std_token(x))",
    "a moment": "std_batch(x)",
    "of no input": "x + std_layer(a[0.5, channel]) + mean_instance(2)*rms_batch(a)",
    "names": "x/std_group(x)*std_group_2[2] + std_group(tanh(x))*torch[1] + channel[1]*nn[1]",
    "groups of one": "x/std_instance(x)*b[2]/std_group(x)",
}
FORMULAS = {name: parse(text) for name, text in {**LAYERS, **OTHERS}.items()}
CHANNELS, GROUPS = 12, 4
SHAPES = {
    "(N, C)": ((6, CHANNELS), 1),
    "(N, C, L)": ((4, CHANNELS, 5), 1),
    "(N, C, H, W)": ((3, CHANNELS, 4, 3), 1),
    "(N, T, C)": ((3, 5, CHANNELS), -1),
}
_counter = itertools.count()


def load(folder, source):
    name = f"exported_layer_{next(_counter)}"
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def source_of(expr):
    return layer_module_source(expr, class_name="Made", provenance={"run": "r1"}, groups=GROUPS)


def pair(folder, expr, dim=1, dtype=torch.float64):
    """The exported layer and the engine's, their parameters away from where they start."""
    theirs = load(folder, source_of(expr)).Made(CHANNELS, dim).to(dtype)
    ours = Layer(expr, CHANNELS, dim, GROUPS).to(dtype)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return theirs, ours


def results(layer, x):
    x = x.clone().requires_grad_()
    value = layer(x)
    weights = torch.linspace(-1, 1.5, value.numel(), dtype=torch.float64).reshape(value.shape)
    loss = (value.double() * weights).sum()
    if not loss.requires_grad:
        return [value]
    leaves = [x, *layer.parameters()]
    return [value, *torch.autograd.grad(loss, leaves, materialize_grads=True)]


def assert_agree(theirs, ours, x, tolerance=1e-6):
    # A constant layer has no gradient in the engine, and zeros in the exported module.
    for got, wanted in zip(results(theirs, x), results(ours, x), strict=False):
        assert got.dtype == wanted.dtype
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    for got, wanted in zip(theirs.buffers(), ours.buffers(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_agrees_with_the_engine_in_training_and_evaluation(name, shape, tmp_path):
    size, dim = SHAPES[shape]
    theirs, ours = pair(tmp_path, FORMULAS[name], dim)
    for step in range(3):
        assert_agree(theirs, ours, step + 2 * torch.randn(size, dtype=torch.float64))
    theirs.eval()
    ours.eval()
    before = copy.deepcopy(theirs.state_dict())
    assert_agree(theirs, ours, torch.randn(size, dtype=torch.float64))
    assert all(torch.equal(before[key], value) for key, value in theirs.state_dict().items())


def test_exported_bn_relu_is_that_of_torch(tmp_path):
    theirs = load(tmp_path, source_of(FORMULAS["bn-relu"])).Made(CHANNELS)
    norm = torch.nn.BatchNorm2d(CHANNELS)
    for training in (True, True, False):
        theirs.train(training)
        norm.train(training)
        x = 1 + 3 * torch.randn(4, CHANNELS, 5, 5)
        torch.testing.assert_close(theirs(x), torch.relu(norm(x)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(theirs._running_1, norm.running_var)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["b0", "s0", "nested", "token"])
def test_agrees_in_other_dtypes(name, dtype, tmp_path):
    theirs, ours = pair(tmp_path, FORMULAS[name], dtype=torch.float32)
    x = (3 * torch.randn(4, CHANNELS, 6)).to(dtype)
    assert_agree(theirs, ours, x, 1e-5 if dtype == torch.float32 else 1e-2)
    assert_agree(theirs.to(dtype), ours.to(dtype), x, 1e-5 if dtype == torch.float32 else 1e-2)


def test_half_precision_does_not_overflow_in_a_moment(tmp_path):
    theirs, _ = pair(tmp_path, FORMULAS["s2"], dtype=torch.float32)
    x = (1e4 * torch.randn(2, CHANNELS, 8)).to(torch.float16)
    assert theirs(x).isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(theirs(x.float()), theirs(x.float()))
        assert theirs(x.float()).dtype == torch.float32


def test_state_dict_loads_strictly_both_ways(tmp_path):
    theirs, ours = pair(tmp_path, FORMULAS["b0"])
    theirs(torch.randn(4, CHANNELS, 3, dtype=torch.float64))
    assert set(theirs.state_dict()) == {"gamma", "beta", "v1", "_running_0"}
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert torch.equal(ours._running_0, theirs._running_0)


def test_copies_and_pickles(tmp_path):
    theirs, _ = pair(tmp_path, FORMULAS["nested"])
    theirs.eval()
    x = torch.randn(3, CHANNELS, 4, dtype=torch.float64)
    # A module that this test has just written and imported.
    for twin in (copy.deepcopy(theirs), pickle.loads(pickle.dumps(theirs))):  # noqa: S301
        assert torch.equal(twin(x), theirs(x))


@pytest.mark.parametrize("channels, groups", [(12, 4), (10, 2), (7, 1), (3, 3), (2, 2)])
def test_groups_are_lowered_until_they_divide_the_channels(channels, groups, tmp_path):
    made = load(tmp_path, source_of(FORMULAS["s0"])).Made
    assert made(channels, groups=4).groups == groups == made(channels).groups
    x = torch.randn(2, channels, 5)
    scale = x.reshape(2, groups, -1).var(-1, correction=0).add(1e-5).sqrt()
    wanted = x * torch.sigmoid(x) / scale.repeat_interleave(channels // groups, 1)[..., None]
    torch.testing.assert_close(made(channels)(x), wanted)


@pytest.mark.parametrize("shape", [(CHANNELS,), (2, CHANNELS + 1), (2, 3, CHANNELS)])
def test_a_wrong_number_of_channels_is_named(shape, tmp_path):
    layer = load(tmp_path, source_of(FORMULAS["s0"])).Made(CHANNELS)
    with pytest.raises(ValueError, match=f"made for {CHANNELS} channels on axis 1"):
        layer(torch.randn(shape))


@pytest.mark.parametrize("name", ["b0", "s0", "nested"])
def test_compiles_without_a_graph_break(name, tmp_path):
    theirs, ours = pair(tmp_path, FORMULAS[name], dtype=torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(theirs, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        assert_agree(compiled, ours, torch.randn(4, CHANNELS, 6), 1e-5)
    x = torch.randn(4, CHANNELS, 6)
    with torch.no_grad():
        torch.testing.assert_close(compiled.eval()(x), ours.eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["b0", "s0"])
def test_torch_export(name, tmp_path):
    theirs, ours = pair(tmp_path, FORMULAS[name], dtype=torch.float32)
    theirs.eval()
    ours.eval()
    x = torch.randn(4, CHANNELS, 6)
    program = torch.export.export(theirs, (x,))
    torch.testing.assert_close(program.module()(x), ours(x), rtol=1e-5, atol=1e-6)


def test_saves_between_moments_only_what_is_read(tmp_path):
    # The moment, x twice (for the variance and for the value), and three parameters.
    theirs, saved = load(tmp_path, source_of(FORMULAS["s0"])).Made(CHANNELS), []
    x = torch.randn(4, CHANNELS, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        theirs(x)
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    assert sum(kept.values()) < 1.2 * x.untyped_storage().nbytes()


_NODES = ("add", "mul", "div", "max", "sigmoid", "tanh", "neg", "abs", *MOMENTS)
_LEAVES = (
    Input("x"),
    Input("x"),
    Parameter("v0", 0.5, Scope.CHANNEL),
    Parameter("v1", 1.0, Scope.CHANNEL),
    Constant(2.0),
)


@st.composite
def layers(draw) -> Expr:
    """Graphs as of EvoNorm: each node reads earlier ones; at least one is a moment."""
    nodes: list[Expr] = list(_LEAVES)
    for _ in range(draw(st.integers(1, 7))):
        operator = WORDS[draw(st.sampled_from(_NODES))]
        nodes.append(
            Apply(operator, tuple(draw(st.sampled_from(nodes)) for _ in range(operator.arity)))
        )
    moment = WORDS[draw(st.sampled_from(sorted(MOMENTS)))]
    return Apply(WORDS["add"], (nodes[-1], Apply(moment, (draw(st.sampled_from(nodes)),))))


@given(expr=layers(), shape=st.sampled_from(sorted(SHAPES)), training=st.booleans())
def test_random_layers_agree_with_the_engine(expr, shape, training, tmp_path_factory):
    size, dim = SHAPES[shape]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, dtype=torch.float64, generator=generator)
    theirs, ours = pair(tmp_path_factory.mktemp("random"), expr, dim)
    theirs.train(training)
    ours.train(training)
    assert_agree(theirs, ours, x)


@pytest.mark.parametrize("name", FORMULAS)
def test_text_is_the_same_every_time_and_imports_torch_alone(name):
    source = source_of(FORMULAS[name])
    assert source == source_of(parse(str(FORMULAS[name])))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"__future__", "typing", "torch"}
    assert "a layer that takes the place of normalisation and activation" in source
    assert "run: r1" in source and "groups: int = 4" in source


def test_only_the_moments_in_use_are_defined():
    defined = [
        node.name
        for node in ast.parse(source_of(FORMULAS["s0"])).body
        if isinstance(node, ast.FunctionDef) and node.name[1:] in MOMENTS
    ]
    assert defined == ["_std_group"]


def test_text_passes_ruff(tmp_path):
    for index, expr in enumerate(FORMULAS.values()):
        (tmp_path / f"file_{index}.py").write_text(source_of(expr))
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--isolated", "--line-length=100", "--select=E,F,W,I,B,UP,S102,S307"],
        ["format", "--isolated", "--line-length=100", "--check", "--diff"],
    ):
        done = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["", "a b", "torch", "Tensor", "value", "std_group"])
def test_class_name_must_be_free(name):
    with pytest.raises(ValueError, match="class_name="):
        layer_module_source(FORMULAS["s0"], class_name=name, provenance={})


def test_a_formula_with_moments_is_exported_as_a_layer(tmp_path):
    text = LAYERS["s0"]
    made = load(tmp_path, source_of_formula(text)).Discovered
    assert made(64).groups == 32
    with pytest.raises(ConfigError, match="triton"):
        source_of_formula(text, "triton")
    assert "channels" not in source_of_formula("x*sigmoid(x)")
