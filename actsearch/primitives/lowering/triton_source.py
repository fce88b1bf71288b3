"""Readable Triton source of an expression: kernels for the value and for all gradients.

The module has two functions, `forward` and `backward`, and needs torch and triton alone. It is made
of names that the parser has checked, of numbers, and of this package's own text.
"""

from __future__ import annotations

from ..expr import Expr
from ..format import infix
from . import triton_templates as templates
from .triton_code import (
    Code,
    backward_lines,
    device_functions,
    forward_lines,
    jit_function,
    scalar_functions,
    sum_buffers,
)
from .triton_launchers import backward_launcher, forward_launcher
from .triton_templates import Layout
from .triton_text import wrapped

IMPORTS = "import torch\nimport triton\nimport triton.language as tl\nfrom torch import Tensor"


def kernel_source(expr: Expr) -> str:
    """Text of a module with the functions `forward` and `backward` for this expression.

    `forward(inputs, parameters, channels, inner)` gives the value, like the first input;
    `backward(grad, inputs, parameters, channels, inner)` the gradients by the inputs and then by
    the parameters, each like its tensor. Inputs come in alphabetical order, of one shape and dtype
    (float32, bfloat16 or float16), dense and with equal strides, as does `grad`; parameters in
    order of appearance, contiguous, with one value or one for each channel. Element m in the order
    of memory has the channel (m // inner) % channels.

    Raises:
        ValueError: an input has a name that is no identifier.
        DerivativeError: an operator in it has no derivative in closed form.
    """
    head = ['r"""Triton kernels, made by actsearch.', "", "Formula:"]
    head += [*wrapped(infix(expr), indent=4), '"""']
    return "\n".join(head) + f"\n\n{IMPORTS}\n\n" + "\n\n\n".join(kernel_parts(expr)) + "\n"


def kernel_parts(expr: Expr) -> list[str]:
    """Top-level pieces of that module, without docstring and imports."""
    functions = device_functions(expr)
    code = Code.of(expr, functions)
    layouts: tuple[Layout, ...] = (templates.FLAT,)
    constants = templates.FLAT_CONSTANTS
    if code.channel_wise:
        layouts, constants = (templates.ROWS, templates.COLUMNS), templates.CHANNEL_CONSTANTS
    parts = [constants, *([functions] if functions else []), *scalar_functions(code)]
    for kernel, direction in ((_forward_kernel, "forward"), (_backward_kernel, "backward")):
        if direction == "forward" or code.arguments:
            parts += [kernel(code, layout) for layout in layouts]
    parts += [templates.TILING] if code.channel_wise else []
    return [*parts, forward_launcher(code), backward_launcher(code)]


def _forward_kernel(code: Code, layout: Layout) -> str:
    pointers = [f"{name}_pointer" for name in (*code.arguments, "y")]
    return jit_function(
        f"forward_kernel{layout.suffix}",
        [*pointers, *layout.arguments],
        [
            f'"""Value {layout.about}"""',
            *templates.PROGRAM.splitlines(),
            *forward_lines(code, layout),
        ],
    )


def _backward_kernel(code: Code, layout: Layout) -> str:
    results = [*(f"{name}_grad" for name in code.read), *sum_buffers(code)]
    pointers = [f"{name}_pointer" for name in (*code.arguments, "grad", *results)]
    return jit_function(
        f"backward_kernel{layout.suffix}",
        [*pointers, *layout.arguments],
        [
            f'"""Gradients {layout.about}"""',
            *templates.PROGRAM.splitlines(),
            *backward_lines(code, layout),
        ],
    )
