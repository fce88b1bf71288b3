"""A layer, a formula with words that read a whole tensor, as one Python module that needs torch
alone.

Between its words a layer is a function of numbers, written as `export` writes one, with its slopes
in closed form. A moment becomes a function; the source of a word that is a module is copied.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from actsearch.primitives import Expr, Parameter, Scope, infix, inputs, parameters
from actsearch.primitives.expr import Input
from actsearch.primitives.layer_words import word_names
from actsearch.primitives.lowering import functions
from actsearch.primitives.lowering.layer import GROUPS, pieces
from actsearch.primitives.lowering.program import backward_program, forward_program
from actsearch.primitives.moments import MOMENTS, Kind, Moment, Over
from actsearch.primitives.tensor_words import TENSOR_WORDS, TensorWord

from .export import WIDENED, autograd_function, check_class_name, docstring, returned_text
from .export_functions import TAKEN, call_lines, helpers, slopes_function, value_function
from .export_moment import moment_function

_NOTES = (
    "Needs torch alone. Takes (N, C), (N, C, L), (N, C, H, W) and so on, (N, T, C) with dim=-1.",
    "Computes in float32 where the input or autocast is half precision, and rounds once. Between",
    "moments only what is read is saved for the backward pass, which has closed forms.",
)
_DRAW_NOTES = (
    "Draws from torch's global generator in training mode; in evaluation mode takes the means.",
)
_BATCH_NOTES = (
    "Moments over the batch keep running statistics, of E x, of E x^2 or of the unbiased",
    "variance, which take their place in evaluation mode.",
)
_IMPORTS = """\
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn"""


def layer_module_source(
    expr: Expr, *, class_name: str, provenance: Mapping[str, str], groups: int = GROUPS
) -> str:
    """Text of a module that defines the layer as the `nn.Module` class `class_name`.

    The class has the parameters and buffers of `Layer`, by the same names.

    Args:
        expr: of `x`, with words of a layer.
        class_name: an identifier, as of `export.class_name_for`.
        provenance: lines for the docstring, such as run, task and scores, in this order.
        groups: most groups of a group moment unless the class is told otherwise.

    Raises:
        ValueError: `class_name` is not a name that the module can define.
    """
    internal = ("value", "slopes", "widened", *MOMENTS, *_definitions(TENSOR_WORDS.values()))
    check_class_name(class_name, (*TAKEN, *vars(functions), *internal))
    steps, final = _steps(expr)
    parts_of = [piece for step in steps for piece in step.pieces]
    parts_of.append(_Piece("", final))
    notes: tuple[str, ...] = _NOTES
    if any(_is_of_batch(step.word) for step in steps):
        notes += _BATCH_NOTES
    words = [step.word for step in steps if isinstance(step.word, TensorWord)]
    if any(word.is_random for word in words):
        notes += _DRAW_NOTES
    used = {step.word.operator.name: step.word for step in steps if isinstance(step.word, Moment)}
    parts = [
        *helpers(*(build(piece.expr) for piece in parts_of for build in _PROGRAMS)),
        *(moment_function(used[name]) for name in sorted(used)),
        *(inspect.getsource(part).rstrip() for part in _definitions(words).values()),
        WIDENED,
        *(part for piece in parts_of for part in piece.source(class_name)),
        _module_class(expr, steps, parts_of[-1], class_name, groups),
    ]
    head = docstring(expr, class_name, provenance, notes)
    return f"{head}\n\n{_IMPORTS}\n\n\n" + "\n\n\n".join(parts) + "\n"


_PROGRAMS = (forward_program, backward_program)


@dataclass(frozen=True)
class _Step:
    """A word, its arguments over x and earlier words, its shares, and its name in the code."""

    number: int
    word: Moment | TensorWord
    arguments: tuple[Expr, ...]
    shares: tuple[float, ...]
    name: str

    @property
    def pieces(self) -> list[_Piece]:
        """Those arguments that are more than what has a name already."""
        return [
            _Piece(self.label(place), argument)
            for place, argument in enumerate(self.arguments)
            if not isinstance(argument, Input)
        ]

    def label(self, place: int) -> str:
        """The number of the word, and of an argument after its first."""
        return f"{self.number}_{place}" if place else str(self.number)


def _steps(expr: Expr) -> tuple[list[_Step], Expr]:
    """The words in order, and the formula over them as inputs."""
    names = word_names(expr)
    read, final = pieces(expr, names)
    steps = [
        _Step(number, step.word, step.arguments, step.shares, name)
        for number, (step, name) in enumerate(zip(read, names, strict=True))
    ]
    return steps, final


def _is_of_batch(word: Moment | TensorWord) -> bool:
    return isinstance(word, Moment) and word.over is Over.BATCH


def _definitions(words: Iterable[TensorWord]) -> dict[str, Callable[..., object]]:
    """The modules of the words, after what they use, by name."""
    parts: list[Callable[..., object]] = []
    for word in words:
        parts += [*word.uses, word.module]
    return {part.__name__: part for part in parts}


@dataclass(frozen=True)
class _Piece:
    """A function of numbers, of x, of words and of parameters.

    Args:
        number: of the word whose argument it is; empty for the layer's value.
    """

    number: str
    expr: Expr

    def source(self, class_name: str) -> list[str]:
        value, slopes = self._named("_value"), self._named("_slopes")
        return [
            value_function(value, self.expr, forward_program(self.expr)),
            slopes_function(slopes, self.expr, backward_program(self.expr)),
            autograd_function(self._named(class_name), self.expr, value, slopes),
        ]

    def call(self, head: str, class_name: str) -> list[str]:
        """Lines of a method that compute it."""
        given = list(inputs(self.expr) or ("x",))
        for parameter in parameters(self.expr):
            reshaped = ".reshape(per_channel)" if _is_per_channel(parameter) else ""
            given.append(f"self.{parameter.name}{reshaped}")
        return call_lines(f"{head}_{self._named(class_name)}.apply", given, 8)

    def _named(self, name: str) -> str:
        return f"{name}_{self.number}" if self.number else name


def _is_per_channel(parameter: Parameter) -> bool:
    return parameter.scope is Scope.CHANNEL


def _module_class(
    expr: Expr, steps: list[_Step], final: _Piece, class_name: str, groups: int
) -> str:
    lines = [
        f"class {class_name}(nn.Module):",
        '    """A layer, of the tensor x; see the top of this file.',
        "",
        "    Args:",
        "        channels: length of the channel axis.",
        "        dim: the channel axis; the first axis is the batch.",
        "        groups: most groups of a group moment, lowered until it divides the channels.",
        '    """',
        "",
        f"    def __init__(self, channels: int, dim: int = 1, groups: int = {groups}) -> None:",
        "        super().__init__()",
        "        self.channels, self.dim = channels, dim",
        "        numbers = range(min(groups, channels), 0, -1)",
        "        self.groups = next(number for number in numbers if channels % number == 0)",
    ]
    trained = parameters(expr)
    for parameter in trained:
        shape = "(channels,)" if _is_per_channel(parameter) else "()"
        value = f"torch.full({shape}, {parameter.initial!r})"
        lines.append(f"        self.{parameter.name} = nn.Parameter({value})")
    for step in steps:
        if isinstance(step.word, TensorWord):
            made_with = ", ".join(("channels", "dim", *map(repr, step.shares)))
            made = f"{step.word.module.__name__}({made_with})"
            lines.append(f"        self.{step.name} = {made}")
        elif step.word.over is Over.BATCH:
            first = "zeros" if step.word.kind is Kind.MEAN else "ones"
            buffer = f'"_running_{step.number}", torch.{first}(channels)'
            lines.append(f"        self.register_buffer({buffer})")
    lines += [
        "",
        "    def forward(self, x: Tensor) -> Tensor:",
        "        if x.ndim < 2 or x.shape[self.dim] != self.channels:",
        '            wanted = f"{self.channels} channels on axis {self.dim}, after the batch"',
        '            raise ValueError(f"made for {wanted}, got the shape {tuple(x.shape)}")',
        "        with torch.autocast(x.device.type, enabled=False):",
        "            return self._layer(*_widened(x)).to(x.dtype)",
        "",
        "    def _layer(self, x: Tensor) -> Tensor:",
    ]
    if any(map(_is_per_channel, trained)) or any(isinstance(s.word, Moment) for s in steps):
        lines.append("        channel = self.dim % x.ndim")
    if any(_is_per_channel(parameter) for parameter in trained):
        lines.append("        per_channel = (-1, *(1,) * (x.ndim - 1 - channel))")
    for step in steps:
        read_by: list[str] = []
        for place, argument in enumerate(step.arguments):
            read = f"argument_{step.label(place)}"
            if isinstance(argument, Input):
                read = argument.name
            else:
                piece = _Piece(step.label(place), argument)
                lines += piece.call(f"{read} = ", class_name)
            read_by.append(read)
        if isinstance(step.word, TensorWord):
            *before, last = call_lines(f"{step.name} = self.{step.name}", read_by or ["x"], 8)
            lines += [*before, f"{last}.expand_as(x)"]
            continue
        given = [*read_by, "channel"]
        if step.word.over is Over.BATCH:
            given += [f"self._running_{step.number}", "self.training"]
        elif step.word.over in (Over.GROUP, Over.TOKEN_GROUP):
            given.append("self.groups")
        lines += call_lines(f"{step.name} = _{step.word.operator.name}", given, 8)
    lines += final.call("return ", class_name)
    lines += ["", "    def extra_repr(self) -> str:", *returned_text(infix(expr), 8)]
    return "\n".join(lines)
