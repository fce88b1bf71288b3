"""Input densities as expressions: a constant times a kernel that is 1 at its mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from ...errors import ConfigError
from ..expr import Constant, Expr, Input, substitute
from ..lowering.eager import evaluate
from ..operators import did_you_mean
from ..parse import parse
from .algebra import factored, negated, plus, product, simplified, times
from .slopes import logarithmic_slope

_X = Input("x")


@dataclass(frozen=True)
class Density:
    """A law of a unit's input, p(x) = constant * kernel(x).

    Args:
        name: such as `normal(0, 1)`.
        location: centre of symmetry.
        scale: standard deviation of the normal law; the usual scale of the others.
        kernel: of `x`, at most 1.
        constant: makes the integral of p equal to 1.
        cdf: the distribution function, where the operators have it.
        low, high: ends of the support.
    """

    name: str
    location: float
    scale: float
    kernel: Expr
    constant: float
    cdf: Expr | None = None
    low: float = -math.inf
    high: float = math.inf

    @property
    def expr(self) -> Expr:
        """p itself."""
        return times(Constant(self.constant), self.kernel)

    @cached_property
    def score(self) -> Expr:
        """-p'/p, inside the support."""
        return negated(logarithmic_slope(self.kernel))

    @cached_property
    def slope_term(self) -> Expr:
        """-p' without constants, of slope 1 where p is symmetric.

        That is the correction of the identity and, by the leaky limit, of a rectifier.
        """
        _, powers = factored(times(self.score, self.kernel))
        term = product(1.0, powers)
        step = 1e-4 * self.scale
        around = torch.tensor([-step, step], dtype=torch.float64) + self.location
        low, high = evaluate(term, {"x": around}).tolist()
        rise = (high - low) / (2 * step)
        return times(Constant(float(f"{1 / rise:.6g}")), term)


def normal(mean: float = 0.0, deviation: float = 1.0) -> Density:
    """The normal law."""
    _check("normal", mean, deviation)
    narrow = Constant(-0.5 / deviation**2)
    return Density(
        f"normal({mean:g}, {deviation:g})",
        mean,
        deviation,
        _at("exp(u*square(v))", narrow, plus(_X, Constant(-mean))),
        1 / (deviation * math.sqrt(2 * math.pi)),
        _at("normal_cdf(u)", _standard(mean, deviation)),
    )


def logistic(location: float = 0.0, scale: float = 1.0) -> Density:
    """The logistic law, whose distribution function is the sigmoid."""
    _check("logistic", location, scale)
    z = _standard(location, scale)
    return Density(
        f"logistic({location:g}, {scale:g})",
        location,
        scale,
        _at("sech_squared(u)", times(Constant(0.5), z)),
        1 / (4 * scale),
        _at("sigmoid(u)", z),
    )


def laplace(location: float = 0.0, scale: float = 1.0) -> Density:
    """The Laplace law, exp(-|x|/b)/2b; it has a kink at its centre."""
    _check("laplace", location, scale)
    z = _standard(location, scale)
    return Density(
        f"laplace({location:g}, {scale:g})",
        location,
        scale,
        _at("exp(-abs(u))", z),
        1 / (2 * scale),
        _at("0.5 - 0.5*sign(u)*expm1(-abs(u))", z),
    )


def student(freedom: float = 3.0, location: float = 0.0, scale: float = 1.0) -> Density:
    """Student's law with so many degrees of freedom."""
    _check("student", location, scale)
    if not (math.isfinite(freedom) and freedom > 0):
        raise ConfigError(f"freedom={freedom} of a student density must be above 0")
    z = _standard(location, scale)
    half = (freedom + 1) / 2
    power = Constant(half)
    if half <= _LARGEST_POWER:
        kernel = simplified(_at("reciprocal(pow(1 + square(u)/v, w))", z, Constant(freedom), power))
    else:
        # The power itself would overflow, and its slope be infinity times 0.
        kernel = _at("exp(-w*log1p(square(u)/v))", z, Constant(freedom), power)
    difference = math.lgamma(half) - math.lgamma(freedom / 2)
    return Density(
        f"student({freedom:g}, {location:g}, {scale:g})",
        location,
        scale,
        kernel,
        math.exp(difference) / (math.sqrt(freedom * math.pi) * scale),
        _student_cdf(freedom, z),
    )


def cauchy(location: float = 0.0, scale: float = 1.0) -> Density:
    """The Cauchy law, 1/(pi (1 + x^2)); it has no mean."""
    _check("cauchy", location, scale)
    z = _standard(location, scale)
    return Density(
        f"cauchy({location:g}, {scale:g})",
        location,
        scale,
        _at("reciprocal(1 + square(u))", z),
        1 / (math.pi * scale),
        _at(f"0.5 + {1 / math.pi!r}*atan(u)", z),
    )


def uniform(location: float = 0.0, scale: float = 1.0) -> Density:
    """The uniform law on location - scale to location + scale."""
    _check("uniform", location, scale)
    z = _standard(location, scale)
    return Density(
        f"uniform({location - scale:g}, {location + scale:g})",
        location,
        scale,
        _at("step(1 + u)*step(1 - u)", z),
        1 / (2 * scale),
        _at("0.5 + 0.5*max(-1, min(1, u))", z),
        location - scale,
        location + scale,
    )


DENSITIES: Mapping[str, Callable[[float, float], Density]] = {
    "normal": normal,
    "logistic": logistic,
    "laplace": laplace,
    "student": lambda location, scale: student(3.0, location, scale),
    "cauchy": cauchy,
    "uniform": uniform,
}
"""Laws by name, of a location and a scale; Student's has three degrees of freedom."""


def density_named(name: str, location: float = 0.0, scale: float = 1.0) -> Density:
    """The law of that name.

    Raises:
        ConfigError: there is none, or a number is out of range.
    """
    if name not in DENSITIES:
        raise ConfigError(
            f"unknown density '{name}'{did_you_mean(name, DENSITIES)}; there are "
            f"{', '.join(DENSITIES)}"
        )
    return DENSITIES[name](location, scale)


def worst_activation(density: Density, low: float = 0.0, high: float = 1.0) -> Expr:
    """The function from low to high whose output has the largest entropy: a scaled CDF.

    Sun et al. 2024, arXiv:2405.12954, call it the worst activation with boundary conditions; its
    output is uniform, and its correction is 0.

    Raises:
        ValueError: the operators have no distribution function of the density, or the bounds are
            not finite and in order.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"the worst activation needs finite bounds, low < high; got {low}, {high}")
    if density.cdf is None:
        raise ValueError(f"the operators have no distribution function of {density.name}")
    return plus(times(Constant(high - low), density.cdf), Constant(low))


# (1 + x^2/5)^4, in the slope of Student's law with five degrees of freedom, is finite in float32
# for |x| < 1e4.
_LARGEST_POWER = 3.0


def _student_cdf(freedom: float, z: Expr) -> Expr | None:
    if freedom == 1:
        return _at(f"0.5 + {1 / math.pi!r}*atan(u)", z)
    if freedom != 3:
        return None
    root = times(Constant(1 / math.sqrt(3)), z)
    return _at(f"0.5 + {1 / math.pi!r}*(u/(1 + square(u)) + atan(u))", root)


def _standard(location: float, scale: float) -> Expr:
    return times(Constant(1 / scale), plus(_X, Constant(-location)))


def _check(name: str, location: float, scale: float) -> None:
    if not math.isfinite(location):
        raise ConfigError(f"location {location} of a {name} density must be a finite number")
    if not (math.isfinite(scale) and _SMALLEST <= scale <= _WIDEST):
        raise ConfigError(
            f"deviation {scale} of a {name} density must be {_SMALLEST:g} to {_WIDEST:g}"
        )


_SMALLEST, _WIDEST = 1e-3, 1e3


def _at(text: str, u: Expr, v: Expr | None = None, w: Expr | None = None) -> Expr:
    given = {"u": u, "v": v, "w": w}
    template = parse(text, input_names=tuple(given))
    return substitute(template, {Input(name): at for name, at in given.items() if at is not None})
