"""Cost as a sum over operators, from a table that is measured once.

A search that weighs cost compares candidates by this sum: it depends on the table alone, so that
a run stays a function of its configuration, and it costs a candidate no time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError
from ..primitives import OPERATORS, Apply, Expr, Input, Parameter, Scope, parameters, read_formula
from ..primitives.layer_words import LAYER_WORDS
from ..primitives.lowering import backends
from ..primitives.lowering.layer import pieces
from ..primitives.lowering.program import forward_program, gradient_program
from ..primitives.lowering.statistics import statistic
from ..primitives.moments import Moment
from ..primitives.tensor_words import Takes, TensorWord
from .cost import check_device, timers

FORWARD_PASS, BACKWARD_PASS, PARAMETER = "forward_pass", "backward_pass", "parameter"
"""Entries of the table besides those of the operators: reading and writing of each pass, and the
gradient of one trainable parameter."""
ENTRIES = (FORWARD_PASS, BACKWARD_PASS, PARAMETER, *OPERATORS, *LAYER_WORDS)
REFERENCE = "relu"

# On a CPU 100 kB, which the C library keeps for the next tensor: new memory from the system costs
# more than most operators do. On a GPU enough to hide the launch.
_CHANNELS, _ROWS_ON_CPU, _ROWS_ON_GPU = 64, 390, 2**18
_GROUPS = 32
_TURNS, _SECONDS = 20, 0.002
_LEAST = 0.001
"""Nanoseconds; a difference of two timings may come out negative."""


@dataclass(frozen=True)
class CostModel:
    """Costs of expressions by a table.

    Args:
        table: nanoseconds per element, for every name in `ENTRIES`.
    """

    table: Mapping[str, float]

    def cost(self, expr: Expr) -> float:
        """Nanoseconds per element of a forward and a backward pass, each shared step once; of a
        layer, a pass for each stretch between its words.

        Raises:
            ConfigError: the table lacks an operator.
        """
        read, final = pieces(expr)
        names = [
            *(PARAMETER for _ in parameters(expr)),
            *(step.word.operator.name for step in read),
        ]
        arguments = [argument for step in read for argument in step.arguments]
        for part in (final, *(argument for argument in arguments if argument != Input("x"))):
            steps = (*forward_program(part).instructions, *gradient_program(part).instructions)
            names += [FORWARD_PASS, BACKWARD_PASS, *(step.operator.name for step in steps)]
        missing = next((name for name in names if name not in self.table), None)
        if missing is not None:
            raise ConfigError(
                f"table [costs] has no entry '{missing}'; remove the table, and launch measures it"
            )
        return math.fsum(self.table[name] for name in names)

    def penalty(self, expr: Expr, weight: float) -> float:
        """Score points to take off: `weight` for each doubling of the cost over relu's."""
        return weight * max(0.0, math.log2(self.cost(expr) / self._reference))

    @property
    def _reference(self) -> float:
        return self.cost(read_formula(REFERENCE))


def measure_operators(device: str = "cpu") -> dict[str, float]:
    """The table of this machine, in float32; on a CPU with one thread, as workers train.

    An operator's entry is what it adds to an expression that has another one before it.

    Raises:
        ConfigError: the device is not there.
    """
    check_device(device)
    rows = _ROWS_ON_CPU if device == "cpu" else _ROWS_ON_GPU
    generator = torch.Generator().manual_seed(0)
    # Inside the domain of every operator.
    x = torch.rand(rows, _CHANNELS, generator=generator).mul_(0.8).add_(0.1).to(device)
    slope_only, scaled = probe("neg", Input("x")), SCALED
    passes: dict[str, Callable[[], object]] = {
        name: _forward(probe(name, scaled), x) for name in OPERATORS
    }
    passes["scaled"] = _forward(scaled, x)
    passes["backward"] = _backward(slope_only, x)
    passes["backward with parameter"] = _backward(scaled, x)
    threads = 1 if device == "cpu" else torch.get_num_threads()
    found = _least_seconds(list(passes.values()), threads)
    ns = {name: seconds / x.numel() * 1e9 for name, seconds in zip(passes, found, strict=True)}
    table = {name: ns[name] - ns["scaled"] for name in OPERATORS}

    def steps(expr: Expr) -> float:
        return sum(table[step.operator.name] for step in gradient_program(expr).instructions)

    for name, seconds in zip(LAYER_WORDS, _word_ns(device, threads), strict=True):
        table[name] = seconds
    table[FORWARD_PASS] = ns["scaled"] - table["mul"]
    table[BACKWARD_PASS] = ns["backward"] - steps(slope_only)
    table[PARAMETER] = ns["backward with parameter"] - table[BACKWARD_PASS] - steps(scaled)
    return {name: round(max(table[name], _LEAST), 4) for name in ENTRIES}


def _word_ns(device: str, threads: int) -> list[float]:
    """Of each word of a layer, forward and backward, on examples of 64 positions."""
    generator = torch.Generator().manual_seed(0)
    rows = 64 if device == "cpu" else 4096
    x = torch.randn(rows, _CHANNELS, 64, generator=generator).to(device).requires_grad_()

    def both(word: Moment | TensorWord) -> Callable[[], object]:
        def run() -> object:
            found = value(word).expand(x.shape)
            return torch.autograd.grad(found, x, ones) if found.requires_grad else found

        return run

    def value(word: Moment | TensorWord) -> Tensor:
        if isinstance(word, Moment):
            return statistic(word, x, 1, _GROUPS)
        found: Tensor = modules[word.operator.name](*[x] * (word.takes.count(Takes.TENSOR) or 1))
        return found

    modules = {
        name: word.module(_CHANNELS, 1, *[0.5] * word.takes.count(Takes.SHARE)).to(device)
        for name, word in LAYER_WORDS.items()
        if isinstance(word, TensorWord)
    }

    ones = torch.ones_like(x)
    found = _least_seconds([both(word) for word in LAYER_WORDS.values()], threads)
    return [seconds / x.numel() * 1e9 for seconds in found]


def _least_seconds(passes: Sequence[Callable[[], object]], threads: int) -> list[float]:
    """Of each pass, in many short turns: what else a machine does only adds time, and differences
    of a tenth of a nanosecond are wanted."""
    made = timers(passes, threads)
    counts = [max(1, round(_SECONDS / timer.timeit(1).median)) for timer in made]
    turns = [
        [timer.timeit(count).median for timer, count in zip(made, counts, strict=True)]
        for _ in range(_TURNS)
    ]
    return [min(seconds) for seconds in zip(*turns, strict=True)]


def probe(name: str, argument: Expr) -> Expr:
    """The operator on an argument, and on a trainable parameter if it takes two."""
    record = OPERATORS[name]
    return Apply(record, (argument, Parameter("second", 0.4))[: record.arity])


SCALED = Apply(OPERATORS["mul"], (Parameter("scale", 0.7, Scope.CHANNEL), Input("x")))


def _forward(expr: Expr, x: Tensor) -> Callable[[], object]:
    trained = _trained(expr, x)
    return lambda: backends.forward(expr, [x], trained, -1)


def _backward(expr: Expr, x: Tensor) -> Callable[[], object]:
    trained, grad = _trained(expr, x), torch.ones_like(x)
    return lambda: backends.backward(expr, grad, [x], trained, -1)


def _trained(expr: Expr, x: Tensor) -> Sequence[Tensor]:
    return [
        x.new_full(x.shape[1:] if p.scope is Scope.CHANNEL else (), p.initial)
        for p in parameters(expr)
    ]
