"""An exported module needs torch alone and agrees with the engine."""

from __future__ import annotations

import ast
import copy
import importlib.util
import itertools
import pickle
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import DIFFERENTIABLE, PARAMETERS, exprs

from actsearch.primitives import (
    OPERATORS,
    Activation,
    inputs,
    known_activations,
    parameters,
    read_formula,
)
from actsearch.primitives.expr import Apply, Input, Parameter, Scope
from actsearch.primitives.lowering import functions
from actsearch.runs.export import class_name_for, module_source
from actsearch.runs.export_functions import public_name

COMPOSITIONS = {
    "swish": "x*sigmoid(beta[1]*x)",
    "two scopes": "max(x, 0) + a[0.25, channel]*tanh(beta[1]*x) + sinc(x)",
    "max with a parameter": "max(x, beta[0.5, channel]*sin(x))",
    "gated": "u*sigmoid(beta[1]*u)*v + gamma[0.1, channel]",
    "names of the module": "torch[0.5]*x + nn[1]*t0[2]*tanh(x) + grad[1]*x + Tensor[1]",
    "identity": "x",
    "constant": "max(1, 2)",
    "constant function": "exp(2) + 0.5",
    "only a parameter": "beta[0.5]",
    "only a channel parameter": "beta[0.5, channel]",
    "numbers on both sides": "-2*x - (-3) + 2^x*(-1.5) + (1 + square(x))^-0.3 + 3/(2 + square(x))",
    "huge and tiny numbers": "1e300*1e-300*x + 1e-50 + min(x, 1e200)",
    "minus a number": "neg(2)*x",
    "shared": "square(tanh(x)*x) + tanh(x)*x",
}
FORMULAS = {
    **{name: known.expr for name, known in known_activations().items()},
    **{name: read_formula(text) for name, text in COMPOSITIONS.items()},
}
_SINE, _SUM = "a sine of 1e7, where float32 has no angle", "a sum that cancels, in another order"
# Skipped below float64, where both sides are right to their own rounding.
ILL_CONDITIONED = {
    **dict.fromkeys(("finer", "finer_detached"), _SINE),
    **dict.fromkeys(
        ("pau", "pau_b", "pau_c", "pau_n", "xatglu", "xgeglu", "xswiglu", "deep_spline"), _SUM
    ),
}
CHANNELS = 3
_counter = itertools.count()


def load(folder, source):
    """Import the text as a module of its own."""
    name = f"exported_{next(_counter)}"
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def exported(folder, expr):
    module = load(folder, module_source(expr, class_name="Made", provenance={}))
    return module.Made(CHANNELS) if needs_channels(expr) else module.Made()


def engine(expr):
    return Activation(expr, channels=CHANNELS if needs_channels(expr) else None)


def needs_channels(expr):
    return any(p.scope == "channel" for p in parameters(expr))


def sample(expr, dtype, wide=False):
    count = len(inputs(expr)) or 1
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(count, 4, CHANNELS, 6, generator=generator, dtype=torch.float64)
    ends = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.5, -2.5])
    x[:, 0] = 1e4 * ends / 2.5 if wide else ends
    return [t.to(dtype).requires_grad_() for t in x]


def results(module, tensors):
    """Value, and gradients by inputs and parameters of a fixed weighted sum, in float64."""
    value = module(*tensors)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).reshape(value.shape)
    leaves = [*tensors, *module.parameters()]
    loss = (value.double() * weights).sum()
    if not loss.requires_grad:
        return [value]
    return [value, *torch.autograd.grad(loss, leaves, materialize_grads=True)]


def assert_agree(got, expected, dtype):
    tolerance = 1e-6 if dtype != torch.bfloat16 else 1e-2
    for a, b in zip(got, expected, strict=False):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_agrees_with_the_engine(name, dtype, tmp_path):
    if dtype is not torch.float64 and name in ILL_CONDITIONED:
        pytest.skip(ILL_CONDITIONED[name])
    expr = FORMULAS[name]
    theirs, ours = exported(tmp_path, expr), engine(expr)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for wide in (False, True):
        tensors = sample(expr, dtype, wide)
        got, expected = results(theirs, tensors), results(ours, tensors)
        assert got[0].dtype == dtype and got[0].shape == tensors[0].shape
        assert_agree(got, expected, dtype)


@given(expr=exprs(parameters=PARAMETERS))
def test_random_candidates_agree_with_the_engine(expr, tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    tensors = sample(expr, torch.float32)
    assert_agree(
        results(exported(folder, expr), tensors), results(engine(expr), tensors), torch.float32
    )


@given(expr=exprs(("u", "v"), parameters=PARAMETERS))
def test_random_gates_agree_with_the_engine(expr, tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    tensors = sample(expr, torch.float64)
    assert_agree(
        results(exported(folder, expr), tensors), results(engine(expr), tensors), torch.float64
    )


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_operator_exports(name, tmp_path):
    names = ("u", "v") if OPERATORS[name].arity == 2 else ("x",)
    expr = Apply(OPERATORS[name], tuple(Input(n) for n in names))
    tensors = sample(expr, torch.float64)
    assert_agree(
        results(exported(tmp_path, expr), tensors), results(engine(expr), tensors), torch.float64
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_every_tensor_function_has_a_public_name(name):
    function = OPERATORS[name].value
    called = public_name(function)
    if "." in called:
        found = torch if called.startswith("torch.") else torch.nn
        for part in called.split(".")[1:]:
            found = getattr(found, part)
        assert found is function
    else:
        # Helpers are named as their operators are, so no parameter can have their name.
        assert called == name and getattr(functions, called) is function


@pytest.mark.parametrize("name", ["swish", "two scopes", "gated", "mish"])
def test_second_derivatives_agree_with_the_engine(name, tmp_path):
    expr = FORMULAS[name]
    found = []
    for module in (exported(tmp_path, expr), engine(expr)):
        tensors = sample(expr, torch.float64)
        (slope,) = torch.autograd.grad(module(*tensors).sum(), tensors[:1], create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), tensors[0])[0])
    torch.testing.assert_close(*found)


def test_only_the_inputs_are_saved(tmp_path):
    module, saved = exported(tmp_path, FORMULAS["mish"]), []
    x = torch.randn(5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        module(x)
    assert [t.data_ptr() for t in saved] == [x.data_ptr()]


def test_state_dict_loads_strictly_both_ways(tmp_path):
    expr = FORMULAS["two scopes"]
    theirs, ours = exported(tmp_path, expr), engine(expr)
    with torch.no_grad():
        ours.a.copy_(torch.tensor([1.0, 2.0, 3.0]))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert theirs.a.tolist() == [1.0, 2.0, 3.0]
    ours.load_state_dict(theirs.state_dict(), strict=True)


def test_copies_and_pickles(tmp_path):
    module = exported(tmp_path, FORMULAS["two scopes"])
    (x,) = sample(FORMULAS["two scopes"], torch.float32)
    # A module that this test has just written and imported.
    read_back = pickle.loads(pickle.dumps(module))  # noqa: S301
    for twin in (copy.deepcopy(module), read_back):
        assert torch.equal(twin(x), module(x))
    torch.save(module, tmp_path / "module.pt")
    assert torch.equal(torch.load(tmp_path / "module.pt", weights_only=False)(x), module(x))


def test_channel_axis_may_be_the_last(tmp_path):
    module = load(
        tmp_path,
        module_source(FORMULAS["two scopes"], class_name="Made", provenance={}),
    ).Made(CHANNELS, dim=-1)
    ours = Activation(FORMULAS["two scopes"], channels=CHANNELS, dim=-1)
    x = torch.randn(5, 7, CHANNELS, requires_grad=True)
    assert_agree(results(module, [x]), results(ours, [x]), torch.float32)


def test_works_under_vmap_and_functional_grad(tmp_path):
    module, x = exported(tmp_path, FORMULAS["mish"]), torch.randn(4, 5)
    each = torch.func.vmap(torch.func.grad(lambda row: module(row).sum()))(x)
    wanted = x.clone().requires_grad_()
    engine(FORMULAS["mish"])(wanted).sum().backward()
    torch.testing.assert_close(each, wanted.grad)


@pytest.mark.parametrize("name", FORMULAS)
def test_text_is_the_same_every_time_and_tidy(name):
    expr = FORMULAS[name]
    source = module_source(expr, class_name="Made", provenance={"run": "r1", "task": "digits"})
    assert source == module_source(
        read_formula(str(expr)), class_name="Made", provenance={"run": "r1", "task": "digits"}
    )
    assert all(len(line) <= 100 and line == line.rstrip() for line in source.splitlines())
    assert source.endswith("\n") and not source.endswith("\n\n")
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"__future__", "typing", "torch"}
    assert "run: r1" in source and "task: digits" in source


def test_text_passes_ruff(tmp_path):
    folder = tmp_path / "actsearch"
    folder.mkdir()
    for index, expr in enumerate(FORMULAS.values()):
        source = module_source(expr, class_name="Made", provenance={"run": "r1"})
        (folder / f"file_{index}.py").write_text(source)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--isolated", "--line-length=100", "--select=E,F,W,I,B,UP,S102,S307"],
        ["format", "--isolated", "--line-length=100", "--check", "--diff"],
    ):
        done = subprocess.run([*ruff, *command, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@given(text=st.text(max_size=60))
def test_provenance_stays_within_the_docstring(text):
    hostile = text + '"""\nimport os\n' + text + "\\"
    source = module_source(
        FORMULAS["relu"], class_name="Relu", provenance={hostile: hostile, text: text}
    )
    plain = module_source(FORMULAS["relu"], class_name="Relu", provenance={})
    tree, expected = ast.parse(source), ast.parse(plain)
    assert ast.dump(ast.Module(tree.body[1:], [])) == ast.dump(ast.Module(expected.body[1:], []))


@pytest.mark.parametrize(
    "name", ["", "1a", "class", "a b", "x\nimport os", "torch", "Tensor", "softplus", "é", "_X"]
)
def test_class_name_must_be_an_identifier(name):
    with pytest.raises(ValueError, match="class_name="):
        module_source(FORMULAS["relu"], class_name=name, provenance={})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("quick_gelu", "QuickGelu"),
        ("relu", "Relu"),
        ("relu2", "Relu2"),
        ("", "Discovered"),
        ("x*sigmoid(x)", "XSigmoidX"),
        ("2nd", "Discovered"),
        ("none", "Discovered"),
        ("tensor", "Discovered"),
        ("__import__", "Import"),
    ],
)
def test_class_names(name, wanted):
    assert class_name_for(name) == wanted
    module_source(FORMULAS["relu"], class_name=class_name_for(name), provenance={})


def test_clashing_parameter_names_stay_apart(tmp_path):
    x, names = Input("x"), ("torch", "torch_", "nn", "ctx", "t1")
    expr = x
    for index, name in enumerate(names):
        expr = Apply(OPERATORS["add"], (expr, Apply(OPERATORS["softplus"], (
            Apply(OPERATORS["mul"], (Parameter(name, 0.5 + index), x)),))))  # fmt: skip
    tensors = sample(expr, torch.float32)
    assert_agree(
        results(exported(tmp_path, expr), tensors), results(engine(expr), tensors), torch.float32
    )


_ALONE = textwrap.dedent(
    """
    import importlib.abc, pickle, sys

    class Absent(importlib.abc.MetaPathFinder):
        rooms = {"actsearch", "sympy", "ray", "optuna", "mpmath", "scipy", "hypothesis", "pydantic"}
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in self.rooms:
                raise ModuleNotFoundError(f"{name} is made absent")

    import torch
    sys.meta_path.insert(0, Absent())
    sys.path.insert(0, sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    import found
    Absent.rooms = {"actsearch", "ray", "optuna", "pydantic"}  # torch itself looks for the others

    def model():
        torch.manual_seed(0)
        layers = torch.nn.Linear(2, 16), found.Found(16), torch.nn.Linear(16, 1)
        return torch.nn.Sequential(*layers)

    x = torch.rand(256, 2) * 4 - 2
    y = torch.sin(x[:, :1]) * x[:, 1:]

    def losses(net, steps):
        optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
        for _ in range(steps):
            optimiser.zero_grad()
            loss = (net(x) - y).square().mean()
            loss.backward()
            optimiser.step()
            yield loss.item()

    net = model()
    if sys.argv[2] == "train":
        trace = list(losses(net, 60))
        assert trace[-1] < 0.5 * trace[0], trace
        assert not torch.equal(net[1].a, model()[1].a) and net[1].beta != model()[1].beta
        twin = model()
        twin.load_state_dict(net.state_dict(), strict=True)
        assert torch.equal(twin(x), net(x))
        assert torch.equal(pickle.loads(pickle.dumps(net))(x), net(x))
        torch.save(net, sys.argv[1] + "/net.pt")
        assert torch.equal(torch.load(sys.argv[1] + "/net.pt", weights_only=False)(x), net(x))
        assert not Absent.rooms & {name.split(".")[0] for name in sys.modules}
    else:
        expected = list(losses(model(), 5))
        for backend in ("aot_eager", "inductor"):
            torch._dynamo.reset()
            compiled = torch.compile(model(), fullgraph=True, backend=backend)
            got = list(losses(compiled, 5))
            assert all(abs(a - b) < 1e-5 for a, b in zip(got, expected)), (got, expected)
        assert torch._dynamo.explain(model())(x).graph_break_count == 0
    print("done", sys.argv[2])
    """
)


@pytest.mark.parametrize("name", ["swish", "two scopes", "gated", "swiglu", "silu", "constant"])
def test_compiles_in_one_graph_where_nothing_needs_a_gradient(name, tmp_path):
    expr = FORMULAS[name]
    made = load(tmp_path, module_source(expr, class_name="Found", provenance={})).Found
    per_channel = any(p.scope is Scope.CHANNEL for p in parameters(expr))
    module = made(channels=CHANNELS) if per_channel else made()
    given = [torch.randn(4, CHANNELS) for _ in inputs(expr) or ("x",)]
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    wanted = Activation(expr, CHANNELS)(*given)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*given), wanted.detach())
    # Gated functions without parameters need none in training mode either.
    torch.testing.assert_close(compiled(*given), wanted)


@pytest.mark.parametrize("what", ["train", pytest.param("compile", marks=pytest.mark.slow)])
def test_works_where_only_torch_is_installed(what, tmp_path):
    source = module_source(FORMULAS["two scopes"], class_name="Found", provenance={"run": "r"})
    (tmp_path / "found.py").write_text(source)
    (tmp_path / "alone.py").write_text(_ALONE)
    done = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "alone.py"), str(tmp_path), what],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(f"done {what}")
