"""A function of one input as smooth pieces between the places where its operators switch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...expr import Apply, Constant, Expr, Input, postorder
from ..figure import Figure
from .building import call
from .curve import Curve
from .polynomial import real_roots
from .roots import middle_of, nearest, signs_of
from .switches import SWITCHES


@dataclass(frozen=True)
class Piece:
    """The function on an open interval.

    Args:
        resolved: whether all switches in `curve` are settled; not so beyond the outermost places
            of a function that has more of them than are kept.
    """

    low: Figure
    high: Figure
    curve: Curve
    resolved: bool = True

    @property
    def is_constant(self) -> bool:
        polynomial = self.curve.polynomial
        return polynomial is not None and len(polynomial) <= 1

    @property
    def is_affine(self) -> bool:
        polynomial = self.curve.polynomial
        return polynomial is not None and len(polynomial) <= 2


_LINE = (Figure(-math.inf, True), Figure(math.inf, True))


def pieces_of(expr: Expr) -> tuple[tuple[Piece, ...], bool]:
    """The pieces from left to right, and whether places were left out because there are so many.

    Neighbours that are the same formula are one piece.
    """
    places: list[Figure] = []
    truncated = False
    for node in postorder(expr):
        if not isinstance(node, Apply) or node.operator.name not in SWITCHES:
            continue
        for switching in SWITCHES[node.operator.name].at(*node.arguments):
            if isinstance(switching, Constant):
                continue
            found = zeros_of(switching, places)
            kept, cut = nearest(found)
            truncated |= cut
            places = _merged(places, kept)
    places, cut = nearest(places)
    truncated |= cut
    edges = [_LINE[0], *places, _LINE[1]]
    pieces: list[Piece] = []
    for low, high in itertools.pairwise(edges):
        outside = truncated and (math.isinf(low.value) or math.isinf(high.value))
        smooth = expr if outside else resolved(expr, middle_of(low.value, high.value))
        piece = Piece(low, high, Curve(smooth), not outside)
        if pieces and _same(pieces[-1], piece):
            piece = Piece(pieces[-1].low, high, pieces[-1].curve, piece.resolved)
            pieces.pop()
        pieces.append(piece)
    return tuple(pieces), truncated


def _same(one: Piece, other: Piece) -> bool:
    """Whether one formula holds across the place between them, and has no pole there."""
    if one.resolved != other.resolved:
        return False
    first, second = one.curve.polynomial, other.curve.polynomial
    if first is not None or second is not None:
        return first == second
    if one.curve != other.curve:
        return False
    # A square root or a quotient is the same formula on both sides of a place of its own.
    return not any(
        isinstance(node, Apply)
        and any(
            not isinstance(s, Constant) and _is_zero_at(s, one.high) for s in _places_left(node)
        )
        for node in postorder(one.curve.expr)
    )


def _places_left(node: Apply) -> tuple[Expr, ...]:
    switch = SWITCHES.get(node.operator.name)
    return () if switch is None else switch.at(*node.arguments)


def _is_zero_at(expr: Expr, place: Figure) -> bool:
    value = Curve(expr).number(place.value)
    return not abs(value) > 1e-9 * max(1.0, abs(place.value))


def zeros_of(switching: Expr, places: Sequence[Figure]) -> list[Figure]:
    """Places where an expression that is smooth between the given ones changes its sign."""
    edges = [_LINE[0], *places, _LINE[1]]
    found: list[Figure] = []
    for low, high in itertools.pairwise(edges):
        curve = Curve(resolved(switching, middle_of(low.value, high.value)))
        polynomial = curve.polynomial
        if polynomial is not None and len(polynomial) <= 1:
            continue
        exact = None if polynomial is None else real_roots(polynomial)
        if exact is not None:
            # Double roots too: a quotient has a pole there.
            found += [r for r in exact if low.value < r.value < high.value]
        else:
            found += signs_of(curve, 0, low.value, high.value).roots
    return found


def _merged(places: Sequence[Figure], more: Sequence[Figure]) -> list[Figure]:
    """Both in ascending order; of two that are one within their errors, the exact one."""
    merged: list[Figure] = []
    for place in sorted([*places, *more], key=lambda f: (f.value, not f.exact)):
        if merged:
            gap = place.value - merged[-1].value
            if gap <= max(1e-12, place.error + merged[-1].error):
                if place.exact and not merged[-1].exact:
                    merged[-1] = place
                continue
        merged.append(place)
    return merged


def resolved(expr: Expr, point: float) -> Expr:
    """The smooth expression that equals `expr` around the point."""
    values: dict[Expr, torch.Tensor] = {}
    built: dict[Expr, Expr] = {}

    def value(node: Expr) -> torch.Tensor:
        for part in postorder(node, values):
            match part:
                case Input():
                    values[part] = torch.tensor(point, dtype=torch.float64)
                case Constant(number):
                    values[part] = torch.tensor(number, dtype=torch.float64)
                case Apply(operator, arguments):
                    values[part] = operator.value(*(values[a] for a in arguments))
        return values[node]

    for node in postorder(expr):
        if not isinstance(node, Apply):
            built[node] = node
            continue
        arguments = tuple(built[a] for a in node.arguments)
        switch = SWITCHES.get(node.operator.name)
        if switch is None:
            built[node] = call(node.operator.name, *arguments)
            continue
        at = [float(value(s)) for s in switch.at(*arguments)]
        built[node] = switch.on(arguments, at)
    return built[expr]
