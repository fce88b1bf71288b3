"""A layer, a formula with moments, as one Python module that needs torch alone.

Between its moments a layer is a function of numbers, written as `export` writes one, with its
slopes in closed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from actsearch.primitives import Expr, Parameter, Scope, infix, inputs, moments, parameters
from actsearch.primitives.expr import Input
from actsearch.primitives.lowering import functions
from actsearch.primitives.lowering.layer import GROUPS, MOMENTUM, pieces
from actsearch.primitives.lowering.program import backward_program, forward_program
from actsearch.primitives.moments import EPSILON, MOMENTS, Kind, Moment, Over

from .export import (
    TAKEN,
    WIDENED,
    autograd_function,
    call_lines,
    check_class_name,
    docstring,
    helpers,
    returned_text,
    slopes_function,
    value_function,
)

_NOTES = (
    "Needs torch alone. Takes (N, C), (N, C, L), (N, C, H, W) and so on, (N, T, C) with dim=-1.",
    "Computes in float32 where the input or autocast is half precision, and rounds once. Between",
    "moments only what is read is saved for the backward pass, which has closed forms.",
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
_REDUCED = {
    Kind.MEAN: "{x}.mean(axes, keepdim=True)",
    Kind.RMS: "{x}.square().mean(axes, keepdim=True)",
    Kind.STD: "{x}.var(axes, correction=0, keepdim=True)",
}
_ALONE = {Kind.MEAN: "x", Kind.RMS: "x.square()", Kind.STD: "x * 0"}
_AXES = {
    Over.BATCH: "tuple(axis for axis in range(x.ndim) if axis != channel)",
    Over.LAYER: "tuple(range(1, x.ndim))",
    Over.INSTANCE: "tuple(axis for axis in range(1, x.ndim) if axis != channel)",
    Over.GROUP: "tuple(axis for axis in range(1, grouped.ndim) if axis != channel)",
    Over.TOKEN: "(channel,)",
    Over.TOKEN_GROUP: "(channel + 1,)",
}
_EPSILON = f"{EPSILON:e}".replace(".000000e-0", "e-")
_MEANING = {
    Kind.MEAN: "E x",
    Kind.RMS: f"sqrt(E x^2 + {_EPSILON})",
    Kind.STD: f"sqrt(variance of x + {_EPSILON})",
}
_SET = {
    Over.BATCH: "a channel in all examples",
    Over.LAYER: "an example",
    Over.INSTANCE: "a channel of an example",
    Over.GROUP: "neighbouring channels of an example",
    Over.TOKEN: "all channels at a position",
    Over.TOKEN_GROUP: "neighbouring channels at a position",
}


def layer_module_source(
    expr: Expr, *, class_name: str, provenance: Mapping[str, str], groups: int = GROUPS
) -> str:
    """Text of a module that defines the layer as the `nn.Module` class `class_name`.

    The class has the parameters and buffers of `Layer`, by the same names.

    Args:
        expr: of `x`, with moments.
        class_name: an identifier, as of `export.class_name_for`.
        provenance: lines for the docstring, such as run, task and scores, in this order.
        groups: most groups of a group moment unless the class is told otherwise.

    Raises:
        ValueError: `class_name` is not a name that the module can define.
    """
    internal = ("value", "slopes", "widened", *MOMENTS)
    check_class_name(class_name, (*TAKEN, *vars(functions), *internal))
    steps, final = _steps(expr)
    parts_of = [_Piece(str(step.number), step.argument) for step in steps if step.is_computed]
    parts_of.append(_Piece("", final))
    notes: tuple[str, ...] = _NOTES
    if any(step.moment.over is Over.BATCH for step in steps):
        notes += _BATCH_NOTES
    used = {step.moment.operator.name: step.moment for step in steps}
    parts = [
        *helpers(*(build(piece.expr) for piece in parts_of for build in _PROGRAMS)),
        *(_moment_function(used[name]) for name in sorted(used)),
        WIDENED,
        *(part for piece in parts_of for part in piece.source(class_name)),
        _module_class(expr, steps, parts_of[-1], class_name, groups),
    ]
    head = docstring(expr, class_name, provenance, notes)
    return f"{head}\n\n{_IMPORTS}\n\n\n" + "\n\n\n".join(parts) + "\n"


_PROGRAMS = (forward_program, backward_program)


@dataclass(frozen=True)
class _Step:
    """A moment, its argument over x and earlier moments, and its name in the code."""

    number: int
    moment: Moment
    argument: Expr
    name: str

    @property
    def is_computed(self) -> bool:
        """Whether the argument is more than what has a name already."""
        return not isinstance(self.argument, Input)


def _steps(expr: Expr) -> tuple[list[_Step], Expr]:
    """The moments in order, and the formula over them as inputs."""
    names = list(_moment_names(expr))
    read, final = pieces(expr, names)
    named = enumerate(zip(read, names, strict=True))
    return [_Step(number, *moment, name) for number, (moment, name) in named], final


def _moment_names(expr: Expr) -> Iterator[str]:
    """`std_group`, the second one `std_group_2`, and so on, apart from the parameters' names."""
    taken = {parameter.name for parameter in parameters(expr)}
    for node in moments(expr):
        name, counter = node.operator.name, 1
        while name in taken:
            counter += 1
            name = f"{node.operator.name}_{counter}"
        taken.add(name)
        yield name


@dataclass(frozen=True)
class _Piece:
    """A function of numbers, of x, of moments and of parameters.

    Args:
        number: of the moment whose argument it is; empty for the layer's value.
    """

    number: str
    expr: Expr

    def source(self, class_name: str) -> list[str]:
        value, slopes = self._named("_value"), self._named("_slopes")
        return [
            value_function(value, self.expr, forward_program(self.expr)),
            slopes_function(slopes, self.expr, backward_program(self.expr)),
            autograd_function(self._named(class_name), value, slopes),
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


def _moment_function(moment: Moment) -> str:
    kind, over = moment.kind, moment.over
    head = f"def _{moment.operator.name}(x: Tensor, channel: int"
    about = f'    """{_MEANING[kind]} of {_SET[over]}'
    axes = f"    axes = {_AXES[over]}"
    if over in (Over.GROUP, Over.TOKEN_GROUP):
        found = _REDUCED[kind].format(x="grouped")
        return "\n".join(
            [
                f"{head}, groups: int) -> Tensor:",
                f'{about}."""',
                "    grouped = x.unflatten(channel, (groups, -1))",
                axes,
                f"    found = {_rooted(kind, found)}.squeeze(channel + 1)",
                "    return found.repeat_interleave(x.shape[channel] // groups, channel)"
                ".expand_as(x)",
            ]
        )
    found = _REDUCED[kind].format(x="x")
    if over is not Over.BATCH:
        if over is Over.INSTANCE:  # torch takes no axes for all axes
            found = f"{_ALONE[kind]} if x.ndim == 2 else {found}"
            returned = [f"    found = {found}", f"    return {_rooted(kind, 'found')}.expand_as(x)"]
        else:
            returned = [f"    return {_rooted(kind, found)}.expand_as(x)"]
        return "\n".join([f"{head}) -> Tensor:", f'{about}."""', axes, *returned])
    unbiased = [
        "            count = x.numel() // x.shape[channel]",
        "            seen = seen * (count / max(1, count - 1))",
    ]
    return "\n".join(
        [
            f"{head}, running: Tensor, training: bool) -> Tensor:",
            f'{about}, or the running one."""',
            "    if training:",
            f"    {axes}",
            f"        found = {found}",
            "        with torch.no_grad():",
            "            seen = found.flatten()",
            *(unbiased if kind is Kind.STD else []),
            f"            running.lerp_(seen.to(running.dtype), {MOMENTUM!r})",
            "    else:",
            "        after = x.ndim - 1 - channel",
            "        found = running.to(x.dtype).reshape(-1, *(1,) * after)",
            f"    return {_rooted(kind, 'found')}.expand_as(x)",
        ]
    )


def _rooted(kind: Kind, found: str) -> str:
    return found if kind is Kind.MEAN else f"({found} + {_EPSILON}).sqrt()"


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
        if step.moment.over is Over.BATCH:
            first = "zeros" if step.moment.kind is Kind.MEAN else "ones"
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
        "        channel = self.dim % x.ndim",
    ]
    if any(_is_per_channel(parameter) for parameter in trained):
        lines.append("        per_channel = (-1, *(1,) * (x.ndim - 1 - channel))")
    for step in steps:
        read = f"argument_{step.number}"
        if isinstance(step.argument, Input):
            read = step.argument.name
        else:
            piece = _Piece(str(step.number), step.argument)
            lines += piece.call(f"{read} = ", class_name)
        given = [read, "channel"]
        if step.moment.over is Over.BATCH:
            given += [f"self._running_{step.number}", "self.training"]
        elif step.moment.over in (Over.GROUP, Over.TOKEN_GROUP):
            given.append("self.groups")
        lines += call_lines(f"{step.name} = _{step.moment.operator.name}", given, 8)
    lines += final.call("return ", class_name)
    lines += ["", "    def extra_repr(self) -> str:", *returned_text(infix(expr), 8)]
    return "\n".join(lines)
