"""What the generated kernels become on a GPU, without one: registers, spills, vectors.

    python benchmarks/triton_build.py

Compiles the kernels of the twelve functions ahead of time for compute capability 8.0 and 9.0, in
float32 and bfloat16, and writes a table of what the assembler reports.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

# An empty cache, for the times of compilation.
os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp()

import torch
import triton

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from kernel_builds import CAPABILITIES, Build, kernel_builds
from kernel_cases import FUNCTIONS

# 132 processors of 128 lanes at 1.7 GHz, beside 3 TB/s of copying.
_BUDGET = (
    "while an H100 copies at 3 TB/s it can issue 9.6 instructions per byte for each element, that "
    "is 77 for a forward pass in float32 (8 bytes), 38 in bfloat16, 115 and 57 for a backward pass "
    "of one input, and half as much again forward for a gate. A kernel with more is bound by "
    "arithmetic."
)
_RESULTS = Path(__file__).parent / "results" / "triton-build.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=_RESULTS)
    options = parser.parse_args()
    rows = []
    for name, expr in FUNCTIONS.items():
        for dtype in (torch.float32, torch.bfloat16):
            builds = [list(kernel_builds(expr, dtype, c)) for c in CAPABILITIES]
            rows += [_row(name, dtype, each) for each in zip(*builds, strict=True)]
            print(*rows[-len(builds[0]) :], sep="\n")
    options.output.write_text(_report(rows), encoding="utf-8")


def _row(name: str, dtype: torch.dtype, builds: tuple[Build, ...]) -> str:
    last = builds[-1]
    cells = [
        f"`{name}`",
        last.kernel.removesuffix("_kernel").replace("_kernel_", ", "),
        str(dtype).removeprefix("torch."),
        *(str(build.registers) for build in builds),
        " / ".join(str(build.spilled) for build in builds),
        str(last.shared),
        f"{8 * last.widest_access} bit",
        f"{last.instructions:.0f}",
        f"{last.seconds:.2f} s",
    ]
    return f"| {' | '.join(cells)} |"


def _report(rows: list[str]) -> str:
    head = ["function", "kernel", "dtype", *(f"registers sm_{c}" for c in CAPABILITIES)]
    head += ["bytes spilled", "shared bytes", "widest access", "instructions per element"]
    head += ["compile"]
    versions = f"torch {torch.__version__}, triton {triton.__version__}"
    lines = [
        "# Triton kernels, compiled ahead of time",
        "",
        f"Made by `python benchmarks/triton_build.py` on a machine without a GPU ({versions}, "
        f"{platform.machine()}). Programs of 1024 elements and 4 warps; sizes and pointers "
        f"divisible by 16. From shared bytes on, figures are for sm_{CAPABILITIES[-1]}. Compile "
        "time is that of one core.",
        "",
        "Instructions are those of the machine code, counted once. A computation, not a "
        f"measurement: {_BUDGET}",
        "",
        f"| {' | '.join([*head])} |",
        f"|{'---|' * len(head)}",
        *rows,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
