"""Cheap checks before training: what is not a usable activation, and what was trained already.

All of them evaluate the candidate on fixed grids, without sympy, in well under a millisecond
each. A check returns a verdict, which carries the reason and the figure that decided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ..primitives.analysis.gaussian import moments_from, quadrature
from ..primitives.differentiate import gradients
from ..primitives.expr import Expr, inputs, parameters
from ..primitives.lowering.eager import evaluate, value_and_slopes


class Reason(StrEnum):
    """Why a candidate does not enter training."""

    CONSTANT = "constant"
    AFFINE = "affine"
    NOT_FINITE = "not finite"
    EXTREME = "extreme"
    MEAN_FIELD = "mean field"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Verdict:
    """Accepted (no reason), or rejected for a reason, with the figure that decided.

    `known` names the known activation that an accepted candidate equals.
    """

    reason: Reason | None = None
    figure: str = ""
    known: str = ""

    @property
    def accepted(self) -> bool:
        return self.reason is None


ACCEPTED = Verdict()


@dataclass(frozen=True)
class StaticLimits:
    """Bounds of the static screen.

    Args:
        largest: bound on |f| and |f'| for |x| <= 10.
        widest: f and f' must be finite up to this |x|, in float32 and bfloat16.
        lowest_chi, highest_chi: bounds on chi_1 = E f'^2 / E f^2 under N(0, 1), the factor by
            which a layer with gain-corrected weights changes the variance of gradients. ReLU has
            1, tanh 1.18, sigmoid 0.15.
    """

    largest: float = 1e3
    widest: float = 1e4
    lowest_chi: float = 0.05
    highest_chi: float = 20.0


_FLAT = 1e-6


def static_screen(expr: Expr, limits: StaticLimits) -> Verdict:
    """Whether the candidate is finite, not affine, of bounded slope and sane in mean field.

    Trainable parameters are at their initial values; a candidate that is a straight line there
    passes if it bends at a second setting, as max(x, beta*x) does, which starts at beta = 1.
    """
    if not inputs(expr):
        return Verdict(Reason.CONSTANT, "reads no input")
    points, weights = quadrature()
    value, (slope,) = value_and_slopes(expr, {"x": points})
    largest = _largest(value, slope)
    if not math.isfinite(largest):
        return Verdict(Reason.NOT_FINITE, f"at x = {_first_bad(points, value, slope):g}")
    for dtype in (torch.float32, torch.bfloat16):
        wide = _wide_grid(limits.widest).to(dtype)
        wide_value, (wide_slope,) = value_and_slopes(expr, {"x": wide})
        if not math.isfinite(_largest(wide_value, wide_slope)):
            at = _first_bad(wide, wide_value, wide_slope)
            return Verdict(Reason.NOT_FINITE, f"at x = {at:g} in {str(dtype)[6:]}")
    flat = _straightness(value, points, weights)
    if not flat.accepted:
        if not parameters(expr):
            return flat
        moved, _ = value_and_slopes(expr, {"x": points, **second_setting(expr, points)})
        if not _straightness(moved, points, weights).accepted:
            return flat
    if largest > limits.largest:
        return Verdict(Reason.EXTREME, f"value or slope {largest:.3g} within |x| <= 10")
    chi = moments_from(value, slope, weights).slope_after_gain
    if not limits.lowest_chi <= chi <= limits.highest_chi:
        return Verdict(Reason.MEAN_FIELD, f"chi_1 = {chi:.3g}")
    return ACCEPTED


def _straightness(value: Tensor, points: Tensor, weights: Tensor) -> Verdict:
    mean = float(weights @ value)
    spread = math.sqrt(float(weights @ (value - mean).square()))
    if spread <= _FLAT * abs(mean):
        return Verdict(Reason.CONSTANT, f"standard deviation {spread:.1e} under N(0, 1)")
    straight = mean + float(weights @ (value * points)) * points
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
        self._fingerprints = np.empty((64, 0))
        self._names: list[str] = []

    def find(self, fingerprint: np.ndarray) -> str | None:
        """Name under which an equal fingerprint was remembered, or None."""
        known = self._fingerprints[: len(self._names)]
        if not len(known):
            return None
        # Most differ at once; a few columns decide, the rest are compared for what is left.
        near = np.flatnonzero(
            np.abs(known[:, ::_STRIDE] - fingerprint[::_STRIDE]).max(axis=1) <= self.tolerance
        )
        for row in near:
            if np.abs(known[row] - fingerprint).max() <= self.tolerance:
                return self._names[row]
        return None

    def remember(self, fingerprint: np.ndarray, name: str) -> None:
        if self._fingerprints.shape[1] != len(fingerprint):
            self._fingerprints = np.empty((64, len(fingerprint)))
        if len(self._names) == len(self._fingerprints):
            self._fingerprints = np.concatenate([self._fingerprints, self._fingerprints])
        self._fingerprints[len(self._names)] = fingerprint
        self._names.append(name)


_STRIDE = 97
_SLOPE_WEIGHT = 0.1


def fingerprint(expr: Expr) -> np.ndarray:
    """Values and slopes on the quadrature points at two parameter settings, scale divided out.

    Returns:
        float64 vector, the same length for every expression. Large entries are compressed, so
        that differences are relative where the function is large.
    """
    points, weights = quadrature()
    parts: list[Tensor] = []
    for setting in ({}, second_setting(expr, points)):
        if parts and not setting:
            parts += parts
            break
        value, (slope,) = value_and_slopes(expr, {"x": points, **setting})
        parts += [value, slope * _SLOPE_WEIGHT]
    joined = torch.cat(parts)
    scale = float((weights @ parts[0].square()).sqrt())
    strongest = parts[0][int(parts[0].abs().argmax())]
    joined = joined / (math.copysign(scale, float(strongest)) or 1.0)
    return torch.asinh(torch.nan_to_num(joined)).numpy()


def second_setting(expr: Expr, like: Tensor) -> dict[str, Tensor]:
    """Values of the trainable parameters far from their initial ones, each another.

    Their signs differ too: max(beta*x, relu(x)) is relu for every beta in [0, 1]. Which gets
    which value follows from how strongly it acts, so that another spelling with the parameters
    in another order gets the same function.
    """
    ordered = list(parameters(expr))
    if len(ordered) > 1:
        by = gradients(expr)
        points, weights = quadrature()
        influence = {p: weights @ evaluate(by[p], {"x": points}).square() for p in ordered}
        ordered.sort(key=lambda parameter: float(influence[parameter]))
    return {
        parameter.name: like.new_tensor(-0.6 * parameter.initial - 0.11 * (number + 1))
        for number, parameter in enumerate(ordered)
    }


def _largest(value: Tensor, slope: Tensor) -> float:
    """inf or nan if anything is not finite."""
    return float(torch.maximum(value.abs().max(), slope.abs().max()))


def _first_bad(points: Tensor, value: Tensor, slope: Tensor) -> float:
    bad = ~(torch.isfinite(value) & torch.isfinite(slope))
    at = points[bad]
    return float(at[at.abs().argmin()])


@cache
def _wide_grid(widest: float) -> Tensor:
    positive = torch.logspace(-4, math.log10(widest), 65, dtype=torch.float64)
    return torch.cat([-positive.flip(0), torch.zeros(1, dtype=torch.float64), positive]).float()
