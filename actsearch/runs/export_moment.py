"""A moment as a function of an exported module, in torch operations alone."""

from __future__ import annotations

from actsearch.primitives.lowering.layer import MOMENTUM
from actsearch.primitives.moments import EPSILON, Kind, Moment, Over

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


def moment_function(moment: Moment) -> str:
    """Source of the function `_std_group` and so on, of a tensor and its channel axis."""
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
