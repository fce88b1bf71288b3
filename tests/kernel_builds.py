"""Generated Triton kernels compiled ahead of time, and what the assembler says of them."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from actsearch.primitives import Expr, parameters
from actsearch.primitives.lowering import triton_kernels

CAPABILITIES = (80, 90)
# Sizes of a program, as the launchers choose them.
_WARPS, _ELEMENTS = 4, 1024
_CONSTANTS = {"WIDE": False, "BLOCK": 1024, "ROWS": 4, "COLUMNS": 256}
_TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass(frozen=True)
class Build:
    """One compiled kernel.

    Args:
        registers: per thread.
        spilled: bytes that did not fit into registers, stored and loaded, per thread.
        shared: bytes of shared memory per program.
        instructions: of the machine code per element, each counted once.
        widest_access: bytes of the widest load from global memory, per thread.
        seconds: of compilation.
    """

    kernel: str
    registers: int
    spilled: int
    shared: int
    instructions: float
    widest_access: int
    seconds: float


def kernel_builds(expr: Expr, dtype: torch.dtype, capability: int) -> Iterator[Build]:
    """Every kernel of the expression, for sizes and pointers that are divisible by 16."""
    module = triton_kernels.kernels(expr)
    for name, kernel in sorted(vars(module).items()):
        if "_kernel" in name:
            yield compiled(kernel, expr, dtype, capability)


def compiled(kernel: Any, expr: Expr, dtype: torch.dtype, capability: int) -> Build:
    """One kernel; parameters and sums are float32.

    Raises:
        subprocess.CalledProcessError: the assembler refuses the code.
    """
    narrow = {f"{p.name}_pointer" for p in parameters(expr)}
    narrow |= {"scalar_sums_pointer", "channel_sums_pointer"}
    signature, attributes = {}, {}
    for place, argument in enumerate(kernel.arg_names):
        if argument in _CONSTANTS:
            signature[argument] = "constexpr"
            continue
        kind = "fp32" if argument in narrow else _TYPES[dtype]
        signature[argument] = f"*{kind}" if argument.endswith("_pointer") else "i32"
        attributes[(place,)] = [["tt.divisibility", 16]]
    constants = {name: value for name, value in _CONSTANTS.items() if name in signature}
    start = time.perf_counter()
    built = triton.compile(
        ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": _WARPS, "enable_fp_fusion": True},
    )
    seconds = time.perf_counter() - start
    code = built.asm["ptx"]
    report, instructions = _assembled(code, capability)
    loads = re.findall(r"ld\.global\S*?(?:\.v(\d))?\.b(\d+)", code)
    return Build(
        kernel=kernel.__name__,
        registers=_figure(r"Used (\d+) registers", report),
        spilled=_figure(r"(\d+) bytes spill stores", report)
        + _figure(r"(\d+) bytes spill loads", report),
        shared=built.metadata.shared,
        instructions=instructions * 32 * _WARPS / _ELEMENTS,
        widest_access=max((int(v or 1) * int(bits) // 8 for v, bits in loads), default=0),
        seconds=seconds,
    )


def _assembled(code: str, capability: int) -> tuple[str, int]:
    """The report of the assembler that Triton uses for this capability, and the number of machine
    instructions that it made."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(code)
        architecture = re.search(r"\.target (sm_\w+)", code)
        assert architecture is not None
        options = ["-v", "--fmad=false", f"-arch={architecture[1]}", "-o", str(binary)]
        done = _run([get_ptxas(capability).path, *options, str(source)])
        listing = _run([triton.knobs.nvidia.nvdisasm.path, "-c", str(binary)]).stdout
    # Lines such as `/*0010*/ FMUL R3, R2, R2 ;`; branches lead past the end, to a loop of one.
    names = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w+)", listing)
    return done.stderr + done.stdout, sum(name not in ("NOP", "BRA", "EXIT") for name in names)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True)


def _figure(pattern: str, report: str) -> int:
    found = re.search(pattern, report)
    assert found is not None, report
    return int(found[1])
