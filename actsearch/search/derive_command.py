"""The command `search derive`: the entropy correction of a function, step by step."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .options import AsJson
from .output import print_json, stdout

if TYPE_CHECKING:
    from ..primitives import Expr
    from ..primitives.analysis.figure import Figure
    from ..primitives.entropy.derivation import Derivation

_NOTHING = "0: no step changes the entropy to first order; the base stays as it is"


def derive(
    base: Annotated[
        str,
        typer.Argument(metavar="EXPR|NAME|RUN#K", help="The function to correct, of one input."),
    ],
    density: Annotated[
        str,
        typer.Option(
            help="Of the input: normal, logistic, laplace, student (three degrees of freedom), "
            "cauchy or uniform."
        ),
    ] = "normal",
    mean: Annotated[float, typer.Option(help="Centre of the density.")] = 0.0,
    deviation: Annotated[
        float,
        typer.Option(
            help="Standard deviation of the normal density; the scale of the others, of the "
            "uniform one half its width."
        ),
    ] = 1.0,
    form: Annotated[
        str | None,
        typer.Option(
            help="inverse-free, regular, integrable or scale-free. [default: inverse-free, or "
            "integrable where the slope is 0 somewhere]"
        ),
    ] = None,
    unit: Annotated[
        bool, typer.Option("--unit", help="Scale the term to 1 at its largest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Derive base + eps*term, along which the entropy of the output changes fastest (EAFO)."""
    report = derivation_report(base, density, mean, deviation, form, unit)
    if as_json:
        print_json(report)
    else:
        stdout.print("\n".join(_lines(report)), soft_wrap=True, highlight=False)


def derivation_report(
    base: str, density: str, mean: float, deviation: float, form: str | None, unit: bool
) -> dict[str, Any]:
    """Steps, the new function, and what each sign of eps does; plain data.

    Raises:
        ParseError: the base cannot be read.
        ConfigError: a density, number or form is not known or out of range, or the base has no
            such correction.
    """
    from ..primitives import infix, layer_words
    from ..primitives.entropy import Form, density_named
    from ..primitives.entropy.derivation import derive as derived
    from .functions import named_function

    law = density_named(density, mean, deviation)
    if form is not None and form not in set(Form):
        raise ConfigError(f"unknown form '{form}'; there are {', '.join(Form)}")
    named = named_function(base)
    for word in layer_words(named.expr):
        raise ConfigError(
            f"{named.label} has '{word.operator.name}'; a correction is of a function of one "
            "number, without draws and moments of a layer"
        )
    try:
        found = derived(named.expr, law, Form(form) if form else None, unit=unit)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    correction = found.correction
    new = correction.function()
    return {
        "base": infix(named.expr),
        "density": law.name,
        "form": str(correction.form),
        "steps": [asdict(step) for step in found.steps],
        "vanishes": correction.vanishes,
        "term": infix(correction.term),
        "constant": correction.constant,
        "function": infix(new),
        "canonical": str(new),
        "first_order": None if correction.vanishes else _figure(found.first_order),
        "changes": _changes(found),
        "equals": None if correction.vanishes else _known(new),
    }


def _changes(found: Derivation) -> list[dict[str, Any]]:
    return [
        {
            "eps": change.eps,
            "entropy": _figure(change.entropy),
            "scale_free": None if change.scale_free is None else _figure(change.scale_free),
        }
        for change in found.changes
    ]


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "value": figure.value,
        "exact": figure.exact,
        "error": figure.error,
        "text": figure.text,
    }


def _known(expr: Expr) -> str | None:
    """The known activation that is the same function, if there is one."""
    from ..evaluators.screens import DuplicateScreen, fingerprint
    from ..primitives import inputs, known_activations, layer_words

    screen = DuplicateScreen()
    for known in known_activations().values():
        if inputs(known.expr) == ("x",) and not layer_words(known.expr):
            screen.remember(fingerprint(known.expr), known.name)
    return screen.find(fingerprint(expr))


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [f"{report['base']} under {report['density']}, {report['form']} form", ""]
    for number, step in enumerate(report["steps"], start=1):
        lines += [f"{number:2d}. {step['title']}", f"      {step['formula']}"]
    lines.append("")
    if report["vanishes"]:
        return [*lines, f"correction {_NOTHING}"]
    lines.append(f"function   {report['function']}")
    lines += [_first_order_line(report["first_order"])]
    lines += [_change_line(row) for row in report["changes"]]
    if report["equals"]:
        lines.append(f"equals {report['equals']}")
    return lines


def _first_order_line(figure: dict[str, Any]) -> str:
    value = figure["value"]
    if value != value:
        return "dH/d eps   none: H does not change in proportion to eps"
    if figure["exact"]:
        return f"dH/d eps   {figure['text']} = {value:.6g} nats, exact"
    return f"dH/d eps   {value:.6g} nats, numeric, to {max(figure['error'], 1e-12):.0e}"


def _change_line(row: dict[str, Any]) -> str:
    value = row["entropy"]["value"]
    way = "falls" if value < 0 else "rises"
    line = f"eps = {row['eps']:+g}  dH = {value:+.5f}: the entropy {way}"
    if row["scale_free"] is not None:
        line += f"; dS = {row['scale_free']['value']:+.5f}"
    return line
