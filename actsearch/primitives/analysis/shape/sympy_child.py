"""Algebra in a process of its own, because sympy can hang: run as a script, needs sympy alone.

Reads one JSON line from standard input, a list of pieces:

    {"index": 0, "expr": TREE, "places": ["1/2", ...], "roots": {"0": [0.123], ...},
     "limits": [-1, 1], "slopes": {"1": 0.5}, "samples": [[x, y], ...]}

A TREE is ["Symbol"], ["Number", "p/q"], or the name of a sympy class with its arguments. Writes
one JSON line for each figure as soon as it is found, so that whoever reads may stop at any time.
Within the process every question has a second of processor time, by an alarm.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

import sympy as sp

X = sp.Symbol("x", real=True)
Y = sp.Symbol("y", real=True)
SECONDS = 1.0
_LONGEST = 60


class TooLong(BaseException):
    """Not an Exception, which sympy would catch."""


def built(tree: list[Any]) -> Any:
    """The sympy expression of a tree."""
    head, *arguments = tree
    if head == "Symbol":
        return X
    if head == "Number":
        return sp.Rational(arguments[0])
    kind = getattr(sp, head)
    if not (isinstance(kind, type) and issubclass(kind, sp.Basic)):
        if isinstance(kind, sp.Basic):
            return kind
        raise ValueError(f"{head} is no class of sympy")
    return kind(*(built(a) for a in arguments))


def say(**answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def within_time(question: Callable[..., None], *arguments: Any) -> None:
    """Ask, and give up on an alarm or on what sympy cannot do."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        question(*arguments)
    except (TooLong, Exception):
        pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _alarm(*_: Any) -> None:
    raise TooLong


def described(value: Any) -> dict[str, Any] | None:
    """Text and float of a real number or an infinity."""
    if value in (sp.oo, -sp.oo):
        return {"text": str(value), "value": float(value)}
    if not value.is_number or value.has(sp.nan, sp.zoo, sp.AccumBounds):
        return None
    number = complex(value.evalf(25))
    if abs(number.imag) > 1e-15 * max(1.0, abs(number.real)):
        return None
    text = str(value)
    return {"text": text if len(text) <= _LONGEST else "", "value": number.real}


def shortest(value: Any) -> Any:
    """The value, simplified where that makes it shorter."""
    if value.is_Rational or len(str(value)) < 8:
        return value
    forms = (value, sp.simplify(value), sp.radsimp(sp.simplify(value.rewrite(sp.exp))))
    return min(forms, key=lambda v: len(str(v)))


def values_at(index: int, expr: Any, place: Any, text: str, orders: tuple[int, ...]) -> None:
    for order in orders:
        value = sp.diff(expr, X, order).subs(X, place)
        found = described(shortest(value))
        if found is not None:
            say(what="value", index=index, order=order, at=text, **found)


def roots(index: int, expr: Any, order: int, near: list[float]) -> None:
    """Closed forms of the roots that are known as floats."""
    slope = sp.diff(expr, X, order)
    left = list(near)
    for value in near:
        # Numbers in formulas are short, and so are the places they lead to.
        for nice in {sp.Rational(value).limit_denominator(64), sp.Rational(f"{value:.9f}")}:
            if abs(float(nice) - value) < 1e-9 and sp.simplify(slope.subs(X, nice)) == 0:
                left.remove(value)
                _say_root(index, expr, order, value, nice)
                break
    if not left:
        return
    for solution in _solutions(slope):
        try:
            number = complex(solution.evalf(25))
        except TypeError:
            continue
        for value in left:
            if abs(number - value) < 1e-9 * max(1.0, abs(value)):
                left.remove(value)
                _say_root(index, expr, order, value, shortest(sp.re(solution)))
                break


def _solutions(slope: Any) -> list[Any]:
    """Zeros, with exp(x) as the unknown where that makes a rational function of it."""
    t = sp.Symbol("t", positive=True)
    rational = sp.together(slope.rewrite(sp.exp).subs(X, sp.log(t)))
    rational = sp.numer(sp.together(sp.powsimp(sp.simplify(rational))))
    if rational.is_polynomial(t):
        return [sp.log(s) for s in sp.roots(sp.Poly(rational, t)) if s.evalf(20).is_positive]
    return list(sp.solve(slope, X))


def _say_root(index: int, expr: Any, order: int, near: float, root: Any) -> None:
    found = described(root)
    if found is None or not found["text"]:
        return
    say(what="root", index=index, order=order, near=near, **found)
    values_at(index, expr, root, found["text"], tuple({0, max(0, order - 1)}))


def limit(index: int, expr: Any, order: int, side: int) -> None:
    value = sp.limit(sp.diff(expr, X, order), X, sp.oo * side)
    found = described(shortest(value))
    if found is not None:
        say(what="limit", index=index, order=order, side=side, **found)


def intercept(index: int, expr: Any, side: int, slope: float) -> None:
    exact = sp.limit(sp.diff(expr, X), X, sp.oo * side)
    if not abs(float(exact) - slope) < 1e-6 * max(1.0, abs(slope)):
        return
    found = described(shortest(sp.limit(expr - exact * X, X, sp.oo * side)))
    if found is not None:
        say(what="intercept", index=index, side=side, **found)


def inverse(index: int, expr: Any, samples: list[list[float]]) -> None:
    """The solution for x that fits all samples of (x, y)."""
    for solution in sp.solve(sp.Eq(expr, Y), X):
        fits = all(
            abs(complex(solution.subs(Y, sp.Float(y, 30)).evalf(20)) - x) < 1e-6 * max(1, abs(x))
            for x, y in samples
        )
        if fits and not solution.has(sp.I):
            text = str(min((solution, sp.simplify(solution)), key=lambda s: len(str(s))))
            say(what="inverse", index=index, text=text)
            return


def answer(pieces: list[dict[str, Any]]) -> None:
    """The cheap questions of all pieces first."""
    made = [(p, p["index"], built(p["expr"])) for p in pieces]
    for piece, index, expr in made:
        for text in piece["places"]:
            within_time(values_at, index, expr, sp.Rational(text), text, (0, 1, 2))
    for order in (0, 1):
        for piece, index, expr in made:
            for side in piece["limits"]:
                within_time(limit, index, expr, order, side)
                slope = piece["slopes"].get(str(side))
                if order == 1 and slope:
                    within_time(intercept, index, expr, side, slope)
    for order in (0, 1, 2, 3):
        for piece, index, expr in made:
            near = piece["roots"].get(str(order))
            if near:
                within_time(roots, index, expr, order, near)
            if order == 0 and piece["samples"]:
                within_time(inverse, index, expr, piece["samples"])


if __name__ == "__main__":
    signal.signal(signal.SIGVTALRM, _alarm)
    answer(json.loads(sys.stdin.readline()))
