"""How tensors lie in memory, as the kernels see it: one flat order, and a channel in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def laid_out_alike(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, of one shape, each dense and with the strides of the first.

    A dense tensor in any order of its axes, such as channels-last, is taken as it is; only what
    has gaps, overlaps, or other strides than the first is copied.
    """
    first = tensors[0] if is_dense(tensors[0]) else torch.empty_like(tensors[0]).copy_(tensors[0])
    alike = [first]
    for tensor in tensors[1:]:
        if tensor.stride() != first.stride():
            tensor = torch.empty_like(first, dtype=tensor.dtype).copy_(tensor)
        alike.append(tensor)
    return alike


def channel_layout(tensor: Tensor, dim: int) -> tuple[int, int]:
    """(channels, inner): element m in the order of memory has channel (m // inner) % channels.

    Args:
        tensor: dense, as of `laid_out_alike`.
        dim: the channel axis.
    """
    if not tensor.ndim:
        return 1, 1
    channels = tensor.shape[dim]
    # The stride of an axis of one element says nothing; any inner will do.
    return max(channels, 1), tensor.stride(dim) if channels > 1 else 1


def is_dense(tensor: Tensor) -> bool:
    """Whether the elements fill their memory without gaps, in any order of the axes."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True
