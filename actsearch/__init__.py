"""A search engine for activation functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ActsearchError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .conversion import Conversion
    from .primitives import Activation, Expr, Layer

__all__ = ["ActsearchError", "activation", "convert"]
__version__ = "0.1.0"


def activation(formula: str, channels: int | None = None, dim: int = 1) -> Activation | Layer:
    """A formula, or a known activation's or layer's name, as an `nn.Module`.

    Args:
        formula: such as `x*sigmoid(1.702*x)`, `prelu`, of a gate, `u*sigmoid(u)*v`, or with
            moments, `evonorm_s0`.
        channels: length of the channel axis; needed by layers, and if a parameter is per channel.
        dim: the channel axis.

    Raises:
        ParseError: the formula cannot be read.
        ValueError: `channels` is needed and was not given.
    """
    # Imported late: it loads torch, which the command line's help does without.
    from .primitives import module_of, read_formula

    return module_of(read_formula(formula), channels, dim)


def convert(
    model: nn.Module,
    layer: str | Expr,
    *,
    groups: int = 32,
    example: Tensor | tuple[Tensor, ...] | None = None,
) -> Conversion:
    """A copy of a model with a layer or function in place of its own, as of `conversion.convert`.

    Args:
        layer: a formula, a known name, or an expression, of x.
        groups: most groups of a group moment.
        example: what the model takes, where numbers of channels are not told by its layers.

    Raises:
        ParseError: the formula cannot be read.
        ConfigError: the formula reads other inputs than x.
    """
    from .conversion import convert

    return convert(model, layer, groups=groups, example=example)
