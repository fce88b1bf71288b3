"""Triton code of one expression: its device functions, and what one program of a kernel does."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..expr import Expr, Parameter, Scope, inputs
from . import triton_templates as templates
from .kernel_languages import triton_text
from .program import GRAD, forward_program, gradient_program, variables
from .triton_templates import Layout
from .triton_text import WIDTH, Names, folded, indented, sign, straight_line


def device_functions(expr: Expr) -> str:
    """Source of the functions that value and gradients call."""
    called = {
        step.operator.name
        for program in (forward_program(expr), gradient_program(expr))
        for step in program.instructions
        if not sign(step)
    }
    return triton_text(sorted(called)).strip() if called else ""


@dataclass(frozen=True)
class Trained:
    """A trainable parameter in the code; `place` is the one among those of its scope."""

    name: str
    scope: Scope
    place: int


@dataclass(frozen=True, eq=False)
class Code:
    """Local names in the code of one expression.

    Args:
        given: inputs that tensors are given for.
        read: those that the expression reads.
        trained: trainable parameters, in order of appearance.
        names: the names in use.
    """

    expr: Expr
    given: tuple[str, ...]
    read: tuple[str, ...]
    trained: tuple[Trained, ...]
    names: Names

    @classmethod
    def of(cls, expr: Expr, functions: str) -> Code:
        """Names apart from those of the functions, whose source this is, and of the templates."""
        defined = re.findall(r"^(?:def )?(\w+)", functions, re.MULTILINE)
        names = Names((*templates.TAKEN, *defined), templates.TAKEN_ENDINGS)
        given = _local_inputs(inputs(expr) or ("x",), names)
        return cls(
            expr=expr,
            given=tuple(given.values()),
            read=tuple(given[name] for name in inputs(expr)),
            trained=tuple(_local_parameters(expr, names)),
            names=names,
        )

    @property
    def scalars(self) -> list[Trained]:
        """Parameters of one value."""
        return [p for p in self.trained if p.scope is Scope.TENSOR]

    @property
    def channel_wise(self) -> list[Trained]:
        """Parameters of one value for each channel."""
        return [p for p in self.trained if p.scope is Scope.CHANNEL]

    @property
    def arguments(self) -> list[str]:
        """Arguments of the function, in the order of `variables`."""
        return [*self.read, *(p.name for p in self.trained)]


def _local_inputs(input_names: Iterable[str], names: Names) -> dict[str, str]:
    """Local name of each input.

    Raises:
        ValueError: one has a name that is no identifier.
    """
    local = {}
    for name in input_names:
        if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
            raise ValueError(f"the input '{name}' must have an identifier as its name")
        local[name] = names.take(name)
    return local


def _local_parameters(expr: Expr, names: Names) -> list[Trained]:
    """Trainable parameters with a local name."""
    trained: list[Trained] = []
    for leaf in variables(expr):
        if isinstance(leaf, Parameter):
            place = sum(p.scope is leaf.scope for p in trained)
            trained.append(Trained(names.take(leaf.name), leaf.scope, place))
    return trained


def scalar_functions(code: Code) -> list[str]:
    """Device functions of the value and of the gradients, on numbers in float32."""
    local: dict[Expr, str] = dict(zip(variables(code.expr), code.arguments, strict=True))
    temporaries = code.names.temporaries
    value = straight_line(forward_program(code.expr), local, temporaries())
    parts = [_device_function("value", "The function.", code.arguments, *value)]
    if code.arguments:
        about = "Slopes by the arguments, times grad."
        arguments = ["grad", *code.arguments]
        slopes = straight_line(gradient_program(code.expr), {**local, GRAD: "grad"}, temporaries())
        parts.append(_device_function("gradients", about, arguments, *slopes))
    return parts


def _device_function(
    name: str, about: str, arguments: Sequence[str], lines: Sequence[str], results: Sequence[str]
) -> str:
    returned = [f"return {', '.join(results)}"]
    if len(returned[0]) > WIDTH - 4:
        returned = folded("return ", results, margin=4)
    return jit_function(name, arguments, [f'"""{about}"""', *lines, *returned])


def jit_function(name: str, arguments: Sequence[str], body: Sequence[str]) -> str:
    """A function that Triton compiles."""
    head = ["@triton.jit", *folded(f"def {name}", arguments, ":")]
    return "\n".join([*head, *indented(body)])


def sum_buffers(code: Code) -> list[str]:
    scalar = ["scalar_sums"] if code.scalars else []
    return [*scalar, *(["channel_sums"] if code.channel_wise else [])]


def forward_lines(code: Code, layout: Layout) -> list[str]:
    """What a program does for the value; `program` is its number."""
    each = [
        *_loads(code.read),
        *folded("y = value", code.arguments, margin=_margin(layout)),
        "tl.store(y_pointer + index, y, mask=inside)",
    ]
    return [*_before(code, layout), *_over_elements(layout, each)]


def backward_lines(code: Code, layout: Layout) -> list[str]:
    """What a program does for the gradients; `program` is its number."""
    results = ", ".join(f"{name}_grad" for name in code.arguments)
    arguments = ["grad", *code.arguments]
    each = _loads([*code.read, "grad"])
    each += folded(f"{results} = gradients", arguments, margin=_margin(layout))
    for name in code.read:
        each.append(f"tl.store({name}_grad_pointer + index, {name}_grad, mask=inside)")
    start, end = [], []
    for p in code.trained:
        if layout.loop:
            start.append(f"{p.name}_sum = tl.zeros({layout.shape}, tl.float32)")
            each.append(f"{p.name}_sum += tl.where(inside, {p.name}_grad, 0.0)")
        else:
            each.append(f"{p.name}_sum = tl.sum(tl.where(inside, {p.name}_grad, 0.0))")
    for p in code.scalars:
        total = f"tl.sum({p.name}_sum)" if layout.loop else f"{p.name}_sum"
        skipped = _skipped(p.place, templates.PROGRAMS)
        end.append(f"tl.store(scalar_sums_pointer + {skipped}program, {total})")
    for p in code.channel_wise:
        skipped = _skipped(p.place, layout.channel_sums)
        end += layout.channel_store.format(skipped=skipped, name=p.name).splitlines()
    return [*_before(code, layout), *start, *_over_elements(layout, each), *end]


def _skipped(place: int, sums: str) -> str:
    """Where the sums of a parameter start, as the first term of a sum."""
    return f"{place} * {sums} + " if place else ""


def _loads(tensors: Sequence[str]) -> list[str]:
    return [
        f"{name} = tl.load({name}_pointer + index, mask=inside, other=0.0).to(tl.float32)"
        for name in tensors
    ]


def _before(code: Code, layout: Layout) -> list[str]:
    lines = layout.program.splitlines()
    lines += [layout.channel] if code.channel_wise else []
    for p in code.trained:
        pointer = f"{p.name}_pointer"
        if p.scope is Scope.TENSOR:
            lines.append(f"{p.name} = tl.full({layout.shape}, tl.load({pointer}), tl.float32)")
        else:
            lines += layout.channel_load.format(name=p.name, pointer=pointer).splitlines()
    return lines


def _over_elements(layout: Layout, each: Sequence[str]) -> list[str]:
    lines = [*layout.index.splitlines(), *each]
    return [layout.loop, *indented(lines)] if layout.loop else lines


def _margin(layout: Layout) -> int:
    return 8 if layout.loop else 4
