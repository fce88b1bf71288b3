"""Kernel functions: C++ against float64 over the float32 range, and the other languages like it."""

from __future__ import annotations

import ast
import ctypes
import itertools
import os
import shutil
import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
import torch

from actsearch.primitives import OPERATORS
from actsearch.primitives.lowering import (
    kernel_functions,
    kernel_intrinsics,
    kernel_languages,
    kernel_special_functions,
)
from actsearch.primitives.lowering.kernel_languages import cpp_text, function_name, triton_text

MODULES = (kernel_special_functions, kernel_functions, kernel_intrinsics)
COMPILER = shutil.which(os.environ.get("CXX", "c++"))
TINY = float(np.finfo(np.float32).tiny)
UNARY = [name for name, record in OPERATORS.items() if record.arity == 1]
BINARY = [name for name, record in OPERATORS.items() if record.arity == 2]
BESSEL_SLOPES = ("bessel_i0e_slope", "bessel_i1e_slope")
SPECIAL = np.array(
    [0, 1e-40, 1e-30, 1e-7, 0.5, 1, 2, 3, 6, 9, 88.5, 1e4, 16777217, 3e38, np.inf], np.float32
)
SPECIAL = np.concatenate([SPECIAL, -SPECIAL, np.array([np.nan], np.float32)])

_ULPS = 3.0
# Each exception with its reason; there are no others.
MORE_ULPS = {
    "sech_squared": (4.5, "a quotient by a square"),
    "log_cosh": (5.0, "the square of sinh in a logarithm"),
    "tanh_shrink": (4.5, "a power series, its factor x^3 and a quotient by cosh"),
    "erfc": (6.0, "an exponential, two polynomials, their quotient and a product"),
    "normal_cdf": (7.0, "as erfc"),
    "bessel_i0e": (4.5, "a quotient of polynomials without a leading term"),
    "bessel_i1e": (4.5, "as bessel_i0e"),
    "bessel_i0e_slope": (6.0, "as bessel_i0e"),
    "bessel_i1e_slope": (4.5, "as bessel_i0e"),
    "pow": (5.0, "the exponent, which is up to 88, has 30 bits"),
}
ABSOLUTE = {
    "protected_log": (1.2e-7, "|x| + 1e-7 is rounded, which shows around the zero at 1"),
    "logaddexp": (1.5e-7, "the sum of its rounded terms may cancel"),
    "sinc_slope": (1.5e-7, "cos(x) and sin(x) / x are rounded, and cancel at its zeros"),
}
"""Allowed beside."""
LARGEST = {
    name: (1e6, "where half turns of pi have more bits than float32")
    for name in ("sin", "cos", "sinc", "sinc_slope")
}

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(operator, x, y) computes a function in C++, built as the CPU interpreter is."""
    folder = tmp_path_factory.mktemp("kernels")
    loops = [
        f'extern "C" void run_{name}(const float* x, const float* y, float* out, long n) {{ '
        f"for (long i = 0; i < n; i++) out[i] = kernel::{function_name(name)}"
        f"({'x[i]' if record.arity == 1 else 'x[i], y[i]'}); }}"
        for name, record in OPERATORS.items()
    ]
    (folder / "all.cpp").write_text("\n".join([cpp_text(OPERATORS), *loops]))
    flags = "-std=c++17 -O3 -march=native -fno-math-errno -fno-trapping-math -fPIC -shared".split()
    subprocess.run(
        [COMPILER, *flags, str(folder / "all.cpp"), "-o", str(folder / "all.so")], check=True
    )
    library = ctypes.CDLL(str(folder / "all.so"))

    def run(name, x, y=None):
        arrays = [np.ascontiguousarray(a, np.float32) for a in (x, x if y is None else y)]
        arrays.append(np.empty_like(arrays[0]))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
        getattr(library, f"run_{name}")(*pointers, ctypes.c_long(len(arrays[0])))
        return arrays[2]

    return run


def sweep(stride):
    """Every `stride`-th of all float32 numbers by their bits, and the special ones."""
    bits = np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32)
    return np.concatenate([bits.view(np.float32), SPECIAL])


def truth_of(name, *arguments):
    """The operator in float64; for the sum with 1e-7 its own rounding is no error of ours."""
    wide = [torch.from_numpy(np.array(a)).double() for a in arguments]
    if name == "protected_div":
        wide[1] = (torch.from_numpy(arguments[1]) + 1e-7).double() - 1e-7
    return OPERATORS[name].value(*wide).numpy()


def assert_right(name, found, truth, *arguments):
    """In the ulps allowed; infinite, and NaN, where the truth is that in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = truth.astype(np.float32)
        usual = np.isfinite(rounded)
        error = np.abs(found.astype(np.float64) - truth)
        unit = np.spacing(np.maximum(np.abs(rounded), np.float32(TINY))).astype(np.float64)
        allowed = MORE_ULPS.get(name, (_ULPS, ""))[0] * unit + ABSOLUTE.get(name, (0.0, ""))[0]
        # What is below the normal numbers may be 0.
        allowed += np.where(np.abs(truth) < TINY, TINY, 0.0)
        wrong = np.where(
            usual,
            ~(error <= allowed),
            (np.isnan(found) != np.isnan(rounded)) | (np.isinf(rounded) & (found != rounded)),
        )
    at = np.flatnonzero(wrong)
    assert not len(at), f"{len(at)} of {len(found)} wrong, as {name}" + "; ".join(
        f"({', '.join(str(a[i]) for a in arguments)}) = {found[i]}, true {truth[i]:.9g}"
        for i in at[:4]
    )


def test_every_operator_has_a_function_and_every_function_is_needed():
    text = cpp_text(OPERATORS)
    defined = {
        node.name
        for module in MODULES
        for node in ast.parse(open(module.__file__, encoding="utf-8").read()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert {function_name(name) for name in OPERATORS} <= defined
    assert all(f" {name}(" in text for name in defined)


def test_exceptions_name_operators_that_exist():
    assert {*MORE_ULPS, *ABSOLUTE, *LARGEST} <= OPERATORS.keys()


@pytest.mark.parametrize("name", [name for name in UNARY if name not in BESSEL_SLOPES])
def test_unary_functions_are_right_over_the_whole_range(name, run):
    x = np.concatenate([sweep(9973), np.linspace(-14, 14, 200_001, dtype=np.float32)])
    found = run(name, x)
    if name in LARGEST:
        beyond = np.isfinite(x) & (np.abs(x) > LARGEST[name][0])
        assert np.all(np.abs(found[beyond]) <= 1)
        x, found = x[~beyond], found[~beyond]
    assert_right(name, found, truth_of(name, x), x)


@pytest.mark.parametrize("name", BESSEL_SLOPES)
def test_slopes_of_bessel_functions_are_right_where_float64_would_cancel(name, run):
    x = np.concatenate([np.geomspace(1e-6, 1e4, 200), np.linspace(1.5, 1.6, 50), [2, 5.9, 6.1]])
    x = x.astype(np.float32)
    true = []
    with mp.workdps(40):
        for number in x.tolist():
            i0, i1 = (mp.besseli(n, number) * mp.exp(-number) for n in (0, 1))
            true.append(float(i1 - i0 if name == BESSEL_SLOPES[0] else i0 - i1 - i1 / number))
    odd = -1 if name == BESSEL_SLOPES[0] else 1
    assert_right(name, run(name, x), np.array(true), x)
    assert_right(name, run(name, -x), odd * np.array(true), -x)
    assert_right(name, run(name, SPECIAL), truth_of(name, SPECIAL), SPECIAL)


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions_are_right(name, run):
    generator = np.random.default_rng(7)
    wide = sweep(20_011)
    special = np.array(list(itertools.product(SPECIAL, SPECIAL)), np.float32)
    near = generator.normal(size=(2, 100_000)) * 3
    bases, exponents = generator.uniform(0.2, 5, 100_000), generator.uniform(-60, 60, 100_000)
    columns = np.array([*near.T, *np.stack([bases, exponents], 1)], np.float32)
    x = np.concatenate([special[:, 0], wide, columns[:, 0]])
    y = np.concatenate([special[:, 1], generator.permutation(wide), columns[:, 1]])
    assert_right(name, run(name, x, y), truth_of(name, x, y), x, y)


@pytest.mark.parametrize("name", OPERATORS)
def test_numpy_computes_the_same(name, run):
    x = np.concatenate([SPECIAL, np.linspace(-20, 20, 20_001, dtype=np.float32)])
    points = [x, x[::-1].copy()][: OPERATORS[name].arity]
    function = next(vars(m)[function_name(name)] for m in MODULES if function_name(name) in vars(m))
    with np.errstate(all="ignore"):
        assert_like(name, function(*points), run(name, *points))


def assert_like(name, found, wanted):
    """Two ulp beside what is allowed, as the compiler fuses x * y + z, and the others do not."""
    with np.errstate(invalid="ignore"):
        unit = np.spacing(np.maximum(np.abs(wanted), np.float32(TINY)))
    allowed = (MORE_ULPS.get(name, (_ULPS, ""))[0] + 2) * unit + ABSOLUTE.get(name, (0.0, ""))[0]
    allowed += TINY
    # Unfused, half turns are taken off to 2^-42 of x.
    allowed += 3e-8 if name in LARGEST else 0.0
    with np.errstate(invalid="ignore"):
        near = np.abs(found - wanted) <= allowed
    same = np.where(np.isfinite(wanted), near, found == wanted)
    wrong = np.flatnonzero(~(same | (np.isnan(found) & np.isnan(wanted))))
    assert not len(wrong), f"{name}: {found[wrong[:4]]} for {wanted[wrong[:4]]}"


_INTERPRETED = """
import importlib.util, sys
import numpy as np, torch
from actsearch.primitives import OPERATORS
spec = importlib.util.spec_from_file_location("kernels", sys.argv[1] + "/kernels.py")
kernels = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernels)
x, y = (torch.from_numpy(a) for a in np.load(sys.argv[1] + "/points.npy"))
found = {name: torch.full_like(x, 9.0) for name in OPERATORS}
for name, out in found.items():
    getattr(kernels, "run_" + name)[(1,)](x, y, out, BLOCK=len(x))
np.savez(sys.argv[1] + "/found.npz", **{name: out.numpy() for name, out in found.items()})
"""


def test_triton_computes_the_same(run, tmp_path):
    pytest.importorskip("triton", reason="triton is not installed")
    loads = "    at = tl.arange(0, BLOCK)\n    x = tl.load(xs + at)\n    y = tl.load(ys + at)\n"
    kernels = [
        f"@triton.jit\ndef run_{name}(xs, ys, out, BLOCK: tl.constexpr):\n{loads}"
        f"    tl.store(out + at, {function_name(name)}(x{', y' if record.arity == 2 else ''}))"
        for name, record in OPERATORS.items()
    ]
    parts = ["import triton\nimport triton.language as tl", triton_text(OPERATORS), *kernels]
    (tmp_path / "kernels.py").write_text("\n\n\n".join(parts))
    lines = np.array([np.linspace(-b, b, 1500) for b in (8, 100)], np.float32)
    x = np.concatenate([SPECIAL, sweep(4_000_037), lines.ravel()])
    # The interpreter does not fuse, so that half turns are exact up to 5e4 only.
    x = np.resize(x[~(np.abs(x) > 5e4) | ~np.isfinite(x)], 4096)
    np.save(tmp_path / "points.npy", np.stack([x, x[::-1]]))
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _INTERPRETED, str(tmp_path)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        check=True,
    )
    found = np.load(tmp_path / "found.npz")
    for name in OPERATORS:
        assert_like(name, found[name], run(name, x, x[::-1]))


def test_triton_text_is_laid_out_and_imports_nothing(tmp_path):
    path = tmp_path / "text.py"
    imports = "import triton\nimport triton.language as tl\n\n\n"
    path.write_text(imports + triton_text(OPERATORS) + "\n")
    for command in (["check", "--select=E,F,W,I,B,UP"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length=100", str(path)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_text_has_what_is_called_in_order_and_nothing_else():
    names = [
        node.name
        for node in ast.parse(triton_text(["tanh", "max"])).body
        if isinstance(node, ast.FunctionDef)
    ]
    assert names == [
        *("maximum", "as_int", "as_float", "expm1_near_zero", "shifted_exponent", "remainder"),
        *("part_of_expm1", "half_of_expm1", "tanh"),
    ]
    assert '"""tanh(x): h / (h + 1) for h = (e^2x - 1) / 2."""' in triton_text(["tanh"])
    assert "// tanh(x): h / (h + 1) for h = (e^2x - 1) / 2." in cpp_text(["tanh"])
    assert "// ln(2) in two parts" in cpp_text(["tanh"])


def test_an_unknown_name_is_refused():
    for text in (triton_text, cpp_text):
        with pytest.raises(KeyError, match="there is no kernel function 'sofplus'"):
            text(["sofplus"])


@pytest.mark.parametrize(
    ("body", "about"),
    [
        ("return x if x > 0.0 else 0.0", "what the languages do not have in common"),
        ("return x ** 2.0", "what the languages do not have in common"),
        ("return abs(x)", "what the languages do not have in common"),
        ("return where(0.0 < x < 1.0, x, 0.0)", "what the languages do not have in common"),
        ("y = x; y = y + x; return y", "a name is assigned twice"),
        ("exp = x; return exp", "a name is assigned twice"),
        ("x += 1.0; return x", "a statement is neither"),
    ],
)
def test_what_the_languages_do_not_have_in_common_is_refused(body, about, monkeypatch):
    lines = [
        "def odd(x: Float) -> Float:",
        '    """Odd."""',
        *(f"    {s}" for s in body.split("; ")),
    ]
    (tree,) = ast.parse("\n".join(lines)).body
    odd = kernel_languages._Function(tree, tuple(lines), {}, ())
    functions = {**kernel_languages._functions(), "odd": odd}
    monkeypatch.setattr(kernel_languages, "_functions", lambda: functions)
    for text in (triton_text, cpp_text):
        with pytest.raises(SyntaxError, match=f"{about}.* in the kernel function odd"):
            text(["odd"])
