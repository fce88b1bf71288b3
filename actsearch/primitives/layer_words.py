"""The words that make a formula a layer: moments, and those that are modules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch

from .expr import Apply, Constant, Expr, inputs, parameters, postorder
from .moments import MOMENTS, Moment, Over
from .tensor_words import TENSOR_WORDS, Takes, TensorWord

LAYER_WORDS: dict[str, Moment | TensorWord] = {**MOMENTS, **TENSOR_WORDS}
"""By name."""
_PLACES = ("first", "second")


@lru_cache(maxsize=4096)
def layer_words(expr: Expr) -> tuple[Apply, ...]:
    """The different calls of such words in a formula, those that another one reads before it; it
    is a layer if there are any."""
    return tuple(
        node
        for node in postorder(expr)
        if isinstance(node, Apply) and node.operator.name in LAYER_WORDS
    )


def modules_of(expr: Expr) -> Iterator[TensorWord]:
    """The words of a formula that are modules, each as often as there are different calls."""
    for node in layer_words(expr):
        word = LAYER_WORDS[node.operator.name]
        if isinstance(word, TensorWord):
            yield word


def reads_batch(expr: Expr) -> bool:
    """Whether an example's value depends on other examples of its batch."""
    return any(
        word.over is Over.BATCH if isinstance(word, Moment) else word.reads_batch
        for word in (LAYER_WORDS[node.operator.name] for node in layer_words(expr))
    )


def is_random(expr: Expr) -> bool:
    """Whether the formula draws numbers in training mode."""
    return any(word.is_random for word in modules_of(expr))


def needs_square(expr: Expr) -> bool:
    """Whether the last two axes of its input must be a square matrix."""
    return any(word.is_square for word in modules_of(expr))


def arguments_of(node: Apply) -> tuple[tuple[Expr, ...], tuple[float, ...]]:
    """Of a call: the formulas that its word reads as tensors, and its shares.

    Raises:
        ValueError: a share is not a number from 0 to 1.
    """
    word = LAYER_WORDS[node.operator.name]
    if isinstance(word, Moment):
        return node.arguments, ()
    tensors, shares = [], []
    for place, (takes, argument) in enumerate(zip(word.takes, node.arguments, strict=True)):
        if takes is Takes.TENSOR:
            tensors.append(argument)
            continue
        share = number_of(argument)
        if share is None or not 0 <= share <= 1:
            which = f"its {_PLACES[place]} argument" if len(word.takes) > 1 else "its argument"
            raise ValueError(
                f"'{word.operator.name}' takes a number from 0 to 1 as {which}, got '{argument}'"
            )
        shares.append(share)
    return tuple(tensors), tuple(shares)


def layer_problem(expr: Expr) -> str:
    """Why a formula that has such words is no layer; empty if it is one, or has none."""
    words, read = layer_words(expr), inputs(expr)
    if words and not {"u", "v"}.isdisjoint(read):
        kind = "moment" if words[0].operator.name in MOMENTS else "word"
        return f"formula has the {kind} {words[0]} and reads {', '.join(read)}; a layer reads x"
    try:
        for node in words:
            arguments_of(node)
    except ValueError as error:
        return str(error)
    return next(filter(None, map(_draw_problem, words)), "")


def _draw_problem(node: Apply) -> str:
    """Why numbers cannot be drawn so, if its arguments are numbers."""
    numbers = [number_of(argument) for argument in node.arguments]
    match node.operator.name, numbers:
        case "uniform", [float(low), float(high)] if low > high:
            return f"{node} draws between {low:g} and {high:g}; the lower number comes first"
        case "normal", [_, float(deviation)] if deviation < 0:
            return f"{node} has the deviation {deviation:g}, which must not be negative"
        case "bernoulli", [float(probability)] if not 0 <= probability <= 1:
            return f"{node} has the probability {probability:g}, which must be from 0 to 1"
    return ""


def word_names(expr: Expr) -> list[str]:
    """A name for each of `layer_words`, `std_group`, `std_group_2` and so on, apart from the
    parameters' names."""
    taken = {parameter.name for parameter in parameters(expr)}
    names = []
    for node in layer_words(expr):
        name, counter = node.operator.name, 1
        while name in taken:
            counter += 1
            name = f"{node.operator.name}_{counter}"
        taken.add(name)
        names.append(name)
    return names


def number_of(expr: Expr) -> float | None:
    """The value of a formula of numbers alone, in float64; None if it reads anything."""
    if inputs(expr) or parameters(expr) or layer_words(expr):
        return None
    found: dict[Expr, torch.Tensor] = {}
    for node in postorder(expr):
        if isinstance(node, Constant):
            found[node] = torch.tensor(node.value, dtype=torch.float64)
        elif isinstance(node, Apply):
            found[node] = node.operator.value(*(found[a] for a in node.arguments))
    return float(found[expr])
