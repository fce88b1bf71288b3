"""Moments of tensors, before and after the root."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..moments import EPSILON, Kind, Moment, Over


def statistic(moment: Moment, values: Tensor, channel: int, groups: int) -> Tensor:
    """The moment of a tensor, of a shape that broadcasts to it.

    Args:
        values: (N, ..., C, ...).
        channel: the axis of channels, counted from the start.
        groups: of the channels, which it divides.
    """
    return rooted(moment.kind, unrooted(moment, values, channel, groups))


def unrooted(moment: Moment, values: Tensor, channel: int, groups: int) -> Tensor:
    """E x, E x^2 or the biased variance; arguments and shape as of `statistic`."""
    if moment.over not in (Over.GROUP, Over.TOKEN_GROUP):
        return _reduced(moment, values, channel)
    grouped = values.unflatten(channel, (groups, -1))
    found = _reduced(moment, grouped, channel)
    rest = [-1] * (grouped.ndim - channel - 2)
    whole = found.expand(*[-1] * (channel + 1), grouped.shape[channel + 1], *rest)
    return whole.flatten(channel, channel + 1)


def rooted(kind: Kind, found: Tensor) -> Tensor:
    """The moment of what `unrooted` found."""
    return found if kind is Kind.MEAN else (found + EPSILON).sqrt()


def _reduced(moment: Moment, values: Tensor, channel: int) -> Tensor:
    kind, over = moment.kind, _axes(moment.over, values.ndim, channel)
    if not over:  # torch takes no axes for all axes
        return {Kind.MEAN: values, Kind.RMS: values.square(), Kind.STD: values * 0}[kind]
    if kind is Kind.MEAN:
        return values.mean(over, keepdim=True)
    if kind is Kind.RMS:
        return values.square().mean(over, keepdim=True)
    variance, _ = _Variance.apply(values, over)
    return variance


class _Variance(torch.autograd.Function):
    """The biased variance in two passes forward and two backward, axes kept, and the mean.

    Forward and backward together take a CPU half of the time of torch.var.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        mean = values.mean(over, keepdim=True)
        return (values - mean).square_().mean(over, keepdim=True), mean

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        values, ctx.over = inputs
        variance, mean = output
        ctx.count = values.numel() // variance.numel()
        ctx.mark_non_differentiable(mean)
        ctx.save_for_backward(values, mean)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        values, mean = ctx.saved_tensors
        if torch.is_grad_enabled():
            # To be differentiated again: the saved mean does not depend on anything.
            mean = values.mean(ctx.over, keepdim=True)
        return (values - mean) * (grads[0] * (2 / ctx.count)), None


def _axes(over: Over, rank: int, channel: int) -> tuple[int, ...]:
    """Axes over which a moment is taken; empty for a single number.

    Args:
        rank: of the tensor, its channel axis split in (groups, channels of a group) for the sets
            of a group.
        channel: the axis of channels, or of groups.
    """
    others = tuple(axis for axis in range(1, rank) if axis != channel)
    return {
        Over.BATCH: (0, *others),
        Over.LAYER: tuple(range(1, rank)),
        Over.INSTANCE: others,
        Over.GROUP: others,
        Over.TOKEN: (channel,),
        Over.TOKEN_GROUP: (channel + 1,),
    }[over]
