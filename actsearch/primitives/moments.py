"""Moments: what a layer knows of its whole input, as operators in a formula.

`std_group(x)` has the shape of x; each entry is the statistic of the set that the entry belongs to.
Kinds and sets are those of EvoNorm, Liu et al. 2020, arXiv:2004.02967, with sets of one token for
transformers. A formula with moments is a layer, run by `lowering.layer.Layer`; as a function of
one number it means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, NoReturn

from torch import Tensor

from .expr import Apply, Expr, Parameter, parameters, postorder
from .growth import same
from .operator import Operator

EPSILON = 1e-5
"""Added under the root of a standard deviation and of a root mean square; the authors' code."""
_SOURCE = "arXiv:2004.02967"


class Kind(StrEnum):
    """Which statistic."""

    MEAN = "mean"
    """E x"""
    RMS = "rms"
    """sqrt(E x^2 + EPSILON)"""
    STD = "std"
    """sqrt(E (x - E x)^2 + EPSILON), the variance biased"""


class Over(StrEnum):
    """Which entries of a tensor (N, C, ...) make one statistic."""

    BATCH = "batch"
    """a channel, in all examples; running statistics take its place in evaluation mode"""
    LAYER = "layer"
    """an example, all channels"""
    INSTANCE = "instance"
    """a channel of an example"""
    GROUP = "group"
    """neighbouring channels of an example"""
    TOKEN = "token"
    """all channels at one position of an example, as in LayerNorm and RMSNorm"""
    TOKEN_GROUP = "token_group"
    """neighbouring channels at one position of an example"""


@dataclass(frozen=True)
class Moment:
    """A statistic over a set of entries, and its word in formulas."""

    kind: Kind
    over: Over
    operator: Operator


def _moment(kind: Kind, over: Over) -> Moment:
    name = f"{kind}_{over}"

    def refused(*tensors: Tensor) -> NoReturn:
        raise ValueError(f"{name} is a moment of a whole layer and has no value at one point")

    def function(sp: Any, x: Any) -> Any:
        return sp.Function(name)(x)

    formula = f"{kind} of x over each {over.replace('_', ' ')}"
    return Moment(kind, over, Operator(name, 1, formula, function, refused, (), same, _SOURCE))


MOMENTS: dict[str, Moment] = {
    made.operator.name: made for made in (_moment(kind, over) for kind in Kind for over in Over)
}
"""By name, such as `std_group`."""


@lru_cache(maxsize=4096)
def moments(expr: Expr) -> tuple[Apply, ...]:
    """The different moments in a formula, those that another one reads before it."""
    return tuple(
        node
        for node in postorder(expr)
        if isinstance(node, Apply) and node.operator.name in MOMENTS
    )


def without_affine(expr: Expr) -> Expr:
    """A layer without its last scale and shift, gamma * layer + beta, if it has both at their
    start and reads them nowhere else; else the formula itself."""
    match expr:
        case Apply(
            add, (Apply(mul, (Parameter(_, 1.0) as gamma, body)), Parameter(_, 0.0) as beta)
        ):
            names = (add.name, mul.name)
            if names == ("add", "mul") and not {gamma, beta} & {*parameters(body)}:
                return body
    return expr


def group_count(channels: int, most: int) -> int:
    """Groups of a group moment: the largest number, up to `most`, that divides the channels.

    Raises:
        ValueError: `most` is below 1.
    """
    if most < 1:
        raise ValueError(f"groups={most} must be at least 1")
    return next(count for count in range(min(most, channels), 0, -1) if channels % count == 0)
