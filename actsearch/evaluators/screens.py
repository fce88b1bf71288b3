"""Cheap checks before training: what is not a usable activation, and what was trained already.

All of them evaluate the candidate on fixed grids, without sympy, in well under a millisecond
each. A check returns a verdict, which carries the reason and the figure that decided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor

from ..primitives.analysis.gaussian import gaussian_points, moments_from
from ..primitives.expr import Expr, inputs, parameters
from ..primitives.layer_words import layer_words, reads_batch
from ..primitives.lowering.eager import value_and_gradients, value_and_slopes
from .layer_screens import layer_fingerprint, layer_screen
from .verdict import ACCEPTED, Reason, StaticLimits, Verdict

_FLAT = 1e-6


def static_screen(expr: Expr, limits: StaticLimits) -> Verdict:
    """Whether the candidate is finite, not affine, of bounded slope and sane in mean field.

    A function of u and v must depend on each of them, and not be affine in both together.
    Trainable parameters are at their initial values; a candidate that is a straight line there
    passes if it bends at a second setting, as max(x, beta*x) does, which starts at beta = 1.
    A formula with words of a layer is judged as one.
    """
    if layer_words(expr):
        if reads_batch(expr) and not limits.batch_statistics:
            return Verdict(Reason.BATCH, "reads other examples of the batch")
        return layer_screen(expr, limits)
    names = inputs(expr)
    if not names:
        return Verdict(Reason.CONSTANT, "reads no input")
    if names in (("u",), ("v",)):
        return Verdict(Reason.CONSTANT, f"reads {names[0]} alone of u and v")
    points, weights = gaussian_points(names)
    value, slopes = _samples(expr, moved=False, coarse=False, exchanged=False)
    slopes = slopes[: len(names)]
    largest = _largest(value, *slopes)
    if not math.isfinite(largest):
        return Verdict(Reason.NOT_FINITE, f"at {_first_bad(points, value, *slopes)}")
    wide = _far_out(expr, limits.widest)
    if not wide.accepted:
        return wide
    flat = _straightness(value, points, weights)
    if not flat.accepted:
        if not parameters(expr):
            return flat
        moved, _ = _samples(expr, moved=True, coarse=False, exchanged=False)
        if not _straightness(moved, points, weights).accepted:
            return flat
    if largest > limits.largest:
        within = ", ".join(f"|{name}|" for name in names)
        return Verdict(Reason.EXTREME, f"value or slope {largest:.3g} within {within} <= 10")
    chi = moments_from(value, slopes, weights).slope_after_gain
    if not limits.lowest_chi <= chi <= limits.highest_chi:
        return Verdict(Reason.MEAN_FIELD, f"chi_1 = {chi:.3g}")
    return ACCEPTED


def _far_out(expr: Expr, widest: float) -> Verdict:
    """Whether value and slopes are finite on the wide grid in float32 and bfloat16.

    Both are computed in float32, so one evaluation of two rows serves both: the points and
    parameters of the second row are rounded to bfloat16 before, value and slopes after.
    """
    points = _wide_points(inputs(expr), widest)
    initial = {
        p.name: _in_each_dtype(torch.tensor([p.initial], dtype=torch.float32))
        for p in parameters(expr)
    }
    value, slopes = value_and_slopes(expr, {**points, **initial})
    for row, dtype in enumerate(_WIDE_DTYPES):
        found = [tensor[row].to(dtype) for tensor in (value, *slopes)]
        if not math.isfinite(_largest(*found)):
            first = _first_bad({name: at[row] for name, at in points.items()}, *found)
            return Verdict(Reason.NOT_FINITE, f"at {first} in {str(dtype)[6:]}")
    return ACCEPTED


def _straightness(value: Tensor, points: Mapping[str, Tensor], weights: Tensor) -> Verdict:
    mean = float(weights @ value)
    spread = math.sqrt(float(weights @ (value - mean).square()))
    if spread <= _FLAT * abs(mean):
        return Verdict(Reason.CONSTANT, f"standard deviation {spread:.1e} under N(0, 1)")
    if len(points) == 2:
        side = math.isqrt(len(value))
        table = value.reshape(side, side)
        one = weights.reshape(side, side).sum(dim=0)
        for name, along in zip(points, (table, table.T), strict=True):
            change = math.sqrt(float(one @ (along - one @ along).square() @ one))
            if change <= _FLAT * spread:
                return Verdict(Reason.CONSTANT, f"changes by {change:.1e} with {name}")
    straight = mean + sum(float(weights @ (value * at)) * at for at in points.values())
    bend = math.sqrt(float(weights @ (value - straight).square()))
    if bend <= _FLAT * spread:
        return Verdict(Reason.AFFINE, f"departs from a straight line by {bend:.1e}")
    return ACCEPTED


class DuplicateScreen:
    """Remembers candidates by numeric fingerprint and recognises them in another spelling.

    Two candidates are the same if value and slope agree up to one output scale (of either sign)
    on |x| <= 10, at the initial parameters and at a second setting. The scale is divided out
    because the next layer's weights absorb it, and gain-corrected initialisation makes the two
    networks start out equal. A shift is kept: it changes how training starts.

    Args:
        tolerance: largest difference, relative to the function's root mean square.
    """

    def __init__(self, tolerance: float = 1e-6) -> None:
        self.tolerance = tolerance
        # Projections of equal fingerprints differ by no more than the tolerance, and by what
        # summation rounds: entries stay below 711, asinh of the largest float64.
        self._width = 2 * tolerance + 1e-9
        self._remembered: list[tuple[np.ndarray, str]] = []
        self._buckets: dict[tuple[int, int], list[int]] = {}

    def find(self, fingerprint: np.ndarray) -> str | None:
        """Name under which an equal fingerprint was first remembered, or None."""
        length, bucket = self._bucket(fingerprint)
        near = [
            place
            for other in (bucket - 1, bucket, bucket + 1)
            for place in self._buckets.get((length, other), ())
        ]
        for place in sorted(near):
            known, name = self._remembered[place]
            if np.abs(known - fingerprint).max() <= self.tolerance:
                return name
        return None

    def remember(self, fingerprint: np.ndarray, name: str) -> None:
        self._buckets.setdefault(self._bucket(fingerprint), []).append(len(self._remembered))
        self._remembered.append((fingerprint, name))

    def _bucket(self, fingerprint: np.ndarray) -> tuple[int, int]:
        """Length, and where the projection on a fixed direction of 1-norm 1 lies."""
        length = len(fingerprint)
        return length, math.floor(_direction(length) @ fingerprint / self._width)


@cache
def _direction(length: int) -> np.ndarray:
    return np.random.default_rng(0).choice([-1.0, 1.0], length) / length


_SLOPE_WEIGHT = 0.1
_PLANE_NODES = 2


def fingerprint(expr: Expr) -> np.ndarray:
    """Values and slopes on the quadrature points at two parameter settings, scale divided out.

    A function of u and v is taken at 256 pairs, and is the same as that with u and v exchanged,
    which are rows of the weights before them: the input towards whose positive side the function
    is the larger counts as the first.

    Returns:
        float64 vector, the same length for every expression of one input, and for every one of
        two. Large entries are compressed, so that differences are relative where the function is
        large.
    """
    if layer_words(expr):
        return layer_fingerprint(expr)
    names = inputs(expr)
    coarse = len(names) == 2
    _, weights = gaussian_points(names, _PLANE_NODES)
    exchanged = coarse and _second_leads(expr, weights)
    parts: list[Tensor] = []
    for moved in (False, True):
        if moved and not parameters(expr):
            parts += parts
            break
        value, slopes = _samples(expr, moved=moved, coarse=coarse, exchanged=exchanged)
        ordered = slopes[: len(names)][:: -1 if exchanged else 1]
        parts += [value, *(slope * _SLOPE_WEIGHT for slope in ordered)]
    joined = torch.cat(parts)
    scale = float((weights @ parts[0].square()).sqrt())
    strongest = parts[0][int(parts[0].abs().argmax())]
    joined = joined / (math.copysign(scale, float(strongest)) or 1.0)
    # torch.asinh takes 108 us for the 1,280 entries, this 3.
    return np.arcsinh(torch.nan_to_num(joined).numpy())


def _second_leads(expr: Expr, weights: Tensor) -> bool:
    # Slopes would not do: those of relu(u)*v by u and by v are equal in distribution.
    points, _ = gaussian_points(inputs(expr), _PLANE_NODES)
    value, _ = _samples(expr, moved=False, coarse=True, exchanged=False)
    first, second = (float(weights @ (value.square() * (at / 2).exp())) for at in points.values())
    return second > first * (1 + 1e-9)


# The screen and the fingerprint read the same numbers, one right after the other.
@lru_cache(maxsize=64)
def _samples(
    expr: Expr, *, moved: bool, coarse: bool, exchanged: bool
) -> tuple[Tensor, list[Tensor]]:
    """Value, and slopes by the inputs and then the parameters, on `gaussian_points`; float64.

    Args:
        moved: at the second setting of the parameters; without slopes by them.
        coarse: at the fewer pairs of points that make a fingerprint of two inputs.
        exchanged: each of two inputs takes the other's points.
    """
    names = inputs(expr)
    points, weights = gaussian_points(names, _PLANE_NODES) if coarse else gaussian_points(names)
    if exchanged:
        points = dict(zip(points, list(points.values())[::-1], strict=True))
    if moved:
        return value_and_slopes(expr, {**points, **second_setting(expr, weights)})
    return value_and_gradients(expr, points)


def second_setting(expr: Expr, like: Tensor) -> dict[str, Tensor]:
    """Values of the trainable parameters far from their initial ones, each another.

    Their signs differ too: max(beta*x, relu(x)) is relu for every beta in [0, 1]. Which gets
    which value follows from how strongly it acts, so that another spelling with the parameters
    in another order gets the same function.
    """
    ordered = list(parameters(expr))
    if len(ordered) > 1:
        _, weights = gaussian_points(inputs(expr))
        _, slopes = _samples(expr, moved=False, coarse=False, exchanged=False)
        by = zip(ordered, slopes[len(inputs(expr)) :], strict=True)
        influence = {parameter: float(weights @ slope.square()) for parameter, slope in by}
        ordered.sort(key=lambda parameter: influence[parameter])
    return {
        parameter.name: like.new_tensor(-0.6 * parameter.initial - 0.11 * (number + 1))
        for number, parameter in enumerate(ordered)
    }


def _largest(*tensors: Tensor) -> float:
    """inf or nan if anything is not finite."""
    return float(torch.stack([tensor.abs().max() for tensor in tensors]).max())


def _first_bad(points: Mapping[str, Tensor], *tensors: Tensor) -> str:
    """The point next to the origin where something is not finite, as `u = 1, v = 0`."""
    bad = ~torch.stack([torch.isfinite(tensor) for tensor in tensors]).all(dim=0)
    distance = torch.stack([at[bad].abs() for at in points.values()]).amax(dim=0)
    nearest = int(distance.argmin())
    return ", ".join(f"{name} = {float(at[bad][nearest]):g}" for name, at in points.items())


_WIDE_DTYPES = (torch.float32, torch.bfloat16)


@cache
def _wide_points(names: tuple[str, ...], widest: float) -> Mapping[str, Tensor]:
    """Points from the origin to `widest` in equal ratios, or pairs of sixteen times fewer.

    Float32, one row for each of `_WIDE_DTYPES`.
    """
    positive = torch.logspace(
        -4, math.log10(widest), 65 if len(names) == 1 else 17, dtype=torch.float64
    )
    zero = torch.zeros(1, dtype=torch.float64)
    axis = torch.cat([-positive.flip(0), zero, positive]).float()
    grids = torch.meshgrid(*[axis] * len(names), indexing="ij")
    return {name: _in_each_dtype(grid.flatten()) for name, grid in zip(names, grids, strict=True)}


def _in_each_dtype(numbers: Tensor) -> Tensor:
    return torch.stack([numbers.to(dtype).float() for dtype in _WIDE_DTYPES])
