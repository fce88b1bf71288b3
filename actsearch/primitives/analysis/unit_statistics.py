"""A layer as a function of one number: what it does to an entry of a standard normal tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch

from ..expr import Apply, Constant, Expr, inputs, substitute
from ..layer_words import LAYER_WORDS, arguments_of, layer_words
from ..lowering.eager import evaluate
from ..moments import EPSILON, Kind, Moment
from ..operators import OPERATORS
from ..tensor_words import Family
from .gaussian import gaussian_moments


@lru_cache(maxsize=1024)
def at_unit_statistics(expr: Expr) -> Expr:
    """The formula with each moment replaced by its value for standard normal entries of x.

    That is the limit of many entries in each set, where all sets have the same statistics.
    BN-ReLU becomes relu, EvoNorm-S0 becomes silu, but for `EPSILON`. A formula of numbers is
    itself. A moment that is not finite becomes the largest number. A draw becomes its mean, and
    another statistic its mean on a fixed tensor of 64 channels.

    Raises:
        ValueError: a word such as `sorted_pairs` has no such value.
    """
    replaced: dict[Expr, Expr] = {}
    for node in layer_words(expr):
        replaced[node] = _at_unit_statistics(node, replaced)
    return substitute(expr, replaced)


def _at_unit_statistics(node: Apply, replaced: Mapping[Expr, Expr]) -> Expr:
    word = LAYER_WORDS[node.operator.name]
    tensors, shares = arguments_of(node)
    arguments = [substitute(argument, replaced) for argument in tensors]
    if isinstance(word, Moment):
        value = _moment(word.kind, arguments[0])
    elif word.is_random:
        return _mean_of_draw(node.operator.name, arguments)
    elif word.family is Family.STATISTIC:
        normal = torch.randn(_SHAPE, generator=torch.Generator().manual_seed(0)).double()
        read = [evaluate(a, {"": normal, "x": normal}) for a in arguments]
        module = word.module(_SHAPE[1], 1, *shares)
        value = float(module(*read).mean())
    else:
        raise ValueError(f"'{node}' has no value at unit statistics: it reads several entries")
    return Constant(round(value, 12) if math.isfinite(value) else _LARGEST)


def _mean_of_draw(name: str, arguments: Sequence[Expr]) -> Expr:
    if name != "uniform":
        return arguments[0]  # the mean of `normal`, the probability of `bernoulli`
    total = Apply(OPERATORS["add"], tuple(arguments))
    return Apply(OPERATORS["mul"], (Constant(0.5), total))


_LARGEST = 1e30
_SHAPE = (64, 64, 16)


def _moment(kind: Kind, argument: Expr) -> float:
    if inputs(argument):
        found = gaussian_moments(argument)
        mean, second = found.mean, found.second
    else:
        mean = float(evaluate(argument, {"": torch.zeros((), dtype=torch.float64)}))
        second = mean**2
    if kind is Kind.MEAN:
        return mean
    spread = second if kind is Kind.RMS else max(0.0, second - mean**2)
    return math.sqrt(spread + EPSILON)
