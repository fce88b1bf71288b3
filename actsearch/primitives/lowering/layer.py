"""Formulas with words that read a whole tensor as modules: layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..expr import Expr, Input, Scope, inputs, parameters, substitute
from ..layer_words import LAYER_WORDS, arguments_of, layer_words, word_names
from ..moments import Kind, Moment, Over, group_count
from ..tensor_words import TensorWord
from .activation import Activation, from_end
from .application import apply
from .binding import encode
from .statistics import rooted, statistic, unrooted

GROUPS = 32
"""Most groups of a group moment, lowered until it divides the channels; the authors'."""
MOMENTUM = 0.1
"""Weight of a batch in the running statistics, as in `torch.nn.BatchNorm2d`; the authors'."""


class Layer(nn.Module):
    """A formula of `x` with layer words, on (N, C), (N, C, L), (N, C, H, W) or (N, T, C).

    Moments over the batch keep running statistics, one for each channel, which take their place in
    evaluation mode: of E x, of E x^2, and of the variance with n / (n - 1), as
    `torch.nn.BatchNorm2d`. A word that is a module is a child by its name, `channel_mix`, a second
    one `channel_mix_2`; draws read torch's global generator in training mode. All is computed in
    float32 where the input or autocast is half precision, and rounded once.

    Args:
        expr: of `x` alone.
        channels: length of the channel axis.
        dim: the channel axis; the first axis is the batch.
        groups: most groups of a group moment.

    Raises:
        ValueError: the formula reads other inputs than x, or a word has an argument that it does
            not take.
    """

    def __init__(self, expr: Expr, channels: int, dim: int = 1, groups: int = GROUPS) -> None:
        super().__init__()
        if inputs(expr) not in ((), ("x",)):
            raise ValueError(
                f"'{expr}' reads a whole tensor and reads {', '.join(inputs(expr))}, not x"
            )
        self.expr, self.channels, self.dim = expr, channels, dim
        self.groups = group_count(channels, groups)
        self._steps, final = pieces(expr)
        self._names = tuple(p.name for p in parameters(expr))
        read = ("x", *(f"_moment_{number}" for number in range(len(self._steps))))
        self._programs = [
            [
                None
                if argument == Input("x")
                else encode(argument, read[: number + 1], self._names)
                for argument in step.arguments
            ]
            for number, step in enumerate(self._steps)
        ]
        self._final = encode(final, read, self._names)
        for parameter in parameters(expr):
            shape = (channels,) if parameter.scope is Scope.CHANNEL else ()
            self.register_parameter(
                parameter.name, nn.Parameter(torch.full(shape, parameter.initial))
            )
        for number, (step, name) in enumerate(zip(self._steps, word_names(expr), strict=True)):
            if isinstance(step.word, TensorWord):
                self.add_module(name, step.word.module(channels, dim, *step.shares))
            elif step.word.over is Over.BATCH:
                first = 0.0 if step.word.kind is Kind.MEAN else 1.0
                self.register_buffer(f"_running_{number}", torch.full((channels,), first))

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[self.dim] != self.channels:
            raise ValueError(
                f"'{self.expr}' was made for {self.channels} channels on axis {self.dim} after "
                f"the batch, got a tensor of shape {tuple(x.shape)}"
            )
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            return self._value(wide).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.expr}, channels={self.channels}, groups={self.groups}"

    def at_means(self) -> Layer:
        """Itself, with draws in evaluation mode, the rest left as it is."""
        modules = self.children()
        for step in self._steps:
            if isinstance(step.word, TensorWord):
                module = next(modules)
                if step.word.is_random:
                    module.eval()
        return self

    def _value(self, x: Tensor) -> Tensor:
        dim = from_end(self.dim, x)
        trained = [getattr(self, name) for name in self._names]
        read = [x]
        modules = self.children()
        for number, step in enumerate(self._steps):
            arguments = [
                x if program is None else apply(program, read, trained, dim)
                for program in self._programs[number]
            ]
            if isinstance(step.word, Moment):
                found = self._statistic(number, step.word, arguments[0])
            else:
                found = next(modules)(*(arguments or [x]))
            read.append(found.expand_as(x))
        return apply(self._final, read, trained, dim)

    def _statistic(self, number: int, moment: Moment, values: Tensor) -> Tensor:
        """The moment of a tensor, of a shape that broadcasts to it."""
        channel = self.dim % values.ndim
        if moment.over is not Over.BATCH:
            return statistic(moment, values, channel, self.groups)
        running: Tensor = getattr(self, f"_running_{number}")
        shape = [-1 if axis == channel else 1 for axis in range(values.ndim)]
        if not self.training:
            return rooted(moment.kind, running.to(values.dtype).reshape(shape))
        found = unrooted(moment, values, channel, self.groups)
        with torch.no_grad():
            count = values.numel() // self.channels
            unbiased = count / max(1, count - 1) if moment.kind is Kind.STD else 1.0
            running.lerp_(found.flatten().to(running.dtype) * unbiased, MOMENTUM)
        return rooted(moment.kind, found)


def module_of(
    expr: Expr, channels: int | None = None, dim: int = 1, groups: int = GROUPS
) -> Activation | Layer:
    """A formula as a module: a `Layer` if it has words of a layer, else an `Activation`.

    Args:
        channels: length of the channel axis; needed by layers and by per-channel parameters.
        dim: the channel axis.
        groups: most groups of a group moment.

    Raises:
        ValueError: `channels` is needed and was not given.
    """
    if channels is not None and channels < 1:
        raise ValueError(f"channels={channels} must be at least 1")
    if not layer_words(expr):
        return Activation(expr, channels, dim)
    if channels is None:
        raise ValueError(f"'{expr}' reads a whole tensor; give channels=, the width of the layer")
    return Layer(expr, channels, dim, groups)


@dataclass(frozen=True)
class Step:
    """A word of a layer with its arguments.

    Args:
        arguments: that are tensors, as formulas without layer words, of x and the words before.
        shares: its other arguments.
    """

    word: Moment | TensorWord
    arguments: tuple[Expr, ...]
    shares: tuple[float, ...] = ()


def pieces(expr: Expr, names: Sequence[str] = ()) -> tuple[list[Step], Expr]:
    """Each layer word with its arguments, and the formula over all of them.

    All are formulas without such words, of x and the words before.

    Args:
        names: of the words in them; by default `_moment_0` and so on.

    Raises:
        ValueError: a word has an argument that it does not take.
    """
    replaced: dict[Expr, Expr] = {}
    steps = []
    for number, node in enumerate(layer_words(expr)):
        arguments, shares = arguments_of(node)
        read = tuple(substitute(argument, replaced) for argument in arguments)
        steps.append(Step(LAYER_WORDS[node.operator.name], read, shares))
        replaced[node] = Input(names[number] if names else f"_moment_{number}")
    return steps, substitute(expr, replaced)
