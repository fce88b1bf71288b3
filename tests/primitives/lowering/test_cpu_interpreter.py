"""The compiled CPU path against eager float64, over layouts, dtypes, sizes and random programs."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_cases import FUNCTIONS
from strategies import SMOOTH, exprs

from actsearch.primitives import Activation, Parameter, Scope, inputs, parameters, parse
from actsearch.primitives.lowering import cpu_interpreter, eager
from actsearch.primitives.lowering.backends import Backend, backend_for

pytestmark = pytest.mark.skipif(
    not cpu_interpreter.is_available(), reason="there is no C++ compiler here"
)

TRAINED = (Parameter("alpha", 0.25, Scope.CHANNEL), Parameter("beta", 1.5))
SIZES = [1, 3, 64, 1023, 1024, 1025, 5000]


def trained_for(expr, channels, generator=None):
    return [
        torch.randn(channels if p.scope is Scope.CHANNEL else (), generator=generator)
        for p in parameters(expr)
    ]


def assert_agrees_with_eager(expr, tensors, trained, grad, dim, rtol=3e-6):
    wide = [t.double() for t in tensors], [t.double() for t in trained]
    value = cpu_interpreter.forward(expr, tensors, trained, dim)
    wanted = eager.forward(expr, *wide, dim)
    assert value.shape == wanted.shape and value.dtype == tensors[0].dtype
    rtol = {torch.bfloat16: 2**-8, torch.float16: 2**-10}.get(value.dtype, rtol)
    torch.testing.assert_close(value.double(), wanted, rtol=rtol, atol=1e-6)
    found = cpu_interpreter.backward(expr, grad, tensors, trained, dim)
    wanted = eager.backward(expr, grad.double(), *wide, dim)
    for one, other, like in zip(found, wanted, [*tensors, *trained], strict=True):
        assert one.shape == like.shape
        # A sum of n terms is off by about sqrt(n) units of its largest terms.
        scale = max(1.0, float(grad.double().abs().max())) * max(1, grad.numel()) ** 0.5
        torch.testing.assert_close(one.double(), other, rtol=rtol, atol=1e-6 * scale)


@pytest.mark.parametrize("dtype", cpu_interpreter.STORAGES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_known_functions_at_many_sizes(name, dtype):
    expr = FUNCTIONS[name]
    generator = torch.Generator().manual_seed(1)
    for size in SIZES:
        tensors = [3 * torch.randn(size, 1, generator=generator).to(dtype) for _ in inputs(expr)]
        grad = torch.randn(size, 1, generator=generator).to(dtype)
        assert_agrees_with_eager(expr, tensors, trained_for(expr, 1, generator), grad, -1)


LAYOUTS = {
    "contiguous": lambda t: t,
    "channels last": lambda t: t.to(memory_format=torch.channels_last),
    "transposed": lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),
    "every other": lambda t: torch.cat([t, t], dim=3)[..., ::2],
    "expanded": lambda t: t[:1].expand(t.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(4, 5, 7, 3), (2, 3, 40, 40), (3, 70, 1, 1), (1, 1, 3, 5)])
def test_channel_parameters_in_any_layout(layout, shape):
    expr = parse("alpha[0.5, channel]*x*sigmoid(beta[1, channel]*x) + gamma[2]*sin(x)")
    x = LAYOUTS[layout](torch.randn(shape))
    grad = LAYOUTS[layout](torch.randn(shape)).flip(0)
    for dim in (-3, -1, -4):
        trained = trained_for(expr, shape[dim])
        assert_agrees_with_eager(expr, [x], trained, grad, dim)


@given(exprs(operators=SMOOTH, parameters=TRAINED), st.integers(1, 3000))
@settings(max_examples=150)
def test_random_programs(expr, size):
    assume(inputs(expr) == ("x",))
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(-(-size // 3), 3, generator=generator)
    grad = torch.randn(x.shape, generator=generator)
    trained = trained_for(expr, 3, generator)
    wide = eager.forward(expr, [x.double()], [t.double() for t in trained], -1)
    assume(bool(torch.isfinite(wide).all()) and wide.abs().max() < 1e3)
    gradients = eager.backward(expr, grad.double(), [x.double()], [t.double() for t in trained], -1)
    assume(all(bool(torch.isfinite(g).all()) and g.abs().max() < 1e4 for g in gradients))
    # Rounding within a deep expression grows with its slopes; eager float32 has the same errors.
    narrow = eager.forward(expr, [x], trained, -1).double()
    off = float((narrow - wide).abs().max())
    value = cpu_interpreter.forward(expr, [x], trained, -1).double()
    assert float((value - wide).abs().max()) <= 8 * off + 1e-5 * max(1.0, float(wide.abs().max()))
    narrow_gradients = eager.backward(expr, grad, [x], trained, -1)
    found = cpu_interpreter.backward(expr, grad, [x], trained, -1)
    for one, narrow_one, other in zip(found, narrow_gradients, gradients, strict=True):
        off = float((narrow_one.double() - other).abs().max())
        largest = max(1.0, float(other.abs().max()))
        assert float((one.double() - other).abs().max()) <= 8 * off + 1e-4 * largest


def test_threads_do_not_change_the_values():
    expr = parse("x*tanh(softplus(beta[1, channel]*x))")
    x, grad = torch.randn(2, 300, 30, 20).unbind()
    trained = trained_for(expr, 30)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(
                [
                    cpu_interpreter.forward(expr, [x], trained, -2),
                    *cpu_interpreter.backward(expr, grad, [x], trained, -2),
                ]
            )
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert torch.equal(results[0][0], other[0]) and torch.equal(results[0][1], other[1])
        torch.testing.assert_close(results[0][2], other[2])


def test_equal_calls_give_equal_bits():
    expr = parse("x*sigmoid(beta[1, channel]*x)")
    x, grad, trained = torch.randn(500, 30), torch.randn(500, 30), trained_for(expr, 30)
    first, second = (cpu_interpreter.backward(expr, grad, [x], trained, -1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_special_values_come_out_as_in_eager():
    special = torch.tensor(
        [
            0.0,
            -0.0,
            1e-45,
            -1e-45,
            1e-39,
            1e4,
            -1e4,
            3e38,
            float("inf"),
            -float("inf"),
            float("nan"),
        ]
    )
    for name, expr in FUNCTIONS.items():
        tensors = [special for _ in inputs(expr)]
        value = cpu_interpreter.forward(expr, tensors, trained_for(expr, 1), -1)
        assert torch.isnan(value[-1]), name
        finite = value[:7]
        assert torch.isfinite(finite).all(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_every_half_precision_number_is_read_and_rounded_to_the_nearest(dtype):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    numbers = every[~torch.isnan(every)]
    assert torch.equal(cpu_interpreter.forward(parse("x"), [numbers], [], -1), numbers)
    assert torch.isnan(
        cpu_interpreter.forward(parse("x"), [every[torch.isnan(every)]], [], -1)
    ).all()
    # Products have twice the digits, ties among them, and leave the range at both ends.
    for other in (numbers.flip(0), numbers.roll(12_345)):
        pair = numbers, other
        wanted = (pair[0].float() * pair[1].float()).to(dtype)
        found = cpu_interpreter.forward(parse("u*v"), list(pair), [], -1)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


def test_only_what_is_read_is_saved_for_the_backward_pass():
    module = Activation(parse("x*tanh(softplus(beta[1, channel]*x))"), channels=8)
    x = torch.randn(100, 8, requires_grad=True)
    saved = []

    def keep(tensor):
        saved.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(x)
    assert saved == [x.data_ptr(), module.beta.data_ptr()]


def test_which_inputs_take_the_compiled_path():
    assert backend_for(torch.zeros(3)) is Backend.CPU
    assert backend_for(torch.zeros(3, dtype=torch.bfloat16)) is Backend.CPU
    assert backend_for(torch.zeros(3, dtype=torch.float64)) is Backend.EAGER
    assert backend_for(torch.zeros(3, dtype=torch.float16)) is Backend.CPU


_SCRIPT = textwrap.dedent(
    """
    import sys, torch, warnings
    from actsearch.primitives import Activation, parse
    from actsearch.primitives.lowering.backends import backend_for
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = torch.linspace(-3, 3, 7, requires_grad=True)
        value = Activation(parse("x*sigmoid(x)"))(x)
        value.sum().backward()
        Activation(parse("x*sigmoid(x)"))(x)
    torch.testing.assert_close(value, x * torch.sigmoid(x))
    print(backend_for(x), len([w for w in caught if "CPU kernels" in str(w.message)]))
    """
)


@pytest.mark.parametrize(
    ("compiler", "printed"),
    [("a-compiler-that-does-not-exist", "torch 0"), ("false", "torch 1")],
)
def test_without_a_working_compiler_torch_runs_instead(compiler, printed, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == printed


def test_the_library_is_built_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "cpu kernel 0"
        (built,) = tmp_path.rglob("*.so")
        changed = built.stat().st_mtime_ns
    assert built.stat().st_mtime_ns == changed


@pytest.mark.parametrize("text", ["3", "exp(0.5)", "b[2]", "b[2, channel]", "max(1, 2)"])
def test_a_formula_without_inputs_is_left_to_torch(text):
    module = Activation(parse(text), channels=3)
    x = torch.randn(5, 3)
    before = x.clone()
    torch.testing.assert_close(module(x), module.double()(x.double()).float())
    assert torch.equal(x, before)


def test_copies_of_a_module_share_nothing():
    module = Activation(parse("beta[1]*x"))
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.beta.fill_(3.0)
    x = torch.ones(2)
    assert module(x).tolist() == [1.0, 1.0] and twin(x).tolist() == [3.0, 3.0]
