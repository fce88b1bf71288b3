"""A candidate as one Python module that needs torch alone.

The module is made from this package's own tables: names of operators, of inputs and of trainable
parameters, which the parser has checked, and numbers. Free text goes into its docstring only.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from actsearch.primitives import (
    Expr,
    Scope,
    infix,
    layer_words,
    parameters,
    takes_norms_place,
)
from actsearch.primitives.lowering import functions
from actsearch.primitives.lowering.program import (
    backward_program,
    forward_program,
)
from actsearch.primitives.symbolic import latex

from .export_functions import (
    TAKEN,
    WIDTH,
    call_lines,
    helpers,
    inputs_of,
    local_names,
    signature,
    slopes_function,
    value_function,
)

_NOTES = (
    "Needs torch alone. Half precision is computed in float32 and rounded once. Only the",
    "inputs are saved for the backward pass, which evaluates the derivative in closed form.",
)


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


def docstring(
    expr: Expr, class_name: str, provenance: Mapping[str, str], notes: Sequence[str]
) -> str:
    """Docstring of an exported module: formula, origin, use, and then the notes, a line each."""
    names = inputs_of(expr)
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
        text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False
    )


def _plain(text: str) -> str:
    """Text that can end neither its line nor the docstring."""
    one_line = " ".join(str(text).split()).replace('"', "'")
    return "".join(c if c.isprintable() else "?" for c in one_line)


WIDENED = '''\
def _widened(first: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """All in the dtype of the first, or in float32 where that is half precision."""
    half = first.dtype in (torch.float16, torch.bfloat16)
    dtype = torch.float32 if half else first.dtype
    return tuple(tensor.to(dtype) for tensor in (first, *others))'''
"""What `autograd_function` calls."""


def autograd_function(name: str, expr: Expr, value: str, slopes: str) -> str:
    """The class `_name` around a value and its slopes, given by the names of their functions."""
    local = list(local_names(expr).values())
    # Each tensor by its name: torch.compile counts them, and where none needs a gradient it takes
    # a forward of fewer names than tensors for one that is given a context too (torch 2.13).
    lines = [
        signature("forward", [f"{one}: Tensor" for one in local], "Tensor", 4),
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
    names, trained = inputs_of(expr), parameters(expr)
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
    local = local_names(expr)
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
    names = " and ".join(inputs_of(expr))
    what = "tensor" if len(inputs_of(expr)) == 1 else "tensors"
    text = f"A function of the {what} {names}; see the top of this file."
    if _per_channel(expr):
        text = (
            f"{text}\n\n    Args:\n        channels: length of the channel axis.\n"
            "        dim: the channel axis.\n    "
        )
    return text


def returned_text(text: str, indent: int) -> list[str]:
    """Lines of a return statement for the text, folded to the width of the module."""
    space = " " * indent
    if indent + len(text) + len('return ""') <= WIDTH:
        return [f'{space}return "{text}"']
    pieces = textwrap.wrap(text, WIDTH - indent - 6, drop_whitespace=False)
    return [f"{space}return (", *(f'{space}    "{piece}"' for piece in pieces), f"{space})"]


def _per_channel(expr: Expr) -> bool:
    return any(p.scope is Scope.CHANNEL for p in parameters(expr))
