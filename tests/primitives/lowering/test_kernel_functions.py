"""The kernel functions, as C++ and as numpy runs them, against float64 over the whole range."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from actsearch.primitives import OPERATORS, Apply, Input
from actsearch.primitives.lowering import (
    cpu_interpreter,
    eager,
    kernel_functions,
    kernel_languages,
    kernel_special_functions,
)
from actsearch.primitives.lowering.kernel_languages import cpp_text, function_name, triton_text

UNARY = [name for name, record in OPERATORS.items() if record.arity == 1]
BINARY = [name for name, record in OPERATORS.items() if record.arity == 2]
compiled = pytest.mark.skipif(
    not cpu_interpreter.is_available(), reason="there is no C++ compiler here"
)

_ULPS = 4.0
# Each exception with its reason; there are no others.
MORE_ULPS = {
    "sech_squared": (6.0, "the errors of a decay and a quotient, squared"),
    "erfc": (6.0, "those of a gaussian, a quotient and a product"),
    "normal_cdf": (6.0, "as erfc"),
}
WITHIN = {
    "sin": (4e6, "beyond, it is that of 4e6"),
    "cos": (4e6, "as sin"),
    "sinc": (4e6, "as sin"),
    "sinc_slope": (4e6, "as sin"),
    "bessel_i0e_slope": (1e3, "beyond, the float64 truth cancels"),
    "bessel_i1e_slope": (1e3, "beyond, the float64 truth cancels"),
    "sinh": (88.7, "infinite a little early, as torch's"),
    "cosh": (88.7, "as sinh"),
}
ABSOLUTE = {
    "protected_log": (2e-7, "|x| + 1e-7 is rounded before log, whose zero is at 1"),
    "sinc_slope": (3e-7, "cos(x) - sin(x)/x has zeros"),
    "logaddexp": (3e-7, "it is rounded from terms of size 1 where it crosses 0"),
    "bessel_i0e_slope": (3e-7, "fitted to that"),
    "bessel_i1e_slope": (3e-7, "fitted to that; it has a zero at 1.5"),
}


def sweep(stride):
    """Every `stride`-th of all float32 numbers, finite ones."""
    bits = torch.arange(-(2**31), 2**31, stride, dtype=torch.int64).to(torch.int32)
    numbers = bits.view(torch.float32)
    return numbers[torch.isfinite(numbers)]


def applied(name):
    return Apply(OPERATORS[name], tuple(Input(n) for n in "xy"[: OPERATORS[name].arity]))


def assert_close_in_ulps(name, found, truth, points, ulps=None):
    allowed = MORE_ULPS.get(name, (_ULPS, ""))[0] if ulps is None else ulps
    rounded = truth.float()
    assert torch.equal(torch.isnan(found), torch.isnan(rounded)), name
    infinite = torch.isinf(rounded)
    assert torch.equal(found[infinite], rounded[infinite]), name
    usual = torch.isfinite(rounded)
    magnitude = rounded[usual].abs()
    unit = (torch.nextafter(magnitude, torch.tensor(float("inf"))) - magnitude).double()
    # Results below the normal numbers may be 0.
    slack = torch.finfo(torch.float32).tiny + ABSOLUTE.get(name, (0.0, ""))[0]
    error = (found[usual].double() - truth[usual]).abs()
    worst = ((error - slack) / unit).argmax()
    at = [p[usual][worst].item() for p in points]
    assert bool((error <= allowed * unit + slack).all()), (
        f"{name} at {at}: {found[usual][worst].item()!r}, true {truth[usual][worst].item()!r}"
    )


def test_every_operator_has_a_kernel_function():
    functions = {
        name
        for module in (kernel_functions, kernel_special_functions)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }
    wanted = {function_name(name) for name in OPERATORS}
    assert wanted <= functions
    called = cpp_text(OPERATORS)
    assert all(f"{name}(" in called for name in functions), "a function that nothing needs"


def test_exceptions_name_operators_that_exist():
    assert {*MORE_ULPS, *WITHIN, *ABSOLUTE} <= set(OPERATORS)


@compiled
@pytest.mark.parametrize("name", UNARY)
def test_unary_functions_over_all_float32_numbers(name):
    x = sweep(9973)
    x = x[x.abs() <= WITHIN.get(name, (float("inf"), ""))[0]]
    x = torch.cat([x, torch.linspace(-12, 12, 20_001)])
    found = cpu_interpreter.forward(applied(name), [x], [], -1)
    truth = eager.forward(applied(name), [x.double()], [], -1)
    assert_close_in_ulps(name, found, truth, [x])


@compiled
@pytest.mark.parametrize("name", BINARY)
def test_binary_functions_on_pairs(name):
    generator = torch.Generator().manual_seed(3)
    some = sweep(3_000_017)
    some = some[(some.abs() < 1e18) & (some.abs() > 1e-18) | (some == 0)]
    wide = some[torch.randint(len(some), (20_000,), generator=generator)]
    other = some[torch.randint(len(some), (20_000,), generator=generator)]
    near = 4 * torch.randn(2, 20_000, generator=generator)
    whole = torch.randint(-6, 7, (20_000,), generator=generator).float()
    x = torch.cat([wide, near[0], near[0], near[0]])
    y = torch.cat([other, near[1], near[0], whole])
    if name == "protected_div":
        y[(y.abs() > 1e-8) & (y.abs() < 1e-6)] = 1.0  # y + 1e-7 is rounded and may be near 0
    found = cpu_interpreter.forward(applied(name), [x, y], [], -1)
    truth = eager.forward(applied(name), [x.double(), y.double()], [], -1)
    assert_close_in_ulps(name, found, truth, [x, y])


@compiled
@pytest.mark.parametrize("name", OPERATORS)
def test_special_values_are_those_of_torch(name):
    special = torch.tensor(
        [0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 1e4, -1e4, 1e-42, -1e-42, float("inf"),
         -float("inf"), float("nan")]
    )  # fmt: skip
    points = [special]
    if OPERATORS[name].arity == 2:
        points = [special.repeat_interleave(len(special)), special.repeat(len(special))]
    found = cpu_interpreter.forward(applied(name), points, [], -1)
    wanted = eager.forward(applied(name), [p.double() for p in points], [], -1).float()
    off = (torch.isnan(found) != torch.isnan(wanted)) | (
        (torch.isinf(found) | torch.isinf(wanted)) & (found != wanted) & ~torch.isnan(wanted)
    )
    assert not off.any(), [
        (*[p[i].item() for p in points], found[i].item(), wanted[i].item())
        for i in off.nonzero().flatten()[:8].tolist()
    ]


@compiled
@pytest.mark.parametrize("name", OPERATORS)
def test_the_functions_run_as_numpy_code_too(name):
    function = getattr(kernel_functions, function_name(name), None) or getattr(
        kernel_special_functions, function_name(name)
    )
    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    arguments = [x, x[::-1].copy()][: OPERATORS[name].arity]
    with np.errstate(all="ignore"):
        found = np.asarray(function(*arguments), np.float32)
    tensors = [torch.from_numpy(a) for a in arguments]
    wanted = cpu_interpreter.forward(applied(name), tensors, [], -1)
    # The compiler joins products and sums into one rounding where Python has two.
    torch.testing.assert_close(
        torch.from_numpy(found), wanted, rtol=1e-6, atol=1e-6, equal_nan=True
    )


def test_texts_hold_what_is_called_and_nothing_else():
    text = triton_text(["tanh"])
    assert "def expm1(x):" in text and "def with_sign(size, x):" in text
    assert "log" not in text and "Value" not in text
    assert text.index("def expm1") < text.index("def tanh")
    assert cpp_text(["max"]).count("INLINE float maximum(float x, float y)") == 1


def test_a_name_without_a_function_is_refused():
    with pytest.raises(KeyError, match="no kernel function sofplus"):
        triton_text(["sofplus"])


@pytest.mark.parametrize(
    "line", ["for i in range(3):\n        x = x + 1.0", "x = [x]", "x = x if x > 0.0 else 1.0"]
)
def test_what_is_not_common_to_the_languages_is_refused(line, monkeypatch):
    source = f"def odd(x: Value) -> Value:\n    {line}\n    return x"
    import ast

    tree = ast.parse(source).body[0]
    function = kernel_languages._Function(source, tree, frozenset())
    with pytest.raises(SyntaxError, match="is not in the common language"):
        kernel_languages._cpp_function(function)


_TRITON = textwrap.dedent(
    '''
    import importlib.util, os, sys, textwrap
    os.environ["TRITON_INTERPRET"] = "1"
    import torch
    from actsearch.primitives import OPERATORS
    from actsearch.primitives.lowering.kernel_languages import function_name, triton_text
    text = "import triton\\nimport triton.language as tl\\n\\n\\n" + triton_text(OPERATORS)
    for name, record in OPERATORS.items():
        pair = record.arity == 2
        text += textwrap.dedent(
            f"""


            @triton.jit
            def run_{name}(xs, ys, out, count, BLOCK: tl.constexpr):
                offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
                inside = offsets < count
                x = tl.load(xs + offsets, mask=inside)
                y = tl.load(ys + offsets, mask=inside)
                value = {function_name(name)}(x{", y" if pair else ""})
                tl.store(out + offsets, value, mask=inside)
            """
        )
    path = sys.argv[1] + "/functions.py"
    open(path, "w").write(text)
    spec = importlib.util.spec_from_file_location("functions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x, y = torch.load(sys.argv[1] + "/points.pt", weights_only=True)
    found = {}
    for name in OPERATORS:
        out = torch.full_like(x, 9.0)
        getattr(module, f"run_{name}")[(1,)](x, y, out, x.numel(), BLOCK=4096)
        found[name] = out
    torch.save(found, sys.argv[1] + "/found.pt")
    '''
)


@compiled
def test_triton_computes_what_the_cpu_computes(tmp_path):
    pytest.importorskip("triton")
    special = torch.tensor([0.0, -0.0, 1e-40, 1e4, -1e4, 1e30, float("inf"), float("nan")])
    x = torch.cat([torch.linspace(-20, 20, 3001), special, sweep(5_000_011)])
    x = x[:4096]
    y = x.flip(0)
    torch.save((x, y), tmp_path / "points.pt")
    subprocess.run([sys.executable, "-W", "ignore", "-c", _TRITON, str(tmp_path)], check=True)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    for name, record in OPERATORS.items():
        wanted = cpu_interpreter.forward(applied(name), [x, y][: record.arity], [], -1)
        torch.testing.assert_close(
            found[name],
            wanted,
            rtol=1e-6,
            atol=1e-6,
            equal_nan=True,
            msg=lambda m, n=name: f"{n}: {m}",
        )
