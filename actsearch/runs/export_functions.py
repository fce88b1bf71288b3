"""The functions of an exported module: straight-line code of values and slopes."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..primitives import Constant, Expr, Operator, inputs, parameters
from ..primitives.lowering import functions
from ..primitives.lowering.program import Program

WIDTH = 100
"""Of the module's lines."""
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}
# What the module uses by name; a local variable must not hide it.
TAKEN = frozenset(("torch", "nn", "Any", "Tensor", "ctx", "self", "grad", "tuple"))


def public_name(function: Callable[..., Any]) -> str:
    """How the exported module calls the tensor function of an operator.

    Raises:
        ValueError: it is neither public in torch nor one of ours.
    """
    name = function.__name__
    if getattr(functions, name, None) is function:
        return name
    for path, room, short in (
        ("torch", torch, name),
        ("torch.special", torch.special, name.removeprefix("special_")),
        ("nn.functional", torch.nn.functional, name),
    ):
        if getattr(room, short, None) is function:
            return f"{path}.{short}"
    raise ValueError(f"'{name}' is not a public function of torch")


def helpers(*programs: Program) -> list[str]:
    """Source of those of our own tensor functions that the programs call."""
    used = {
        step.operator.value.__name__: step.operator.value
        for program in programs
        for step in program.instructions
        if not _sign(step.operator) and "." not in public_name(step.operator.value)
    }
    return [inspect.getsource(used[name]).rstrip() for name in sorted(used)]


def _sign(operator: Operator) -> str:
    return "-" if operator.name == "neg" else _SIGNS.get(operator.name, "")


class _Writer:
    """Straight-line code of a program; slots become names, or numbers where torch takes them."""

    def __init__(self, expr: Expr, program: Program):
        self.program = program
        self.names = local_names(expr)
        self.first = self.names[inputs_of(expr)[0]]
        self.free = _fresh_names(set(self.names.values()))
        self.lines: list[str] = []
        self.tensors: dict[int, str] = {}
        for slot, leaf in enumerate(program.leaves):
            if not isinstance(leaf, Constant):
                self.tensors[slot] = self.names[leaf.name]  # type: ignore[attr-defined]
        for step in program.instructions:
            self.write(step.operator, step.arguments, step.target)

    def write(self, operator: Operator, arguments: tuple[int, ...], target: int) -> None:
        sign = _sign(operator)
        # An infix sign takes a number on one side; other functions take tensors alone.
        numbers = [a for a in arguments if a not in self.tensors]
        for position, slot in enumerate(numbers):
            alone = position == 0 and len(numbers) == len(arguments)
            if not sign or alone or self.is_huge(slot):
                self.tensor(slot)
        terms = [self.term(a) for a in arguments]
        if sign and len(terms) == 1:
            code = f"{sign}{terms[0]}"
        elif sign:
            code = _power(*terms) if sign == "**" else f"{terms[0]} {sign} {terms[1]}"
        else:
            code = f"{public_name(operator.value)}({', '.join(terms)})"
        self.tensors[target] = next(self.free)
        self.lines.append(f"{self.tensors[target]} = {code}")

    def tensor(self, slot: int) -> str:
        """Name of the tensor in a slot; a number becomes a tensor when first asked for so."""
        if slot not in self.tensors:
            number, x = self.number(slot), self.first
            made = f"{x}.new_full((), {number})"
            if self.is_huge(slot):
                made = f"torch.tensor({number}, dtype={x}.dtype, device={x}.device)"
            self.tensors[slot] = next(self.free)
            self.lines.append(f"{self.tensors[slot]} = {made}")
        return self.tensors[slot]

    def term(self, slot: int) -> str:
        return self.tensors[slot] if slot in self.tensors else self.number(slot)

    def number(self, slot: int) -> str:
        return repr(self.constant(slot)).replace("e+", "e")

    def is_huge(self, slot: int) -> bool:
        """Whether it overflows float32, where torch refuses a number but rounds a tensor."""
        return abs(self.constant(slot)) > torch.finfo(torch.float32).max

    def constant(self, slot: int) -> float:
        leaf = self.program.leaves[slot]
        assert isinstance(leaf, Constant)
        return leaf.value


def _power(base: str, exponent: str) -> str:
    return f"({base}) ** {exponent}" if base.startswith("-") else f"{base}**{exponent}"


def value_function(name: str, expr: Expr, program: Program) -> str:
    """A function of that name of inputs and parameters, which computes the program's value."""
    writer = _Writer(expr, program)
    result = writer.tensor(program.outputs[0])
    if not program.instructions:
        result += ".clone()" if inputs(expr) else ""
    if not inputs(expr):
        result += f".expand({writer.first}.shape).clone()"
    lines, last = writer.lines, f"{result} = "
    if lines and lines[-1].startswith(last):
        result = lines.pop().removeprefix(last)
    return _function(name, expr, "Tensor", "", [*lines, f"return {result}"])


def slopes_function(name: str, expr: Expr, program: Program) -> str:
    """A function of that name which computes the slopes, by inputs and then parameters."""
    writer = _Writer(expr, program)
    results = [writer.tensor(slot) for slot in program.outputs]
    if not inputs(expr):
        results.insert(0, f"torch.zeros_like({writer.first})")
    names = ", ".join([*inputs_of(expr), *(p.name for p in parameters(expr))])
    returned = f"return {', '.join(results)}" if len(results) > 1 else f"return ({results[0]},)"
    lines = [returned] if len(returned) <= WIDTH - 4 else call_lines("return ", results, 0)
    about = f"Partial derivatives by {names}."
    return _function(name, expr, "tuple[Tensor, ...]", about, [*writer.lines, *lines])


def _function(name: str, expr: Expr, kind: str, about: str, lines: list[str]) -> str:
    arguments = [f"{local}: Tensor" for local in local_names(expr).values()]
    head = signature(name, arguments, kind, 0)
    body = _text_lines(f'"""{about}"""') if about else []
    return "\n".join([head, *(f"    {line}" for line in [*body, *lines])])


def signature(name: str, arguments: Sequence[str], kind: str, indent: int) -> str:
    """Head of a function, on as many lines as it needs."""
    space = " " * indent
    head = f"{space}def {name}({', '.join(arguments)}) -> {kind}:"
    if len(head) > WIDTH:
        head = f"{space}def {name}(\n{space}    {', '.join(arguments)}\n{space}) -> {kind}:"
    if any(len(line) > WIDTH for line in head.splitlines()):
        listed = "".join(f"{space}    {argument},\n" for argument in arguments)
        head = f"{space}def {name}(\n{listed}{space}) -> {kind}:"
    return head


def _text_lines(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 4, break_long_words=False)


def call_lines(head: str, arguments: list[str], indent: int) -> list[str]:
    """A call, on as many lines as it needs."""
    space = " " * indent
    line = f"{space}{head}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return [line]
    inner = f"{space}    {', '.join(arguments)}"
    if len(inner) <= WIDTH:
        return [f"{space}{head}(", inner, f"{space})"]
    return [f"{space}{head}(", *(f"{space}    {a}," for a in arguments), f"{space})"]


def inputs_of(expr: Expr) -> tuple[str, ...]:
    """Names that the module's functions take; a constant takes x."""
    return inputs(expr) or ("x",)


def local_names(expr: Expr) -> dict[str, str]:
    """Name in the code of each input and parameter, in the order in which functions take them."""
    local: dict[str, str] = {}
    order = [*inputs_of(expr), *(p.name for p in parameters(expr))]
    for name in order:
        free = name
        while free in TAKEN or hasattr(functions, free) or (free != name and free in order):
            free += "_"
        local[name] = free
    return local


def _fresh_names(taken: set[str]) -> Iterator[str]:
    counter = 0
    while True:
        if f"t{counter}" not in taken:
            yield f"t{counter}"
        counter += 1
