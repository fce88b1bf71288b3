"""Generated Triton kernels against torch operations in float64.

On a GPU, or on the CPU in Triton's interpreter: `test_triton_interpreter.py` runs this file there.
"""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from kernel_cases import FUNCTIONS
from strategies import PARAMETERS, exprs

from actsearch.primitives import Input, Scope, inputs, parameters, read_formula
from actsearch.primitives.expr import substitute
from actsearch.primitives.lowering import eager, triton_kernels
from actsearch.primitives.lowering.triton_source import kernel_source
from actsearch.primitives.spaces import UnaryBinary

triton = pytest.importorskip("triton", reason="triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip(
        "no GPU here; test_triton_interpreter.py runs these tests on the CPU",
        allow_module_level=True,
    )
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
EPS = torch.finfo(torch.float32).eps
# Shape and channel axis: what programs share out differently.
LAYOUTS = {
    "features last": ((33, 24), -1),
    "channels in rows": ((2, 3, 16, 16), -3),
    "long odd rows": ((2, 3, 1301), -2),
    "short odd rows": ((3, 5, 7), -2),
    "channels last": ((2, 5, 7, 7), -3),
    "one channel": ((3, 1, 50), -2),
    "one element": ((1, 1), -1),
    "gaps": ((4, 6, 9), -2),
    "turned": ((8, 6, 5), -1),
}


@pytest.fixture(autouse=True)
def _empty_tensors_hold_nan():
    """Under deterministic algorithms torch.empty is filled with NaN, so no result is luck."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(before)


def points(shape, layout=""):
    x = (3 * torch.randn(*shape)).to(DEVICE)
    x.view(-1)[: min(3, x.numel())] = torch.tensor([0.0, 1.0, -1.0])[: min(3, x.numel())]
    if layout == "channels last":
        return x.to(memory_format=torch.channels_last)
    if layout == "gaps":
        wide = torch.full((*shape[:-1], 2 * shape[-1]), math.nan, device=DEVICE)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "turned":
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    return x


def trained_for(expr, channels, dtype=torch.float32):
    """Parameters around their start, different in each channel."""
    shapes = [(channels,) if p.scope is Scope.CHANNEL else () for p in parameters(expr)]
    return [
        (p.initial + 0.25 * torch.randn(shape)).to(DEVICE, dtype)
        for p, shape in zip(parameters(expr), shapes, strict=True)
    ]


def assert_near(got, truth, scale, dtype, about):
    """Within 16 units of float32 of the scale, and a unit in the last place of the dtype.

    A whole unit, since the interpreter rounds float32 to bfloat16 towards zero.
    """
    assert got.dtype == dtype and got.shape == truth.shape, about
    rounded = truth.to(dtype)
    finite = rounded.isfinite()
    info = torch.finfo(dtype)
    # float32 results below the normal range may be flushed to 0.
    smallest = info.tiny if dtype is not torch.float16 else info.tiny * info.eps
    allowed = 16 * EPS * scale + info.eps * truth.abs() + smallest
    error = (got.double() - truth).abs()
    wrong = finite & ~(error <= allowed)
    assert not wrong.any(), (
        f"{about}: got {got[wrong][:3].tolist()}, true {truth[wrong][:3].tolist()}, "
        f"{(error / allowed)[wrong][:3].tolist()} times the allowed error"
    )


def difference(one, other):
    return torch.nan_to_num((one.double() - other).abs(), nan=0.0, posinf=0.0)


def sums_of_terms(expr, grad, tensors, trained, dim):
    """Sums of the absolute terms of each parameter's gradient: it as an input, one per element."""
    if not trained:
        return []
    after = -dim - 1
    given = dict(zip(inputs(expr), tensors, strict=False))
    names = {p: f"of_{p.name}" for p in parameters(expr)}
    for name, value in zip(names.values(), trained, strict=True):
        shaped = value.reshape(-1, *([1] * after)) if value.ndim else value
        given[name] = shaped.expand(grad.shape)
    elementwise = substitute(expr, {p: Input(name) for p, name in names.items()})
    order = inputs(elementwise)
    terms = eager.backward(elementwise, grad, [given[name] for name in order], [], dim)
    by_name = dict(zip(order, terms, strict=True))
    sums = []
    for name, value in zip(names.values(), trained, strict=True):
        size = (-1, *([1] * after)) if value.ndim else ()
        total = by_name[name].abs().sum_to_size(value.reshape(size).shape)
        sums.append(total.reshape(value.shape))
    return sums


def assert_right(expr, tensors, trained, dim, dtype):
    """Value and every gradient; where float64 says that the formula amplifies a rounding of its
    arguments, or torch in float32 is off, by as much more."""
    tensors = [t.to(dtype) for t in tensors]
    grad = torch.randn(tensors[0].shape, device=DEVICE).to(dtype)
    wide, wide_trained = [t.double() for t in tensors], [p.double() for p in trained]
    truth = eager.forward(expr, wide, wide_trained, dim)
    truths = eager.backward(expr, grad.double(), wide, wide_trained, dim)

    def others():
        single = [t.float() for t in tensors]
        yield (
            eager.forward(expr, single, trained, dim),
            eager.backward(expr, grad.float(), single, trained, dim),
        )
        for sign in (1, -1):
            nearby = [t * (1 + sign * EPS) for t in wide]
            yield (
                eager.forward(expr, nearby, wide_trained, dim),
                eager.backward(expr, grad.double(), nearby, wide_trained, dim),
            )

    # A gate below the normal numbers may be 0, and is multiplied by x once or twice.
    flushed = (1 + sum(t.square() for t in wide)) * torch.finfo(torch.float32).tiny / EPS
    scale, scales = truth.abs() + flushed, [t.abs() for t in truths]
    # Slopes are sums of terms of about 1, as -sin(x) - 1 is, which may cancel to less than 2 units.
    terms = flushed + grad.double().abs() / 8
    scales[: len(tensors)] = [s + terms for s in scales[: len(tensors)]]
    for value, gradients in others():
        scale = scale + difference(value, truth) / EPS
        pairs = zip(scales, gradients, truths, strict=True)
        scales = [s + difference(g, t) / EPS for s, g, t in pairs]
    sums = sums_of_terms(expr, grad.double(), wide, wide_trained, dim)
    got = triton_kernels.forward(expr, tensors, trained, dim)
    assert_near(got, truth, scale, dtype, f"value of {expr}")
    assert got.stride() == torch.empty_like(tensors[0]).stride()
    found = triton_kernels.backward(expr, grad, tensors, trained, dim)
    assert len(found) == len(tensors) + len(trained)
    for i in range(len(tensors)):
        assert_near(found[i], truths[i], scales[i], dtype, f"gradient {i} of {expr}")
    for i, parameter in enumerate(trained):
        place = len(tensors) + i
        about = f"gradient of parameter {i} of {expr}"
        assert_near(found[place], truths[place], scales[place] + sums[i], parameter.dtype, about)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradients_are_right(name, dtype):
    expr = FUNCTIONS[name]
    tensors = [points((37, 41)) for _ in inputs(expr)]
    assert_right(expr, tensors, trained_for(expr, 41), -1, dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["crrelu", "three units", "swiglu", "gate with channels"])
def test_every_layout_in_memory(name, layout):
    gate = "u*sigmoid(beta[1]*u)*v + gamma[0.1, channel]*v"
    expr = FUNCTIONS[name] if name in FUNCTIONS else read_formula(gate)
    shape, dim = LAYOUTS[layout]
    tensors = [points(shape, layout) for _ in inputs(expr)]
    assert_right(expr, tensors, trained_for(expr, shape[dim]), dim, torch.float32)
    if len(tensors) > 1:
        mixed = [tensors[0], tensors[1].contiguous()]
        assert_right(expr, mixed, trained_for(expr, shape[dim]), dim, torch.bfloat16)


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "columns"])
def test_a_program_goes_on_over_many_rows_of_columns(rows, monkeypatch):
    expr = FUNCTIONS["three units"]
    module = triton_kernels.kernels(expr)
    monkeypatch.setattr(module, "MOST_PROGRAMS", 3)
    shape = (5, 2, 1024) if rows else (90, 37)
    dim = -2 if rows else -1
    assert module.tiling(math.prod(shape), shape[dim], 1024 if rows else 1)[0] == rows
    assert_right(expr, [points(shape)], trained_for(expr, shape[dim]), dim, torch.float32)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 3, 0)])
def test_no_elements_give_empty_values_and_zero_gradients(shape):
    expr = read_formula("x*sigmoid(beta[1]*x) + gamma[1, channel]*x")
    dim = -1 if len(shape) < 3 else -2
    x, trained = points(shape), trained_for(expr, max(shape[dim], 1))
    assert triton_kernels.forward(expr, [x], trained, dim).shape == shape
    by_x, *by_trained = triton_kernels.backward(expr, x, [x], trained, dim)
    assert by_x.shape == shape
    for gradient, parameter in zip(by_trained, trained, strict=True):
        assert gradient.shape == parameter.shape and not gradient.any()


@pytest.mark.parametrize(
    "formula",
    ["1.5", "exp(2) + 0.5", "beta[0.5]", "beta[0.5, channel]", "x", "-x", "x + 0*beta[1]"],
)
def test_formulas_that_read_little(formula):
    expr = read_formula(formula)
    x, grad = points((6, 5)), torch.randn(6, 5, device=DEVICE)
    trained = trained_for(expr, 5)
    value = triton_kernels.forward(expr, [x], trained, -1)
    torch.testing.assert_close(value, eager.forward(expr, [x], trained, -1))
    found = triton_kernels.backward(expr, grad, [x], trained, -1)
    for got, wanted in zip(found, eager.backward(expr, grad, [x], trained, -1), strict=True):
        torch.testing.assert_close(got, wanted)


def test_numbers_are_rounded_to_float32():
    expr = read_formula("x + 1e-40 + min(x, 1e300)*1e-3 + max(x, -1e39)*0 + 0.1")
    x = torch.tensor([0.0, 1e-38, 2.0, -3.0], device=DEVICE)
    torch.testing.assert_close(
        triton_kernels.forward(expr, [x], [], -1), 1.001 * x + 0.1, rtol=1e-6, atol=0
    )
    tiny = triton_kernels.forward(read_formula("1e-40 + x"), [x], [], -1)
    assert tiny[0] == torch.tensor(1e-40)


def test_parameters_may_be_of_another_dtype():
    expr = read_formula("x*sigmoid(beta[1]*x) + gamma[1, channel]*x")
    x, grad = points((6, 5)), torch.randn(6, 5, device=DEVICE)
    trained = trained_for(expr, 5, torch.bfloat16)
    found = triton_kernels.backward(expr, grad.half(), [x.half()], trained, -1)
    wide = [p.double() for p in trained]
    truths = eager.backward(expr, grad.half().double(), [x.half().double()], wide, -1)
    assert [f.dtype for f in found] == [torch.float16, torch.bfloat16, torch.bfloat16]
    for got, true in zip(found, truths, strict=True):
        torch.testing.assert_close(got.double(), true, rtol=1e-2, atol=1e-2)


# What the limit at an infinity is, where float32 has one: value and slope.
INFINITE = {
    "relu": [(math.inf, 1.0), (0.0, 0.0)],
    "cos(x) - x": [(math.nan, math.nan), (math.nan, math.nan)],
    "max(x, sigmoid(x))": [(math.inf, 1.0), (0.0, 0.0)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_far_arguments_are_right_and_nan_stays(name):
    expr = FUNCTIONS[name]
    far = torch.tensor([1e4, -1e4, 88.0, -88.0, 104.0, -104.0, 1e-30, -0.0, 3e-39], device=DEVICE)
    for dtype in DTYPES:
        tensors = [far.to(dtype)] + [torch.ones_like(far) for _ in inputs(expr)[1:]]
        assert_right(expr, tensors, trained_for(expr, len(far)), -1, dtype)
    nan = torch.tensor([math.nan, math.nan], device=DEVICE)
    trained = trained_for(expr, 2)
    tensors = [nan for _ in inputs(expr)]
    assert triton_kernels.forward(expr, tensors, trained, -1).isnan().all()


@pytest.mark.parametrize("name", INFINITE)
def test_infinite_arguments_have_the_limit(name):
    x = torch.tensor([math.inf, -math.inf], device=DEVICE)
    trained = trained_for(FUNCTIONS[name], 2)
    value = triton_kernels.forward(FUNCTIONS[name], [x], trained, -1)
    (slope, *_) = triton_kernels.backward(FUNCTIONS[name], torch.ones_like(x), [x], trained, -1)
    for row, wanted in enumerate(INFINITE[name]):
        for got, limit in zip((value[row], slope[row]), wanted, strict=True):
            if limit is not None:
                torch.testing.assert_close(got.cpu(), torch.tensor(limit), equal_nan=True)


def test_the_slope_at_a_kink_is_the_midpoint():
    x = torch.tensor([0.0, -0.0], device=DEVICE)
    for formula, wanted in (("relu", 0.5), ("max(x, 3*x)", 2.0), ("abs(x)", 0.0)):
        (slope,) = triton_kernels.backward(read_formula(formula), torch.ones_like(x), [x], [], -1)
        assert slope.tolist() == [wanted, wanted]


@settings(max_examples=60)
@given(expr=exprs(parameters=PARAMETERS))
def test_random_formulas_are_right(expr):
    torch.manual_seed(0)
    assert_right(expr, [points((9, 7))], trained_for(expr, 7), -1, torch.float32)


@settings(max_examples=30)
@given(expr=exprs(("u", "v"), parameters=PARAMETERS))
def test_random_gates_are_right(expr):
    torch.manual_seed(0)
    tensors = [points((9, 7)) for _ in inputs(expr)] or [points((9, 7))]
    assert_right(expr, tensors, trained_for(expr, 7), -1, torch.float32)


@pytest.mark.parametrize("operators", ["swish-2017", "pangaea-2022"])
def test_random_candidates_of_a_space_are_right(operators):
    rng = np.random.default_rng(3)
    for _ in range(25):
        expr = UnaryBinary(3, operators).sample(rng).expr
        if inputs(expr):
            assert_right(expr, [points((11, 6))], trained_for(expr, 6), -1, torch.float32)


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 144), (3, 1, 50)])
@pytest.mark.parametrize("formula", ["beta[1]*log(x)", "beta[1]/x + a[1, channel]*log(x)"])
def test_lanes_beyond_the_end_add_nothing_to_sums(formula, shape):
    # They hold x = 0, where these slopes are infinite.
    expr, dim = read_formula(formula), -1 if len(shape) < 3 else -2
    x = points(shape).abs() + 0.5
    assert_right(expr, [x], trained_for(expr, shape[dim]), dim, torch.float32)


def test_sums_are_the_same_every_time():
    expr = FUNCTIONS["three units"]
    x, grad, trained = points((300, 20)), points((300, 20)), trained_for(expr, 20)
    first = triton_kernels.backward(expr, grad, [x], trained, -1)
    for got, again in zip(
        first, triton_kernels.backward(expr, grad, [x], trained, -1), strict=True
    ):
        assert torch.equal(got, again)


def test_offsets_of_64_bits_reach_the_same_elements():
    module = triton_kernels.load(kernel_source(FUNCTIONS["silu"]))
    x = points((3000,))
    y = torch.empty_like(x)
    module.forward_kernel[(3,)](x, y, 3000, WIDE=True, BLOCK=1024)
    assert torch.equal(y, module.forward([x], []))


def test_a_changed_file_is_written_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(triton_kernels, "user_cache_path", lambda name: tmp_path / name)
    source = kernel_source(FUNCTIONS["silu"])
    triton_kernels.load(source)
    (path,) = tmp_path.rglob("*.py")
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("raise SystemExit('changed')")
    module = triton_kernels.load(source)
    assert path.read_text() == source and module.forward is not None
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_file_that_changes_while_it_is_loaded_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(triton_kernels, "user_cache_path", lambda name: tmp_path / name)
    source = kernel_source(FUNCTIONS["silu"])
    triton_kernels.load(source)
    (path,) = tmp_path.rglob("*.py")
    loader = triton_kernels._Loader("changed", str(path), source.encode())
    path.write_text("raise SystemExit('changed')")
    with pytest.raises(ImportError, match="was changed by another program"):
        loader.get_code("changed")
