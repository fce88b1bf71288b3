"""Exported functions of a whole tensor need torch alone and agree with the engine's."""

from __future__ import annotations

import ast
import copy
import importlib.util
import itertools
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from actsearch.errors import ConfigError
from actsearch.primitives import Expr, Layer, parse
from actsearch.primitives.zoo import known_tensor_functions
from actsearch.runs.export_layer import layer_module_source
from actsearch.search.exporting import source_of_formula

CHANNELS, GROUPS = 12, 4
FORMULAS = {
    **{name: row.expr for name, row in known_tensor_functions().items()},
    "two of a kind": parse("channel_mix(x)*channel_mix(tanh(x)) + std_group(depthwise(x))"),
    "nested": parse("x*bernoulli(sigmoid(x - cutoff_batch(x/std_batch(x), 0.25)))"),
    "of no tensor": parse("x*first_channels(1/3) + normal(a[0.5, channel], 2)"),
    "names": parse("x*uniform_2[2]*uniform(0, x) + uniform(x, channel[1])*nn[0.5]"),
}
SHAPES = {
    "(N, C)": ((6, CHANNELS), 1),
    "(N, C, L)": ((4, CHANNELS, 5), 1),
    "(N, C, H, W)": ((2, CHANNELS, 4, 4), 1),
    "(N, T, C)": ((3, CHANNELS, CHANNELS), -1),
}
_counter = itertools.count()


def load(folder: Path, source: str) -> ModuleType:
    name = f"exported_words_{next(_counter)}"
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def source_of(expr: Expr) -> str:
    return layer_module_source(expr, class_name="Made", provenance={"run": "r1"}, groups=GROUPS)


def pair(made: type[nn.Module], expr: Expr, dim: int = 1) -> tuple[nn.Module, Layer]:
    """The exported layer and the engine's, their parameters away from where they start."""
    theirs = made(CHANNELS, dim).double()
    ours = Layer(expr, CHANNELS, dim, GROUPS).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return theirs, ours


def results(layer: nn.Module, x: Tensor) -> list[Tensor]:
    torch.manual_seed(11)
    x = x.clone().requires_grad_()
    value = layer(x)
    weights = torch.linspace(-1, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    leaves = [x, *layer.parameters()]
    found = torch.autograd.grad((value * weights).sum(), leaves, materialize_grads=True)
    return [value, *found]


def assert_agree(theirs: nn.Module, ours: nn.Module, x: Tensor) -> None:
    torch.testing.assert_close(results(theirs, x), results(ours, x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(theirs.state_dict(), ours.state_dict(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_agrees_with_the_engine_in_training_and_evaluation(name: str, tmp_path: Path) -> None:
    made = load(tmp_path, source_of(FORMULAS[name])).Made
    for shape, dim in SHAPES.values():
        square = shape[-1] == shape[-2]
        if name == "matrix_exponential" and not square:
            continue
        theirs, ours = pair(made, FORMULAS[name], dim)
        for _ in range(2):
            assert_agree(theirs, ours, torch.randn(shape, dtype=torch.float64))
        assert_agree(theirs.eval(), ours.eval(), torch.randn(shape, dtype=torch.float64))


def test_a_class_by_the_name_of_a_row_is_exported_by_that_name(tmp_path: Path) -> None:
    x = torch.randn(3, CHANNELS, 4)
    made = load(tmp_path, source_of_formula("softmax")).Softmax(CHANNELS)
    torch.testing.assert_close(made(x), x.softmax(1))
    called = load(tmp_path, source_of_formula("rrelu(lower=0.1, upper=0.3)")).Discovered(CHANNELS)
    torch.testing.assert_close(called.eval()(x), nn.functional.leaky_relu(x, 0.2))
    with pytest.raises(ConfigError, match="use the format torch"):
        source_of_formula("softmax", "triton")


@pytest.mark.parametrize("name", ["gdn", "cats", "rrelu"])
def test_copies_pickles_and_compiles(name: str, tmp_path: Path) -> None:
    theirs, ours = pair(load(tmp_path, source_of(FORMULAS[name])).Made, FORMULAS[name])
    theirs.eval()
    x = torch.randn(3, CHANNELS, 4, dtype=torch.float64, requires_grad=True)
    # A module that this test has just written and imported.
    for twin in (copy.deepcopy(theirs), pickle.loads(pickle.dumps(theirs))):  # noqa: S301
        assert torch.equal(twin(x), theirs(x))
    torch._dynamo.reset()
    compiled = torch.compile(theirs, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), ours.eval()(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_text_is_the_same_every_time_and_imports_torch_alone(name: str) -> None:
    source = source_of(FORMULAS[name])
    assert source == source_of(parse(str(FORMULAS[name])))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"__future__", "typing", "torch"}


def test_only_the_words_in_use_are_defined() -> None:
    classes = [
        node.name
        for node in ast.parse(source_of(FORMULAS["gdn"])).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert classes == ["AtLeast", "ChannelMix", "Made"]
    with pytest.raises(ValueError, match="class_name='ChannelMix'"):
        layer_module_source(FORMULAS["gdn"], class_name="ChannelMix", provenance={})


def test_text_passes_ruff(tmp_path: Path) -> None:
    for index, expr in enumerate(FORMULAS.values()):
        (tmp_path / f"file_{index}.py").write_text(source_of(expr))
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--isolated", "--line-length=100", "--select=E,F,W,I,B,UP,S102,S307"],
        ["format", "--isolated", "--line-length=100", "--check", "--diff"],
    ):
        done = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
