"""The inverse of a strictly monotone function, as a formula of y."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from ...expr import Apply, Constant, Expr, Input, inputs
from ..figure import Figure
from .pieces import Piece
from .record import Range
from .survey import Survey

MOST_PIECES = 6

# What undoes an operator that is strictly monotone on the whole line; {y} is an atom or a call.
_UNDONE: dict[str, str] = {
    "neg": "-{y}",
    "exp": "log({y})",
    "expm1": "log1p({y})",
    "log": "exp({y})",
    "log1p": "expm1({y})",
    "softplus": "log(expm1({y}))",
    "log_sigmoid": "-log(expm1(-{y}))",
    "sinh": "asinh({y})",
    "asinh": "sinh({y})",
    "tanh": "atanh({y})",
    "atan": "tan({y})",
    "sigmoid": "log({y}/(1 - {y}))",
    "erf": "erfinv({y})",
    "erfc": "erfcinv({y})",
    "normal_cdf": "sqrt(2)*erfinv(2*{y} - 1)",
    "cube": "cbrt({y})",
    "reciprocal": "1/{y}",
}


def is_invertible(survey: Survey, monotone: str | None) -> bool:
    """Whether the function is strictly monotone without breaks, and of few pieces."""
    return (
        monotone in ("increasing", "decreasing")
        and all(k.kind in ("kink", "cusp") or k.kind.startswith("C") for k in survey.kinks)
        and all(p.resolved for p in survey.pieces)
        and len(survey.pieces) <= MOST_PIECES
    )


def inverse_of(survey: Survey, monotone: str | None, values: Range) -> str | None:
    """A formula with its domain, such as `log(y/(1 - y)) for 0 < y < 1`; None if none was found.

    Each piece is undone operator by operator, or by algebra.
    """
    if not is_invertible(survey, monotone):
        return None
    parts: list[tuple[str, str]] = []
    increasing = monotone == "increasing"
    last = len(survey.pieces) - 1
    for index, piece in enumerate(survey.pieces):
        formula = undone(piece) or survey.inverses.get(index)
        if formula is None:
            return None
        low = values.low if index == (0 if increasing else last) else _end(survey, index, False)
        high = values.high if index == (last if increasing else 0) else _end(survey, index, True)
        if not increasing and 0 < index < last:
            low, high = sorted((low, high), key=lambda f: f.value)
        closed = index > 0 if increasing else index < last
        parts.append((formula, _domain(low, high, closed)))
    shown = [f"{formula} for {domain}" if domain else formula for formula, domain in parts]
    return "; ".join(dict.fromkeys(shown))


def _end(survey: Survey, index: int, high: bool) -> Figure:
    """The value at the end of a piece; of its low end for the lower bound of an increasing one."""
    piece = survey.pieces[index]
    if math.isinf(piece.low.value):
        return survey.end(index, 1, 0)
    if math.isinf(piece.high.value):
        return survey.end(index, -1, 0)
    return survey.end(index, 1 if high else -1, 0)


def _domain(low: Figure, high: Figure, closed: bool) -> str:
    below = "" if math.isinf(low.value) else f"{_shown(low)} {'<=' if closed else '<'} y"
    above = "" if math.isinf(high.value) else f"y < {_shown(high)}"
    if below and above:
        return below + above.removeprefix("y")
    if below:
        return f"y {'>=' if closed else '>'} {_shown(low)}"
    return above


def _shown(figure: Figure) -> str:
    return figure.text or f"{figure.value:.6g}"


def undone(piece: Piece) -> str | None:
    """The piece solved for x where it is affine, or reads x in one place only."""
    polynomial = piece.curve.polynomial
    if polynomial is not None and len(polynomial) == 2:
        return _affine(*polynomial, "y")
    if polynomial is not None and _only_cube(polynomial):
        return f"cbrt({_scaled(1 / polynomial[3], 'y')})"
    text, node = "y", piece.curve.expr
    while not isinstance(node, Input):
        step = _step(node, text)
        if step is None:
            return None
        text, node = step
    return _unwrapped(text)


def _only_cube(polynomial: tuple[Fraction, ...]) -> bool:
    return len(polynomial) == 4 and not any(polynomial[:3])


def _step(node: Expr, text: str) -> tuple[str, Expr] | None:
    """One operator undone."""
    if not isinstance(node, Apply):
        return None
    name, arguments = node.operator.name, node.arguments
    if len(arguments) == 1:
        template = _UNDONE.get(name)
        return None if template is None else (_atom(_filled(template, text)), arguments[0])
    one, other = arguments
    if isinstance(other, Constant) and inputs(one):
        undo = _BY_RIGHT.get(name)
        return None if undo is None else (_atom(undo(text, other.value)), one)
    if isinstance(one, Constant) and inputs(other):
        undo = _BY_LEFT.get(name)
        return None if undo is None else (_atom(undo(text, one.value)), other)
    return None


def _filled(template: str, text: str) -> str:
    return template.replace("({y})", f"({_unwrapped(text)})").replace("{y}", text)


_BY_RIGHT: dict[str, Callable[[str, float], str]] = {
    "add": lambda y, c: _shifted(y, -c),
    "sub": lambda y, c: _shifted(y, c),
    "mul": lambda y, c: _scaled(1 / Fraction(repr(c)), y),
    "div": lambda y, c: _scaled(Fraction(repr(c)), y),
}
_BY_LEFT: dict[str, Callable[[str, float], str]] = {
    "add": lambda y, c: _shifted(y, -c),
    "sub": lambda y, c: f"{_number(Fraction(repr(c)))} - {y}",
    "mul": lambda y, c: _scaled(1 / Fraction(repr(c)), y),
    "div": lambda y, c: f"{_number(Fraction(repr(c)))}/{y}",
}


def _shifted(y: str, by: float) -> str:
    return f"{_term(y)} {'-' if by < 0 else '+'} {_number(abs(Fraction(repr(by))))}"


def _affine(intercept: Fraction, slope: Fraction, y: str) -> str:
    shifted = y if not intercept else _atom(_shifted(y, -float(intercept)))
    return _unwrapped(_scaled(1 / slope, shifted))


def _scaled(factor: Fraction, y: str) -> str:
    if factor == 1:
        return y
    if factor == -1:
        return f"-{y}"
    if abs(factor.numerator) == 1:
        return f"{'-' if factor < 0 else ''}{y}/{factor.denominator}"
    if _is_decimal(factor):
        return f"{_number(factor)}*{y}"
    if _is_decimal(1 / factor):
        return f"{y}/{_number(1 / factor)}"
    return f"{factor.numerator}*{y}/{factor.denominator}"


def _is_decimal(value: Fraction) -> bool:
    return Fraction(repr(float(value))) == value


def _number(value: Fraction) -> str:
    number = float(value)
    if value.denominator == 1:
        return str(value.numerator)
    return repr(number) if Fraction(repr(number)) == value else str(value)


def _atom(text: str) -> str:
    """In parentheses unless it is a name, a number or one call."""
    if text.isidentifier():
        return text
    opened = text.find("(")
    if opened > 0 and text[:opened].isidentifier() and _closes_last(text, opened):
        return text
    return f"({text})"


def _term(text: str) -> str:
    """As a term of a sum: products need no parentheses there."""
    inner = _unwrapped(text)
    return text if " + " in inner or " - " in inner or inner.startswith("-") else inner


def _unwrapped(text: str) -> str:
    return text[1:-1] if text.startswith("(") and _closes_last(text, 0) else text


def _closes_last(text: str, opened: int) -> bool:
    depth = 0
    for place in range(opened, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place == len(text) - 1
    return False
