"""Where a function of one number is smooth: panels on which it is nearly a polynomial.

Kinks and jumps are found from values alone, so that an operator needs to say nothing of its own.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from ..expr import Expr
from .pointwise import Array, value_and_slope

NODES = 16
NARROW = 1e-12
"""Width, relative to |x| where that is above 1, at which a panel is split no further."""
_MOST_PANELS = 4096
_LAST_HALVINGS = 16
_SIGNS = (-1.0) ** np.arange(NODES)
_START = np.concatenate(
    [
        np.arange(-128, -32, 16),
        np.arange(-32, -16, 4),
        np.arange(-16, 17, 1),
        np.arange(20, 33, 4),
        np.arange(48, 129, 16),
    ]
).astype(np.float64)


@lru_cache(maxsize=128)
def panels(expr: Expr) -> Array:
    """Ends of panels of [-128, 128] on each of which f and f' are polynomials of degree 15 to
    about nine digits.

    Kinks and jumps are ends of panels; a singularity has ever narrower panels around it,
    down to `NARROW`. There are at most some 4,096, spent from 0 outwards.
    """
    edges = _refined(expr, _START)
    kinks = _kinks(expr, edges)
    if len(kinks):
        # With the kinks as ends, graded panels around them are needed at singularities alone.
        edges = _refined(expr, np.union1d(_START, kinks))
    edges.setflags(write=False)
    return edges


def is_narrow(edges: Array) -> np.ndarray:
    """Which of the panels between the ends are as narrow as they get."""
    return np.diff(edges) <= NARROW * np.maximum(1, np.abs(edges[:-1]))


@cache
def legendre(nodes: int) -> tuple[Array, Array]:
    """Gauss-Legendre places and weights in [0, 1]."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return (places + 1) / 2, weights / 2


def _kinks(expr: Expr, edges: Array) -> Array:
    """A place in each run of narrow panels: the jump of f or f' to the last digit if there is one,
    else the middle, or the round number near it."""
    narrow = np.concatenate([[False], is_narrow(edges), [False]])
    turns = np.flatnonzero(np.diff(narrow.astype(int)))
    low, high = edges[turns[::2]], edges[turns[1::2]]
    width = high - low
    before, first, last, after = (
        np.stack(value_and_slope(expr, x)) for x in (low - width, low, high, high + width)
    )
    with np.errstate(invalid="ignore"):
        elsewhere = np.abs(first - before) + np.abs(after - last)
        jumps = elsewhere < 1e-3 * np.abs(last - first)
    found, exact = (low + high) / 2, jumps.any(0)
    near = np.round(found, 9)
    found = np.where(np.abs(found - near) <= 2 * NARROW * np.maximum(1, np.abs(near)), near, found)
    which, runs = np.where(jumps[0], 0, 1), np.arange(len(low))
    for _ in range(_LAST_HALVINGS):
        middle = (low + high) / 2
        at = np.stack(value_and_slope(expr, middle))
        with np.errstate(invalid="ignore"):
            left = (np.abs(at - first) < np.abs(at - last))[which, runs]
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return np.where(exact, high, found) + 0.0


def _refined(expr: Expr, edges: Array) -> Array:
    low, high = edges[:-1], edges[1:]
    done: list[Array] = []
    finished, floors = 0, np.zeros((2, 1))
    while len(low):
        points = _nodes_and_ends(low, high)
        value, slope = value_and_slope(expr, points.ravel())
        samples = np.stack([value, slope]).reshape(2, *points.shape)
        if not done:
            floors = _floors(samples, points)
        narrow = high - low <= NARROW * np.maximum(1, np.abs(low))
        # Points are rounded, and so is what depends on them: most where f is steep.
        blur = 8 * np.finfo(np.float64).eps * np.abs(points).max(1) / (high - low)
        split = ~narrow & ~_are_smooth(samples, floors, blur)
        done.append(low[~split])
        finished += int((~split).sum())
        low, high = low[split], high[split]
        room = max(0, (_MOST_PANELS - finished) // 2)
        if len(low) > room:
            order = np.argsort(np.abs(low), kind="stable")
            done.append(low[order[room:]])
            finished += len(low) - room
            low, high = low[order[:room]], high[order[:room]]
        middle = (low + high) / 2
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    return np.append(np.sort(np.concatenate(done)), edges[-1])


def _nodes_and_ends(low: Array, high: Array) -> Array:
    """Points of each panel; the outer ones as near to the ends as can be, since a jump between
    an end and the first node is not seen by the nodes."""
    places, _ = legendre(NODES)
    nodes = low[:, None] + (high - low)[:, None] * places
    inset = 8 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high))
    return np.column_stack([low + inset, nodes, high - inset])


def _floors(samples: Array, points: Array) -> Array:
    """Rounding of f and f' in the middle of the range: smaller changes say nothing."""
    middle = np.abs(samples[:, np.abs(points) < 4])
    sizes = np.max(middle, axis=1, initial=0, where=np.isfinite(middle))
    floors: Array = 1e-13 * sizes[:, None]
    return floors


def _are_smooth(samples: Array, floors: Array, blur: Array) -> np.ndarray:
    """Of each panel, whether the last Legendre coefficients are small and the polynomial is right
    at the ends, or nothing is finite."""
    finite = np.isfinite(samples)
    with np.errstate(invalid="ignore", over="ignore"):
        coefficients = samples[..., 1:-1] @ _to_coefficients()
        tail = np.abs(coefficients[..., -3:]).max(-1)
        ends = np.stack([coefficients @ _SIGNS, coefficients.sum(-1)], axis=-1)
        misses = np.abs(ends - samples[..., [0, -1]]).max(-1)
        size, rounding = np.abs(samples).max(-1), floors + blur * np.ptp(samples, axis=-1)
        small = (tail <= 1e-9 * size + rounding) & (misses <= 1e-7 * size + 100 * rounding)
    smooth: np.ndarray = np.all(~finite.any(-1) | (small & finite.all(-1)), axis=0)
    return smooth


@cache
def _to_coefficients() -> Array:
    """From values at the nodes to Legendre coefficients, by multiplication from the right."""
    places, weights = np.polynomial.legendre.leggauss(NODES)
    degrees = np.arange(NODES)
    basis = np.polynomial.legendre.legvander(places, NODES - 1)
    matrix: Array = basis * weights[:, None] * (degrees + 0.5)
    return matrix
