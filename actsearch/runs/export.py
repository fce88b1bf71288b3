"""A candidate as one Python module that needs torch alone.

The module is made from this package's own tables: names of operators, of inputs and of trainable
parameters, which the parser has checked, and numbers. Free text goes into its docstring only.
"""

from __future__ import annotations

import inspect
import keyword
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from actsearch.primitives import (
    Constant,
    Expr,
    Operator,
    Scope,
    infix,
    inputs,
    layer_words,
    parameters,
    takes_norms_place,
)
from actsearch.primitives.lowering import functions
from actsearch.primitives.lowering.program import (
    Program,
    backward_program,
    forward_program,
)
from actsearch.primitives.symbolic import latex

_WIDTH = 100
_NOTES = (
    "Needs torch alone. Half precision is computed in float32 and rounded once. Only the",
    "inputs are saved for the backward pass, which evaluates the derivative in closed form.",
)
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}
# What the module uses by name; a local variable must not hide it.
TAKEN = frozenset(("torch", "nn", "Any", "Tensor", "ctx", "self", "grad", "tuple"))


def module_source(expr: Expr, *, class_name: str, provenance: Mapping[str, str]) -> str:
    """Text of a module that defines the activation as the `nn.Module` class `class_name`.

    Args:
        class_name: an identifier, as of `class_name_for`.
        provenance: lines for the docstring, such as run, task and scores, in this order.

    Raises:
        ValueError: `class_name` is not a name that the module can define.
    """
    check_class_name(class_name, (*TAKEN, *vars(functions)))
    forward, backward = forward_program(expr), backward_program(expr)
    parts = [
        docstring(expr, class_name, provenance, _NOTES),
        "from __future__ import annotations\n\nfrom typing import Any\n\n"
        "import torch\nfrom torch import Tensor, nn",
        *helpers(forward, backward),
        value_function("_value", expr, forward),
        slopes_function("_slopes", expr, backward),
        WIDENED,
        autograd_function(class_name, expr, "_value", "_slopes"),
        _module_class(expr, class_name),
    ]
    return "\n\n\n".join(parts).replace("\n\n\nfrom __future__", "\n\nfrom __future__") + "\n"


def check_class_name(class_name: str, taken: Iterable[str]) -> None:
    """Raises ValueError if it is no identifier, or one of the names that the module uses."""
    if not re.fullmatch(r"[A-Za-z]\w*", class_name, re.ASCII) or keyword.iskeyword(class_name):
        raise ValueError(f"class_name={class_name!r} must be a Python identifier")
    if class_name in taken:
        raise ValueError(f"class_name={class_name!r} is a name that the module uses itself")


def class_name_for(name: str = "") -> str:
    """A class name from the name of a known activation, `QuickGelu` for `quick_gelu`;
    `Discovered` if there is no name to use."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    made = "".join(word[0].upper() + word[1:] for word in words)
    if not made or not made[0].isalpha() or keyword.iskeyword(made) or made in TAKEN:
        return "Discovered"
    return made


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


def docstring(
    expr: Expr, class_name: str, provenance: Mapping[str, str], notes: Sequence[str]
) -> str:
    """Docstring of an exported module: formula, origin, use, and then the notes, a line each."""
    names = _inputs(expr)
    kind, name, needs_channels = "an activation function", "activation", _per_channel(expr)
    if layer_words(expr):
        kind, name, needs_channels = "a function of a whole tensor,", "layer", True
    if takes_norms_place(expr):
        kind = "a layer that takes the place of normalisation and activation,"
    lines = [f'r"""{class_name}, {kind} found by actsearch.', "", "Formula:"]
    lines += _folded(infix(expr))
    lines += ["", "Canonical form, which actsearch reads:", *_folded(str(expr))]
    try:
        lines += ["", "LaTeX:", *_folded(latex(expr))]
    except ValueError:
        pass  # sympy does not cover every formula, and the module does not depend on it
    if provenance:
        lines += ["", "Provenance:"]
        lines += [f"    {_plain(key)}: {_plain(text)}" for key, text in provenance.items()]
    arguments = "channels=64" if needs_channels else ""
    lines += ["", "Use:", f"    {name} = {class_name}({arguments})"]
    if names == ("u", "v"):
        lines += ["    u, v = outputs.chunk(2, dim=1)  # of the layer before, as in the search"]
    lines += [f"    y = {name}({', '.join(names)})", "", *notes, '"""']
    return "\n".join(line.rstrip() for line in lines)


def _folded(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False
    )


def _plain(text: str) -> str:
    """Text that can end neither its line nor the docstring."""
    one_line = " ".join(str(text).split()).replace('"', "'")
    return "".join(c if c.isprintable() else "?" for c in one_line)


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
        self.names = _local_names(expr)
        self.first = self.names[_inputs(expr)[0]]
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
    names = ", ".join([*_inputs(expr), *(p.name for p in parameters(expr))])
    returned = f"return {', '.join(results)}" if len(results) > 1 else f"return ({results[0]},)"
    lines = [returned] if len(returned) <= _WIDTH - 4 else call_lines("return ", results, 0)
    about = f"Partial derivatives by {names}."
    return _function(name, expr, "tuple[Tensor, ...]", about, [*writer.lines, *lines])


def _function(name: str, expr: Expr, kind: str, about: str, lines: list[str]) -> str:
    arguments = [f"{local}: Tensor" for local in _local_names(expr).values()]
    head = _signature(name, arguments, kind, 0)
    body = _text_lines(f'"""{about}"""') if about else []
    return "\n".join([head, *(f"    {line}" for line in [*body, *lines])])


def _signature(name: str, arguments: Sequence[str], kind: str, indent: int) -> str:
    """Head of a function, on as many lines as it needs."""
    space = " " * indent
    head = f"{space}def {name}({', '.join(arguments)}) -> {kind}:"
    if len(head) > _WIDTH:
        head = f"{space}def {name}(\n{space}    {', '.join(arguments)}\n{space}) -> {kind}:"
    if any(len(line) > _WIDTH for line in head.splitlines()):
        listed = "".join(f"{space}    {argument},\n" for argument in arguments)
        head = f"{space}def {name}(\n{listed}{space}) -> {kind}:"
    return head


def _text_lines(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH - 4, break_long_words=False)


WIDENED = '''\
def _widened(first: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """All in the dtype of the first, or in float32 where that is half precision."""
    half = first.dtype in (torch.float16, torch.bfloat16)
    dtype = torch.float32 if half else first.dtype
    return tuple(tensor.to(dtype) for tensor in (first, *others))'''
"""What `autograd_function` calls."""


def autograd_function(name: str, expr: Expr, value: str, slopes: str) -> str:
    """The class `_name` around a value and its slopes, given by the names of their functions."""
    local = list(_local_names(expr).values())
    # Each tensor by its name: torch.compile counts them, and where none needs a gradient it takes
    # a forward of fewer names than tensors for one that is given a context too (torch 2.13).
    lines = [
        _signature("forward", [f"{one}: Tensor" for one in local], "Tensor", 4),
        *call_lines("wide = _widened", local, 8),
        f"        return {value}(*wide).to({local[0]}.dtype)",
    ]
    forward = "\n".join(lines)
    return f"""\
class _{name}(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
{forward}

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        tensors = ctx.saved_tensors
        wide = _widened(*tensors)
        grad = grad.to(wide[0].dtype)
        return tuple(
            (grad * slope).sum_to_size(tensor.shape).to(tensor.dtype)
            for tensor, slope in zip(tensors, {slopes}(*wide), strict=True)
        )"""


def _module_class(expr: Expr, class_name: str) -> str:
    names, trained = _inputs(expr), parameters(expr)
    lines = [f"class {class_name}(nn.Module):", f'    """{description(expr)}"""']
    if trained:
        arguments = ", channels: int, dim: int = 1" if _per_channel(expr) else ""
        lines += ["", f"    def __init__(self{arguments}) -> None:", "        super().__init__()"]
        if _per_channel(expr):
            lines += ["        self.dim = dim"]
        for parameter in trained:
            shape = "(channels,)" if parameter.scope is Scope.CHANNEL else "()"
            value = f"torch.full({shape}, {parameter.initial!r})"
            lines += [f"        self.{parameter.name} = nn.Parameter({value})"]
    local = _local_names(expr)
    shown = [local[name] for name in names]
    taken = ", ".join(f"{name}: Tensor" for name in shown)
    lines += ["", f"    def forward(self, {taken}) -> Tensor:"]
    if _per_channel(expr):
        lines += [
            f"        after = {shown[0]}.ndim - 1 - self.dim % {shown[0]}.ndim",
            "        per_channel = (-1, *(1,) * after)",
        ]
    given = list(shown)
    for parameter in trained:
        reshaped = ".reshape(per_channel)" if parameter.scope is Scope.CHANNEL else ""
        given.append(f"self.{parameter.name}{reshaped}")
    lines += call_lines(f"return _{class_name}.apply", given, 8)
    lines += ["", "    def extra_repr(self) -> str:", *returned_text(infix(expr), 8)]
    return "\n".join(lines)


def description(expr: Expr) -> str:
    """Docstring of the exported class."""
    names = " and ".join(_inputs(expr))
    what = "tensor" if len(_inputs(expr)) == 1 else "tensors"
    text = f"A function of the {what} {names}; see the top of this file."
    if _per_channel(expr):
        text = (
            f"{text}\n\n    Args:\n        channels: length of the channel axis.\n"
            "        dim: the channel axis.\n    "
        )
    return text


def call_lines(head: str, arguments: list[str], indent: int) -> list[str]:
    space = " " * indent
    line = f"{space}{head}({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return [line]
    inner = f"{space}    {', '.join(arguments)}"
    if len(inner) <= _WIDTH:
        return [f"{space}{head}(", inner, f"{space})"]
    return [f"{space}{head}(", *(f"{space}    {a}," for a in arguments), f"{space})"]


def returned_text(text: str, indent: int) -> list[str]:
    """Lines of a return statement for the text, folded to the width of the module."""
    space = " " * indent
    if indent + len(text) + len('return ""') <= _WIDTH:
        return [f'{space}return "{text}"']
    pieces = textwrap.wrap(text, _WIDTH - indent - 6, drop_whitespace=False)
    return [f"{space}return (", *(f'{space}    "{piece}"' for piece in pieces), f"{space})"]


def _inputs(expr: Expr) -> tuple[str, ...]:
    return inputs(expr) or ("x",)


def _per_channel(expr: Expr) -> bool:
    return any(p.scope is Scope.CHANNEL for p in parameters(expr))


def _local_names(expr: Expr) -> dict[str, str]:
    """Name in the code of each input and parameter, in the order in which functions take them."""
    local: dict[str, str] = {}
    order = [*_inputs(expr), *(p.name for p in parameters(expr))]
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
