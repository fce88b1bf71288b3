"""Moments of a function under standard normal inputs, independent if there are two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ..expr import Expr, inputs
from ..lowering.eager import value_and_slopes

RANGE = 10.0
_PANELS, _NODES = 20, 16
# Of each axis of a plane, 4,096 points in all: moments of smooth gates are right to 1e-8, also of
# those with kinks where an input is 0; a tie of u and v costs a hundredth of chi_1.
_PLANE_EDGES, _PLANE_NODES = (0, 1, 3, 6, 10), 8


@dataclass(frozen=True)
class GaussianMoments:
    """E f(z), E f(z)^2 and E |grad f(z)|^2 for z ~ N(0, I), trainable parameters at their start."""

    mean: float
    second: float
    slope_second: float

    @property
    def gain(self) -> float:
        """1 / sqrt(E f^2): scales weights so that the second moment is kept from layer to layer.

        inf where E f^2 is 0.
        """
        return 1 / math.sqrt(self.second) if self.second > 0 else math.inf

    @property
    def slope_after_gain(self) -> float:
        """chi_1 = E |grad f|^2 / E f^2, the growth of gradient variance per layer after the gain.

        With two inputs a layer of n outputs a_i = f(u_i, v_i) has 2n rows of weights of variance
        1 / (n E f^2). Let q be E (dL/du)^2 + E (dL/dv)^2. One layer further back, dL/da_i is a sum
        over the 2n rows, n of each kind, so E (dL/da)^2 = q / E f^2; and dL/du = f_u dL/da,
        dL/dv = f_v dL/da. The new q is q (E f_u^2 + E f_v^2) / E f^2: a sum over the inputs, not
        their mean. u v has 2, and f = u has 1, as x has.
        """
        return self.slope_second / self.second if self.second > 0 else math.inf


@cache
def quadrature() -> tuple[Tensor, Tensor]:
    """Points in [-10, 10] and weights that integrate against the normal density, float64.

    Gauss-Legendre on twenty panels with integer ends, so kinks at integers cost no accuracy.
    The mass outside is 2e-23.
    """
    return _rule(np.linspace(-RANGE, RANGE, _PANELS + 1), _NODES)


@cache
def gaussian_points(
    names: tuple[str, ...], nodes: int = _PLANE_NODES
) -> tuple[Mapping[str, Tensor], Tensor]:
    """Points in [-10, 10] for each input, and their weights under independent standard normals.

    One input has the points of `quadrature`; two have the products of a smaller rule with itself,
    the first input's changing slowest.

    Args:
        names: of the inputs, one or two.
        nodes: of each of eight panels of an axis, if there are two inputs.
    """
    if len(names) == 1:
        points, weights = quadrature()
        return {names[0]: points}, weights
    half = np.array(_PLANE_EDGES, dtype=np.float64)
    points, weights = _rule(np.concatenate([-half[:0:-1], half]), nodes)
    grids = torch.meshgrid(points, points, indexing="ij")
    plane = {name: grid.flatten() for name, grid in zip(names, grids, strict=True)}
    return plane, torch.outer(weights, weights).flatten()


def _rule(edges: np.ndarray, nodes: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre on the panels between the edges."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    widths = np.diff(edges)[:, None]
    points = (edges[:-1, None] + widths * (places[None, :] + 1) / 2).ravel()
    density = np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)
    mass = (weights[None, :] * widths / 2).ravel() * density
    return torch.from_numpy(points), torch.from_numpy(mass)


def gaussian_moments(expr: Expr) -> GaussianMoments:
    """Moments of an expression of one input, to about 1e-10 if it is smooth between integers; of
    one of two, to about 1e-6 if it is smooth but for kinks where an input is 0."""
    points, weights = gaussian_points(inputs(expr))
    value, slopes = value_and_slopes(expr, points)
    return moments_from(value, slopes, weights)


def moments_from(value: Tensor, slopes: Sequence[Tensor], weights: Tensor) -> GaussianMoments:
    """Moments of the values and slopes at points with these weights."""
    return GaussianMoments(
        mean=float(weights @ value),
        second=float(weights @ value.square()),
        slope_second=sum(float(weights @ slope.square()) for slope in slopes),
    )
