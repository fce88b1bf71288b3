"""Asking sympy, in a child process that is stopped when the time is up."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...expr import inputs
from ...symbolic import to_sympy
from ..figure import Figure
from .joins import as_fraction
from .pieces import Piece
from .polynomial import exact
from .roots import Signs, middle_of
from .survey import ORDERS, Survey, with_joins_known

_CHILD = Path(__file__).with_name("sympy_child.py")
_MOST_OPERATIONS = 120
_MOST_ROOTS = 6
# What algebra finds must be what was measured; a wrong branch or limit of sympy's is dropped.
_AGREES = 1e-6


def made_exact(survey: Survey, seconds: float, invertible: bool) -> Survey:
    """The survey with the figures that sympy finds in closed form within the time.

    Only what agrees with the measured figure to one part in a million is taken.

    Args:
        invertible: whether to look for the inverses of the pieces.
    """
    questions = [
        q
        for index, piece in enumerate(survey.pieces)
        if piece.curve.polynomial is None and piece.resolved
        for q in _questions(survey, index, piece, invertible)
    ]
    if not questions or seconds <= 0:
        return survey
    return with_joins_known(_with(survey, _answers(questions, seconds)))


def _questions(
    survey: Survey, index: int, piece: Piece, invertible: bool
) -> Iterable[dict[str, Any]]:
    try:
        meaning = to_sympy(piece.curve.expr)
    except ValueError:
        return
    if meaning.count_ops() > _MOST_OPERATIONS:
        return
    roots = {str(order): _nearest_roots(survey.signs[index][order]) for order in ORDERS}
    ends = [as_fraction(end) for end in (piece.low, piece.high)]
    sides = [s for s, end in ((-1, piece.low), (1, piece.high)) if math.isinf(end.value)]
    limits = {side: survey.tails[side > 0][1].limit for side in sides}
    yield {
        "index": index,
        "expr": _tree(meaning),
        "places": [str(end) for end in ends if end is not None],
        "roots": {o: found for o, found in roots.items() if found},
        "limits": sides,
        "slopes": {
            str(side): limit.value
            for side, limit in limits.items()
            if limit is not None and math.isfinite(limit.value)
        },
        "samples": _samples(piece) if invertible and inputs(piece.curve.expr) else [],
    }


def _nearest_roots(signs: Signs) -> list[float]:
    """Those nearest to 0: of an oscillation sympy knows no others."""
    found = [r.value for r in signs.roots if not r.exact and r.error < 1e-6]
    return sorted(found, key=abs)[:_MOST_ROOTS]


def _samples(piece: Piece) -> list[list[float]]:
    middle = middle_of(piece.low.value, piece.high.value)
    low = max(piece.low.value, middle - 2)
    high = min(piece.high.value, middle + 2)
    places = [low + (high - low) * share for share in (0.2, 0.4, 0.7, 0.9)]
    return [[x, piece.curve.number(x)] for x in places]


def _tree(node: Any) -> list[Any]:
    """A sympy expression as data; decimals are the numbers that they are written as."""
    import sympy as sp

    if isinstance(node, sp.Symbol):
        return ["Symbol"]
    if isinstance(node, sp.Float):
        return ["Number", str(Fraction(repr(float(node))))]
    if isinstance(node, sp.Rational):
        return ["Number", f"{node.p}/{node.q}"]
    if node in (sp.pi, sp.E):
        return ["pi" if node == sp.pi else "E"]
    return [type(node).__name__, *(_tree(a) for a in node.args)]


def _answers(questions: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """What the child writes before it ends or the time is up."""
    child = subprocess.Popen(
        [sys.executable, "-I", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(json.dumps(questions) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            return []
        found = []
        for line in child.stdout:
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                break  # the line that was being written when the time was up
        return found
    finally:
        timer.cancel()
        child.kill()
        child.communicate()


def _with(survey: Survey, answers: list[dict[str, Any]]) -> Survey:
    signs = [list(orders) for orders in survey.signs]
    tails = [list(tail) for tail in survey.tails]
    values = dict(survey.values)
    intercepts, inverses = dict(survey.intercepts), dict(survey.inverses)
    for answer in answers:
        index = answer["index"]
        if answer["what"] == "inverse":
            inverses[index] = answer["text"]
            continue
        figure = Figure(answer["value"], True, 0.0, _decimal(answer["text"]))
        match answer["what"]:
            case "root":
                order = answer["order"]
                signs[index][order] = _replaced(signs[index][order], answer["near"], figure)
            case "value":
                values[index, answer["order"], _decimal(answer["at"])] = figure
            case "limit":
                end, order = answer["side"] > 0, answer["order"]
                tail = tails[end][order]
                if tail.limit is not None and _agree(tail.limit, figure):
                    tails[end][order] = replace(
                        tail, limit=figure, low=figure.value, high=figure.value
                    )
            case "intercept":
                intercepts[answer["side"]] = figure
    return replace(
        survey,
        signs=tuple(tuple(orders) for orders in signs),
        tails=(tuple(tails[0]), tuple(tails[1])),
        values=_measured_too(survey, values),
        intercepts=intercepts,
        inverses=inverses,
    )


def _decimal(text: str) -> str:
    """A fraction as a decimal number where that is shorter; other text as it is."""
    try:
        return exact(Fraction(text)).text
    except ValueError:
        return text


def _replaced(signs: Signs, near: float, figure: Figure) -> Signs:
    roots = tuple(figure if r.value == near and not r.exact else r for r in signs.roots)
    return replace(signs, roots=roots)


def _measured_too(
    survey: Survey, values: dict[tuple[int, int, str], Figure]
) -> dict[tuple[int, int, str], Figure]:
    """Values at the ends that contradict what was measured there are left out."""
    kept = {}
    for (index, order, text), figure in values.items():
        piece = survey.pieces[index]
        ends = {str(as_fraction(e)): s for e, s in ((piece.low, -1), (piece.high, 1))}
        if text in ends and math.isfinite((piece.low, piece.high)[ends[text] > 0].value):
            measured = survey.end(index, ends[text], order)
            if not _agree(measured, figure):
                continue
        kept[index, order, text] = figure
    return kept


def _agree(measured: Figure, figure: Figure) -> bool:
    if math.isinf(figure.value) or math.isinf(measured.value):
        return figure.value == measured.value
    allowed = measured.error + _AGREES * max(1.0, abs(figure.value))
    return abs(measured.value - figure.value) <= allowed
