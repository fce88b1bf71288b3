"""Our kernels against torch: eager code, torch's own operation, torch.compile, and a plain copy.

    python benchmarks/kernels.py [--device cuda] [--largest 1e8] [--functions gelu,mish]

Every figure of a row is measured in turns within one run: five rounds over all contenders, medians.
Results go to benchmarks/results/kernels-DEVICE.md.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from actsearch.primitives import Activation, Scope, inputs, parameters
from actsearch.primitives.lowering.backends import backend_for

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from kernel_cases import FUNCTIONS

CHANNELS = 64
ROUNDS = 5
SECONDS_A_ROUND = 0.02

# How a user writes the same functions in torch.
EAGER: dict[str, Callable[..., Tensor]] = {
    "relu": lambda x: torch.clamp(x, min=0),
    "gelu": lambda x: 0.5 * x * (1 + torch.erf(x * 0.7071067811865476)),
    "silu": lambda x: x * torch.sigmoid(x),
    "mish": lambda x: x * torch.tanh(functional.softplus(x)),
    "golu": lambda x: x * torch.exp(-torch.exp(-x)),
    "crrelu": lambda x, eps: torch.relu(x) + eps * x * torch.exp(-0.5 * x * x),
    "snake": lambda x: x + torch.sin(x) ** 2,
    "max(x, sigmoid(x))": lambda x: torch.maximum(x, torch.sigmoid(x)),
    "cos(x) - x": lambda x: torch.cos(x) - x,
    "two units": lambda x, beta: torch.maximum(
        x * torch.sigmoid(beta * x), torch.sinc(x * 0.3183098861837907)
    ),
    "three units": lambda x, gamma, beta: (
        torch.sigmoid(gamma * torch.erf(x) + (1 - gamma) * x * torch.atan(beta * x))
        * torch.clamp(x, max=0)
        + functional.softplus(x)
    ),
    "swiglu": lambda u, v: functional.silu(u) * v,
}
# Torch's own operations for the same functions, where it has them.
OWN: dict[str, Callable[..., Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
}
Call = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--largest", type=float, default=1e8)
    parser.add_argument("--functions", default=",".join(FUNCTIONS), help="of tests/kernel_cases.py")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    sizes = [10**k for k in range(3, int(math.log10(options.largest)) + 1)]
    names = [name.strip() for name in _split(options.functions)]
    device = torch.device(options.device)
    lines = _heading(device, sizes)
    for dtype in (torch.float32, torch.bfloat16):
        rows = []
        for name in names:
            for size in sizes:
                row = measure(name, size, dtype, device)
                rows.append((name, size, row))
                print(name, size, dtype, _text(row), flush=True)
        lines += _tables(rows, str(dtype).removeprefix("torch."))
    text = "\n".join(lines) + "\n"
    out = options.out or Path(__file__).parent / "results" / f"kernels-{device.type}.md"
    out.write_text(text)
    print(f"wrote {out}")


class _Raw(argparse.RawDescriptionHelpFormatter):
    pass


def _split(text: str) -> list[str]:
    """At commas that stand outside parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def measure(
    name: str, size: int, dtype: torch.dtype, device: torch.device
) -> dict[str, dict[str, float]]:
    """Seconds by direction and contender."""
    expr = FUNCTIONS[name]
    shape = (size // CHANNELS, CHANNELS) if size >= CHANNELS else (1, size)
    generator = torch.Generator(device).manual_seed(0)
    tensors = [
        torch.randn(shape, generator=generator, device=device).to(dtype) for _ in inputs(expr)
    ]
    grad = torch.randn(shape, generator=generator, device=device).to(dtype)
    ours = Activation(expr, channels=shape[1]).to(device)
    trained = [getattr(ours, p.name).detach().clone().requires_grad_() for p in parameters(expr)]
    eager = EAGER[name]

    def plain(*given: Tensor) -> Tensor:
        return eager(*given, *[t.to(dtype) for t in trained])

    contenders: dict[str, Callable[..., Tensor]] = {"ours": ours, "eager": plain}
    if name in OWN:
        contenders["own"] = OWN[name]
    contenders["compiled"] = _compiled(
        name,
        dtype,
        len(trained),
        tuple(p.scope is Scope.CHANNEL for p in parameters(expr)),
        trained,
    )
    result = {}
    for direction in ("forward", "both"):
        calls: dict[str, Call] = {}
        for contender, function in contenders.items():
            calls[contender] = _call(function, tensors, grad, direction, contender, ours, trained)
        if direction == "forward":
            target = torch.empty_like(tensors[0])
            source = tensors[0]
            calls["copy"] = lambda target=target, source=source: target.copy_(source)
        result[direction] = timed(calls, device)
    return result


_COMPILED: dict[tuple[str, torch.dtype], Callable[..., Tensor]] = {}


def _compiled(
    name: str, dtype: torch.dtype, count: int, scopes: tuple[bool, ...], trained: list[nn.Parameter]
) -> Callable[..., Tensor]:
    """The eager code under torch.compile, compiled once for all sizes."""
    key = (name, dtype)
    if key not in _COMPILED:
        eager = EAGER[name]

        def plain(given: list[Tensor], weights: list[Tensor]) -> Tensor:
            return eager(*given, *[w.to(dtype) for w in weights])

        torch._dynamo.reset()
        _COMPILED[key] = torch.compile(plain, dynamic=True, fullgraph=True)
    compiled = _COMPILED[key]
    return lambda *given: compiled(list(given), trained)


def _call(
    function: Callable[..., Tensor],
    tensors: list[Tensor],
    grad: Tensor,
    direction: str,
    contender: str,
    ours: nn.Module,
    trained: list[Tensor],
) -> Call:
    if direction == "forward":

        def forward() -> object:
            with torch.no_grad():
                return function(*tensors)

        return forward
    leaves = [t.detach().requires_grad_() for t in tensors]
    weights = list(ours.parameters()) if contender == "ours" else trained

    def both() -> object:
        return torch.autograd.grad(function(*leaves), [*leaves, *weights], grad)

    return both


def timed(calls: dict[str, Call], device: torch.device) -> dict[str, float]:
    """Median seconds of each call, in turns."""
    repeats = {}
    for name, call in calls.items():
        call()
        _wait(device)
        started = time.perf_counter()
        call()
        _wait(device)
        once = time.perf_counter() - started
        repeats[name] = max(1, min(2000, int(SECONDS_A_ROUND / max(once, 1e-7))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS if max(repeats.values()) > 1 else 2):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            _wait(device)
            times[name].append((time.perf_counter() - started) / repeats[name])
    return {name: statistics.median(found) for name, found in times.items()}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _text(row: dict[str, dict[str, float]]) -> str:
    return "; ".join(
        f"{direction} " + ", ".join(f"{n} {1e6 * t:.1f}" for n, t in found.items())
        for direction, found in row.items()
    )


def _heading(device: torch.device, sizes: list[int]) -> list[str]:
    hardware = platform.processor() or platform.machine()
    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    elif Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        hardware = next((line.split(": ")[1] for line in lines if "model name" in line), hardware)
    backend = backend_for(torch.empty(1, device=device))
    return [
        f"# Kernels on {hardware}",
        "",
        f"`{' '.join(['python', 'benchmarks/kernels.py', *sys.argv[1:]])}`, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, "
        f"ours: {backend}. Microseconds, medians of {ROUNDS} rounds in turns. *best* is the "
        "fastest of the others; *ratio* is ours over it, so below 1 is faster. *copy* is the "
        "bandwidth reached, inputs read once and outputs written once, as a share of a plain "
        "copy of the same size in the same run (three tensors move in a backward pass).",
    ]


def _tables(rows: list[tuple[str, int, dict[str, dict[str, float]]]], dtype: str) -> list[str]:
    lines = []
    for direction, title in (("forward", "forward"), ("both", "forward and backward")):
        lines += ["", f"## {dtype}, {title}", ""]
        columns = ["function", "elements", "ours", "eager", "own", "compiled", "ratio", "copy"]
        lines += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
        for name, size, row in rows:
            found = row[direction]
            others = {n: t for n, t in found.items() if n not in ("ours", "copy")}
            best = min(others, key=lambda n: others[n])
            count = len(inputs(FUNCTIONS[name]))
            moved = count + 1 if direction == "forward" else 3 * count + 2
            share = moved / 2 * row["forward"]["copy"] / found["ours"]
            cells = [name, f"{size:.0e}".replace("e+0", "e")]
            cells += [f"{1e6 * found[n]:.1f}" if n in found else "" for n in columns[2:6]]
            cells += [f"{found['ours'] / others[best]:.2f} ({best})", f"{share:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
        ratios = [
            row[direction]["ours"]
            / min(t for n, t in row[direction].items() if n not in ("ours", "copy"))
            for _, size, row in rows
            if size >= 10_000
        ]
        if ratios:
            reached = sum(r <= 1.05 for r in ratios)
            lines += [
                "",
                f"From 1e4 elements on: at most 1.05 times the best other in {reached} of "
                f"{len(ratios)} rows; median ratio {statistics.median(ratios):.2f}, worst "
                f"{max(ratios):.2f}.",
            ]
    return lines


if __name__ == "__main__":
    main()
