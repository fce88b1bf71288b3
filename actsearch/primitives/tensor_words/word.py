"""The record of a word that reads a whole tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from torch import Tensor, nn

from ..growth import unbounded
from ..operator import Operator


class Takes(StrEnum):
    """What an argument may be."""

    TENSOR = "tensor"
    """any formula; the module gets a tensor of the shape of the layer's input"""
    SHARE = "share"
    """a number from 0 to 1, or a formula of numbers, known when the layer is made"""


class Family(StrEnum):
    """Kinds of words."""

    STATISTIC = "statistic"
    """one number for each set of entries"""
    DRAW = "draw"
    """random in training mode, its mean in evaluation mode"""
    VECTOR = "vector"
    """each entry from several"""


@dataclass(frozen=True)
class TensorWord:
    """A word of formulas that is a module.

    Args:
        operator: its record as a word.
        family: its kind.
        takes: what each argument may be.
        module: made with channels, channel axis and the shares; called with the tensors, or with
            the layer's input if it takes none. Its result broadcasts to their shape. The source of
            the class reads torch, nn, Tensor and `uses` alone, so that an export can copy it.
        uses: functions and classes that the source reads.
        reads_batch: whether an example's value depends on others in its batch.
        is_square: whether the last two axes must be a square matrix.
    """

    operator: Operator
    family: Family
    takes: tuple[Takes, ...]
    module: type[nn.Module]
    uses: tuple[Callable[..., Any], ...] = ()
    reads_batch: bool = False
    is_square: bool = False

    @property
    def is_random(self) -> bool:
        return self.family is Family.DRAW


def tensor_word(
    name: str,
    family: Family,
    takes: str,
    module: type[nn.Module],
    formula: str,
    source: str,
    *,
    uses: tuple[Callable[..., Any], ...] = (),
    reads_batch: bool = False,
    is_square: bool = False,
) -> TensorWord:
    """An entry of the table; `takes` are values of `Takes`, separated by spaces."""
    kinds = tuple(Takes(word) for word in takes.split())

    def refused(*tensors: Tensor) -> NoReturn:
        raise ValueError(f"{name} reads a whole tensor and has no value at one point")

    def function(sp: Any, *arguments: Any) -> Any:
        return sp.Function(name)(*arguments)

    operator = Operator(name, len(kinds), formula, function, refused, (), unbounded, source)
    return TensorWord(operator, family, kinds, module, uses, reads_batch, is_square)
