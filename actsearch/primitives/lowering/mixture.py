"""A pool of functions of which each neuron chooses one while the network trains.

Hard mixtures draw one function for each neuron and each pass by straight-through Gumbel-softmax, as
SmartMixed (Omidvar 2025, arXiv:2510.22450). Soft ones add all of them up with softmax weights, as
the selectable nodes of S-KAN (Yang et al. 2024, arXiv:2408.08338). Either is then `frozen`: the
likeliest function of each neuron stays, and neurons of one function are computed together.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..expr import Expr, Parameter, Scope, inputs, parameters
from ..layer_words import layer_words
from .activation import Activation, from_end


class Mixing(StrEnum):
    """How the functions of a pool are mixed before the choice."""

    HARD = "hard"
    """one drawn for each neuron and pass, straight-through Gumbel-softmax"""
    SOFT = "soft"
    """the sum of all, with softmax weights"""


class Mixture(nn.Module):
    """Every function of a pool on every channel, weighed by trained logits (channels, functions).

    A channel is a neuron, or a map of a convolution. Draws come from torch's global generator, in
    evaluation mode too: before the choice the network is a random one.

    Args:
        pool: names and functions of x, two or more; their trainable parameters train too.
        channels: length of the channel axis.
        dim: the channel axis.
        mixing: how they are mixed.
        temperature: of the softmax, > 0.

    Raises:
        ValueError: fewer than two functions, or one that is not of x alone.
    """

    def __init__(
        self,
        pool: Mapping[str, Expr],
        channels: int,
        dim: int = 1,
        *,
        mixing: Mixing = Mixing.HARD,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        check_pool(pool)
        if not temperature > 0:
            raise ValueError(f"temperature={temperature} must be above 0")
        self.names = tuple(pool)
        self.dim, self.mixing, self.temperature = dim, mixing, temperature
        self.functions = nn.ModuleList(Activation(expr, channels, dim) for expr in pool.values())
        self.logits = nn.Parameter(torch.zeros(channels, len(pool)))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.weights().to(x.dtype)
        shape = [1] * x.ndim
        shape[from_end(self.dim, x)] = -1
        total = torch.zeros_like(x)
        for function, weight in zip(self.functions, weights.unbind(1), strict=True):
            each = weight.reshape(shape)
            # What overflows where it was not drawn must not spoil what was: 0 * inf is no number.
            value = function(x)
            value = torch.where((each == 0) & ~value.isfinite(), 0.0, value)
            total = total + each * value
        return total

    def weights(self) -> Tensor:
        """Weights (channels, functions), each row of sum 1; drawn anew if the mixing is hard."""
        if self.mixing is Mixing.SOFT:
            return functional.softmax(self.logits / self.temperature, dim=1)
        return functional.gumbel_softmax(self.logits, self.temperature, hard=True)

    def choice(self) -> Tensor:
        """The place in the pool of each channel's likeliest function, int64 (channels,)."""
        return self.logits.detach().argmax(dim=1)

    def extra_repr(self) -> str:
        return f"{', '.join(self.names)}; {self.mixing}"


class Selected(nn.Module):
    """One function on each channel, those of one function in one call.

    It takes over the mixture's functions, with all that they have learnt; an optimiser of the
    mixture's parameters goes on as it was.

    Args:
        mixture: what chose.
    """

    order: Tensor
    back: Tensor

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        choice = mixture.choice()
        self.dim = mixture.dim
        self.channels = len(choice)
        self.names = tuple(mixture.names[place] for place in choice.tolist())
        used = sorted(set(choice.tolist()))
        self.functions = nn.ModuleList(mixture.functions[place] for place in used)
        self._sizes = [int((choice == place).sum()) for place in used]
        order = torch.argsort(choice, stable=True)
        self.register_buffer("order", order)
        self.register_buffer("back", torch.argsort(order))

    def forward(self, x: Tensor) -> Tensor:
        dim = from_end(self.dim, x)
        places = self.order.split(self._sizes)
        parts = x.index_select(dim, self.order).split(self._sizes, dim)
        values = [
            _on_channels(function, part, chosen)
            for function, part, chosen in zip(self.functions, parts, places, strict=True)
        ]
        return torch.cat(values, dim).index_select(dim, self.back)

    def extra_repr(self) -> str:
        counts = {name: self.names.count(name) for name in dict.fromkeys(self.names)}
        return ", ".join(f"{count} {name}" for name, count in counts.items())


def frozen(model: nn.Module) -> list[Selected]:
    """Put `Selected` in the place of each `Mixture` of a model, which is changed.

    Returns:
        what was put in, in the order of `model.modules()`.
    """
    made: dict[Mixture, Selected] = {}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Mixture):
                made.setdefault(child, Selected(child))
                setattr(parent, name, made[child])
    return list(made.values())


def check_pool(pool: Mapping[str, Expr]) -> None:
    """Raises ValueError if the functions cannot be mixed."""
    if len(pool) < 2:
        raise ValueError(f"a pool needs at least two functions, got {', '.join(pool) or 'none'}")
    for name, expr in pool.items():
        if inputs(expr) != ("x",) or layer_words(expr):
            raise ValueError(f"'{name}' cannot be in a pool, which takes functions of x alone")


def _on_channels(function: nn.Module, part: Tensor, channels: Tensor) -> Tensor:
    """The function on some of its channels, with their share of its parameters."""
    assert isinstance(function, Activation)
    per_channel: list[Parameter] = [
        p for p in parameters(function.expr) if p.scope is Scope.CHANNEL
    ]
    if not per_channel:
        value: Tensor = function(part)
        return value
    held = {p.name: getattr(function, p.name)[channels] for p in per_channel}
    value = torch.func.functional_call(function, held, (part,))
    return value
