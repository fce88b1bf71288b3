"""A card as short lines under headings, the same on the terminal, on a page and in a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..primitives import inputs, layer_words, parameters, reads_batch
from ..primitives.analysis.figure import Figure
from ..primitives.analysis.gaussian import GaussianMoments
from ..primitives.analysis.shape import Asymptote, Kink, Range, Shape
from ..primitives.zoo import SECTIONS
from .card import Analysis, Card

_LISTED = 6
_NOTHING = 1e-30
_QUADRATURE = 1e-12


@dataclass(frozen=True)
class Line:
    """What is said, and the words."""

    name: str
    text: str


@dataclass(frozen=True)
class Section:
    """Lines of one kind."""

    title: str
    lines: tuple[Line, ...]


def sections_of(card: Card) -> list[Section]:
    """What the card says, in the order in which it is read.

    A figure after `=` is exact; one after `≈` is numeric, right to the digits that are shown.
    """
    found = [Section("Function", tuple(_function(card)))]
    if card.moments is not None:
        found.append(Section("Under standard normal inputs", tuple(_moments(card.moments))))
    if card.analysis is not None:
        found += [
            Section("Shape", tuple(_shape(card.analysis.shape))),
            Section("Under a standard normal input", tuple(_statistics(card.analysis))),
            Section("Signals", tuple(_signals(card.analysis))),
            Section("Bounds", tuple(_bounds(card.analysis))),
            Section("Relatives in the zoo", tuple(_relatives(card))),
        ]
    if card.cost is not None:
        found.append(Section("Cost", tuple(_cost(card))))
    return [section for section in found if section.lines]


def shown(figure: Figure | None, digits: int = 6) -> str:
    """A figure with `=` and its closed form if it is exact, else with `≈`; `none` for None."""
    if figure is None:
        return "none"
    number = _number(figure.value, digits)
    if not figure.exact:
        return number if math.isinf(figure.value) else f"≈ {number}"
    if math.isinf(figure.value) or _is_number(figure.text):
        return number
    return f"{figure.text} = {number}"


def _is_number(text: str) -> bool:
    """Whether a closed form says no more than its digits do."""
    try:
        float(text or 0)
    except ValueError:
        return False
    return True


def _number(value: float, digits: int = 6) -> str:
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value if abs(value) > _NOTHING else 0.0:.{digits}g}"


def _function(card: Card) -> Iterator[Line]:
    yield Line("f", card.formula)
    if card.analysis is not None:
        yield Line("LaTeX", card.analysis.shape.latex)
    known = card.known
    if known is not None:
        yield Line("section", SECTIONS[known.section])
        if known.aliases:
            yield Line("also", ", ".join(known.aliases))
        yield Line("source", known.source)
        if known.unverified:
            yield Line("unverified", known.unverified)
    trained = [f"{p.name} from {p.initial:g}, one per {p.scope}" for p in parameters(card.expr)]
    if trained:
        yield Line("trained", "; ".join(trained))
    if card.unresolved:
        yield Line("no figures", card.unresolved)
    if card.analysis is None:
        yield Line("kind", card.what)
        words = dict.fromkeys(node.operator.name for node in layer_words(card.expr))
        if words:
            yield Line("reads", ", ".join(words))
            mixes = "yes" if reads_batch(card.expr) else "no"
            yield Line("mixes examples", mixes)
        elif inputs(card.expr):
            yield Line("inputs", ", ".join(inputs(card.expr)))
    else:
        shape = card.analysis.shape
        yield Line("computed by", f"{shape.operator_class}; {shape.kind}")


def _moments(found: GaussianMoments) -> Iterator[Line]:
    mean = 0.0 if abs(found.mean) < _QUADRATURE else found.mean
    yield Line("moments", f"E f ≈ {_number(mean)}, E f² ≈ {_number(found.second)}")
    yield Line("slope", f"E |∇f|² ≈ {_number(found.slope_second)}")
    yield Line("gain", f"1/sqrt(E f²) ≈ {_number(found.gain)}")


def _shape(shape: Shape) -> Iterator[Line]:
    yield Line("range", _range(shape.range))
    yield Line("limits", " and ".join(shown(limit) for limit in shape.limits) + " at -∞ and ∞")
    for end, asymptote in zip(("-∞", "∞"), shape.asymptotes, strict=True):
        if asymptote is not None and asymptote.slope.value != 0:
            yield Line(f"asymptote at {end}", _asymptote(asymptote))
    yield Line("monotone", shape.monotone or "no")
    yield Line("convexity", shape.convexity or "neither convex nor concave")
    yield Line("parity", shape.parity or "neither odd nor even")
    if shape.zeros or shape.zero_intervals:
        places = [shown(zero) for zero in shape.zeros]
        places += [f"all of [{shown(a)}, {shown(b)}]" for a, b in shape.zero_intervals]
        yield Line("zeros", _listed(places, shape.truncated))
    for kind in ("minimum", "maximum"):
        found = [f"{shown(e.value)} at {shown(e.at)}" for e in shape.extrema if e.kind == kind]
        if found:
            yield Line(f"{kind}{'s' if len(found) > 1 else ''}", _listed(found, shape.truncated))
    smooth = {None: "infinitely smooth", -1: "not continuous"}
    yield Line("smoothness", smooth.get(shape.smoothness, f"C{shape.smoothness}"))
    if shape.kinks:
        yield Line("kinks", _listed([_kink(kink) for kink in shape.kinks], shape.truncated))
    yield Line("Lipschitz", f"f {shown(shape.lipschitz)}, f' {shown(shape.slope_lipschitz)}")
    if shape.inverse:
        yield Line("inverse", shape.inverse)


def _range(found: Range) -> str:
    left = "[" if found.low_attained else "("
    right = "]" if found.high_attained else ")"
    return f"{left}{shown(found.low)}, {shown(found.high)}{right}"


def _asymptote(found: Asymptote) -> str:
    return f"slope {shown(found.slope)}, intercept {shown(found.intercept)}"


def _kink(kink: Kink) -> str:
    what = "value" if kink.kind in ("jump", "pole", "edge") else "slope"
    sides = f"{what} {_number(kink.left.value)} to {_number(kink.right.value)}"
    if kink.kind.startswith("C"):
        sides = f"slope {_number(kink.used)}"
    return f"{kink.kind} at {_number(kink.at.value)} ({sides}; used {_number(kink.used)})"


def _statistics(found: Analysis) -> Iterator[Line]:
    field = found.mean_field
    yield Line("moments", f"E f {shown(field.mean)}, E f² {shown(field.second)}")
    yield Line("slope", f"E f'² {shown(field.slope_second)}, chi_1 after gain {shown(field.chi_1)}")
    gains = [
        f"{gain.name} {_number(gain.value.value)}" for gain in field.gains if gain.value is not None
    ]
    if gains:
        yield Line("gains", ", ".join(gains))
    fixed = field.fixed_point
    if fixed is None:
        yield Line("self-normalising", "no fixed point of mean and variance")
    else:
        pull = "attracting" if fixed.attracting else "not attracting"
        yield Line(
            "self-normalising",
            f"mean {_number(_rounded(fixed.mean))}, variance {_number(fixed.variance.value)}, "
            f"{pull} (eigenvalues {', '.join(_number(v, 4) for v in fixed.eigenvalues)})",
        )
    if field.edge_of_chaos:
        pairs = [f"({_number(w, 4)}, {_number(b, 4)})" for w, b in field.edge_of_chaos]
        yield Line("edge of chaos", "weight, bias variance " + _listed(pairs, False))
    if field.correlation_map:
        pairs = [f"{c:g} → {_number(_rounded(value), 4)}" for c, value in field.correlation_map]
        yield Line("correlation map", ", ".join(pairs))
    yield Line("Hermite", ", ".join(_number(_rounded(c), 4) for c in field.hermite[:_LISTED]))
    if field.kernel_class:
        yield Line("kernel class", field.kernel_class)
    sparse = found.sparsity
    yield Line("near zero", f"f {_share(sparse.output)}, f' {_share(sparse.slope)}")
    yield Line("linearity", f"R² {shown(found.linearity)}")


def _signals(found: Analysis) -> Iterator[Line]:
    spectrum = found.spectrum
    yield Line("constant", f"{shown(spectrum.dc)} of f(cos t)")
    harmonics = [_number(_rounded(h), 4) for h in spectrum.harmonics[:_LISTED]]
    yield Line("harmonics", ", ".join(harmonics) or "none")
    yield Line(
        "leakage",
        f"{_share(spectrum.leakage)} of the power leaves the tone, "
        f"{_share(spectrum.leakage_without_dc)} without the constant",
    )
    for each in found.quantisation:
        slope = "" if each.slope_error is None else f", of the slope {shown(each.slope_error, 3)}"
        yield Line(
            f"{each.bits} bits",
            f"rms error {shown(each.mean_error, 3)}{slope}, rounds to zero "
            f"{_share(each.zero_share)}, noise gain {shown(each.noise_gain, 3)}",
        )


def _bounds(found: Analysis) -> Iterator[Line]:
    for each in found.bounds:
        lines = each.lines
        yield Line(
            f"[{each.low:g}, {each.high:g}]",
            f"{_number(each.least)} to {_number(each.largest)}; between "
            f"{_line(lines.lower_slope, lines.lower_intercept)} and "
            f"{_line(lines.upper_slope, lines.upper_intercept)}",
        )


def _relatives(card: Card) -> Iterator[Line]:
    assert card.analysis is not None
    relatives = card.analysis.relatives
    own = card.label if card.known is None else card.known.name
    equal = [name for name in relatives.equal if name != own]
    if equal:
        yield Line("equal", ", ".join(equal))
    if relatives.equal_up_to_scale:
        texts = [_relative(r) for r in relatives.equal_up_to_scale[:_LISTED]]
        yield Line("equal up to scale", "; ".join(texts))
    if relatives.nearest:
        texts = [f"{r.name} ({_number(r.distance.value, 2)})" for r in relatives.nearest]
        yield Line("nearest", ", ".join(texts))


def _relative(found: Any) -> str:
    inner = "x" if found.scale == 1 else f"{_number(found.scale, 4)}x"
    inner += "" if found.shift == 0 else f" {_signed(found.shift)}"
    text = f"{found.name}({inner})"
    text = text if found.factor == 1 else f"{_number(found.factor, 4)}*{text}"
    text += "" if found.slope == 0 else f" {_signed(found.slope)}x"
    return text + ("" if found.offset == 0 else f" {_signed(found.offset)}")


def _cost(card: Card) -> Iterator[Line]:
    assert card.cost is not None
    yield Line(
        "time",
        f"{card.cost['ns']:.2f} ns an element forward and backward, {card.cost['of_relu']:.2f} of "
        "relu's, one CPU thread here and now",
    )
    yield Line("kept for backward", f"{card.cost['saved_bytes']:g} bytes an element")


def _rounded(figure: Figure) -> float:
    """Its value; 0 where that is within the error."""
    return 0.0 if abs(figure.value) <= max(figure.error, 1e-12) else figure.value


def _share(figure: Figure | None) -> str:
    return "unknown" if figure is None else f"{figure.value:.1%}"


def _line(slope: float, intercept: float) -> str:
    return f"{_number(slope, 4)}x {_signed(intercept)}"


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {_number(abs(value), 4)}"


def _listed(texts: list[str], truncated: bool) -> str:
    more = len(texts) - _LISTED
    text = ", ".join(texts[:_LISTED])
    if truncated:
        return f"{text}, and so on"
    return f"{text} and {more} more" if more > 0 else text
