"""The identity card of a function: all that is known of it without training anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch

from ..errors import DerivativeError
from ..evaluators.cost import measure_cost
from ..evaluators.surroundings import one_thread
from ..primitives import Expr, KnownActivation, derivative, evaluate, infix, inputs, read_formula
from ..primitives.analysis.bounds import Relaxation, bounds_of, relaxation_of
from ..primitives.analysis.figure import Figure, at_initial
from ..primitives.analysis.gaussian import GaussianMoments, gaussian_moments
from ..primitives.analysis.linearity import linearity_of
from ..primitives.analysis.mean_field import MeanField, mean_field_of
from ..primitives.analysis.quantisation import Quantisation, quantisation_of
from ..primitives.analysis.relatives import Relatives, relatives_of
from ..primitives.analysis.shape import Shape, shape_of
from ..primitives.analysis.sparsity import Sparsity, sparsity_of
from ..primitives.analysis.spectrum import Spectrum, spectrum_of
from ..primitives.layer_words import layer_words
from ..primitives.zoo import known_functions
from .functions import Named

INTERVALS = ((-1.0, 1.0), (-3.0, 3.0))
"""Where the card bounds the function."""
_HALF_WIDTH, _POINTS = 5.0, 1001
_LOOSE = 1e-2


@dataclass(frozen=True)
class Bounded:
    """Sound bounds and lines on an interval."""

    low: float
    high: float
    least: float
    largest: float
    lines: Relaxation


@dataclass(frozen=True)
class Analysis:
    """What is found of a function of one number."""

    shape: Shape
    mean_field: MeanField
    spectrum: Spectrum
    sparsity: Sparsity
    linearity: Figure | None
    quantisation: tuple[Quantisation, ...]
    bounds: tuple[Bounded, ...]
    relatives: Relatives


@dataclass(frozen=True)
class Card:
    """A function and all that is known of it.

    Args:
        label: what the user called it.
        expr: the function.
        known: its row of the zoo, if it has that name.
        analysis: None for a gate and for a layer, which have no shape on a line, and for a function
            that samples do not resolve.
        unresolved: why that is so; empty if it is not.
        moments: of a gate.
        cost: as of `search cost`, with relu's time beside; None if it was not measured.
        curve: x, f, f' and f'' for the picture; empty without an analysis.
    """

    label: str
    expr: Expr
    known: KnownActivation | None
    analysis: Analysis | None
    unresolved: str
    moments: GaussianMoments | None
    cost: Mapping[str, Any] | None
    curve: Mapping[str, list[float]]

    @property
    def formula(self) -> str:
        return infix(self.expr)

    @property
    def what(self) -> str:
        """Which kind of function it is, in a phrase."""
        if layer_words(self.expr):
            return "a layer, which reads a whole tensor"
        if inputs(self.expr) not in ((), ("x",)):
            return f"a gate of {' and '.join(inputs(self.expr))}"
        return "a function of one number"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; each figure says whether it is exact, and its error."""
        known = self.known
        return {
            "name": self.label,
            "what": self.what,
            "formula": self.formula,
            "canonical": self.expr.text,
            "source": known.source if known else None,
            "aliases": list(known.aliases) if known else [],
            "unverified": known.unverified if known else "",
            "analysis": None if self.analysis is None else _plain(asdict(self.analysis)),
            "unresolved": self.unresolved,
            "moments": None if self.moments is None else asdict(self.moments),
            "cost": None if self.cost is None else dict(self.cost),
            "curve": {name: list(values) for name, values in self.curve.items()},
        }


def card_of(named: Named, *, seconds: float = 10.0, with_cost: bool = True) -> Card:
    """Find all there is to say; trainable parameters are at their initial values.

    Args:
        seconds: for algebra; what it does not find by then is numeric.
        with_cost: also measure what the function costs on this machine's CPU, about a second.
    """
    expr = named.expr
    scalar = inputs(expr) == ("x",) and not layer_words(expr)
    analysis, unresolved = _analysed(expr, seconds) if scalar else (None, "")
    return Card(
        named.label,
        expr,
        _row(named.label),
        analysis,
        unresolved,
        gaussian_moments(expr) if inputs(expr) == ("u", "v") else None,
        _cost(expr) if with_cost and inputs(expr) else None,
        _curve(expr) if scalar else {},
    )


def _analysed(expr: Expr, seconds: float) -> tuple[Analysis | None, str]:
    """What is found, or why nothing can be."""
    shape = shape_of(expr, seconds)
    bounds = tuple(_bounded(expr, low, high) for low, high in INTERVALS)
    unresolved = _unresolved(shape, bounds)
    if unresolved:
        return None, unresolved
    return Analysis(
        shape,
        mean_field_of(expr),
        spectrum_of(expr),
        sparsity_of(expr),
        linearity_of(expr),
        quantisation_of(expr),
        bounds,
        relatives_of(expr),
    ), ""


def _unresolved(shape: Shape, bounds: tuple[Bounded, ...]) -> str:
    """Why the figures of a function cannot be trusted; empty if they can.

    All but the bounds come from samples, a hundredth apart. Where a bound is further out than the
    range that was found by more than bounds are ever loose, something lies between them.
    """
    span = shape.range
    for each in bounds:
        where = f"on [{each.low:g}, {each.high:g}]"
        if math.isnan(each.least):
            return f"the function is not defined {where}"
        room = _LOOSE * (1 + max(abs(each.least), abs(each.largest)))
        for bound, end, beyond in (
            (each.least, span.low.value, span.low.value - each.least),
            (each.largest, span.high.value, each.largest - span.high.value),
        ):
            if not beyond <= room and not (math.isinf(bound) and math.isinf(end)):
                return (
                    f"the function may reach {bound:g} {where}, where samples end at {end:g}; it "
                    "is too steep for the figures of a card"
                )
    return ""


def _bounded(expr: Expr, low: float, high: float) -> Bounded:
    return Bounded(low, high, *bounds_of(expr, low, high), relaxation_of(expr, low, high))


def _row(label: str) -> KnownActivation | None:
    return next(
        (row for row in known_functions().values() if label in (row.name, *row.aliases)), None
    )


def _cost(expr: Expr) -> dict[str, Any]:
    with one_thread():
        own = measure_cost(expr).to_dict()
        return {**own, "of_relu": own["ns"] / _relu_nanoseconds()}


@cache
def _relu_nanoseconds() -> float:
    return measure_cost(read_formula("relu")).ns


def _curve(expr: Expr) -> dict[str, list[float]]:
    fixed = at_initial(expr)
    x = torch.linspace(-_HALF_WIDTH, _HALF_WIDTH, _POINTS, dtype=torch.float64)
    curves = {"x": x, "f": evaluate(fixed, {"x": x}).expand(len(x))}
    slope = derivative(fixed)
    curves["f'"] = evaluate(slope, {"x": x}).expand(len(x))
    try:
        curves["f''"] = evaluate(derivative(slope), {"x": x}).expand(len(x))
    except DerivativeError:
        (curves["f''"],) = torch.gradient(curves["f'"], spacing=(x,))
    return {name: values.tolist() for name, values in curves.items()}


def _plain(value: Any) -> Any:
    """Tuples as lists, which is what they are after a way through JSON."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
