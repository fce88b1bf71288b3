"""Which known activations a function is near to, up to scales and shifts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from ..expr import Expr, inputs
from ..lowering.eager import evaluate, value_and_slopes
from ..zoo import known_activations
from .figure import Figure, at_initial
from .gaussian import quadrature

EQUAL = 1e-6
"""A distance below it counts as none: what a search for the best scale leaves of one."""
_SAME = 1e-9
# No kink of a known activation at 0 is among them; they tell a clipped function from itself.
_FAR = (-1e3, -200.0, -60.0, -15.0, -1.5, -0.003, 0.003, 0.7, 15.0, 60.0, 200.0, 1e3)
# The plainest first: of two that do as well, it is the one that is meant.
_SCALES = (1.0, 2.0, 0.5, 1.702, -1.0, -2.0, -0.5)
_SHIFTS = (0.0, 1.0, -1.0)
_REFINED = 8
# Beyond, a corner is all that is left of any function.
_WIDEST, _FARTHEST = 4.0, 3.0


@dataclass(frozen=True)
class Relative:
    """A known activation g near a function f, f(x) ~ factor g(scale x + shift) + slope x + offset.

    Args:
        name: of the known activation.
        distance: root mean square of what is left, under standard normal x, as a share of the
            deviation of f from its best line; 0 for the same function, 1 for nothing in common.
    """

    name: str
    distance: Figure
    factor: float
    scale: float
    shift: float
    slope: float
    offset: float


@dataclass(frozen=True)
class Relatives:
    """The relatives of a function in the zoo.

    Args:
        equal: names of those that are the same function.
        equal_up_to_scale: those that become it by scales and shifts of input and output, and by
            adding a line.
        nearest: the others, nearest first.
    """

    equal: tuple[str, ...]
    equal_up_to_scale: tuple[Relative, ...]
    nearest: tuple[Relative, ...]


def relatives_of(expr: Expr, count: int = 5) -> Relatives:
    """The nearest known activations of one input.

    A line may be added, since the layer after a function or a connection around it can make it; so
    relu and leaky_relu are equal up to scale. Trainable parameters count at their initial values.
    Of known activations that have one value the first stands for all among the others, which are
    compared for |x| <= 10; those that are `equal` have one slope too, and agree further out.

    Args:
        count: of the nearest.

    Raises:
        ValueError: the expression reads other inputs than x.
    """
    if inputs(expr) not in ((), ("x",)):
        raise ValueError(
            f"'{expr}' reads {', '.join(inputs(expr))}; relatives are of functions of x"
        )
    values = _values(at_initial(expr))
    same = _equal(at_initial(expr), values)
    if values is None or _bend(values) == 0:
        return Relatives(same, (), ())
    names, table = _table()
    misfit = _misfits(table.reshape(-1, table.shape[-1]), values).reshape(table.shape[:-1])
    coarse = misfit.reshape(len(names), -1).min(axis=1)
    found = []
    for row in np.argsort(coarse, kind="stable")[: max(_REFINED, 3 * count)]:
        as_good = misfit[row].ravel() <= misfit[row].min() + EQUAL / 10
        start = np.unravel_index(int(as_good.argmax()), misfit[row].shape)
        found.append(_refined(names[row], values, _SCALES[start[0]], _SHIFTS[start[1]]))
    found.sort(key=lambda relative: relative.distance.value)
    others = [relative for relative in found if relative.name not in same]
    scaled = tuple(r for r in others if r.distance.value <= EQUAL)
    nearest = tuple(r for r in others if r.distance.value > EQUAL)
    return Relatives(same, scaled, nearest[:count])


def _same(values: np.ndarray | None) -> tuple[str, ...]:
    """Names of the known activations with these values."""
    if values is None:
        return ()
    names, rows = _plain_values()
    weights = _weights()
    scale = float(np.sqrt(weights @ values**2)) or 1.0
    apart = np.sqrt((rows - values) ** 2 @ weights)
    return tuple(names[row] for row in np.flatnonzero(apart <= _SAME * scale))


def _equal(expr: Expr, values: np.ndarray | None) -> tuple[str, ...]:
    """Names of the known activations with these values and, far out too, those of the function and
    its slope."""
    ours = _far(expr)
    return tuple(
        name
        for name in _same(values)
        if np.allclose(_far(_known()[name]), ours, rtol=_SAME, atol=_SAME, equal_nan=True)
    )


def _far(expr: Expr) -> np.ndarray:
    value, slopes = value_and_slopes(expr, {"x": torch.tensor(_FAR, dtype=torch.float64)})
    return np.stack([part.expand(len(_FAR)).numpy() for part in (value, *slopes)])


def _refined(name: str, values: np.ndarray, scale: float, shift: float) -> Relative:
    """The best scale and shift near the given ones, and the line that goes with them."""
    known = _known()[name]

    def misfit(place: np.ndarray) -> float:
        theirs = _values(known, float(place[0]), float(place[1]))
        return 1.0 if theirs is None else float(_misfits(theirs[None], values)[0])

    best = minimize(
        misfit,
        np.array([scale, shift]),
        method="Nelder-Mead",
        bounds=[sorted((scale / _WIDEST, scale * _WIDEST)), (-_FARTHEST, _FARTHEST)],
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 200},
    )
    # A round number that does as well is the one that is meant.
    near_zero = np.where(np.abs(best.x) < EQUAL, 0.0, best.x)
    places = [near_zero, np.array([scale, shift]), np.round(best.x, 3)]
    at = min(places, key=lambda place: (misfit(place) > best.fun + EQUAL / 2, -_zeros(place)))
    theirs = _values(known, float(at[0]), float(at[1]))
    assert theirs is not None
    factor, slope, offset = _line(theirs, values)
    distance = Figure(misfit(at), error=EQUAL)
    return Relative(name, distance, factor, float(at[0]), float(at[1]), slope, offset)


def _zeros(place: np.ndarray) -> int:
    """How many of the digits are zeros: roundness."""
    return sum(f"{value:.9f}".count("0") for value in place)


def _misfits(theirs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Distance of each row of (M, N) from values (N,), both without their best lines.

    1 for a row that is a line or not finite.
    """
    ours = _without_line(values[None])[0]
    rest = _without_line(np.where(np.isfinite(theirs), theirs, 0.0))
    weights = _weights()
    power = (rest**2) @ weights
    cross = rest @ (weights * ours)
    total = float(weights @ ours**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = np.where(power > 1e-20, cross**2 / (power * total), 0.0)
    coarse = np.sqrt(np.clip(1 - shared, 0, 1))
    # 1 - shared has lost half its digits where the two are nearly the same.
    for row in np.flatnonzero(coarse < 1e-3):
        left = ours - cross[row] / power[row] * rest[row]
        coarse[row] = np.sqrt(weights @ left**2 / total)
    return np.where(np.isfinite(theirs).all(axis=-1), coarse, 1.0)


def _line(theirs: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """factor, slope and offset of the best fit of values by factor theirs + slope x + offset."""
    points = _points()
    root = np.sqrt(_weights())
    columns = np.stack([theirs, points, np.ones_like(points)], axis=1) * root[:, None]
    fitted = np.linalg.lstsq(columns, values * root, rcond=None)[0]
    least = _SAME * float(np.abs(fitted).max())
    factor, slope, offset = (float(value) if abs(value) > least else 0.0 for value in fitted)
    return factor, slope, offset


def _without_line(rows: np.ndarray) -> np.ndarray:
    points, weights = _points(), _weights()
    mass = weights.sum()
    mean = rows @ weights / mass
    slope = rows @ (weights * points) / float(weights @ points**2)
    return rows - mean[..., None] - slope[..., None] * points


def _bend(values: np.ndarray) -> float:
    rest = _without_line(values[None])[0]
    bend = float(np.sqrt(_weights() @ rest**2))
    return bend if bend > 1e-9 * (1 + float(np.sqrt(_weights() @ values**2))) else 0.0


@cache
def _known() -> dict[str, Expr]:
    return {
        name: at_initial(known.expr)
        for name, known in known_activations().items()
        if inputs(known.expr) == ("x",)
    }


@cache
def _table() -> tuple[tuple[str, ...], np.ndarray]:
    """Names of different functions, and their values (names, scales, shifts, points)."""
    names, rows = _plain_values()
    first = [name for name, values in zip(names, rows, strict=True) if _same(values)[0] == name]
    points = quadrature()[0]
    x = torch.stack([torch.stack([k * points + shift for shift in _SHIFTS]) for k in _SCALES])
    values = [evaluate(_known()[name], {"x": x}).expand(x.shape).numpy() for name in first]
    return tuple(first), np.stack(values)


@cache
def _plain_values() -> tuple[tuple[str, ...], np.ndarray]:
    """Names of all that are finite on the points, and their values (names, points)."""
    found = {name: _values(expr) for name, expr in _known().items()}
    finite = {name: values for name, values in found.items() if values is not None}
    return tuple(finite), np.stack(list(finite.values()))


def _values(expr: Expr, scale: float = 1.0, shift: float = 0.0) -> np.ndarray | None:
    """Values at the points; None if one is not finite."""
    points: Tensor = scale * quadrature()[0] + shift
    values = evaluate(expr, {"x": points}).expand(len(points))
    return values.numpy() if bool(values.isfinite().all()) else None


@cache
def _points() -> np.ndarray:
    return np.asarray(quadrature()[0])


@cache
def _weights() -> np.ndarray:
    return np.asarray(quadrature()[1])
