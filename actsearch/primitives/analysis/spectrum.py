"""What a function makes of a pure tone: DC, harmonics, leakage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..expr import Expr
from .expectation import FINE_NODES
from .figure import Figure
from .panels import NODES, legendre, panels
from .pointwise import Array, function_of_x, value_and_slope

HARMONICS = 16
LARGEST_AMPLITUDE = 128.0
_SEGMENTS = 16
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Spectrum:
    """Of f(A cos t) = dc + sum of harmonics[n - 1] cos(n t); all None or empty where the power is
    not finite.

    Args:
        dc: mean over a period.
        harmonics: amplitudes at 1, 2, ..., 16 times the frequency of the tone, with sign.
        power: mean square over a period, of all harmonics and the DC.
        leakage: share of the power outside of the input's frequency, as what "Fourier Position
            Embedding" says nonlinearities do to a tone; 1/2 of ReLU. None where the power is 0.
        leakage_without_dc: the same once the mean is taken off, as "DC is all you need" does;
            None where nothing is left.
    """

    dc: Figure | None
    harmonics: tuple[Figure, ...]
    power: Figure | None
    leakage: Figure | None
    leakage_without_dc: Figure | None


def spectrum_of(expr: Expr, amplitude: float = 1.0) -> Spectrum:
    """The spectrum of f(amplitude cos t), trainable parameters at their start.

    f(A cos t) is even in t, so there are no sines, and the amplitudes are Chebyshev coefficients
    of f(A x). They are integrated between the kinks, with the error of two rules.

    Raises:
        ValueError: the expression does not read x alone, or reads a whole tensor; the amplitude is
            not above 0 and at most 128.
    """
    expr = function_of_x(expr)
    if not 0 < amplitude <= LARGEST_AMPLITUDE:
        raise ValueError(f"amplitude {amplitude} is not above 0 and at most 128")
    rough, fine = (_integrals(expr, amplitude, nodes) for nodes in (NODES, FINE_NODES))
    with np.errstate(invalid="ignore"):
        errors = np.abs(fine - rough)
        errors += _ROUNDING * np.where(np.arange(len(fine)) <= HARMONICS, fine[-1] ** 0.5, fine[-1])
    power = Figure(float(fine[-1]), error=float(errors[-1]))
    # At a pole the two rules differ by as much as there is.
    if not np.isfinite(errors).all() or power.error > 1e-3 * power.value:
        return Spectrum(None, (), None, None, None)
    dc, *harmonics = (
        Figure(float(value), error=float(error))
        for value, error in zip(fine[:-1], errors[:-1], strict=True)
    )
    tone = Figure(harmonics[0].value ** 2 / 2, error=abs(harmonics[0].value) * harmonics[0].error)
    moving = Figure(
        max(0.0, power.value - dc.value**2), error=power.error + 2 * abs(dc.value) * dc.error
    )
    return Spectrum(dc, tuple(harmonics), power, _outside(tone, power), _outside(tone, moving))


def _integrals(expr: Expr, amplitude: float, nodes: int) -> Array:
    """DC, harmonics and power: means over half a period."""
    inside = panels(expr) / amplitude
    kinks = np.arccos(inside[np.abs(inside) < 1])
    edges = np.union1d(np.linspace(0, math.pi, _SEGMENTS + 1), kinks)
    places, weights = legendre(nodes)
    widths = np.diff(edges)[:, None]
    angles = (edges[:-1, None] + widths * places).ravel()
    shares = (weights * widths).ravel() / math.pi
    value, _ = value_and_slope(expr, amplitude * np.cos(angles))
    orders = np.arange(HARMONICS + 1)
    with np.errstate(invalid="ignore", over="ignore"):
        waves = np.cos(orders[:, None] * angles) @ (shares * value)
        waves[1:] *= 2
        return np.append(waves, shares @ value**2)


def _outside(tone: Figure, power: Figure) -> Figure | None:
    if power.value <= power.error or power.value <= 0:
        return None
    share = tone.value / power.value
    error = (tone.error + share * power.error) / power.value
    return Figure(min(1.0, max(0.0, 1 - share)), error=error + _ROUNDING)
