"""What a function does to signals and gradients of a wide network at its start."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..expr import Expr
from .dual_activation import CORRELATIONS, dual_activation_of, kernel_class, kernel_order
from .edge_of_chaos import CriticalPoint, edge_of_chaos
from .expectation import FINE_NODES, compare, samples
from .figure import Figure
from .gain_conventions import Gain, gains_by_convention
from .pointwise import function_of_x, slope_at_zero
from .self_normalising import FixedPoint, fixed_point_of

_SHOWN = 10


@dataclass(frozen=True)
class MeanField:
    """Figures of f(z), z ~ N(0, 1); each None where it does not exist.

    Args:
        mean: E f.
        second: E f^2.
        variance: Var f, the latent variance of the GoLU paper, arXiv:2502.03654.
        slope_second: E f'^2, of the slopes that training uses.
        slope_at_zero: f'(0); None at a kink.
        gains: by convention.
        fixed_point: of the self-normalising map.
        chi_1: growth of gradient variance per layer with the forward gain and no biases,
            E f'^2/E f^2.
        edge_of_chaos: pairs of variances, of weights (times inputs) and of biases, with chi_1 = 1.
        correlation_map: pairs of a correlation of pre-activations and that of activations,
            E f(u) f(v)/E f^2.
        hermite: first ten normalised Hermite coefficients, E f h_k/sqrt(E f^2); empty where E f^2
            is 0 or not finite.
        kernel_class: of the network in the limit of width and depth; None of a function with
            jumps or with slopes that are not its own.
        kernel_order: of a singular kernel.
    """

    mean: Figure | None
    second: Figure | None
    variance: Figure | None
    slope_second: Figure | None
    slope_at_zero: Figure | None
    gains: tuple[Gain, ...]
    fixed_point: FixedPoint | None
    chi_1: Figure | None
    edge_of_chaos: tuple[CriticalPoint, ...] | None
    correlation_map: tuple[tuple[float, Figure], ...]
    hermite: tuple[Figure, ...]
    kernel_class: str | None
    kernel_order: Figure | None


def mean_field_of(expr: Expr) -> MeanField:
    """All of these of a function of x, trainable parameters at their start.

    An integral that diverges is infinite if it has one sign, else None.

    Raises:
        ValueError: the expression does not read x alone, or reads a whole tensor.
    """
    expr = function_of_x(expr)
    coarse, fine = samples(expr), samples(expr, nodes=FINE_NODES)
    mean = compare(coarse, fine, lambda s: s.value * s.root)
    second = compare(coarse, fine, lambda s: s.value**2)
    linear = compare(coarse, fine, lambda s: s.z * s.value * s.root)
    slope_second = compare(coarse, fine, lambda s: s.slope**2)
    variance = None
    if mean is not None and math.isfinite(mean.value):
        centre = mean.value
        variance = compare(coarse, fine, lambda s: (s.value - centre * s.root) ** 2)
    slope = slope_at_zero(expr)
    dual = dual_activation_of(expr)
    kernel = order = scaled = None
    correlations: list[tuple[float, Figure]] = []
    if dual is not None and dual.second > 0:
        scale = math.sqrt(dual.second)
        scaled = tuple(Figure(a.value / scale, error=a.error / scale) for a in dual.hermite)
        found = ((c, dual.correlation(c)) for c in CORRELATIONS)
        correlations = [(c, after) for c, after in found if after is not None]
        # By Stein's lemma; a jump has no slope, and a surrogate has another function's.
        slope_mean = compare(coarse, fine, lambda s: s.slope * s.root)
        if slope_mean is not None and linear is not None and slope_second is not None:
            if math.isclose(slope_mean.value, linear.value, rel_tol=1e-9, abs_tol=1e-9 * scale):
                kernel = kernel_class(dual, slope_second.value)
                order = kernel_order(dual, slope_second.value)
    return MeanField(
        mean=mean,
        second=second,
        variance=variance,
        slope_second=slope_second,
        slope_at_zero=None if slope is None else Figure(slope, error=1e-15 * abs(slope)),
        gains=gains_by_convention(expr, second, variance, slope_second, linear),
        fixed_point=fixed_point_of(expr),
        chi_1=_ratio(slope_second, second),
        edge_of_chaos=edge_of_chaos(expr),
        correlation_map=tuple(correlations),
        hermite=(scaled or ())[:_SHOWN],
        kernel_class=kernel,
        kernel_order=order,
    )


def _ratio(over: Figure | None, under: Figure | None) -> Figure | None:
    if over is None or under is None or not 0 < under.value < math.inf:
        return None
    if math.isinf(over.value):
        return Figure(math.inf)
    value = over.value / under.value
    return Figure(value, error=(over.error + value * under.error) / under.value)
