"""The Python functions of a generated module that allocate results and launch its kernels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..expr import Scope
from .triton_code import Code, sum_buffers
from .triton_text import folded, indented, wrapped

_FORWARD = """\
def forward(
    inputs: list[Tensor], parameters: list[Tensor], channels: int = 1, inner: int = 1
) -> Tensor:
    \"\"\"Value, like the first input.

    Args:
        {about}
        channels, inner: element m in the order of memory has channel (m // inner) % channels.
    \"\"\"
    {unpacked}
    y = torch.empty_like({first})
    numel = y.numel()
    if numel:
        {launch}
    return y"""

_BACKWARD = """\
def backward(
    grad: Tensor,
    inputs: list[Tensor],
    parameters: list[Tensor],
    channels: int = 1,
    inner: int = 1,
) -> list[Tensor]:
    \"\"\"Gradients by the inputs and then the parameters, each like its tensor.

    Args:
        grad: gradient by the value, dense and with the strides of the inputs; the rest as of
            `forward`.
    \"\"\"
    numel = grad.numel()
    if not numel:
        return [torch.zeros_like(tensor) for tensor in (*inputs, *parameters)]
    {unpacked}
    {empty}
    {launch}
    {sums}
    return [{results}]"""


def forward_launcher(code: Code) -> str:
    """The function `forward` of the module."""
    pointers = [*code.arguments, "y"]
    return filled(
        _FORWARD,
        about=_about(code),
        unpacked=_unpacked(code),
        first=code.given[0],
        launch=[*_launch_sizes(code), *_launch(code, "forward_kernel", pointers, margin=8)],
    )


def backward_launcher(code: Code) -> str:
    """The function `backward` of the module."""
    if not code.arguments:
        signature = _BACKWARD[: _BACKWARD.index("    numel = ")]
        return f"{signature}    return [torch.zeros_like(inputs[0])]"
    gradients = [f"{name}_grad" for name in code.read]
    sizes = {"scalar": "programs", "channel": "*shape"}
    empty = [f"{name}_grad = torch.empty_like({name})" for name in code.read]
    empty += _launch_sizes(code)
    for kind, trained in (("scalar", code.scalars), ("channel", code.channel_wise)):
        if trained:
            size = f"({len(trained)}, {sizes[kind]})"
            empty.append(
                f"{kind}_sums = torch.empty({size}, dtype=torch.float32, device=grad.device)"
            )
    pointers = [*code.arguments, "grad", *gradients, *sum_buffers(code)]
    results = [f"{n}_grad" if n in code.read else f"torch.zeros_like({n})" for n in code.given]
    return filled(
        _BACKWARD,
        unpacked=_unpacked(code),
        empty=empty,
        launch=_launch(code, "backward_kernel", pointers, margin=4),
        sums=_summed(code),
        results=", ".join([*results, *(["*trained"] if code.trained else [])]),
    )


def _summed(code: Code) -> list[str]:
    """The gradients of the parameters from their sums."""
    if not code.trained:
        return []
    sums = [
        f"scalar_sums[{p.place}].sum()"
        if p.scope is Scope.TENSOR
        else f"channel_sums[{p.place}].sum((0, 2))"
        for p in code.trained
    ]
    return [
        *folded("sums = ", sums, margin=4, brackets="[]"),
        "pairs = zip(sums, parameters, strict=True)",
        "trained = [total.reshape(p.shape).to(p.dtype) for total, p in pairs]",
    ]


def _about(code: Code) -> list[str]:
    scopes = {Scope.TENSOR: "of one value", Scope.CHANNEL: "of one value for each channel"}
    trained = ", ".join(f"{p.name} {scopes[p.scope]}" for p in code.trained) or "none"
    return [
        f"inputs: {' and '.join(code.given)}; of one shape and dtype, dense, with equal strides.",
        *wrapped(f"parameters: {trained}.", margin=8, hanging=4),
    ]


def _unpacked(code: Code) -> list[str]:
    lines = [f"{_targets(code.given)} = inputs"]
    if code.trained:
        lines.append(f"{_targets([p.name for p in code.trained])} = parameters")
    for p in code.channel_wise:
        lines += [
            f"if {p.name}.numel() != channels:",
            f'    raise ValueError(f"{{{p.name}.numel()}} values for {{channels}} channels")',
        ]
    return lines


def _targets(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) > 1 else f"({names[0]},)"


def _launch_sizes(code: Code) -> list[str]:
    if code.channel_wise:
        return ["by_rows, programs, sizes, shape = tiling(numel, channels, inner)"]
    return ["programs = triton.cdiv(numel, BLOCK)"]


def _launch(code: Code, name: str, pointers: Sequence[str], margin: int) -> list[str]:
    lines, kernel = [], name
    if code.channel_wise:
        lines = [f"kernel = {name}_rows if by_rows else {name}_columns"]
        kernel, sizes = "kernel", ["**sizes"]
    else:
        sizes = ["numel", "WIDE=numel >= 2**31 - BLOCK", "BLOCK=BLOCK"]
    arguments = [*pointers, *sizes, "enable_fp_fusion=True"]
    call = folded(f"{kernel}[(programs,)]", arguments, margin=margin + 4)
    return [*lines, f"with torch.cuda.device_of({code.given[0]}):", *indented(call)]


def filled(template: str, **parts: str | Sequence[str]) -> str:
    """The template with its fields filled; a field on a line of its own may be several lines."""
    lines = []
    for line in template.splitlines():
        field = re.fullmatch(r"( *)\{(\w+)\}", line)
        if field and not isinstance(parts[field[2]], str):
            lines += [field[1] + filled for filled in parts[field[2]]]
        else:
            lines.append(line.format(**parts))
    return "\n".join(lines)
