"""The compiled path on a CPU: programs run on cache-sized blocks, with no temporary tensors.

The interpreter is one C++ file beside this one, joined with the operators of `kernel_functions`.
The system's compiler builds it at first use; the library is kept in the user's cache. A new
expression costs no compilation. Without a compiler, or on a system whose compiler refuses, torch
runs instead (`eager`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import Tensor

from ..expr import Constant, Expr, Input, Parameter, Scope
from ..operators import OPERATORS
from .kernel_languages import cpp_text, function_name
from .layout import channel_layout, laid_out_alike
from .program import GRAD, Program, forward_program, gradient_program, variables

_OPERATION_CODES = {name: code for code, name in enumerate(OPERATORS)}
STORAGES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
_STORED, _SUMMED, _SUMMED_BY_CHANNEL = 0, 1, 2
_CPU_LINES = ("model name", "flags", "Features")
_FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"),
    *("-fPIC", "-shared", "-fopenmp", "-w"),
)


def forward(expr: Expr, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int) -> Tensor:
    """Value of the expression.

    Args:
        inputs: in alphabetical order, of one shape, dtype one of `STORAGES`, on the CPU.
        parameters: one value each, or one for each channel, in the order of `variables`.
        dim: the channel axis.

    Returns:
        A tensor like the first input.
    """
    tensors = laid_out_alike(inputs)
    value = torch.empty_like(tensors[0])
    _run(_encoded(expr, gradient=False), tensors, parameters, [value], dim)
    return value


def backward(
    expr: Expr, grad: Tensor, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int
) -> list[Tensor]:
    """Gradients by the inputs, like them, and by the parameters, in float32.

    Args:
        grad: by the value of `forward`, of its shape and dtype.
    """
    *tensors, grad = laid_out_alike([*inputs, grad])
    results = [torch.empty_like(tensor) for tensor in tensors]
    results += [torch.empty(p.shape) for p in parameters]
    _run(_encoded(expr, gradient=True), [*tensors, grad], parameters, results, dim)
    return results


@cache
def is_available() -> bool:
    """Whether the interpreter can be built here; builds it if it was not."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        return False
    try:
        _library()
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        warnings.warn(
            f"the CPU kernels could not be built, torch's own operations are used: "
            f"{str(output).strip().splitlines()[-1]}",
            stacklevel=2,
        )
        return False
    return True


class _Program(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("inputs", "parameters", "constants")),
        *((name, ctypes.c_int32) for name in ("registers", "steps", "outputs")),
        *((name, ctypes.c_void_p) for name in ("by_channel", "constant", "step", "output")),
    )


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A program as the interpreter reads it; `arrays` keeps alive what it points to."""

    program: _Program
    arrays: tuple[np.ndarray, ...]

    @cached_property
    def address(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(ctypes.addressof(self.program))


@lru_cache(maxsize=4096)
def _encoded(expr: Expr, gradient: bool) -> _Encoded:
    leaves = variables(expr)
    if not gradient:
        return _encode(forward_program(expr), leaves, [_STORED])
    inputs = [leaf for leaf in leaves if isinstance(leaf, Input)]
    parameters = [leaf for leaf in leaves if isinstance(leaf, Parameter)]
    kinds = [_STORED] * len(inputs) + [
        _SUMMED_BY_CHANNEL if p.scope is Scope.CHANNEL else _SUMMED for p in parameters
    ]
    return _encode(gradient_program(expr), (*inputs, GRAD, *parameters), kinds)


def _encode(program: Program, variables: Sequence[Expr], kinds: Sequence[int]) -> _Encoded:
    """Number the slots anew: variables, constants, then registers, each used again once free."""
    constants = [leaf for leaf in program.leaves if isinstance(leaf, Constant)]
    number = {leaf: place for place, leaf in enumerate((*variables, *constants))}
    place = {slot: number[leaf] for slot, leaf in enumerate(program.leaves)}
    last_use = {slot: i for i, step in enumerate(program.instructions) for slot in step.arguments}
    free: list[int] = []
    registers = 0
    steps = []
    for i, step in enumerate(program.instructions):
        arguments = [place[a] for a in step.arguments]
        # A register may take the result of the step that read it last.
        for slot in set(step.arguments):
            is_register = place[slot] >= len(number)
            if is_register and last_use[slot] == i and slot not in program.outputs:
                free.append(place[slot])
        if free and step.target not in program.outputs:
            place[step.target] = free.pop()
        else:
            place[step.target] = len(number) + registers
            registers += 1
        code = _OPERATION_CODES[step.operator.name]
        steps.append((code, arguments[0], arguments[-1], place[step.target]))
    computed = {step.target for step in program.instructions}
    outputs = []
    for i, (slot, kind) in enumerate(zip(program.outputs, kinds, strict=True)):
        stored_before = any(
            other == slot and kinds[j] == _STORED for j, other in enumerate(program.outputs[:i])
        )
        direct = kind == _STORED and slot in computed and not stored_before
        outputs.append((place[slot], kind, int(direct)))
    by_channel = [leaf.scope is Scope.CHANNEL for leaf in variables if isinstance(leaf, Parameter)]
    arrays = (
        np.array(by_channel, np.int32),
        # What overflows float32 is infinite there.
        np.array([c.value for c in constants], np.float64).astype(np.float32),
        np.array(steps, np.int32),
        np.array(outputs, np.int32),
    )
    return _Encoded(
        _Program(
            len(variables) - len(by_channel),
            len(by_channel),
            len(constants),
            registers,
            len(steps),
            len(outputs),
            *(array.ctypes.data for array in arrays),
        ),
        arrays,
    )


def _run(
    encoded: _Encoded,
    inputs: Sequence[Tensor],
    parameters: Sequence[Tensor],
    results: Sequence[Tensor],
    dim: int,
) -> None:
    program = encoded.program
    # The C++ code trusts these counts.
    assert program.inputs == len(inputs) and program.parameters == len(parameters)
    assert program.outputs == len(results)
    first = inputs[0]
    # Kept until the call is over.
    wide = [p.detach().float().contiguous() for p in parameters]
    call = (
        first.numel(),
        *channel_layout(first, dim),
        STORAGES[first.dtype],
        torch.get_num_threads(),
        *[tensor.data_ptr() for tensor in (*inputs, *wide, *results)],
    )
    _library().actsearch_run(encoded.address, (ctypes.c_int64 * len(call))(*call))


@cache
def _library() -> ctypes.CDLL:
    """The compiled interpreter, from the user's cache if it is there."""
    source = _source()
    compiler = [os.environ.get("CXX", "c++"), *_FLAGS]
    path = user_cache_path("actsearch") / "cpu" / f"{_key(source, compiler)}.so"
    if not path.exists():
        _compile(source, compiler, path)
    library = ctypes.CDLL(str(path))
    library.actsearch_run.restype = None
    return library


def _source() -> str:
    loops, table = [], []
    for name, record in OPERATORS.items():
        function = f"kernel::{function_name(name)}"
        arguments = ", ".join(f"{side}[i]" for side in ("left", "right")[: record.arity])
        loops.append(
            f"static void run_{name}(float* target, const float* left, const float* right, "
            f"int64_t n) {{\n"
            # Registers are the same or do not overlap, so the loop is free of dependences.
            "#pragma GCC ivdep\n"
            f"    for (int64_t i = 0; i < n; i++) target[i] = {function}({arguments});\n}}"
        )
        table.append(f"run_{name}")
    declaration = (
        "using Operation = void (*)(float*, const float*, const float*, int64_t);\n"
        f"static const Operation OPERATORS[] = {{{', '.join(table)}}};"
    )
    runtime = files(__package__).joinpath("cpu_interpreter.cpp").read_text("utf-8")
    parts = ("#include <cstdint>", cpp_text(OPERATORS), *loops, declaration, runtime)
    return "\n\n".join(parts)


def _key(source: str, compiler: Sequence[str]) -> str:
    """Names a build: other code, compiler or processor gives another library."""
    version = subprocess.run(
        [compiler[0], "--version"], capture_output=True, text=True, check=True
    ).stdout
    facts = (source, *compiler, version, platform.platform(), _processor())
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def _processor() -> str:
    """What -march=native compiles for."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(next((line for line in lines if line.startswith(k)), "") for k in _CPU_LINES)


def _compile(source: str, compiler: Sequence[str], path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Several workers may build at once: each in its own folder, then one rename.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, built = Path(folder, "interpreter.cpp"), Path(folder, "interpreter.so")
        text.write_text(source, "utf-8")
        subprocess.run(
            [*compiler, str(text), "-o", str(built)],
            capture_output=True,
            text=True,
            check=True,
        )
        built.replace(path)
