"""Triton source of one kernel for many expressions, each on its slice of the tensors.

Every program works for one slice, reads which expression that slice runs, and branches to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..expr import Expr, Scope, inputs
from ..format import infix
from . import triton_templates as templates
from .triton_code import (
    Code,
    Trained,
    backward_lines,
    device_functions,
    forward_lines,
    free_names,
    jit_function,
    local_inputs,
    local_parameters,
    scalar_functions,
)
from .triton_launchers import filled
from .triton_source import IMPORTS, constants_for, layouts_for
from .triton_templates import Layout
from .triton_text import folded, indented, wrapped

_DIRECTIONS = ("forward", "backward")
_LAUNCHERS = '''\
def forward(
    inputs: list[Tensor],
    which: Tensor,
    scalars: Tensor,
    by_channel: Tensor,
    channels: int = 1,
    inner: int = 1,
) -> Tensor:
    """Value of every slice, like the first input.

    Args:
        inputs: {inputs}; of one shape (K, ...) and dtype, contiguous.
        which: int32 of shape (K,), the place of each slice's function in the list above.
        scalars: float32 of shape (K, parameters), those of one value.
        by_channel: float32 of shape (K, parameters, channels), those of one value for each.
        channels, inner: element m of a slice has channel (m // inner) % channels.
    """
    y = torch.empty_like(inputs[0])
    if y.numel():
        count, numel = len(y), y.numel() // len(y)
        {forward_sizes}
        values = which, scalars, by_channel, scalars.shape[1], by_channel.shape[1]
        with torch.cuda.device_of(y):
            kernel[(count * programs,)](*inputs, y, *values, numel, programs, **sizes)
    return y


def backward(
    grad: Tensor,
    inputs: list[Tensor],
    which: Tensor,
    scalars: Tensor,
    by_channel: Tensor,
    channels: int = 1,
    inner: int = 1,
) -> list[Tensor]:
    """Gradients by the inputs, by scalars and by by_channel, 0 for what a slice does not read.

    Args:
        grad: gradient by the value, of its shape and dtype, contiguous; the rest as of `forward`.
    """
    results = [torch.empty_like(tensor) for tensor in inputs]
    if not grad.numel():
        return [*results, torch.zeros_like(scalars), torch.zeros_like(by_channel)]
    count, numel = len(grad), grad.numel() // len(grad)
    {backward_sizes}
    # Zeros, since a slice writes no sums of parameters that it does not have.
    scalar_sums = scalars.new_zeros((*scalars.shape, programs))
    channel_sums = by_channel.new_zeros({shape})
    values = which, scalars, by_channel, scalars.shape[1], by_channel.shape[1]
    sums = scalar_sums, channel_sums
    with torch.cuda.device_of(grad):
        kernel[(count * programs,)](
            *inputs, grad, *results, *values, *sums, numel, programs, **sizes
        )
    return [*results, scalar_sums.sum(2), {by_channel}]'''


def population_source(exprs: Sequence[Expr]) -> str:
    """Text of a module with `forward` and `backward` for K slices with one of these functions each.

    Inputs have the shape (K, ...) and are contiguous; `which`, int32 of shape (K,), gives the place
    in `exprs` of every slice's expression. Parameters are packed: the i-th parameter of one value
    of slice k is `scalars[k, i]`, its i-th of one value for each channel `by_channel[k, i]`.
    Gradients are packed likewise, with zeros in what is not read.

    Raises:
        ValueError: an input has a name that is no identifier.
        DerivativeError: an operator in them has no derivative in closed form.
    """
    functions = device_functions(exprs)
    given = sorted({name for expr in exprs for name in inputs(expr)}) or ["x"]
    codes = [_code(expr, functions, given, number) for number, expr in enumerate(exprs)]
    layouts = layouts_for(codes)
    head = ['r"""Triton kernels for slices with different functions, made by actsearch.', ""]
    head.append("Functions:")
    for number, expr in enumerate(exprs):
        head += wrapped(f"{number}: {infix(expr)}", indent=4)
    parts = [constants_for(layouts), *([functions] if functions else [])]
    for number, code in enumerate(codes):
        parts += scalar_functions(code, f"_{number}")
        for layout in layouts:
            parts += [_slice_function(way, code, layout, number) for way in _DIRECTIONS]
    parts += [_kernel(way, codes, layout) for layout in layouts for way in _DIRECTIONS]
    parts += [templates.TILING] if len(layouts) > 1 else []
    parts.append(_launchers(codes, layouts))
    return "\n".join([*head, '"""']) + f"\n\n{IMPORTS}\n\n" + "\n\n\n".join(parts) + "\n"


def _code(expr: Expr, functions: str, given: Sequence[str], number: int) -> Code:
    names = free_names(functions, (f"value_{number}", f"gradients_{number}"))
    local = local_inputs(given, names)
    trained = [replace(p, pointer=_packed(p)) for p in local_parameters(expr, names)]
    return Code(
        expr=expr,
        given=tuple(local.values()),
        read=tuple(local[name] for name in inputs(expr)),
        trained=tuple(trained),
        names=names,
        programs="programs",
    )


def _packed(parameter: Trained) -> str:
    """The pointer to a parameter among those of its slice."""
    scalar = parameter.scope is Scope.TENSOR
    start = "scalars_pointer" if scalar else "by_channel_pointer"
    if not parameter.place:
        return start
    return f"{start} + {parameter.place}" + ("" if scalar else " * ({channels})")


def _pointers(code: Code, direction: str) -> list[str]:
    """Arguments of kernels and of what they call, before the sizes."""
    packed = ["scalars", "by_channel"]
    if direction == "forward":
        names = [*code.given, "y", *packed]
    else:
        gradients = [f"{name}_grad" for name in code.given]
        names = [*code.given, "grad", *gradients, *packed, "scalar_sums", "channel_sums"]
    return [f"{name}_pointer" for name in names]


def _slice_function(direction: str, code: Code, layout: Layout, number: int) -> str:
    """What a program does for a slice with this expression."""
    suffix = f"_{number}"
    if direction == "forward":
        lines = forward_lines(code, layout, suffix)
    else:
        unread = [name for name in code.given if name not in code.read]
        lines = backward_lines(code, layout, suffix, unread)
    arguments = [*_pointers(code, direction), "program", "programs", *layout.arguments]
    about = f'"""{"Value" if direction == "forward" else "Gradients"} {layout.about}"""'
    return jit_function(f"{direction}{suffix}{layout.suffix}", arguments, [about, *lines])


def _kernel(direction: str, codes: Sequence[Code], layout: Layout) -> str:
    """The kernel that branches to the function of its slice."""
    pointers = _pointers(codes[0], direction)
    place = pointers.index("scalars_pointer")
    more = [name for name in layout.arguments if name != "numel"]
    lines = [
        f'"""{"Value" if direction == "forward" else "Gradients"} {layout.about}"""',
        "network = (tl.program_id(0) // programs).to(tl.int64)",
        "program = tl.program_id(0) % programs",
        "if WIDE:",
        "    program = program.to(tl.int64)",
        "kind = tl.load(which_pointer + network)",
        *(f"{name} += network * numel" for name in pointers[:place]),
        "scalars_pointer += network * scalar_count",
    ]
    if layout.channels:
        lines.append(f"by_channel_pointer += network * channel_count * {_factor(layout.channels)}")
    if direction == "backward":
        lines.append("scalar_sums_pointer += network * scalar_count * programs")
        if layout.channels:
            sums = layout.channel_sums.format(programs="programs")
            sums = sums.replace("blocks", "tl.cdiv(columns, COLUMNS)")
            lines.append(f"sums = {sums}")
            lines.append("channel_sums_pointer += network * channel_count * sums")
    names = [name.partition(":")[0] for name in layout.arguments]
    for number in range(len(codes)):
        lines.append(f"if kind == {number}:")
        call = f"{direction}_{number}{layout.suffix}"
        arguments = [*pointers, "program", "programs", *names]
        lines += indented(folded(call, arguments, margin=8))
    arguments = [*pointers[:place], "which_pointer", *pointers[place : place + 2]]
    arguments += ["scalar_count", "channel_count", *pointers[place + 2 :], "numel", "programs"]
    return jit_function(f"{direction}_kernel{layout.suffix}", [*arguments, *more], lines)


def _factor(text: str) -> str:
    return text if text.isidentifier() else f"({text})"


def _launchers(codes: Sequence[Code], layouts: Sequence[Layout]) -> str:
    by_channel = len(layouts) > 1
    sizes = []
    for direction in ("forward", "backward"):
        if by_channel:
            kernels = " if by_rows else ".join(f"{direction}_kernel{x.suffix}" for x in layouts)
            sizes.append(
                [
                    "by_rows, programs, sizes, shape = tiling(numel, channels, inner)",
                    f"kernel = {kernels}",
                    'sizes["enable_fp_fusion"] = False',
                ]
            )
        else:
            sizes.append(
                [
                    f"kernel, programs = {direction}_kernel, triton.cdiv(numel, BLOCK)",
                    "wide = numel >= 2**31 - BLOCK",
                    'sizes = {"WIDE": wide, "BLOCK": BLOCK, "enable_fp_fusion": False}',
                ]
            )
    return filled(
        _LAUNCHERS,
        inputs=" and ".join(codes[0].given),
        forward_sizes=sizes[0],
        backward_sizes=sizes[1],
        shape="(*by_channel.shape[:2], *shape)" if by_channel else "(1,)",
        by_channel="channel_sums.sum((2, 4))" if by_channel else "torch.zeros_like(by_channel)",
    )
