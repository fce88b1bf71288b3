"""Words of shares, pairs, neighbours and mixtures of channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class FirstChannels(nn.Module):
    """1 on the first share of the channels, rounded to whole channels, and 0 on the rest."""

    def __init__(self, channels: int, dim: int, share: float) -> None:
        super().__init__()
        self.dim = dim
        self.count = round(share * channels)

    def forward(self, x: Tensor) -> Tensor:
        channel = self.dim % x.ndim
        mask = torch.arange(x.shape[channel], device=x.device) < self.count
        return mask.to(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - channel))


class SortedPairs(nn.Module):
    """Of channels 0 and 1, 2 and 3, ... the larger in the first place, the smaller in the second.

    The last of an odd number of channels stays as it is.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        token = x.movedim(self.dim, -1)
        even = token.shape[-1] // 2 * 2
        first, second = token[..., 0:even:2], token[..., 1:even:2]
        pairs = torch.stack([torch.maximum(first, second), torch.minimum(first, second)], -1)
        return torch.cat([pairs.flatten(-2), token[..., even:]], -1).movedim(-1, self.dim)


class ChannelBefore(nn.Module):
    """The channel before each; 0 before the first."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        token = x.movedim(self.dim, -1)
        zero = torch.zeros_like(token[..., :1])
        return torch.cat([zero, token[..., :-1]], -1).movedim(-1, self.dim)


class ChannelAfter(nn.Module):
    """The channel after each; 0 after the last."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        token = x.movedim(self.dim, -1)
        zero = torch.zeros_like(token[..., :1])
        return torch.cat([token[..., 1:], zero], -1).movedim(-1, self.dim)


class AtLeast(torch.autograd.Function):
    """max(x, bound), with the slope 1 below the bound too where a step would lead back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, bound: float) -> Tensor:
        return x.clamp(min=bound)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.bound = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        (grad,) = grads
        return grad * ((x >= ctx.bound) | (grad < 0)), None


class ChannelMix(nn.Module):
    """b_i + sum_j g_ij x_j over the channels j of a position, g and b trainable, g >= 0, b >= 1e-6.

    Both start as in GDN, Ballé et al. 2015, arXiv:1511.06281: b = 1 and g = 0.1 on the diagonal.
    Parameters are their roots, sqrt(g + 2^-36) and sqrt(b + 2^-36), as in the authors' code.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.pedestal = 2.0**-36
        self.weight_root = nn.Parameter((0.1 * torch.eye(channels) + self.pedestal).sqrt())
        self.bias_root = nn.Parameter((torch.ones(channels) + self.pedestal).sqrt())

    def weight(self) -> Tensor:
        """g: row i has what channel i takes of each channel."""
        return AtLeast.apply(self.weight_root, self.pedestal**0.5).square() - self.pedestal

    def bias(self) -> Tensor:
        """b of each channel."""
        lowest = (1e-6 + self.pedestal) ** 0.5
        return AtLeast.apply(self.bias_root, lowest).square() - self.pedestal

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight().to(x.dtype), self.bias().to(x.dtype)
        token = x.movedim(self.dim, -1)
        return nn.functional.linear(token, weight, bias).movedim(-1, self.dim)
