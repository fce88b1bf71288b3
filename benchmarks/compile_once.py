"""Exchanging candidates in a compiled network, against compiling the network for each candidate.

    python benchmarks/compile_once.py [--candidates 50] [--naive 5]

Writes benchmarks/results/compile-once-DEVICE.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

# A candidate is new to a search, so what an earlier run compiled must not help.
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"

import numpy as np
import torch
import torch._dynamo.testing
from torch import nn

from actsearch.evaluators.cost import composition
from actsearch.evaluators.tasks import ActivationFactory, load_task
from actsearch.primitives import Activation, ActivationSlot, Expr, inputs
from actsearch.primitives.lowering.backends import backend_for
from actsearch.primitives.lowering.eager import by_channel
from actsearch.primitives.spaces import UnaryBinary


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--naive", type=int, default=5, help="networks compiled the naive way")
    parser.add_argument("--steps", type=int, default=100, help="training steps for each candidate")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    candidates = distinct(options.candidates)
    task, device = load_task("mnist1d", None), torch.device(options.device)
    batch = torch.randn(100, 1, 40, device=device)
    targets = torch.randint(10, (100,), device=device)

    def train(network: nn.Module, model: nn.Module) -> float:
        optimizer = task.optimizer(model.parameters(), 1e-3)
        started = time.perf_counter()
        for _ in range(options.steps):
            optimizer.zero_grad()
            task.loss(network(batch), targets).backward()
            optimizer.step()
        return time.perf_counter() - started

    counter = torch._dynamo.testing.CompileCounterWithBackend("inductor")
    model = task.build_model(
        ActivationFactory(lambda channels, dim: ActivationSlot(candidates[0], channels, dim))
    ).to(device)
    slots = [module for module in model.modules() if isinstance(module, ActivationSlot)]
    network = torch.compile(model, fullgraph=True, backend=counter)
    exchanged = []
    for candidate in candidates:
        started = time.perf_counter()
        for slot in slots:
            slot.hold(candidate)
        train(network, model)
        exchanged.append(time.perf_counter() - started)
    compilations = counter.frame_count

    eager = []
    for candidate in candidates:
        started = time.perf_counter()
        model = task.build_model(
            ActivationFactory(lambda channels, dim, c=candidate: Activation(c, channels, dim))
        ).to(device)
        train(model, model)
        eager.append(time.perf_counter() - started)

    naive, graphs = [], 0
    for candidate in candidates[: options.naive]:
        torch._dynamo.reset()
        counter = torch._dynamo.testing.CompileCounterWithBackend("inductor")
        started = time.perf_counter()
        model = task.build_model(
            ActivationFactory(lambda channels, dim, c=candidate: Composed(c, channels))
        ).to(device)
        train(torch.compile(model, backend=counter), model)
        naive.append(time.perf_counter() - started)
        graphs += counter.frame_count

    lines = [
        f"# Compile once: {len(candidates)} candidates, {options.steps} training steps each",
        "",
        f"`python benchmarks/compile_once.py {' '.join(sys.argv[1:])}`, mnist1d's network, batch "
        f"100, torch {torch.__version__}, {device.type}, one thread, ours: "
        f"{backend_for(batch)}.",
        "",
        "| way | compilations of the network | first candidate, s | later ones, s (median) |",
        "|---|---|---|---|",
        f"| compiled once, candidates exchanged | {compilations} | {exchanged[0]:.2f} | "
        f"{statistics.median(exchanged[1:]):.3f} |",
        f"| not compiled | 0 | {eager[0]:.2f} | {statistics.median(eager[1:]):.3f} |",
        f"| torch.compile of the whole model for each ({len(naive)} candidates) | {graphs} | "
        f"{naive[0]:.2f} | {statistics.median(naive[1:]):.3f} |",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    out = Path(__file__).parent / "results" / f"compile-once-{device.type}.md"
    out.write_text(text)
    print(f"wrote {out}")


class Composed(nn.Module):
    """A candidate as a user would write it: one torch call for each operator, torch's autograd."""

    def __init__(self, expr: Expr, channels: int) -> None:
        super().__init__()
        self.inner = Activation(expr, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        trained = {n: by_channel(p, 1 - x.ndim) for n, p in self.inner.named_parameters()}
        return composition(self.inner.expr, [x], trained)


def distinct(count: int) -> list[Expr]:
    """Candidates of the default space that read x, all different."""
    space, found, draw = UnaryBinary(), {}, 0
    while len(found) < count:
        expr = space.sample(np.random.default_rng(draw)).expr
        draw += 1
        if inputs(expr):
            found[expr.text] = expr
    return list(found.values())


if __name__ == "__main__":
    main()
